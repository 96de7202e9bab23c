//! Decisions about manifests.

use commons::Error;
use commons::apply::Outcome;
use serde_json::{Value, json};

use super::configuration::{changed, note};
use super::explain_immutable;
use super::images::set_images;
use super::read::{clean, rank, refuse_other_namespaces};
use crate::plan::CONFIG_HASH;
use crate::print::shown;
use crate::write::Written;

fn deployment(name: &str, containers: &[(&str, &str)]) -> Value {
    let containers: Vec<Value> = containers
        .iter()
        .map(|(name, image)| json!({"name": name, "image": image}))
        .collect();
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {"template": {"spec": {"containers": containers}}}})
}

fn images(objects: &[Value]) -> Vec<&str> {
    objects
        .iter()
        .flat_map(|object| {
            object["spec"]["template"]["spec"]["containers"]
                .as_array()
                .into_iter()
                .flatten()
        })
        .filter_map(|container| container["image"].as_str())
        .collect()
}

#[test]
fn the_only_container_gets_the_image() {
    let mut objects = [deployment("web", &[("web", "IMAGE")])];
    let lines = set_images(&mut objects, &["r.test/web:2".into()]).expect("lines");
    assert_eq!(lines, ["deployment/web: image: IMAGE -> r.test/web:2"]);
    assert_eq!(images(&objects), ["r.test/web:2"]);
    assert_eq!(
        set_images(&mut objects, &["r.test/web:2".into()])
            .expect("lines")
            .len(),
        0
    );
}

#[test]
fn among_several_the_one_of_that_name_or_the_one_that_is_named() {
    let two = || {
        vec![
            deployment(
                "back",
                &[("back", "r.test:5000/back:1"), ("proxy", "nginx:1")],
            ),
            deployment("front", &[("front", "r.test:5000/front:1")]),
        ]
    };
    let mut objects = two();
    set_images(
        &mut objects,
        &["r.test:5000/front:2".into(), "r.test:5000/back:2".into()],
    )
    .expect("both are known by name");
    assert_eq!(
        images(&objects),
        ["r.test:5000/back:2", "nginx:1", "r.test:5000/front:2"]
    );
    let mut objects = two();
    set_images(&mut objects, &["proxy=caddy:2".into()]).expect("named");
    assert_eq!(images(&objects)[1], "caddy:2");
    let error = set_images(&mut two(), &["other:1".into()]).expect_err("which one?");
    assert_eq!(error.hints(), ["name it: `--image back=other:1`"]);
    let error = set_images(&mut two(), &["frnt=x:1".into()]).expect_err("no such container");
    assert_eq!(error.hints(), ["did you mean `front`?"]);
    assert!(
        set_images(&mut two(), &[String::new()]).is_err(),
        "a variable that is not set"
    );
}

#[test]
fn other_namespaces_are_refused_with_the_way() {
    let mut object = deployment("web", &[]);
    object["metadata"]["namespace"] = "user-bob".into();
    assert!(refuse_other_namespaces(std::slice::from_ref(&object), "user-bob").is_ok());
    let error = refuse_other_namespaces(&[object], "user-alice").expect_err("another");
    assert!(error.hints()[0].contains("`-n user-bob`"));
}

#[test]
fn pods_are_replaced_when_what_they_read_has_changed() {
    let written = |outcome, version: &str| Written {
        outcome,
        object: json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "resourceVersion": version}}),
    };
    let mut object = deployment("web", &[("web", "web:1")]);
    object["spec"]["template"]["spec"]["containers"][0]["envFrom"] =
        json!([{"configMapRef": {"name": "c"}}]);
    let noted = |before: &Value, written: &[Written]| {
        let mut document = object.clone();
        note(&mut document, before, &changed(&object, written));
        document["spec"]["template"]["metadata"]["annotations"][CONFIG_HASH].clone()
    };
    let mut before = object.clone();
    assert_eq!(
        noted(&before, &[written(Outcome::Unchanged, "1")]),
        Value::Null,
        "no reason to touch it"
    );
    assert_eq!(noted(&before, &[written(Outcome::Configured, "7")]), "7");
    before["spec"]["template"]["metadata"]["annotations"][CONFIG_HASH] = "7".into();
    assert_eq!(
        noted(&before, &[written(Outcome::Unchanged, "7")]),
        "7",
        "it stays, so nothing restarts"
    );
    assert_eq!(noted(&before, &[written(Outcome::Configured, "9")]), "9");
}

/// Objects with something else in the place of each field on the way to an image.
fn odd() -> Vec<Value> {
    let odd = [
        json!("hello"),
        json!([1]),
        json!(7),
        json!(true),
        Value::Null,
        json!({}),
        json!({"a": {"b": 1}}),
    ];
    let kinds = [
        "Pod",
        "Deployment",
        "StatefulSet",
        "Job",
        "CronJob",
        "ConfigMap",
    ];
    let places = [
        "/spec",
        "/spec/template",
        "/spec/template/metadata",
        "/spec/template/metadata/annotations",
        "/spec/template/spec",
        "/spec/template/spec/containers",
        "/spec/template/spec/containers/0",
        "/spec/template/spec/containers/0/image",
        "/spec/template/spec/containers/0/name",
        "/spec/jobTemplate",
        "/spec/jobTemplate/spec",
        "/spec/jobTemplate/spec/template",
        "/metadata/annotations",
        "/metadata/labels",
        "/status",
    ];
    let mut whole = deployment("web", &[("web", "web:1")]);
    whole["metadata"] = json!({"name": "web", "annotations": {}, "labels": {}});
    whole["spec"]["template"]["metadata"] = json!({"annotations": {}});
    whole["spec"]["jobTemplate"] = json!({"spec": {"template": {"spec": {}}}});
    let mut objects = Vec::new();
    for kind in kinds {
        for place in places {
            for value in &odd {
                let mut object = whole.clone();
                object["kind"] = kind.into();
                if let Some(there) = object.pointer_mut(place) {
                    there.clone_from(value);
                    objects.push(object);
                }
            }
        }
    }
    objects
}

#[test]
fn odd_objects_are_left_to_the_cluster() {
    let config = Written {
        outcome: Outcome::Configured,
        object: json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "resourceVersion": "7"}}),
    };
    let odd = odd();
    assert!(odd.len() > 300, "{}", odd.len());
    for object in odd {
        for image in ["web:2", "web=web:2"] {
            let mut changed = [object.clone()];
            let _ = set_images(&mut changed, &[image.into()]);
        }
        let mut cleaned = object.clone();
        clean(&mut cleaned);
        let _ = (rank(&object), shown(&object));
        let _ = refuse_other_namespaces(std::slice::from_ref(&object), "a");
        let _ = changed(&object, std::slice::from_ref(&config));
        let mut noted = object.clone();
        note(&mut noted, &object, &[&config.object]);
        let immutable = Error::new("").caused_by("field is immutable");
        let _ = explain_immutable(immutable, &object, "a");
    }
}

#[test]
fn what_an_export_has_goes_and_what_is_needed_comes_first() {
    let mut object = json!({"kind": "Service", "metadata": {"name": "web", "uid": "1", "resourceVersion": "2", "labels": {"a": "b"}}, "status": {}});
    clean(&mut object);
    assert_eq!(
        object,
        json!({"kind": "Service", "metadata": {"name": "web", "labels": {"a": "b"}}})
    );
    let mut kinds = ["Ingress", "Deployment", "Service", "ConfigMap", "Widget"]
        .map(|kind| json!({"kind": kind}));
    kinds.sort_by_key(rank);
    let sorted: Vec<&str> = kinds
        .iter()
        .filter_map(|object| object["kind"].as_str())
        .collect();
    assert_eq!(
        sorted,
        ["ConfigMap", "Service", "Deployment", "Ingress", "Widget"]
    );
}
