//! Whom something is shared with, and what the cluster calls them.
//!
//! People say `bob`; the cluster knows `oidc-bob`, because its API server prefixes the names of an identity provider. The
//! prefix cannot be asked for, but it can be read off one's own RoleBinding: where `oidc-alice` is admin of `user-alice`,
//! Bob is `oidc-bob`.

mod pattern;
mod subject_ref;

use k8s_openapi::api::rbac::v1::Subject as RbacSubject;
use serde::Serialize;

use crate::cluster::Identity;
use crate::printable;

pub use pattern::{Meant, NoPattern, Pattern, resolve};
pub use subject_ref::{Several, SubjectRef, is_bare};

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

    /// From a RoleBinding; nothing for a kind that RBAC does not have.
    pub fn of_rbac(subject: &RbacSubject) -> Option<Self> {
        let name = subject.name.clone();
        match subject.kind.as_str() {
            "User" => Some(Self::user(name)),
            "Group" => Some(Self::Group { name }),
            "ServiceAccount" => Some(Self::ServiceAccount {
                namespace: subject.namespace.clone().unwrap_or_default(),
                name,
            }),
            _ => None,
        }
    }

    /// A user by the API server's name; ServiceAccounts are users too.
    pub fn user(name: String) -> Self {
        let account = name
            .strip_prefix("system:serviceaccount:")
            .and_then(|rest| rest.split_once(':'))
            .map(|(namespace, name)| Self::ServiceAccount {
                namespace: namespace.into(),
                name: name.into(),
            });
        account.unwrap_or(Self::User { name })
    }

    /// As access reviews name it: user and groups. A group is reviewed as a member that is in nothing else, and a user as
    /// somebody who is in `group` and in no other: the API server does not know who is in which.
    pub(crate) fn as_reviewed(&self, group: Option<&str>) -> (String, Vec<String>) {
        let (user, mut groups) = match self {
            Self::User { name } => (name.clone(), vec![]),
            Self::Group { name } => ("a-member-of-the-group".into(), vec![name.clone()]),
            Self::ServiceAccount { namespace, name } => (
                format!("system:serviceaccount:{namespace}:{name}"),
                vec![
                    "system:serviceaccounts".into(),
                    format!("system:serviceaccounts:{namespace}"),
                ],
            ),
        };
        groups.extend(group.map(str::to_owned));
        groups.push("system:authenticated".into());
        (user, groups)
    }

    /// As it is shown to people: as it is typed, with escapes for all that is not ASCII, since letters of other alphabets can
    /// look like Latin ones.
    pub fn shown(&self) -> String {
        printable::ascii(&self.to_string())
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
