//! What is typed: the help, and values that make no sense.

use cli_tests::{Run, Session};

use super::{IMAGE, web};
use crate::platform::Platform;

#[test]
fn help() {
    let session = Session::new();
    let run = |args: &[&str]| session.run("deploy-app", args).success();
    snapshot!(
        run(&["-h"]),
        run(&["--help"]),
        run(&["list", "-h"]),
        run(&["delete", "-h"]),
    );
}

#[test]
fn version() {
    let run = Session::new().run("deploy-app", ["--version"]).success();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(run.stdout, format!("kubectl deploy-app {version}\n"));
}

fn each<'a>(args: impl IntoIterator<Item = Vec<&'a str>>) -> Vec<Run> {
    Platform::mistyped(Platform::not_deployed, args)
}

#[test]
fn names() {
    let long = "x".repeat(64);
    let names = [
        "",
        "/",
        "WEB",
        "my_app",
        "my.app",
        "1web",
        "-web",
        "web-",
        "nginx:1",
        "ghcr.io/a/b",
        "deployment/web",
        "web\u{1b}[31m",
        "web\nerror: forged",
        "приложение",
        &long,
    ];
    snapshot_all!(each(names.map(|name| vec![name])));
}

/// Commands that are none, unless there is an app of that name.
#[test]
fn commands() {
    let runs = ["lst", "dlete", "help"].map(|name| Platform::new().not_deployed(&[name]));
    snapshot_all!(runs.to_vec());
}

#[test]
fn images() {
    let long = format!("registry.example.test/{}:1", "x".repeat(300));
    let images = [
        "",
        " ",
        "Web:1",
        "web:",
        "web:1:2",
        "http://registry.example.test/web:1",
        "web@sha256:12",
        "web:ta g",
        "we\u{1b}[31mb:1",
        &long,
    ];
    let runs = images
        .map(|image| Platform::new().not_deployed(&["web", "--image", image, "--port", "8000"]));
    snapshot_all!(runs.to_vec());
}

#[test]
fn variables() {
    let variables = ["A", "=x", "", "1A=x", "A B=x", "Ä=x", "A\u{1b}[31m=x"];
    let mut args: Vec<Vec<&str>> = variables.map(|variable| web(&["--env", variable])).to_vec();
    args.push(web(&["--env", "A=1", "--env", "A-"]));
    snapshot_all!(each(args));
}

/// Secrets never stand in the command, nor in what is said about it.
#[test]
fn secrets() {
    snapshot_all!(each([
        web(&["--secret", "API_KEY=s3cr3t"]),
        web(&["--secret", "API_KEY"]),
        web(&["--secret", "1A=-"]),
        web(&["--secret", "A=@"]),
        web(&["--secret", "A=@/nowhere/file"]),
        web(&["--secret", "A=-", "--secret", "B=-"]),
        web(&["--secret-file", "/nowhere/file"]),
        web(&["--env", "A=1", "--secret", "A=@/dev/null"]),
    ]));
}

#[test]
fn files() {
    snapshot_all!(each([
        web(&["--config", ""]),
        web(&["--config", "nothing.toml"]),
        web(&["--config", "/etc"]),
        web(&["--config", "/etc/hostname:/../x"]),
        web(&[
            "--config",
            "/etc/hostname:/a/x",
            "--config",
            "/etc/hostname:/b/x"
        ]),
        web(&["--config", "/etc/hostname:/etc"]),
        web(&["--config", "/etc/hostname:relative"]),
        web(&["--memory", "100"]),
        web(&["--env-file", "nothing.env"]),
        web(&["--env-file", "/dev/zero"]),
    ]));
}

#[test]
fn quantities() {
    snapshot_all!(each([
        web(&["--cpu", "lots"]),
        web(&["--cpu", "0"]),
        web(&["--cpu", "-1"]),
        web(&["--memory", "200MB"]),
        web(&["--memory", "\u{1b}[31m"]),
        web(&["--replicas", "-1"]),
        web(&["--replicas", "many"]),
        web(&["--replicas", "99999"]),
        web(&["--run-as", "0"]),
        web(&["--timeout", "soon"]),
        vec!["web", "--image", IMAGE, "--port", "0"],
        vec!["web", "--image", IMAGE, "--port", "80/tcp"],
        vec!["web", "--image", IMAGE, "--port", "65536"],
    ]));
}

#[test]
fn flags() {
    snapshot_all!(each([
        vec![],
        vec!["web", "nginx"],
        vec!["web", "--image", IMAGE, "python", "app.py"],
        vec!["web", "--image", IMAGE, "--image", IMAGE],
        vec!["web", "--imgae", IMAGE],
        vec!["web", "-f", "app.yaml"],
        vec!["-f", "app.yaml", "--env", "A=1"],
        vec!["-f", "app.yaml", "--expose"],
        vec!["delete"],
        vec!["delete", "../web"],
        vec!["list", "web"],
        vec!["list", "-o", "xml"],
    ]));
}
