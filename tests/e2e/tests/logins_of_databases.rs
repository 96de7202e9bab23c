//! Databases as courses and charts deploy them: whoever owns one is let in as its owner, at its port, and apps that use it are too.

use std::time::Duration;

use e2e::{Person, Stage, eventually};

const IN_CONFIGMAP: &str = include_str!("../manifests/databases/login-in-configmap.yaml");
const BY_ENVFROM: &str = include_str!("../manifests/databases/login-by-envfrom.yaml");
const IN_FILE: &str = include_str!("../manifests/databases/password-in-file.yaml");
const LINE_BREAK: &str = include_str!("../manifests/databases/password-with-line-break.yaml");
const ODD: &str = include_str!("../manifests/databases/odd-password.yaml");
const POSTGRES: &str = include_str!("../manifests/postgres.yaml");
const PORTS: &str = include_str!("../manifests/databases/ports.yaml");

const WHO: &str = "select current_user, current_database()";
const CLERK: &str = "clerk|stock\n";

/// Deploys a database and waits until its server is up.
fn deploys(person: &Person, manifest: &str, service: &str) {
    person.applies(manifest);
    let names = "jsonpath={.subsets[*].addresses[*].targetRef.name}";
    eventually("the database's pod runs", Duration::from_mins(1), || {
        let endpoints = person.kubectl(&["get", "endpoints", service, "-o", names]);
        !endpoints.stdout.trim().is_empty()
    });
    // A pod without a probe runs before its server takes logins.
    eventually("the server is up", Duration::from_mins(1), || {
        !person.sql(service, WHO).stderr.contains("starting up")
    });
}

#[test]
fn a_login_in_a_configmap() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    deploys(&alice, IN_CONFIGMAP, "shelf");
    deploys(&alice, BY_ENVFROM, "store");
    for database in ["shelf", "store"] {
        assert_eq!(alice.sql(database, WHO).ok().stdout, CLERK, "{database}");
        // The colleague is told whom to log in as; the loopback of the official image asks nobody for a password.
        alice.share_db(&[database, "--with", &bob.name]).ok();
        let shared = format!("{}/{database}", alice.namespace());
        assert_eq!(bob.sql(&shared, WHO).ok().stdout, CLERK, "{shared}");
    }
}

/// What cannot be read is not made up: psql takes the name of whoever runs it, and the server says that it is none.
#[test]
fn a_login_that_is_not_known() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    let manifest = IN_CONFIGMAP.replace(
        "configMapKeyRef: {name: shelf-settings, key: owner}",
        "fieldRef: {fieldPath: metadata.namespace}",
    );
    deploys(&alice, &manifest, "shelf");
    let unknown = alice.sql("shelf", WHO);
    assert_ne!(unknown.code, 0, "{}", unknown.stdout);
    unknown.says("the user of `shelf` is not known");
}

#[test]
fn a_password_in_a_file() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    deploys(&alice, IN_FILE, "vault");
    let found = alice.sql("vault", WHO).ok();
    assert_eq!(found.stdout, CLERK);
    assert!(!found.stderr.contains("not known"), "{}", found.stderr);
    // Where it is no Secret's, it is said before psql asks.
    let in_memory = IN_FILE
        .replace(
            "secret: {secretName: vault-postgresql}",
            "emptyDir: {medium: Memory}",
        )
        .replace(
            "export POSTGRES_PASSWORD=\"$(cat \"$POSTGRES_PASSWORD_FILE\")\";",
            "export POSTGRES_PASSWORD=tulip7;",
        );
    let carol = stage.person("carol");
    deploys(&carol, &in_memory, "vault");
    carol
        .proxy_db(&["vault", "--", "psql", "-wXAtc", WHO])
        .fails(2, "no password supplied")
        .says("the password of `vault` is not known");
}

#[test]
fn a_line_break_at_the_end_of_a_password() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    deploys(&alice, LINE_BREAK, "tail");
    let found = alice
        .sql("tail", WHO)
        .ok()
        .says("the value of key `password` in secret `tail-secret` ends in a line break");
    assert_eq!(found.stdout, CLERK);
    alice
        .deploy_app_from(&["-f", "-", "--dry-run=server"], LINE_BREAK)
        .says("secret `tail-secret`: the value of key `password` ends in a line break");
}

#[test]
fn a_password_that_a_url_must_quote() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    deploys(&alice, ODD, "odd");
    assert_eq!(alice.sql("odd", WHO).ok().stdout, CLERK);
    let by_url = format!("psql \"$DATABASE_URL\" -XAtc '{WHO}'");
    let by_url = alice.proxy_db(&["odd", "--", "sh", "-c", &by_url]).ok();
    assert_eq!(by_url.stdout, CLERK);
}

#[test]
fn services_of_every_shape() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    deploys(&alice, PORTS, "front");
    for way in [
        "front",
        "byname",
        "several",
        "nodeport",
        "headless",
        "ports",
        "statefulset/ports",
        "pod/ports-0",
    ] {
        assert_eq!(alice.sql(way, WHO).ok().stdout, CLERK, "{way}");
    }
    alice.share_db(&["headless", "--with", &bob.name]).ok();
    let shared = format!("{}/headless", alice.namespace());
    assert_eq!(bob.sql(&shared, WHO).ok().stdout, CLERK);
}

#[test]
fn deployments_with_and_without_a_service() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    deploys(&alice, IN_CONFIGMAP, "shelf");
    assert_eq!(alice.sql("deployment/shelf", WHO).ok().stdout, CLERK);
    alice.kubectl(&["delete", "service", "shelf"]).ok();
    for way in ["shelf", "deployment/shelf"] {
        assert_eq!(alice.sql(way, WHO).ok().stdout, CLERK, "{way}");
    }
}

/// Endpoints that somebody writes by hand: of a pod by its bare address, and of what is not in the cluster.
#[test]
fn addresses_by_hand() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    deploys(&alice, IN_CONFIGMAP, "shelf");
    let address = alice.kubectl(&[
        "get",
        "pods",
        "-l",
        "app=shelf",
        "-o",
        "jsonpath={.items[0].status.podIP}",
    ]);
    // The role `admin` of a namespace has no right to write Endpoints (CVE-2021-25740); a platform's operators have.
    let (admin, namespace) = (stage.admin(), alice.namespace());
    let by_hand = |name: &str, address: &str| {
        admin.applies(&format!(
            "
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{ports: [{{port: 5432}}]}}
---
apiVersion: v1
kind: Endpoints
metadata: {{name: {name}, namespace: {namespace}}}
subsets: [{{addresses: [{{ip: {address}}}], ports: [{{port: 5432}}]}}]
"
        ));
    };
    by_hand("bare", address.ok().stdout.trim());
    by_hand("outside", "192.0.2.20");
    assert_eq!(alice.sql("bare", WHO).ok().stdout, CLERK);
    alice
        .sql("outside", WHO)
        .fails(1, "`outside` is outside the cluster (192.0.2.20)");
}

/// A Secret that was changed after the database was made: its refusal reaches the user, with psql's exit code.
#[test]
fn a_secret_that_the_database_does_not_know() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    let asks = "        - {name: POSTGRES_INITDB_ARGS, value: \"--auth-host=scram-sha-256\"}\n";
    let ports = "        ports: [{containerPort: 5432}]";
    alice.applies(&POSTGRES.replace(ports, &format!("{asks}{ports}")));
    alice.postgres_is_ready();
    assert_eq!(alice.sql("pg", "select 6 * 7").ok().stdout, "42\n");
    let newer = r#"{"stringData": {"password": "newer"}}"#;
    alice
        .kubectl(&["patch", "secret", "pg-secret", "-p", newer])
        .ok();
    let refused = alice.sql("pg", "select 6 * 7");
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    refused.says("password authentication failed for user \"shop\"");
}
