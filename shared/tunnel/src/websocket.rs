//! The engine that opens one WebSocket for each connection.
//!
//! Nothing is shared between connections, so nothing that happens to one can touch another: a port that nobody listens on, a
//! client that does not read and a pod that does not read cost only themselves. The price is a handshake for each connection.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::pump::pump;
use super::{Endpoint, Engine, Failure};
use commons::Cluster;
use commons::error::{Error, Request};
use commons::login::WithoutLogin;
use commons::printable;

/// How long the API server may take to give a sign of life when a tunnel is silent.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// Carries each connection in a WebSocket of its own (`v4.channel.k8s.io`, served by every Kubernetes since 1.5).
#[derive(Clone, Debug)]
pub struct WebSocketPerConnection {
    cluster: Cluster,
}

impl WebSocketPerConnection {
    /// Through the API server of this cluster, as this user.
    pub fn new(cluster: Cluster) -> Self {
        Self { cluster }
    }

    /// Any answer will do, a refusal too: it was an API server that gave it. No login is needed for that, and one that has
    /// ended must not end a tunnel that is open.
    async fn reachable(&self) -> bool {
        let request = http::Request::get("/version")
            .extension(WithoutLogin)
            .body(Vec::new());
        let Ok(request) = request else {
            return false;
        };
        let answer =
            tokio::time::timeout(SIGN_OF_LIFE, self.cluster.client().request_text(request)).await;
        matches!(answer, Ok(Ok(_) | Err(kube::Error::Api(_))))
    }
}

impl Engine for WebSocketPerConnection {
    async fn carry(&self, local: &mut TcpStream, to: &Endpoint) -> Result<(), Failure> {
        let request = http::Request::get(path(to).map_err(Failure::Refused)?)
            .body(Vec::new())
            .map_err(|error| {
                Failure::Refused(Error::new("cannot ask for a tunnel").caused_by(error.to_string()))
            })?;
        let asked = Request {
            verb: "create",
            resource: "pods/portforward".into(),
            noun: "pod".into(),
            name: &to.pod,
            namespace: Some(&to.namespace),
        };
        let connection = self
            .cluster
            .send(asked, self.cluster.client().connect(request))
            .await
            .map_err(Failure::Refused)?;
        // kube's settings reserve 256 KiB a connection and accept messages of 64 MiB; nothing has been read yet, so others can
        // be put in their place. Kubernetes nodes send 32 KiB at a time.
        let settings = WebSocketConfig::default()
            .read_buffer_size(16 * 1024)
            .write_buffer_size(0)
            .max_write_buffer_size(1024 * 1024)
            .max_message_size(Some(4 << 20))
            .max_frame_size(Some(4 << 20));
        let socket = WebSocketStream::from_raw_socket(
            connection.into_stream().into_inner(),
            Role::Client,
            Some(settings),
        )
        .await;
        pump(socket, local, to.port, async || self.reachable().await).await
    }
}

/// Where to ask for a tunnel. The names come from objects that other people write, and must not lead elsewhere.
fn path(to: &Endpoint) -> Result<String, Error> {
    for name in [&to.namespace, &to.pod] {
        let fits = name.len() <= 253
            && name
                .bytes()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'.'));
        if !fits || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err(Error::new(format!(
                "`{}` cannot be the name of a pod or namespace",
                printable::short(name, 80)
            )));
        }
    }
    Ok(format!(
        "/api/v1/namespaces/{}/pods/{}/portforward?ports={}",
        to.namespace, to.pod, to.port
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_elsewhere() {
        let to = |namespace: &str, pod: &str| {
            path(&Endpoint {
                namespace: namespace.into(),
                pod: pod.into(),
                port: 5432,
            })
        };
        assert_eq!(
            to("user-alice", "pg-0").expect("a path"),
            "/api/v1/namespaces/user-alice/pods/pg-0/portforward?ports=5432"
        );
        for odd in [
            "",
            ".",
            "..",
            "../secrets",
            "pg-0/exec?command=sh",
            "a%2fb",
            "a b",
            "A",
            "é",
            "-x",
            "a\n",
        ] {
            assert!(
                to("user-alice", odd).is_err() && to(odd, "pg-0").is_err(),
                "{odd}"
            );
        }
    }
}
