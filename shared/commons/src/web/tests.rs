//! Against servers of our own, each of which does one thing right or wrong.

use std::net::Ipv4Addr;
use std::sync::Mutex;

use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::*;

const LIMIT: Duration = Duration::from_secs(20);
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Who: me\r\n\r\nhi";

/// A client that knows no proxy, whatever the environment of the tests says, for a cluster on this machine.
fn client(timeout: Duration) -> Client {
    Client {
        proxies: Arc::default(),
        beside: Some("localhost".to_owned()),
        ..Client::new(timeout)
    }
}

fn uri(text: impl AsRef<str>) -> Uri {
    text.as_ref().parse().unwrap()
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// What was asked, up to the empty line.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// Answers one connection with these bytes after a request, then closes; gives back what was asked.
async fn answering(bytes: &'static [u8]) -> (SocketAddr, JoinHandle<String>) {
    let (listener, address) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let asked = head(&mut stream).await;
        stream.write_all(bytes).await.unwrap();
        asked
    });
    (address, server)
}

#[tokio::test]
async fn asks_once_and_reads_the_answer() {
    let (address, server) = answering(OK).await;
    let answer = client(LIMIT)
        .get(
            &uri(format!("http://{address}/a?b=c")),
            &[(http::header::ACCEPT, HeaderValue::from_static("text/html"))],
        )
        .await
        .unwrap();
    assert_eq!((answer.status, &answer.body[..]), (200, &b"hi"[..]));
    assert_eq!(answer.headers["x-who"], "me");
    assert_eq!(answer.address, Some(address));
    assert!(!answer.truncated && answer.certificate.is_none() && answer.proxy.is_none());
    let asked = server.await.unwrap().to_ascii_lowercase();
    assert!(asked.starts_with("get /a?b=c http/1.1\r\n"), "{asked}");
    for line in [
        format!("host: {address}"),
        "accept: text/html".to_owned(),
        "user-agent: kube-commons".to_owned(),
        "connection: close".to_owned(),
    ] {
        assert_eq!(
            asked.matches(&format!("\r\n{line}\r\n")).count(),
            1,
            "{line} in {asked}"
        );
    }
    assert_eq!(asked.matches("accept:").count(), 1);
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let (address, _server) = answering(
        b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example/\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let answer = client(LIMIT)
        .get(&uri(format!("http://{address}")), &[])
        .await
        .unwrap();
    assert_eq!(answer.status, 302);
    assert_eq!(answer.headers["location"], "https://elsewhere.example/");
}

#[tokio::test]
async fn a_body_is_cut_where_asked_and_not_before() {
    let whole: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n0123456789";
    for (keep, body, truncated) in [
        (10, "0123456789", false),
        (9, "012345678", true),
        (0, "", true),
    ] {
        let (address, _server) = answering(whole).await;
        let answer = client(LIMIT)
            .keeping(keep)
            .get(&uri(format!("http://{address}/")), &[])
            .await
            .unwrap();
        assert_eq!(
            (&answer.body[..], answer.truncated),
            (body.as_bytes(), truncated),
            "{keep}"
        );
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_told_from_a_whole_one() {
    let (address, _server) = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await;
    let answer = client(LIMIT)
        .get(&uri(format!("http://{address}/")), &[])
        .await
        .unwrap();
    assert_eq!((&answer.body[..], answer.truncated), (&b"half"[..], true));
}

/// Events that a server goes on sending are an answer too.
#[tokio::test]
async fn a_body_without_end_is_an_answer_when_the_time_is_up() {
    let (listener, address) = listen().await;
    let _server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
            .await
            .unwrap();
        std::future::pending::<()>().await;
    });
    let answer = client(Duration::from_millis(300))
        .get(&uri(format!("http://{address}/")), &[])
        .await
        .unwrap();
    assert_eq!(
        (&answer.body[..], answer.truncated),
        (&b"data: 1\n\n"[..], true)
    );
}

#[tokio::test]
async fn silence_is_a_timeout() {
    let (_listener, address) = listen().await;
    let begun = Instant::now();
    for scheme in ["http", "https"] {
        let trouble = client(Duration::from_millis(200))
            .get(&uri(format!("{scheme}://{address}/")), &[])
            .await
            .unwrap_err();
        assert!(
            matches!(trouble, HttpFailure::Timeout),
            "{scheme}: {trouble:?}"
        );
    }
    assert!(begun.elapsed() >= Duration::from_millis(400));
}

#[tokio::test]
async fn what_is_not_http_is_told_from_nothing_at_all() {
    let (address, _server) = answering(b"SSH-2.0-OpenSSH_9.6\r\n").await;
    let trouble = client(LIMIT)
        .get(&uri(format!("http://{address}/")), &[])
        .await
        .unwrap_err();
    assert_eq!(
        trouble.to_string(),
        "what answers there does not speak HTTP"
    );

    let (address, _server) = answering(b"").await;
    let trouble = client(LIMIT)
        .get(&uri(format!("http://{address}/")), &[])
        .await
        .unwrap_err();
    assert!(matches!(trouble, HttpFailure::Closed), "{trouble:?}");

    let (listener, address) = listen().await;
    drop(listener);
    let trouble = client(LIMIT)
        .get(&uri(format!("http://{address}/")), &[])
        .await
        .unwrap_err();
    assert_eq!(
        trouble.to_string(),
        format!("nothing listens at {address} (connection refused)")
    );
    assert!(
        matches!(trouble, HttpFailure::Connect { address: at, why: Unconnected::Refused } if at == address)
    );
}

#[tokio::test]
async fn headers_without_end_are_not_read() {
    let (listener, address) = listen().await;
    let _server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while stream.write_all(b"X-More: and more\r\n").await.is_ok() {}
    });
    let trouble = client(LIMIT)
        .get(&uri(format!("http://{address}/")), &[])
        .await
        .unwrap_err();
    assert_eq!(
        trouble.to_string(),
        "the headers of its answer are too long"
    );
}

#[tokio::test]
async fn a_reset_is_a_closed_connection() {
    let (listener, address) = listen().await;
    let _server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        head(&mut stream).await;
        socket2::SockRef::from(&stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    });
    let trouble = client(LIMIT)
        .get(&uri(format!("http://{address}/")), &[])
        .await
        .unwrap_err();
    assert!(matches!(trouble, HttpFailure::Closed), "{trouble:?}");
}

#[tokio::test]
async fn a_name_that_cannot_exist_has_no_address() {
    let trouble = client(LIMIT)
        .get(&uri("http://nowhere.invalid/"), &[])
        .await
        .unwrap_err();
    assert!(
        matches!(&trouble, HttpFailure::Name { host, .. } if host == "nowhere.invalid"),
        "{trouble:?}"
    );
}

#[test]
fn the_resolvers_words_are_understood() {
    for text in [
        "failed to lookup address information: Name or service not known",
        "failed to lookup address information: No address associated with hostname",
        "failed to lookup address information: Name does not resolve",
        "failed to lookup address information: nodename nor servname provided, or not known",
    ] {
        assert_eq!(
            Lookup::from(&std::io::Error::other(text)),
            Lookup::NoSuchName,
            "{text}"
        );
    }
    for text in [
        "failed to lookup address information: Temporary failure in name resolution",
        "failed to lookup address information: Try again",
        "failed to lookup address information: Non-recoverable failure in name resolution",
    ] {
        assert!(
            matches!(
                Lookup::from(&std::io::Error::other(text)),
                Lookup::NoAnswer(_)
            ),
            "{text}"
        );
    }
}

#[tokio::test]
async fn an_address_given_is_asked_under_the_urls_name() {
    let (address, server) = answering(OK).await;
    let answer = client(LIMIT)
        .to(address)
        .get(&uri("http://app.invalid:8080/"), &[])
        .await
        .unwrap();
    assert_eq!(answer.address, Some(address));
    assert!(server.await.unwrap().contains("host: app.invalid:8080\r\n"));
}

#[tokio::test]
async fn the_hosts_header_has_the_port_only_if_it_is_unusual() {
    for (url, host) in [
        ("http://app.invalid:80/", "app.invalid"),
        ("http://app.invalid:443/", "app.invalid:443"),
        ("http://[2001:db8::1]/", "[2001:db8::1]"),
        ("http://[2001:db8::1]:81/", "[2001:db8::1]:81"),
    ] {
        let (address, server) = answering(OK).await;
        client(LIMIT).to(address).get(&uri(url), &[]).await.unwrap();
        let asked = server.await.unwrap();
        assert!(
            asked.contains(&format!("host: {host}\r\n")),
            "{url}: {asked}"
        );
    }
}

#[tokio::test]
async fn other_schemes_are_refused() {
    for url in ["ftp://a.example/", "/path", "a.example"] {
        let trouble = client(LIMIT).get(&uri(url), &[]).await.unwrap_err();
        assert_eq!(
            trouble.to_string(),
            format!("`{url}` does not start with http:// or https://")
        );
    }
}

#[tokio::test]
async fn a_stream_that_is_given_is_spoken_to_as_a_connection_is() {
    let (ours, mut theirs) = tokio::io::duplex(64);
    let server = tokio::spawn(async move {
        let asked = head(&mut theirs).await;
        theirs.write_all(OK).await.unwrap();
        asked
    });
    let answer = client(LIMIT)
        .exchange(ours, "app.example", "/health?x", &[])
        .await
        .unwrap();
    assert_eq!((answer.status, &answer.body[..]), (200, &b"hi"[..]));
    assert!(answer.address.is_none());
    let asked = server.await.unwrap();
    assert!(
        asked.starts_with("GET /health?x HTTP/1.1\r\n") && asked.contains("host: app.example\r\n")
    );

    let (ours, _theirs) = tokio::io::duplex(64);
    let trouble = client(LIMIT)
        .exchange(ours, "a", "no path", &[])
        .await
        .unwrap_err();
    assert_eq!(trouble.to_string(), "`no path` cannot be a path of a URL");
}

// Addresses.

fn sockets(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn families_take_turns() {
    let sorted = connect::alternating(sockets(&["[::1]:1", "[::2]:1", "[::3]:1", "1.0.0.1:1"]));
    assert_eq!(
        sorted,
        sockets(&["[::1]:1", "1.0.0.1:1", "[::2]:1", "[::3]:1"])
    );
    let sorted = connect::alternating(sockets(&["1.0.0.1:1", "1.0.0.2:1", "[::1]:1"]));
    assert_eq!(sorted, sockets(&["1.0.0.1:1", "[::1]:1", "1.0.0.2:1"]));
    assert_eq!(connect::alternating(Vec::new()), []);
}

#[tokio::test]
async fn the_next_address_is_tried_at_once_when_one_refuses() {
    let (gone, refusing) = listen().await;
    drop(gone);
    let (_listener, address) = listen().await;
    let begun = Instant::now();
    let (_, reached) = connect::dial(vec![refusing, address], begun + LIMIT)
        .await
        .unwrap();
    assert_eq!(reached, address);
    assert!(
        begun.elapsed() < Duration::from_millis(200),
        "{:?}",
        begun.elapsed()
    );
}

/// A full backlog is an address that does not answer, anywhere and without a network.
async fn silent() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await
    {
        queued.push(stream);
    }
    (listener, queued, address)
}

#[tokio::test]
async fn the_next_address_is_tried_beside_one_that_is_silent() {
    let (_silence, _queued, silent) = silent().await;
    let (_listener, address) = listen().await;
    let begun = Instant::now();
    let (_, reached) = connect::dial(vec![silent, address], begun + LIMIT)
        .await
        .unwrap();
    assert_eq!(reached, address);
    assert!(begun.elapsed() >= Duration::from_millis(200));

    let trouble = connect::dial(vec![silent], Instant::now() + Duration::from_millis(100)).await;
    let trouble = trouble.err().unwrap();
    assert!(
        matches!(trouble, HttpFailure::Connect { address, why: Unconnected::Timeout } if address == silent),
        "{trouble:?}"
    );
}

// TLS.

struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    der: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "test authority");
        let der = params.self_signed(&key).unwrap().der().clone();
        Self {
            issuer: rcgen::Issuer::new(params, key),
            der,
        }
    }

    /// A client that trusts this authority alone.
    fn client(&self) -> Client {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::new(rustls::crypto::ring::default_provider()),
        )
        .build()
        .unwrap();
        Client {
            trust: Trust::by(verifier),
            ..client(LIMIT)
        }
    }

    /// A server of this name that answers one request; what it was asked, or nothing if there was no handshake.
    async fn serve(
        &self,
        name: &str,
        from: i32,
        to: i32,
    ) -> (SocketAddr, JoinHandle<Option<String>>) {
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        serve(leaf.der().clone(), &key).await
    }
}

async fn serve(
    certificate: CertificateDer<'static>,
    key: &rcgen::KeyPair,
) -> (SocketAddr, JoinHandle<Option<String>>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .unwrap();
    let (listener, address) = listen().await;
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = TlsAcceptor::from(Arc::new(config))
            .accept(stream)
            .await
            .ok()?;
        let asked = head(&mut stream).await;
        stream.write_all(OK).await.ok()?;
        stream.shutdown().await.ok()?;
        Some(asked).filter(|asked| !asked.is_empty())
    });
    (address, server)
}

#[tokio::test]
async fn a_certificate_in_order_is_shown_with_the_answer() {
    let authority = Authority::new();
    let (address, server) = authority.serve("app.example", 2020, 2100).await;
    let answer = authority
        .client()
        .to(address)
        .get(&uri("https://app.example/"), &[])
        .await
        .unwrap();
    let certificate = answer.certificate.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(certificate.names, ["app.example"]);
    assert_eq!(certificate.issuer, "test authority");
    assert_eq!(certificate.not_after.to_string(), "2100-01-01T00:00:00Z");
    assert!(
        server
            .await
            .unwrap()
            .unwrap()
            .contains("host: app.example\r\n")
    );
}

#[tokio::test]
async fn a_certificate_that_is_refused_is_shown_too_and_nothing_is_sent() {
    let authority = Authority::new();
    for (name, from, to, wrong) in [
        ("other.example", 2020, 2100, TlsFailure::NotForThisName),
        ("app.example", 2020, 2021, TlsFailure::Expired),
        ("app.example", 2090, 2100, TlsFailure::NotYetValid),
    ] {
        let (address, server) = authority.serve(name, from, to).await;
        let trouble = authority
            .client()
            .to(address)
            .get(&uri("https://app.example/"), &[])
            .await
            .unwrap_err();
        let HttpFailure::Tls { why, certificate } = trouble else {
            panic!("{trouble:?}");
        };
        assert_eq!(why, wrong);
        assert_eq!(certificate.unwrap().names, [name]);
        assert_eq!(server.await.unwrap(), None, "{name}");
    }
}

#[tokio::test]
async fn who_is_trusted_by_nobody_is_told() {
    let stranger = Authority::new();
    let (address, _server) = stranger.serve("app.example", 2020, 2100).await;
    let trouble = Authority::new()
        .client()
        .to(address)
        .get(&uri("https://app.example/"), &[])
        .await
        .unwrap_err();
    assert!(
        matches!(
            &trouble,
            HttpFailure::Tls { why: TlsFailure::UnknownIssuer, certificate: Some(certificate) }
                if certificate.issuer == "test authority" && !certificate.self_signed
        ),
        "{trouble:?}"
    );

    // As controllers make it for themselves.
    for authority in [false, true] {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["app.example".to_owned()]).unwrap();
        if authority {
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        }
        let (address, _server) = serve(params.self_signed(&key).unwrap().der().clone(), &key).await;
        let trouble = stranger
            .client()
            .to(address)
            .get(&uri("https://app.example/"), &[])
            .await
            .unwrap_err();
        assert!(
            matches!(
                &trouble,
                HttpFailure::Tls { why: TlsFailure::UnknownIssuer, certificate: Some(certificate) }
                    if certificate.self_signed
            ),
            "{trouble:?}"
        );
    }
}

#[tokio::test]
async fn what_does_not_speak_tls_is_told() {
    let (listener, address) = listen().await;
    let _server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        head(&mut stream).await;
    });
    let trouble = client(LIMIT)
        .get(&uri(format!("https://{address}/")), &[])
        .await
        .unwrap_err();
    assert_eq!(trouble.to_string(), "what answers there does not speak TLS");

    let (listener, address) = listen().await;
    let _server = tokio::spawn(async move { drop(listener.accept().await) });
    let trouble = client(LIMIT)
        .get(&uri(format!("https://{address}/")), &[])
        .await
        .unwrap_err();
    assert_eq!(
        trouble.to_string(),
        "it closed the connection during the TLS handshake"
    );
}

// Proxies.

fn through(proxy: &str, no: &str) -> Arc<Proxies> {
    Arc::new(Proxies::new(proxy, proxy, no))
}

#[tokio::test]
async fn an_http_url_is_fetched_by_the_proxy() {
    let (address, server) = answering(OK).await;
    let client = Client {
        proxies: through(&format!("http://me:secret@{address}"), ""),
        ..client(LIMIT)
    };
    let answer = client.get(&uri("http://app.invalid/x"), &[]).await.unwrap();
    assert_eq!(answer.proxy, Some(format!("http://{address}")));
    let asked = server.await.unwrap();
    assert!(
        asked.starts_with("GET http://app.invalid/x HTTP/1.1\r\n"),
        "{asked}"
    );
    assert!(
        asked.contains("proxy-authorization: Basic bWU6c2VjcmV0\r\n"),
        "{asked}"
    );
    assert!(asked.contains("host: app.invalid\r\n"), "{asked}");
}

/// A proxy that connects to `to` whatever it is asked for; gives back what it was asked.
async fn connecting(to: SocketAddr) -> (SocketAddr, Arc<Mutex<String>>) {
    let (listener, address) = listen().await;
    let asked = Arc::new(Mutex::new(String::new()));
    let seen = asked.clone();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = head(&mut stream).await;
        *seen.lock().unwrap() = head;
        let mut server = TcpStream::connect(to).await.unwrap();
        stream
            .write_all(b"HTTP/1.1 200 Connected\r\n\r\n")
            .await
            .unwrap();
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
    });
    (address, asked)
}

#[tokio::test]
async fn an_https_url_goes_through_the_proxy_in_secret() {
    let authority = Authority::new();
    let (server, behind) = authority.serve("app.invalid", 2020, 2100).await;
    let (proxy, asked) = connecting(server).await;
    let client = Client {
        proxies: through(&format!("http://me:secret@{proxy}"), ""),
        ..authority.client()
    };
    let answer = client
        .get(&uri("https://app.invalid/x"), &[])
        .await
        .unwrap();
    assert_eq!(answer.certificate.unwrap().names, ["app.invalid"]);
    assert_eq!(answer.address, Some(proxy));
    let asked = asked.lock().unwrap().clone();
    assert!(
        asked.starts_with("CONNECT app.invalid:443 HTTP/1.1\r\n"),
        "{asked}"
    );
    assert!(
        asked.contains("Proxy-Authorization: Basic bWU6c2VjcmV0\r\n"),
        "{asked}"
    );
    let seen = behind.await.unwrap().unwrap().to_ascii_lowercase();
    assert!(seen.starts_with("get /x http/1.1\r\n"), "{seen}");
    assert!(!seen.contains("proxy-authorization"), "{seen}");
}

/// SOCKS 5 (RFC 1928), with the name left to the proxy to resolve.
#[tokio::test]
async fn a_socks_proxy_is_used_too() {
    let (listener, address) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut greeting = [0; 3];
        stream.read_exact(&mut greeting).await.unwrap();
        stream.write_all(&[5, 0]).await.unwrap();
        let mut wanted = [0; 5 + 11 + 2];
        stream.read_exact(&mut wanted).await.unwrap();
        stream
            .write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
            .await
            .unwrap();
        let asked = head(&mut stream).await;
        stream.write_all(OK).await.unwrap();
        (greeting, wanted, asked)
    });
    let client = Client {
        proxies: through(&format!("socks5h://{address}"), ""),
        ..client(LIMIT)
    };
    let answer = client
        .get(&uri("http://app.invalid:8080/x"), &[])
        .await
        .unwrap();
    assert_eq!(answer.status, 200);
    let (greeting, wanted, asked) = server.await.unwrap();
    assert_eq!(greeting, [5, 1, 0]);
    assert_eq!(&wanted, b"\x05\x01\x00\x03\x0bapp.invalid\x1f\x90");
    assert!(asked.starts_with("GET /x HTTP/1.1\r\n"), "{asked}");
}

#[tokio::test]
async fn a_proxy_that_refuses_or_is_not_there_is_named_without_its_password() {
    let (address, _server) = answering(b"HTTP/1.1 403 Forbidden\r\n\r\n").await;
    let client = Client {
        proxies: through(&format!("http://me:secret@{address}"), ""),
        ..client(LIMIT)
    };
    let trouble = client
        .get(&uri("https://app.invalid/"), &[])
        .await
        .unwrap_err();
    assert_eq!(
        trouble.to_string(),
        format!(
            "the proxy http://{address} did not let the connection through (tunnel error: unsuccessful)"
        )
    );
    for scheme in ["http", "https"] {
        let trouble = client
            .get(&uri(format!("{scheme}://app.invalid/")), &[])
            .await
            .unwrap_err();
        assert_eq!(
            trouble.to_string(),
            format!(
                "the proxy http://{address} cannot be used: nothing listens at {address} (connection refused)"
            )
        );
    }
}

#[tokio::test]
async fn some_are_never_asked_through_a_proxy() {
    let (listener, nobody) = listen().await;
    drop(listener);
    let with = |no: &str| Client {
        proxies: through(&format!("http://{nobody}"), no),
        ..client(LIMIT)
    };
    // This machine.
    let (address, _server) = answering(OK).await;
    let answer = with("")
        .get(&uri(format!("http://{address}/")), &[])
        .await
        .unwrap();
    assert_eq!(answer.proxy, None);
    // An address that was given.
    let (address, _server) = answering(OK).await;
    with("")
        .to(address)
        .get(&uri("http://app.invalid/"), &[])
        .await
        .unwrap();
    // What NO_PROXY says.
    let trouble = with(".invalid")
        .get(&uri("http://app.invalid/"), &[])
        .await
        .unwrap_err();
    assert!(matches!(trouble, HttpFailure::Name { .. }), "{trouble:?}");
    let trouble = with("")
        .get(&uri("http://app.invalid/"), &[])
        .await
        .unwrap_err();
    assert!(matches!(trouble, HttpFailure::Proxy { .. }), "{trouble:?}");
}

/// What an address of this machine is to a client of a cluster elsewhere.
#[tokio::test]
async fn this_machine_is_not_asked_for_others() {
    let (listener, address) = listen().await;
    let port = address.port();
    let elsewhere = |server: Option<&str>| Client {
        beside: server.map(str::to_owned),
        ..client(LIMIT)
    };
    let local = |trouble: &HttpFailure| matches!(trouble, HttpFailure::Local { .. });
    for server in [None, Some("192.0.2.1"), Some("2001:db8::1")] {
        for host in [
            "127.0.0.1",
            "localhost",
            "0.0.0.0",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "2130706433",
        ] {
            let url = uri(format!("http://{host}:{port}/"));
            let trouble = elsewhere(server).get(&url, &[]).await.unwrap_err();
            assert!(local(&trouble), "{host}: {trouble}");
        }
        let named = uri("http://app.invalid/");
        let trouble = elsewhere(server)
            .to(address)
            .get(&named, &[])
            .await
            .unwrap_err();
        assert!(local(&trouble), "{trouble}");
        let metadata = uri("http://169.254.169.254/latest/meta-data/");
        let trouble = elsewhere(server).get(&metadata, &[]).await.unwrap_err();
        assert_eq!(
            trouble.to_string(),
            "169.254.169.254 is this machine or next to it, and is not asked: the cluster is elsewhere"
        );
    }
    let trouble = elsewhere(None)
        .get(&uri(format!("http://localhost:{port}/")), &[])
        .await
        .unwrap_err();
    assert!(
        trouble.to_string().starts_with("localhost leads to "),
        "{trouble}"
    );
    let asked = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(asked.is_err(), "nobody has connected");
    for server in ["127.0.0.1", "[::1]", "localhost", "0.0.0.0"] {
        let (address, _server) = answering(OK).await;
        let url = uri(format!("http://{address}/"));
        elsewhere(Some(server)).get(&url, &[]).await.unwrap();
    }
}

/// A proxy resolves names by itself, so they are looked at as they are.
#[tokio::test]
async fn a_proxy_is_not_sent_to_this_machine() {
    let (listener, proxy) = listen().await;
    let client = Client {
        proxies: through(&format!("http://{proxy}"), ""),
        beside: None,
        ..client(LIMIT)
    };
    for host in [
        "169.254.169.254",
        "api.localhost",
        "127.1",
        "0x7f000001",
        "[fe80::1]",
        "[::ffff:169.254.169.254]",
    ] {
        for scheme in ["http", "https"] {
            let url = uri(format!("{scheme}://{host}/"));
            let trouble = client.get(&url, &[]).await.unwrap_err();
            assert!(
                matches!(trouble, HttpFailure::Local { .. }),
                "{url}: {trouble}"
            );
        }
    }
    let asked = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(asked.is_err(), "the proxy was not asked");
}
