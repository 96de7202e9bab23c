//! Input that nobody sensible types, and that somebody pastes.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use cli_tests::{ApiServer, Run, Session};

/// Runs with each of these, and expects that nothing was sent that could change anything.
fn each<'a>(args: impl IntoIterator<Item = Vec<&'a str>>) -> Vec<Run> {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    let runs: Vec<Run> = args
        .into_iter()
        .map(|args| session.share_db(args))
        .collect();
    assert_eq!(server.writes(), [""; 0]);
    runs
}

/// Reads several runs, all of them refused.
macro_rules! refused {
    ($runs:expr) => {{
        let runs = $runs;
        for run in &runs {
            assert_ne!(run.code(), 0, "{run}");
        }
        let text = crate::read(&runs.iter().collect::<Vec<_>>());
        crate::without_source().bind(|| insta::assert_snapshot!(text));
    }};
}

#[test]
fn databases() {
    let long = "x".repeat(300);
    let names = [
        "",
        "/",
        "..",
        "../pg",
        "../../secrets/pg",
        "a/b/c/d",
        "pg/",
        "pg%2f..%2fsecrets",
        "PG",
        "pg;rm -rf ~",
        "pg\u{1b}[31m",
        "pg\nerror: forged",
        "pg?x=1",
        "pg#x",
        "пг",
        "-pg",
        "secret/pg",
        &long,
    ];
    refused!(each(names.map(|name| vec![name, "--with", "bob"])));
}

#[test]
fn users() {
    let long = format!("user:{}", "x".repeat(2000));
    let names = [
        "",
        "bob smith",
        "bob\u{1b}[2J",
        "bob\nerror: forged",
        "bob;rm",
        "user:",
        "group:",
        "user:system:anonymous",
        "group:system:unauthenticated",
        "serviceaccount:x",
        "serviceaccount:../x",
        "sa:ns/a/b",
        "nobody:bob",
        "alice",
        "user:oidc-alice",
        &long,
    ];
    refused!(each(names.map(|name| vec!["pg", "--with", name])));
}

/// Groups that hold everybody who has an account.
#[test]
fn everybody_with_an_account() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    snapshot!(
        session.share_db(["pg", "--with", "group:system:authenticated"]),
        session.share_db(["pg", "--with", "group:system:serviceaccounts"]),
        session.share_db(["list"]),
    );
}

#[test]
fn durations() {
    let durations = [
        "",
        "0",
        "0s",
        "8",
        "-1h",
        "1e9h",
        "99999999999999999999h",
        "18446744073709551615s",
        "1h1h",
        "８h",
        "8 h",
        "8H",
        "1.5h",
        "8hours",
        "h",
        "1w",
        "9000h",
        "\u{1b}[31m8h",
        "8h\n",
    ];
    let args = durations.map(|duration| vec!["pg", "--with", "bob", "--for", duration]);
    refused!(each(args));
}

#[test]
fn namespaces() {
    let long = "x".repeat(300);
    let names = [
        ".",
        "..",
        "../kube-system",
        "a/b",
        "%2e%2e",
        "user alice",
        "\u{1b}[31m",
        "x?y",
        "x#y",
        &long,
    ];
    refused!(each(names.map(|name| vec!["list", "-n", name])));
}

#[test]
fn contexts() {
    let names = ["\u{1b}[31mproduction", "a\nb", "\u{202e}ecila"];
    refused!(each(names.map(|name| vec!["list", "--context", name])));
}

#[test]
fn formats() {
    let names = [
        "",
        "xml",
        "JSON",
        "jsonpath={.items}",
        "\u{1b}[31m",
        "custom-columns=A:.b",
    ];
    refused!(each(names.map(|name| vec!["list", "-o", name])));
}

#[test]
fn flags() {
    refused!(each([
        vec![],
        vec!["pg"],
        vec!["--with", "bob"],
        vec!["pg", "bob", "--with", "carol"],
        vec!["pg", "--with"],
        vec!["pg", "--wiht", "bob"],
        vec!["pg", "--with", "bob", "--for", "8h", "--forever"],
        vec!["pg", "--with", "bob", "--dry-run=maybe"],
        vec!["pg", "--with", "bob", "--", "--for"],
        vec!["pg", "--with", "bob", "-qv"],
        vec!["lsit"],
        vec!["list", "pg"],
        vec!["list", "--color", "rainbow"],
        vec!["revoke"],
        vec!["revoke", "pg", "--all"],
        vec!["revoke", "--al"],
        vec!["extend", "pg", "--for", "soon"],
        vec!["help"],
    ]));
}

#[test]
fn bytes_that_are_no_text() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    let bytes = || OsString::from_vec(b"p\xffg".to_vec());
    let run = |args: Vec<OsString>| session.share_db(args);
    let runs = vec![
        run(vec![bytes(), "--with".into(), "bob".into()]),
        run(vec!["pg".into(), "--with".into(), bytes()]),
        run(vec!["list".into(), "--context".into(), bytes()]),
        run(vec!["list".into(), "--kubeconfig".into(), bytes()]),
        run(vec![OsString::from_vec(b"--\xff".to_vec())]),
    ];
    refused!(runs);
}

/// The parser of the command line repeats what it does not understand.
#[test]
fn repeated_by_the_command_line() {
    refused!(each([
        vec!["pg\u{202e}gp", "--with", "bob"],
        vec!["pg", "--with", "bob\u{202e}nimda"],
        vec!["list", "--\u{202e}tuptuo"],
    ]));
}

/// The file's own path is fine as bytes, in the variable as for kubectl.
#[test]
fn bytes_in_the_environment() {
    let mut session = Session::new();
    session.env("KUBECONFIG", OsString::from_vec(b"/nowhere/\xff".to_vec()));
    refused!(vec![session.share_db(["list"])]);
}

#[test]
fn a_kubeconfig_that_acts_on_terminals() {
    let session = Session::new();
    let text = r#"{apiVersion: v1, kind: Config, current-context: "\e[31mred", contexts: [
        {name: "\e[2Jalice", context: {cluster: "\e[31mcommons", user: "\e]0;owned\aalice"}},
        {name: "nodejs\u202Etxt", context: {cluster: commons, user: "\e]0;owned\aalice", namespace: "\e[31m"}},
        {name: "fine", context: {cluster: commons, user: "\e]0;owned\aalice"}}],
        clusters: [{name: commons, cluster: {server: "https://127.0.0.1:1/\e[31m"}}], users: [{name: "\e]0;owned\aalice", user: {token: x}}]}"#;
    session.kubeconfig(text);
    let run = |context: &str| session.share_db(["list", "--context", context]);
    refused!(vec![
        session.share_db(["list"]),
        run("\u{1b}[2Jalice"),
        run("nodejs\u{202e}txt"),
        run("fine"),
    ]);
}

/// The server does not know the user, whose name is then shown.
#[test]
fn a_users_name_that_acts_on_terminals() {
    let server = ApiServer::start();
    let session = Session::with_token(&server, "forgotten");
    let text = cli_tests::run::kubeconfig(&server.url(), "forgotten");
    session.kubeconfig(
        &text
            .replace("user: alice", "user: \"\\e[31malice\\nx\"")
            .replace("name: alice\n  user", "name: \"\\e[31malice\\nx\"\n  user"),
    );
    refused!(vec![session.share_db(["pg", "--with", "bob"])]);
}
