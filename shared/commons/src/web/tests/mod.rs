//! Against servers of these tests, each with one behaviour, right or wrong.

use std::net::Ipv4Addr;
use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;

mod addresses;
mod proxies;
mod tls;

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
