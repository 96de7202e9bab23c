//! An address through a Gateway: by an `HTTPRoute` instead of an Ingress.

use std::time::Duration;

use e2e::{Stage, eventually};
use test_cluster::GATEWAY_DOMAIN;

const KINDS: &str = "ingresses,httproutes,services";

#[test]
fn a_route_through_the_gateway_that_is_named() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    let host = format!("{}.{GATEWAY_DOMAIN}", stage.own("shop"));
    alice.deploys_web("web", &[("TITLE", "Shop")]);
    let before = alice.belongings();
    let exposed = alice
        .expose_app(&[
            "web",
            "--host",
            &host,
            "--parent",
            "ingress-controller/shared",
        ])
        .ok();
    assert_eq!(exposed.stdout, format!("https://{host}\n"));
    let answer = alice.fetch(&format!("https://{host}"));
    assert!(
        answer.body.contains("<title>Shop</title>"),
        "{}",
        answer.body
    );
    let mut ours = alice.ours(KINDS);
    ours.sort();
    assert_eq!(
        ours,
        [
            "httproute.gateway.networking.k8s.io/expose-web",
            "service/expose-web"
        ]
    );
    let made = alice.belongings();
    alice.expose_app(&["web"]).ok().says("expose-web unchanged");
    assert_eq!(alice.belongings(), made, "again changes nothing");
    assert!(alice.expose_app(&["list"]).ok().stdout.contains(&host));
    alice.expose_app(&["remove", "web"]).ok();
    assert_eq!(alice.belongings(), before);
}

#[test]
fn the_gateway_of_a_neighbour_is_learned() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    alice.deploys_web("web", &[("TITLE", "Shop")]);
    alice
        .expose_app(&[
            "web",
            "--gateway",
            "--host",
            &format!("web.{GATEWAY_DOMAIN}"),
        ])
        .fails(2, "missing a Gateway")
        .says("--parent NAMESPACE/GATEWAY");
    let neighbour = format!("{}.{GATEWAY_DOMAIN}", stage.own("ide"));
    alice.applies(&format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: ide}}
spec:
  hostnames: [{neighbour}]
  parentRefs: [{{name: shared, namespace: ingress-controller}}]
  rules: [{{backendRefs: [{{name: ide, port: 80}}]}}]
"
    ));
    // Beside an Ingress it has to be asked for.
    alice.has_a_neighbour(&stage.host("ide"));
    let exposed = alice.expose_app(&["web", "--gateway"]).ok();
    let host = format!("web-{}.{GATEWAY_DOMAIN}", stage.own("alice"));
    assert_eq!(exposed.stdout, format!("https://{host}\n"));
    assert_eq!(alice.fetch(&format!("https://{host}")).status, 200);
}

#[test]
fn from_an_ingress_to_a_route_and_back() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    let (ingress, route) = (
        stage.host("shop"),
        format!("{}.{GATEWAY_DOMAIN}", stage.own("shop")),
    );
    alice.deploys_web("web", &[("TITLE", "Shop")]);
    alice.expose_app(&["web", "--host", &ingress]).ok();
    alice
        .expose_app(&[
            "web",
            "--host",
            &route,
            "--parent",
            "ingress-controller/shared",
        ])
        .ok()
        .says("ingress.networking.k8s.io/expose-web deleted");
    assert_eq!(alice.fetch(&format!("https://{route}")).status, 200);
    assert_eq!(alice.ours("ingresses"), [""; 0]);
    // The controller may serve it for a moment longer.
    eventually("the old one is closed", Duration::from_secs(5), || {
        alice.fetch(&format!("https://{ingress}")).status != 200
    });

    alice
        .expose_app(&["web", "--host", &ingress, "--class", "traefik"])
        .ok()
        .says("httproute.gateway.networking.k8s.io/expose-web deleted");
    assert_eq!(alice.fetch(&format!("https://{ingress}")).status, 200);
    assert_eq!(alice.ours("httproutes"), [""; 0]);
}

#[test]
fn a_gateway_that_does_not_exist_is_explained() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    let host = format!("{}.{GATEWAY_DOMAIN}", stage.own("shop"));
    alice.deploys_web("web", &[]);
    alice
        .expose_app(&[
            "web",
            "--host",
            &host,
            "--parent",
            "ingress-controller/other",
        ])
        .fails(1, "the Gateway `ingress-controller/other`")
        .says("--parent NAMESPACE/GATEWAY")
        .within(Duration::from_secs(10));
}

#[test]
fn a_certificate_of_its_own_needs_listener_sets() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    let host = format!("{}.{GATEWAY_DOMAIN}", stage.own("shop"));
    alice.deploys_web("web", &[]);
    let before = alice.belongings();
    alice
        .expose_app(&[
            "web",
            "--host",
            &host,
            "--parent",
            "ingress-controller/shared",
            "--tls",
            "issuer=ca",
        ])
        .fails(1, "this cluster serves no ListenerSets")
        .says("use the Gateway's own certificate")
        .within(Duration::from_secs(10));
    assert_eq!(alice.belongings(), before, "nothing was written");
}
