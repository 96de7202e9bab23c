//! What is not ours is neither changed nor deleted.

use e2e::Stage;

#[test]
fn an_object_of_somebody_else_is_refused() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    alice.deploys_postgres();
    let name = alice.share_name("pg", &bob.name);
    for (kind, create) in [
        (
            "configmap",
            vec!["create", "configmap", &name, "--from-literal=mine=1"],
        ),
        (
            "role",
            vec!["create", "role", &name, "--verb=get", "--resource=pods"],
        ),
        (
            "rolebinding",
            vec![
                "create",
                "rolebinding",
                &name,
                "--clusterrole=view",
                "--user=x",
            ],
        ),
        (
            "job",
            vec![
                "create",
                "job",
                &name,
                "--image=docker.io/library/busybox:1",
            ],
        ),
    ] {
        alice.kubectl(&create).ok();
        let before = alice
            .kubectl(&["get", kind, &name, "-o", "jsonpath={.metadata.uid}"])
            .ok()
            .stdout;
        alice.share_db(&["pg", "--with", &bob.name]).fails(
            1,
            &format!("{kind} `{name}` exists already and is not this command's"),
        );
        alice
            .share_db(&["revoke", "--all"])
            .fails(1, "nothing is shared");
        assert_eq!(
            alice
                .kubectl(&["get", kind, &name, "-o", "jsonpath={.metadata.uid}"])
                .ok()
                .stdout,
            before
        );
        assert!(alice.ours("jobs,roles,rolebindings,configmaps").is_empty());
        alice.kubectl(&["delete", kind, &name]).ok();
    }
}
