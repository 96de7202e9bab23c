//! Nothing outlives its end unseen: what gives a right counts, not what keeps time.

use crate::fixtures;
use cli_tests::{ApiServer, Run, Session};
use serde_json::{Value, json};

const NAME: &str = "share-pg-bob-a8c8309b";
const NAMESPACE: &str = "user-alice";

fn share(server: &ApiServer) -> Session {
    let session = Session::alice(server);
    let _ = session
        .share_db(["pg", "--with", "bob", "--for", "1h"])
        .success();
    session
}

/// What is said of a share that nothing ends, what is done with it, and that nothing is left then.
fn seen_mended_and_ended(server: &ApiServer, session: &Session) -> [Run; 4] {
    let seen = session.share_db(["list"]).success();
    let is_said = ["never ends", "over"]
        .iter()
        .any(|ends| seen.stdout.contains(ends));
    assert!(is_said, "{seen}");
    let extended = session.share_db(["extend", "pg", "--for", "2h"]);
    let mended = session.share_db(["pg", "--with", "bob", "--for", "30m"]);
    let ended = session
        .share_db(["revoke", "pg", "--with", "bob"])
        .success();
    assert_eq!(server.ours(), [""; 0]);
    [seen, extended, mended, ended]
}

/// The API's default for Jobs is to leave what they own behind: curl, clients of Python and Java, and dashboards do so.
#[test]
fn a_job_deleted_as_the_api_does_by_default() {
    let server = ApiServer::start();
    let session = share(&server);
    server.remove("jobs", NAMESPACE, NAME);
    for plural in ["roles", "rolebindings", "configmaps"] {
        let mut object = server.object(plural, NAMESPACE, NAME);
        object["metadata"]["ownerReferences"] = Value::Null;
        server.put(object);
    }
    snapshot_all!(seen_mended_and_ended(&server, &session));
}

/// Whatever makes a timer end nothing.
#[test]
fn a_job_that_ends_nothing() {
    let changes = [
        json!({"spec": {"activeDeadlineSeconds": null}}),
        json!({"spec": {"suspend": true}}),
        json!({"spec": {"parallelism": 1}}),
        json!({"spec": {"ttlSecondsAfterFinished": null}}),
        json!({"spec": {"ttlSecondsAfterFinished": 86400}}),
    ];
    let runs = changes.iter().flat_map(|change| {
        let server = ApiServer::start();
        let session = share(&server);
        let mut job = server.object("jobs", NAMESPACE, NAME);
        cli_tests::merge(&mut job, change);
        server.put(job);
        seen_mended_and_ended(&server, &session)
    });
    // What no API server lets happen to a Job that runs.
    let odd = [
        json!({"spec": {"managedBy": "example.org/nobody"}}),
        json!({"status": {"startTime": null}}),
    ];
    let odd = odd.into_iter().flat_map(|change| {
        let server = ApiServer::start();
        let session = share(&server);
        server.pretend("jobs", NAME, change);
        seen_mended_and_ended(&server, &session)
    });
    snapshot_all!(runs.chain(odd).collect::<Vec<_>>());
}

/// Another Job of the name, made when the timer was deleted.
#[test]
fn a_job_that_is_another() {
    let server = ApiServer::start();
    let session = share(&server);
    let job = server.object("jobs", NAMESPACE, NAME);
    server.remove("jobs", NAMESPACE, NAME);
    server.put(job);
    snapshot_all!(seen_mended_and_ended(&server, &session));
}

/// A RoleBinding that its timer does not own, or not alone.
#[test]
fn a_binding_that_stays() {
    let with_owners = |owner: Option<Value>| {
        let server = ApiServer::start();
        let session = share(&server);
        let owners = owner.map(|owner| {
            server.put(owner);
            let uid = server.object("configmaps", NAMESPACE, "x")["metadata"]["uid"].take();
            json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": uid}])
        });
        let owners = owners.unwrap_or_default();
        let mut binding = server.object("rolebindings", NAMESPACE, NAME);
        binding["metadata"]["ownerReferences"] = owners;
        server.put(binding);
        seen_mended_and_ended(&server, &session)
    };
    let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": NAMESPACE, "name": "x"}});
    snapshot_all!(
        [with_owners(None), with_owners(Some(other))]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
    );
}

/// A timer that is over and not removed: something holds it, or the cluster's controllers are down.
#[test]
fn a_share_that_is_over_and_stays() {
    let server = ApiServer::start();
    let session = share(&server);
    let over = json!([{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]);
    server.pretend("jobs", NAME, json!({"status": {"conditions": over}}));
    let seen = session.share_db(["list"]).success();
    let again = session.share_db(["pg", "--with", "bob"]);
    let extended = session.share_db(["extend", "pg"]);
    snapshot!(seen, again, extended, session.share_db(["revoke", "pg"]));
    assert_eq!(server.ours(), [""; 0]);
}

/// A timer that a colleague with the role `edit` made beforehand does not decide when a share ends.
#[test]
fn a_timer_made_beforehand() {
    let server = ApiServer::start();
    let session = share(&server);
    let mut job = server.object("jobs", NAMESPACE, NAME);
    for plural in ["roles", "rolebindings", "configmaps"] {
        server.remove(plural, NAMESPACE, NAME);
    }
    job["spec"]["activeDeadlineSeconds"] = json!(31_536_000);
    server.put(job);
    let unbound = session.share_db(["list"]).success();
    let shared = session.share_db(["pg", "--with", "bob", "--for", "1h"]);
    snapshot!(unbound, shared);
    assert_eq!(
        server.object("jobs", NAMESPACE, NAME)["spec"]["activeDeadlineSeconds"],
        3600
    );
}

/// A cluster whose policies rewrite what is written: no share, and nothing left of it.
#[test]
fn a_policy_that_rewrites() {
    let other =
        json!([{"kind": "User", "name": "oidc-eve", "apiGroup": "rbac.authorization.k8s.io"}]);
    let changes = [
        ("jobs", json!({"spec": {"activeDeadlineSeconds": null}})),
        ("jobs", json!({"spec": {"activeDeadlineSeconds": 86400}})),
        ("jobs", json!({"spec": {"parallelism": 1}})),
        ("jobs", json!({"spec": {"managedBy": "example.org/nobody"}})),
        (
            "roles",
            json!({"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}),
        ),
        ("rolebindings", json!({"subjects": other})),
        (
            "rolebindings",
            json!({"metadata": {"ownerReferences": null}}),
        ),
        (
            "configmaps",
            json!({"data": {"until": "2036-01-01T00:00:00Z"}}),
        ),
    ];
    let runs = changes.map(|(plural, change)| {
        let server = ApiServer::start();
        server.rewrites(plural, change);
        let run = Session::alice(&server).share_db(["pg", "--with", "bob", "--for", "1h"]);
        assert_eq!(run.code(), 1, "{run}");
        assert_eq!(server.ours(), [""; 0], "{run}");
        run
    });
    snapshot_all!(runs);
}

/// An end that is nearer than asked is an end.
#[test]
fn a_policy_that_shortens() {
    let server = ApiServer::start();
    server.rewrites("jobs", json!({"spec": {"activeDeadlineSeconds": 600}}));
    snapshot!(Session::alice(&server).share_db(["pg", "--with", "bob", "--for", "1h"]));
}

/// The timer is changed while its end is set anew.
#[test]
fn a_policy_that_rewrites_what_is_extended() {
    let server = ApiServer::start();
    let session = share(&server);
    server.rewrites("jobs", json!({"spec": {"ttlSecondsAfterFinished": null}}));
    let extended = session.share_db(["extend", "pg", "--for", "2h"]);
    assert_eq!(extended.code(), 1, "{extended}");
    snapshot!(extended, session.share_db(["list"]));
}

/// With `--forever` and back: what was asked for is what `list` says.
#[test]
fn without_an_end_as_asked() {
    let server = ApiServer::start();
    let session = share(&server);
    let forever = session.share_db(["extend", "pg", "--forever"]).success();
    let listed = session.share_db(["list"]).success();
    let ends = session.share_db(["extend", "pg", "--for", "1h"]).success();
    snapshot!(forever, listed, ends, session.share_db(["list"]));
}

/// Somebody bound a Role of a share to somebody else, by hand.
#[test]
fn somebody_else_in_the_same_role() {
    let server = ApiServer::start();
    let session = share(&server);
    let eve = |name: &str| {
        let mut binding = fixtures::role_binding(NAMESPACE, name, "", &fixtures::user("oidc-eve"));
        binding["roleRef"] =
            json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": NAME});
        binding
    };
    server.put(eve("by-hand"));
    let seen = session.share_db(["list"]).success();
    let ended = session.share_db(["revoke", "pg", "--with", "user:oidc-eve"]);
    let left = session.share_db(["list"]).success();
    snapshot!(seen, ended, left);
    assert!(
        server.ours().contains(&format!("rolebindings/{NAME}")),
        "bob stays"
    );
}

/// Two shares whose words join to the same.
#[test]
fn names_that_would_meet() {
    let server = ApiServer::start();
    for object in fixtures::postgres(NAMESPACE, "pg-dev") {
        server.put(object);
    }
    server.settle();
    let session = Session::alice(&server);
    let _ = session
        .share_db(["pg", "--with", "dev-bob", "--forever"])
        .success();
    let second = session
        .share_db(["pg-dev", "--with", "bob", "--for", "1m"])
        .success();
    let third = session.share_db(["svc/pg", "--with", "bob"]).success();
    let listed = session.share_db(["list", "-o", "wide"]).success();
    let revoked = session
        .share_db(["revoke", "svc/pg", "--with", "bob"])
        .success();
    snapshot!(second, third, listed, revoked, session.share_db(["list"]));
}

/// An object of the same name that is another share's.
#[test]
fn a_name_that_meets_another() {
    let server = ApiServer::start();
    let session = share(&server);
    let mut job = server.object("jobs", NAMESPACE, NAME);
    job["metadata"]["annotations"]["kube-commons/database"] = json!("other");
    server.put(job);
    snapshot!(session.share_db(["pg", "--with", "bob"]));
}

/// What is printed is not applied by other means into a right without an end.
#[test]
fn a_dry_run_that_is_applied() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    for mode in ["client", "server"] {
        for form in ["yaml", "json"] {
            let run = session.share_db([
                "pg",
                "--with",
                "bob",
                &format!("--dry-run={mode}"),
                "-o",
                form,
            ]);
            assert!(!run.stdout.contains("RoleBinding"), "{run}");
            assert!(run.stderr.contains("RoleBinding is left out"), "{run}");
        }
    }
    let forever = session.share_db([
        "pg",
        "--with",
        "bob",
        "--forever",
        "--dry-run",
        "-o",
        "yaml",
    ]);
    assert!(forever.stdout.contains("RoleBinding"), "{forever}");
}

/// Who may not read RoleBindings learns that this may not be all.
#[test]
fn seen_without_the_right_to_see_all() {
    let server = ApiServer::start();
    let _ = share(&server);
    let ide = Session::with_token(&server, "ide-token");
    snapshot!(ide.share_db(["list"]).success());
}
