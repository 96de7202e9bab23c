//! `share-db`: a share made, made again, extended and revoked; and all that comes in between.

use crate::fixtures;
use crate::fixtures::foreign;
use cli_tests::{ApiServer, Fate, Response, Session};
use serde_json::{Value, json};

const SHARE: [&str; 3] = ["pg", "--with", "bob"];

/// What a share consists of.
const OBJECTS: [&str; 4] = [
    "configmaps/share-pg-bob-a8c8309b",
    "jobs/share-pg-bob-a8c8309b",
    "rolebindings/share-pg-bob-a8c8309b",
    "roles/share-pg-bob-a8c8309b",
];

#[test]
fn from_the_first_to_the_last() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    let share = session.share_db(SHARE).success();
    assert_eq!(server.ours(), OBJECTS);
    server.advance(3600);
    let list = session.share_db(["list"]).success();
    let extend = session
        .share_db(["extend", "pg", "--with", "bob", "--for", "2d"])
        .success();
    let again = session.share_db(["list"]).success();
    let revoke = session
        .share_db(["revoke", "pg", "--with", "bob"])
        .success();
    assert_eq!(server.ours(), [""; 0]);
    let empty = session.share_db(["list"]).success();
    snapshot!(share, list, extend, again, revoke, empty);
}

/// Nobody has to be there when a share ends.
#[test]
fn ends_by_itself() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    let _ = session
        .share_db(["pg", "--with", "bob", "--for", "1h"])
        .success();
    server.advance(3599);
    assert_eq!(server.ours(), OBJECTS);
    server.advance(1);
    assert_eq!(server.ours(), [""; 0]);
}

/// The second time says so and changes nothing that is stored.
#[test]
fn again() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    let _ = session.share_db(SHARE).success();
    let stored = || {
        OBJECTS.map(|name| {
            let (plural, name) = name.split_once('/').unwrap();
            server.object(plural, "user-alice", name)
        })
    };
    let before = stored();
    server.advance(60);
    let again = session.share_db(SHARE).success();
    assert_eq!(stored(), before);
    let shorter = session
        .share_db(["pg", "--with", "bob", "--for", "1h"])
        .success();
    assert_eq!(
        stored(),
        before,
        "a share is not made shorter by sharing again"
    );
    let longer = session
        .share_db(["pg", "--with", "bob", "--for", "2d"])
        .success();
    let forever = session
        .share_db(["pg", "--with", "bob", "--forever"])
        .success();
    let list = session.share_db(["list"]).success();
    let end = session.share_db(["extend", "pg", "--for", "10m"]).success();
    snapshot!(again, shorter, longer, forever, list, end);
}

/// Somebody has taken the rights out of the Role: sharing again puts them back, and leaves what was added beside.
#[test]
fn again_after_a_change_by_hand() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    let _ = session.share_db(SHARE).success();
    let before = server.object("roles", "user-alice", "share-pg-bob-a8c8309b");
    let mut role = before.clone();
    role["rules"] = json!([]);
    role["metadata"]["labels"]["team"] = json!("a");
    server.put(role);
    let run = session.share_db(SHARE).success();
    let after = server.object("roles", "user-alice", "share-pg-bob-a8c8309b");
    assert_eq!(after["rules"], before["rules"]);
    assert_eq!(after["metadata"]["labels"]["team"], "a");
    snapshot!(run);
}

#[test]
fn with_several() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    let share = session
        .share_db([
            "pg",
            "--with",
            "bob",
            "carol,user:dave@example.test",
            "--with",
            "group:team",
        ])
        .success();
    let list = session.share_db(["list", "-o", "wide"]).success();
    let one = session
        .share_db(["revoke", "pg", "--with", "carol"])
        .success();
    let rest = session.share_db(["revoke", "--all"]).success();
    assert_eq!(server.ours(), [""; 0]);
    snapshot!(share, list, one, rest);
}

/// What Bob may do is what the Role says, and no more.
#[test]
fn gives_no_more_than_it_says() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    let _ = session.share_db(SHARE).success();
    let role = server.object("roles", "user-alice", "share-pg-bob-a8c8309b");
    insta::assert_snapshot!(serde_json::to_string_pretty(&role["rules"]).unwrap());
    crate::roles_are_open(&server);
    let bob = Session::with_token(&server, "bob-token");
    snapshot!(
        bob.share_db(["list"]),
        bob.share_db(["revoke", "pg", "--with", "bob"]),
    );
}

#[test]
fn with_plain_kubectl() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    snapshot!(
        session
            .share_db(["pg", "--with", "bob", "--plain-kubectl"])
            .success()
    );
}

#[test]
fn under_other_names() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    let run = |name: &str| {
        let run = session.share_db([name, "--with", "bob", "--dry-run=server"]);
        server.forget_requests();
        run
    };
    snapshot!(
        run("svc/pg"),
        run("statefulset/pg"),
        run("pod/pg-0"),
        run("pg-0"),
        run("user-alice/pg"),
        run("user-alice/svc/pg"),
    );
}

#[test]
fn without_a_ready_pod() {
    let server = ApiServer::start();
    server.fate("pg", Fate::Unready("Readiness probe failed".to_owned()));
    server.settle();
    snapshot!(Session::alice(&server).share_db(SHARE));
}

#[test]
fn without_any_pod() {
    let server = ApiServer::start();
    server.remove("statefulsets", "user-alice", "pg");
    server.remove("pods", "user-alice", "pg-0");
    server.settle();
    snapshot!(Session::alice(&server).share_db(SHARE));
}

/// Nothing tells how the cluster calls people.
#[test]
fn without_an_example_of_a_name() {
    let server = ApiServer::start();
    server.on("POST", "*/selfsubjectreviews", || {
        Response::status(
            404,
            "NotFound",
            "the server could not find the requested resource",
            &json!({}),
        )
    });
    server.put(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"namespace": "user-alice", "name": "full_control_namespace"},
        "roleRef": {"kind": "ClusterRole", "name": "admin"},
        "subjects": [{"kind": "Group", "name": "system:authenticated"}],
    }));
    snapshot!(Session::alice(&server).share_db(SHARE));
}

#[test]
fn dry_run_of_the_client() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    let plain = session
        .share_db(["pg", "--with", "bob", "--dry-run"])
        .success();
    let name = session
        .share_db(["pg", "--with", "bob", "--dry-run=client", "-o", "name"])
        .success();
    let yaml = session
        .share_db(["pg", "--with", "bob", "--dry-run=client", "-o", "yaml"])
        .success();
    assert_eq!(server.writes(), [""; 0]);
    let reads =
        |request: &cli_tests::Request| request.method == "GET" || request.path.ends_with("reviews");
    assert!(
        server.requests().iter().all(reads),
        "nothing is sent, not even dry"
    );
    snapshot!(plain, name, yaml);
}

#[test]
fn dry_run_of_the_server() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    let share = session
        .share_db(["pg", "--with", "bob", "--dry-run=server"])
        .success();
    assert!(server.requests().iter().any(cli_tests::Request::is_dry_run));
    assert_eq!(server.writes(), [""; 0]);
    assert_eq!(server.ours(), [""; 0]);
    let _ = session.share_db(SHARE).success();
    server.forget_requests();
    let again = session
        .share_db(["pg", "--with", "bob", "--dry-run=server"])
        .success();
    let extend = session
        .share_db(["extend", "pg", "--dry-run=server"])
        .success();
    let revoke = session
        .share_db(["revoke", "pg", "--dry-run=server"])
        .success();
    let client = session.share_db(["revoke", "pg", "--dry-run"]).success();
    assert_eq!(server.writes(), [""; 0]);
    assert_eq!(server.ours(), OBJECTS);
    snapshot!(share, again, extend, revoke, client);
}

#[test]
fn as_json() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    snapshot!(
        session
            .share_db(["pg", "--with", "bob", "-o", "json"])
            .success()
    );
}

#[test]
fn quietly() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    let share = session.share_db(["pg", "--with", "bob", "-q"]).success();
    let revoke = session.share_db(["revoke", "pg", "-q"]).success();
    let failure = session.share_db(["pgg", "--with", "bob", "-q"]);
    snapshot!(share, revoke, failure);
}

const NAME: &str = "share-pg-bob-a8c8309b";

#[test]
fn objects_of_others_stay_as_they_are() {
    let run = |object: Value| {
        let server = ApiServer::start();
        server.put(object);
        let run = Session::alice(&server).share_db(SHARE);
        assert_eq!(server.writes(), [""; 0]);
        run
    };
    let helm = json!({"app.kubernetes.io/managed-by": "Helm"});
    snapshot!(
        run(foreign("ConfigMap", NAME, &json!({}))),
        run(foreign("Role", NAME, &helm)),
        run(foreign("RoleBinding", NAME, &helm)),
        run(foreign(
            "Job",
            NAME,
            &json!({"app.kubernetes.io/managed-by": "kubectl-proxy-db"})
        )),
    );
}

/// The RoleBinding is refused when the rest is already there: it is all taken back.
#[test]
fn refused_half_way() {
    let server = ApiServer::start();
    server.on_write("rolebindings", || {
        Response::status(
            403,
            "Forbidden",
            "admission webhook \"bindings.example.test\" denied the request: ask the platform team",
            &Value::Null,
        )
    });
    let run = Session::alice(&server).share_db(SHARE);
    assert_eq!(server.ours(), [""; 0]);
    let writes = server.writes();
    assert!(
        writes.iter().any(|write| write.contains("/roles")),
        "{writes:?}"
    );
    assert!(
        writes.contains(
            &"DELETE /apis/batch/v1/namespaces/user-alice/jobs/share-pg-bob-a8c8309b".to_owned()
        ),
        "{writes:?}"
    );
    snapshot!(run);
}

/// Somebody makes a Job of this name between the look and the leap: it is theirs, whoever they are.
#[test]
fn what_was_made_meanwhile_stays() {
    let server = ApiServer::start();
    let helm = json!({"app.kubernetes.io/managed-by": "Helm"});
    server.put(foreign("Job", NAME, &helm));
    server.on("GET", "*/jobs/share-pg-bob-a8c8309b", || {
        let message = "jobs.batch \"share-pg-bob-a8c8309b\" not found";
        let details = json!({"name": "share-pg-bob-a8c8309b", "group": "batch", "kind": "jobs"});
        Response::status(404, "NotFound", message, &details)
    });
    let run = Session::alice(&server).share_db(SHARE);
    assert!(
        !server
            .object("jobs", "user-alice", "share-pg-bob-a8c8309b")
            .is_null()
    );
    snapshot!(run);
}

/// Somebody has put a binding of their own in the place of the share's.
#[test]
fn revoking_leaves_what_is_not_ours() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    let _ = session.share_db(SHARE).success();
    server.remove("rolebindings", "user-alice", "share-pg-bob-a8c8309b");
    let carol = fixtures::user("oidc-carol");
    server.put(fixtures::role_binding(
        "user-alice",
        "share-pg-bob-a8c8309b",
        "view",
        &carol,
    ));
    let run = session.share_db(["revoke", "pg"]);
    assert!(
        !server
            .object("rolebindings", "user-alice", "share-pg-bob-a8c8309b")
            .is_null()
    );
    snapshot!(run);
}

/// Then not even that works.
#[test]
fn refused_half_way_and_not_taken_back() {
    let server = ApiServer::start();
    let broken = || {
        Response::status(
            500,
            "InternalError",
            "etcdserver: request timed out",
            &Value::Null,
        )
    };
    server.on_write("rolebindings", broken);
    server.on("DELETE", "*", broken);
    let run = Session::alice(&server).share_db(SHARE);
    assert!(
        server
            .ours()
            .contains(&"jobs/share-pg-bob-a8c8309b".to_owned())
    );
    snapshot!(run);
}

/// Refuses the Role for Carol, when all else is there.
fn refuse_carol(server: &ApiServer) {
    server.script(|request| {
        let role = request.is_write() && request.path.contains("/roles");
        let carol = request.json()["metadata"]["name"] == "share-pg-carol-e76d42e0";
        let message = "admission webhook \"roles.example.test\" denied the request: not carol";
        (role && carol).then(|| Response::status(403, "Forbidden", message, &Value::Null))
    });
}

/// One of two colleagues fails: neither is left.
#[test]
fn one_of_two_refused() {
    let server = ApiServer::start();
    refuse_carol(&server);
    let run = Session::alice(&server).share_db(["pg", "--with", "bob", "carol"]);
    assert_eq!(server.ours(), [""; 0]);
    snapshot!(run);
}

/// A share that exists and is extended stays when the rest fails.
#[test]
fn an_older_share_is_not_taken_back() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    let _ = session.share_db(SHARE).success();
    refuse_carol(&server);
    let run = session.share_db(["pg", "--with", "bob", "carol"]);
    assert_eq!(server.ours(), OBJECTS);
    snapshot!(run);
}

/// The card of a share that is extended cannot be written.
#[test]
fn extended_but_not_its_card() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    let _ = session.share_db(SHARE).success();
    server.on_write("configmaps", || {
        Response::status(
            500,
            "InternalError",
            "etcdserver: request timed out",
            &Value::Null,
        )
    });
    snapshot!(session.share_db(["extend", "pg", "--for", "2d"]));
}

/// As few requests as the job needs; more is to be said on purpose.
#[test]
fn how_many_requests() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    let count = |args: &[&str]| {
        server.forget_requests();
        let _ = session.share_db(args).success();
        server.requests().len()
    };
    // Three of them are tunnels, which try as whom the database asks for a password.
    assert_eq!(count(&SHARE), 31, "share");
    assert_eq!(count(&SHARE), 26, "share again");
    assert_eq!(count(&["list"]), 5, "list");
    assert_eq!(count(&["extend", "pg"]), 8, "extend");
    // All that belongs to a share is deleted by name, whether or not a timer would take it along; and then the database is
    // tried, since what was left behind in one that asks for no password is to be looked for.
    // The card may be gone with the timer before it is looked for.
    let revoking = count(&["revoke", "pg"]);
    assert!((16..=18).contains(&revoking), "revoke: {revoking}");
}
