//! What is reached in a pod through the API server: its log, and its ports.

use std::io::{Read, Write};
use std::sync::Arc;

use serde_json::{Value, json};
use tungstenite::Message;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::{Role, WebSocket};

use super::server::Shared;
use super::world::{Answers, is_of};
use super::{forward, items, read};
use crate::http::{self, Duplex, Request, Response};

/// The only one that is spoken here.
const PROTOCOL: &str = "v4.channel.k8s.io";

fn refused(message: String) -> Response {
    Response::status(400, "BadRequest", message, &Value::Null)
}

/// The answer in the place of the kubelet's, for who may have it; the API server itself refuses the others.
pub(super) fn answer(shared: &Arc<Shared>, request: &Request) -> Option<Response> {
    let segments = request.segments();
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (namespace, name, what) = match &parts[..] {
        [
            "api",
            "v1",
            "namespaces",
            namespace,
            "pods",
            name,
            what @ ("log" | "portforward"),
        ] => (*namespace, *name, *what),
        _ => return None,
    };
    let verbs: &[&str] = if what == "log" {
        &["get"]
    } else {
        &["get", "create"]
    };
    if !verbs
        .iter()
        .all(|verb| may(shared, request, verb, namespace, name, what))
    {
        return None;
    }
    let pod = shared.object("pods", namespace, name);
    if pod.is_null() {
        return None;
    }
    Some(if what == "log" {
        log(shared, &pod, request)
    } else {
        port_forward(shared, &pod, request)
    })
}

/// Whether whoever asks may.
fn may(
    shared: &Shared,
    request: &Request,
    verb: &str,
    namespace: &str,
    name: &str,
    what: &str,
) -> bool {
    let attributes = json!({"verb": verb, "resource": "pods", "subresource": what, "namespace": namespace, "name": name});
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    });
    let mut asking = request.clone();
    asking
        .headers
        .retain(|(header, _)| header != "content-type" && header != "accept");
    asking
        .headers
        .push(("content-type".into(), "application/json".into()));
    asking.body = review.to_string().into_bytes();
    let target = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let (_, answer) = read(forward::send(shared, &asking, "POST", target));
    answer["status"]["allowed"] == true
}

/// `pods/log`
fn log(shared: &Shared, pod: &Value, request: &Request) -> Response {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let containers: Vec<&str> = ["initContainers", "containers"]
        .iter()
        .flat_map(|list| items(&pod["spec"], list))
        .filter_map(|container| container["name"].as_str())
        .collect();
    let container = match (request.query("container"), &containers[..]) {
        (Some(container), _) if !containers.contains(&container) => {
            return refused(format!("container {container} is not valid for pod {name}"));
        }
        (Some(container), _) => container,
        (None, [container]) => *container,
        (None, _) => {
            return refused(format!(
                "a container name must be specified for pod {name}, choose one of: [{}]",
                containers.join(" ")
            ));
        }
    };
    let mut statuses = ["containerStatuses", "initContainerStatuses"]
        .iter()
        .flat_map(|list| items(&pod["status"], list));
    let status = statuses
        .find(|status| status["name"] == container)
        .unwrap_or(&Value::Null);
    let previous = request.query("previous") == Some("true");
    let terminated = &status["lastState"]["terminated"];
    if previous && terminated.is_null() {
        return refused(format!(
            "previous terminated container {container:?} in pod {name:?} not found"
        ));
    }
    let waiting = &status["state"]["waiting"];
    if !previous && !waiting.is_null() && terminated.is_null() {
        let why = match waiting["reason"].as_str().unwrap_or_default() {
            "ImagePullBackOff" => "trying and failing to pull image",
            "ErrImagePull" => "image can't be pulled",
            other => other,
        };
        return refused(format!(
            "container {container:?} in pod {name:?} is waiting to start: {why}"
        ));
    }
    let inner = shared.inner();
    let scripted = inner.world.logs.iter().find(|(app, _)| is_of(name, app));
    let (now, before) = match scripted {
        Some((_, logs)) => logs.clone(),
        None => match inner.world.fate(name).logs() {
            Some((now, before)) => (now.to_owned(), before.to_owned()),
            None => Default::default(),
        },
    };
    Response::text(
        200,
        "text/plain",
        end_of(if previous { &before } else { &now }, request),
    )
}

/// As much of a log as is asked for.
fn end_of(text: &str, request: &Request) -> String {
    let number = |name: &str| request.query(name).and_then(|count| count.parse().ok());
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let tail = number("tailLines").unwrap_or(lines.len());
    let mut text = lines[lines.len().saturating_sub(tail)..].concat();
    let limit = number("limitBytes").unwrap_or(text.len());
    text.truncate(text.floor_char_boundary(limit));
    text
}

/// `pods/portforward`, by the channel protocol in a WebSocket.
fn port_forward(shared: &Shared, pod: &Value, request: &Request) -> Response {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    if request.header("upgrade") != Some("websocket") {
        return refused("Upgrade request required".into());
    }
    if pod["status"]["phase"] == "Pending" && pod["status"]["hostIP"].is_null() {
        return refused(format!("pod {name} does not have a host assigned"));
    }
    let offered = request.header("sec-websocket-protocol").unwrap_or_default();
    if !offered.split(',').any(|one| one.trim() == PROTOCOL) {
        let message = "websocket: the client speaks no protocol of this server";
        return Response::status(403, "Forbidden", message, &json!({}));
    }
    let Some(port) = request.query("ports").and_then(|port| port.parse().ok()) else {
        return refused("query parameter \"ports\" is required".into());
    };
    let program = shared.inner().world.program(name, port);
    let key = request.header("sec-websocket-key").unwrap_or_default();
    Response::upgrade(move |stream| talk(stream, port, program))
        .header("upgrade", "websocket")
        .header("connection", "Upgrade")
        .header("sec-websocket-accept", derive_accept_key(key.as_bytes()))
        .header("sec-websocket-protocol", PROTOCOL)
}

fn talk(stream: &mut dyn Duplex, port: u16, program: Option<Answers>) {
    let mut tunnel = Channel {
        socket: WebSocket::from_raw_socket(stream, Role::Server, None),
        unread: Vec::new(),
    };
    let [low, high] = port.to_le_bytes();
    for channel in [0, 1] {
        let _ = tunnel
            .socket
            .send(Message::binary(vec![channel, low, high]));
    }
    if let Some(program) = program {
        let handler: http::Handler = Arc::new(move |request| program(request));
        http::serve(&mut tunnel, &handler);
    } else {
        let text = format!(
            "\u{1}error forwarding port {port} to pod 6bd1, uid : failed to execute portforward in network namespace \"/var/run/netns/cni-1\": failed to connect to localhost:{port} inside namespace \"6bd1\", IPv4: dial tcp4 127.0.0.1:{port}: connect: connection refused IPv6 dial tcp6 [::1]:{port}: connect: connection refused "
        );
        let _ = tunnel.socket.send(Message::binary(text.into_bytes()));
    }
    let _ = tunnel.socket.close(None);
    let _ = tunnel.socket.flush();
    // The other side ends it.
    while tunnel.socket.read().is_ok() {}
}

/// The data channel, as a stream of bytes.
struct Channel<'a> {
    socket: WebSocket<&'a mut dyn Duplex>,
    unread: Vec<u8>,
}

impl Read for Channel<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.unread.is_empty() {
            match self.socket.read() {
                Ok(Message::Binary(bytes)) if bytes.first() == Some(&0) => {
                    self.unread.extend(&bytes[1..]);
                }
                Ok(Message::Close(_)) | Err(_) => return Ok(0),
                Ok(_) => {}
            }
        }
        let count = self.unread.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.unread[..count]);
        self.unread.drain(..count);
        Ok(count)
    }
}

impl Write for Channel<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        for part in bytes.chunks(32 * 1024) {
            let message = Message::binary([&[0], part].concat());
            self.socket.send(message).map_err(std::io::Error::other)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.socket.flush().map_err(std::io::Error::other)
    }
}
