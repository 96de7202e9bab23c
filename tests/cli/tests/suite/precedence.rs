//! Which of several settings counts: kubectl's order, seen by what the server receives.

use cli_tests::http::Request;
use cli_tests::run::kubeconfig;
use cli_tests::{ApiServer, Run, Session};

/// What a server received last.
fn last(server: &ApiServer) -> Request {
    server.requests().pop().expect("a request")
}

fn listed(server: &ApiServer, namespace: &str) {
    let path = last(server).path;
    assert!(
        path.contains(&format!("/namespaces/{namespace}/")),
        "{path}"
    );
}

fn token(server: &ApiServer) -> String {
    let authorization = last(server).header("authorization").map(str::to_owned);
    authorization.unwrap_or_default()
}

/// The flag wins over KUBECONFIG, which wins over `~/.kube/config`.
#[test]
fn kubeconfig_files() {
    let (home, variable, flag) = (ApiServer::start(), ApiServer::start(), ApiServer::start());
    let mut session = Session::alice(&home);
    let file = |name: &str, server: &ApiServer| {
        session.write(name, kubeconfig(&server.url(), "alice-token"))
    };
    let named = file("variable.yaml", &variable);
    let flagged = file("flag.yaml", &flag);
    let _ = session.share_db(["list"]).success();
    assert!(!home.requests().is_empty());
    session.env("KUBECONFIG", named);
    let _ = session.share_db(["list"]).success();
    assert!(!variable.requests().is_empty());
    assert!(flag.requests().is_empty());
    let _ = session
        .share_db(["list", "--kubeconfig", flagged.to_str().unwrap()])
        .success();
    assert!(!flag.requests().is_empty());
}

/// The pod that one works in counts only where there is no kubeconfig.
#[test]
fn kubeconfig_before_the_pod() {
    let (home, pod) = (ApiServer::start(), ApiServer::start());
    let mut session = Session::alice(&home);
    let (host, port) = pod
        .authority()
        .split_once(':')
        .map(|(host, port)| (host.to_owned(), port.to_owned()))
        .unwrap();
    session.env("KUBERNETES_SERVICE_HOST", host);
    session.env("KUBERNETES_SERVICE_PORT", port);
    let _ = session.share_db(["list"]).success();
    assert!(pod.requests().is_empty());
    listed(&home, "user-alice");
}

/// The first file that sets something wins, and the rest is added.
#[test]
fn kubeconfig_files_are_merged() {
    let server = ApiServer::start();
    let mut session = Session::alice(&server);
    let first = session.write("first.yaml", "apiVersion: v1\nkind: Config\ncurrent-context: other\ncontexts:\n- name: other\n  context: {cluster: commons, user: alice, namespace: user-other}\n");
    let second = session.write("second.yaml", kubeconfig(&server.url(), "root-token"));
    session.env(
        "KUBECONFIG",
        format!("{}:{}", first.display(), second.display()),
    );
    let _ = session.share_db(["list"]).success();
    listed(&server, "user-other");
    let _ = session.share_db(["list", "--context", "alice"]).success();
    listed(&server, "user-alice");
}

#[test]
fn context_cluster_and_user() {
    let (first, second) = (ApiServer::start(), ApiServer::start());
    let session = Session::alice(&first);
    let text = format!(
        "{}- name: root\n  user: {{token: root-token}}\n",
        kubeconfig(&first.url(), "alice-token")
            .replace(
                "clusters:\n",
                &format!(
                    "clusters:\n- name: second\n  cluster: {{server: '{}'}}\n",
                    second.url()
                )
            )
            .replace(
                "contexts:\n",
                "contexts:\n- name: second\n  context: {cluster: second, user: root}\n"
            )
    );
    session.kubeconfig(&text);
    let run = |args: &[&str]| session.share_db([&["list"], args].concat()).success();
    let _: Run = run(&["--context", "second"]);
    listed(&second, "default");
    assert_eq!(token(&second), "Bearer root-token");
    let _ = run(&["--cluster", "second"]);
    listed(&second, "user-alice");
    assert_eq!(token(&second), "Bearer alice-token");
    let _ = run(&["--user", "root"]);
    listed(&first, "user-alice");
    assert_eq!(token(&first), "Bearer root-token");
}

#[test]
fn namespace() {
    let server = ApiServer::start();
    let session = Session::with_token(&server, "root-token");
    for args in [
        &["list", "-n", "user-bob"][..],
        &["list", "--namespace=user-bob"],
        &["-n", "user-bob", "list"],
        &["-nuser-bob", "list"],
    ] {
        server.forget_requests();
        let _ = session.share_db(args).success();
        listed(&server, "user-bob");
    }
}

#[test]
fn server_and_token() {
    let (named, flagged) = (ApiServer::start(), ApiServer::start());
    let session = Session::with_token(&named, "forgotten");
    let _ = session
        .share_db(["list", "--server", &flagged.url(), "--token", "alice-token"])
        .success();
    assert!(named.requests().is_empty());
    listed(&flagged, "user-alice");
    assert_eq!(token(&flagged), "Bearer alice-token");
}

/// The flag takes the place of whatever the kubeconfig says about logging in.
#[test]
fn token_instead_of_a_credential_plugin() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    let exec = "{exec: {apiVersion: client.authentication.k8s.io/v1, command: /nowhere, interactiveMode: Never}}";
    session.kubeconfig(&kubeconfig(&server.url(), "x").replace("{token: 'x'}", exec));
    let _ = session
        .share_db(["list", "--token", "alice-token"])
        .success();
    assert_eq!(token(&server), "Bearer alice-token");
}

#[test]
fn server_and_token_without_a_kubeconfig() {
    let server = ApiServer::start();
    let _ = Session::new()
        .share_db(["list", "-s", &server.url(), "--token", "root-token"])
        .success();
    listed(&server, "default");
    assert_eq!(token(&server), "Bearer root-token");
}

#[test]
fn impersonation() {
    let server = ApiServer::start();
    let session = Session::with_token(&server, "root-token");
    let run = session.share_db([
        "list",
        "--as",
        "oidc-alice",
        "--as-group",
        "a",
        "--as-group",
        "b",
        "--as-uid",
        "7",
    ]);
    let _ = run.success();
    let request = last(&server);
    assert_eq!(request.header("impersonate-user"), Some("oidc-alice"));
    assert_eq!(request.header_values("impersonate-group"), ["a", "b"]);
    assert_eq!(request.header("impersonate-uid"), Some("7"));
    snapshot!(
        Session::alice(&server).share_db(["pg", "--with", "bob", "--as", "oidc-bob"]),
        session.share_db(["list", "--as-group", "a"])
    );
}

#[test]
fn request_timeout() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    for fine in ["0", "5", "5s", "1m"] {
        let _ = session
            .share_db(["list", "--request-timeout", fine])
            .success();
    }
    snapshot!(session.share_db(["list", "--request-timeout", "soon"]));
}

/// Flags may stand before and after the subcommand, as kubectl's may.
#[test]
fn flags_anywhere() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    let _ = session.share_db(["--context", "alice", "list"]).success();
    let _ = session.share_db(["list", "--context", "alice"]).success();
}
