//! What is refused before anything is written.

use crate::fixtures;
use cli_tests::{ApiServer, Fate, Response, Run, Session};
use serde_json::{Value, json};

use crate::platform::{Platform, page};
use crate::together;

#[test]
fn apps_that_are_not_there() {
    let platform = Platform::with_web();
    platform.server.forget_requests();
    let run = |args: &[&str]| platform.refused(args);
    snapshot!(
        run(&["wbe"]),
        run(&["shop"]),
        run(&["statefulset/web"]),
        run(&["pod/web"]),
        run(&["lst"]),
        run(&["delet"]),
        run(&["web", "-n", "user-bob"]),
    );
}

/// The course's usual mistakes in a Service.
#[test]
fn services_that_lead_nowhere() {
    let with = |change: &dyn Fn(&mut Value), args: &[&str]| {
        let platform = Platform::with_web();
        let mut service = fixtures::app("web", 8000)[1].clone();
        change(&mut service);
        platform.server.submit(service);
        platform.server.forget_requests();
        platform.refused(args)
    };
    let selector = |service: &mut Value| service["spec"]["selector"] = json!({"app": "webb"});
    let target = |port: Value| {
        move |service: &mut Value| service["spec"]["ports"][0]["targetPort"] = port.clone()
    };
    snapshot_all!(together(&[
        &|| with(&selector, &["svc/web"]),
        &|| with(
            &|service| service["spec"]["selector"] = json!({}),
            &["svc/web"]
        ),
        &|| with(&target(json!(8080)), &["web"]),
        &|| with(&target(json!("https")), &["web"]),
        &|| with(&|_| {}, &["web", "--port", "metrics"]),
        &|| with(&|_| {}, &["web", "--port", "9000"]),
    ]));
}

/// A Service called like the app does not lead to it: another one is made, and it is said.
#[test]
fn a_service_with_a_mistyped_selector() {
    let platform = Platform::with_web();
    let mut service = fixtures::app("web", 8000)[1].clone();
    service["spec"]["selector"] = json!({"app": "webb"});
    platform.server.submit(service);
    snapshot!(platform.expose(&["web", "--no-wait"]));
}

/// Apps that do not run: why, at once.
#[test]
fn apps_that_do_not_run() {
    let waiting = |fate: Fate, arguments: &[&str]| {
        let platform = Platform::new();
        platform.server.fate("web", fate);
        platform.add("web", 8000);
        platform.server.forget_requests();
        platform.refused(&[&["web"], arguments].concat())
    };
    let with = |fate: Fate| waiting(fate, &[]);
    // Of these one may still hope.
    let soon = |fate: Fate| waiting(fate, &["--timeout", "1s"]);
    let image = "registry.example.test/shop/web:1";
    let zero = || {
        let platform = Platform::new();
        let [mut deployment, service] = fixtures::app("web", 8000);
        deployment["spec"]["replicas"] = json!(0);
        platform.server.submit(deployment);
        platform.server.submit(service);
        platform.server.forget_requests();
        platform.refused(&["web"])
    };
    snapshot_all!(together(&[
        &|| with(Fate::no_image(image, &format!("{image}: not found"))),
        &|| with(Fate::crash(
            1,
            "Traceback (most recent call last):\n  File \"app.py\", line 3\nKeyError: 'DATABASE_URL'\n"
        )),
        &|| with(Fate::Unschedulable(
            "0/3 nodes are available: 3 Insufficient memory.".into()
        )),
        &|| soon(Fate::Unready(
            "Readiness probe failed: HTTP probe failed with statuscode: 500".into()
        )),
        &|| soon(Fate::Starting),
        &|| zero(),
    ]));
}

#[test]
fn apps_that_do_not_speak_http() {
    let with = |port: u16, greeting: &'static [u8]| {
        let platform = Platform::new();
        platform.add("web", 8000);
        platform.server.program("web", port, move |_| {
            Response::raw(move |stream| {
                let _ = stream.write_all(greeting);
            })
        });
        platform.server.forget_requests();
        platform.refused(&["web"])
    };
    let silent = || {
        let platform = Platform::new();
        platform.add("web", 8000);
        platform.server.forget_requests();
        platform.refused(&["web"])
    };
    // Where else something listens is found out by how soon the rest is refused: not while everything else runs.
    let mut runs = vec![silent(), with(3000, b"")];
    runs.extend(together(&[
        &|| with(8000, b""),
        &|| with(8000, b"SSH-2.0-OpenSSH_9.2\r\n"),
        &|| with(8000, b"-ERR unknown command 'GET'\r\n"),
        &|| with(8000, b"\x00\x01\x02\x1b[31mred"),
    ]));
    snapshot_all!(runs);
}

/// Somebody else has the host: it is seen before anything is written, whether the cluster checks it or not.
#[test]
fn hosts_that_are_taken() {
    let elsewhere = |args: &[&str]| {
        let platform = Platform::with_web();
        platform
            .internet
            .host("shop.kub.example.test", |_| page("Bob's shop"));
        platform.server.forget_requests();
        platform.refused(args)
    };
    let webhook = || {
        let platform = Platform::with_web();
        platform.host_is_bobs("shop.kub.example.test");
        platform.server.forget_requests();
        platform.refused(&["web", "--host", "shop"])
    };
    let own = || {
        let platform = Platform::with_web();
        platform.server.forget_requests();
        platform.refused(&["web", "--host", "grafana.kub.example.test"])
    };
    let certificate = |expired: bool| {
        let platform = Platform::with_web();
        let host = "shop.kub.example.test";
        if expired {
            platform.internet.expired_certificate(host);
        } else {
            platform.internet.certificate_of_another(host);
        }
        platform.server.forget_requests();
        platform.refused(&["web", "--host", "shop"])
    };
    let redirect = || {
        let platform = Platform::with_web();
        platform.internet.host("shop.kub.example.test", |_| {
            Response::text(302, "text/html", "").header("location", "https://login.example.test/")
        });
        platform.server.forget_requests();
        platform.refused(&["web", "--host", "shop"])
    };
    snapshot!(
        elsewhere(&["web", "--host", "shop"]),
        webhook(),
        own(),
        redirect(),
        certificate(true),
        certificate(false)
    );
}

/// Nothing in the namespace tells the domain.
#[test]
fn without_neighbours() {
    let platform = Platform::with_web();
    platform.server.remove("ingresses", "user-alice", "grafana");
    platform.server.forget_requests();
    let run = |args: &[&str]| platform.refused(args);
    let unknown = run(&["web"]);
    let label = run(&["web", "--host", "shop"]);
    let whole = platform
        .expose(&["web", "--host", "shop.kub.example.test", "--no-wait"])
        .success();
    snapshot!(unknown, label, whole);
}

#[test]
fn gateways_that_are_not_there() {
    let platform = Platform::with_web();
    platform.server.forget_requests();
    let not_served = platform.refused(&["web", "--gateway"]);
    let named = platform.refused(&["web", "--parent", "infra/shared"]);
    snapshot!(not_served, named);
}

/// Who may only look, who may edit, and who may nothing.
#[test]
fn rights() {
    let platform = Platform::with_web();
    platform.server.forget_requests();
    let ide = platform.session("ide-token");
    let view = ide.run("expose-app", ["web"]);
    let view_for = ide.run("expose-app", ["web", "--for", "1h"]);
    let view_list = ide.run("expose-app", ["list"]).success();
    let bob = platform.session("bob-token");
    let nothing = bob.run("expose-app", ["web", "-n", "user-alice"]);
    let nothing_list = bob.run("expose-app", ["list", "-n", "user-alice"]);
    let everywhere = platform.expose(&["list", "-A"]);
    assert_eq!(platform.server.writes(), [""; 0]);
    let edits = fixtures::role_binding("user-alice", "bob", "edit", &fixtures::user("oidc-bob"));
    platform.server.put(edits);
    let edit = bob
        .run("expose-app", ["web", "-n", "user-alice", "--no-wait"])
        .success();
    let view_remove = ide.run("expose-app", ["remove", "web"]);
    assert_eq!(platform.server.ours(), ["ingresses/expose-web"]);
    snapshot!(
        view,
        view_for,
        view_list,
        nothing,
        nothing_list,
        everywhere,
        edit,
        view_remove
    );
}

/// Objects of others that are called like ours.
#[test]
fn objects_of_others() {
    let with = |object: Value, plural: &'static str| {
        let platform = Platform::with_web();
        platform.server.put(object);
        // No API server takes it, but who knows what stands before one.
        let hostile =
            json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm\u{1b}[2J"}}});
        platform.server.pretend(plural, "expose-web", hostile);
        platform.server.forget_requests();
        platform.refused(&["web", "--for", "1h"])
    };
    let foreign = |kind: &str| {
        let labels = json!({"app.kubernetes.io/managed-by": "Helm"});
        fixtures::foreign(kind, "expose-web", &labels)
    };
    snapshot_all!(together(&[
        &|| with(foreign("Ingress"), "ingresses"),
        &|| with(foreign("Service"), "services"),
        &|| with(foreign("NetworkPolicy"), "networkpolicies"),
        &|| with(foreign("Job"), "jobs"),
    ]));
}

/// The API server refuses what is to be written, in its own words.
#[test]
fn by_the_api_server() {
    let with = |answer: fn() -> Response| {
        let platform = Platform::with_web();
        platform.server.remove("services", "user-alice", "web");
        platform.server.script(move |request| {
            let writes = request.is_write() && request.path.ends_with("/ingresses");
            writes.then(answer)
        });
        let run = platform.expose(&["web"]);
        assert_eq!(
            platform.server.ours(),
            [""; 0],
            "what was made is taken back"
        );
        assert!(
            platform
                .server
                .writes()
                .contains(&"DELETE /api/v1/namespaces/user-alice/services/expose-web".to_owned())
        );
        run
    };
    snapshot_all!(together(&[
        &|| with(|| Response::status(
            403,
            "Forbidden",
            "admission webhook \"hosts.example.test\" denied the request: hosts end with .apps.example.test",
            &Value::Null
        )),
        &|| with(|| Response::status(
            403,
            "Forbidden",
            "ingresses.networking.k8s.io \"expose-web\" is forbidden: exceeded quota: onyxia-quota, requested: count/ingresses.networking.k8s.io=1, used: count/ingresses.networking.k8s.io=5, limited: count/ingresses.networking.k8s.io=5",
            &Value::Null
        )),
        &|| with(|| Response::status(
            500,
            "InternalError",
            "etcdserver: request timed out",
            &Value::Null
        )),
        &|| with(|| Response::status(
            409,
            "AlreadyExists",
            "ingresses.networking.k8s.io \"expose-web\" already exists",
            &json!({"name": "expose-web", "group": "networking.k8s.io", "kind": "ingresses"})
        )),
    ]));
}

/// There is no API server, or none that knows Alice.
#[test]
fn without_a_cluster() {
    let closed = cli_tests::odd::closed();
    let session = Session::at(&format!("http://{}", closed.address), "127.0.0.1:6443");
    let server = ApiServer::start();
    let stranger = Session::with_token(&server, "forgotten");
    let run = |session: &Session, args: &[&str]| session.run("expose-app", args);
    snapshot!(
        run(&session, &["web"]),
        run(&session, &["list"]),
        run(&stranger, &["web"]),
        run(&stranger, &["remove", "--all"]),
        run(&Session::new(), &["list"]),
    );
}

/// Ctrl-C while it is written: all is taken back.
#[test]
fn interrupted_while_writing() {
    let platform = Platform::with_web();
    platform.server.remove("services", "user-alice", "web");
    platform.server.script(|request| {
        let writes =
            request.is_write() && request.method == "POST" && request.path.ends_with("/ingresses");
        writes.then(|| {
            Response::raw(|stream| while stream.read(&mut [0; 64]).is_ok_and(|count| count > 0) {})
        })
    });
    let running = platform.alice.spawn("expose-app", ["web", "--for", "1h"]);
    platform.server.wait_for("the Ingress", |request| {
        request.is_write() && request.path.ends_with("/ingresses")
    });
    running.interrupt();
    let run: Run = running.finish();
    assert_eq!(run.code(), 130, "{run}");
    assert_eq!(platform.server.ours(), [""; 0]);
    snapshot!(run);
}
