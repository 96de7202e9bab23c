//! The Job that ends a share, on clusters that do not treat it as they should.

use cli_tests::{ApiServer, JobController, Run, Session, http::Server};
use serde_json::json;

const SHARE: [&str; 3] = ["pg", "--with", "bob"];

/// Shares on such a cluster; nothing of it may be left.
fn share(jobs: JobController) -> Run {
    let server = ApiServer::start();
    server.job_controller(jobs);
    let run = Session::alice(&server).share_db(SHARE);
    assert_eq!(server.ours(), [""; 0]);
    let bound = server.requests().iter().any(|request| {
        request.method != "GET"
            && request.method != "DELETE"
            && request.path.contains("/rolebindings")
    });
    assert!(!bound, "nobody gets a right without an end");
    run
}

#[test]
fn suspended() {
    snapshot!(share(JobController::Suspends));
}

#[test]
fn without_its_removal() {
    snapshot!(share(JobController::StripsTtl));
}

/// Nothing has to end a share that has no end.
#[test]
fn not_needed() {
    let forever = |jobs| {
        let server = ApiServer::start();
        server.job_controller(jobs);
        Session::alice(&server).share_db(["pg", "--with", "bob", "--forever"])
    };
    snapshot!(
        forever(JobController::Suspends),
        forever(JobController::StripsTtl)
    );
}

/// Ctrl-C while the Job has not started.
#[test]
fn interrupted() {
    let server = ApiServer::start();
    server.job_controller(JobController::Down);
    let session = Session::alice(&server);
    let running = session.spawn("share-db", SHARE);
    server.wait_for("a watch of the Job", |request| {
        request.query("watch").is_some()
    });
    running.interrupt();
    let run = running.finish();
    assert_eq!(run.code(), 130);
    assert_eq!(server.ours(), [""; 0]);
    assert!(server.writes().contains(
        &"DELETE /apis/batch/v1/namespaces/user-alice/jobs/share-pg-bob-a8c8309b".to_owned()
    ));
    snapshot!(run);
}

/// The same by SIGTERM, as a closing session sends it.
#[test]
fn terminated() {
    let server = ApiServer::start();
    server.job_controller(JobController::Down);
    let session = Session::alice(&server);
    let running = session.spawn("share-db", SHARE);
    server.wait_for("a watch of the Job", |request| {
        request.query("watch").is_some()
    });
    running.signal(cli_tests::run::Signal::TERM);
    assert_eq!(running.finish().code(), 143);
    assert_eq!(server.ours(), [""; 0]);
}

/// Ctrl-C while nothing is written yet.
#[test]
fn interrupted_while_reading() {
    let (arrived, connections) = std::sync::mpsc::channel();
    let server = Server::each_connection(move |stream| {
        // Kept open and never answered.
        let _ = arrived.send(stream);
    });
    let session = Session::at(&format!("http://{}", server.address), "127.0.0.1:6443");
    let running = session.spawn("share-db", SHARE);
    let _open = connections
        .recv_timeout(std::time::Duration::from_secs(10))
        .expect("a connection");
    running.interrupt();
    let run = running.finish();
    assert_eq!(run.code(), 130);
    snapshot!(run);
}

#[test]
fn deleted_by_somebody_else() {
    let server = ApiServer::start();
    server.job_controller(JobController::Down);
    let session = Session::alice(&server);
    let running = session.spawn("share-db", SHARE);
    server.wait_for("a watch of the Job", |request| {
        request.query("watch").is_some()
    });
    let _ = Session::alice(&server).share_db(["revoke", "pg"]);
    snapshot!(running.finish());
}

/// Shares whose Jobs were tampered with.
#[test]
fn tampered_with() {
    let server = ApiServer::start();
    let session = Session::alice(&server);
    let _ = session.share_db(SHARE).success();
    let change = |change| server.pretend("jobs", "share-pg-bob-a8c8309b", change);
    change(json!({"spec": {"suspend": true}, "status": null}));
    let list = session.share_db(["list"]);
    let extend = session.share_db(["extend", "pg"]);
    change(
        json!({"spec": {"activeDeadlineSeconds": i64::MAX}, "status": {"startTime": "2026-01-05T10:00:00Z"}}),
    );
    let endless = session.share_db(["list"]);
    change(json!({"spec": {"activeDeadlineSeconds": -5}}));
    snapshot!(list, extend, endless, session.share_db(["list"]));
}
