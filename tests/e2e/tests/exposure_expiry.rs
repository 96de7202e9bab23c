//! An address ends by itself, with stock controllers, though nobody is there to end it.

use std::time::{Duration, Instant};

use e2e::{Alone, eventually};

const KINDS: &str = "ingresses,services,networkpolicies,jobs";

#[test]
fn ten_seconds_are_ten_seconds() {
    let alone = Alone::on_the_cluster();
    let mut stage = alone.stage();
    let alice = stage.person("alice");
    let host = stage.host("shop");
    alice.deploys_web("web", &[("TITLE", "Shop")]);
    alice.applies(ISOLATE);
    let before = alice.belongings();

    let start = Instant::now();
    let exposed = alice.expose_app(&[
        "web",
        "--host",
        &host,
        "--for",
        "10s",
        "--controller",
        "ingress-controller",
    ]);
    exposed.ok().says("It closes by itself in 10s");
    assert_eq!(alice.fetch(&format!("https://{host}")).status, 200);
    assert_eq!(
        alice.ours(KINDS).len(),
        4,
        "an Ingress, a Service, a policy and a timer: {:?}",
        alice.ours(KINDS)
    );

    // Still there shortly before the end, gone within three seconds after it.
    eventually("nine seconds have passed", Duration::from_secs(10), || {
        start.elapsed() > Duration::from_secs(9)
    });
    assert_eq!(alice.ours("ingresses").len(), 1, "ended too early");
    eventually(
        "everything of the address is gone",
        Duration::from_secs(13).saturating_sub(start.elapsed()),
        || alice.ours(KINDS).is_empty(),
    );
    assert_eq!(alice.belongings(), before, "the namespace is as before");
    eventually("nobody answers there", Duration::from_secs(4), || {
        alice.fetch(&format!("https://{host}")).status == 404
    });
}

#[test]
fn an_end_is_taken_away_and_set_again() {
    let alone = Alone::on_the_cluster();
    let mut stage = alone.stage();
    let alice = stage.person("alice");
    let host = stage.host("shop");
    alice.deploys_web("web", &[]);
    let ends = || {
        let listed = alice.expose_app(&["list", "-o", "json"]).ok().stdout;
        let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
        listed["items"][0]["until"].as_str().map(str::to_owned)
    };
    alice
        .expose_app(&["web", "--host", &host, "--for", "30s"])
        .ok();
    let first = ends().expect("an end");
    alice.expose_app(&["web"]).ok();
    assert_eq!(ends().as_ref(), Some(&first), "what is not named stays");

    alice.expose_app(&["web", "--forever"]).ok();
    assert_eq!(ends(), None);
    assert_eq!(alice.ours("jobs"), [""; 0], "no timer is left");
    assert_eq!(
        alice.ours("ingresses,services").len(),
        2,
        "and the rest stays"
    );
    assert_eq!(alice.fetch(&format!("https://{host}")).status, 200);

    let start = Instant::now();
    alice.expose_app(&["web", "--for", "5s"]).ok();
    assert!(ends().is_some());
    eventually(
        "it ends at its new end",
        Duration::from_secs(8).saturating_sub(start.elapsed()),
        || alice.ours(KINDS).is_empty(),
    );
}

/// Only pods of this namespace get in: what the charts make.
const ISOLATE: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress: [{from: [{podSelector: {}}]}]
";
