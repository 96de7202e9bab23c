//! A share ends by itself, with stock controllers, though nobody is there to end it.

use std::time::Duration;

use e2e::{Alone, Stage, Stopwatch, eventually};

#[test]
fn ten_seconds_are_ten_seconds() {
    let alone = Alone::on_the_cluster();
    let mut stage = alone.stage();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    alice.deploys_postgres();
    let database = format!("{}/pg", alice.namespace());
    let kinds = "jobs,roles,rolebindings,configmaps";

    let stopwatch = Stopwatch::start();
    alice
        .share_db(&["pg", "--with", &bob.name, "--for", "10s"])
        .ok();
    let mut proxy = bob.proxy(&database);
    let answer = proxy.sql("select 1");
    let ours = alice.ours(kinds);
    // Not before its end, which a busy machine may have reached by now, and gone within three seconds after it. The cluster
    // writes down whole seconds, so it may be one less.
    let end = Duration::from_secs(10);
    let soonest = Duration::from_secs(9);
    if stopwatch.elapsed() < soonest {
        assert_eq!(answer.ok().stdout, "1\n");
        assert_eq!(
            ours.len(),
            4,
            "a timer, a role, a binding and a card: {ours:?}"
        );
    }
    eventually("everything of the share is gone", 2 * end, || {
        alice.ours(kinds).is_empty()
    });
    let took = stopwatch.elapsed();
    assert!(took >= soonest, "ended too early, after {took:?}");
    let late = stopwatch.undisturbed().saturating_sub(end);
    assert!(late <= Duration::from_secs(3), "ended {late:?} too late");

    bob.sql(&database, "select 1")
        .fails(1, "is yours or shared with you");
    proxy.says("has ended");
    assert_eq!(proxy.end(), 1, "a proxy that cannot connect any more ends");
}

#[test]
fn without_an_end_it_stays() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    alice.deploys_postgres();
    let shared = alice
        .share_db(&["pg", "--with", &bob.name, "--forever"])
        .ok();
    assert!(
        shared.stdout.contains("until you revoke it"),
        "{}",
        shared.stdout
    );
    let deadline = alice
        .kubectl(&[
            "get",
            "job",
            &alice.share_name("pg", &bob.name),
            "-o",
            "jsonpath={.spec.activeDeadlineSeconds}{.status.startTime}",
        ])
        .ok();
    assert!(
        deadline.stdout.starts_with("20"),
        "no deadline, but started: {}",
        deadline.stdout
    );
    assert!(alice.share_db(&["list"]).ok().stdout.contains("forever"));
    alice.share_db(&["extend", "pg", "--for", "1h"]).ok();
    assert!(!alice.share_db(&["list"]).ok().stdout.contains("forever"));
}
