//! Addresses that are made: once, again, for a time, dry, and closed.

use crate::fixtures;
use cli_tests::{Addon, JobController, Run};
use serde_json::{Value, json};

use crate::platform::{Platform, page};

/// To its administrator an API server without the Gateway API says so with a bare page.
#[test]
fn where_the_gateway_api_is_not_served() {
    let platform = Platform::with_web();
    platform.server.on("GET", "*/httproutes", || {
        cli_tests::Response::text(404, "text/plain", "404 page not found\n")
    });
    let _ = platform.expose(&["web", "--no-wait"]).success();
    let _ = platform.expose(&["list"]).success();
    let _ = platform.expose(&["remove", "web"]).success();
}

#[test]
fn from_the_first_to_the_last() {
    let platform = Platform::with_web();
    let expose = platform.expose(&["web"]).success();
    assert_eq!(expose.stdout, "https://web-alice.kub.example.test\n");
    assert_eq!(platform.server.ours(), ["ingresses/expose-web"]);
    let list = platform.expose(&["list"]).success();
    let remove = platform.expose(&["remove", "web"]).success();
    assert_eq!(platform.server.ours(), [""; 0]);
    let empty = platform.expose(&["list"]).success();
    snapshot!(expose, list, remove, empty);
}

/// The second time says so and writes nothing.
#[test]
fn again() {
    let platform = Platform::with_web();
    let _ = platform.expose(&["web", "--no-wait"]).success();
    platform.server.settle();
    let before = platform.server.versions();
    platform.server.forget_requests();
    let again = platform.expose(&["web"]).success();
    assert_eq!(platform.server.versions(), before);
    assert_eq!(platform.server.writes(), [""; 0]);
    let other = platform
        .expose(&["web", "--host", "shop", "--no-wait"])
        .success();
    snapshot!(again, other);
}

/// An app without a Service gets one, and loses it with its address.
#[test]
fn without_a_service() {
    let platform = Platform::with_web();
    platform.server.remove("services", "user-alice", "web");
    platform.server.settle();
    let expose = platform.expose(&["deploy/web", "--host", "shop"]).success();
    assert_eq!(
        platform.server.ours(),
        ["ingresses/expose-web", "services/expose-web"]
    );
    let remove = platform
        .expose(&["remove", "https://shop.kub.example.test/"])
        .success();
    assert_eq!(platform.server.ours(), [""; 0]);
    assert_eq!(platform.server.names("deployments"), ["web"]);
    snapshot!(expose, remove);
}

#[test]
fn for_a_time() {
    let platform = Platform::with_web();
    let run = |args: &[&str]| platform.expose(args).success();
    let expose = run(&["web", "--for", "2h", "--no-wait"]);
    assert_eq!(
        platform.server.ours(),
        ["ingresses/expose-web", "jobs/expose-web"]
    );
    platform.server.advance(3600);
    let list = run(&["list"]);
    let again = run(&["web", "--for", "1h", "--no-wait"]);
    let longer = run(&["web", "--for", "8h", "--no-wait"]);
    platform.server.advance(8 * 3600 - 1);
    assert_eq!(
        platform.server.ours(),
        ["ingresses/expose-web", "jobs/expose-web"]
    );
    let forever = run(&["web", "--forever", "--no-wait"]);
    platform.server.advance(3600);
    assert_eq!(platform.server.ours(), ["ingresses/expose-web"]);
    let short = run(&["web", "--for", "10s", "--no-wait"]);
    platform.server.advance(10);
    assert_eq!(platform.server.ours(), [""; 0], "it is gone by itself");
    snapshot!(expose, list, again, longer, forever, short, run(&["list"]));
}

/// Somebody deletes the timer and leaves what it owned, as most clients of the API do by default.
#[test]
fn orphaned() {
    let platform = Platform::with_web();
    let (server, run) = (&platform.server, |args: &[&str]| {
        platform.expose(args).success()
    });
    let _ = run(&["web", "--for", "2h", "--no-wait"]);
    let orphan = || {
        let mut ingress = server.object("ingresses", "user-alice", "expose-web");
        ingress["metadata"]["ownerReferences"] = json!([]);
        server.put(ingress);
        server.remove("jobs", "user-alice", "expose-web");
    };
    orphan();
    server.advance(3 * 3600);
    let list = run(&["list"]);
    let formats = ["json", "name"].map(|format| run(&["list", "-o", format]));
    let again = run(&["web", "--no-wait"]);
    let mended = run(&["web", "--for", "1h", "--no-wait"]);
    let ends = run(&["list"]);
    orphan();
    let remove = run(&["remove", "web"]);
    assert_eq!(server.ours(), [""; 0]);
    let [json, name] = formats;
    snapshot!(list, json, name, again, mended, ends, remove);
}

/// Timers that do not end what belongs to them.
#[test]
fn timers_that_were_changed() {
    let platform = Platform::with_web();
    let server = &platform.server;
    let _ = platform
        .expose(&["web", "--for", "2h", "--no-wait"])
        .success();
    let changes = [
        json!({"suspend": true}),
        json!({"managedBy": "kueue.x-k8s.io/multikueue"}),
        json!({"parallelism": 1}),
        json!({"ttlSecondsAfterFinished": 600}),
        json!({"activeDeadlineSeconds": null}),
    ];
    let mut runs = Vec::new();
    for change in changes {
        server.pretend("jobs", "expose-web", json!({"spec": change}));
        runs.push(platform.expose(&["list"]).success());
        server.be_honest();
    }
    snapshot_all!(runs);
}

/// Clusters that do not treat a timer as they should: nothing is exposed.
#[test]
fn timers_that_do_not_run() {
    let on = |jobs| {
        let platform = Platform::with_web();
        platform.server.job_controller(jobs);
        let run = platform.expose(&["web", "--for", "2h", "--no-wait"]);
        assert_eq!(platform.server.ours(), [""; 0]);
        run
    };
    snapshot!(on(JobController::Suspends), on(JobController::StripsTtl));
}

/// What is printed may be applied by other means, which know no timer.
#[test]
fn dry_for_a_time() {
    let platform = Platform::with_web();
    let run = |args: &[&str]| platform.expose(args).success();
    let yaml = run(&["web", "--for", "8h", "--dry-run=client", "-o", "yaml"]);
    assert!(!yaml.stdout.contains("kind: Ingress"), "{yaml}");
    let json = run(&["web", "--for", "8h", "--dry-run=server", "-o", "json", "-q"]);
    assert!(!json.stdout.contains("\"Ingress\""), "{json}");
    let name = run(&["web", "--for", "8h", "--dry-run=client", "-o", "name"]);
    assert_eq!(platform.server.ours(), [""; 0]);
    platform.server.serve(Addon::GatewayApi);
    let route = run(&[
        "web",
        "--for",
        "8h",
        "--parent",
        "infra/shared",
        "--dry-run",
        "-o",
        "yaml",
    ]);
    assert!(!route.stdout.contains("kind: HTTPRoute"), "{route}");
    snapshot!(yaml, json, name, route);
}

#[test]
fn dry() {
    let platform = Platform::with_web();
    platform.server.remove("services", "user-alice", "web");
    platform.server.forget_requests();
    let run = |args: &[&str]| platform.expose(args).success();
    let client = run(&["web", "--dry-run", "--for", "1h"]);
    let yaml = run(&["web", "--dry-run=client", "-o", "yaml"]);
    let name = run(&["web", "--dry-run=client", "-o", "name"]);
    let server = run(&["web", "--dry-run=server"]);
    assert_eq!(platform.server.writes(), [""; 0]);
    assert_eq!(platform.server.ours(), [""; 0]);
    assert!(platform.internet.requests().is_empty(), "nobody is asked");
    let _ = run(&["web", "--no-wait"]);
    platform.server.settle();
    platform.server.forget_requests();
    let again = run(&["web", "--dry-run=server"]);
    let remove = run(&["remove", "web", "--dry-run=server"]);
    assert_eq!(platform.server.writes(), [""; 0]);
    snapshot!(client, yaml, name, server, again, remove);
}

#[test]
fn in_other_formats() {
    let platform = Platform::with_web();
    let run = |args: &[&str]| platform.expose(args).success();
    let json = run(&["web", "-o", "json", "--no-wait"]);
    let formats = ["json", "yaml", "name", "wide"].map(|format| run(&["list", "-o", format]));
    let quiet = run(&["web", "-q", "--no-wait"]);
    let quiet_remove = run(&["remove", "web", "-q"]);
    let [list_json, yaml, name, wide] = formats;
    snapshot!(json, list_json, yaml, name, wide, quiet, quiet_remove);
}

/// How certificates are had is learned from the neighbours, or told.
#[test]
fn certificates() {
    let wildcard = |tls: &str| {
        let platform = Platform::with_web();
        let run = platform
            .expose(&["web", "--tls", tls, "--no-wait"])
            .success();
        let spec = &platform
            .server
            .object("ingresses", "user-alice", "expose-web");
        let expected = match tls {
            "off" => Value::Null,
            _ => json!([{"hosts": ["web-alice.kub.example.test"]}]),
        };
        assert_eq!(spec["spec"]["tls"], expected);
        run
    };
    let secret = || {
        let platform = Platform::with_web();
        let absent = platform.expose(&["web", "--tls", "secret=nothing", "--no-wait"]);
        (absent, ())
    };
    let learned = |annotation: &str| {
        let platform = Platform::with_web();
        platform.server.serve(Addon::CertManager);
        let mut ingress = fixtures::ingress("grafana", "grafana.kub.example.test", "grafana");
        ingress["metadata"]["annotations"][annotation] = json!("letsencrypt");
        ingress["spec"]["tls"][0]["secretName"] = json!("grafana-tls");
        platform.server.put(ingress);
        let run = platform.expose(&["web", "--no-wait"]).success();
        let made = platform
            .server
            .object("ingresses", "user-alice", "expose-web");
        assert_eq!(made["metadata"]["annotations"][annotation], "letsencrypt");
        assert_eq!(made["spec"]["tls"][0]["secretName"], "expose-web-tls");
        run
    };
    snapshot!(
        wildcard("off"),
        wildcard("wildcard"),
        secret().0,
        learned("cert-manager.io/cluster-issuer"),
        learned("cert-manager.io/issuer"),
    );
}

/// A policy as Onyxia's charts make it: only this namespace gets in; beside it one that lets the controller in.
fn policies(name: &str, app: &str) -> [Value; 2] {
    let policy = |name: &str, from: Value| {
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"namespace": "user-alice", "name": name},
            "spec": {"podSelector": {"matchLabels": {"app": app}}, "policyTypes": ["Ingress"], "ingress": [{"from": from}]},
        })
    };
    let controller = json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-controller"}}}]);
    [
        policy(name, json!([{"podSelector": {}}])),
        policy(&format!("{name}-2"), controller),
    ]
}

#[test]
fn past_network_policies() {
    let learned = || {
        let platform = Platform::with_web();
        platform.add("grafana", 3000);
        for policy in policies("grafana", "grafana") {
            platform.server.put(policy);
        }
        let [isolating, _] = policies("web", "web");
        platform.server.put(isolating);
        let run = platform.expose(&["web", "--no-wait"]).success();
        let policy = platform
            .server
            .object("networkpolicies", "user-alice", "expose-web");
        insta::assert_snapshot!(
            "the_policy",
            serde_json::to_string_pretty(&policy["spec"]).unwrap()
        );
        let remove = platform.expose(&["remove", "web"]).success();
        assert_eq!(
            platform.server.names("networkpolicies"),
            ["grafana", "grafana-2", "web"]
        );
        (run, remove)
    };
    let unknown = |args: &[&str]| {
        let platform = Platform::with_web();
        let [isolating, _] = policies("web", "web");
        platform.server.put(isolating);
        platform.expose(args).success()
    };
    let (run, remove) = learned();
    snapshot!(
        run,
        remove,
        unknown(&["web", "--no-wait"]),
        unknown(&["web", "--no-wait", "--controller", "ingress-nginx"]),
    );
}

/// By an `HTTPRoute`, on the Gateway that other routes use, or that is named.
#[test]
fn through_a_gateway() {
    let platform = Platform::with_web();
    platform.server.serve(Addon::GatewayApi);
    platform.server.put(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": {"namespace": "infra", "name": "shared"},
        "spec": {"gatewayClassName": "traefik", "listeners": [{
            "name": "https", "port": 443, "protocol": "HTTPS", "hostname": "*.kub.example.test", "allowedRoutes": {"namespaces": {"from": "All"}},
        }]},
    }));
    let unknown = platform.refused(&["web", "--gateway"]);
    let named = platform
        .expose(&["web", "--parent", "infra/shared", "--no-wait"])
        .success();
    assert_eq!(platform.server.ours(), ["httproutes/expose-web"]);
    let list = platform.expose(&["list", "-o", "wide"]).success();
    platform.add("api", 8000);
    platform.server.program("api", 8000, |_| page("Api"));
    let learned = platform
        .expose(&["api", "--gateway", "--no-wait"])
        .success();
    let listeners = platform.expose(&[
        "api",
        "--gateway",
        "--tls",
        "issuer=letsencrypt",
        "--no-wait",
    ]);
    let remove = platform.expose(&["remove", "--all"]).success();
    assert_eq!(platform.server.ours(), [""; 0]);
    snapshot!(unknown, named, list, learned, listeners, remove);
}

/// Of several apps, one is closed; what was made otherwise stays.
#[test]
fn removing() {
    let platform = Platform::with_web();
    platform.add("api", 8000);
    let run = |args: &[&str]| platform.expose(args);
    for app in ["web", "api"] {
        let _ = run(&[app, "--no-wait"]).success();
    }
    let absent = run(&["remove", "grafana"]);
    let typo = run(&["remove", "wbe"]);
    let dry = run(&["remove", "--all", "--dry-run"]).success();
    assert_eq!(platform.server.ours().len(), 2);
    let one = run(&["remove", "deployment/web"]).success();
    assert_eq!(platform.server.ours(), ["ingresses/expose-api"]);
    let host = run(&["remove", "api-alice.kub.example.test"]).success();
    let none = run(&["remove", "--all"]).success();
    assert_eq!(platform.server.names("ingresses"), ["grafana"]);
    snapshot!(absent, typo, dry, one, host, none);
}

/// What only looks like ours is left alone.
#[test]
fn removing_leaves_what_is_not_ours() {
    let platform = Platform::with_web();
    let _ = platform.expose(&["web", "--no-wait"]).success();
    let mut service = fixtures::app("expose-web", 80)[1].clone();
    service["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "Helm"});
    platform.server.put(service);
    let run: Run = platform.expose(&["remove", "web"]).success();
    assert!(
        platform
            .server
            .names("services")
            .contains(&"expose-web".to_owned())
    );
    snapshot!(run);
}

/// Apps of other kinds, by their name or their Service.
#[test]
fn other_kinds() {
    let with = |args: &[&str], objects: &[Value]| {
        let platform = Platform::new();
        for object in objects {
            platform.server.submit(object.clone());
        }
        platform.server.program("db", 8000, |_| page("Data"));
        platform.expose(args)
    };
    let [deployment, service] = fixtures::app("db", 8000);
    let template = deployment["spec"]["template"].clone();
    let of = |kind: &str| {
        let mut set = deployment.clone();
        set["kind"] = json!(kind);
        set["spec"]["serviceName"] = json!("db");
        set
    };
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "spec": template["spec"],
        "metadata": {"namespace": "user-alice", "name": "db", "labels": {"app": "db"}},
    });
    let mut headless = service.clone();
    headless["spec"]["clusterIP"] = json!("None");
    let mut two = service.clone();
    two["spec"]["ports"] = json!([{"name": "metrics", "port": 9090, "targetPort": 9090}, {"name": "web", "port": 80, "targetPort": 8000}]);
    let mut unnamed = deployment.clone();
    let container = &mut unnamed["spec"]["template"]["spec"]["containers"][0];
    container.as_object_mut().unwrap().remove("ports");
    let mut runs = crate::together(&[
        &|| with(&["db"], &[of("StatefulSet"), service.clone()]),
        &|| with(&["daemonset/db"], &[of("DaemonSet"), service.clone()]),
        &|| with(&["pod/db"], std::slice::from_ref(&pod)),
        &|| with(&["svc/db"], &[deployment.clone(), service.clone()]),
        &|| with(&["sts/db"], &[of("StatefulSet"), headless.clone()]),
        &|| with(&["db"], &[deployment.clone(), two.clone()]),
        &|| {
            with(
                &["db", "--port", "metrics"],
                &[deployment.clone(), two.clone()],
            )
        },
    ]);
    // Which port it is, is found out by how soon the others are refused: not while everything else runs.
    runs.push(with(&["db"], &[unnamed]));
    snapshot_all!(runs);
}

/// A Gateway of the platform gets listeners of the app's own, with a certificate of its own.
#[test]
fn with_listeners_of_its_own() {
    let platform = Platform::with_web();
    platform.server.serve(Addon::GatewayApi);
    platform.server.serve(Addon::ListenerSets);
    let run = platform.expose(&[
        "web",
        "--parent",
        "infra/shared",
        "--tls",
        "issuer=letsencrypt",
        "--no-wait",
    ]);
    let objects = platform.server.ours();
    let remove = platform.expose(&["remove", "web"]);
    assert_eq!(platform.server.ours(), [""; 0]);
    assert_eq!(
        objects,
        ["httproutes/expose-web", "listenersets/expose-web"]
    );
    snapshot!(run, remove);
}
