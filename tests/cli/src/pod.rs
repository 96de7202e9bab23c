//! What is reached in a pod through the API server: its log, and its ports.

use std::io::{Read, Write};
use std::sync::Arc;

use serde_json::{Value, json};
use tungstenite::Message;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::{Role, WebSocket};

use crate::controllers::is_of;
use crate::http::{self, Duplex, Request, Response};
use crate::store::{Answer, State};
use crate::target::Target;

/// The only one that is spoken here.
const PROTOCOL: &str = "v4.channel.k8s.io";

fn refused(message: String) -> Response {
    Response::status(400, "BadRequest", message, &Value::Null)
}

impl State {
    /// `pods/log`
    pub fn log(&self, target: &Target, request: &Request) -> Answer {
        let pod = self.find(target)?;
        let name = &target.name;
        let containers: Vec<&str> = ["initContainers", "containers"]
            .iter()
            .flat_map(|list| pod["spec"][*list].as_array().into_iter().flatten())
            .filter_map(|container| container["name"].as_str())
            .collect();
        let container = match (request.query("container"), &containers[..]) {
            (Some(container), _) if !containers.contains(&container) => {
                return Err(refused(format!(
                    "container {container} is not valid for pod {name}"
                )));
            }
            (Some(container), _) => container,
            (None, [container]) => *container,
            (None, _) => {
                return Err(refused(format!(
                    "a container name must be specified for pod {name}, choose one of: [{}]",
                    containers.join(" ")
                )));
            }
        };
        let statuses = ["containerStatuses", "initContainerStatuses"];
        let mut statuses = statuses
            .iter()
            .flat_map(|list| pod["status"][*list].as_array().into_iter().flatten());
        let status = statuses
            .find(|status| status["name"] == container)
            .unwrap_or(&Value::Null);
        let previous = request.query("previous") == Some("true");
        let terminated = &status["lastState"]["terminated"];
        if previous && terminated.is_null() {
            return Err(refused(format!(
                "previous terminated container {container:?} in pod {name:?} not found"
            )));
        }
        let waiting = &status["state"]["waiting"];
        if !previous && !waiting.is_null() && terminated.is_null() {
            let why = match waiting["reason"].as_str().unwrap_or_default() {
                "ImagePullBackOff" => "trying and failing to pull image",
                "ErrImagePull" => "image can't be pulled",
                "ContainerCreating" => "ContainerCreating",
                other => other,
            };
            return Err(refused(format!(
                "container {container:?} in pod {name:?} is waiting to start: {why}"
            )));
        }
        let logs = &self.world.logs;
        let scripted = logs
            .iter()
            .find(|(app, _)| is_of(name, app))
            .map(|(_, logs)| logs.clone());
        let fate = self.world.fate(name);
        let (now, before) = scripted
            .or_else(|| {
                let (now, before) = fate.logs()?;
                Some((now.to_owned(), before.to_owned()))
            })
            .unwrap_or_default();
        let text = if previous { before } else { now };
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let tail = request
            .query("tailLines")
            .and_then(|count| count.parse().ok())
            .unwrap_or(lines.len());
        let mut text = lines[lines.len().saturating_sub(tail)..].concat();
        let limit = request
            .query("limitBytes")
            .and_then(|count| count.parse().ok())
            .unwrap_or(text.len());
        text.truncate(text.floor_char_boundary(limit));
        Ok(Response::text(200, "text/plain", text))
    }

    /// `pods/portforward`, by the channel protocol in a WebSocket.
    pub fn port_forward(&self, target: &Target, request: &Request) -> Answer {
        let pod = self.find(target)?;
        if request.header("upgrade") != Some("websocket") {
            return Err(refused("Upgrade request required".into()));
        }
        if pod["status"]["phase"] == "Pending" && pod["status"]["hostIP"].is_null() {
            return Err(refused(format!(
                "pod {} does not have a host assigned",
                target.name
            )));
        }
        let offered = request.header("sec-websocket-protocol").unwrap_or_default();
        if !offered
            .split(',')
            .any(|protocol| protocol.trim() == PROTOCOL)
        {
            return Err(Response::status(
                403,
                "Forbidden",
                "websocket: the client speaks no protocol of this server",
                &json!({}),
            ));
        }
        let port: u16 = request
            .query("ports")
            .and_then(|port| port.parse().ok())
            .ok_or_else(|| refused("query parameter \"ports\" is required".into()))?;
        let program = self.world.program(&target.name, port);
        let answer = Response::upgrade(move |stream| {
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
        });
        let key = request.header("sec-websocket-key").unwrap_or_default();
        Ok(answer
            .header("upgrade", "websocket")
            .header("connection", "Upgrade")
            .header("sec-websocket-accept", derive_accept_key(key.as_bytes()))
            .header("sec-websocket-protocol", PROTOCOL))
    }
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
