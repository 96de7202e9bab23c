//! A share needs no pod, so it works where not one more pod is allowed.

use e2e::Stage;

#[test]
fn a_quota_of_zero_pods_does_not_matter() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    alice.deploys_postgres();
    let admin = stage.admin();
    admin
        .kubectl(&[
            "create",
            "quota",
            "none",
            "--hard=pods=0",
            "-n",
            &alice.namespace(),
        ])
        .ok();
    alice
        .kubectl(&["run", "one-more", "--image=docker.io/library/busybox:1"])
        .fails(1, "exceeded quota");
    alice.share_db(&["pg", "--with", &bob.name]).ok();
    assert_eq!(
        bob.sql(&format!("{}/pg", alice.namespace()), "select 1")
            .ok()
            .stdout,
        "1\n"
    );
}

#[test]
fn a_quota_without_jobs_is_said() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    alice.deploys_postgres();
    stage
        .admin()
        .kubectl(&[
            "create",
            "quota",
            "none",
            "--hard=count/jobs.batch=0",
            "-n",
            &alice.namespace(),
        ])
        .ok();
    e2e::eventually(
        "the quota counts",
        std::time::Duration::from_secs(10),
        || {
            alice
                .kubectl(&["create", "job", "probe", "--image=none", "--dry-run=server"])
                .stderr
                .contains("exceeded quota")
        },
    );
    alice
        .share_db(&["pg", "--with", &bob.name])
        .fails(1, "the quota in namespace");
    assert!(
        alice.ours("jobs,roles,rolebindings,configmaps").is_empty(),
        "nothing is left of it"
    );
}
