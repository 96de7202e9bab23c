//! What a plugin waits for until it gives up. One test, in which all wait at the same time.

use crate::fixtures;
use cli_tests::{ApiServer, JobController, Response, Session};
use serde_json::json;

const SHARE: [&str; 3] = ["pg", "--with", "bob"];

#[test]
fn to_the_end() {
    std::thread::scope(|scope| {
        scope.spawn(sharing);
        scope.spawn(crate::deploy::failing::to_the_end);
        scope.spawn(crate::expose::proven::to_the_end);
    });
}

fn sharing() {
    // The Job's controller is down: the timer never starts.
    let stopped = ApiServer::start();
    stopped.job_controller(JobController::Down);
    let alice = Session::alice(&stopped);
    let never_started = alice.spawn("share-db", SHARE);

    // The authorizer never says yes as Bob: a share that does not work is none.
    let deaf = ApiServer::start();
    deaf.script(|request| {
        let mut answer = request.json();
        answer["status"] = json!({"allowed": false});
        let review = request.path.ends_with("localsubjectaccessreviews");
        review.then(|| Response::json(201, &answer))
    });
    let alice = Session::alice(&deaf);
    let not_proven = alice.spawn("share-db", SHARE);

    // Bob is there by another way already, and does not go when his share does.
    let open = ApiServer::start();
    let edits = fixtures::role_binding("user-alice", "bob", "edit", &fixtures::user("oidc-bob"));
    open.put(edits);
    let alice = Session::alice(&open);
    let more = alice.share_db(SHARE).success();
    let still_there = alice.spawn("share-db", ["revoke", "pg"]);

    snapshot!("more_than_shared", more, still_there.finish());
    snapshot!("not_proven", not_proven.finish());
    assert_eq!(deaf.ours(), [""; 0]);
    snapshot!("never_started", never_started.finish());
    assert_eq!(stopped.ours(), [""; 0]);
}
