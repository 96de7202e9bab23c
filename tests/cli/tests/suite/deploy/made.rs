//! Apps that run: made, changed, listed and deleted.

use std::io::Write as _;

use crate::fixtures;
use cli_tests::{Fate, Run};
use serde_json::{Value, json};

use super::{WEB, web};
use crate::platform::Platform;

fn container(platform: &Platform) -> Value {
    platform.server.object("deployments", "user-alice", "web")["spec"]["template"]["spec"]["containers"][0].clone()
}

#[test]
fn from_the_first_to_the_last() {
    let platform = Platform::new();
    let before = platform.server.versions();
    let run = |args: &[&str]| platform.deploy(args).success();
    let first = run(&WEB);
    assert_eq!(platform.server.ours(), ["deployments/web", "services/web"]);
    platform.server.advance(5400);
    let list = run(&["list"]);
    let image = run(&["web", "--image", "registry.example.test/shop/web:2"]);
    assert_eq!(
        container(&platform)["image"],
        "registry.example.test/shop/web:2"
    );
    let two = run(&["web", "--replicas", "2"]);
    let wide = run(&["list", "-o", "wide"]);
    let delete = run(&["delete", "web"]);
    assert_eq!(platform.server.ours(), [""; 0]);
    platform.server.settle();
    let left: Vec<String> = platform
        .server
        .versions()
        .into_iter()
        .filter(|object| !object.contains("/events/"))
        .collect();
    assert_eq!(left, before, "the namespace is as it was");
    let empty = run(&["list"]);
    snapshot!(first, list, image, two, wide, delete, empty);
}

/// The second time says so and writes nothing.
#[test]
fn again() {
    let platform = Platform::new();
    let _ = platform.deploy(&web(&["--env", "LOG=debug"])).success();
    platform.server.settle();
    let before = platform.server.versions();
    platform.server.forget_requests();
    let same = platform.deploy(&web(&["--env", "LOG=debug"])).success();
    let less = platform.deploy(&["web"]).success();
    assert_eq!(platform.server.versions(), before);
    snapshot!(same, less);
}

/// Configuration, files and secrets; a change of any of them starts new pods.
#[test]
fn configuration() {
    let platform = Platform::new();
    let alice = &platform.alice;
    alice.write("app.toml", "[log]\nlevel = \"debug\"\n");
    alice.write(
        "app.env",
        "# for development\nLOG=debug\nLANG=fr_FR.UTF-8\n",
    );
    alice.write("key", "s3cr3t\n");
    let run = |args: &[&str]| platform.deploy(args).success();
    let first = run(&web(&[
        "--env-file",
        "app.env",
        "--env",
        "GREETING=Hello, you",
        "--config",
        "app.toml",
        "--secret",
        "API_KEY=@key",
    ]));
    assert_eq!(
        platform.server.ours(),
        [
            "configmaps/web",
            "configmaps/web-files",
            "deployments/web",
            "secrets/web",
            "services/web"
        ]
    );
    let pods = || platform.server.names("replicasets").len();
    assert_eq!(pods(), 1);
    let same = run(&["web", "--env", "LOG=debug"]);
    assert_eq!(pods(), 1);
    let value = run(&["web", "--env", "LOG=info", "--env", "LANG-"]);
    assert_eq!(pods(), 2, "new pods read the new value");
    alice.write("key", "hunter2");
    let secret = run(&["web", "--secret", "API_KEY=@key"]);
    assert_eq!(pods(), 3);
    alice.write("app.toml", "[log]\nlevel = \"info\"\n");
    let file = run(&["web", "--config", "app.toml:/etc/shop/"]);
    assert_eq!(pods(), 4);
    let without = run(&[
        "web",
        "--secret",
        "API_KEY-",
        "--config",
        "app.toml-",
        "--env",
        "LOG-",
        "--env",
        "GREETING-",
    ]);
    let absent = platform.deploy(&["web", "--env", "NOTHING-"]);
    let delete = run(&["delete", "web"]);
    assert_eq!(platform.server.ours(), [""; 0]);
    snapshot!(first, same, value, secret, file, without, absent, delete);
}

/// The login of a database by reference: no password is copied.
#[test]
fn with_a_database() {
    let platform = Platform::new();
    let run = |args: &[&str]| platform.deploy(args);
    let uses = run(&web(&["--use", "pg"])).success();
    let env = container(&platform)["env"].to_string();
    assert!(
        env.contains("secretKeyRef") && !env.contains("hunter2"),
        "{env}"
    );
    let again = run(&["web", "--use", "pg"]).success();
    let other = run(&["web", "--use", "mysql-"]);
    let not = run(&["web", "--use", "pg-"]);
    let typo = run(&["web", "--use", "pgg"]);
    let elsewhere = run(&["web", "--use", "user-bob/pg"]);
    snapshot!(uses, again, other, not, typo, elsewhere);
}

#[test]
fn dry() {
    let platform = Platform::new();
    platform.alice.write("key", "s3cr3t");
    platform.server.forget_requests();
    let run = |args: &[&str]| platform.deploy(args).success();
    let all = web(&[
        "--env",
        "LOG=debug",
        "--secret",
        "API_KEY=@key",
        "--replicas",
        "2",
    ]);
    let with = |more: &[&str]| run(&[&all[..], more].concat());
    let client = with(&["--dry-run"]);
    let yaml = with(&["--dry-run", "-o", "yaml"]);
    let name = with(&["--dry-run=client", "-o", "name"]);
    let server = with(&["--dry-run=server"]);
    assert_eq!(platform.server.writes(), [""; 0]);
    assert_eq!(platform.server.ours(), [""; 0]);
    let unknown = platform.deploy(&["other", "--image", super::IMAGE, "--dry-run"]);
    assert!(platform.internet.requests().is_empty(), "nobody is asked");
    let _ = with(&[]);
    platform.server.forget_requests();
    let again = with(&["--dry-run=server"]);
    let change = run(&["web", "--replicas", "3", "--dry-run=server"]);
    let delete = run(&["delete", "web", "--dry-run"]);
    let delete_server = run(&["delete", "web", "--dry-run=server"]);
    assert_eq!(platform.server.writes(), [""; 0]);
    snapshot!(
        client,
        yaml,
        name,
        server,
        unknown,
        again,
        change,
        delete,
        delete_server
    );
}

#[test]
fn in_other_formats() {
    let platform = Platform::new();
    let run = |args: &[&str]| platform.deploy(args).success();
    let json = run(&web(&["-o", "json"]));
    platform.server.advance(5400);
    let [yaml, name, wide] = ["yaml", "name", "wide"].map(|format| run(&["list", "-o", format]));
    let quiet = run(&["web", "-q", "--replicas", "2"]);
    let no_wait = run(&["web", "--no-wait", "--replicas", "1"]);
    let quiet_delete = run(&["delete", "web", "-q"]);
    snapshot!(json, yaml, name, wide, quiet, no_wait, quiet_delete);
}

/// Whose pods are restricted by default, and who may do otherwise.
#[test]
fn without_rights_on_the_node() {
    let platform = Platform::new();
    platform
        .server
        .label_namespace("pod-security.kubernetes.io/enforce", "restricted");
    let restricted = platform.deploy(&WEB).success();
    let root = platform.deploy(&[
        "root",
        "--image",
        "registry.example.test/shop/root:1",
        "--port",
        "80",
    ]);
    let allowed = platform.deploy(&[
        "root",
        "--image",
        "registry.example.test/shop/root:1",
        "--port",
        "80",
        "--allow-root",
    ]);
    let user = platform.deploy(&[
        "root",
        "--image",
        "registry.example.test/shop/root:1",
        "--port",
        "80",
        "--allow-root=false",
        "--run-as",
        "1000",
    ]);
    snapshot!(restricted, root, allowed, user);
}

fn quota(hard: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"namespace": "user-alice", "name": "onyxia-quota"},
        "spec": {"hard": hard},
    })
}

/// A pod that takes this much.
fn filler(memory: &str) -> Value {
    let amounts = json!({"cpu": "1", "memory": memory});
    let container = json!({
        "name": "filler", "image": "registry.example.test/filler:1",
        "resources": {"requests": amounts, "limits": amounts},
    });
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "user-alice", "name": "filler"},
        "spec": {"containers": [container]},
    })
}

/// What the namespace has left is not guessed: the quota says it.
#[test]
fn within_a_quota() {
    let with = |hard: Value, used: &str, args: &[&str]| -> (Run, Value) {
        let platform = Platform::new();
        platform.server.put(quota(&hard));
        platform.server.settle();
        // Counted as soon as it is there.
        platform.server.put(filler(used));
        platform.server.settle();
        let run = platform.deploy(&web(args));
        (run, container(&platform)["resources"].clone())
    };
    let hard = || json!({"requests.cpu": "4", "requests.memory": "8Gi", "limits.cpu": "8", "limits.memory": "8Gi"});
    let roomy = || with(hard(), "1Gi", &[]);
    // Time stands still: that nothing ends meanwhile is not seen.
    let in_time = ["--timeout", "2s"];
    let tight = || with(hard(), "8000Mi", &in_time);
    let full = || with(hard(), "8Gi", &in_time);
    let asked = || with(hard(), "7Gi", &["--memory", "2Gi", "--timeout", "2s"]);
    let three = || {
        with(
            hard(),
            "1Gi",
            &["--replicas", "3", "--memory", "3Gi", "--timeout", "2s"],
        )
    };
    let runs = crate::together(&[&roomy, &tight, &full, &asked, &three]);
    let resources = &runs[0].1;
    assert!(
        resources["limits"]["cpu"].is_string(),
        "the quota asks for it: {resources}"
    );
    snapshot_all!(runs.into_iter().map(|(run, _)| run).collect::<Vec<Run>>());
}

/// An update where the quota has no room for two pods at once.
#[test]
fn updating_within_a_quota() {
    let platform = Platform::new();
    // One of the pods is the database's.
    platform.server.put(quota(
        &json!({"requests.memory": "1Gi", "limits.memory": "1Gi", "count/pods": "3"}),
    ));
    platform.server.settle();
    let first = platform.deploy(&web(&["--memory", "700Mi"]));
    let update = platform.deploy(&["web", "--image", "registry.example.test/shop/web:2"]);
    snapshot!(first, update);
}

#[test]
fn deleting() {
    let platform = Platform::new();
    platform.add("theirs", 80);
    let _ = platform.deploy(&web(&["--env", "A=1"])).success();
    let mut config = platform.server.object("configmaps", "user-alice", "web");
    config["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "Helm"});
    platform.server.put(config);
    let run = |args: &[&str]| platform.deploy(args);
    let absent = run(&["delete", "wbe"]);
    let ignored = run(&["delete", "wbe", "--ignore-not-found"]).success();
    let theirs = run(&["delete", "theirs"]);
    let ours = run(&["delete", "web"]).success();
    assert_eq!(platform.server.names("configmaps"), ["web"], "it is Helm's");
    assert_eq!(platform.server.names("deployments"), ["theirs"]);
    snapshot!(absent, ignored, theirs, ours);
}

#[test]
fn deleting_by_other_words() {
    let platform = Platform::new();
    let _ = platform.deploy(&web(&[])).success();
    let _ = platform.deploy(&["api", "--image", super::IMAGE]).success();
    let run = |args: &[&str]| platform.deploy(args).success();
    let kind = run(&["rm", "deployment/api"]);
    let all = run(&["delete", "--all"]);
    assert_eq!(platform.server.ours(), [""; 0]);
    let none = run(&["delete", "--all"]);
    snapshot!(kind, all, none);
}

/// What was asked for is done, though nothing runs then.
#[test]
fn stopped_and_started() {
    let platform = Platform::new();
    let run = |args: &[&str]| platform.deploy(args);
    let _ = run(&web(&[])).success();
    let stopped = run(&["web", "--replicas", "0"]).success();
    let image = run(&["web", "--image", "registry.example.test/shop/web:2"]).success();
    let started = run(&["web", "--replicas", "1"]).success();
    snapshot!(stopped, image, started);
}

#[test]
fn commands_and_arguments() {
    let platform = Platform::new();
    let run = |args: &[&str]| platform.deploy(args);
    let new = run(&web(&["--command"]));
    let _ = run(&web(&["--", "--debug"])).success();
    assert_eq!(container(&platform)["args"], json!(["--debug"]));
    let none = run(&["web", "--command"]).success();
    assert!(container(&platform).get("args").is_none());
    snapshot!(new, none);
}

/// A Job's timer has nothing to do with it, and neither has what a colleague deploys beside.
#[test]
fn side_by_side() {
    let platform = Platform::new();
    platform.server.fate("slow", Fate::Starting);
    let edits = fixtures::role_binding("user-alice", "bob", "edit", &fixtures::user("oidc-bob"));
    platform.server.put(edits);
    let bob = platform.session("bob-token");
    let theirs = bob
        .run(
            "deploy-app",
            [
                "api",
                "--image",
                super::IMAGE,
                "--port",
                "8000",
                "-n",
                "user-alice",
            ],
        )
        .success();
    let ours = platform.deploy(&WEB).success();
    platform.server.advance(5400);
    let list = platform.deploy(&["list"]).success();
    snapshot!(theirs, ours, list);
}

/// A secret from standard input, and every request told: its value is nowhere to be read.
#[test]
fn a_secret_from_standard_input() {
    let platform = Platform::new();
    let alice = &platform.alice;
    let mut command = alice.command("deploy-app", &web(&["--secret", "API_KEY=-", "-vvv"]));
    let mut child = alice.start(command.stdin(std::process::Stdio::piped()));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"s3cr3t\n").unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("patch secrets web"), "{said}");
    assert!(
        !said.contains("s3cr3t") && !said.contains("czNjcjN0"),
        "{said}"
    );
    let secret = platform.server.object("secrets", "user-alice", "web");
    assert_eq!(
        secret["data"]["API_KEY"], "czNjcjN0",
        "without the line's end"
    );
    let env = container(&platform).to_string();
    assert!(
        !env.contains("s3cr3t") && !env.contains("czNjcjN0"),
        "{env}"
    );
}

/// What others have written into objects that look like ours.
#[test]
fn hostile_objects() {
    let platform = Platform::new();
    let _ = platform.deploy(&WEB).success();
    platform.server.advance(5400);
    let deployment = platform.server.object("deployments", "user-alice", "web");
    let mut template = deployment["spec"]["template"].clone();
    let container = &mut template["spec"]["containers"][0];
    container["image"] = json!("evil\u{1b}]0;owned\u{7}:1\nNAME   forged");
    container["ports"][0]["containerPort"] = json!(-5);
    let change = json!({
        "metadata": {"annotations": {"kube-commons/app": "\u{202e}bew"}},
        "spec": {"template": template},
        "status": {"readyReplicas": -3, "replicas": 1_000_000},
    });
    platform.server.pretend("deployments", "web", change);
    let run = |args: &[&str]| platform.deploy(args);
    let [json, yaml] = ["json", "yaml"].map(|format| run(&["list", "-o", format]));
    for run in [json, yaml] {
        assert!(cli_tests::run::is_harmless(&run.output()), "{run}");
    }
    snapshot!(
        run(&["list", "-o", "wide"]),
        run(&["web", "--replicas", "2", "--dry-run=server"]),
    );
}
