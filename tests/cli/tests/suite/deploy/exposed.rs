//! `--expose`: from an image to an address that answers with the app, in one command.

use cli_tests::{Fate, Response};

use super::web;
use crate::platform::{Platform, page};
use crate::together;

/// With a program that listens in the app's pods as soon as they are there.
fn platform() -> Platform {
    let platform = Platform::new();
    platform.server.program("web", 8000, |_| page("Shop"));
    platform
}

#[test]
fn from_the_first_to_the_last() {
    let platform = platform();
    let run = |args: &[&str]| platform.deploy(args).success();
    let first = run(&web(&["--expose"]));
    assert_eq!(first.stdout, "https://web-alice.kub.example.test\n");
    assert_eq!(
        platform.server.ours(),
        ["deployments/web", "ingresses/expose-web", "services/web"]
    );
    let update = run(&["web", "--replicas", "2"]);
    platform.server.advance(5400);
    let list = run(&["list"]);
    let exposed = platform.expose(&["list"]).success();
    let other = run(&[
        "web",
        "--image",
        "registry.example.test/shop/web:2",
        "--expose=shop",
        "--no-wait",
    ]);
    let delete = run(&["delete", "web"]);
    assert_eq!(platform.server.ours(), [""; 0]);
    snapshot!(first, update, list, exposed, other, delete);
}

#[test]
fn dry() {
    let platform = platform();
    platform.server.forget_requests();
    let run = |args: &[&str]| platform.deploy(&web(args));
    let client = run(&["--expose", "--dry-run"]).success();
    let yaml = run(&["--expose=shop", "--dry-run", "-o", "yaml"]).success();
    let server = run(&["--expose", "--dry-run=server"]);
    assert_eq!(platform.server.writes(), [""; 0]);
    assert_eq!(platform.server.ours(), [""; 0]);
    assert!(platform.internet.requests().is_empty(), "nobody is asked");
    snapshot!(client, yaml, server);
}

/// What is known before is refused before anything is written.
#[test]
fn refused() {
    let taken = || {
        let platform = platform();
        platform
            .internet
            .host("web-alice.kub.example.test", |_| page("Bob's shop"));
        platform.server.forget_requests();
        platform.not_deployed(&web(&["--expose"]))
    };
    let no_port = || {
        let platform = platform();
        platform.server.forget_requests();
        platform.not_deployed(&["web", "--image", super::IMAGE, "--port", "none", "--expose"])
    };
    let no_domain = || {
        let platform = platform();
        platform.server.remove("ingresses", "user-alice", "grafana");
        platform.server.forget_requests();
        platform.not_deployed(&web(&["--expose"]))
    };
    let no_host = || {
        let platform = platform();
        platform.server.forget_requests();
        platform.not_deployed(&web(&["--expose=https://shop.kub.example.test/"]))
    };
    snapshot_all!(together(&[&taken, &no_port, &no_domain, &no_host]));
}

/// The app does not come up, or does not answer as it should: what is said, and what stays.
#[test]
fn failing() {
    let crash = || {
        let platform = platform();
        platform.server.fate("web", Fate::crash(1, "no database\n"));
        platform.deploy(&web(&["--expose"]))
    };
    let elsewhere = || {
        let platform = Platform::new();
        platform.server.program("web", 3000, |_| page("Shop"));
        let refused = "Startup probe failed: dial tcp 10.42.1.1:8000: connect: connection refused";
        platform
            .server
            .fate("web", Fate::Unready(refused.to_owned()));
        platform.deploy(&web(&["--expose", "--timeout", "3s"]))
    };
    let broken = || {
        let platform = Platform::new();
        platform.server.program("web", 8000, |_| {
            Response::text(500, "text/html", "<title>Server Error</title>")
        });
        platform.deploy(&web(&["--expose"]))
    };
    let certificate = || {
        let platform = platform();
        platform.internet.expired_wildcard();
        platform.deploy(&web(&["--expose"]))
    };
    snapshot_all!(together(&[&crash, &elsewhere, &broken, &certificate]));
}
