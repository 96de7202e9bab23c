//! What helps an address; a plugin says it in its own flags.

use commons::error::Hint;

/// What is to be done about an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// One of these settings is to be another. `why` is a phrase that ends before the flags: `take another host`.
    Set {
        /// What it is for.
        why: String,
        /// Any of them helps.
        to: Vec<Setting>,
    },
    /// A field of an object that is written down somewhere, said in one phrase.
    Field(String),
    /// To look again; a phrase that ends before the command.
    LookAgain {
        /// The phrase.
        how: String,
        /// Where the address is.
        namespace: String,
    },
    /// To tell `deploy-app`, which has made the app, on which port it listens.
    PortOfDeployed {
        /// The app.
        app: String,
        /// The port.
        port: u16,
        /// Its namespace.
        namespace: String,
    },
    /// To remove the address of an app; a phrase that ends before the command.
    Remove {
        /// The phrase.
        why: String,
        /// The app, or how else the address is called.
        app: String,
        /// Its namespace.
        namespace: String,
    },
    /// To share a database instead.
    ShareDatabase,
}

/// A setting of an address; without a value, one of the user's choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// The host, or its first label.
    Host(Option<String>),
    /// The port of the app.
    Port(Option<u16>),
    /// The ingress class.
    Class,
    /// A Gateway, as the parent of a route.
    Parent,
    /// No Gateway.
    NoGateway,
    /// The namespace of the ingress controller.
    Controller,
    /// The page that is asked for.
    Path,
    /// That the host is used even if something else answers there.
    Take,
    /// Where the TLS certificate comes from.
    Certificate(CertificateSource),
}

/// Where a TLS certificate may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateSource {
    /// The controller's own, for all hosts of the domain.
    Wildcard,
    /// A Secret.
    Secret,
    /// An issuer of cert-manager.
    Issuer,
    /// None: plain HTTP.
    Off,
    /// As if nothing had been said of it.
    Unsaid,
}

impl Remedy {
    /// The hint with it; the text is for whoever has no command for it.
    pub fn hint(self, text: impl Into<String>) -> Hint {
        Hint::with_remedy(self, text)
    }
}

/// The hint that other settings help.
pub(crate) fn set(why: impl Into<String>, to: impl IntoIterator<Item = Setting>) -> Hint {
    let why = why.into();
    let to = to.into_iter().collect();
    Remedy::Set {
        why: why.clone(),
        to,
    }
    .hint(why)
}

/// The hint to remove an address.
pub(crate) fn remove(why: &str, app: impl Into<String>, namespace: &str) -> Hint {
    Remedy::Remove {
        why: why.to_owned(),
        app: app.into(),
        namespace: namespace.to_owned(),
    }
    .hint(why)
}

/// Whether a failure's hints name a setting.
#[cfg(test)]
pub(crate) fn sets(error: &commons::Error, setting: &Setting) -> bool {
    error
        .hints()
        .iter()
        .any(|hint| matches!(hint.remedy(), Some(Remedy::Set { to, .. }) if to.contains(setting)))
}
