//! A share ends when its owner says so, at once for new connections, and the truth is said about open ones.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use e2e::{Stage, eventually};

#[test]
fn revoked_is_out_but_open_sessions_go_on() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    alice.deploys_postgres();
    let database = format!("{}/pg", alice.namespace());
    alice.share_db(&["pg", "--with", &bob.name]).ok();

    let mut proxy = bob.proxy(&database);
    let mut session = proxy.psql("ignored");
    session = {
        let mut psql = std::process::Command::new("psql");
        psql.args(
            session
                .get_args()
                .filter(|arg| *arg != "-XAtc" && *arg != "ignored"),
        );
        psql
    };
    let mut session = session
        .args(["-XAt"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = session.stdin.take().unwrap();
    writeln!(input, "select 'before';").unwrap();
    eventually("the session is open", Duration::from_secs(10), || {
        alice.kubectl(&["exec", "pg-0", "--", "psql", "-h", "127.0.0.1", "-U", "shop", "-Atc", "select count(*) from pg_stat_activity where application_name = 'psql' and state = 'idle'", "shop"]).stdout.trim() == "1"
    });

    let revoked = alice.share_db(&["revoke", "pg", "--with", &bob.name]).ok();
    assert!(
        revoked.stdout.contains("can open no new tunnel"),
        "{}",
        revoked.stdout
    );
    assert!(
        revoked
            .stderr
            .contains("a tunnel that is open now stays open")
            && revoked.stderr.contains("kubectl delete pod pg-0"),
        "{}",
        revoked.stderr
    );

    assert_ne!(
        proxy.sql("select 1").code,
        0,
        "a new connection through the old proxy is refused"
    );
    proxy.says("has ended");
    // The uncomfortable truth: what was open still works.
    writeln!(input, "select 'after';").unwrap();
    drop(input);
    let output = session.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "before\nafter\n");
    assert_eq!(proxy.end(), 1, "with the last connection the proxy ends");

    bob.sql(&database, "select 1")
        .fails(1, "is yours or shared with you");
    eventually("nothing is left", Duration::from_secs(10), || {
        alice.ours("jobs,roles,rolebindings,configmaps").is_empty()
    });
}

#[test]
fn two_colleagues_one_is_revoked_the_other_stays() {
    let mut stage = Stage::new();
    let (alice, bob, carol) = (
        stage.person("alice"),
        stage.person("bob"),
        stage.person("carol"),
    );
    alice.deploys_postgres();
    let database = format!("{}/pg", alice.namespace());
    alice
        .share_db(&["pg", "--with", &bob.name, &carol.name])
        .ok();
    let list = alice.share_db(&["list"]).ok().stdout;
    assert!(
        list.contains(&bob.name) && list.contains(&carol.name) && list.matches("yes").count() == 2,
        "{list}"
    );

    alice.share_db(&["revoke", "pg", "--with", &bob.name]).ok();
    bob.sql(&database, "select 1")
        .fails(1, "is yours or shared with you");
    assert_eq!(carol.sql(&database, "select 1").ok().stdout, "1\n");
    alice
        .share_db(&["revoke", "pg", "--with", &bob.name])
        .fails(1, &format!("it is shared with {}", carol.name));
    alice.share_db(&["revoke", "--all"]).ok();
    carol
        .sql(&database, "select 1")
        .fails(1, "is yours or shared with you");
}
