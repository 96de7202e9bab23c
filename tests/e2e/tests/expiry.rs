//! A share ends by itself, with stock controllers, though nobody is there to end it.

use std::time::{Duration, Instant};

use e2e::{Alone, Stage, eventually};

#[test]
fn ten_seconds_are_ten_seconds() {
    let alone = Alone::on_the_cluster();
    let mut stage = alone.stage();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    alice.deploys_postgres();
    let database = format!("{}/pg", alice.namespace());
    let kinds = "jobs,roles,rolebindings,configmaps";

    let start = Instant::now();
    alice
        .share_db(&["pg", "--with", &bob.name, "--for", "10s"])
        .ok();
    let mut proxy = bob.proxy(&database);
    assert_eq!(proxy.sql("select 1").ok().stdout, "1\n");
    assert_eq!(
        alice.ours(kinds).len(),
        4,
        "a timer, a role, a binding and a card"
    );

    // Still there shortly before the end, gone within three seconds after it.
    eventually("nine seconds have passed", Duration::from_secs(10), || {
        start.elapsed() > Duration::from_secs(9)
    });
    assert_eq!(alice.ours("rolebindings").len(), 1, "ended too early");
    eventually(
        "everything of the share is gone",
        Duration::from_secs(13).saturating_sub(start.elapsed()),
        || alice.ours(kinds).is_empty(),
    );

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
            &format!("share-pg-{}", bob.name),
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
