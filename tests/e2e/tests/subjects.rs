//! With whom: by the cluster's pattern, exactly, a group, or a ServiceAccount.

use e2e::Stage;

#[test]
fn a_group_and_an_exact_name() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    let team = stage.own("team");
    let bob = stage.person_with("bob", "admin", &[&team]);
    let eve = stage.person("eve");
    alice.deploys_postgres();
    let database = format!("{}/pg", alice.namespace());

    alice
        .share_db(&["pg", "--with", &format!("group:{team}")])
        .ok();
    assert_eq!(bob.sql(&database, "select 1").ok().stdout, "1\n");
    eve.sql(&database, "select 1")
        .fails(1, "is yours or shared with you");
    alice
        .share_db(&["revoke", "pg", "--with", &format!("group:{team}")])
        .ok();
    bob.sql(&database, "select 1")
        .fails(1, "is yours or shared with you");

    // Exactly named and by the pattern, it is the same person and the same share.
    alice
        .share_db(&["pg", "--with", &format!("user:oidc-{}", bob.name)])
        .ok();
    let again = alice.share_db(&["pg", "--with", &bob.name]).ok();
    assert!(
        again.stdout.contains("may already connect"),
        "{}",
        again.stdout
    );
    assert_eq!(bob.sql(&database, "select 1").ok().stdout, "1\n");

    // The bare name of somebody whom the cluster calls otherwise is somebody else.
    alice.share_db(&["revoke", "--all"]).ok();
    alice
        .share_db(&["pg", "--with", &format!("user:{}", bob.name)])
        .ok();
    bob.sql(&database, "select 1")
        .fails(1, "is yours or shared with you");
}

#[test]
fn a_service_account() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    alice.deploys_postgres();
    bob.kubectl(&["create", "serviceaccount", "ide"]).ok();
    let token = bob.kubectl(&["create", "token", "ide"]).ok().stdout;
    let database = format!("{}/pg", alice.namespace());
    let port = e2e::free_port().to_string();
    let as_account = |token: &str| {
        bob.proxy_db(&[
            "--token",
            token.trim(),
            &database,
            "--port",
            &port,
            "--",
            "psql",
            "-XAtc",
            "select 1",
        ])
    };
    as_account(&token).fails(1, "is yours or shared with you");
    alice
        .share_db(&[
            "pg",
            "--with",
            &format!("serviceaccount:{}/ide", bob.namespace()),
        ])
        .ok();
    assert_eq!(as_account(&token).ok().stdout, "1\n");
    bob.sql(&database, "select 1")
        .fails(1, "is yours or shared with you");
}
