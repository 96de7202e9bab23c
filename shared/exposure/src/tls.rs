//! How an address gets its certificate.

use std::fmt;
use std::str::FromStr;

use commons::names;

/// Annotation by which cert-manager makes a certificate for an Ingress or Gateway, signed by an issuer of the cluster.
pub const CLUSTER_ISSUER: &str = "cert-manager.io/cluster-issuer";
/// The same with an issuer of the namespace.
pub const ISSUER: &str = "cert-manager.io/issuer";

/// How an address gets its certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tls {
    /// Not at all: plain http.
    Off,
    /// From the controller, which has one for the whole domain.
    Wildcard,
    /// From cert-manager, signed by this issuer.
    Issuer {
        /// Its name.
        name: String,
        /// Whether it is one of the namespace, instead of the cluster's; nothing when that is to be looked up.
        of_namespace: Option<bool>,
    },
    /// From this Secret of the namespace.
    Secret(String),
}

impl FromStr for Tls {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = |name: &str| {
            if name.is_empty() {
                return Err("the name is missing after `=`".into());
            }
            names::parse(name)
        };
        match text.split_once('=') {
            None if text == "off" => Ok(Self::Off),
            None if text == "wildcard" => Ok(Self::Wildcard),
            Some(("issuer", name)) => Ok(Self::Issuer {
                name: named(name)?,
                of_namespace: None,
            }),
            Some(("secret", name)) => Ok(Self::Secret(named(name)?)),
            _ => Err("write `off`, `wildcard`, `issuer=NAME` or `secret=NAME`".into()),
        }
    }
}

impl fmt::Display for Tls {
    /// As it is typed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Wildcard => f.write_str("wildcard"),
            Self::Issuer { name, .. } => write!(f, "issuer={name}"),
            Self::Secret(name) => write!(f, "secret={name}"),
        }
    }
}

impl Tls {
    /// In words, for the report.
    pub fn describe(&self) -> String {
        match self {
            Self::Off => "no certificate (plain http)".into(),
            Self::Wildcard => "the controller's certificate".into(),
            Self::Issuer { name, .. } => format!("a certificate from issuer {name}"),
            Self::Secret(name) => format!("the certificate in secret {name}"),
        }
    }

    /// `https`, or `http` without a certificate.
    pub fn scheme(&self) -> &'static str {
        if *self == Self::Off { "http" } else { "https" }
    }

    /// The annotation that asks cert-manager for it.
    pub fn annotation(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::Issuer { name, of_namespace } => Some((
                if *of_namespace == Some(true) {
                    ISSUER
                } else {
                    CLUSTER_ISSUER
                },
                name,
            )),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_what_is_shown() {
        for text in ["off", "wildcard", "issuer=letsencrypt", "secret=shop-tls"] {
            assert_eq!(
                text.parse::<Tls>().map(|tls| tls.to_string()).as_deref(),
                Ok(text)
            );
        }
        for wrong in [
            "",
            "on",
            "issuer",
            "issuer=",
            "secret=A b",
            "issuer=\u{1b}[2J",
        ] {
            assert!(!wrong.parse::<Tls>().expect_err(wrong).contains('\u{1b}'));
        }
    }
}
