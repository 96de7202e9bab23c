//! Twelve secrets are planted where secrets are; after everything that the plugins do they are found there and nowhere else.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on panics, and says where"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use e2e::{Outcome, Person, Stage, run};

const POSTGRES: &str = include_str!("../manifests/postgres.yaml");

/// The secrets, by what they are.
const PLANTED: [(&str, &str); 12] = [
    ("the database's password", "planted-alpha-7f3a"),
    ("a Secret that nothing refers to", "planted-bravo-1c9e"),
    (
        "a value that stands openly in a pod",
        "planted-charlie-55d0",
    ),
    ("PGPASSWORD of the environment", "planted-delta-90b7"),
    ("DATABASE_URL of the environment", "planted-echo-e211"),
    ("MYSQL_PWD of the environment", "planted-foxtrot-08ac"),
    ("PGPASSFILE of the environment", "planted-golf-b6f4"),
    ("a value of --secret by file", "planted-hotel-3e8d"),
    ("a value of --secret-file", "planted-india-a47c"),
    (
        "a token of a ServiceAccount in a Secret",
        "planted-juliett-d15b",
    ),
    ("a key of the kubeconfig", "planted-kilo-6e02"),
    ("a password in the arguments of a pod", "planted-lima-cc93"),
];

fn secret(what: &str) -> &'static str {
    PLANTED.iter().find(|(name, _)| *name == what).unwrap().1
}

/// Where each secret was seen.
#[derive(Default)]
struct Seen(BTreeMap<&'static str, Vec<String>>);

impl Seen {
    fn look(&mut self, place: &str, text: &str) {
        for (what, secret) in PLANTED {
            if text.contains(secret) || text.contains(&base64(secret)) {
                self.0.entry(what).or_default().push(place.to_owned());
            }
        }
    }

    fn outcome(&mut self, place: &str, outcome: &Outcome) {
        self.look(place, &outcome.stdout);
        self.look(place, &outcome.stderr);
    }
}

/// The middle of a text in base64, which is the same wherever the text begins.
fn base64(text: &str) -> String {
    let encoded = run(Command::new("sh").args(["-c", "printf %s \"$0\" | base64 -w0", text]));
    encoded.stdout.trim_end_matches('=').to_owned()
}

/// What is there before any plugin runs.
fn plants(alice: &Person, folder: &Path) {
    alice.applies(&POSTGRES.replace("owner-only p@ss", secret("the database's password")));
    alice.postgres_is_ready();
    let literal = |what: &str| format!("--from-literal=value={}", secret(what));
    for (name, what) in [
        ("unused", "a Secret that nothing refers to"),
        ("token", "a token of a ServiceAccount in a Secret"),
    ] {
        alice
            .kubectl(&["create", "secret", "generic", name, &literal(what)])
            .ok();
    }
    let value = format!(
        "--env=KEY={}",
        secret("a value that stands openly in a pod")
    );
    let argument = secret("a password in the arguments of a pod");
    alice
        .kubectl(&[
            "run",
            "open",
            "--image=docker.io/library/busybox:1",
            "--image-pull-policy=IfNotPresent",
            &value,
            "--command",
            "--",
            "sh",
            "-c",
            "sleep 3600",
            argument,
        ])
        .ok();
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
    write("secret", secret("a value of --secret by file").into());
    write(
        "secrets",
        format!("TOKEN={}\n", secret("a value of --secret-file")),
    );
    write(
        "pgpass",
        format!("*:*:*:*:{}\n", secret("PGPASSFILE of the environment")),
    );
    let kubeconfig = std::fs::read_to_string(&alice.kubeconfig).unwrap();
    let extra = format!(
        "- name: other\n  user: {{token: {}}}\n",
        secret("a key of the kubeconfig")
    );
    write(
        "kubeconfig",
        kubeconfig.replacen("users:\n", &format!("users:\n{extra}"), 1),
    );
}

/// A plugin, in an environment full of secrets.
fn plugin(person: &Person, name: &str, folder: &Path, args: &[&str]) -> Outcome {
    let url = format!(
        "postgresql://me:{}@elsewhere/db",
        secret("DATABASE_URL of the environment")
    );
    let mut command = person.plugin(name);
    command
        .args(args)
        .arg("-vvv")
        .env("PGPASSWORD", secret("PGPASSWORD of the environment"))
        .env("DATABASE_URL", url)
        .env("MYSQL_PWD", secret("MYSQL_PWD of the environment"))
        .env("PGPASSFILE", folder.join("pgpass"));
    run(&mut command)
}

/// Everything that is stored in a namespace, but for what holds secrets by its nature or was planted so.
fn stored(admin: &Person, namespace: &str) -> Vec<(String, String)> {
    let kinds = "configmaps,services,endpoints,serviceaccounts,jobs,roles,rolebindings,ingresses,networkpolicies,events,deployments,replicasets,statefulsets,controllerrevisions";
    let listed = admin
        .kubectl(&["get", kinds, "-n", namespace, "-o", "name"])
        .ok();
    let one = |name: &str| {
        admin.kubectl(&[
            "get",
            name,
            "-n",
            namespace,
            "-o",
            "yaml",
            "--show-managed-fields",
        ])
    };
    listed
        .stdout
        .lines()
        .map(|name| (name.to_owned(), one(name).stdout))
        .collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story, step by step")]
fn are_found_where_they_belong_and_nowhere_else() {
    let mut stage = Stage::new();
    let admin = stage.admin();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    let folder = tempfile::tempdir().unwrap();
    plants(&alice, folder.path());
    let kubeconfig = folder.path().join("kubeconfig");
    let mut alice = alice;
    alice.kubeconfig = kubeconfig;
    let mut seen = Seen::default();
    let place = |file: &str| folder.path().join(file).display().to_string();

    let (key, file) = (format!("KEY=@{}", place("secret")), place("secrets"));
    let database = format!("{}/pg", alice.namespace());
    let host = stage.host("web");
    let inside = "tr '\\0' ' ' < /proc/$PPID/cmdline; env";
    let runs: [(&str, &Person, &str, &[&str]); 13] = [
        ("share", &alice, "share-db", &["pg", "--with", &bob.name]),
        (
            "share again",
            &alice,
            "share-db",
            &["pg", "--with", &bob.name, "--for", "1h", "-o", "json"],
        ),
        ("list", &alice, "share-db", &["list", "-o", "yaml"]),
        (
            "dry run",
            &alice,
            "share-db",
            &["pg", "--with", "carol", "--dry-run", "-o", "yaml"],
        ),
        (
            "a child of Alice's",
            &alice,
            "proxy-db",
            &["pg", "--", "sh", "-c", inside],
        ),
        (
            "a child of Bob's",
            &bob,
            "proxy-db",
            &[&database, "--", "sh", "-c", inside],
        ),
        (
            "deploy dry",
            &alice,
            "deploy-app",
            &[
                "web",
                "--image",
                "web:1",
                "--port",
                "8000",
                "--secret",
                &key,
                "--dry-run",
                "-o",
                "yaml",
            ],
        ),
        (
            "deploy",
            &alice,
            "deploy-app",
            &[
                "web",
                "--image",
                "web:1",
                "--port",
                "8000",
                "--secret",
                &key,
                "--secret-file",
                &file,
                "--use",
                "pg",
            ],
        ),
        ("deploy list", &alice, "deploy-app", &["list", "-o", "yaml"]),
        (
            "expose",
            &alice,
            "expose-app",
            &["web", "--host", &host, "--dry-run", "-o", "yaml"],
        ),
        ("expose list", &alice, "expose-app", &["list", "-o", "yaml"]),
        (
            "revoke",
            &alice,
            "share-db",
            &["revoke", "pg", "--dry-run=server"],
        ),
        (
            "delete",
            &alice,
            "deploy-app",
            &["delete", "web", "--dry-run"],
        ),
    ];
    for (what, person, name, args) in runs {
        let outcome = plugin(person, name, folder.path(), args);
        assert!(
            outcome.code < 2,
            "{what}: {}{}",
            outcome.stdout,
            outcome.stderr
        );
        seen.outcome(what, &outcome);
    }
    for person in [&alice, &bob] {
        for (name, document) in stored(&admin, &person.namespace()) {
            seen.look(&name, &document);
        }
    }
    alice.share_db(&["revoke", "--all"]).ok();
    alice.deploy_app(&["delete", "web"]);

    // Her own password reaches a command of Alice's by its environment, and nobody else. What a user has set for MySQL is none
    // of PostgreSQL's.
    let children = ["a child of Alice's", "a child of Bob's"].map(str::to_owned);
    let belongs = BTreeMap::from([
        ("the database's password", children[..1].to_vec()),
        ("MYSQL_PWD of the environment", children.to_vec()),
    ]);
    assert_eq!(seen.0, belongs);
}
