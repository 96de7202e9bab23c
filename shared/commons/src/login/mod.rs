//! How one reaches and logs in to a cluster, as kubectl does it.
//!
//! kube reads kubeconfigs more strictly than client-go and keeps credentials for each client: with a login that ends after
//! minutes, a kubeconfig of several files or a plugin that asks something, a plugin would fail where the kubectl beside it
//! works. So the kubeconfig is read here, one source of credentials serves the whole process, and kube's `Config` is only what
//! comes out of it. What kubectl and ours do with more than a hundred kubeconfigs is compared in `tests/e2e/tests/parity`.

mod credentials;
mod hints;
mod identity;
mod jwt;
mod kubeconfig;
mod oidc;
mod pem;
mod plugin;
mod pod;
mod policy;
mod settings;
mod store;
mod transport;
mod trust;
mod user;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::error::{Connection, Result};
use crate::flags::ConnectionFlags;
use crate::printable;
use crate::proxy::Proxy;

pub(crate) use credentials::{Credential, Credentials, same_identity};
pub(crate) use transport::{Transport, transport};

use settings::Settings;
use user::Bearer;

/// A cluster, and how to log in to it.
pub(crate) struct Login {
    /// What kube needs to know. It holds no credentials.
    pub(crate) config: kube::Config,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) credentials: Arc<Credentials>,
    /// What is said of it in errors.
    pub(crate) connection: Connection,
}

impl Login {
    /// Reads kubectl's flags and the kubeconfig. Nothing is sent and no program started yet.
    ///
    /// # Errors
    /// A kubeconfig that is absent, unreadable or names what it does not hold.
    pub(crate) fn find(flags: &ConnectionFlags) -> Result<Self> {
        let settings = Settings::find(flags)?;
        let mut config = kube::Config::new(settings.server);
        config.default_namespace = settings.namespace;
        config.root_cert = settings.tls.authority;
        config.root_cert_file = settings.tls.authority_file;
        config.accept_invalid_certs = settings.tls.insecure;
        config.tls_server_name = settings.tls.server_name;
        config.auth_info = settings.user.impersonated.for_kube();
        config.default_retry = false;
        let (user, origin) = (settings.user, settings.origin);
        let is_anonymous = matches!(user.bearer, Bearer::Nothing) && user.certificate.is_none();
        let connection = Connection {
            server: printable::short(config.cluster_url.to_string().trim_end_matches('/'), 200),
            context: printable::short(&settings.context, 200),
            credential: match &user.bearer {
                _ if is_anonymous => String::new(),
                _ if settings.context == pod::POD => pod::POD.to_owned(),
                _ if !user.name.is_empty() => {
                    format!("user `{}`", printable::short(&user.name, 200))
                }
                Bearer::Password { user, .. } => format!("user `{}`", printable::short(user, 200)),
                Bearer::Token(_) => "this token".into(),
                _ => "these credentials".into(),
            },
            proxy: settings
                .proxy
                .as_ref()
                .map(|proxy| printable::short(&proxy.name(), 200))
                .unwrap_or_default(),
            expires: match &user.bearer {
                Bearer::Token(token) => jwt::ends(secrecy::ExposeSecret::expose_secret(token)),
                _ => None,
            },
        };
        Ok(Self {
            config,
            proxy: settings.proxy,
            credentials: Arc::new(Credentials::new(user, origin, flags.kuberc.clone())),
            connection,
        })
    }
}

/// Marks a request that is sent without credentials: what matters is that there is an answer.
#[derive(Clone, Copy, Debug)]
pub struct WithoutLogin;

/// Waits until a login that is being renewed has been kept: to be called before the process ends.
pub(crate) fn settle() {
    oidc::settle();
}

/// Whether something that ends then has ended, or will have when a request arrives.
fn has_ended(ends: Timestamp) -> bool {
    Timestamp::now() + SignedDuration::from_secs(1) >= ends
}
