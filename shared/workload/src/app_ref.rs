//! What people type for an app: `[KIND/]NAME`, in all of kubectl's spellings.

use std::fmt;
use std::str::FromStr;

use commons::names;
use commons::printable;

/// What an app can be typed as, and be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `svc/`
    Service,
    /// `deploy/`
    Deployment,
    /// `sts/`
    StatefulSet,
    /// `ds/`
    DaemonSet,
    /// `po/`
    Pod,
}

impl Kind {
    /// As kubectl prints it: `deployment`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
            Self::DaemonSet => "daemonset",
            Self::Pod => "pod",
        }
    }

    /// As RBAC and lists name it: `deployments`.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Service => "services",
            Self::Deployment => "deployments",
            Self::StatefulSet => "statefulsets",
            Self::DaemonSet => "daemonsets",
            Self::Pod => "pods",
        }
    }

    /// The API group; empty for the core one.
    pub fn group(self) -> &'static str {
        match self {
            Self::Service | Self::Pod => "",
            Self::Deployment | Self::StatefulSet | Self::DaemonSet => "apps",
        }
    }

    /// From any of kubectl's spellings: `deploy`, `deployments`, `deployment.apps`, `Deployment.v1.apps`.
    fn from_word(word: &str) -> Option<Self> {
        let word = word.to_ascii_lowercase();
        let (resource, rest) = word.split_once('.').unwrap_or((&word, ""));
        let kind = match resource {
            "svc" | "service" | "services" => Self::Service,
            "deploy" | "deployment" | "deployments" => Self::Deployment,
            "sts" | "statefulset" | "statefulsets" => Self::StatefulSet,
            "ds" | "daemonset" | "daemonsets" => Self::DaemonSet,
            "po" | "pod" | "pods" => Self::Pod,
            _ => return None,
        };
        let group = rest
            .strip_prefix("v1")
            .map_or(rest, |rest| rest.strip_prefix('.').unwrap_or(rest));
        (rest.is_empty() || group == kind.group()).then_some(kind)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An app as typed: `[KIND/]NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppRef {
    /// The kind, if one stands in front.
    pub kind: Option<Kind>,
    /// The name.
    pub name: String,
}

impl FromStr for AppRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = match text.split('/').collect::<Vec<_>>()[..] {
            [name] => (None, name),
            [word, name] => match Kind::from_word(word) {
                Some(kind) => (Some(kind), name),
                None => {
                    return Err(format!(
                        "an app is `deployment/NAME`, `statefulset/NAME`, `daemonset/NAME`, `service/NAME` or `pod/NAME`, not `{}/`",
                        printable::short(word, 60)
                    ));
                }
            },
            _ => return Err("write `NAME` or `KIND/NAME`, such as `deployment/web`".into()),
        };
        if name.is_empty() {
            return Err(
                "the name is missing: write `NAME` or `KIND/NAME`, such as `deployment/web`".into(),
            );
        }
        Ok(Self {
            kind,
            name: names::parse(name)?,
        })
    }
}

impl fmt::Display for AppRef {
    /// As it can be typed again: `deployment/web`, or `web`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Some(kind) => write!(f, "{kind}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_all_of_kubectls_spellings() {
        for (text, kind) in [
            ("web", None),
            ("svc/web", Some(Kind::Service)),
            ("services/web", Some(Kind::Service)),
            ("deploy/web", Some(Kind::Deployment)),
            ("Deployment/web", Some(Kind::Deployment)),
            ("deployments/web", Some(Kind::Deployment)),
            ("deployment.apps/web", Some(Kind::Deployment)),
            ("deployments.v1.apps/web", Some(Kind::Deployment)),
            ("sts/web", Some(Kind::StatefulSet)),
            ("statefulset.apps/web", Some(Kind::StatefulSet)),
            ("ds/web", Some(Kind::DaemonSet)),
            ("po/web", Some(Kind::Pod)),
            ("pods/web", Some(Kind::Pod)),
            ("pod.v1/web", Some(Kind::Pod)),
        ] {
            let typed: AppRef = text.parse().expect(text);
            assert_eq!((typed.kind, typed.name.as_str()), (kind, "web"), "{text}");
        }
    }

    #[test]
    fn refuses_other_kinds_and_what_can_be_no_name() {
        for text in [
            "",
            "/",
            "a/b/c",
            "web/",
            "/web",
            "WEB",
            "-web",
            "a..b",
            "web\u{1b}[31m",
            "deploy/",
            "job/web",
            "cm/web",
            "user-alice/web",
            "deployment.example.com/web",
            "pod.apps/web",
            "web web",
        ] {
            assert!(text.parse::<AppRef>().is_err(), "{text:?}");
        }
        let refused = "job/web".parse::<AppRef>().expect_err("a job is no app");
        assert!(
            refused.contains("`deployment/NAME`") && refused.ends_with("not `job/`"),
            "{refused}"
        );
    }

    #[test]
    fn is_written_as_it_is_typed() {
        for text in ["web", "deployment/web", "pod/web-0"] {
            assert_eq!(
                text.parse::<AppRef>()
                    .map(|typed| typed.to_string())
                    .as_deref(),
                Ok(text)
            );
        }
    }
}
