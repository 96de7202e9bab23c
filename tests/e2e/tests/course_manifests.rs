//! Manifests as courses hand them out, and the usual mistakes in them: each is explained in one screen that names the object and
//! the field to change.

use std::time::Duration;

use e2e::{Outcome, Person, Stage, eventually};

const APP: &str = include_str!("../manifests/course/app.yaml");
const WRONG_TARGET_PORT: &str = include_str!("../manifests/course/wrong-target-port.yaml");
const WRONG_SELECTOR: &str = include_str!("../manifests/course/wrong-selector.yaml");
const MISSING_CONFIGMAP: &str = include_str!("../manifests/course/missing-configmap.yaml");
const IMAGE_NOT_FOUND: &str = include_str!("../manifests/course/image-not-found.yaml");

/// The host in the manifests.
const UNIQUE: &str = "something-unique.kub.example.test";

/// Everything that a command printed: one screen, within the time of a cause that is final.
#[track_caller]
fn is_explained(what: &str, stage: &Stage, outcome: Outcome) -> Outcome {
    let outcome = outcome.within(Duration::from_secs(10));
    assert!(
        outcome.stderr.lines().count() <= 24,
        "more than one screen:\n{}",
        outcome.stderr
    );
    let whole = format!(
        "exit code {}\n--- stdout\n{}--- stderr\n{}",
        outcome.code, outcome.stdout, outcome.stderr
    );
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots");
    settings.set_prepend_module_to_snapshot(true);
    // What is random: the test's own tag, the pods' names, the registry's port.
    settings.add_filter(&stage.own(""), "");
    settings.add_filter(r"backend-[0-9a-f]{6,10}-[0-9a-z]{5}\b", "backend-[pod]");
    settings.add_filter(r"localhost:\d+", "localhost:[port]");
    settings.bind(|| insta::assert_snapshot!(what, whole));
    outcome
}

/// The command of the hint, typed as it is, mends it: then the app can be exposed at this host.
#[track_caller]
fn the_hint_mends_it(person: &Person, explained: &Outcome, app: &str, host: &str) {
    let command = explained.hinted().unwrap_or_default();
    assert!(
        !command.is_empty(),
        "a command to type: {}",
        explained.stderr
    );
    person.types(command).ok();
    person.expose_app(&[app, "--host", host]).ok();
    assert!(
        person
            .fetch(&format!("https://{host}"))
            .body
            .contains("It works")
    );
}

fn deploys(person: &Person, manifest: &str) -> Outcome {
    person.deploy_app_from(&["-f", "-"], manifest)
}

#[test]
fn a_right_one_runs_and_answers_at_its_host() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    let host = stage.host("right");
    let deployed = deploys(&alice, &APP.replace(UNIQUE, &host)).ok();
    is_explained("a_right_one", &stage, deployed);
    eventually("it answers", Duration::from_secs(5), || {
        alice
            .fetch(&format!("https://{host}"))
            .body
            .contains("It works")
    });
    is_explained(
        "a_right_one_again",
        &stage,
        deploys(&alice, &APP.replace(UNIQUE, &host)).ok(),
    );
}

#[test]
fn a_wrong_target_port() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    let manifest = WRONG_TARGET_PORT.replace(UNIQUE, &stage.host("port"));
    is_explained(
        "wrong_target_port_deployed",
        &stage,
        deploys(&alice, &manifest),
    );
    let strict = alice.deploy_app_from(&["-f", "-", "--strict"], &manifest);
    assert_eq!(strict.code, 1, "{}", strict.stderr);
    let other = stage.host("port-2");
    let exposed = alice.expose_app(&["backend", "--host", &other]);
    let explained = is_explained("wrong_target_port_exposed", &stage, exposed);
    the_hint_mends_it(&alice, &explained, "backend", &other);
}

#[test]
fn a_wrong_selector() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    let manifest = WRONG_SELECTOR.replace(UNIQUE, &stage.host("selector"));
    is_explained(
        "wrong_selector_deployed",
        &stage,
        deploys(&alice, &manifest),
    );
    let other = stage.host("selector-2");
    let exposed = alice.expose_app(&["svc/backend", "--host", &other]);
    let explained = is_explained("wrong_selector_exposed", &stage, exposed);
    the_hint_mends_it(&alice, &explained, "svc/backend", &other);
}

#[test]
fn a_missing_configmap() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    let manifest = MISSING_CONFIGMAP.replace(UNIQUE, &stage.host("config"));
    is_explained(
        "missing_configmap_deployed",
        &stage,
        deploys(&alice, &manifest),
    );
    // Applied with kubectl, it is found when it is to be exposed.
    bob.applies(&MISSING_CONFIGMAP.replace(UNIQUE, &stage.host("config-2")));
    waits_for_trouble(&bob, "CreateContainerConfigError");
    is_explained(
        "missing_configmap_exposed",
        &stage,
        bob.expose_app(&["backend"]),
    );
}

#[test]
fn an_image_that_does_not_exist() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    let manifest = IMAGE_NOT_FOUND.replace("REGISTRY", &stage.registry());
    is_explained(
        "image_not_found_deployed",
        &stage,
        deploys(&alice, &manifest.replace(UNIQUE, &stage.host("image"))),
    );
    bob.applies(&manifest.replace(UNIQUE, &stage.host("image-2")));
    waits_for_trouble(&bob, "Pull");
    is_explained(
        "image_not_found_exposed",
        &stage,
        bob.expose_app(&["backend"]),
    );
}

#[test]
fn a_host_that_another_has() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    let host = stage.host("clash");
    deploys(&alice, &APP.replace(UNIQUE, &host)).ok();
    eventually("it answers", Duration::from_secs(5), || {
        alice
            .fetch(&format!("https://{host}"))
            .body
            .contains("It works")
    });
    let clashing = deploys(&bob, &APP.replace(UNIQUE, &host)).says("which is already in use");
    is_explained("host_clash_deployed", &stage, clashing);
    // And by his own Ingress he has it already, which is another matter.
    is_explained(
        "host_clash_exposed",
        &stage,
        bob.expose_app(&["backend", "--host", &host]),
    );
}

/// Waits until a container waits for this reason.
fn waits_for_trouble(person: &Person, reason: &str) {
    let reasons = "jsonpath={.items[*].status.containerStatuses[*].state.waiting.reason}";
    eventually(reason, Duration::from_secs(20), || {
        person
            .kubectl(&["get", "pods", "-o", reasons])
            .stdout
            .contains(reason)
    });
}
