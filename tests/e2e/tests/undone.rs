//! A command that fails leaves everything as it was.

use std::time::Duration;

use e2e::{Stage, eventually};

const KINDS: &str = "jobs,roles,rolebindings,configmaps";

#[test]
fn what_fails_for_carol_changes_nothing_for_bob() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    let carol = stage.person("carol");
    alice.deploys_postgres();
    alice
        .share_db(&["pg", "--with", &bob.name, "--for", "1h"])
        .ok();
    // What there is: the owner's own and Bob's.
    let quota = "--hard=count/rolebindings.rbac.authorization.k8s.io=2";
    let namespace = alice.namespace();
    stage
        .admin()
        .kubectl(&["create", "quota", "two", quota, "-n", &namespace])
        .ok();
    eventually("the quota counts", Duration::from_secs(20), || {
        let binding = ["rolebinding", "probe", "--clusterrole=view", "--user=probe"];
        let tried = alice.kubectl(&[&["create"], &binding[..], &["--dry-run=server"]].concat());
        tried.stderr.contains("exceeded quota")
    });

    let name = alice.share_name("pg", &bob.name);
    let of_bob = || {
        ["job", "role", "rolebinding", "configmap"].map(|kind| {
            let what = "jsonpath={.spec.activeDeadlineSeconds}{.rules}{.subjects}{.metadata.ownerReferences}{.metadata.annotations}{.data}";
            alice.kubectl(&["get", kind, &name, "-o", what]).ok().stdout
        })
    };
    let (before, ours) = (of_bob(), alice.ours(KINDS));
    let with = [&bob.name[..], &carol.name[..]];
    let share = ["pg", "--for", "8h", "--plain-kubectl", "--with"];
    alice
        .share_db(&[&share[..], &with[..]].concat())
        .fails(1, "nothing was changed")
        .says("the quota in namespace");
    assert_eq!(of_bob(), before);
    assert_eq!(alice.ours(KINDS), ours, "nothing of Carol's is left");
    let database = format!("{namespace}/pg");
    assert_eq!(bob.sql(&database, "select 1").ok().stdout, "1\n");
}
