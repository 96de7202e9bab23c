//! Through a proxy, and never through one; and who is not asked at all.

use super::tls::Authority;
use super::*;

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
    assert!(asked.is_err(), "no client has connected");
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
