//! What the cluster calls those whom people call by a short name.

use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::RoleBinding;

use super::{Subject, SubjectRef};
use crate::cluster::Identity;
use crate::error::{Error, Result};
use crate::printable;
use crate::shell::shell;

/// How this cluster makes user names and namespaces out of what people call each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern {
    /// What stands before every user's name, such as `oidc-`; may be empty.
    pub prefix: String,
    /// What stands before everybody's namespace, such as `user-`; may be empty.
    pub namespace_prefix: String,
}

/// Why there is no pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPattern {
    /// Nobody with role `admin` is called as the namespace is.
    NoExample,
    /// Several are, in different ways.
    Disagreement(Vec<String>),
}

impl Pattern {
    /// Learns it from a namespace named after its owner (`user-alice`, `alice`): from one's own name, else from the users whom
    /// its RoleBindings make `admin`. Other bindings teach nothing: whoever is given a lesser role may have chosen a name that
    /// ends as the owner's does.
    ///
    /// # Errors
    /// When there is no example, or examples that disagree: a guess could mean somebody else.
    pub fn learn<'a>(
        namespace: &str,
        bindings: impl IntoIterator<Item = &'a RoleBinding>,
        identity: Option<&Identity>,
    ) -> Result<Self, NoPattern> {
        let own = identity
            .map(|identity| identity.username.as_str())
            .filter(|name| !name.starts_with("system:"))
            .and_then(|name| Self::of_owner(namespace, name));
        if let Some(own) = own {
            return Ok(own);
        }
        let users: BTreeSet<&str> = bindings
            .into_iter()
            .filter(|binding| {
                binding.role_ref.kind == "ClusterRole" && binding.role_ref.name == "admin"
            })
            .flat_map(|binding| binding.subjects.iter().flatten())
            .filter(|subject| subject.kind == "User")
            .map(|subject| subject.name.as_str())
            .filter(|user| Self::of_owner(namespace, user).is_some())
            .collect();
        let patterns: BTreeSet<Self> = users
            .iter()
            .filter_map(|user| Self::of_owner(namespace, user))
            .collect();
        match patterns.len() {
            0 => Err(NoPattern::NoExample),
            1 => patterns.into_iter().next().ok_or(NoPattern::NoExample),
            _ => Err(NoPattern::Disagreement(
                users.into_iter().map(str::to_owned).collect(),
            )),
        }
    }

    /// The pattern of a namespace whose name ends with its owner's as a whole word. The longest such name is the owner's
    /// (`user-jean-luc` belongs to `jean-luc`, not to `luc`), also where a platform writes it otherwise in namespaces (`jean.luc`):
    /// then there is no pattern, since what is left of the user's name would be a part of it.
    fn of_owner(namespace: &str, user: &str) -> Option<Self> {
        let plain: String = user
            .to_lowercase()
            .chars()
            .map(|c| if c.is_alphanumeric() { c } else { '-' })
            .collect();
        let starts = std::iter::once(0).chain(namespace.match_indices('-').map(|(at, _)| at + 1));
        let (namespace_prefix, owner) = starts
            .map(|at| namespace.split_at(at))
            .filter(|(_, owner)| !owner.is_empty())
            .find(|(_, owner)| {
                let prefix = plain.strip_suffix(owner);
                prefix.is_some_and(|prefix| prefix.is_empty() || prefix.ends_with('-'))
            })?;
        Some(Self {
            prefix: user.strip_suffix(owner)?.into(),
            namespace_prefix: namespace_prefix.into(),
        })
    }

    /// The user whom people call `name`.
    pub fn user(&self, name: &str) -> Subject {
        Subject::User {
            name: format!("{}{name}", self.prefix),
        }
    }

    /// What people call this user, if the pattern tells.
    pub fn bare<'a>(&self, subject: &'a Subject) -> Option<&'a str> {
        match subject {
            Subject::User { name } => name
                .strip_prefix(&self.prefix)
                .filter(|bare| super::is_bare(bare)),
            _ => None,
        }
    }

    /// The person in what was typed: a user's full name (`oidc-bob`), a namespace (`user-bob`) and a mention (`@bob`) all
    /// mean `bob`.
    fn person<'a>(&self, typed: &'a str) -> &'a str {
        let without = |text: &'a str, prefix: &str| {
            text.strip_prefix(prefix)
                .filter(|rest| !prefix.is_empty() && !rest.is_empty())
                .unwrap_or(text)
        };
        let name = without(typed, "@");
        let name = without(name, &self.prefix);
        if name == typed {
            without(name, &self.namespace_prefix)
        } else {
            name
        }
    }
}

/// Whom a colleague as typed stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meant {
    /// The cluster's name.
    pub subject: Subject,
    /// What whoever typed it should know about it.
    pub note: Option<String>,
}

/// The cluster's name for a colleague.
///
/// # Errors
/// When a bare name cannot be completed; the hint says how to write it in full.
pub fn resolve(
    typed: &SubjectRef,
    pattern: Result<&Pattern, &NoPattern>,
    namespace: &str,
) -> Result<Meant> {
    match (typed, pattern) {
        (SubjectRef::Exact(subject), _) => Ok(Meant {
            note: (!subject.to_string().is_ascii()).then(|| {
                format!(
                    "{} has letters outside ASCII, shown as \\u{{...}}: make sure that it is who you mean",
                    subject.shown()
                )
            }),
            subject: subject.clone(),
        }),
        (SubjectRef::Bare(typed), Ok(pattern)) => {
            let name = pattern.person(typed);
            let namespace = !pattern.namespace_prefix.is_empty()
                && typed.starts_with(&pattern.namespace_prefix)
                && name != typed;
            Ok(Meant {
                subject: pattern.user(name),
                note: namespace.then(|| {
                    format!(
                        "`{typed}` was read as user {name}; for a user of that very name: `user:{}{typed}`",
                        pattern.prefix
                    )
                }),
            })
        }
        (SubjectRef::Bare(name), Err(why)) => Err(unknown(name, why, namespace)),
    }
}

fn unknown(name: &str, why: &NoPattern, namespace: &str) -> Error {
    let namespace = printable::line(namespace);
    let cause = match why {
        NoPattern::NoExample => {
            format!("no RoleBinding of namespace `{namespace}` shows how users are named here")
        }
        NoPattern::Disagreement(users) => format!(
            "the RoleBindings of namespace `{namespace}` give different examples: {}",
            printable::short(&users.join(", "), 200)
        ),
    };
    Error::new(format!("cannot tell what the cluster calls `{name}`"))
        .caused_by(cause)
        .hint(format!(
            "ask {name} what `{}` prints, and use it: `user:NAME`",
            shell("kubectl auth whoami")
        ))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::rbac::v1::RoleRef;

    use super::*;

    fn binding(role: &str, user: &str) -> RoleBinding {
        RoleBinding {
            role_ref: RoleRef {
                kind: "ClusterRole".into(),
                name: role.into(),
                ..Default::default()
            },
            subjects: Some(vec![Subject::User { name: user.into() }.as_rbac()]),
            ..Default::default()
        }
    }

    fn admin(user: &str) -> RoleBinding {
        binding("admin", user)
    }

    fn me(username: &str) -> Identity {
        Identity {
            username: username.into(),
            groups: vec![],
        }
    }

    fn pattern(prefix: &str, namespace_prefix: &str) -> Pattern {
        Pattern {
            prefix: prefix.into(),
            namespace_prefix: namespace_prefix.into(),
        }
    }

    #[test]
    fn learns_the_prefix_from_the_owners_binding() {
        for (namespace, user, prefix, namespace_prefix) in [
            ("user-alice", "oidc-alice", "oidc-", "user-"),
            ("alice", "alice", "", ""),
            ("user-jean-luc", "oidc-jean-luc", "oidc-", "user-"),
            (
                "user-alice",
                "https://id.example.test#alice",
                "https://id.example.test#",
                "user-",
            ),
            ("user-alice", "alice", "", "user-"),
        ] {
            assert_eq!(
                Pattern::learn(namespace, &[admin(user)], None),
                Ok(pattern(prefix, namespace_prefix)),
                "{namespace} {user}"
            );
        }
    }

    #[test]
    fn learns_nothing_from_strangers() {
        let learn = |namespace, bindings: &[RoleBinding], identity: Option<&Identity>| {
            Pattern::learn(namespace, bindings, identity)
        };
        let nothing = Err(NoPattern::NoExample);
        assert_eq!(learn("user-alice", &[admin("oidc-bob")], None), nothing);
        assert_eq!(
            learn("user-ice", &[admin("oidc-alice")], None),
            nothing,
            "`ice` is not a whole word of `oidc-alice`"
        );
        assert_eq!(
            learn("user-alice", &[binding("view", "oidc-mallory-alice")], None),
            nothing,
            "a lesser role"
        );
        for (namespace, user) in [
            ("user-alice-martin", "alice.martin"),
            ("user-alice-corp-fr", "alice@corp.fr"),
        ] {
            assert_eq!(learn(namespace, &[admin(user)], None), nothing, "{user}");
            assert_eq!(learn(namespace, &[], Some(&me(user))), nothing, "{user}");
        }
        let account = me("system:serviceaccount:user-alice:team");
        assert_eq!(learn("projet-team", &[], Some(&account)), nothing);
        let mut role = admin("oidc-mallory-alice");
        role.role_ref.kind = "Role".into();
        assert_eq!(
            learn("user-alice", &[role], None),
            nothing,
            "a Role of that name"
        );
    }

    #[test]
    fn examples_that_disagree_are_none_but_ones_own_name_decides() {
        let both = [admin("oidc-alice"), admin("oidc-mallory-alice")];
        assert!(matches!(
            Pattern::learn("user-alice", &both, None),
            Err(NoPattern::Disagreement(users)) if users.len() == 2
        ));
        assert_eq!(
            Pattern::learn("user-alice", &both, Some(&me("oidc-alice"))),
            Ok(pattern("oidc-", "user-"))
        );
    }

    #[test]
    fn what_people_and_courses_write_means_the_person() {
        let pattern = pattern("oidc-", "user-");
        let meant = |typed: &str| {
            let typed = SubjectRef::Bare(typed.into());
            resolve(&typed, Ok(&pattern), "user-alice").expect("it can be completed")
        };
        let bob = Subject::User {
            name: "oidc-bob".into(),
        };
        for (typed, noted) in [
            ("bob", false),
            ("@bob", false),
            ("oidc-bob", false),
            ("user-bob", true),
        ] {
            assert_eq!(meant(typed).subject, bob, "{typed}");
            assert_eq!(meant(typed).note.is_some(), noted, "{typed}");
        }
        assert_eq!(pattern.bare(&bob), Some("bob"));
        let plain = Pattern {
            prefix: String::new(),
            ..pattern
        };
        assert_eq!(plain.user("bob"), Subject::User { name: "bob".into() });
    }

    #[test]
    fn letters_that_look_alike_are_shown_as_what_they_are() {
        let typed = "user:oidc-b\u{43e}b".parse().expect("RBAC takes it");
        let meant = resolve(&typed, Err(&NoPattern::NoExample), "user-alice").expect("it is exact");
        let note = meant.note.expect("a note");
        assert!(
            note.contains(r"oidc-b\u{43e}b") && note.is_ascii(),
            "{note}"
        );
    }
}
