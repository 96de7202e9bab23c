//! What is shown on a terminal: progress, warnings and questions, each on lines of their own; and a clean terminal afterwards.

use crate::fixtures;
use cli_tests::{ApiServer, Fate, Response, Session, Terminal};

use crate::platform::Platform;

/// Two Deployments, of which neither comes up.
const TWO: &str = "\
{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {selector: {matchLabels: {app: web}}, \
template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: 'registry.example.test/shop/web:1'}]}}}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: api}, spec: {selector: {matchLabels: {app: api}}, \
template: {metadata: {labels: {app: api}}, spec: {containers: [{name: api, image: 'registry.example.test/shop/web:1'}]}}}}
";

/// Never answers what is asked like this.
fn stalls(server: &ApiServer, path: &'static str) {
    server.on("GET", path, || Response::raw(|_| std::thread::park()));
}

/// The rows of the screen that tell of progress.
fn progress(terminal: &Terminal) -> Vec<String> {
    let screen = terminal.screen();
    let rows = screen.lines().filter(|row| row.ends_with('…'));
    // The first character is the one that turns.
    rows.map(|row| row.chars().skip(2).collect()).collect()
}

/// Ends a command with Ctrl-C: nothing but that is to be seen of it.
fn interrupt(terminal: &mut Terminal) {
    terminal.presses("\x03");
    assert_eq!(terminal.end(), 130, "{}", terminal.screen());
    assert!(terminal.has_cursor());
    assert_eq!(progress(terminal), [""; 0], "{:?}", terminal.shown());
}

#[test]
fn a_warning_has_a_line_of_its_own() {
    let server = ApiServer::start();
    server.on("GET", "*/rolebindings", || {
        Response::status(403, "Forbidden", "no", &serde_json::json!({}))
    });
    let session = Session::alice(&server);
    let mut terminal = session.terminal("share-db", &["pg", "--with", "user:bob"]);
    terminal.shows("Looking at the database…");
    assert_eq!(terminal.end(), 0, "{}", terminal.screen());
    assert!(terminal.has_cursor());
    insta::assert_snapshot!(terminal.screen());
}

#[test]
fn a_question_has_a_line_of_its_own() {
    let server = ApiServer::start();
    for object in fixtures::postgres("user-alice", "shop") {
        server.put(object);
    }
    server.settle();
    let session = Session::alice(&server);
    let start = || session.terminal("share-db", &["--with", "bob"]);
    let asked = |terminal: &Terminal| terminal.screen().contains("shop");
    let mut terminal = start();
    terminal.waits("both databases", asked);
    insta::assert_snapshot!("asked", terminal.screen());
    // Also while it would be drawn again.
    std::thread::sleep(std::time::Duration::from_millis(500));
    insta::assert_snapshot!("asked", terminal.screen());
    terminal.presses("\r");
    assert_eq!(terminal.end(), 0, "{}", terminal.screen());
    insta::assert_snapshot!("answered", terminal.screen());

    let mut terminal = start();
    terminal.waits("both databases", asked);
    interrupt(&mut terminal);
}

#[test]
fn ctrl_c_leaves_a_clean_terminal() {
    let server = ApiServer::start();
    stalls(&server, "*/services/pg");
    let session = Session::alice(&server);
    let mut terminal = session.terminal("share-db", &["pg", "--with", "bob"]);
    terminal.waits("progress", |terminal| {
        progress(terminal) == ["Looking at the database…"]
    });
    assert_eq!(
        terminal.screen().lines().count(),
        1,
        "{}",
        terminal.screen()
    );
    interrupt(&mut terminal);
    assert_eq!(terminal.screen().replace("^C", ""), "");
}

#[test]
fn several_are_waited_for_on_a_line_each() {
    let platform = Platform::new();
    for app in ["web", "api"] {
        platform.server.fate(app, Fate::Starting);
    }
    platform.alice.write("app.yaml", TWO);
    let mut terminal = platform.alice.terminal("deploy-app", &["-f", "app.yaml"]);
    terminal.waits("a line each", |terminal| {
        let progress = progress(terminal);
        ["deployment/web: ", "deployment/api: "]
            .iter()
            .all(|app| progress.iter().any(|line| line.starts_with(app)))
    });
    assert_eq!(progress(&terminal).len(), 2, "{}", terminal.screen());
    interrupt(&mut terminal);
    insta::assert_snapshot!(terminal.screen().replace("^C", ""));
}

#[test]
fn who_wants_quiet_or_has_no_cursor_sees_no_progress() {
    let server = ApiServer::start();
    let mut session = Session::alice(&server);
    let mut quiet = session.terminal("share-db", &["pg", "--with", "bob", "-q"]);
    assert_eq!(quiet.end(), 0);
    session.env("TERM", "dumb");
    let mut dumb = session.terminal("share-db", &["pg", "--with", "bob"]);
    assert_eq!(dumb.end(), 0);
    for terminal in [quiet, dumb] {
        let shown = terminal.shown();
        assert!(!shown.contains(['…', '\u{1b}']), "{shown}");
    }
}
