//! Isolated pods become reachable by the controller, and by nobody else.

use std::time::Duration;

use e2e::{Stage, eventually};

/// A policy that lets in who is in `from`.
fn policy(name: &str, app: &str, from: &str) -> String {
    format!(
        "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: {name}}}
spec:
  podSelector: {{matchLabels: {{app: {app}}}}}
  ingress: [{{from: [{from}]}}]
"
    )
}

const SAME_NAMESPACE: &str = "{podSelector: {}}";
const THE_CONTROLLERS: &str =
    "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress-controller}}}";

#[test]
fn the_controller_gets_in_and_eve_does_not() {
    let mut stage = Stage::new();
    let (alice, eve) = (stage.person("alice"), stage.person("eve"));
    let host = stage.host("shop");
    alice.deploys_web("web", &[("TITLE", "Shop")]);
    eve.has_a_shell();
    let pod = alice.pod_address("web");
    assert!(
        eve.pods_reach((&pod, 8000)),
        "an open pod is open to everybody"
    );
    alice.applies(&policy("web", "web", SAME_NAMESPACE));
    eventually("the pod is isolated", Duration::from_secs(10), || {
        !eve.pods_reach((&pod, 8000))
    });
    let before = alice.belongings();

    // Nothing in the namespace tells where the controller is, so it has to be named; nothing else was made before.
    alice
        .expose_app(&["web", "--host", &host])
        .fails(1, "the controller cannot reach the pods of deployment/web")
        .says("--controller NAMESPACE")
        .within(Duration::from_secs(10));
    alice
        .expose_app(&["web", "--controller", "ingress-controller"])
        .ok();
    assert_eq!(alice.fetch(&format!("https://{host}")).status, 200);
    assert!(!eve.pods_reach((&pod, 8000)), "the controller only");

    alice.expose_app(&["remove", "web"]).ok();
    assert_eq!(alice.belongings(), before);
    assert!(!eve.pods_reach((&pod, 8000)), "isolated as before");
}

#[test]
fn a_neighbours_policy_tells_who_the_controller_is() {
    let mut stage = Stage::new();
    let (alice, eve) = (stage.person("alice"), stage.person("eve"));
    // As a chart of the platform makes it: one policy for the namespace, one for the controller.
    alice.has_a_neighbour(&stage.host("ide"));
    alice.applies(&policy("ide", "ide", SAME_NAMESPACE));
    alice.applies(&policy("ide-2", "ide", THE_CONTROLLERS));
    alice.deploys_web("web", &[("TITLE", "Shop")]);
    eve.has_a_shell();
    alice.applies(&policy("web", "web", SAME_NAMESPACE));
    let pod = alice.pod_address("web");
    eventually("the pod is isolated", Duration::from_secs(10), || {
        !eve.pods_reach((&pod, 8000))
    });
    let before = alice.belongings();

    let exposed = alice.expose_app(&["web"]).ok();
    let url = exposed.stdout.trim_end();
    assert_eq!(alice.fetch(url).status, 200);
    assert!(!eve.pods_reach((&pod, 8000)), "the controller only");
    assert_eq!(
        alice.ours("networkpolicies"),
        ["networkpolicy.networking.k8s.io/expose-web"]
    );
    alice.expose_app(&["remove", "web"]).ok();
    assert_eq!(alice.belongings(), before);
    assert!(!eve.pods_reach((&pod, 8000)), "isolated as before");
}

#[test]
fn pods_that_the_controller_reaches_already_get_no_policy() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    let host = stage.host("shop");
    alice.deploys_web("web", &[]);
    alice.applies(&policy("web-2", "web", THE_CONTROLLERS));
    alice.expose_app(&["web", "--host", &host]).ok();
    assert_eq!(alice.fetch(&format!("https://{host}")).status, 200);
    assert_eq!(alice.ours("networkpolicies"), [""; 0]);
}
