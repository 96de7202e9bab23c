//! Where the output goes: terminals, pipes, full disks; and the help.

use std::fs::OpenOptions;
use std::process::Stdio;

use cli_tests::{ApiServer, Session};

use crate::platform::Platform;

const SHOP: &str = "registry.example.test/shop/web:1";

/// The exit code and standard error of a run whose standard output is this.
fn into(session: &Session, args: &[&str], stdout: impl Into<Stdio>) -> (Option<i32>, String) {
    into_of("share-db", session, args, stdout)
}

/// The same of any plugin.
fn into_of(
    plugin: &str,
    session: &Session,
    args: &[&str],
    stdout: impl Into<Stdio>,
) -> (Option<i32>, String) {
    let mut command = session.command(plugin, args);
    let mut child = session.start(command.stdout(stdout));
    drop(command);
    let mut stderr = String::new();
    let mut said = child.stderr.take().unwrap();
    std::io::Read::read_to_string(&mut said, &mut stderr).unwrap();
    (cli_tests::run::wait(&mut child, plugin).code(), stderr)
}

fn closed_pipe() -> std::io::PipeWriter {
    std::io::pipe().unwrap().1
}

#[test]
fn nobody_reads() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    let _ = session.share_db(["pg", "--with", "bob"]).success();
    for args in [
        &["list"][..],
        &["list", "-o", "json"],
        &["list", "-o", "name"],
        &["--help"],
        &["--version"],
    ] {
        assert_eq!(
            into(&session, args, closed_pipe()),
            (Some(0), String::new()),
            "{args:?}"
        );
    }
}

#[test]
fn nobody_reads_of_apps() {
    let platform = Platform::with_web();
    let alice = &platform.alice;
    let silent = (Some(0), String::new());
    let _ = platform.deploy(&["shop", "--image", SHOP, "--port", "8000"]);
    let _ = platform.expose(&["web", "--no-wait"]).success();
    for args in [
        &["list"][..],
        &["list", "-o", "json"],
        &["--help"],
        &["web", "-q", "--no-wait"],
        &["web", "--dry-run", "-q", "-o", "yaml"],
    ] {
        let run = into_of("expose-app", alice, args, closed_pipe());
        assert_eq!(run, silent, "{args:?}");
    }
    for args in [
        &["list"][..],
        &["list", "-o", "yaml"],
        &["--help"],
        &["shop", "-q"],
        &["shop", "--dry-run", "-o", "yaml"],
        &["delete", "shop"],
    ] {
        let run = into_of("deploy-app", alice, args, closed_pipe());
        assert_eq!(run, silent, "{args:?}");
    }
    assert_eq!(
        platform.server.names("deployments"),
        ["web"],
        "it is deleted all the same"
    );
}

/// What was asked for is done, but cannot be told.
#[test]
fn the_disk_is_full_of_apps() {
    let platform = Platform::with_web();
    let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
    let args = ["web", "--no-wait"];
    let (code, exposed) = into_of("expose-app", &platform.alice, &args, full());
    assert_eq!(code, Some(1));
    assert_eq!(platform.server.ours(), ["ingresses/expose-web"]);
    let args = ["shop", "--image", SHOP, "--port", "8000"];
    let (code, deployed) = into_of("deploy-app", &platform.alice, &args, full());
    assert_eq!(code, Some(1));
    assert_eq!(platform.server.names("deployments"), ["shop", "web"]);
    crate::without_source().bind(|| insta::assert_snapshot!(exposed + "\n" + &deployed));
}

#[test]
fn nobody_reads_errors() {
    let session = Session::new();
    let status = session
        .command("share-db", &["list"])
        .stderr(closed_pipe())
        .status();
    assert_eq!(status.unwrap().code(), Some(1));
}

#[test]
fn the_disk_is_full() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    let _ = session.share_db(["pg", "--with", "bob"]).success();
    for args in [
        &["list"][..],
        &["list", "-o", "json"],
        &["list", "-o", "name"],
    ] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let (code, stderr) = into(&session, args, full);
        assert_eq!(code, Some(1), "{args:?}");
        insta::assert_snapshot!("the_disk_is_full", stderr);
    }
}

/// What was asked for is done, but cannot be told.
#[test]
fn the_disk_is_full_after_a_change() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (code, stderr) = into(&session, &["pg", "--with", "bob"], full);
    assert_eq!(code, Some(1));
    assert_eq!(server.ours().len(), 4);
    insta::assert_snapshot!(stderr);
}

#[test]
fn version() {
    let run = Session::new().share_db(["--version"]).success();
    assert_eq!(
        run.stdout,
        format!("kubectl share-db {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn help() {
    let session = Session::new();
    snapshot!(session.share_db(["-h"]).success());
}

#[test]
fn help_in_full() {
    let session = Session::new();
    snapshot!(session.share_db(["--help"]).success());
}

#[test]
fn help_of_subcommands() {
    let session = Session::new();
    snapshot!(
        session.share_db(["list", "-h"]).success(),
        session.share_db(["extend", "-h"]).success(),
        session.share_db(["revoke", "-h"]).success(),
    );
}

/// Colours when they are asked for, and otherwise only on a terminal.
#[test]
fn colours() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    let red = "\u{1b}[1m\u{1b}[31merror:\u{1b}[0m";
    let stderr = |args: &[&str]| {
        session
            .share_db([&["pgg", "--with", "bob"], args].concat())
            .stderr
    };
    assert!(
        stderr(&["--color", "always"]).starts_with(red),
        "{:?}",
        stderr(&["--color", "always"])
    );
    for plain in [&["--color", "never"][..], &["--color", "auto"], &[]] {
        assert!(stderr(plain).starts_with("error:"), "{:?}", stderr(plain));
    }
}

/// Every request, and no secret in it.
#[test]
fn verbose() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    for level in ["-v", "-vv", "-vvv"] {
        let run = session.share_db(["list", level]).success();
        crate::assert_harmless(&[&run]);
        let said = |what: &str| run.stderr.lines().any(|line| line.contains(what));
        assert!(said("list jobs") && said("list roles"), "{run}");
    }
}

/// Other people's settings of the terminal.
#[test]
fn narrow() {
    let mut session = Session::new();
    session.env("COLUMNS", "40");
    let run = session.share_db(["-h"]).success();
    let widest = run.stdout.lines().map(|line| line.chars().count()).max();
    assert!(widest.is_some_and(|widest| widest <= 80), "{run}");
}
