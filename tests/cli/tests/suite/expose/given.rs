//! What is typed: the help, and flags that make no sense.

use cli_tests::{Run, Session};

use crate::platform::Platform;

#[test]
fn help() {
    let session = Session::new();
    let run = |args: &[&str]| session.run("expose-app", args).success();
    snapshot!(
        run(&["-h"]),
        run(&["--help"]),
        run(&["list", "-h"]),
        run(&["remove", "-h"]),
    );
}

#[test]
fn version() {
    let run = Session::new().run("expose-app", ["--version"]).success();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(run.stdout, format!("kubectl expose-app {version}\n"));
}

fn each<'a>(args: impl IntoIterator<Item = Vec<&'a str>>) -> Vec<Run> {
    Platform::mistyped(Platform::refused, args)
}

#[test]
fn hosts() {
    let long = format!("{}.example.test", "x".repeat(64));
    let hosts = [
        "",
        ".",
        "https://shop.kub.example.test",
        "shop.kub.example.test/path",
        "shop.kub.example.test:8080",
        "*.kub.example.test",
        "10.0.0.1",
        "::1",
        "boutique-été.kub.example.test",
        "ｗｅｂ.example.test",
        "we b",
        "web_1",
        "-web",
        "a..b",
        "web\u{1b}[2J",
        "web\nerror: forged",
        "web\u{202e}gpj",
        &long,
    ];
    snapshot_all!(each(hosts.map(|host| vec!["web", "--host", host])));
}

#[test]
fn ports() {
    let ports = [
        "",
        "0",
        "65536",
        "-1",
        "80/tcp",
        "HTTP",
        "８０",
        "http\u{1b}[31m",
    ];
    snapshot_all!(each(ports.map(|port| vec!["web", "--port", port])));
}

#[test]
fn certificates() {
    let sources = [
        "",
        "on",
        "issuer",
        "issuer=",
        "secret=A b",
        "secret=../x",
        "wildcard=x",
        "issuer=\u{1b}[2J",
    ];
    snapshot_all!(each(sources.map(|source| vec!["web", "--tls", source])));
}

#[test]
fn names() {
    snapshot_all!(each([
        vec!["web", "--class", "A B"],
        vec!["web", "--class", "\u{1b}[31m"],
        vec!["web", "--controller", "../x"],
        vec!["web", "--parent", "a/b/c/d"],
        vec!["web", "--parent", "a/"],
        vec!["web", "--path", "shop"],
        vec!["web", "--path", "/a b"],
        vec!["web", "--path", "/\r\nHost: evil"],
    ]));
}

#[test]
fn apps() {
    let long = "x".repeat(300);
    let apps = [
        "",
        "/",
        "../web",
        "a/b/c",
        "deployment/",
        "cronjob/web",
        "WEB",
        "web;rm -rf ~",
        "web\u{1b}[31m",
        "пример",
        &long,
    ];
    let runs: Vec<Run> = apps
        .into_iter()
        .map(|app| Platform::new().refused(&[app]))
        .collect();
    snapshot_all!(runs);
}

#[test]
fn flags() {
    snapshot_all!(each([
        vec![],
        vec!["web", "api"],
        vec!["web", "--for", "8h", "--forever"],
        vec!["web", "--for", "soon"],
        vec!["web", "--for", "-1h"],
        vec!["web", "--class", "nginx", "--gateway"],
        vec!["web", "--dry-run=maybe"],
        vec!["web", "-o", "xml"],
        vec!["list", "web"],
        vec!["remove"],
        vec!["remove", "web", "--all"],
        vec!["--hots", "x"],
    ]));
}
