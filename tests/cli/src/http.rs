//! As much of an HTTP/1.1 server as a Kubernetes client needs, on threads, with or without TLS.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::thread;

use serde_json::{Value, json};

/// A request as it was received.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`
    pub method: String,
    /// The path as it was sent, without the query.
    pub path: String,
    /// The path with the query, as they were sent.
    pub target: String,
    /// The query's pairs, decoded.
    pub query: Vec<(String, String)>,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A header's first value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// All values of a header.
    pub fn header_values(&self, name: &str) -> Vec<&str> {
        let found = self.headers.iter().filter(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).collect()
    }

    /// A query parameter's first value.
    pub fn query(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null where there is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The parts of the path, decoded one by one.
    pub fn segments(&self) -> Vec<String> {
        let parts = self.path.split('/').filter(|part| !part.is_empty());
        parts.map(decode).collect()
    }

    /// Whether the API server is asked to store nothing.
    pub fn is_dry_run(&self) -> bool {
        self.query("dryRun") == Some("All") || self.json()["dryRun"] == json!(["All"])
    }

    /// Whether it asks for a change of what is stored.
    pub fn is_write(&self) -> bool {
        let review = self.path.ends_with("reviews");
        self.method != "GET" && !review && !self.is_dry_run()
    }
}

impl std::fmt::Display for Request {
    /// `PATCH /api/v1/... (dry run)`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let watch = if self.query("watch").is_some() {
            " (watch)"
        } else {
            ""
        };
        let dry = if self.is_dry_run() { " (dry run)" } else { "" };
        write!(f, "{} {}{watch}{dry}", self.method, self.path)
    }
}

fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

/// An answer.
pub struct Response {
    /// The status code.
    pub code: u16,
    /// The body's type.
    pub content_type: &'static str,
    /// More headers.
    pub headers: Vec<(&'static str, String)>,
    body: Body,
}

enum Body {
    Whole(Vec<u8>),
    /// A line each, until the sender is gone.
    Lines(Receiver<String>),
    /// No body: from here on the connection speaks another protocol.
    Upgrade(Talk),
}

/// What is said on a connection that speaks another protocol.
type Talk = Box<dyn FnOnce(&mut dyn Duplex) + Send>;

/// What can be read from and written to.
pub trait Duplex: Read + Write {}
impl<T: Read + Write> Duplex for T {}

impl Response {
    /// Any text.
    pub fn text(code: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            code,
            content_type,
            headers: Vec::new(),
            body: Body::Whole(body.into()),
        }
    }

    /// An object.
    pub fn json(code: u16, body: &Value) -> Self {
        Self::text(code, "application/json", body.to_string())
    }

    /// Kubernetes' way to refuse; `details` as an API server fills them in.
    pub fn status(code: u16, reason: &str, message: impl Into<String>, details: &Value) -> Self {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message.into(), "reason": reason, "code": code,
        });
        if !details.is_null() {
            status["details"] = details.clone();
        }
        Self::json(code, &status)
    }

    /// A watch: one event a line.
    pub fn lines(lines: Receiver<String>) -> Self {
        Self {
            code: 200,
            content_type: "application/json",
            headers: Vec::new(),
            body: Body::Lines(lines),
        }
    }

    /// The last answer of a connection (101), and what is spoken on it afterwards.
    pub fn upgrade(work: impl FnOnce(&mut dyn Duplex) + Send + 'static) -> Self {
        Self {
            code: 101,
            content_type: "",
            headers: Vec::new(),
            body: Body::Upgrade(Box::new(work)),
        }
    }

    /// Whatever is written to the connection, which then ends.
    pub fn raw(work: impl FnOnce(&mut dyn Duplex) + Send + 'static) -> Self {
        let mut response = Self::upgrade(work);
        response.code = 0;
        response
    }

    /// With a header more.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// What answers requests.
pub type Handler = Arc<dyn Fn(&Request) -> Response + Send + Sync>;

/// A server on a free port of 127.0.0.1, until it is dropped.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    stop: Arc<AtomicBool>,
}

impl Server {
    /// Starts one that answers requests, in TLS if there is a configuration for it.
    pub fn answering(tls: Option<Arc<rustls::ServerConfig>>, handler: Handler) -> Self {
        Self::answering_on((Ipv4Addr::LOCALHOST, 0).into(), tls, handler)
    }

    /// The same at an address of one's own choice.
    pub fn answering_on(
        address: SocketAddr,
        tls: Option<Arc<rustls::ServerConfig>>,
        handler: Handler,
    ) -> Self {
        Self::on(address, move |stream| match &tls {
            None => serve(stream, &handler),
            Some(_) if !speaks_tls(&stream) => {
                let _ = (&stream).read(&mut [0; 16 * 1024]);
                let _ = (&stream).write_all(HTTP_TO_TLS);
            }
            Some(config) => {
                let connection = rustls::ServerConnection::new(config.clone()).unwrap();
                serve(rustls::StreamOwned::new(connection, stream), &handler);
            }
        })
    }

    /// Starts one that does anything with a connection.
    pub fn each_connection(work: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        Self::on((Ipv4Addr::LOCALHOST, 0).into(), work)
    }

    /// Starts one at an address of one's own choice.
    pub fn on(address: SocketAddr, work: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address)
            .unwrap_or_else(|error| panic!("cannot listen on {address}: {error}"));
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let work = Arc::new(work);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let _ = stream.set_nodelay(true);
                let work = work.clone();
                thread::spawn(move || work(stream));
            }
        });
        Self { address, stop }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the listener, which then goes.
        let _ = TcpStream::connect(self.address);
    }
}

/// What Go's server, and so the API server, answers to HTTP where it expects TLS.
const HTTP_TO_TLS: &[u8] =
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
/// And to what is no HTTP.
const NO_HTTP: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n400 Bad Request";

/// Whether the first byte is that of a TLS handshake.
fn speaks_tls(stream: &TcpStream) -> bool {
    let mut first = [0];
    stream.peek(&mut first).is_ok() && first == [0x16]
}

/// Answers the requests of one connection, until one of both has had enough.
pub(crate) fn serve(mut stream: impl Read + Write, handler: &Handler) {
    let mut pending = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut pending) {
        let Ok(request) = request else {
            let _ = stream.write_all(NO_HTTP);
            break;
        };
        if write_response(&mut stream, handler(&request)).is_err() {
            break;
        }
    }
}

/// The next request, if there is one; an error for what is none.
fn read_request(
    stream: &mut impl Read,
    pending: &mut Vec<u8>,
) -> Option<Result<Request, httparse::Error>> {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Request::new(&mut headers);
        let status = match parsed.parse(pending) {
            Ok(status) => status,
            Err(error) => return Some(Err(error)),
        };
        if let httparse::Status::Complete(length) = status {
            let headers: Vec<(String, String)> = parsed
                .headers
                .iter()
                .map(|header| {
                    (
                        header.name.to_lowercase(),
                        String::from_utf8_lossy(header.value).into_owned(),
                    )
                })
                .collect();
            let target = parsed.path.unwrap_or_default();
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let mut request = Request {
                method: parsed.method.unwrap_or_default().to_owned(),
                path: path.to_owned(),
                target: target.to_owned(),
                query: query
                    .split('&')
                    .filter(|pair| !pair.is_empty())
                    .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                    .map(|(key, value)| (decode(key), decode(&value.replace('+', " "))))
                    .collect(),
                headers,
                body: Vec::new(),
            };
            let body = request
                .header("content-length")
                .map_or(0, |length| length.parse().unwrap());
            while pending.len() < length + body {
                read_more(stream, pending)?;
            }
            request.body = pending[length..length + body].to_vec();
            pending.drain(..length + body);
            return Some(Ok(request));
        }
        read_more(stream, pending)?;
    }
}

fn read_more(stream: &mut impl Read, pending: &mut Vec<u8>) -> Option<()> {
    let mut buffer = [0; 16 * 1024];
    let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
    pending.extend_from_slice(&buffer[..count]);
    Some(())
}

fn write_response(stream: &mut (impl Read + Write), response: Response) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} x\r\n", response.code);
    if !response.content_type.is_empty() {
        let _ = write!(head, "content-type: {}\r\n", response.content_type);
    }
    for (name, value) in &response.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    match response.body {
        Body::Whole(body) => {
            let _ = write!(head, "content-length: {}\r\n\r\n", body.len());
            let mut whole = head.into_bytes();
            whole.extend_from_slice(&body);
            stream.write_all(&whole)?;
        }
        Body::Lines(lines) => {
            head += "transfer-encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes())?;
            stream.flush()?;
            for line in lines {
                stream.write_all(format!("{:x}\r\n{line}\n\r\n", line.len() + 1).as_bytes())?;
                stream.flush()?;
            }
            stream.write_all(b"0\r\n\r\n")?;
        }
        Body::Upgrade(work) => {
            if response.code != 0 {
                head += "\r\n";
                stream.write_all(head.as_bytes())?;
                stream.flush()?;
            }
            work(stream);
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
    }
    stream.flush()
}
