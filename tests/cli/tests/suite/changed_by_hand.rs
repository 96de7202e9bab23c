//! What is said and done where somebody has changed a share by hand, or gave rights beside it.

use crate::fixtures;
use cli_tests::{ApiServer, Request, Response, Run, Session};
use serde_json::{Value, json};

const NAME: &str = "share-pg-bob-a8c8309b";
const NAMESPACE: &str = "user-alice";

fn shared_with(server: &ApiServer, users: &[&str]) -> Session {
    let session = Session::alice(server);
    let with = ["pg", "--for", "1h", "--with"];
    let _ = session.share_db(with.iter().chain(users)).success();
    session
}

/// A `RoleBinding` for this share's Role, made by hand.
fn by_hand(subject: &Value) -> Value {
    let mut binding = fixtures::role_binding(NAMESPACE, "by-hand", "", subject);
    binding["roleRef"] =
        json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": NAME});
    binding
}

fn group(name: &str) -> Value {
    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": name})
}

fn deadline(server: &ApiServer, name: &str) -> Value {
    server.object("jobs", NAMESPACE, name)["spec"]["activeDeadlineSeconds"].clone()
}

/// More time is no right to connect: that is asked.
#[test]
fn extended_without_its_binding() {
    let server = ApiServer::start();
    let session = shared_with(&server, &["bob"]);
    server.remove("rolebindings", NAMESPACE, NAME);
    let extended = session.share_db(["extend", "pg", "--for", "2h"]).success();
    let listed = session.share_db(["list"]);
    let again = session.share_db(["pg", "--with", "bob", "--for", "2h"]);
    snapshot!(extended, listed, again, session.share_db(["list"]));
}

/// Who may not ask as a colleague says so.
#[test]
fn extended_without_the_right_to_ask() {
    let server = ApiServer::start();
    let session = shared_with(&server, &["bob"]);
    server.script(|request| {
        let review = request.path.ends_with("localsubjectaccessreviews");
        review.then(|| Response::status(403, "Forbidden", "no", &Value::Null))
    });
    snapshot!(session.share_db(["extend", "pg", "--for", "2h"]));
}

/// Nobody gets more time who was not named.
#[test]
fn extended_with_somebody_else() {
    let server = ApiServer::start();
    let session = shared_with(&server, &["bob"]);
    let mut binding = server.object("rolebindings", NAMESPACE, NAME);
    let subjects = binding["subjects"].as_array_mut().expect("subjects");
    subjects.push(fixtures::user("oidc-eve"));
    server.put(binding);
    let one = session.share_db(["extend", "pg", "--with", "bob", "--for", "2h"]);
    assert_eq!(one.code(), 1, "{one}");
    assert_eq!(deadline(&server, NAME), 3600);
    // Its timer is set once, for both.
    let both = session.share_db(["extend", "pg", "--for", "2h"]).success();
    let patches = |request: &&Request| request.method == "PATCH";
    assert_eq!(server.requests().iter().filter(patches).count(), 1);
    snapshot!(one, both, session.share_db(["revoke", "pg", "--dry-run"]));
}

/// `bob` is who is called so, before whose name in the cluster is that.
#[test]
fn two_of_one_name() {
    let server = ApiServer::start();
    let session = shared_with(&server, &["bob", "user:bob"]);
    let listed = session.share_db(["list"]).success();
    let called = session.share_db(["revoke", "pg", "--with", "bob"]);
    let exact = session.share_db(["revoke", "pg", "--with", "user:bob"]);
    snapshot!(listed, called, exact, session.share_db(["list"]));
}

/// Several shares by one command: what fails leaves those alone that were there.
#[test]
fn extended_after_what_is_new() {
    let server = ApiServer::start();
    let session = shared_with(&server, &["bob"]);
    server.script(|request| {
        let is_carols = request.json()["metadata"]["name"]
            .as_str()
            .is_some_and(|name| name.starts_with("share-pg-carol"));
        let fails = request.method == "POST" && request.path.ends_with("rolebindings") && is_carols;
        fails.then(|| Response::status(403, "Forbidden", "a policy says no", &Value::Null))
    });
    let failed = session.share_db(["pg", "--with", "bob", "carol", "--for", "8h"]);
    assert_eq!(deadline(&server, NAME), 3600);
    snapshot!(failed, session.share_db(["list"]));
}

/// A `RoleBinding` that waits for the Role of a share.
#[test]
fn a_binding_that_waits() {
    let server = ApiServer::start();
    server.put(by_hand(&fixtures::user("oidc-eve")));
    let session = Session::alice(&server);
    let shared = session.share_db(["pg", "--with", "bob", "--for", "1h"]);
    snapshot!(shared, session.share_db(["list"]));
}

/// What would stay after its end, since somebody holds it.
#[test]
fn held_back_by_finalizers() {
    let held = |plurals: &[&str]| -> [Run; 3] {
        let server = ApiServer::start();
        let session = shared_with(&server, &["bob"]);
        for plural in plurals {
            let mut object = server.object(plural, NAMESPACE, NAME);
            object["metadata"]["finalizers"] = json!(["example.org/held"]);
            server.put(object);
        }
        let listed = session.share_db(["list"]).success();
        let again = session.share_db(["pg", "--with", "bob", "--for", "2h"]);
        [listed, again, session.share_db(["extend", "pg"])]
    };
    // Without its Role a RoleBinding gives nothing, and the other way round.
    let one = held(&["rolebindings"]);
    let both = held(&["rolebindings", "roles"]);
    snapshot_all!([one, both].concat());
}

/// Who is a member of a group that has a share goes on by that.
#[test]
fn revoked_beside_a_group() {
    let server = ApiServer::start();
    let session = shared_with(&server, &["bob", "group:team"]);
    let revoked = session.share_db(["revoke", "pg", "--with", "bob"]);
    snapshot!(revoked, session.share_db(["list"]));
}

/// More groups than are asked about, and a Secret that a Role gives by its name.
#[test]
fn what_is_not_asked_is_said() {
    let server = ApiServer::start();
    for number in 0..12 {
        let name = format!("team-{number}");
        server.put(fixtures::role_binding(
            NAMESPACE,
            &name,
            "view",
            &group(&name),
        ));
    }
    let session = Session::alice(&server);
    let many = session.share_db(["pg", "--with", "bob"]);
    let revoked = session.share_db(["revoke", "pg", "--with", "bob"]);
    let exactly = session.share_db(["pg", "--with", "sa:user-bob/default"]);
    server.put(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"namespace": NAMESPACE, "name": "one-secret"},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["pg"]}],
    }));
    let mut binding = by_hand(&fixtures::user("oidc-carol"));
    binding["roleRef"]["name"] = json!("one-secret");
    server.put(binding);
    snapshot!(
        many,
        revoked,
        exactly,
        session.share_db(["pg", "--with", "carol"])
    );
}

/// A dry run tells of everything that would go.
#[test]
fn a_dry_run_of_revoking_everything() {
    let server = ApiServer::start();
    let session = shared_with(&server, &["bob"]);
    server.put(by_hand(&fixtures::user("oidc-eve")));
    let mut unreadable = server.object("rolebindings", NAMESPACE, NAME);
    unreadable["metadata"]["name"] = json!("share-of-nobody");
    unreadable["metadata"]["annotations"] = json!(null);
    unreadable["roleRef"]["name"] = json!("share-of-nobody");
    server.put(unreadable);
    let before = server.versions();
    let runs =
        ["--dry-run", "--dry-run=server"].map(|dry| session.share_db(["revoke", "--all", dry]));
    assert_eq!(server.versions(), before, "nothing was written");
    let [client, from_server] = runs;
    let ended = session.share_db(["revoke", "--all"]);
    let nothing = session.share_db(["revoke", "--all", "--ignore-not-found"]);
    snapshot!(client, from_server, ended, nothing);
    assert_eq!(server.ours(), [""; 0]);
}

/// Somebody else's RoleBinding for the same Role that goes with the same timer.
#[test]
fn more_time_for_somebody_else() {
    let server = ApiServer::start();
    let session = shared_with(&server, &["bob"]);
    let mut eve = by_hand(&fixtures::user("oidc-eve"));
    let bobs = server.object("rolebindings", NAMESPACE, NAME);
    eve["metadata"]["ownerReferences"] = bobs["metadata"]["ownerReferences"].clone();
    server.put(eve);
    let shared = session.share_db(["pg", "--with", "bob", "--for", "8h"]);
    let extended = session.share_db(["extend", "pg", "--with", "bob", "--for", "8h"]);
    assert_eq!(deadline(&server, NAME), 3600);
    snapshot!(shared, extended, session.share_db(["list"]));
}

/// What was changed of an older share is put back when another one of the same command fails.
#[test]
fn an_older_share_is_as_it_was() {
    let server = ApiServer::start();
    let session = shared_with(&server, &["bob"]);
    let role = server.object("roles", NAMESPACE, NAME)["rules"].clone();
    let refuse = || Response::status(403, "Forbidden", "a policy says no", &Value::Null);
    server.on("POST", "*/rolebindings", refuse);
    let failed = session.share_db([
        "pg",
        "--with",
        "bob",
        "carol",
        "--for",
        "8h",
        "--plain-kubectl",
    ]);
    assert_eq!(server.object("roles", NAMESPACE, NAME)["rules"], role);
    assert_eq!(deadline(&server, NAME), 3600);
    snapshot!(failed, session.share_db(["list"]));
}

/// A timer that lost its label ends what it owns all the same.
#[test]
fn a_timer_without_its_label() {
    let server = ApiServer::start();
    let session = shared_with(&server, &["bob"]);
    let mut job = server.object("jobs", NAMESPACE, NAME);
    job["metadata"]["labels"] = json!({});
    server.put(job.clone());
    let ends = session.share_db(["list"]).success();
    job["spec"]["activeDeadlineSeconds"] = Value::Null;
    server.put(job);
    snapshot!(ends, session.share_db(["list"]));
}

/// A Role that gives more than a share does, or by one verb alone.
#[test]
fn a_role_that_says_something_else() {
    let server = ApiServer::start();
    let session = shared_with(&server, &["bob"]);
    let role = server.object("roles", NAMESPACE, NAME);
    let mut more = role.clone();
    let rules = more["rules"].as_array_mut().expect("rules");
    rules.push(json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["pg"]}));
    server.put(more);
    let gives_more = session.share_db(["list"]).success();
    let mut one_verb = role;
    one_verb["rules"][0]["verbs"] = json!(["create"]);
    server.put(one_verb);
    snapshot!(gives_more, session.share_db(["list"]));
}

/// A name that somebody wrote into an annotation.
#[test]
fn a_colleague_called_otherwise() {
    let server = ApiServer::start();
    let session = shared_with(&server, &["bob"]);
    let mut binding = server.object("rolebindings", NAMESPACE, NAME);
    binding["metadata"]["name"] = json!("share-pg-bob");
    binding["metadata"]["uid"] = json!("another");
    binding["subjects"] = json!([fixtures::user("oidc-mallory")]);
    let annotations = &mut binding["metadata"]["annotations"];
    annotations["kube-commons/subject"] = json!("user:oidc-mallory");
    server.put(binding);
    let listed = session.share_db(["list"]).success();
    snapshot!(
        listed,
        session.share_db(["revoke", "pg", "--with", "bob"]),
        session.share_db(["list"])
    );
}

/// A policy that holds back whatever is made.
#[test]
fn finalizers_by_a_policy() {
    let server = ApiServer::start();
    let held = json!({"metadata": {"finalizers": ["example.org/held"]}});
    server.rewrites("roles", held.clone());
    server.rewrites("rolebindings", held);
    snapshot!(Session::alice(&server).share_db(["pg", "--with", "bob"]));
}

/// What is warned of in words is warned of beside JSON too.
#[test]
fn warnings_beside_json() {
    let server = ApiServer::start();
    server.put(fixtures::role_binding(
        NAMESPACE,
        "team",
        "edit",
        &group("team"),
    ));
    let session = Session::alice(&server);
    let shared = session
        .share_db(["pg", "--with", "bob", "-o", "name"])
        .success();
    let revoked = session.share_db(["revoke", "pg", "-o", "name"]).success();
    snapshot!(shared, revoked);
}

/// Two terminals at once: what one of them could not write, it does not put back over what the other one wrote.
#[test]
fn somebody_else_was_faster() {
    let server = ApiServer::start();
    let session = shared_with(&server, &["bob"]);
    let mut faster = server.object("jobs", NAMESPACE, NAME);
    faster["spec"]["activeDeadlineSeconds"] = json!(7200);
    // Refused only when the other one has been faster.
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
    server.script(move |request| {
        let wait = wait.clone();
        (request.method == "PATCH").then(|| {
            Response::raw(move |stream| {
                let _ = wait.lock().expect("the lock").recv();
                let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Conflict", "code": 409, "message": "the object has been modified"}).to_string();
                let head = format!("HTTP/1.1 409 Conflict\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                let _ = stream.write_all((head + &body).as_bytes());
            })
        })
    });
    let extending = session.spawn("share-db", ["extend", "pg", "--for", "8h"]);
    server.wait_for("the patch", |request| request.method == "PATCH");
    server.put(faster);
    go_on.send(()).expect("it waits");
    let run = extending.finish();
    assert_eq!(run.code(), 1, "{run}");
    assert_eq!(deadline(&server, NAME), 7200);
    snapshot!(run);
}

/// The pod that was to be deleted is another one by then: tunnels may lead to it.
#[test]
fn a_pod_that_is_another_one_by_now() {
    let server = ApiServer::start();
    let session = shared_with(&server, &["bob"]);
    let another = || {
        let says = "Precondition failed: UID in precondition: 1, UID in object meta: 2";
        Response::status(409, "Conflict", says, &Value::Null)
    };
    server.on("DELETE", "*/pods/*", another);
    snapshot!(session.share_db(["revoke", "pg", "--cut", "--yes"]));
}
