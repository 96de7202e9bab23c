//! The database's pod goes and comes back: the next connection works, through the same proxy and under the same share.

use e2e::Stage;

#[test]
fn the_next_connection_finds_the_new_pod() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    alice.deploys_postgres();
    alice.share_db(&["pg", "--with", &bob.name]).ok();
    let mut proxy = bob.proxy(&format!("{}/pg", alice.namespace()));
    assert_eq!(proxy.sql("select 1").ok().stdout, "1\n");

    alice
        .kubectl(&["scale", "statefulset/pg", "--replicas=0"])
        .ok();
    alice
        .kubectl(&["wait", "--for=delete", "pod/pg-0", "--timeout=10m"])
        .ok();
    assert_ne!(proxy.sql("select 1").code, 0, "there is no pod");
    proxy.says("pg has no pod that is ready");

    alice
        .kubectl(&["scale", "statefulset/pg", "--replicas=1"])
        .ok();
    alice.postgres_is_ready();
    assert_eq!(proxy.sql("select 2").ok().stdout, "2\n");
    assert_eq!(proxy.signal("INT"), 130);
}
