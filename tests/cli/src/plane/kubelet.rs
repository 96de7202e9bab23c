//! The scheduler and the kubelet: what becomes of a pod is what the test says ([`Fate`]), as far as nothing is missing to it.

use std::io::{BufRead as _, BufReader};
use std::sync::{Arc, PoisonError};
use std::thread;

use serde_json::{Value, json};

use super::fate::{self, Fate};
use super::server::Shared;
use super::{NODE, items, plane, routing, text};

/// Cares for all objects of a kind that belong to a test, from now on.
pub(super) fn follow(path: &'static str, care: fn(&Arc<Shared>, &Value)) {
    thread::spawn(move || {
        loop {
            let headers = [("authorization", super::ROOT)];
            let answer = plane().send("GET", &format!("{path}?watch=1"), &headers, None);
            let events = BufReader::new(answer.into_body().into_reader());
            for event in events.lines().map_while(Result::ok) {
                let Ok(event) = serde_json::from_str::<Value>(&event) else {
                    break;
                };
                let object = event["object"].clone();
                let namespace = text(&object["metadata"]["namespace"]);
                if event["type"] == "DELETED" {
                    continue;
                }
                // None holds up the others.
                if let Some(shared) = plane().server_of(&namespace) {
                    thread::spawn(move || care(&shared, &object));
                }
            }
        }
    });
}

/// Looks at all pods of a namespace again: what they wait for may be there.
pub(super) fn look_again(shared: &Arc<Shared>, namespace: &str) {
    for pod in plane().objects("pods", namespace) {
        care(shared, &pod);
    }
}

/// Lets a pod meet its fate.
pub(super) fn care(shared: &Arc<Shared>, pod: &Value) {
    let name = text(&pod["metadata"]["name"]);
    let namespace = text(&pod["metadata"]["namespace"]);
    let _one_at_a_time = shared.caring.lock().unwrap_or_else(PoisonError::into_inner);
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
    // It may have changed since.
    let (code, pod) = plane().root("GET", &path, None);
    if code != 200 {
        return;
    }
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        plane().root("DELETE", &format!("{path}?gracePeriodSeconds=0"), None);
        return;
    }
    let fate = shared.inner().world.fate(&name);
    let mut pod = pod;
    if pod["spec"]["nodeName"].is_null() && !matches!(fate, Fate::Unschedulable(_)) {
        let binding = json!({"metadata": {"name": name}, "target": {"kind": "Node", "name": NODE}});
        let binding = Some(("application/json", &binding));
        plane().root("POST", &format!("{path}/binding"), binding);
    }
    if pod["status"]["podIP"].is_null() && !matches!(fate, Fate::Unschedulable(_)) {
        pod["status"]["podIP"] = json!(shared.inner().world.next_pod_address());
    }
    let status = fate::status(&pod, &fate);
    if !holds(&pod["status"], &status) {
        let path = format!("{path}/status");
        let change = json!({"metadata": {"uid": pod["metadata"]["uid"]}, "status": status});
        let change = Some(("application/merge-patch+json", &change));
        let (code, answer) = plane().root("PATCH", &path, change);
        assert!(code == 200 || code == 404 || code == 409, "{answer}");
    }
    if let Some((reason, message, component)) = fate::warning(&pod, &fate) {
        report(shared, &pod, reason, &message, component);
    }
}

/// Whether something already is as wanted; null stands for what is not there.
fn holds(present: &Value, wanted: &Value) -> bool {
    match (present, wanted) {
        (Value::Object(present), Value::Object(wanted)) => wanted
            .iter()
            .all(|(field, wanted)| holds(present.get(field).unwrap_or(&Value::Null), wanted)),
        (Value::Array(present), Value::Array(wanted)) => {
            present.len() == wanted.len()
                && present
                    .iter()
                    .zip(wanted)
                    .all(|(one, other)| holds(one, other))
        }
        (Value::Null, Value::Object(wanted)) => wanted.values().all(Value::is_null),
        (Value::Null, Value::String(wanted)) => wanted.is_empty(),
        (present, wanted) => present == wanted,
    }
}

/// Reports an event, once.
fn report(shared: &Shared, pod: &Value, reason: &str, message: &str, component: &str) {
    let metadata = &pod["metadata"];
    let (name, namespace) = (text(&metadata["name"]), text(&metadata["namespace"]));
    let known = format!("{} {reason} {message}", metadata["uid"]);
    if !shared.inner().reported.insert(known) {
        return;
    }
    let mut involved = json!({
        "apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": name,
        "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"],
    });
    if component == "kubelet" && reason != "FailedMount" {
        let container = text(&pod["spec"]["containers"][0]["name"]);
        involved["fieldPath"] = json!(format!("spec.containers{{{container}}}"));
    }
    let now = jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string();
    let event = json!({
        "metadata": {"namespace": namespace, "generateName": format!("{name}.")},
        "involvedObject": involved, "type": "Warning", "reason": reason, "message": message, "count": 1,
        "firstTimestamp": now, "lastTimestamp": now,
        "source": {"component": component}, "reportingComponent": component,
    });
    let path = format!("/api/v1/namespaces/{namespace}/events");
    let (code, answer) = plane().root("POST", &path, Some(("application/json", &event)));
    assert!(code == 201 || code == 404 || code == 403, "{answer}");
}

/// Something of which the controllers have not yet done all that they are to do, or which has just changed.
pub(super) fn unsettled(shared: &Arc<Shared>) -> Option<Value> {
    let namespaces: Vec<String> = shared.names().all_real().collect();
    let look = || -> Vec<Value> {
        let kinds = [
            "deployments",
            "statefulsets",
            "replicasets",
            "pods",
            "services",
            "endpoints",
            "ingresses",
            "resourcequotas",
        ];
        namespaces
            .iter()
            .flat_map(|namespace| kinds.map(|kind| plane().objects(kind, namespace)))
            .flatten()
            .collect()
    };
    let before = look();
    let is_done = |object: &Value| match object["kind"].as_str() {
        Some("Deployment" | "StatefulSet") => is_observed(object),
        Some("Pod") => !object["status"]["conditions"].is_null(),
        Some("Service") => has_endpoints(object, &before),
        Some("ResourceQuota") => object["status"]["hard"].is_object(),
        _ => true,
    };
    let undone = before.iter().find(|object| !is_done(object));
    thread::sleep(std::time::Duration::from_millis(30));
    if let Some(object) = undone {
        return Some(object.clone());
    }
    look().into_iter().find(|object| !before.contains(object))
}

/// Whether a workload's controller has made the pods that it is to make, or has said why not.
fn is_observed(workload: &Value) -> bool {
    let (spec, status) = (&workload["spec"], &workload["status"]);
    let has_failed = items(status, "conditions")
        .any(|condition| condition["type"] == "ReplicaFailure" && condition["status"] == "True");
    let wanted = spec["replicas"].as_i64().unwrap_or(1);
    status["observedGeneration"] == workload["metadata"]["generation"]
        && (has_failed || status["replicas"].as_i64().unwrap_or(0) >= wanted)
}

/// Whether every ready pod of a Service is among its endpoints, and no other.
fn has_endpoints(service: &Value, all: &[Value]) -> bool {
    let metadata = &service["metadata"];
    let of_kind = |kind: &'static str| all.iter().filter(move |object| object["kind"] == kind);
    let endpoints = of_kind("Endpoints").find(|object| {
        object["metadata"]["name"] == metadata["name"]
            && object["metadata"]["namespace"] == metadata["namespace"]
    });
    let Some(selector) = service["spec"]["selector"].as_object() else {
        return true;
    };
    let Some(port) = items(&service["spec"], "ports").next() else {
        return true;
    };
    let ready = of_kind("Pod").filter(|pod| {
        let labels = &pod["metadata"]["labels"];
        pod["metadata"]["namespace"] == metadata["namespace"]
            && selector.iter().all(|(key, value)| labels[key] == *value)
            && routing::target_port(port, pod).is_some()
            && items(&pod["status"], "conditions")
                .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    });
    let listed = endpoints.map_or(0, |endpoints| {
        let subsets = items(endpoints, "subsets");
        subsets
            .flat_map(|subset| items(subset, "addresses"))
            .count()
    });
    endpoints.is_some() && ready.count() == listed
}
