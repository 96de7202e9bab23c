//! `proxy-db`: all that it says before and beside its tunnel.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use cli_tests::{ApiServer, Fate, Response, Run, Session};
use serde_json::{Value, json};

/// A port that was free a moment ago, and not one that the system gives to whoever asks for any.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 8_000).unwrap();
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// A free port, shown as 15432, and not twice on machines with IPv6.
fn shown_port(session: &mut Session) -> String {
    let port = free_port().to_string();
    session.hide(&port, "15432");
    session.hide(" and [::1]:15432", "");
    port
}

/// Forwards until it is ready, and stops it with Ctrl-C.
pub fn ready(session: &mut Session, database: &str) -> Run {
    let port = shown_port(session);
    let args = [database, "--port", &port, "-o", "json"];
    let mut running = session.spawn("proxy-db", args);
    let line = running.line();
    let ready: Value = serde_json::from_str(&line).expect("a line of JSON");
    assert_eq!(ready["port"].to_string(), port);
    running.interrupt();
    running.finish()
}

/// Bob, with whom Alice shares.
fn bob() -> (ApiServer, Session) {
    let server = ApiServer::start();
    let _ = Session::alice(&server)
        .share_db(["pg", "--with", "bob"])
        .success();
    server.advance(3600);
    let bob = Session::with_token(&server, "bob-token");
    server.forget_requests();
    (server, bob)
}

#[test]
fn help() {
    let session = Session::new();
    let run = |args: [&str; 1]| session.run("proxy-db", args).success();
    snapshot!(run(["-h"]));
}

#[test]
fn version() {
    let run = Session::new().run("proxy-db", ["--version"]).success();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(run.stdout, format!("kubectl proxy-db {version}\n"));
}

#[test]
fn ports() {
    let session = Session::new();
    let run = |port: &str| {
        let run = session.run("proxy-db", ["pg", "--port", port]);
        assert_eq!(run.code(), 2, "{run}");
        run
    };
    snapshot!(
        run("0"),
        run("65536"),
        run("-1"),
        run("abc"),
        run("5432 "),
        run(""),
        run("１５４３２"),
        run("99999999999999999999"),
        run("\u{1b}[31m5432"),
    );
}

#[test]
fn what_can_be_no_database() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    let run = |args: &[&str]| {
        let run = session.run("proxy-db", args);
        assert_eq!(run.code(), 2, "{run}");
        run
    };
    snapshot!(
        run(&[]),
        run(&["../pg"]),
        run(&["PG"]),
        run(&["pg", "psql"]),
        run(&["pg", "-o", "yaml"]),
        run(&["pg", "-o", "json", "--", "psql"]),
    );
}

#[test]
fn a_port_that_is_taken() {
    let server = ApiServer::start();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut session = Session::alice(&server);
    session.hide(&port, "15432");
    // It is told who has it: this very test.
    let program = std::env::current_exe().unwrap();
    session.hide(program.file_name().unwrap().to_str().unwrap(), "postgres");
    session.hide(&format!("process {}", std::process::id()), "process 4711");
    let run = session.run("proxy-db", ["pg", "--port", &port]);
    assert!(
        server.requests().is_empty(),
        "it is known before anything is asked"
    );
    snapshot!(run);
}

#[test]
fn of_ones_own() {
    let server = ApiServer::start();
    snapshot!(ready(&mut Session::alice(&server), "pg"));
    assert_eq!(server.writes(), [""; 0]);
}

#[test]
fn of_a_colleague() {
    let (server, mut bob) = bob();
    snapshot!(ready(&mut bob, "user-alice/pg"));
    assert_eq!(server.writes(), [""; 0]);
}

#[test]
fn not_shared() {
    let (server, bob) = bob();
    let other = bob.run("proxy-db", ["user-alice/warehouse"]);
    let _ = Session::alice(&server).share_db(["revoke", "pg"]).success();
    let ended = bob.run("proxy-db", ["user-alice/pg"]);
    let typo = bob.run("proxy-db", ["user-alcie/pg"]);
    snapshot!(other, ended, typo);
}

#[test]
fn not_found() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    snapshot!(
        session.run("proxy-db", ["pgg"]),
        session.run("proxy-db", ["mysql"]),
        session.run("proxy-db", ["svc/pgg"]),
    );
}

/// The role `view` shows a database but does not reach it.
#[test]
fn in_an_ide() {
    let server = ApiServer::start();
    let mut session = Session::with_token(&server, "ide-token");
    let port = shown_port(&mut session);
    snapshot!(session.run("proxy-db", ["pg", "--port", &port]));
}

/// The tunnel is refused when it is opened.
#[test]
fn refused_tunnel() {
    let server = ApiServer::start();
    server.on("*", "*/portforward", || Response::status(403, "Forbidden", "pods \"pg-0\" is forbidden: User \"oidc-alice\" cannot create resource \"pods/portforward\" in API group \"\" in the namespace \"user-alice\"", &Value::Null));
    let mut session = Session::alice(&server);
    let port = shown_port(&mut session);
    snapshot!(session.run("proxy-db", ["pg", "--port", &port, "--", "true"]));
}

#[test]
fn without_a_ready_pod() {
    let server = ApiServer::start();
    server.fate("pg", Fate::Unready("Readiness probe failed".to_owned()));
    server.settle();
    let mut session = Session::alice(&server);
    let port = shown_port(&mut session);
    snapshot!(session.run("proxy-db", ["pg", "--port", &port]));
}

/// A card is somebody else's text.
#[test]
fn a_hostile_card() {
    let run = |changes: &[(&str, &str)]| {
        let (server, mut bob) = bob();
        let mut card = server.object("configmaps", "user-alice", "share-pg-bob-a8c8309b");
        for (key, value) in changes {
            card["data"][key] = json!(value);
        }
        server.put(card);
        let harmless = changes.iter().any(|(key, _)| *key == "owner");
        if harmless {
            ready(&mut bob, "user-alice/pg")
        } else {
            bob.run("proxy-db", ["user-alice/pg"])
        }
    };
    snapshot!(
        run(&[
            ("owner", "alice\u{1b}[31m\nerror: pay \u{202e}here"),
            ("username", "$(id)"),
            ("dbname", "shop'; rm -rf ~"),
        ]),
        run(&[
            ("owner", "alice"),
            ("dbname", "host=evil.example.test"),
            ("until", "when\u{7}ever")
        ]),
        run(&[("service", "../../secrets/x")]),
        run(&[("database", "pg\u{1b}[2J")]),
        run(&[("port", "0")]),
    );
}
