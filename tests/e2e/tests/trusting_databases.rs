//! What a share is worth is tried and said: a database that trusts local connections, and beside it the same that does not.

use std::time::Duration;

use e2e::{Outcome, Person, Stage, eventually, free_port};

const POSTGRES: &str = include_str!("../manifests/postgres.yaml");

/// Where an argument for `initdb` belongs.
const ABOVE: &str = "        ports: [{containerPort: 5432}]";

/// Redis without a password, or with this argument one that has it.
fn redis(name: &str, arguments: &str) -> String {
    format!(
        "apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  selector: {{app: {name}}}
  ports: [{{port: 6379}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: redis
    image: docker.io/library/redis:7
    imagePullPolicy: IfNotPresent
    args: [{arguments}]
    ports: [{{containerPort: 6379}}]
    readinessProbe: {{tcpSocket: {{port: 6379}}, periodSeconds: 1}}
"
    )
}

/// One statement as this user of PostgreSQL, without a password.
fn sql_as(person: &Person, database: &str, user: &str, statement: &str) -> Outcome {
    let target = format!("user={user} dbname=postgres");
    let psql = ["psql", "-w", "-XAtc", statement, &target];
    let port = free_port().to_string();
    person.proxy_db(&[&[database, "--port", &port, "--"][..], &psql].concat())
}

/// Waits until a pod is ready, and its Service knows it.
fn is_ready(person: &Person, name: &str) {
    eventually("the database is ready", Duration::from_mins(1), || {
        let pod = "jsonpath={.subsets[*].addresses[*].targetRef.name}";
        let endpoints = person.kubectl(&["get", "endpoints", name, "-o", pod]);
        endpoints.stdout.contains(name)
    });
}

#[test]
fn a_postgres_that_trusts_makes_bob_its_superuser() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    alice.deploys_postgres();
    let database = format!("{}/pg", alice.namespace());
    alice.share_db(&["pg", "--with", &bob.name]).ok().says(&format!(
        "warning: pg asks for no password through a tunnel: {} is its superuser, can run programs in its pod",
        bob.name
    ));

    // It is true: this is the password of the owner, read by a program in the pod.
    let statement = "copy (select 1) to program 'printenv POSTGRES_PASSWORD > /tmp/seen'";
    sql_as(&bob, &database, "shop", statement).ok();
    let seen = sql_as(&bob, &database, "shop", "select pg_read_file('/tmp/seen')").ok();
    assert_eq!(seen.stdout.trim(), "owner-only p@ss");

    // What Bob leaves behind is found with the command that is printed.
    sql_as(&bob, &database, "shop", "create role stays login").ok();
    let revoked = alice.share_db(&["revoke", "pg"]).ok();
    let hint = revoked.hinted().expect("a command to look for logins");
    let found = alice.types(hint).ok();
    assert!(found.stdout.contains("stays"), "{}", found.stdout);
}

#[test]
fn a_postgres_that_asks_is_said_to_ask() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    let argument = "        - {name: POSTGRES_INITDB_ARGS, value: \"--auth-host=scram-sha-256\"}";
    assert!(POSTGRES.contains(ABOVE));
    alice.applies(&POSTGRES.replace(ABOVE, &format!("{argument}\n{ABOVE}")));
    alice.postgres_is_ready();
    let database = format!("{}/pg", alice.namespace());
    let shared = alice.share_db(&["pg", "--with", &bob.name]).ok().says(
        "Checked: pg asks for a password, also through a tunnel (tried as shop and postgres, without TLS)",
    );
    assert!(!shared.stderr.contains("warning:"), "{}", shared.stderr);
    for user in ["shop", "postgres"] {
        let refused = sql_as(&bob, &database, user, "select 1");
        assert_ne!(refused.code, 0, "{}", refused.stdout);
        let _ = refused.says("password");
    }
    // Alice has the password.
    assert_eq!(alice.sql("pg", "select 6 * 7").ok().stdout, "42\n");

    // Where nothing is shared, nothing is tried.
    let dry = alice
        .share_db(&["pg", "--with", "carol", "--dry-run=server"])
        .ok();
    assert!(!dry.stderr.contains("password"), "{}", dry.stderr);
}

#[test]
fn a_redis_with_and_without_a_password() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    alice.applies(&redis("open", ""));
    alice.applies(&redis("closed", "--requirepass, secret"));
    for (name, says) in [
        ("open", "open asks for no password through a tunnel"),
        (
            "closed",
            "closed asks for a password, also through a tunnel (tried as default, without TLS)",
        ),
    ] {
        is_ready(&alice, name);
        let _ = alice.share_db(&[name, "--with", &bob.name]).ok().says(says);
    }
}
