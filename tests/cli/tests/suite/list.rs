//! `share-db list` in every form, and what it makes of what others write into the cluster.

use crate::fixtures;
use cli_tests::{ApiServer, Run, Session};
use serde_json::{Value, json};

fn shared() -> (ApiServer, Session) {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    let _ = session.share_db(["pg", "--with", "bob"]).success();
    let _ = session
        .share_db(["pg", "--with", "group:team", "--forever"])
        .success();
    server.advance(3600);
    (server, session)
}

#[test]
fn forms() {
    let (_server, session) = shared();
    let form = |form: &str| session.share_db(["list", "-o", form]).success();
    let table = session.share_db(["list"]).success();
    snapshot!(
        table,
        form("wide"),
        form("name"),
        form("yaml"),
        form("json")
    );
}

#[test]
fn empty() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    let form = |form: &str| session.share_db(["list", "-o", form]).success();
    let table = session.share_db(["list"]).success();
    let quiet = session.share_db(["list", "-q"]).success();
    snapshot!(
        table,
        quiet,
        form("wide"),
        form("name"),
        form("yaml"),
        form("json")
    );
}

/// What is printed as JSON is JSON, and YAML is the same.
#[test]
fn json_is_json() {
    let (_server, session) = shared();
    let run = session.share_db(["list", "-o", "json"]).success();
    let list: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(list["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(list["items"][0]["until"], "2026-01-05T18:00:00Z");
}

#[test]
fn everywhere() {
    let (server, _session) = shared();
    let root = Session::with_token(&server, "root-token");
    snapshot!(root.share_db(["list", "-A"]).success());
}

/// Who may see shares but not ask as somebody else.
#[test]
fn without_the_right_to_ask() {
    let (server, session) = shared();
    server.on("POST", "*/localsubjectaccessreviews", || {
        cli_tests::Response::status(403, "Forbidden", "localsubjectaccessreviews.authorization.k8s.io is forbidden: User \"x\" cannot create resource \"localsubjectaccessreviews\" in API group \"authorization.k8s.io\" in the namespace \"user-alice\"", &Value::Null)
    });
    snapshot!(session.share_db(["list"]).success());
}

/// The Role is gone: the share is listed, and does not work.
#[test]
fn broken() {
    let (server, session) = shared();
    server.remove("rolebindings", "user-alice", "share-pg-bob-a8c8309b");
    let unbound = session.share_db(["list"]).success();
    server.remove("roles", "user-alice", "share-pg-bob-a8c8309b");
    snapshot!(unbound, session.share_db(["list"]).success());
}

/// A timer as somebody with the right to make Jobs might forge one.
fn forged(name: &str, annotations: &Value) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "namespace": "user-alice", "name": name, "annotations": annotations,
            "labels": {"app.kubernetes.io/managed-by": "kubectl-share-db"},
        },
        "spec": fixtures::job_spec(),
    })
}

/// The RoleBinding of a share as somebody with all rights in the namespace might forge one.
fn bound(name: &str, annotations: &Value, user: &str) -> Value {
    let mut binding = fixtures::role_binding("user-alice", name, "", &fixtures::user(user));
    binding["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "kubectl-share-db"});
    binding["metadata"]["annotations"] = annotations.clone();
    binding["roleRef"] =
        json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name});
    binding
}

fn hostile() -> (ApiServer, Session) {
    let server = ApiServer::start();
    let annotations = |database: &str, subject: &str, with: &str| json!({"kube-commons/database": database, "kube-commons/subject": subject, "kube-commons/with": with});
    let shares = [
        annotations(
            "pg\u{1b}[2J\u{1b}[31m",
            "user:oidc-bob",
            "bob\u{1b}]0;owned\u{7}",
        ),
        annotations(
            "pg\nDATABASE   WITH",
            "user:oidc-bob",
            "bob\r\nadmin   everybody",
        ),
        annotations(
            "pg\u{202e}gp",
            "user:oidc-bob",
            "nimda\u{202e}\u{2066}bob\u{200b}",
        ),
        annotations(&"long".repeat(200), "user:oidc-bob", &"é".repeat(300)),
        annotations("", "user:oidc-bob", ""),
        annotations("pg", "user:oidc-\u{1b}[31mbob", "bob"),
        annotations("pg", "everybody", "bob"),
        annotations("pg", "user:system:anonymous", "bob"),
        json!({}),
    ];
    for (position, annotations) in shares.iter().enumerate() {
        let name = format!("share-{position}");
        server.put(forged(&name, annotations));
        let subject = annotations["kube-commons/subject"]
            .as_str()
            .unwrap_or("user:bob");
        server.put(bound(
            &name,
            annotations,
            subject.trim_start_matches("user:"),
        ));
    }
    server.put(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"namespace": "user-alice", "name": "share-0", "labels": {"app.kubernetes.io/managed-by": "kubectl-share-db"}},
        "rules": [{"apiGroups": [""], "resources": ["pods/portforward"], "resourceNames": ["pg-0\u{1b}[31m", "../secrets"], "verbs": ["*"]}],
    }));
    let session = Session::alice(&server);
    server.advance(3600);
    (server, session)
}

#[test]
fn hostile_annotations() {
    let (server, session) = hostile();
    let form = |form: &str| -> Run { session.share_db(["list", "-o", form]).success() };
    server.forget_requests();
    snapshot!(
        session.share_db(["list"]).success(),
        form("wide"),
        form("yaml")
    );
    let paths: Vec<String> = server
        .requests()
        .iter()
        .map(|request| request.path.clone())
        .collect();
    assert!(paths.iter().all(|path| !path.contains("..")), "{paths:?}");
}

#[test]
fn hostile_annotations_named_in_errors() {
    let (_server, session) = hostile();
    snapshot!(
        session.share_db(["revoke", "mysql"]),
        session.share_db(["revoke", "pg", "--with", "carol"]),
        session.share_db(["extend"]),
        session.share_db(["revoke", "--all"]),
    );
}

/// A Service, whose name and labels come back in a report, belongs to a chart.
#[test]
fn hostile_candidates() {
    let server = ApiServer::start();
    server.script(|request| {
        let services = json!({"apiVersion": "v1", "kind": "ServiceList", "metadata": {}, "items": [
            {"metadata": {"name": "pg\u{1b}[31m", "namespace": "user-alice", "labels": {"cnpg.io/cluster": "\u{202e}gp"}}, "spec": {"selector": {"a": "b"}, "ports": [{"port": 5432}]}},
            {"metadata": {"name": "x\nerror: forged", "namespace": "user-alice"}, "spec": {"selector": {"a": "b"}, "ports": [{"port": 5432}]}},
        ]});
        request.path.ends_with("/services").then(|| cli_tests::Response::json(200, &services))
    });
    let session = Session::alice(&server);
    snapshot!(
        session.share_db(["mysql", "--with", "bob"]),
        session.share_db(["--with", "bob"]),
    );
}
