//! A colleague as typed on a command line.

use super::Subject;
use crate::names::is_name;
use crate::printable;

/// The longest name of a subject that is taken; RBAC itself has no limit.
const LONGEST: usize = 1024;

/// A colleague as typed: `bob`, or exactly as the cluster names somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubjectRef {
    /// A bare name, to be completed by a [`super::Pattern`].
    Bare(String),
    /// `user:`, `group:` or `serviceaccount:`.
    Exact(Subject),
}

/// Whether a text is what people call each other: at most 63 of the characters `A-Z a-z 0-9 - . _ @ +`, the first of them a
/// letter, a digit or `@`.
pub fn is_bare(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '@')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-._@+".contains(c))
}

/// Whether RBAC takes it as a name and a terminal can show it.
fn is_subject_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST && printable::line(text) == text
}

/// Whether a text can be a namespace's name: an RFC 1123 label.
fn is_namespace(text: &str) -> bool {
    text.len() <= 63 && is_name(text) && !text.contains('.')
}

impl std::str::FromStr for SubjectRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let forms = "write `bob`, `user:NAME`, `group:NAME` or `serviceaccount:NAMESPACE/NAME`";
        let Some((kind, name)) = text.split_once(':') else {
            return if is_bare(text) {
                Ok(Self::Bare(text.into()))
            } else {
                Err(format!("not a user's name: {forms}"))
            };
        };
        let kind = kind.to_ascii_lowercase();
        match (kind.as_str(), name) {
            ("user", "system:anonymous") | ("group", "system:unauthenticated") => Err(
                "that is everybody who can reach the API server, even without an account".into(),
            ),
            ("user", name) if is_subject_name(name) => match Subject::user(name.into()) {
                Subject::ServiceAccount { namespace, name } => account(&namespace, &name),
                user => Ok(Self::Exact(user)),
            },
            ("group", name) if is_subject_name(name) => {
                Ok(Self::Exact(Subject::Group { name: name.into() }))
            }
            ("serviceaccount" | "sa", name) => {
                let (namespace, name) = name.split_once(['/', ':']).unwrap_or_default();
                account(namespace, name)
            }
            _ => Err(format!("not a user's name: {forms}")),
        }
    }
}

fn account(namespace: &str, name: &str) -> Result<SubjectRef, String> {
    if is_namespace(namespace) && is_name(name) {
        Ok(SubjectRef::Exact(Subject::ServiceAccount {
            namespace: namespace.into(),
            name: name.into(),
        }))
    } else {
        Err("a ServiceAccount is written `serviceaccount:NAMESPACE/NAME`".into())
    }
}

/// Colleagues in one argument: `bob,carol`. A name that is typed in full may hold commas, as names of LDAP do, and ends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Several(pub Vec<SubjectRef>);

impl std::str::FromStr for Several {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut typed = Vec::new();
        let mut rest = text;
        while let Some((first, after)) = rest
            .split_once(',')
            .filter(|(first, _)| !first.contains(':'))
        {
            typed.push(first.parse()?);
            rest = after;
        }
        typed.push(rest.parse()?);
        Ok(Self(typed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> SubjectRef {
        SubjectRef::Exact(Subject::User { name: name.into() })
    }

    #[test]
    fn reads_what_people_type() {
        assert_eq!("bob".parse(), Ok(SubjectRef::Bare("bob".into())));
        assert_eq!("user:b\u{43e}b".parse(), Ok(user("b\u{43e}b")));
        assert_eq!("user:a'b c;$(id)".parse(), Ok(user("a'b c;$(id)")));
        let account = SubjectRef::Exact(Subject::ServiceAccount {
            namespace: "ns".into(),
            name: "ci".into(),
        });
        for text in [
            "sa:ns/ci",
            "ServiceAccount:ns/ci",
            "user:system:serviceaccount:ns:ci",
        ] {
            assert_eq!(text.parse(), Ok(account.clone()), "{text}");
        }
    }

    #[test]
    fn refuses_what_nobody_is_called() {
        for bad in [
            "",
            "bob;rm",
            "b ob",
            "b\u{43e}b",
            "-bob",
            "bob\u{1b}[31m",
            "user:",
            "user:\u{202e}bob",
            "group:",
            "serviceaccount:x",
            "serviceaccount:../x",
            "nobody:bob",
            "group:system:unauthenticated",
            &"b".repeat(64),
        ] {
            assert!(bad.parse::<SubjectRef>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn several_are_separated_by_commas() {
        let several = |text: &str| text.parse::<Several>().map(|several| several.0);
        let bare = |name: &str| SubjectRef::Bare(name.into());
        assert_eq!(several("bob,carol"), Ok(vec![bare("bob"), bare("carol")]));
        let group = SubjectRef::Exact(Subject::Group {
            name: "cn=a,ou=b".into(),
        });
        assert_eq!(several("bob,group:cn=a,ou=b"), Ok(vec![bare("bob"), group]));
        assert!(several("bob,").is_err());
    }
}
