//! How one is known to the cluster: what a kubeconfig's user and kubectl's flags say together.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use super::kubeconfig::Entry;
use super::plugin::{Interactive, Plugin};
use super::{hints, jwt};
use crate::error::{Error, Kind, Result};
use crate::flags::ConnectionFlags;
use crate::printable;

/// A user's ways to log in. A certificate may stand beside a way to get a header.
#[derive(Clone, Default)]
pub(super) struct User {
    /// Its name in the kubeconfig, empty if it stands in none.
    pub(super) name: String,
    pub(super) bearer: Bearer,
    pub(super) certificate: Option<(Pem, Pem)>,
    pub(super) impersonated: Impersonated,
}

/// Where the `Authorization` header comes from.
#[derive(Clone, Default)]
pub(super) enum Bearer {
    #[default]
    Nothing,
    Token(SecretString),
    /// A file that somebody else keeps up to date, and the token to use where it cannot be read.
    File {
        path: PathBuf,
        otherwise: Option<SecretString>,
    },
    Password {
        user: String,
        password: SecretString,
    },
    Plugin(Box<Plugin>),
    Oidc(Oidc),
}

/// `auth-provider: oidc`, as Onyxia's account page writes it.
#[derive(Clone, Default)]
pub(super) struct Oidc {
    pub(super) issuer: String,
    pub(super) client: String,
    pub(super) secret: Option<SecretString>,
    pub(super) id_token: Option<SecretString>,
    pub(super) refresh_token: Option<SecretString>,
    /// The issuer's own certificate authority.
    pub(super) authority: Option<Pem>,
    /// The kubeconfig in which new tokens are to be kept.
    pub(super) file: PathBuf,
}

/// Something in PEM.
#[derive(Clone)]
pub(super) enum Pem {
    Data(Vec<u8>),
    File(PathBuf),
}

impl Pem {
    /// Its text. `what` it is, in an error.
    pub(super) fn read(&self, what: &str) -> Result<Vec<u8>> {
        match self {
            Self::Data(data) => Ok(data.clone()),
            Self::File(path) => std::fs::read(path).map_err(|error| {
                let path = printable::short(&path.display().to_string(), 200);
                Error::of(Kind::Unauthorized, format!("cannot read the {what} {path}"))
                    .caused_by(error.to_string())
                    .hint(hints::FILES)
            }),
        }
    }
}

/// For whom requests are made, if not for oneself (`--as`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Impersonated {
    pub(super) user: Option<String>,
    pub(super) uid: Option<String>,
    pub(super) groups: Vec<String>,
    pub(super) extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// Whether what has ended can be had anew without anybody writing the kubeconfig anew.
    pub(super) fn renews(&self) -> bool {
        let bearer = match &self.bearer {
            Bearer::Plugin(_) | Bearer::File { .. } => true,
            Bearer::Oidc(login) => {
                let token = login.refresh_token.as_ref();
                token.is_some_and(|token| !jwt::is_bound(token.expose_secret()))
            }
            Bearer::Nothing | Bearer::Token(_) | Bearer::Password { .. } => false,
        };
        bearer || matches!(self.certificate, Some((Pem::File(_), _)))
    }

    /// Nobody in particular, who may act as somebody all the same.
    pub(super) fn anonymous(entry: Option<&Entry<'_>>, flags: &ConnectionFlags) -> Result<Self> {
        Ok(Self {
            impersonated: Impersonated::of(entry, flags)?,
            ..Self::default()
        })
    }

    /// The kubeconfig's user, overridden by the flags. `cluster` is what a plugin may want to know of the cluster.
    ///
    /// # Errors
    /// Where kubectl refuses: two ways at once, half of one, a plugin that says too little about itself.
    pub(super) fn of(
        name: &str,
        entry: Option<&Entry<'_>>,
        flags: &ConnectionFlags,
        cluster: &serde_json::Value,
    ) -> Result<Self> {
        let title = printable::short(name, 80);
        let impersonated = Impersonated::of(entry, flags)?;
        // A certificate would win over the token at the API server, and the token was asked for.
        if let Some(token) = flags.token.clone() {
            return Ok(Self {
                bearer: Bearer::Token(token.into()),
                impersonated,
                ..Self::default()
            });
        }
        let text = |key: &str| entry.map_or(Ok(None), |entry| entry.text(key));
        let certificate = certificate(&title, entry, flags)?;
        let token = text("token")?.map(SecretString::from);
        let file = entry.map_or(Ok(None), |entry| entry.path("tokenFile"))?;
        let user = flags.username.clone().or(text("username")?);
        let password = flags.password.clone().or(text("password")?);
        let by_password = user.is_some() || password.is_some();
        if token.is_some() && by_password {
            return Err(refused(&title, "has both a token and a password"));
        }
        let exec = entry.map_or(Ok(None), |entry| entry.map("exec"))?;
        let provider = entry.map_or(Ok(None), |entry| entry.map("auth-provider"))?;
        let plugin = exec
            .map(|exec| plugin(&title, &exec, cluster))
            .transpose()?;
        if plugin.is_some() && provider.is_some() {
            return Err(refused(&title, "has both `exec` and `auth-provider`"));
        }
        let bearer = match (token, file, plugin, provider) {
            (otherwise, Some(path), ..) => Bearer::File { path, otherwise },
            (Some(token), ..) => Bearer::Token(token),
            _ if by_password => Bearer::Password {
                user: user.unwrap_or_default(),
                password: password.unwrap_or_default().into(),
            },
            // As with kubectl, a certificate is enough, and the plugin is not started.
            (_, _, Some(plugin), _) if certificate.is_none() => Bearer::Plugin(Box::new(plugin)),
            (.., Some(provider)) => Bearer::Oidc(oidc(&title, &provider)?),
            _ => Bearer::Nothing,
        };
        Ok(Self {
            name: name.to_owned(),
            bearer,
            certificate,
            impersonated,
        })
    }
}

fn refused(title: &str, why: &str) -> Error {
    Error::of(
        Kind::Unauthorized,
        format!("user `{title}` of the kubeconfig cannot be used"),
    )
    .caused_by(format!("it {why}"))
    .hint("keep one way to log in: `kubectl config view`")
}

fn incomplete(title: &str, what: &str) -> Error {
    refused(title, &format!("has no {what}"))
        .without_hints()
        .hint("get a new kubeconfig, or add it")
}

fn certificate(
    title: &str,
    entry: Option<&Entry<'_>>,
    flags: &ConnectionFlags,
) -> Result<Option<(Pem, Pem)>> {
    let half = |flag: Option<&str>, key: &str| -> Result<Option<Pem>> {
        if let Some(path) = flag {
            return Ok(Some(Pem::File(path.into())));
        }
        let Some(entry) = entry else { return Ok(None) };
        match (entry.data(&format!("{key}-data"))?, entry.path(key)?) {
            (Some(_), Some(_)) => Err(refused(
                title,
                &format!("has both `{key}` and `{key}-data`"),
            )),
            (data, path) => Ok(data.map(Pem::Data).or(path.map(Pem::File))),
        }
    };
    let certificate = half(flags.client_certificate.as_deref(), "client-certificate")?;
    let key = half(flags.client_key.as_deref(), "client-key")?;
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
        (Some(_), None) => Err(incomplete(title, "key beside its client certificate")),
        (None, _) => Ok(None),
    }
}

fn plugin(title: &str, exec: &Entry<'_>, cluster: &serde_json::Value) -> Result<Plugin> {
    let command = exec
        .text("command")?
        .ok_or_else(|| incomplete(title, "`command` of its `exec`"))?;
    let api_version = exec
        .text("apiVersion")?
        .ok_or_else(|| incomplete(title, "`apiVersion` of its `exec`"))?;
    let Some(version @ ("v1" | "v1beta1")) =
        api_version.strip_prefix("client.authentication.k8s.io/")
    else {
        let found = printable::short(&api_version, 80);
        return Err(refused(
            title,
            &format!("has `apiVersion: {found}` in its `exec`, which kubectl no longer supports"),
        )
        .without_hints()
        .hint("update the plugin and write `apiVersion: client.authentication.k8s.io/v1`"));
    };
    let interactive = match exec.text("interactiveMode")?.as_deref() {
        Some("Never") => Interactive::Never,
        Some("IfAvailable") => Interactive::IfAvailable,
        Some("Always") => Interactive::Always,
        None if version == "v1beta1" => Interactive::IfAvailable,
        None => {
            return Err(incomplete(
                title,
                "`interactiveMode` of its `exec` (`IfAvailable`, `Never` or `Always`)",
            ));
        }
        Some(other) => {
            let other = printable::short(other, 40);
            return Err(refused(title, &format!("has `interactiveMode: {other}`"))
                .without_hints()
                .hint("write `IfAvailable`, `Never` or `Always`"));
        }
    };
    let mut environment = Vec::new();
    for variable in exec.maps("env")? {
        let name = variable
            .text("name")?
            .ok_or_else(|| incomplete(title, "name of a variable of its `exec`"))?;
        environment.push((name, variable.text("value")?.unwrap_or_default()));
    }
    // A bare name is looked for in PATH, anything else beside the kubeconfig.
    let is_bare = !command.contains(['/', std::path::MAIN_SEPARATOR]);
    let program = if is_bare {
        PathBuf::from(&command)
    } else {
        exec.beside(&command)
    };
    Ok(Plugin {
        program,
        arguments: exec.texts("args")?,
        environment,
        api_version,
        interactive,
        install_hint: exec.text("installHint")?,
        cluster: exec.flag("provideClusterInfo")?.then(|| cluster.clone()),
    })
}

fn oidc(title: &str, provider: &Entry<'_>) -> Result<Oidc> {
    match provider.text("name")?.as_deref() {
        Some("oidc") => {}
        other => {
            let other = printable::short(other.unwrap_or_default(), 40);
            return Err(refused(
                title,
                &format!("logs in by the provider `{other}`, which kubectl no longer supports"),
            )
            .without_hints()
            .hint("get a new kubeconfig, with a credential plugin (`exec`)"));
        }
    }
    let config = provider.map("config")?;
    let text = |key: &str| config.as_ref().map_or(Ok(None), |config| config.text(key));
    let secret = |key: &str| text(key).map(|value| value.map(SecretString::from));
    let data = config.as_ref().map_or(Ok(None), |config| {
        config.data("idp-certificate-authority-data")
    })?;
    // As kubectl, which makes no path of an auth-provider absolute.
    let file = text("idp-certificate-authority")?;
    Ok(Oidc {
        issuer: text("idp-issuer-url")?.ok_or_else(|| incomplete(title, "`idp-issuer-url`"))?,
        client: text("client-id")?.ok_or_else(|| incomplete(title, "`client-id`"))?,
        secret: secret("client-secret")?,
        id_token: secret("id-token")?,
        refresh_token: secret("refresh-token")?,
        authority: data
            .map(Pem::Data)
            .or(file.map(|path| Pem::File(path.into()))),
        file: provider.file.to_owned(),
    })
}

impl Impersonated {
    fn of(entry: Option<&Entry<'_>>, flags: &ConnectionFlags) -> Result<Self> {
        let text = |key: &str| entry.map_or(Ok(None), |entry| entry.text(key));
        let mut groups = flags.as_group.clone();
        if groups.is_empty() {
            groups = entry.map_or(Ok(Vec::new()), |entry| entry.texts("as-groups"))?;
        }
        let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for pair in &flags.as_user_extra {
            let (key, value) = pair.split_once('=').ok_or_else(|| {
                let pair = printable::short(pair, 80);
                Error::usage(format!("`--as-user-extra {pair}` is not KEY=VALUE"))
            })?;
            extra
                .entry(key.to_owned())
                .or_default()
                .push(value.to_owned());
        }
        if extra.is_empty()
            && let Some(kept) = entry.map_or(Ok(None), |entry| entry.map("as-user-extra"))?
        {
            for key in kept.keys() {
                extra.insert(key.to_owned(), kept.texts(key)?);
            }
        }
        let impersonated = Self {
            user: flags.as_user.clone().or(text("as")?),
            uid: flags.as_uid.clone().or(text("as-uid")?),
            groups,
            extra,
        };
        let more = impersonated.uid.is_some()
            || !impersonated.groups.is_empty()
            || !impersonated.extra.is_empty();
        if more && impersonated.user.is_none() {
            return Err(
                Error::usage("a group, UID or extra of another user needs that user")
                    .hint("name it with `--as USER`"),
            );
        }
        Ok(impersonated)
    }

    /// The same as kube has it, which makes headers of it.
    pub(super) fn for_kube(&self) -> kube::config::AuthInfo {
        kube::config::AuthInfo {
            impersonate: self.user.clone(),
            impersonate_uid: self.uid.clone(),
            impersonate_groups: (!self.groups.is_empty()).then(|| self.groups.clone()),
            impersonate_user_extra: (!self.extra.is_empty())
                .then(|| self.extra.clone().into_iter().collect()),
            ..kube::config::AuthInfo::default()
        }
    }
}
