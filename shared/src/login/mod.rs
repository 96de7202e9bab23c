//! How one reaches and logs in to a cluster, as kubectl does it.
//!
//! kube reads kubeconfigs more strictly than client-go and keeps credentials for each client: with a login that ends after
//! minutes, a kubeconfig of several files or a plugin that asks something, a plugin would fail where the kubectl beside it
//! works. So the kubeconfig is read here, one source of credentials serves the whole process, and kube's `Config` is only what
//! comes out of it. What kubectl and ours do with more than a hundred kubeconfigs is compared in `tests/e2e/tests/parity`.

mod credentials;
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

use crate::cli::ConnectionFlags;
use crate::error::{Connection, Error, Kind, Result};
use crate::printable;
use crate::proxy::Proxy;

pub(crate) use credentials::{Credential, Credentials, same_identity};
pub(crate) use transport::{Transport, transport};

use policy::Policy;
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
        let policy = match settings.user.bearer {
            Bearer::Plugin(_) => Policy::read(flags.kuberc.as_deref())?,
            _ => Policy::AllowAll,
        };
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
            credential: match (user.name.as_str(), is_anonymous) {
                (_, true) => String::new(),
                ("", false) if origin.is_none() && flags.server.is_none() => settings.context,
                ("", false) => "this token".into(),
                (name, false) => format!("user `{}`", printable::short(name, 200)),
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
            credentials: Arc::new(Credentials::new(user, origin, policy)),
            connection,
        })
    }
}

/// Waits until a login that is being renewed has been kept: to be called before the process ends.
pub(crate) fn settle() {
    oidc::settle();
}

/// Whether something that ends then has ended, or will have when a request arrives.
fn has_ended(ends: Timestamp) -> bool {
    Timestamp::now() + SignedDuration::from_secs(1) >= ends
}

/// The login has ended for good, and only its owner can log in again.
pub(crate) fn over(why: &str) -> Error {
    Error::of(Kind::Unauthorized, "your login has ended")
        .caused_by(why)
        .hint("log in again (on Onyxia: My account, Kubernetes, and run its script), then retry")
}

/// A failure to log in, on its way through kube's client.
#[derive(Debug)]
pub(crate) struct Failed(pub(crate) Error);

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.message())
    }
}

impl std::error::Error for Failed {}
