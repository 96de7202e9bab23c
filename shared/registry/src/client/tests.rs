//! Against registries of our own, each with one thing in it that is odd.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::config::User;

const LIMIT: Duration = Duration::from_secs(20);
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn digest(letter: char) -> String {
    format!("sha256:{}", letter.to_string().repeat(64))
}

/// An answer: status, headers, body.
type Reply = (u16, String, String);

fn ok(body: &Value) -> Reply {
    (200, String::new(), body.to_string())
}

fn error(status: u16, code: &str) -> Reply {
    (
        status,
        String::new(),
        json!({"errors": [{"code": code}]}).to_string(),
    )
}

/// A server that answers each request by `answer`, given the path and the head in full; and the heads it has seen.
struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(answer: impl Fn(SocketAddr, &str, &str) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let heads = seen.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                let path = head.split(' ').nth(1).unwrap().to_owned();
                let (status, headers, body) = answer(address, &path, &head);
                heads.lock().unwrap().push(head);
                let length = body.len();
                let reply = format!(
                    "HTTP/1.1 {status} Whatever\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
                );
                let _ = stream.write_all(reply.as_bytes()).await;
            }
        });
        Self { address, seen }
    }

    async fn ask(&self, image: &str) -> Inspection {
        let image = format!("{}/{image}", self.address).parse().unwrap();
        inspect(&image, "amd64", LIMIT, "127.0.0.1").await
    }

    fn paths(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .map(|head| head.split(' ').nth(1).unwrap().to_owned())
            .collect()
    }
}

fn index() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            {"digest": digest('1'), "platform": {"os": "linux", "architecture": "arm64"}},
            {"digest": digest('2'), "platform": {"os": "linux", "architecture": "amd64"}},
            {"digest": digest('3'), "platform": {"os": "unknown", "architecture": "unknown"}},
        ],
    })
}

fn manifest_of(config: char) -> Value {
    json!({"schemaVersion": 2, "config": {"digest": digest(config)}, "layers": []})
}

fn config() -> Value {
    json!({
        "architecture": "amd64", "os": "linux",
        "config": {"User": "node", "ExposedPorts": {"3000/tcp": {}}, "Cmd": ["node", "server.js"]},
    })
}

fn configured() -> Image {
    Image {
        ports: vec![3000],
        user: User::Named("node".to_owned()),
        architectures: vec!["amd64".to_owned()],
    }
}

fn found(seen: Inspection) -> Image {
    match seen {
        Inspection::Found(image) => image,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_index_leads_to_the_image_of_the_architecture() {
    let registry = Server::start(|_, path, head| match path {
        "/v2/alice/app/manifests/1.0" => {
            assert!(head.contains(OCI_INDEX), "{head}");
            ok(&index())
        }
        path if path.ends_with(&format!("/manifests/{}", digest('2'))) => ok(&manifest_of('c')),
        path if path.ends_with(&format!("/blobs/{}", digest('c'))) => ok(&config()),
        _ => error(404, "UNKNOWN"),
    })
    .await;
    let image = found(registry.ask("alice/app:1.0").await);
    assert_eq!(
        image,
        Image {
            architectures: vec!["arm64".to_owned(), "amd64".to_owned()],
            ..configured()
        }
    );
    assert_eq!(registry.paths().len(), 3);
    let seen = registry.seen.lock().unwrap().join("");
    assert!(
        !seen.to_ascii_lowercase().contains("authorization"),
        "{seen}"
    );
}

#[tokio::test]
async fn a_digest_is_asked_for_and_not_the_tag() {
    let registry = Server::start(|_, path, _| {
        if path.ends_with(&format!("/manifests/{}", digest('9'))) {
            ok(&manifest_of('c'))
        } else {
            ok(&config())
        }
    })
    .await;
    let image = found(registry.ask(&format!("app:1@{}", digest('9'))).await);
    assert_eq!(image, configured());
    assert_eq!(
        registry.paths(),
        [
            format!("/v2/app/manifests/{}", digest('9')),
            format!("/v2/app/blobs/{}", digest('c')),
        ]
    );
}

#[tokio::test]
async fn an_architecture_that_is_not_offered_is_told_with_those_that_are() {
    let registry = Server::start(|_, path, _| match path {
        "/v2/many/manifests/latest" => ok(&json!({"manifests": [
            {"digest": digest('1'), "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}},
            {"digest": digest('2'), "platform": {"os": "windows", "architecture": "amd64"}},
        ]})),
        "/v2/one/manifests/latest" => ok(&manifest_of('c')),
        _ => ok(&json!({"architecture": "arm64", "config": {}})),
    })
    .await;
    for image in ["many", "one"] {
        let seen = registry.ask(image).await;
        assert!(
            matches!(&seen, Inspection::OtherArchitecture(offered) if *offered == ["arm64"]),
            "{image}: {seen:?}"
        );
    }
}

/// A registry that wants a token, gives it to anybody, and keeps its blobs elsewhere.
#[tokio::test]
async fn a_token_is_fetched_once_and_shown_to_the_registry_alone() {
    let elsewhere = Server::start(|_, _, _| ok(&config())).await;
    let storage = elsewhere.address;
    let registry = Server::start(move |address, path, head| {
        if path.starts_with("/token?") {
            assert_eq!(
                path,
                "/token?from=here&service=the%20registry&scope=repository:alice/app:pull"
            );
            return ok(&json!({"token": "t0k3n"}));
        }
        if !head.contains("authorization: Bearer t0k3n\r\n") {
            let challenge = format!(
                "WWW-Authenticate: Basic realm=\"x\"\r\nWWW-Authenticate: Bearer realm=\"http://{address}/token?from=here\",service=\"the registry\",scope=\"repository:alice/app:pull,push\"\r\n"
            );
            return (401, challenge, String::new());
        }
        if path.contains("/blobs/") {
            return (307, format!("Location: http://{storage}/blob\r\n"), String::new());
        }
        ok(&manifest_of('c'))
    })
    .await;
    assert_eq!(found(registry.ask("alice/app:1").await), configured());
    let paths = registry.paths();
    assert_eq!(
        paths
            .iter()
            .filter(|path| path.starts_with("/token"))
            .count(),
        1,
        "{paths:?}"
    );
    assert_eq!(paths.len(), 4, "{paths:?}");
    let seen = elsewhere.seen.lock().unwrap().join("").to_ascii_lowercase();
    assert!(
        seen.starts_with("get /blob ") && !seen.contains("authorization"),
        "{seen}"
    );
}

#[tokio::test]
async fn a_redirect_in_the_same_place_is_followed_but_not_for_ever() {
    let registry = Server::start(|_, path, _| match path {
        "/v2/app/manifests/1" => (302, "Location: /moved\r\n".to_owned(), String::new()),
        "/moved" => ok(&manifest_of('c')),
        "/v2/loop/manifests/1" => (
            302,
            "Location: /v2/loop/manifests/1\r\n".to_owned(),
            String::new(),
        ),
        _ => ok(&config()),
    })
    .await;
    assert_eq!(found(registry.ask("app:1").await), configured());
    let seen = registry.ask("loop:1").await;
    assert!(
        matches!(&seen, Inspection::Unclear(why) if why.contains("without end")),
        "{seen:?}"
    );
}

/// Which refusal means what; each is what a registry in use says.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn refusals_are_told_apart() {
    let registry = Server::start(|address, path, head| {
        let with_token = head.contains("authorization: Bearer");
        let challenge = |realm: &str| {
            let challenge = format!(
                "WWW-Authenticate: Bearer realm=\"http://{address}/{realm}\",service=\"s\"\r\n"
            );
            (
                401,
                challenge,
                json!({"errors": [{"code": "UNAUTHORIZED"}]}).to_string(),
            )
        };
        let part = |at| path.split('/').nth(at).unwrap_or_default();
        match (part(2), part(3)) {
            // Docker Hub and GitLab: an anonymous token, which does not help.
            ("hub", _) if with_token => error(401, "UNAUTHORIZED"),
            ("hub", _) => challenge("token"),
            // ghcr.io and others: no token.
            ("ghcr", _) => challenge("denied"),
            // A registry behind a password.
            ("basic", _) => (
                401,
                "WWW-Authenticate: Basic realm=\"Registry\"\r\n".to_owned(),
                String::new(),
            ),
            ("silent", _) => (401, String::new(), String::new()),
            ("harbor", _) | ("unlisted", "tags") => error(403, "DENIED"),
            ("busy", _) => error(429, "TOOMANYREQUESTS"),
            ("busy-token", _) => challenge("busy"),
            ("no-token", _) => challenge("empty"),
            ("down", _) => (503, String::new(), String::new()),
            ("nameless", _) => error(404, "NAME_UNKNOWN"),
            ("quiet", _) | ("tagless" | "unlisted", "manifests") => error(404, "MANIFEST_UNKNOWN"),
            ("tagless", _) => ok(
                &json!({"tags": ["latest", "3.11", "3.12-slim", "3.12", "v3.13", "3.1\u{1b}[2J"]}),
            ),
            ("html", _) => (200, String::new(), "<html>log in".to_owned()),
            ("halved", "manifests") => ok(&manifest_of('c')),
            ("halved", _) => error(404, "BLOB_UNKNOWN"),
            _ if path.starts_with("/token?") => ok(&json!({"access_token": "t"})),
            _ if path.starts_with("/denied?") => error(403, "DENIED"),
            _ if path.starts_with("/busy?") => error(429, "TOOMANYREQUESTS"),
            _ => ok(&json!({})),
        }
    })
    .await;
    for (image, verdict) in [
        ("hub", "Private"),
        ("ghcr", "Private"),
        ("basic", "Private"),
        ("silent", "Private"),
        ("harbor", "Private"),
        ("busy", "RateLimited"),
        ("busy-token", "RateLimited"),
        (
            "no-token",
            "Unclear(\"it gives out no token to read with\")",
        ),
        ("down", "Unclear(\"it answers 503 Service Unavailable\")"),
        ("nameless", "NoSuchRepository"),
        ("quiet", "NoSuchRepository"),
        (
            "tagless:3.12-slm",
            "NoSuchTag([\"3.12-slim\", \"3.12\", \"3.11\"])",
        ),
        (
            "tagless:v3.12",
            "NoSuchTag([\"3.12\", \"3.12-slim\", \"3.11\"])",
        ),
        ("unlisted", "NoSuchTag([])"),
        (
            "html",
            "Unclear(\"its answer is not the manifest of an image\")",
        ),
        (
            "halved",
            "Unclear(\"a part of the image is missing there\")",
        ),
    ] {
        assert_eq!(
            format!("{:?}", registry.ask(image).await),
            verdict,
            "{image}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_not_read() {
    let registry = Server::start(|_, _, _| (200, String::new(), "[".repeat(MOST + 1))).await;
    let seen = registry.ask("app").await;
    assert!(
        matches!(&seen, Inspection::Unclear(why) if why.contains("too long")),
        "{seen:?}"
    );
}

#[tokio::test]
async fn all_questions_together_have_a_time_limit() {
    // Every answer takes a while, none for too long.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut ignored = [0; 4096];
            let _ = stream.read(&mut ignored).await;
            tokio::time::sleep(Duration::from_millis(150)).await;
            let reply = "HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n";
            let _ = stream.write_all(reply.as_bytes()).await;
        }
    });
    let image = format!("{address}/app").parse().unwrap();
    let begun = Instant::now();
    let seen = inspect(&image, "amd64", Duration::from_millis(400), "127.0.0.1").await;
    assert!(
        matches!(seen, Inspection::Unreachable(HttpFailure::Timeout)),
        "{seen:?}"
    );
    assert!(
        begun.elapsed() < Duration::from_millis(600),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn nobody_there_is_told() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let image = format!("{address}/app").parse().unwrap();
    let seen = inspect(&image, "amd64", LIMIT, "127.0.0.1").await;
    assert!(
        matches!(seen, Inspection::Unreachable(HttpFailure::Connect { .. })),
        "{seen:?}"
    );
}

/// As Docker does it, but without TLS first: a server without may wait for ever for the end of what looks like a line.
#[tokio::test]
async fn a_registry_on_this_machine_is_asked_by_tls_where_it_wants_to() {
    const REPLY: &[u8] =
        b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let mut first_bytes = Vec::new();
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            first_bytes.push(stream.read_u8().await.unwrap());
            stream.write_all(REPLY).await.unwrap();
        }
        first_bytes
    });
    let image = format!("{address}/app").parse().unwrap();
    let seen = inspect(&image, "amd64", LIMIT, "127.0.0.1").await;
    assert!(
        matches!(seen, Inspection::Unreachable(HttpFailure::Tls { .. })),
        "{seen:?}"
    );
    // A letter, and the type of record that a handshake is.
    assert_eq!(server.await.unwrap(), [b'G', 22]);
}

#[test]
fn tls_is_kept_except_on_this_machine() {
    let follows = |from: &str, to: &str| may_follow(from, &to.parse().unwrap()).is_ok();
    assert!(follows("https://ghcr.io", "https://cdn.example/x"));
    assert!(follows("http://127.0.0.1:5000", "http://127.0.0.1:5001/x"));
    assert!(follows("http://localhost:5000", "http://[::1]:5001/x"));
    assert!(follows("http://localhost:5000", "https://cdn.example/x"));
    for (from, to) in [
        ("https://ghcr.io", "http://ghcr.io/x"),
        ("https://ghcr.io", "http://127.0.0.1/x"),
        ("https://127.0.0.1:5000", "http://127.0.0.1:5001/x"),
        ("http://127.0.0.1:5000", "http://10.0.0.1/x"),
        ("http://127.0.0.1:5000", "http://localhost.example/x"),
        ("https://ghcr.io", "ftp://ghcr.io/x"),
        ("https://ghcr.io", "x"),
    ] {
        assert!(!follows(from, to), "{from} to {to}");
    }
    for (image, expected) in [
        ("nginx", "https://registry-1.docker.io"),
        ("ghcr.io/a", "https://ghcr.io"),
        ("registry:5000/a", "https://registry:5000"),
        ("10.0.0.1:5000/a", "https://10.0.0.1:5000"),
        ("localhost:5000/a", "http://localhost:5000"),
        ("127.0.0.1/a", "http://127.0.0.1"),
        ("[::1]:5000/a", "http://[::1]:5000"),
    ] {
        assert_eq!(origin(&image.parse().unwrap()), expected, "{image}");
    }
}

#[test]
fn redirects_lead_to_urls_and_paths() {
    let from: Uri = "https://ghcr.io/v2/a".parse().unwrap();
    for (to, url) in [
        (
            "https://cdn.example/x?y=z",
            Some("https://cdn.example/x?y=z"),
        ),
        ("/token", Some("https://ghcr.io/token")),
        ("//cdn.example/x", None),
        ("http://ghcr.io/x", None),
        ("blob", None),
        ("", None),
        ("javascript:alert(1)", None),
        ("https://127.0.0.1:6001/admin/shutdown?x=1", None),
        ("https://169.254.169.254/latest/meta-data/", None),
        ("https://[::1]/x", None),
        ("https://10.0.0.1/x", None),
        ("https://localhost/x", None),
        ("https://intranet/x", None),
    ] {
        let found = next("https://ghcr.io", &from, to)
            .ok()
            .map(|url| url.to_string());
        assert_eq!(found.as_deref(), url, "{to}");
    }
}

#[test]
fn challenges_are_read_as_registries_write_them() {
    let challenge = |realm: &str, service: Option<&str>| {
        Some(Challenge {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
        })
    };
    for (value, read) in [
        (
            r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull,push""#,
            challenge("https://auth.docker.io/token", Some("registry.docker.io")),
        ),
        (
            r#"bearer scope="a,b=c", Service="x y" , REALM="https://a/b?c=d""#,
            challenge("https://a/b?c=d", Some("x y")),
        ),
        (
            "Bearer realm=https://a/b,service=s",
            challenge("https://a/b", Some("s")),
        ),
        (
            r#"Bearer realm="https://a", Basic realm="b""#,
            challenge("https://a", None),
        ),
        (r#"Basic realm="https://a""#, None),
        (r#"Bearer service="s""#, None),
        (r#"Bearer realm="https://unfinished"#, None),
        ("Bearer", None),
        ("", None),
    ] {
        assert_eq!(Challenge::read(value), read, "{value}");
    }
}

#[test]
fn tokens_are_asked_for_in_public_or_at_the_registry_itself() {
    let may = |registry: &str, realm: &str| may_ask(registry, &realm.parse().unwrap());
    for (registry, realm) in [
        (
            "https://registry-1.docker.io",
            "https://auth.docker.io/token",
        ),
        ("https://registry.intern", "https://registry.intern/token"),
        ("https://registry", "https://registry/token"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000/token"),
    ] {
        assert!(may(registry, realm), "{realm}");
    }
    for realm in [
        "https://127.0.0.1/token",
        "https://localhost:8443/",
        "https://169.254.169.254/latest",
        "https://[::1]/",
        "https://10.0.0.1/",
        "https://vault/v1/secret",
    ] {
        assert!(!may("https://registry.example", realm), "{realm}");
    }
}
