//! Whoever may not share is told so in one sentence, before anything is written.

use e2e::Stage;

#[test]
fn edit_and_view_may_not_share() {
    let mut stage = Stage::new();
    let bob = stage.person("bob");
    for role in ["edit", "view"] {
        let alice = stage.person_with(&format!("alice-{role}"), role, &[]);
        let admin = stage.admin();
        admin
            .kubectl(&[
                "create",
                "service",
                "clusterip",
                "pg",
                "--tcp=5432",
                "-n",
                &alice.namespace(),
            ])
            .ok();
        let outcome = alice.share_db(&["pg", "--with", &bob.name]).fails(
            1,
            &format!(
                "error: your rights in namespace `{}` do not allow sharing",
                alice.namespace()
            ),
        );
        assert!(
            outcome.stderr.contains("roles, rolebindings")
                && outcome
                    .stderr
                    .contains("hint: sharing needs the role `admin`"),
            "{}",
            outcome.stderr
        );
        let left = admin
            .kubectl(&[
                "get",
                "jobs,roles,rolebindings,configmaps",
                "-n",
                &alice.namespace(),
                "-l",
                "app.kubernetes.io/managed-by",
                "-o",
                "name",
            ])
            .ok();
        assert_eq!(left.stdout, "", "nothing was written");
    }
}

#[test]
fn nobody_shares_what_is_not_theirs() {
    let mut stage = Stage::new();
    let (alice, eve) = (stage.person("alice"), stage.person("eve"));
    alice.deploys_postgres();
    eve.share_db(&[&format!("{}/pg", alice.namespace()), "--with", &eve.name])
        .fails(1, "do not allow sharing");
    eve.share_db(&["-n", &alice.namespace(), "list"])
        .fails(1, "not allowed to list");
    eve.share_db(&["list", "-A"])
        .fails(1, "without `-A` you see those of your own namespace");
}
