//! An address ends by itself, with stock controllers, though nobody is there to end it.

use std::time::Duration;

use e2e::{Alone, Stopwatch, eventually};

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

    let stopwatch = Stopwatch::start();
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
    let answer = alice.fetch(&format!("https://{host}"));
    let ours = alice.ours(KINDS);
    // Not before its end, which a busy machine may have reached by now, and gone within three seconds after it. The cluster
    // writes down whole seconds, so it may be one less.
    let end = Duration::from_secs(10);
    let soonest = Duration::from_secs(9);
    if stopwatch.elapsed() < soonest {
        assert_eq!(answer.status, 200);
        assert_eq!(
            ours.len(),
            4,
            "an Ingress, a Service, a policy and a timer: {ours:?}"
        );
    }
    eventually("everything of the address is gone", 2 * end, || {
        alice.ours(KINDS).is_empty()
    });
    let took = stopwatch.elapsed();
    assert!(took >= soonest, "ended too early, after {took:?}");
    let late = stopwatch.undisturbed().saturating_sub(end);
    assert!(late <= Duration::from_secs(3), "ended {late:?} too late");
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
        .expose_app(&["web", "--host", &host, "--for", "5m"])
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

    let stopwatch = Stopwatch::start();
    alice.expose_app(&["web", "--for", "5s"]).ok();
    let end = ends();
    assert!(end.is_some() || stopwatch.elapsed() > Duration::from_secs(4));
    eventually(
        "it ends at its new end",
        Duration::from_secs(8).saturating_sub(stopwatch.undisturbed()),
        || alice.ours(KINDS).is_empty(),
    );
}

/// Whoever deletes a Job without saying how leaves what it owned behind: the API's default for Jobs.
#[test]
fn an_address_that_lost_its_timer_is_seen_and_closed() {
    let alone = Alone::on_the_cluster();
    let mut stage = alone.stage();
    let alice = stage.person("alice");
    let host = stage.host("shop");
    alice.deploys_web("web", &[]);
    let before = alice.belongings();
    alice
        .expose_app(&["web", "--host", &host, "--for", "20s"])
        .ok();
    alice
        .kubectl(&["delete", "job", "expose-web", "--cascade=orphan"])
        .ok();
    // The garbage collector takes the owner out of what it has owned, and the Job last.
    eventually("the timer is gone", Duration::from_secs(10), || {
        alice.ours("jobs").is_empty()
    });
    std::thread::sleep(Duration::from_secs(21));
    assert_eq!(alice.fetch(&format!("https://{host}")).status, 200);
    alice
        .expose_app(&["list"])
        .ok()
        .says("should end after 20s, but never will")
        .says("its timer is gone")
        .says("kubectl expose-app remove deployment/web");
    alice.deploy_app(&["list"]).ok();
    alice.expose_app(&["remove", "web"]).ok();
    eventually("all of it is gone", Duration::from_secs(5), || {
        alice.belongings() == before
    });
}

/// What is printed for other means does not open an address that would never end.
#[test]
fn a_dry_run_that_is_applied_opens_nothing() {
    let alone = Alone::on_the_cluster();
    let mut stage = alone.stage();
    let alice = stage.person("alice");
    let host = stage.host("shop");
    alice.deploys_web("web", &[]);
    let printed = |way| {
        let dry = format!("--dry-run={way}");
        alice
            .expose_app(&["web", "--host", &host, "--for", "5s", &dry, "-o", "yaml"])
            .ok()
            .says("ingress/expose-web is left out")
            .stdout
    };
    assert!(!printed("server").contains("kind: Ingress"));
    alice.applies(&printed("client"));
    assert_eq!(alice.ours("ingresses"), [""; 0]);
    assert_eq!(alice.fetch(&format!("https://{host}")).status, 404);
    eventually("the timer ends alone", Duration::from_secs(15), || {
        alice.ours("jobs").is_empty()
    });
    alice.kubectl(&["delete", "service", "expose-web"]).ok();
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
