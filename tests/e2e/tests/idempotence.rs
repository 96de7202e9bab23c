//! A command typed twice changes nothing the second time; a dry run changes nothing at all.

use e2e::Stage;

#[test]
fn twice_is_once() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    alice.deploys_postgres();
    let versions = || {
        alice.kubectl(&["get", "jobs,roles,rolebindings,configmaps", "-l", "app.kubernetes.io/managed-by=kubectl-share-db", "-o", "jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.uid} {.metadata.resourceVersion} {end}"]).ok().stdout
    };

    for dry_run in ["--dry-run", "--dry-run=server"] {
        let dry = alice.share_db(&["pg", "--with", &bob.name, dry_run]).ok();
        assert_eq!(dry.stdout.lines().count(), 4, "{}", dry.stdout);
        assert_eq!(versions(), "", "{dry_run} wrote something");
    }
    alice.share_db(&["pg", "--with", &bob.name]).ok();
    let first = versions();
    assert_eq!(first.split_whitespace().count(), 12, "{first}");
    let again = alice.share_db(&["pg", "--with", &bob.name]).ok();
    assert!(
        again.stdout.contains("may already connect"),
        "{}",
        again.stdout
    );
    assert_eq!(versions(), first);
    alice.share_db(&["revoke", "pg", "--dry-run"]).ok();
    alice.share_db(&["revoke", "pg", "--dry-run=server"]).ok();
    assert_eq!(versions(), first);
}

#[test]
fn the_printed_objects_are_valid() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    alice.deploys_postgres();
    for format in ["yaml", "json"] {
        let printed = alice
            .share_db(&[
                "pg",
                "--with",
                &bob.name,
                "--forever",
                "--dry-run",
                "-o",
                format,
            ])
            .ok()
            .stdout;
        let file = std::env::temp_dir().join(format!("{}.{format}", stage.own("printed")));
        std::fs::write(&file, printed).unwrap();
        let checked = alice.kubectl(&[
            "create",
            "--dry-run=client",
            "--validate=strict",
            "-f",
            &file.display().to_string(),
            "-o",
            "name",
        ]);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(checked.ok().stdout.lines().count(), 4);
    }
}
