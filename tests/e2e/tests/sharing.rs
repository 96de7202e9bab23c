//! Bob gets in and may do nothing else; Eve stays out.

use e2e::Stage;

#[test]
fn bob_is_in_and_eve_is_out() {
    let mut stage = Stage::new();
    let (alice, bob, eve) = (
        stage.person("alice"),
        stage.person("bob"),
        stage.person("eve"),
    );
    alice.deploys_postgres();
    let database = format!("{}/pg", alice.namespace());

    bob.sql(&database, "select 1")
        .fails(1, "is yours or shared with you");
    let shared = alice.share_db(&["pg", "--with", &bob.name]).ok();
    assert!(
        shared.stdout.contains(&format!(
            "{} (user:oidc-{}) may connect to pg in {} ",
            bob.name,
            bob.name,
            alice.namespace()
        )),
        "{}",
        shared.stdout
    );
    assert!(
        shared
            .stdout
            .contains(&format!("kubectl proxy-db {database} -- psql")),
        "{}",
        shared.stdout
    );

    assert_eq!(bob.sql(&database, "select 6 * 7").ok().stdout, "42\n");
    eve.sql(&database, "select 1")
        .fails(1, "is yours or shared with you");
    let direct = eve.kubectl(&[
        "port-forward",
        "-n",
        &alice.namespace(),
        "pod/pg-0",
        "0:5432",
    ]);
    direct.fails(1, "forbidden");
}

#[test]
fn bob_may_do_nothing_else() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    alice.deploys_postgres();
    alice
        .kubectl(&[
            "run",
            "other",
            "--image=docker.io/library/busybox:1",
            "--image-pull-policy=IfNotPresent",
            "--restart=Never",
            "--",
            "sleep",
            "600",
        ])
        .ok();
    alice.share_db(&["pg", "--with", &bob.name]).ok();
    let namespace = alice.namespace();
    let refused = |args: &[&str]| {
        let mut all = vec!["-n", &namespace];
        all.extend(args);
        bob.kubectl(&all).fails(1, "orbidden");
    };

    refused(&["get", "secrets"]);
    refused(&["get", "secret", "pg-secret"]);
    refused(&["exec", "pg-0", "--", "true"]);
    refused(&["get", "pods"]);
    refused(&["get", "pod", "pg-0"]);
    refused(&["delete", "pod", "pg-0"]);
    refused(&["logs", "pg-0"]);
    refused(&["get", "services"]);
    refused(&["get", "configmaps"]);
    refused(&["get", "endpoints"]);
    refused(&[
        "create",
        "rolebinding",
        "more",
        "--clusterrole=admin",
        &format!("--user=oidc-{}", bob.name),
    ]);

    // The forward itself is for this pod only: asked of the API server without the read of the pod that kubectl does first.
    let forward = |pod: &str| {
        bob.kubectl(&[
            "create",
            "--raw",
            &format!("/api/v1/namespaces/{namespace}/pods/{pod}/portforward"),
            "-f",
            "/dev/null",
        ])
    };
    forward("other").fails(1, "orbidden");
    let own = forward("pg-0");
    assert!(
        !own.stderr.contains("orbidden"),
        "the pod that is shared is refused too: {}",
        own.stderr
    );
}

#[test]
fn the_card_holds_no_secret() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    alice.deploys_postgres();
    alice.share_db(&["pg", "--with", &bob.name]).ok();
    let name = alice.share_name("pg", &bob.name);
    let card = bob
        .kubectl(&[
            "get",
            "configmap",
            &name,
            "-n",
            &alice.namespace(),
            "-o",
            "json",
        ])
        .ok();
    assert!(
        card.stdout.contains("\"username\": \"shop\""),
        "{}",
        card.stdout
    );
    assert!(!card.stdout.contains("owner-only"), "{}", card.stdout);
}
