//! A right that outlives its timer is seen, said and ended, however the timer was lost.

use std::time::Duration;

use e2e::{Person, Stage, eventually};

const KINDS: &str = "jobs,roles,rolebindings,configmaps";

/// Whether somebody may open a tunnel to Alice's pod, as the API server says.
fn may_forward(person: &Person, alice: &Person, pod: &str) -> bool {
    let right = [
        "auth",
        "can-i",
        "create",
        &format!("pods/{pod}"),
        "--subresource=portforward",
    ];
    let namespace = alice.namespace();
    person
        .kubectl(&[&right[..], &["-n", &namespace, "-q"]].concat())
        .code
        == 0
}

/// Alice shares her database with Bob for an hour; and what the share is called.
fn shared(stage: &mut Stage) -> (Person, Person, String) {
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    alice.deploys_postgres();
    alice
        .share_db(&["pg", "--with", &bob.name, "--for", "1h"])
        .ok();
    let name = alice.share_name("pg", &bob.name);
    (alice, bob, name)
}

/// Lists, expects that nothing ends the share, that Bob is in, and that revoking puts him out and leaves nothing.
fn seen_and_revoked(alice: &Person, bob: &Person, why: &str) {
    let list = alice.share_db(&["list"]).ok();
    assert!(list.stdout.contains("never ends"), "{}", list.stdout);
    assert!(list.stderr.contains(why), "{}", list.stderr);
    assert!(may_forward(bob, alice, "pg-0"), "the right is there");
    alice.share_db(&["revoke", "pg", "--with", &bob.name]).ok();
    eventually("bob is out", Duration::from_secs(10), || {
        !may_forward(bob, alice, "pg-0")
    });
    eventually("nothing is left", Duration::from_secs(10), || {
        alice.ours(KINDS).is_empty()
    });
}

#[test]
fn a_job_deleted_without_what_it_owns() {
    let mut stage = Stage::new();
    let (alice, bob, name) = shared(&mut stage);
    // What the API does when nobody says otherwise.
    alice
        .kubectl(&["delete", "job", &name, "--cascade=orphan"])
        .ok();
    eventually("nothing owns it", Duration::from_secs(10), || {
        let owners = "jsonpath={.metadata.ownerReferences}";
        let binding = alice.kubectl(&["get", "rolebinding", &name, "-o", owners]);
        binding.ok().stdout.is_empty()
    });
    seen_and_revoked(&alice, &bob, "its timer is gone");
}

#[test]
fn an_end_taken_from_a_binding_by_hand() {
    let mut stage = Stage::new();
    let (alice, bob, name) = shared(&mut stage);
    let orphaned = r#"{"metadata": {"ownerReferences": null}}"#;
    alice
        .kubectl(&["patch", "rolebinding", &name, "-p", orphaned])
        .ok();
    seen_and_revoked(&alice, &bob, "its timer is gone");
    // The same again, mended: sharing once more gives it an end.
    alice
        .share_db(&["pg", "--with", &bob.name, "--for", "1h"])
        .ok();
    alice
        .kubectl(&["patch", "rolebinding", &name, "-p", orphaned])
        .ok();
    alice
        .share_db(&["pg", "--with", &bob.name, "--for", "10s"])
        .ok();
    eventually("it ends", Duration::from_secs(30), || {
        !may_forward(&bob, &alice, "pg-0") && alice.ours(KINDS).is_empty()
    });
}

#[test]
fn a_timer_changed_by_hand() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    alice.deploys_postgres();
    let name = alice.share_name("pg", &bob.name);
    for (change, why) in [
        (r#"{"spec": {"suspend": true}}"#, "suspended"),
        (r#"{"spec": {"parallelism": 1}}"#, "runs pods"),
        (
            r#"{"spec": {"ttlSecondsAfterFinished": null}}"#,
            "not removed",
        ),
        (r#"{"spec": {"activeDeadlineSeconds": null}}"#, "no end"),
    ] {
        alice
            .share_db(&["pg", "--with", &bob.name, "--for", "1h"])
            .ok();
        alice.kubectl(&["patch", "job", &name, "-p", change]).ok();
        seen_and_revoked(&alice, &bob, why);
    }
}

#[test]
fn a_timer_that_is_over_and_stays() {
    let mut stage = Stage::new();
    let (alice, bob, name) = shared(&mut stage);
    let held = r#"{"metadata": {"finalizers": ["example.test/held"]}}"#;
    alice.kubectl(&["patch", "job", &name, "-p", held]).ok();
    alice.share_db(&["extend", "pg", "--for", "1s"]).ok();
    eventually("bob is out", Duration::from_secs(20), || {
        !may_forward(&bob, &alice, "pg-0")
    });
    let again = alice.share_db(&["pg", "--with", &bob.name, "--for", "1h"]);
    again.fails(1, "is over, but the cluster has not removed it");
    assert!(
        !may_forward(&bob, &alice, "pg-0"),
        "what is over is not prolonged"
    );
    let free = r#"{"metadata": {"finalizers": null}}"#;
    alice.kubectl(&["patch", "job", &name, "-p", free]).ok();
    eventually("nothing is left", Duration::from_secs(10), || {
        alice.ours(KINDS).is_empty()
    });
    alice
        .share_db(&["pg", "--with", &bob.name, "--for", "1h"])
        .ok();
}

#[test]
fn what_a_dry_run_prints_gives_nobody_a_right_when_it_is_applied() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    alice.deploys_postgres();
    for mode in ["--dry-run=client", "--dry-run=server"] {
        let printed = alice
            .share_db(&["pg", "--with", &bob.name, "--for", "1h", mode, "-o", "yaml"])
            .ok();
        alice.applies(&printed.stdout);
        assert!(!may_forward(&bob, &alice, "pg-0"), "{}", printed.stdout);
        alice.share_db(&["revoke", "--all"]);
        eventually("nothing is left", Duration::from_secs(10), || {
            alice.ours(KINDS).is_empty()
        });
    }
}

#[test]
fn two_shares_whose_names_would_meet() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    alice.deploys_postgres();
    let other = format!("dev-{}", bob.name);
    alice.share_db(&["pg", "--with", &other, "--forever"]).ok();
    let kinds = ["pg", "svc/pg", "statefulset/pg", "pod/pg-0"];
    for database in kinds {
        let shared = alice
            .share_db(&[database, "--with", &bob.name, "--for", "1h"])
            .ok();
        assert!(shared.stdout.contains("may connect"), "{}", shared.stdout);
    }
    let list = alice.share_db(&["list", "-o", "name"]).ok();
    assert_eq!(
        list.stdout.lines().count(),
        kinds.len() + 1,
        "{}",
        list.stdout
    );
    // The bare name means every kind of it.
    alice.share_db(&["revoke", "pg", "--with", &bob.name]).ok();
    assert!(
        may_forward(&bob, &alice, "pg-0"),
        "the pod's share is another"
    );
    alice
        .share_db(&["revoke", "pod/pg-0", "--with", &bob.name])
        .ok();
    assert!(!may_forward(&bob, &alice, "pg-0"));
    assert!(alice.share_db(&["list"]).ok().stdout.contains(&other));
}

#[test]
fn an_open_tunnel_outlives_its_share_unless_it_is_cut() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    alice.deploys_postgres();
    alice
        .share_db(&["pg", "--with", &bob.name, "--plain-kubectl"])
        .ok();
    let port = e2e::free_port();
    let namespace = alice.namespace();
    let forward = [
        "port-forward",
        "-n",
        &namespace,
        "pod/pg-0",
        &format!("{port}:5432"),
    ];
    let mut tunnel = bob.start_kubectl(&forward);
    let answers = || {
        let mut psql = std::process::Command::new("psql");
        psql.env("PGCONNECT_TIMEOUT", "5").args([
            "-h",
            "127.0.0.1",
            "-p",
            &port.to_string(),
            "-U",
            "shop",
            "-XAtc",
            "select 1",
            "shop",
        ]);
        psql.output().is_ok_and(|output| output.stdout == b"1\n")
    };
    eventually("the tunnel is open", Duration::from_secs(20), answers);
    let revoked = alice.share_db(&["revoke", "pg", "--with", &bob.name]).ok();
    assert!(!may_forward(&bob, &alice, "pg-0"));
    assert!(answers(), "a new connection through the open tunnel");
    let said = "a tunnel that is open now stays open, and takes new connections";
    assert!(revoked.stderr.contains(said), "{}", revoked.stderr);

    alice.share_db(&["pg", "--with", &bob.name]).ok();
    let unsure = alice.share_db(&["revoke", "pg", "--with", &bob.name, "--cut"]);
    unsure.fails(2, "needs a yes");
    assert!(may_forward(&bob, &alice, "pg-0"), "nothing was revoked");
    let cut = alice
        .share_db(&["revoke", "pg", "--with", &bob.name, "--cut", "--yes"])
        .ok();
    assert!(cut.stdout.contains("Deleted pod pg-0"), "{}", cut.stdout);
    eventually("the tunnel is dead", Duration::from_mins(1), || !answers());
    let _ = tunnel.kill();
    let _ = tunnel.wait();
    alice.postgres_is_ready();
}
