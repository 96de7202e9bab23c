#![expect(
    clippy::needless_pass_by_value,
    reason = "the JSON is written where it is passed"
)]

use serde_json::{Value, json};

use super::*;

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("an object")
}

fn pod(name: &str, labels: Value, kind: &str, owner: &str, born: &str) -> Pod {
    read(
        json!({"metadata": {"name": name, "labels": labels, "creationTimestamp": born,
        "ownerReferences": [{"apiVersion": "v1", "kind": kind, "name": owner, "uid": "1", "controller": true}]}}),
    )
}

fn service(name: &str, selector: Value) -> Service {
    read(json!({"metadata": {"name": name}, "spec": {"selector": selector}}))
}

fn web() -> FoundController {
    read::<Deployment>(
        json!({"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web", "tier": "front"}}}}}),
    )
    .parts()
}

fn place() -> Surroundings<'static> {
    Surroundings {
        namespace: "alice",
        typed_service: None,
        services: vec![
            service("front", json!({"tier": "front"})),
            service("db", json!({"app": "db"})),
            service("outside", Value::Null),
        ],
        pods: vec![
            pod(
                "web-1-a",
                json!({"app": "web", "pod-template-hash": "1"}),
                "ReplicaSet",
                "web-1",
                "2026-01-01T00:00:00Z",
            ),
            pod(
                "web-2-b",
                json!({"app": "web", "pod-template-hash": "2"}),
                "ReplicaSet",
                "web-2",
                "2026-01-02T00:00:00Z",
            ),
            pod(
                "web-api-3-c",
                json!({"app": "web", "pod-template-hash": "3"}),
                "ReplicaSet",
                "web-api-3",
                "2026-01-03T00:00:00Z",
            ),
            pod(
                "pg-1",
                json!({"app": "pg"}),
                "Cluster",
                "pg",
                "2026-01-03T00:00:00Z",
            ),
        ],
    }
}

#[test]
fn an_app_has_its_pods_newest_first_and_the_services_that_lead_to_it() {
    let app = place().app(web());
    let names = |pods: &[Pod]| pods.iter().map(ResourceExt::name_any).collect::<Vec<_>>();
    assert_eq!((app.kind, app.name.as_str()), (Kind::Deployment, "web"));
    assert_eq!(
        names(&app.pods),
        ["web-2-b", "web-1-a"],
        "those of `web-api` are another's"
    );
    assert_eq!(
        app.services
            .iter()
            .map(ResourceExt::name_any)
            .collect::<Vec<_>>(),
        ["front"]
    );
    assert_eq!(app.selector, Labels::from([("app".into(), "web".into())]));
}

#[test]
fn a_service_that_was_typed_is_the_only_one() {
    let mut place = place();
    place.typed_service = place.service("outside");
    let app = place.app(web());
    assert_eq!(
        app.services
            .iter()
            .map(ResourceExt::name_any)
            .collect::<Vec<_>>(),
        ["outside"]
    );
}

#[test]
fn controllers_are_known_by_their_pods() {
    let of = |pod: &Pod| controller_of(pod);
    let place = place();
    assert_eq!(of(&place.pods[0]), Some((Kind::Deployment, "web".into())));
    assert_eq!(
        of(&place.pods[2]),
        Some((Kind::Deployment, "web-api".into()))
    );
    assert_eq!(of(&place.pods[3]), None, "an operator's");
    let replica = pod("x-a", json!({}), "ReplicaSet", "x", "2026-01-01T00:00:00Z");
    assert_eq!(of(&replica), None, "a ReplicaSet of nobody's");
}

#[test]
fn pods_of_unknown_controllers_are_found_by_what_they_are_called() {
    let place = place();
    assert_eq!(
        place.pod_called("pg").map(|pod| pod.name_any()).as_deref(),
        Some("pg-1")
    );
    assert_eq!(
        place.pod_called("web").map(|pod| pod.name_any()).as_deref(),
        Some("web-api-3-c"),
        "by its label, the newest"
    );
    assert!(place.pod_called("nothing").is_none());
}

#[test]
fn a_lone_pod_is_its_own_template() {
    let place = place();
    let pod = place.pods[3].clone();
    let app = place.lone(pod);
    assert_eq!((app.kind, app.name.as_str()), (Kind::Pod, "pg-1"));
    assert_eq!(app.selector, app.pod_labels);
    assert!(app.services.is_empty() && app.template.is_some());
}

#[test]
fn what_is_not_there_is_answered_with_close_names() {
    let typed = |text: &str| text.parse::<AppRef>().expect(text);
    let error = not_found(&place(), &typed("wep"), &[web()]);
    assert_eq!(error.message(), "no app `wep` in namespace `alice`");
    assert_eq!(
        error.hints(),
        [
            "did you mean `web`?",
            "see what there is: `kubectl get deployments,statefulsets,daemonsets,services,pods -n alice`"
        ]
    );
    let error = not_found(&place(), &typed("svc/fornt"), &[]);
    assert_eq!(error.message(), "no service `fornt` in namespace `alice`");
    assert_eq!(error.hints()[0], "did you mean `front`?");
}

#[test]
fn a_name_of_several_apps_is_asked_about() {
    let mut stateful = web();
    stateful.kind = Kind::StatefulSet;
    assert!(only_one("web", vec![web()], "name").is_ok_and(|found| found.is_some()));
    let error = only_one("web", vec![web(), stateful], "name").expect_err("two");
    assert_eq!(
        error.hints(),
        ["say which one: `deployment/web`, `statefulset/web`"]
    );
    assert_eq!(error.exit_code(), 2);
}
