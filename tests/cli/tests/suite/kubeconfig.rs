//! Kubeconfigs that are absent, broken, or name what they do not hold.

use cli_tests::run::kubeconfig;
use cli_tests::{ApiServer, Run, Session};

/// A kubeconfig that is right but for one replacement.
fn changed(what: &str, by: &str) -> Run {
    let session = Session::new();
    let right = kubeconfig("https://127.0.0.1:1", "s3cr3t");
    assert!(right.contains(what), "{what} is not in it");
    session.kubeconfig(&right.replace(what, by));
    session.share_db(["list"])
}

fn cluster(fields: &str) -> Run {
    changed("server: 'https://127.0.0.1:1'", fields)
}

fn user(fields: &str) -> Run {
    changed("{token: 's3cr3t'}", fields)
}

#[test]
fn none() {
    snapshot!(Session::new().share_db(["list"]));
}

#[test]
fn file_of_the_flag_is_missing() {
    let server = ApiServer::start();
    snapshot!(Session::alice(&server).share_db(["list", "--kubeconfig", "nowhere.yaml"]));
}

#[test]
fn file_is_a_directory() {
    let session = Session::new();
    session.write(".kube/config/x", "");
    snapshot!(session.share_db(["list"]));
}

#[test]
fn empty() {
    let session = Session::new();
    session.kubeconfig("");
    let nothing = session.share_db(["list"]);
    session.kubeconfig("apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\ncurrent-context: ''\nusers: []\n");
    snapshot!(nothing, session.share_db(["list"]));
}

/// As kubectl: a file of KUBECONFIG that does not exist is passed over.
#[test]
fn missing_files_of_the_variable_are_passed_over() {
    let server = ApiServer::start();
    let mut session = Session::alice(&server);
    let there = session.write("there.yaml", kubeconfig(&server.url(), "alice-token"));
    session.env("KUBECONFIG", format!("/nowhere/config:{}", there.display()));
    let found = session.share_db(["list"]).success();
    let mut session = Session::new();
    session.env("KUBECONFIG", "/nowhere/config:/nowhere/else");
    snapshot!(found, session.share_db(["list"]));
}

/// What cannot be read may hold a token, so nothing of it is shown.
#[test]
fn malformed() {
    let broken = |text: &str| {
        let session = Session::new();
        session.kubeconfig(text);
        session.share_db(["list"])
    };
    snapshot!(
        broken("apiVersion: v1\nusers:\n- name: alice\n  user: {token: s3cr3t: [\n"),
        broken("users:\n- name: alice\n  user:\n    token: s3cr3t\n   token: s3cr3t\n"),
        broken("apiVersion: v1\nkind: Config\nusers: s3cr3t\n"),
        broken("apiVersion: v1\nkind: Config\nusers:\n- name: alice\n  user: {token: [s3cr3t]}\n"),
        broken("s3cr3t"),
        broken("{\"apiVersion\": \"v1\", \"users\": [{\"user\": {\"token\": \"s3cr3t\" \"x\"}}]}"),
        broken("<!doctype html><html>s3cr3t</html>"),
        broken("\u{0}\u{1}\u{2}s3cr3t"),
    );
}

#[test]
fn not_text() {
    let session = Session::new();
    session.write(".kube/config", b"apiVersion: v1\nusers: \xff\xfes3cr3t\n");
    snapshot!(session.share_db(["list"]));
}

#[test]
fn unknown_context() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    snapshot!(
        session.share_db(["list", "--context", "alic"]),
        session.share_db(["list", "--context", "production"])
    );
}

#[test]
fn unknown_context_among_many() {
    let session = Session::new();
    let contexts: Vec<String> = (0..20)
        .map(|n| format!("- name: cluster-{n}\n  context: {{cluster: c}}\n"))
        .collect();
    let contexts = contexts.concat();
    session.kubeconfig(&format!(
        "apiVersion: v1\nkind: Config\ncontexts:\n{contexts}"
    ));
    snapshot!(
        session.share_db(["list", "--context", "prod"]),
        session.share_db(["list"])
    );
}

#[test]
fn no_current_context() {
    snapshot!(changed("current-context: alice", "current-context: ''"));
}

#[test]
fn current_context_does_not_exist() {
    snapshot!(changed("current-context: alice", "current-context: gone"));
}

#[test]
fn context_names_what_is_not_there() {
    snapshot!(
        changed("{cluster: commons", "{cluster: gone"),
        changed("user: alice,", "user: gone,")
    );
}

#[test]
fn flags_name_what_is_not_there() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    snapshot!(
        session.share_db(["list", "--cluster", "gone"]),
        session.share_db(["list", "--user", "gone"])
    );
}

#[test]
fn server_address() {
    snapshot!(
        cluster(""),
        cluster("server: ''"),
        cluster("server: 'not an address'"),
        cluster("server: 'ftp://127.0.0.1'"),
        cluster("server: '127.0.0.1:1'"),
        cluster("server: 'https://'"),
    );
}

#[test]
fn server_address_of_the_flag() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    snapshot!(
        session.share_db(["list", "--server", "not an address"]),
        session.share_db(["list", "--server", "ftp://127.0.0.1"]),
        session.share_db(["list", "--server", ""]),
    );
}

#[test]
fn certificate_authority() {
    let with = |more: &str| cluster(&format!("server: 'https://127.0.0.1:1', {more}"));
    snapshot!(
        with("certificate-authority-data: '%%%'"),
        with("certificate-authority: nowhere.crt"),
    );
}

#[test]
fn client_certificate() {
    snapshot!(
        user("{client-certificate-data: '%%%', client-key-data: '%%%'}"),
        user("{client-certificate-data: aGVsbG8=, client-key-data: aGVsbG8=}"),
        user("{client-certificate: nowhere.crt, client-key: nowhere.key}"),
        user("{client-certificate-data: aGVsbG8=}"),
    );
}

#[test]
fn client_certificate_of_the_flags() {
    let session = Session::new();
    session.kubeconfig(&kubeconfig("https://127.0.0.1:1", "s3cr3t"));
    session.write("not.crt", "hello");
    let run = |certificate: &str, key: &str| {
        let flags = ["--client-certificate", certificate, "--client-key", key];
        session.share_db([&["list"][..], &flags].concat())
    };
    snapshot!(run("nowhere.crt", "nowhere.key"), run("not.crt", "not.crt"));
}

#[test]
fn token_file_is_missing() {
    snapshot!(user("{tokenFile: /nowhere/token}"));
}

#[test]
fn token_with_a_line_break() {
    snapshot!(user("{token: \"s3cr3t\\nx\"}"));
}

#[test]
fn auth_providers_are_gone() {
    snapshot!(user("{auth-provider: {name: gcp}}"));
}

/// A user whose credentials come from this program.
fn program(command: &str) -> String {
    format!(
        "{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: '{command}', interactiveMode: Never}}}}"
    )
}

fn plugin(script: &str) -> Run {
    let session = Session::new();
    let path = session.write_program("login", script);
    let text = kubeconfig("https://127.0.0.1:1", "x");
    let user = program(path.to_str().unwrap());
    session.kubeconfig(&text.replace("{token: 'x'}", &user));
    session.share_db(["list"])
}

#[test]
fn credential_plugin_is_missing() {
    snapshot!(
        user(&program("kubelogin")),
        user(&program("/nowhere/kubelogin"))
    );
}

#[test]
fn credential_plugin_fails() {
    snapshot!(
        plugin(
            "echo 'opening the browser' >&2; echo 'error: your session has expired' >&2; exit 3"
        ),
        plugin("exit 1"),
        plugin("kill -9 $$")
    );
}

#[test]
fn credential_plugin_prints_something_else() {
    snapshot!(
        plugin("echo 'please log in; s3cr3t'"),
        plugin(
            "echo '{\"apiVersion\": \"client.authentication.k8s.io/v1\", \"kind\": \"ExecCredential\", \"status\": {}}'"
        ),
        plugin("true")
    );
}

#[test]
fn credential_plugin_works() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    let path = session.write_program("login", "echo '{\"apiVersion\": \"client.authentication.k8s.io/v1\", \"kind\": \"ExecCredential\", \"status\": {\"token\": \"alice-token\"}}'");
    let user = program(path.to_str().unwrap());
    session.kubeconfig(&kubeconfig(&server.url(), "x").replace("{token: 'x'}", &user));
    snapshot!(session.share_db(["list"]).success());
}

/// As kubectl: files and programs are looked for beside the kubeconfig that names them.
#[test]
fn relative_paths() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    session.write(".kube/token", "alice-token");
    let text = kubeconfig(&server.url(), "x");
    session.kubeconfig(&text.replace("{token: 'x'}", "{tokenFile: token}"));
    let token = session.share_db(["list"]).success();
    session.write_program(".kube/login", "echo '{\"apiVersion\": \"client.authentication.k8s.io/v1\", \"kind\": \"ExecCredential\", \"status\": {\"token\": \"alice-token\"}}'");
    session.kubeconfig(&text.replace("{token: 'x'}", &program("./login")));
    snapshot!(token, session.share_db(["list"]));
}
