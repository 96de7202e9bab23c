//! What real clusters say, and what is made of it. The words of the kubelet, containerd, the scheduler and admission are those
//! of a node with Kubernetes 1.35 and containerd 2; those of CRI-O and of older versions are from their sources.

#![expect(
    clippy::needless_pass_by_value,
    reason = "the JSON is written where it is passed"
)]

mod configuration;
mod crashes;
mod images;
mod placement;
mod probes;
mod refusals;
mod rollouts;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::image::{Cause, cause, registry};
use super::{Report, diagnose};
use crate::seen::{Controller, Event, Pod};
use crate::state::{Progress, State, Want};
use crate::{Kind, Rollout};

const NOW: &str = "2026-11-21T13:30:00Z";

fn now() -> Timestamp {
    NOW.parse().expect("a time")
}

/// So many seconds ago.
fn ago(seconds: i64) -> Value {
    json!((now() - SignedDuration::from_secs(seconds)).to_string())
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("an object as the API server sends it")
}

/// A Deployment `web` whose pod has one container `c`, as it is 20 seconds after it was made.
fn deployment(container: Value, status: Value) -> State {
    let mut state = State::new(
        &Rollout {
            namespace: "alice".into(),
            kind: Kind::Deployment,
            name: "web".into(),
        },
        now(),
    );
    let mut full = json!({"name": "c", "image": "busybox:1"});
    full.as_object_mut()
        .expect("an object")
        .extend(container.as_object().cloned().unwrap_or_default());
    let spec = json!({"containers": [full]});
    state.workload = Some(read(json!({
        "metadata": {"name": "web", "uid": "d", "generation": 2, "annotations": {"deployment.kubernetes.io/revision": "2"},
            "managedFields": [{"time": ago(25)}, {"time": ago(1), "subresource": "status"}]},
        "spec": {"replicas": 1, "template": {"spec": spec}},
        "status": {"observedGeneration": 2, "updatedReplicas": 1},
    })));
    state.replica_sets = Some(vec![replica_set("old", "1"), replica_set("new", "2")]);
    state.pods = vec![pod("web-new-a", "ReplicaSet", "new", &spec, status)];
    state
}

fn replica_set(hash: &str, revision: &str) -> Controller {
    read(
        json!({"metadata": {"name": format!("web-{hash}"), "uid": hash, "annotations": {"deployment.kubernetes.io/revision": revision},
        "ownerReferences": [{"kind": "Deployment", "name": "web", "uid": "d", "controller": true}]}}),
    )
}

/// A pod that is not ready, with this status of its container.
fn pod(name: &str, kind: &str, owner: &str, spec: &Value, status: Value) -> Pod {
    let mut container =
        json!({"name": "c", "ready": false, "restartCount": 0, "state": {}, "lastState": {}});
    container
        .as_object_mut()
        .expect("an object")
        .extend(status.as_object().cloned().unwrap_or_default());
    read(json!({
        "metadata": {"name": name, "uid": name, "labels": {"controller-revision-hash": owner},
            "ownerReferences": [{"kind": kind, "name": owner, "uid": owner, "controller": true}]},
        "spec": spec,
        "status": {"phase": "Pending", "startTime": ago(20), "containerStatuses": [container], "conditions": [
            {"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "False", "lastTransitionTime": ago(20)}]},
    }))
}

/// The same app as a `StatefulSet`.
fn stateful(container: Value, status: Value) -> State {
    let mut state = deployment(container, status);
    state.rollout.kind = Kind::StatefulSet;
    state.replica_sets = None;
    let workload = state.workload.as_mut().expect("a workload");
    workload.status.update_revision = "d".into();
    for pod in &mut state.pods {
        pod.metadata.name = "web-0".into();
        pod.metadata.owner_references[0].uid = "d".into();
        pod.metadata
            .labels
            .insert("controller-revision-hash".into(), "d".into());
    }
    state
}

fn waiting(reason: &str, message: &str) -> Value {
    json!({"state": {"waiting": {"reason": reason, "message": message}}})
}

/// A container that has crashed and waits to be started again.
fn crashed(restarts: i64, end: &Value) -> Value {
    json!({"restartCount": restarts, "lastState": {"terminated": end},
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container=c pod=web-new-a_alice(1)"}}})
}

/// Something that happened to the pod, or to its container `c`.
fn event(reason: &str, message: &str, count: i64, seconds_ago: i64) -> Event {
    read(
        json!({"metadata": {"uid": format!("{reason}{message}")}, "reason": reason, "message": message, "count": count, "lastTimestamp": ago(seconds_ago),
        "firstTimestamp": ago(seconds_ago), "type": "Warning", "series": null, "eventTime": null,
        "involvedObject": {"kind": "Pod", "name": "web-new-a", "uid": "web-new-a", "fieldPath": "spec.containers{c}"}}),
    )
}

/// The Deployment without its pod, because making it was refused so long ago.
fn refused(message: &str, seconds_ago: i64) -> State {
    let mut state = deployment(json!({}), json!({}));
    state.pods.clear();
    let sets = state.replica_sets.as_mut().expect("replica sets");
    sets[1].status.conditions = read(
        json!([{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message, "lastTransitionTime": ago(seconds_ago)}]),
    );
    state
}

/// A pod that no node takes, for so long.
fn unscheduled(message: &str, seconds: i64) -> State {
    let mut state = deployment(
        json!({"resources": {"requests": {"cpu": "64", "memory": "4Ti"}}}),
        json!({}),
    );
    state.pods[0].status.conditions = read(
        json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message, "lastTransitionTime": ago(seconds)}]),
    );
    state.pods[0].status.container_statuses.clear();
    state
}

/// The one finding: whether it is final, and everything that is said.
#[track_caller]
fn told(state: &State) -> (bool, String) {
    let Report { findings, .. } = diagnose(state);
    assert_eq!(findings.len(), 1, "{findings:#?}");
    let error = &findings[0].error;
    let mut lines = vec![error.message().to_owned()];
    lines.extend(
        error
            .causes()
            .iter()
            .map(|cause| format!("because {cause}")),
    );
    lines.extend(error.quoted().map(|line| format!("| {line}")));
    lines.extend(error.hints().iter().map(|hint| format!("do {hint}")));
    (findings[0].is_final, lines.join("\n"))
}

/// That the one finding is final, or is not, and begins with these lines.
#[track_caller]
fn check(state: &State, is_final: bool, lines: &[&str]) {
    let (is, text) = told(state);
    let expected = lines.join("\n");
    assert!(
        text.starts_with(&expected),
        "expected:\n{expected}\n\nis:\n{text}"
    );
    assert_eq!(is, is_final, "{text}");
}
