//! In a pod, as Onyxia starts VSCode and Jupyter: a ServiceAccount with a role, and no kubeconfig.

use std::env;
use std::path::{Path, PathBuf};

use e2e::{Outcome, Person, Stage};

use crate::logins::may_soon;

/// A pod with Debian's libraries and psql.
const POD: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: ide}
---
apiVersion: v1
kind: Pod
metadata: {name: ide}
spec:
  serviceAccountName: ide
  terminationGracePeriodSeconds: 0
  containers:
    - {name: ide, image: docker.io/library/postgres:15, imagePullPolicy: IfNotPresent, command: [sleep, \"3600\"]}
";

#[test]
fn view_edit_and_admin() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    alice.applies(POD);
    alice.deploys_postgres();
    alice
        .kubectl(&["wait", "pod/ide", "--for=condition=Ready", "--timeout=50s"])
        .ok();
    for plugin in ["kubectl-share_db", "kubectl-proxy_db"] {
        has_the_program(&alice, plugin);
    }
    let share = ["/tmp/kubectl-share_db", "pg", "--with", &bob.name];
    let list = ["/tmp/kubectl-share_db", "list"];
    let sql = [
        "/tmp/kubectl-proxy_db",
        "pg",
        "--",
        "psql",
        "-XAtc",
        "select 6 * 7",
    ];
    let namespace = alice.namespace();

    has_the_role(&stage, &alice, "view");
    says_one_sentence(&in_the_pod(&alice, &share), &["do not allow sharing"]);
    says_one_sentence(&in_the_pod(&alice, &sql), &["not allowed"]);
    says_one_sentence(&in_the_pod(&alice, &list), &["not allowed"]);
    nothing_was_written(&stage, &namespace);

    has_the_role(&stage, &alice, "edit");
    says_one_sentence(&in_the_pod(&alice, &share), &["do not allow sharing"]);
    assert_eq!(in_the_pod(&alice, &sql).ok().stdout, "42\n");
    nothing_was_written(&stage, &namespace);

    has_the_role(&stage, &alice, "admin");
    in_the_pod(&alice, &share).ok();
    let listed = in_the_pod(&alice, &list).ok();
    assert!(listed.stdout.contains(&bob.name), "{}", listed.stdout);
    assert_eq!(in_the_pod(&alice, &sql).ok().stdout, "42\n");
    let database = format!("{namespace}/pg");
    assert_eq!(bob.sql(&database, "select 1").ok().stdout, "1\n");
}

/// Puts a program of the suite into the pod.
fn has_the_program(person: &Person, program: &str) {
    let folder = env::var_os("COMMONS_BIN_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/release"),
        PathBuf::from,
    );
    let path = folder.join(program);
    let there = format!("gunzip > /tmp/{program} && chmod +x /tmp/{program}");
    let copy = format!(
        "gzip -1 < '{}' | kubectl exec -i ide -- sh -c '{there}'",
        path.display()
    );
    person.types(&copy).ok();
}

/// Gives the pod this role, and no other.
fn has_the_role(stage: &Stage, person: &Person, role: &str) {
    let delete = ["delete", "rolebinding", "ide", "--ignore-not-found"];
    person.kubectl(&delete).ok();
    let subject = format!("--serviceaccount={}:ide", person.namespace());
    let role_flag = format!("--clusterrole={role}");
    person
        .kubectl(&["create", "rolebinding", "ide", &role_flag, &subject])
        .ok();
    let who = format!("system:serviceaccount:{}:ide", person.namespace());
    let namespace = person.namespace();
    for (what, roles) in [
        (["list", "pods"], ["view", "edit", "admin"].as_slice()),
        (["create", "pods/portforward"], &["edit", "admin"]),
        (["create", "rolebindings"], &["admin"]),
    ] {
        let what = [what.as_slice(), &["-n", &namespace]].concat();
        may_soon(stage, &who, &what, roles.contains(&role));
    }
}

fn in_the_pod(person: &Person, command: &[&str]) -> Outcome {
    person.kubectl(&[&["exec", "ide", "--"], command].concat())
}

#[track_caller]
fn says_one_sentence(outcome: &Outcome, any: &[&str]) {
    let errors = outcome
        .stderr
        .lines()
        .filter(|line| line.starts_with("error: "));
    let error = outcome.error();
    assert!(
        outcome.code == 1 && errors.count() == 1 && any.iter().any(|part| error.contains(part)),
        "{}: {}{}",
        outcome.code,
        outcome.stdout,
        outcome.stderr
    );
    assert!(outcome.stderr.contains("hint: "), "{}", outcome.stderr);
}

fn nothing_was_written(stage: &Stage, namespace: &str) {
    let kinds = "jobs,roles,rolebindings,configmaps";
    let ours = "app.kubernetes.io/managed-by";
    let left = ["get", kinds, "-n", namespace, "-l", ours, "-o", "name"];
    assert_eq!(stage.admin().kubectl(&left).ok().stdout, "");
}
