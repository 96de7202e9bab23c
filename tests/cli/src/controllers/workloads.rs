//! The controllers of Deployments, `ReplicaSets`, `StatefulSets` and `DaemonSets`.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{controller, key_of, owner};
use crate::store::{Key, State, letters};

const REVISION: &str = "deployment.kubernetes.io/revision";
const HASH: &str = "pod-template-hash";

pub fn reconcile(state: &mut State) {
    for key in state.cared_for("deployments") {
        deployment(state, &key);
    }
    for key in state.cared_for("replicasets") {
        replica_set(state, &key);
    }
    for key in state.cared_for("statefulsets") {
        stateful_set(state, &key);
    }
    for key in state.cared_for("daemonsets") {
        daemon_set(state, &key);
    }
}

pub fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions
        .into_iter()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn number(object: &Value, path: &str) -> i64 {
    object
        .pointer(path)
        .and_then(Value::as_i64)
        .unwrap_or_default()
}

fn revision(object: &Value) -> u64 {
    let text = object["metadata"]["annotations"][REVISION].as_str();
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn condition(state: &State, kind: &str, is_true: bool, reason: &str, message: &str) -> Value {
    let now = state.now.to_string();
    json!({
        "type": kind, "status": if is_true { "True" } else { "False" }, "reason": reason, "message": message,
        "lastUpdateTime": now, "lastTransitionTime": now,
    })
}

/// Puts conditions in the place of those of the same type that say something else.
fn merge_conditions(object: &mut Value, new: Vec<Value>) {
    let old = object["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let kept = new.into_iter().map(|new| {
        let same = old.iter().find(|old| {
            ["type", "status", "reason", "message"]
                .iter()
                .all(|field| old[field] == new[field])
        });
        same.cloned().unwrap_or(new)
    });
    object["status"]["conditions"] = kept.collect();
}

/// The template without what the controller added.
fn plain_template(set: &Value) -> Value {
    let mut template = set["spec"]["template"].clone();
    if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
        labels.remove(HASH);
    }
    template
}

fn deployment(state: &mut State, key: &Key) {
    let deployment = state.objects[key].clone();
    let wanted = number(&deployment, "/spec/replicas");
    let mut sets = state.owned("replicasets", &key.0, &deployment);
    let current = sets
        .iter()
        .position(|set| plain_template(set) == deployment["spec"]["template"]);
    let newest = sets.iter().map(revision).max().unwrap_or_default();
    let recreate = deployment["spec"]["strategy"]["type"] == "Recreate";
    let Some(current) = current else {
        if recreate && sets.iter().any(|set| number(set, "/status/replicas") > 0) {
            for set in sets {
                state.change(&key_of("replicasets", &set), |set| {
                    set["spec"]["replicas"] = json!(0);
                });
            }
            return;
        }
        let old: i64 = sets.iter().map(|set| number(set, "/spec/replicas")).sum();
        let first = wanted.min(wanted + bounds(&deployment).0 - old).max(0);
        let set = new_replica_set(&deployment, newest + 1, first);
        if let Err(refused) = state.submit(
            &controller("deployment-controller"),
            "kube-controller-manager",
            set,
        ) {
            let message = format!("Failed to create new replica set: {}", refused.message());
            state.event(
                &deployment,
                "Warning",
                "ReplicaSetCreateError",
                &message,
                "deployment-controller",
            );
            let failed = condition(
                state,
                "Progressing",
                false,
                "ReplicaSetCreateError",
                &refused.message(),
            );
            state.change(key, |deployment| {
                deployment["status"]["observedGeneration"] =
                    deployment["metadata"]["generation"].clone();
                merge_conditions(deployment, vec![failed]);
            });
        }
        return;
    };
    let set = sets.remove(current);
    let set_key = key_of("replicasets", &set);
    // An earlier template is in use again: it is the newest now.
    if revision(&set) != newest {
        state.change(&set_key, |set| {
            set["metadata"]["annotations"][REVISION] = json!((newest + 1).to_string());
        });
        return;
    }
    let available = number(&set, "/status/availableReplicas");
    roll(state, &deployment, &set_key, &sets);
    let all = || sets.iter().chain([&set]);
    let sum = |path: &str| all().map(|set| number(set, path)).sum::<i64>();
    let (total, ready) = (sum("/status/replicas"), sum("/status/readyReplicas"));
    let is_available = ready >= wanted - wanted / 4;
    let name = set["metadata"]["name"].as_str().unwrap_or_default();
    // Once complete, it is complete until there is another template, however it is scaled.
    let done = format!("ReplicaSet {name:?} has successfully progressed.");
    let mut said = deployment["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten();
    let was_complete = said.any(|condition| condition["message"] == done.as_str());
    let is_complete = was_complete || available >= wanted && total == wanted;
    let created: Timestamp = set["metadata"]["creationTimestamp"]
        .as_str()
        .unwrap_or_default()
        .parse()
        .unwrap_or(state.now);
    let age = state.now.duration_since(created).as_secs();
    let is_late = !is_complete && age > number(&deployment, "/spec/progressDeadlineSeconds");
    let mut conditions = vec![
        if is_available {
            condition(
                state,
                "Available",
                true,
                "MinimumReplicasAvailable",
                "Deployment has minimum availability.",
            )
        } else {
            condition(
                state,
                "Available",
                false,
                "MinimumReplicasUnavailable",
                "Deployment does not have minimum availability.",
            )
        },
        if is_complete {
            condition(state, "Progressing", true, "NewReplicaSetAvailable", &done)
        } else if is_late {
            condition(
                state,
                "Progressing",
                false,
                "ProgressDeadlineExceeded",
                &format!("ReplicaSet {name:?} has timed out progressing."),
            )
        } else {
            condition(
                state,
                "Progressing",
                true,
                "ReplicaSetUpdated",
                &format!("ReplicaSet {name:?} is progressing."),
            )
        },
    ];
    let failures = set["status"]["conditions"].as_array().into_iter().flatten();
    conditions.extend(
        failures
            .filter(|condition| condition["type"] == "ReplicaFailure")
            .cloned(),
    );
    let updated = number(&set, "/status/replicas");
    state.change(key, |deployment| {
        deployment["metadata"]["annotations"][REVISION] = json!(newest.to_string());
        deployment["status"]["observedGeneration"] = deployment["metadata"]["generation"].clone();
        let counts = [
            ("replicas", total),
            ("updatedReplicas", updated),
            ("readyReplicas", ready),
            ("availableReplicas", ready),
            ("unavailableReplicas", (wanted.max(total) - ready).max(0)),
        ];
        set_counts(deployment, &counts);
        merge_conditions(deployment, conditions);
    });
}

/// How many pods more, and how many less than wanted there may be during an update.
fn bounds(deployment: &Value) -> (i64, i64) {
    let wanted = number(deployment, "/spec/replicas");
    let rolling = &deployment["spec"]["strategy"]["rollingUpdate"];
    let amount = |field: &str, up: bool| {
        let value = &rolling[field];
        let percent = value
            .as_str()
            .and_then(|text| text.trim_end_matches('%').parse::<i64>().ok());
        match (value.as_i64(), percent) {
            (Some(number), _) => number,
            (None, Some(percent)) if up => (wanted * percent + 99) / 100,
            (None, percent) => wanted * percent.unwrap_or_default() / 100,
        }
    };
    match (amount("maxSurge", true), amount("maxUnavailable", false)) {
        (0, 0) => (0, 1),
        bounds => bounds,
    }
}

/// Lets new pods come and old ones go, as far as it is allowed at the moment.
fn roll(state: &mut State, deployment: &Value, set: &Key, old: &[Value]) {
    let wanted = number(deployment, "/spec/replicas");
    let (surge, unavailable) = bounds(deployment);
    let ready = |state: &State, set: &Value| {
        number(
            &state.objects[&key_of("replicasets", set)],
            "/status/readyReplicas",
        )
    };
    let mut all_ready = number(&state.objects[set], "/status/readyReplicas");
    all_ready += old.iter().map(|old| ready(state, old)).sum::<i64>();
    let mut may_go = (all_ready - (wanted - unavailable)).max(0);
    let mut left = 0;
    for old in old {
        let replicas = number(old, "/spec/replicas");
        let unready = (replicas - ready(state, old)).max(0);
        let go = (may_go + unready).min(replicas);
        may_go = (may_go - (go - unready).max(0)).max(0);
        left += replicas - go;
        state.change(&key_of("replicasets", old), |old| {
            old["spec"]["replicas"] = json!(replicas - go);
        });
    }
    let now = number(&state.objects[set], "/spec/replicas");
    let then = wanted.min((wanted + surge - left).max(now.min(wanted)));
    state.change(set, |set| set["spec"]["replicas"] = json!(then));
}

/// Counts as the API has them: a zero is absent.
fn set_counts(object: &mut Value, counts: &[(&str, i64)]) {
    for (field, count) in counts {
        object["status"][*field] = json!(count);
        if *count == 0
            && let Some(status) = object["status"].as_object_mut()
        {
            status.remove(*field);
        }
    }
}

fn new_replica_set(deployment: &Value, revision: u64, replicas: i64) -> Value {
    let text = |field: &str| deployment["metadata"][field].as_str().unwrap_or_default();
    let (namespace, name) = (text("namespace"), text("name"));
    let hash = letters(&format!("{namespace}/{name}/{revision}"), 10);
    let mut template = deployment["spec"]["template"].clone();
    template["metadata"]["labels"][HASH] = json!(hash);
    let mut selector = deployment["spec"]["selector"].clone();
    selector["matchLabels"][HASH] = json!(hash);
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "namespace": namespace, "name": format!("{name}-{hash}"), "labels": template["metadata"]["labels"],
            "annotations": {REVISION: revision.to_string(), "deployment.kubernetes.io/desired-replicas": replicas.to_string()},
            "ownerReferences": owner(deployment),
        },
        "spec": {"replicas": replicas, "selector": selector, "template": template},
    })
}

/// A pod as a controller makes it from a template.
fn pod_of(set: &Value, name: &Value, generate: &Value) -> Value {
    let template = &set["spec"]["template"];
    let mut metadata = json!({
        "namespace": set["metadata"]["namespace"], "labels": template["metadata"]["labels"], "ownerReferences": owner(set),
    });
    for (field, value) in [
        ("name", name),
        ("generateName", generate),
        ("annotations", &template["metadata"]["annotations"]),
    ] {
        if !value.is_null() {
            metadata[field] = value.clone();
        }
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})
}

fn replica_set(state: &mut State, key: &Key) {
    let set = state.objects[key].clone();
    let wanted = number(&set, "/spec/replicas");
    let mut pods = state.owned("pods", &key.0, &set);
    let mut failure = None;
    let user = controller("replicaset-controller");
    while i64::try_from(pods.len()).unwrap_or(i64::MAX) < wanted {
        let pod = pod_of(&set, &Value::Null, &json!(format!("{}-", key.2)));
        match state.submit(&user, "kube-controller-manager", pod) {
            Ok(_) => pods = state.owned("pods", &key.0, &set),
            Err(refused) => {
                failure = Some(refused.message());
                break;
            }
        }
    }
    pods.sort_by_key(|pod| !is_ready(pod));
    for pod in pods.drain(usize::try_from(wanted).unwrap_or_default().min(pods.len())..) {
        state.discard(&key_of("pods", &pod));
    }
    let known = set["status"]["conditions"]
        .as_array()
        .is_some_and(|conditions| !conditions.is_empty());
    let mut conditions = Vec::new();
    if let Some(message) = failure {
        if known {
            conditions = set["status"]["conditions"]
                .as_array()
                .cloned()
                .unwrap_or_default();
        } else {
            let said = format!("Error creating: {message}");
            state.event(
                &set,
                "Warning",
                "FailedCreate",
                &said,
                "replicaset-controller",
            );
            conditions.push(condition(
                state,
                "ReplicaFailure",
                true,
                "FailedCreate",
                &message,
            ));
        }
    }
    for pod in &pods {
        let said = format!(
            "Created pod: {}",
            pod["metadata"]["name"].as_str().unwrap_or_default()
        );
        state.event(
            &set,
            "Normal",
            "SuccessfulCreate",
            &said,
            "replicaset-controller",
        );
    }
    status(state, key, &pods, &[]);
    state.change(key, |set| merge_conditions(set, conditions));
}

/// Writes what is common to the status of all that make pods.
fn status(state: &mut State, key: &Key, pods: &[Value], more: &[(&str, i64)]) {
    let count = |fits: &dyn Fn(&&Value) -> bool| {
        i64::try_from(pods.iter().filter(fits).count()).unwrap_or_default()
    };
    let (all, ready) = (count(&|_| true), count(&|pod| is_ready(pod)));
    state.change(key, |set| {
        set["status"]["observedGeneration"] = set["metadata"]["generation"].clone();
        set_counts(
            set,
            &[
                ("replicas", all),
                ("readyReplicas", ready),
                ("availableReplicas", ready),
            ],
        );
        set_counts(set, more);
        set["status"]["replicas"] = json!(all);
    });
}

fn stateful_set(state: &mut State, key: &Key) {
    let set = state.objects[key].clone();
    let wanted = number(&set, "/spec/replicas");
    let generation = number(&set, "/metadata/generation");
    let revision = format!(
        "{}-{}",
        key.2,
        letters(&format!("{}/{generation}", key.2), 10)
    );
    let user = controller("statefulset-controller");
    for index in 0..wanted {
        let name = format!("{}-{index}", key.2);
        let pod_key = (key.0.clone(), "pods".to_owned(), name.clone());
        let there = state.objects.get(&pod_key);
        let hash = there.map(|pod| pod["metadata"]["labels"]["controller-revision-hash"].clone());
        if hash == Some(json!(revision)) {
            continue;
        }
        if there.is_some() {
            state.discard(&pod_key);
        }
        let mut pod = pod_of(&set, &json!(name), &Value::Null);
        pod["metadata"]["labels"]["controller-revision-hash"] = json!(revision);
        pod["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] = json!(name);
        if let Err(refused) = state.submit(&user, "kube-controller-manager", pod) {
            let said = format!(
                "create Pod {name} in StatefulSet {} failed error: {}",
                key.2,
                refused.message()
            );
            state.event(
                &set,
                "Warning",
                "FailedCreate",
                &said,
                "statefulset-controller",
            );
            break;
        }
    }
    let pods = state.owned("pods", &key.0, &set);
    let count = i64::try_from(pods.len()).unwrap_or_default();
    for pod in &pods[usize::try_from(wanted).unwrap_or_default().min(pods.len())..] {
        state.discard(&key_of("pods", pod));
    }
    status(
        state,
        key,
        &pods,
        &[("currentReplicas", count), ("updatedReplicas", count)],
    );
    state.change(key, |set| {
        set["status"]["currentRevision"] = json!(revision);
        set["status"]["updateRevision"] = json!(revision);
    });
}

/// There is one node.
fn daemon_set(state: &mut State, key: &Key) {
    let set = state.objects[key].clone();
    if state.owned("pods", &key.0, &set).is_empty() {
        let pod = pod_of(&set, &Value::Null, &json!(format!("{}-", key.2)));
        if let Err(refused) = state.submit(
            &controller("daemon-set-controller"),
            "kube-controller-manager",
            pod,
        ) {
            let said = format!("Error creating: {}", refused.message());
            state.event(
                &set,
                "Warning",
                "FailedCreate",
                &said,
                "daemonset-controller",
            );
        }
    }
    let pods = state.owned("pods", &key.0, &set);
    let ready = i64::try_from(pods.iter().filter(|pod| is_ready(pod)).count()).unwrap_or_default();
    state.change(key, |set| {
        set["status"]["observedGeneration"] = set["metadata"]["generation"].clone();
        for (field, count) in [
            ("currentNumberScheduled", 1),
            ("desiredNumberScheduled", 1),
            ("numberMisscheduled", 0),
            ("numberReady", ready),
        ] {
            set["status"][field] = json!(count);
        }
        set_counts(
            set,
            &[
                ("updatedNumberScheduled", 1),
                ("numberAvailable", ready),
                ("numberUnavailable", 1 - ready),
            ],
        );
    });
}
