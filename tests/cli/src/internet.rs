//! The way from outside to what a cluster exposes: names, an ingress controller's address, certificates.
//!
//! Every test has an address of its own in 127.0.0.0/8, on whose ports 80 and 443 the cluster's ingress controller listens,
//! serving the Ingresses and `HTTPRoutes` that the API server stores, and on whose port 53 a name server knows every name
//! under [`ZONE`]. A plugin sees that name server in a mount namespace of its own ([`crate::Session::online`]). All this takes
//! root; without it, the tests that need it fail.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use base64::Engine as _;
use serde_json::{Value, json};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::authority::{self, Authority};
use crate::http::{Handler, Request, Response, Server};
use crate::plane::{Answers, ApiServer, Destination, Shared};

/// Under this domain every name leads to the ingress controller.
pub const ZONE: &str = "kub.example.test";

/// What stands for the address in a snapshot.
pub const SHOWN: &str = "203.0.113.7";

/// The outside of a cluster, until it is dropped.
pub struct Internet {
    address: Ipv4Addr,
    authority: Arc<Authority>,
    shared: Arc<Shared>,
    rules: Arc<Mutex<Rules>>,
    stop: Arc<AtomicBool>,
    _servers: [Server; 2],
}

struct Rules {
    /// Hosts that are not the cluster's, or that a test wants to answer otherwise.
    hosts: Vec<(String, Answers)>,
    certificates: Vec<(String, Arc<CertifiedKey>)>,
    /// Names that do not exist, or lead elsewhere.
    names: Vec<(String, Option<Ipv4Addr>)>,
    wildcard: Option<Arc<CertifiedKey>>,
    /// Shown where nothing better is there.
    fallback: Arc<CertifiedKey>,
    redirects: bool,
    no_plain_http: bool,
    requests: Vec<Request>,
}

fn lock(rules: &Mutex<Rules>) -> MutexGuard<'_, Rules> {
    rules.lock().expect("no holder panics")
}

impl Internet {
    /// Around this cluster, with an ingress controller that has a certificate for `*.kub.example.test`.
    pub fn around(server: &ApiServer) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "what is reached from outside is tested on ports 80, 443 and 53 of a loopback address: run these tests as root"
        );
        let authority = Arc::new(Authority::default());
        let (certificate, key) = authority.issue(&[format!("*.{ZONE}")]);
        let rules = Arc::new(Mutex::new(Rules {
            hosts: Vec::new(),
            certificates: Vec::new(),
            names: Vec::new(),
            wildcard: authority::certified(&certificate, &key),
            fallback: authority::self_signed("traefik.default"),
            redirects: false,
            no_plain_http: false,
            requests: Vec::new(),
        }));
        let address = own_address();
        let shared = server.shared();
        let resolver = Arc::new(Certificates {
            rules: rules.clone(),
            shared: shared.clone(),
        });
        let tls = Arc::new(authority::builder().with_cert_resolver(resolver));
        let listen = |port: u16, tls: Option<Arc<rustls::ServerConfig>>| {
            let (rules, shared) = (rules.clone(), shared.clone());
            let secure = tls.is_some();
            let handler: Handler =
                Arc::new(move |request| answer(&rules, &shared, secure, request));
            Server::answering_on(SocketAddr::from((address, port)), tls, handler)
        };
        let servers = [listen(80, None), listen(443, Some(tls))];
        let stop = Arc::new(AtomicBool::new(false));
        serve_names(address, rules.clone(), stop.clone());
        shared.inner().world.entrance = Some(IpAddr::V4(address));
        Self {
            address,
            authority,
            shared,
            rules,
            stop,
            _servers: servers,
        }
    }

    /// Where the ingress controller and the name server are.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The certificate authority of all good certificates, as PEM.
    pub fn authority(&self) -> String {
        self.authority.pem()
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        lock(&self.rules)
    }

    /// What a host answers, whatever the cluster's Ingresses say; `*.kub.example.test` for all that nothing else is known of.
    pub fn host(&self, host: &str, answers: impl Fn(&Request) -> Response + Send + Sync + 'static) {
        self.rules()
            .hosts
            .push((host.to_owned(), Arc::new(answers)));
    }

    /// Another site of the internet, with a name and a certificate of its own.
    pub fn site(&self, host: &str, answers: impl Fn(&Request) -> Response + Send + Sync + 'static) {
        let (certificate, key) = self.authority.issue(&[host.to_owned()]);
        self.certificate(host, authority::certified(&certificate, &key).unwrap());
        self.name(host, self.address);
        self.host(host, answers);
    }

    /// A name that does not exist.
    pub fn no_name(&self, name: &str) {
        self.rules().names.push((name.to_owned(), None));
    }

    /// A name that leads elsewhere.
    pub fn name(&self, name: &str, address: Ipv4Addr) {
        self.rules().names.push((name.to_owned(), Some(address)));
    }

    /// The ingress controller has no certificate but one that it has signed itself.
    pub fn no_wildcard(&self) {
        self.rules().wildcard = None;
    }

    /// The ingress controller's certificate has ended.
    pub fn expired_wildcard(&self) {
        let (certificate, key) = self.authority.issue_expired(&format!("*.{ZONE}"));
        self.rules().wildcard = authority::certified(&certificate, &key);
    }

    /// The ingress controller's certificate is for another domain.
    pub fn wildcard_of_another(&self) {
        let (certificate, key) = self
            .authority
            .issue(&["*.elsewhere.example.test".to_owned()]);
        self.rules().wildcard = authority::certified(&certificate, &key);
    }

    /// A host with a certificate for another name.
    pub fn certificate_of_another(&self, host: &str) {
        let (certificate, key) = self.authority.issue(&["elsewhere.example.test".to_owned()]);
        self.certificate(host, authority::certified(&certificate, &key).unwrap());
    }

    /// A host with a certificate that has ended.
    pub fn expired_certificate(&self, host: &str) {
        let (certificate, key) = self.authority.issue_expired(host);
        self.certificate(host, authority::certified(&certificate, &key).unwrap());
    }

    fn certificate(&self, host: &str, certified: Arc<CertifiedKey>) {
        self.rules().certificates.push((host.to_owned(), certified));
    }

    /// Plain HTTP is sent to HTTPS, everywhere.
    pub fn redirect_to_https(&self) {
        self.rules().redirects = true;
    }

    /// Plain HTTP is answered with 404, everywhere.
    pub fn no_plain_http(&self) {
        self.rules().no_plain_http = true;
    }

    /// A Secret of Alice's with a good certificate for a host, as cert-manager makes them.
    pub fn certificate_in_secret(&self, name: &str, host: &str) -> Value {
        let (certificate, key) = self.authority.issue(&[host.to_owned()]);
        let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"namespace": "user-alice", "name": name},
            "data": {"tls.crt": encode(&certificate), "tls.key": encode(&key)},
        })
    }

    /// The ingress controller serves this class alone.
    pub fn class(&self, class: &str) {
        self.shared.inner().world.class = Some(class.to_owned());
    }

    /// All requests that came from outside.
    pub fn requests(&self) -> Vec<Request> {
        self.rules().requests.clone()
    }
}

impl Drop for Internet {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the name server, which then goes.
        if let Ok(socket) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)) {
            let _ = socket.send_to(&[], (self.address, 53));
        }
    }
}

/// An address that no other test has, nor another run of the tests.
fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(
        127,
        64 + high % 128,
        low,
        NEXT.fetch_add(1, Ordering::Relaxed),
    )
}

fn answer(rules: &Mutex<Rules>, shared: &Shared, secure: bool, request: &Request) -> Response {
    let host = request.header("host").unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default().to_lowercase();
    let (scripted, redirects, no_plain_http) = {
        let mut rules = lock(rules);
        rules.requests.push(request.clone());
        let exact = rules.hosts.iter().rev().find(|(name, _)| *name == host);
        let wild = || {
            rules
                .hosts
                .iter()
                .rev()
                .find(|(name, _)| name.starts_with('*'))
        };
        let scripted = exact.map(|(_, answers)| answers.clone());
        let wild = wild().map(|(_, answers)| answers.clone());
        (scripted.ok_or(wild), rules.redirects, rules.no_plain_http)
    };
    let wild = match scripted {
        Ok(answers) => return answers(request),
        Err(wild) => wild,
    };
    let plain = |code: u16, text: &str| Response::text(code, "text/plain; charset=utf-8", text);
    if no_plain_http && !secure {
        return plain(404, "404 page not found\n");
    }
    let destination = shared.destination(&host, &request.path);
    if redirects && !secure {
        return plain(301, "Moved Permanently")
            .header("location", format!("https://{host}{}", request.path));
    }
    match destination {
        Destination::Unknown => wild.map_or_else(
            || plain(404, "404 page not found\n"),
            |answers| answers(request),
        ),
        Destination::Nobody => plain(503, "no available server\n"),
        Destination::Pod(pod, port) => {
            let program = shared.inner().world.program(&pod, port);
            program.map_or_else(|| plain(502, "Bad Gateway"), |answers| answers(request))
        }
    }
}

/// The certificates of the ingress controller.
struct Certificates {
    rules: Arc<Mutex<Rules>>,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Certificates")
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let host = hello.server_name().unwrap_or_default().to_lowercase();
        let of_cluster = self.shared.certificate(&host);
        let rules = lock(&self.rules);
        let scripted = rules
            .certificates
            .iter()
            .rev()
            .find(|(name, _)| *name == host);
        if let Some((_, certified)) = scripted {
            return Some(certified.clone());
        }
        let of_cluster =
            of_cluster.and_then(|(certificate, key)| authority::certified(&certificate, &key));
        let label = host
            .strip_suffix(ZONE)
            .and_then(|label| label.strip_suffix('.'));
        let wildcard = rules
            .wildcard
            .clone()
            .filter(|_| label.is_some_and(|label| !label.contains('.')));
        of_cluster
            .or(wildcard)
            .or_else(|| Some(rules.fallback.clone()))
    }
}

/// A name server: what is under the zone leads to the ingress controller, nothing else is known.
fn serve_names(address: Ipv4Addr, rules: Arc<Mutex<Rules>>, stop: Arc<AtomicBool>) {
    let socket = UdpSocket::bind((address, 53))
        .unwrap_or_else(|error| panic!("cannot serve names on {address}:53: {error}"));
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut buffer) {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            if let Some(answer) = resolve(&buffer[..length], |name| {
                let rules = lock(&rules);
                let scripted = rules.names.iter().rev().find(|(known, _)| known == name);
                match scripted {
                    Some((_, address)) => *address,
                    None => name.ends_with(&format!(".{ZONE}")).then_some(address),
                }
            }) {
                let _ = socket.send_to(&answer, client);
            }
        }
    });
}

/// The answer to a question of DNS (RFC 1035).
fn resolve(question: &[u8], find: impl Fn(&str) -> Option<Ipv4Addr>) -> Option<Vec<u8>> {
    let mut at = 12;
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*question.get(at)?);
        if length == 0 {
            break;
        }
        let label = question.get(at + 1..at + 1 + length)?;
        labels.push(String::from_utf8_lossy(label).to_lowercase());
        at += 1 + length;
    }
    let end = at + 5;
    let kind = question.get(at + 1..at + 3)?;
    let found = find(&labels.join("."));
    let address = found.filter(|_| kind == [0, 1]);
    let code = if found.is_none() { 3 } else { 0 };
    let mut answer = vec![
        question[0],
        question[1],
        0x81,
        0x80 | code,
        0,
        1,
        0,
        u8::from(address.is_some()),
        0,
        0,
        0,
        0,
    ];
    answer.extend(question.get(12..end)?);
    if let Some(address) = address {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_resolved() {
        let question =
            b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03web\x04test\x00\x00\x01\x00\x01";
        let find = |name: &str| (name == "web.test").then_some(Ipv4Addr::new(192, 0, 2, 1));
        let answer = resolve(question, find).unwrap();
        assert_eq!(answer[..4], [0x12, 0x34, 0x81, 0x80]);
        assert!(answer.ends_with(&[0, 4, 192, 0, 2, 1]));
        let unknown = resolve(question, |_| None).unwrap();
        assert_eq!(unknown[3], 0x83);
        assert_eq!(resolve(&question[..20], find), None);
    }
}
