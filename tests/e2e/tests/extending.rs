//! The end of a share can be moved, to later and to earlier, and the colleague is told the truth.

use std::time::Duration;

use e2e::{Alone, eventually};

#[test]
fn extend_and_shorten() {
    let alone = Alone::on_the_cluster();
    let mut stage = alone.stage();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    alice.deploys_postgres();
    let database = format!("{}/pg", alice.namespace());
    let job = alice.share_name("pg", &bob.name);
    let until = || {
        alice
            .kubectl(&["get", "configmap", &job, "-o", "jsonpath={.data.until}"])
            .ok()
            .stdout
    };

    alice
        .share_db(&["pg", "--with", &bob.name, "--for", "1m"])
        .ok();
    let first = until();
    let again = alice
        .share_db(&["pg", "--with", &bob.name, "--for", "1h"])
        .ok();
    assert!(
        again.stdout.contains("may now connect longer"),
        "sharing again extends and says so: {}",
        again.stdout
    );
    let second = until();
    assert!(second > first, "{first} then {second}");
    alice
        .share_db(&["extend", "pg", "--with", &bob.name, "--for", "2h"])
        .ok();
    assert!(until() > second);

    // Sharing again never shortens; it says how to.
    let shorter = alice
        .share_db(&["pg", "--with", &bob.name, "--for", "1h"])
        .ok();
    assert!(
        shorter.stdout.contains("may already connect")
            && shorter.stderr.contains("kubectl share-db extend pg"),
        "{}{}",
        shorter.stdout,
        shorter.stderr
    );

    assert_eq!(bob.sql(&database, "select 1").ok().stdout, "1\n");
    alice.share_db(&["extend", "pg", "--for", "2s"]).ok();
    eventually("it ended early", Duration::from_secs(6), || {
        alice.ours("jobs,roles,rolebindings,configmaps").is_empty()
    });
    bob.sql(&database, "select 1")
        .fails(1, "is yours or shared with you");
    alice
        .share_db(&["extend", "pg", "--for", "1h"])
        .fails(1, "nothing is shared");
}
