//! What is missing is known before anything is written.

use crate::fixtures;
use cli_tests::{ApiServer, Response, Session};
use serde_json::Value;

const SHARE: [&str; 3] = ["pg", "--with", "bob"];

/// The ServiceAccount of an IDE sees everything and may change nothing.
#[test]
fn in_an_ide() {
    let server = ApiServer::start();
    let session = Session::with_token(&server, "ide-token");
    let share = session.share_db(SHARE);
    let list = session.share_db(["list"]);
    let revoke = session.share_db(["revoke", "pg"]);
    assert_eq!(server.writes(), [""; 0]);
    snapshot!(share, list, revoke);
}

/// Who edits a namespace may not give rights in it.
#[test]
fn as_an_editor() {
    let server = ApiServer::start();
    server.put(fixtures::role_binding(
        "user-alice",
        "bob",
        "edit",
        &fixtures::user("oidc-bob"),
    ));
    let session = Session::with_token(&server, "bob-token");
    let share = session.share_db(["pg", "--with", "carol", "-n", "user-alice"]);
    assert_eq!(server.writes(), [""; 0]);
    snapshot!(share);
}

/// An owner who may not forward cannot let others.
#[test]
fn rights_that_the_owner_lacks() {
    let server = ApiServer::start();
    server.on_write("roles", || Response::status(403, "Forbidden", "roles.rbac.authorization.k8s.io \"share-pg-bob-a8c8309b\" is forbidden: user \"oidc-alice\" (groups=[\"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"pods/portforward\"], ResourceNames:[\"pg-0\"], Verbs:[\"get\" \"create\"]}", &Value::Null));
    let run = Session::alice(&server).share_db(SHARE);
    assert_eq!(server.ours(), [""; 0]);
    snapshot!(run);
}

/// Rights that no rule tells are asked for one by one: an authorizer need not be RBAC.
#[test]
fn by_another_authorizer() {
    let server = ApiServer::start();
    server.script(|request| {
        let mut answer = request.json();
        answer["status"] = if request.path.ends_with("selfsubjectrulesreviews") {
            serde_json::json!({"resourceRules": [], "nonResourceRules": [], "incomplete": true})
        } else if request.path.ends_with("selfsubjectaccessreviews") {
            serde_json::json!({"allowed": true})
        } else {
            return None;
        };
        Some(Response::json(201, &answer))
    });
    let _ = Session::alice(&server).share_db(SHARE).success();
    let asked = server.requests();
    let asked = asked
        .iter()
        .filter(|request| request.path.ends_with("selfsubjectaccessreviews"));
    assert_eq!(asked.count(), 5);
}

/// No write comes before the rights are known.
#[test]
fn asked_before_the_first_write() {
    let server = ApiServer::start();
    let _ = Session::alice(&server).share_db(SHARE).success();
    let requests = server.requests();
    let position = |wanted: &dyn Fn(&cli_tests::Request) -> bool| {
        requests.iter().position(wanted).expect("such a request")
    };
    let asked = position(&|request| request.path.ends_with("selfsubjectrulesreviews"));
    let wrote = position(&cli_tests::Request::is_write);
    assert!(asked < wrote);
    let started = position(&|request| request.query("fieldSelector").is_some());
    let bound = position(&|request| request.is_write() && request.path.contains("/rolebindings"));
    assert!(started < bound, "nobody gets a right without an end");
}
