//! What is found out at the address itself.

use std::net::Ipv4Addr;
use std::sync::atomic::Ordering;

use crate::fixtures;
use cli_tests::{Fate, Request, Response, Run, TRUSTED};
use serde_json::json;

use crate::platform::{Platform, page};
use crate::together;

fn redirect(to: &str) -> Response {
    Response::text(302, "text/html", "").header("location", to)
}

/// With the app `web`, which answers this.
fn answering(answers: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Platform {
    let platform = Platform::new();
    platform.add("web", 8000);
    platform.server.program("web", 8000, answers);
    platform
}

/// Apps that answer, each in its way.
#[test]
fn answers() {
    let run = |answers: fn(&Request) -> Response, args: &[&str]| {
        answering(answers).expose(args).success()
    };
    let plain = || {
        run(
            |_| Response::text(200, "application/json", "{\"status\":\"ok\"}"),
            &["web", "--tls", "off"],
        )
    };
    let login = || {
        run(
            |request| {
                if request.path == "/" {
                    redirect("/login")
                } else {
                    page("Log in")
                }
            },
            &["web"],
        )
    };
    let elsewhere = || {
        run(
            |_| redirect("https://sso.example.test/auth?client=web"),
            &["web"],
        )
    };
    let no_start_page = || {
        run(
            |_| Response::text(404, "text/plain; charset=utf-8", "404 page not found\n"),
            &["web"],
        )
    };
    let other_page = || {
        run(
            |request| {
                if request.path == "/docs" {
                    page("Docs")
                } else {
                    Response::text(404, "text/plain; charset=utf-8", "404 page not found\n")
                }
            },
            &["web", "--path", "/docs"],
        )
    };
    let broken = || {
        run(
            |_| Response::text(500, "text/html", "<title>Server Error</title>"),
            &["web"],
        )
    };
    let guarded = || {
        run(
            |_| Response::text(401, "text/html", "").header("www-authenticate", "Basic"),
            &["web"],
        )
    };
    let empty = || run(|_| Response::text(200, "text/html", ""), &["web"]);
    snapshot_all!(together(&[
        &plain,
        &login,
        &elsewhere,
        &no_start_page,
        &other_page,
        &broken,
        &guarded,
        &empty
    ]));
}

/// Apps that must not be open to the world.
#[test]
fn dangers() {
    let image = |image: &str, args: &[&str]| {
        let platform = Platform::new();
        let [mut deployment, service] = crate::fixtures::app("web", 8000);
        let container = &mut deployment["spec"]["template"]["spec"]["containers"][0];
        container["image"] = json!(image);
        container["args"] = json!(args);
        platform.server.submit(deployment);
        platform.server.submit(service);
        platform.server.program("web", 8000, |_| page("Shop"));
        platform.expose(&["web"]).success()
    };
    let adminer = || image("docker.io/library/adminer:4", &[]);
    let code = || image("codercom/code-server:4", &["--auth", "none"]);
    let jupyter = || {
        let start = |request: &Request| match request.path.as_str() {
            "/" => redirect("/lab?"),
            _ => page("JupyterLab"),
        };
        answering(start).expose(&["web"]).success()
    };
    snapshot_all!(together(&[&adminer, &code, &jupyter]));
}

/// The way to the app is broken for good: that is said at once.
#[test]
fn broken_for_good() {
    let circle = || answering(|_| redirect("/")).expose(&["web"]);
    let https = || {
        answering(|request| {
            redirect(&format!(
                "https://{}/",
                request.header("host").unwrap_or_default()
            ))
        })
        .expose(&["web"])
    };
    let http = || {
        let start = |request: &Request| {
            format!(
                "http://{}/start",
                request.header("host").unwrap_or_default()
            )
        };
        let platform = answering(move |request| redirect(&start(request)));
        platform.internet.no_plain_http();
        platform.expose(&["web"])
    };
    let expired = || {
        let platform = Platform::with_web();
        platform.internet.expired_wildcard();
        platform.expose(&["web"])
    };
    let distrusted = || {
        let platform = Platform::with_web();
        // The API server's authority, and not that of the addresses.
        platform.alice.write(".trusted.pem", TRUSTED.pem());
        platform.expose(&["web"])
    };
    let nameless = || Platform::with_web().expose(&["web", "--host", "web.elsewhere.example.test"]);
    snapshot_all!(together(&[
        &circle,
        &https,
        &http,
        &expired,
        &distrusted,
        &nameless
    ]));
}

/// Somebody writes the same host at the same moment, and is there first.
#[test]
fn lost_to_somebody_else() {
    let platform = Platform::with_web();
    let written = platform.written();
    platform
        .internet
        .host("web-alice.kub.example.test", move |_| {
            if written.load(Ordering::Relaxed) {
                page("Bob's shop")
            } else {
                Response::text(404, "text/plain; charset=utf-8", "404 page not found\n")
            }
        });
    let run = platform.expose(&["web"]);
    assert_ne!(run.code(), 0);
    assert_eq!(
        platform.server.ours(),
        [""; 0],
        "what was made is taken back"
    );
    snapshot!(run);
}

/// Alice and Bob want the same host at the same moment: one of them has it, the other is told.
#[test]
fn two_at_once() {
    let platform = Platform::with_web();
    let bob = fixtures::user("oidc-bob");
    platform.server.put(fixtures::namespace("user-bob"));
    platform
        .server
        .put(fixtures::role_binding("user-bob", "bob", "admin", &bob));
    for mut object in fixtures::app("bobs", 8000) {
        object["metadata"]["namespace"] = json!("user-bob");
        platform.server.submit(object);
    }
    platform
        .server
        .program("bobs", 8000, |_| page("Bob's shop"));
    let bob = platform.session("bob-token");
    let host = "shop.kub.example.test";
    let runs = together(&[&|| platform.expose(&["web", "--host", host]), &|| {
        bob.run("expose-app", ["bobs", "--host", host, "-n", "user-bob"])
    }]);
    let (won, lost): (Vec<&Run>, Vec<&Run>) = runs.iter().partition(|run| run.code() == 0);
    assert!(won.len() == 1 && lost.len() == 1, "{runs:?}");
    let told = format!("host {host} is already in use");
    assert!(lost[0].stderr.contains(&told), "{}", lost[0]);
    assert_eq!(
        platform.server.ours().len(),
        1,
        "the other took back what it made"
    );
}

/// Ctrl-C while it waits for an answer.
#[test]
fn interrupted_while_waiting() {
    let platform = Platform::with_web();
    platform.internet.class("nginx");
    let running = platform.alice.spawn("expose-app", ["web"]);
    platform
        .server
        .wait_for("a look at the Ingress", |request| {
            request.method == "GET" && request.path.ends_with("/ingresses/expose-web")
        });
    running.interrupt();
    let run = running.finish();
    assert_eq!(run.code(), 130, "{run}");
    assert_eq!(platform.server.ours(), ["ingresses/expose-web"]);
    snapshot!(run);
}

/// All that may still become right is waited for, but not for ever.
pub fn to_the_end() {
    let unclaimed = || {
        let platform = Platform::with_web();
        platform.internet.class("nginx");
        platform.expose(&["web"])
    };
    let classless = || {
        let platform = Platform::with_web();
        platform.server.no_default_ingress_class();
        platform.internet.class("nginx");
        platform.expose(&["web"])
    };
    let status = |code: u16, text: &'static str| {
        let platform = Platform::with_web();
        let host = "web-alice.kub.example.test";
        let there = platform.has_ingress();
        platform.internet.host(host, move |_| {
            let code = if there.load(Ordering::Relaxed) {
                code
            } else {
                404
            };
            let text = if code == 404 {
                "404 page not found\n"
            } else {
                text
            };
            Response::text(code, "text/plain; charset=utf-8", text)
        });
        platform.expose(&["web"])
    };
    let deep = || Platform::with_web().expose(&["web", "--host", "a.b.kub.example.test"]);
    let bad_gateway = || status(502, "Bad Gateway");
    let nobody_ready = || status(503, "no available server\n");
    let another = || {
        let platform = Platform::with_web();
        platform.internet.wildcard_of_another();
        platform.expose(&["web"])
    };
    let no_certificate = || {
        let platform = Platform::with_web();
        platform.internet.no_wildcard();
        platform.expose(&["web"])
    };
    let unreachable = || {
        let platform = Platform::with_web();
        platform.internet.name(
            "web-alice.kub.example.test",
            Ipv4Addr::new(127, 255, 255, 1),
        );
        platform.expose(&["web"])
    };
    let no_cert_manager = || Platform::with_web().expose(&["web", "--tls", "issuer=letsencrypt"]);
    let slow = || {
        let platform = answering(|_| {
            Response::raw(|stream| while stream.read(&mut [0; 64]).is_ok_and(|count| count > 0) {})
        });
        platform.expose(&["web"])
    };
    let listed = || {
        let platform = Platform::with_web();
        let _ = platform.expose(&["web", "--no-wait"]).success();
        platform.server.fate("web", Fate::crash(1, "gone\n"));
        platform.expose(&["list"]).success()
    };
    let runs = together(&[
        &unclaimed,
        &classless,
        &bad_gateway,
        &nobody_ready,
        &another,
        &no_certificate,
        &deep,
        &unreachable,
        &no_cert_manager,
        &slow,
        &listed,
    ]);
    snapshot_all!("to_the_end", runs);
}
