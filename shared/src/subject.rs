//! Whom something is shared with, and what the cluster calls them.
//!
//! People say `bob`; the cluster knows `oidc-bob`, because its API server prefixes the names of an identity provider. The
//! prefix cannot be asked for, but it can be read off one's own RoleBinding: where `oidc-alice` is admin of `user-alice`,
//! Bob is `oidc-bob`.

use k8s_openapi::api::rbac::v1::{RoleBinding, Subject as RbacSubject};
use serde::Serialize;

use crate::cluster::Identity;
use crate::error::{Error, Result};
use crate::names::is_name;
use crate::printable;

/// A subject of RBAC.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind")]
pub enum Subject {
    /// A user, by the name that the API server gives it.
    User {
        /// `oidc-bob`.
        name: String,
    },
    /// A group of users.
    Group {
        /// `oidc-team`.
        name: String,
    },
    /// A ServiceAccount.
    ServiceAccount {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

impl Subject {
    /// As RoleBindings name it.
    pub fn as_rbac(&self) -> RbacSubject {
        let (kind, name, namespace) = match self {
            Self::User { name } => ("User", name, None),
            Self::Group { name } => ("Group", name, None),
            Self::ServiceAccount { namespace, name } => {
                ("ServiceAccount", name, Some(namespace.clone()))
            }
        };
        RbacSubject {
            kind: kind.into(),
            name: name.clone(),
            namespace,
            api_group: matches!(kind, "User" | "Group").then(|| "rbac.authorization.k8s.io".into()),
        }
    }

    /// As access reviews name it: user and groups. A group is reviewed as a member that is in nothing else.
    pub(crate) fn as_reviewed(&self) -> (Option<String>, Option<Vec<String>>) {
        let authenticated = "system:authenticated".to_owned();
        match self {
            Self::User { name } => (Some(name.clone()), Some(vec![authenticated])),
            Self::Group { name } => (
                Some("a-member-of-the-group".into()),
                Some(vec![name.clone(), authenticated]),
            ),
            Self::ServiceAccount { namespace, name } => (
                Some(format!("system:serviceaccount:{namespace}:{name}")),
                Some(vec![
                    "system:serviceaccounts".into(),
                    format!("system:serviceaccounts:{namespace}"),
                    authenticated,
                ]),
            ),
        }
    }

    /// Whether this identity is the subject or belongs to it.
    pub fn includes(&self, identity: &Identity) -> bool {
        match self {
            Self::User { name } => name == &identity.username,
            Self::Group { name } => identity.groups.contains(name),
            Self::ServiceAccount { namespace, name } => {
                identity.username == format!("system:serviceaccount:{namespace}:{name}")
            }
        }
    }
}

impl std::fmt::Display for Subject {
    /// As it is typed: `user:oidc-bob`, `group:team`, `serviceaccount:NAMESPACE/NAME`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User { name } => write!(f, "user:{name}"),
            Self::Group { name } => write!(f, "group:{name}"),
            Self::ServiceAccount { namespace, name } => {
                write!(f, "serviceaccount:{namespace}/{name}")
            }
        }
    }
}

/// A colleague as typed: `bob`, or exactly as the cluster names somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// A bare name, to be completed by a [`Pattern`].
    Bare(String),
    /// `user:`, `group:` or `serviceaccount:`.
    Exact(Subject),
}

impl std::str::FromStr for Typed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let forms = "write `bob`, `user:NAME`, `group:NAME` or `serviceaccount:NAMESPACE/NAME`";
        let usable = |name: &str| {
            !name.is_empty()
                && name.len() <= 253
                && printable::line(name) == name
                && !name.contains(char::is_whitespace)
        };
        if !usable(text) {
            return Err(format!("not a user's name: {forms}"));
        }
        match text.split_once(':') {
            None if text
                .chars()
                .all(|c| c.is_alphanumeric() || "-._@+".contains(c)) =>
            {
                Ok(Self::Bare(text.into()))
            }
            Some(
                ("user" | "User", "system:anonymous")
                | ("group" | "Group", "system:unauthenticated"),
            ) => Err(
                "that is everybody who can reach the API server, even without an account".into(),
            ),
            Some(("user" | "User", name)) if usable(name) => match name
                .strip_prefix("system:serviceaccount:")
                .and_then(|rest| rest.split_once(':'))
            {
                Some((namespace, name)) => Ok(Self::Exact(Subject::ServiceAccount {
                    namespace: namespace.into(),
                    name: name.into(),
                })),
                None => Ok(Self::Exact(Subject::User { name: name.into() })),
            },
            Some(("group" | "Group", name)) if usable(name) => {
                Ok(Self::Exact(Subject::Group { name: name.into() }))
            }
            Some(("serviceaccount" | "ServiceAccount" | "sa", account)) => {
                match account.split_once(['/', ':']) {
                    Some((namespace, name)) if is_namespace(namespace) && is_name(name) => {
                        Ok(Self::Exact(Subject::ServiceAccount {
                            namespace: namespace.into(),
                            name: name.into(),
                        }))
                    }
                    _ => Err("a ServiceAccount is written `serviceaccount:NAMESPACE/NAME`".into()),
                }
            }
            _ => Err(format!("not a user's name: {forms}")),
        }
    }
}

/// Whether a text can be a namespace's name: an RFC 1123 label.
fn is_namespace(text: &str) -> bool {
    text.len() <= 63 && is_name(text) && !text.contains('.')
}

/// How this cluster makes user names out of what people call each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// What stands before every name, such as `oidc-`; may be empty.
    pub prefix: String,
}

impl Pattern {
    /// Learns it from a namespace named after its owner (`user-alice`, `alice`), from the users that its RoleBindings name and
    /// from one's own name. The binding's role does not matter, only that the owner is in it.
    pub fn learn<'a>(
        namespace: &str,
        bindings: impl IntoIterator<Item = &'a RoleBinding>,
        identity: Option<&Identity>,
    ) -> Option<Self> {
        let bound = bindings
            .into_iter()
            .flat_map(|binding| binding.subjects.iter().flatten())
            .filter(|subject| subject.kind == "User")
            .map(|subject| subject.name.as_str());
        let own = identity
            .map(|identity| identity.username.as_str())
            .filter(|name| !name.starts_with("system:"));
        own.into_iter()
            .chain(bound)
            .find_map(|user| owner_prefix(namespace, user))
            .map(|prefix| Self {
                prefix: prefix.into(),
            })
    }

    /// The user whom people call `name`.
    pub fn user(&self, name: &str) -> Subject {
        let name = if !self.prefix.is_empty() && name.starts_with(&self.prefix) {
            name.to_owned()
        } else {
            format!("{}{name}", self.prefix)
        };
        Subject::User { name }
    }

    /// What people call this user, if the pattern tells.
    pub fn bare<'a>(&self, subject: &'a Subject) -> Option<&'a str> {
        match subject {
            Subject::User { name } => name
                .strip_prefix(&self.prefix)
                .filter(|bare| !bare.is_empty()),
            _ => None,
        }
    }
}

/// The part of `user` before the owner's name, where the namespace's name ends with that name as a whole word.
fn owner_prefix<'a>(namespace: &str, user: &'a str) -> Option<&'a str> {
    // Longest owner first: `user-jean-luc` belongs to `jean-luc`, not to `luc`.
    let starts = std::iter::once(0).chain(namespace.match_indices('-').map(|(at, _)| at + 1));
    starts
        .map(|at| &namespace[at..])
        .filter(|owner| !owner.is_empty())
        .find_map(|owner| {
            let prefix = user.strip_suffix(owner)?;
            (prefix.is_empty() || prefix.ends_with(|c: char| !c.is_alphanumeric()))
                .then_some(prefix)
        })
}

/// The cluster's name for a colleague.
///
/// # Errors
/// When a bare name cannot be completed; the hint says how to write it in full.
pub fn resolve(typed: &Typed, pattern: Option<&Pattern>, namespace: &str) -> Result<Subject> {
    match (typed, pattern) {
        (Typed::Exact(subject), _) => Ok(subject.clone()),
        (Typed::Bare(name), Some(pattern)) => Ok(pattern.user(name)),
        (Typed::Bare(name), None) => Err(Error::new(format!(
            "cannot tell what the cluster calls `{name}`"
        ))
        .caused_by(format!(
            "no RoleBinding of namespace `{}` names its owner, so there is no example to follow",
            printable::line(namespace)
        ))
        .hint(format!(
            "ask {name} what `kubectl auth whoami` prints, then write `--with user:NAME`"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bindings(users: &[&str]) -> Vec<RoleBinding> {
        let subjects = users
            .iter()
            .map(|name| {
                Subject::User {
                    name: (*name).into(),
                }
                .as_rbac()
            })
            .collect();
        vec![RoleBinding {
            subjects: Some(subjects),
            ..Default::default()
        }]
    }

    #[test]
    fn learns_the_prefix_from_ones_own_binding() {
        for (namespace, user, prefix) in [
            ("user-alice", "oidc-alice", "oidc-"),
            ("alice", "alice", ""),
            ("user-jean-luc", "oidc-jean-luc", "oidc-"),
            (
                "user-alice",
                "https://id.example.test#alice",
                "https://id.example.test#",
            ),
            ("user-alice", "alice", ""),
        ] {
            assert_eq!(
                Pattern::learn(namespace, &bindings(&[user]), None),
                Some(Pattern {
                    prefix: prefix.into()
                }),
                "{namespace} {user}"
            );
        }
    }

    #[test]
    fn learns_nothing_from_strangers() {
        assert_eq!(
            Pattern::learn("user-alice", &bindings(&["oidc-bob"]), None),
            None
        );
        assert_eq!(
            Pattern::learn("user-ice", &bindings(&["oidc-alice"]), None),
            None,
            "`ice` is not a whole word of `oidc-alice`"
        );
        assert_eq!(
            Pattern::learn(
                "projet-team",
                &bindings(&[]),
                Some(&Identity {
                    username: "system:serviceaccount:user-alice:team".into(),
                    groups: vec![]
                })
            ),
            None
        );
    }

    #[test]
    fn completes_a_bare_name_once() {
        let pattern = Pattern {
            prefix: "oidc-".into(),
        };
        assert_eq!(
            pattern.user("bob"),
            Subject::User {
                name: "oidc-bob".into()
            }
        );
        assert_eq!(
            pattern.user("oidc-bob"),
            Subject::User {
                name: "oidc-bob".into()
            }
        );
        assert_eq!(pattern.bare(&pattern.user("bob")), Some("bob"));
    }

    #[test]
    fn reads_what_people_type() {
        assert_eq!("bob".parse(), Ok(Typed::Bare("bob".into())));
        assert!("group:team a".parse::<Typed>().is_err());
        assert_eq!(
            "sa:ns/ci".parse(),
            Ok(Typed::Exact(Subject::ServiceAccount {
                namespace: "ns".into(),
                name: "ci".into()
            }))
        );
        assert_eq!(
            "user:system:serviceaccount:ns:ci".parse(),
            Ok(Typed::Exact(Subject::ServiceAccount {
                namespace: "ns".into(),
                name: "ci".into()
            }))
        );
        for bad in [
            "",
            "bob;rm",
            "b ob",
            "bob\u{1b}[31m",
            "user:",
            "group:",
            "serviceaccount:x",
            "serviceaccount:../x",
            "nobody:bob",
            "group:system:unauthenticated",
        ] {
            assert!(bad.parse::<Typed>().is_err(), "{bad:?}");
        }
    }
}
