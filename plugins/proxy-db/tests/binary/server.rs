//! An API server that knows one database, and a node behind it, both as the test wants them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

/// What the pod does with a connection.
#[derive(Clone, Debug)]
pub enum Pod {
    /// Sends back what it gets; to a client of PostgreSQL, `S` first.
    Echoes,
    /// The node says this on the error channel, and that was it.
    Fails(String),
    /// Is a PostgreSQL of somebody who wants the password in clear text.
    AsksForPassword,
}

/// Answers by path, without the query.
type Answers = BTreeMap<String, (u16, Value)>;

/// The server; it ends with the test's process.
#[derive(Clone)]
pub struct Server {
    pub address: SocketAddr,
    state: State,
}

/// What the server's tasks share with the test.
#[derive(Clone)]
struct State {
    answers: Arc<Mutex<Answers>>,
    pod: Arc<Mutex<Pod>>,
    requests: Arc<AtomicUsize>,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Server {
    /// With these answers; everything else is 404. `{n}` in one is the number of the request, with two digits.
    pub fn start(answers: Answers) -> Self {
        let (sender, address) = mpsc::channel();
        let state = State {
            answers: Arc::new(Mutex::new(answers)),
            pod: Arc::new(Mutex::new(Pod::Echoes)),
            requests: Arc::default(),
            heard: Arc::default(),
        };
        let shared = state.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
                sender
                    .send(listener.local_addr().expect("an address"))
                    .expect("somebody waits");
                loop {
                    let (socket, _) = listener.accept().await.expect("a connection");
                    tokio::spawn(serve(socket, shared.clone()));
                }
            });
        });
        Self {
            address: address.recv().expect("it starts"),
            state,
        }
    }

    /// From now on another answer.
    pub fn answer(&self, path: &str, status: u16, body: Value) {
        self.state
            .answers
            .lock()
            .expect("no panic")
            .insert(path.into(), (status, body));
    }

    /// From now on another pod.
    pub fn pod(&self, pod: Pod) {
        *self.state.pod.lock().expect("no panic") = pod;
    }

    /// How many requests came.
    pub fn requests(&self) -> usize {
        self.state.requests.load(Ordering::Relaxed)
    }

    /// All that clients have sent to the pod that asks for a password.
    pub fn heard(&self) -> String {
        let heard = self.state.heard.lock().expect("no panic");
        String::from_utf8_lossy(&heard).into_owned()
    }
}

/// A refusal in Kubernetes' form.
pub fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason, "code": code})
}

async fn serve(mut socket: TcpStream, state: State) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = socket.read_u8().await else {
            return;
        };
        head.push(byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head
        .split(' ')
        .nth(1)
        .unwrap_or_default()
        .split('?')
        .next()
        .unwrap_or_default()
        .to_owned();
    let header = |name: &str| {
        head.lines().find_map(|line| {
            line.split_once(": ")
                .filter(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim().to_owned())
        })
    };
    let length = header("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    let _ = socket.read_exact(&mut body).await;
    let number = state.requests.fetch_add(1, Ordering::Relaxed);
    let answer = state.answers.lock().expect("no panic").get(&path).cloned();
    if answer.is_none() && path.ends_with("/portforward") {
        let accept = derive_accept_key(header("sec-websocket-key").unwrap_or_default().as_bytes());
        let switch = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n"
        );
        let _ = socket.write_all(switch.as_bytes()).await;
        let pod = state.pod.lock().expect("no panic").clone();
        return forward(socket, pod, &state.heard).await;
    }
    let (code, body) =
        answer.unwrap_or_else(|| (404, status(404, "NotFound", &format!("{path} not found"))));
    let body = body
        .to_string()
        .replace("{n}", &format!("{:02}", number % 60));
    let text = format!(
        "HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = socket.write_all(text.as_bytes()).await;
}

async fn forward(socket: TcpStream, pod: Pod, heard: &Mutex<Vec<u8>>) {
    let mut node = WebSocketStream::from_raw_socket(socket, Role::Server, None).await;
    for channel in [0, 1] {
        let _ = node.send(Message::binary(vec![channel, 0x38, 0x15])).await;
    }
    match pod {
        Pod::Echoes => {
            while let Some(Ok(message)) = node.next().await {
                if let Message::Binary(bytes) = message {
                    let is_ssl_request = bytes.len() == 9 && bytes[5..] == [4, 210, 22, 47];
                    let answer = if is_ssl_request {
                        b"\0S".to_vec()
                    } else {
                        bytes.to_vec()
                    };
                    let _ = node.send(Message::binary(answer)).await;
                }
            }
        }
        Pod::AsksForPassword => {
            while let Some(Ok(message)) = node.next().await {
                let Message::Binary(bytes) = message else {
                    continue;
                };
                heard.lock().expect("no panic").extend(&bytes[1..]);
                // SSLRequest and GSSENCRequest; the password; what comes before it.
                let answer: &[u8] = match &bytes[1..] {
                    [0, 0, 0, 8, 4, 210, 22, 47 | 48] => b"\0N",
                    [b'p', ..] => b"\0E\0\0\0\x19SFATAL\0C28P01\0Mthanks\0\0",
                    _ => b"\0R\0\0\0\x08\0\0\0\x03",
                };
                let _ = node.send(Message::binary(answer.to_vec())).await;
            }
        }
        Pod::Fails(text) => {
            let _ = node
                .send(Message::binary([b"\x01", text.as_bytes()].concat()))
                .await;
            let _ = node.close(None).await;
            // As a node does: what is never read would become a reset that overtakes the text.
            while let Some(Ok(_)) = node.next().await {}
        }
    }
}
