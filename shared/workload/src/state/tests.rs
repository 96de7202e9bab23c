use serde_json::{Value, json};

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).expect("a time")
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("an object")
}

/// A pod of a controller, ready or not, whose container has run since second 0.
fn pod(name: &str, owner: &str, ready: bool) -> Pod {
    read(
        json!({"metadata": {"name": name, "uid": name, "labels": {"controller-revision-hash": owner}, "ownerReferences": [{"uid": owner, "controller": true}]},
        "spec": {"containers": [{"name": "c", "readinessProbe": {}}]},
        "status": {"phase": "Running", "containerStatuses": [{"name": "c", "ready": ready, "state": {"running": {"startedAt": at(0).to_string()}}}],
            "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": if ready { "True" } else { "False" }}]}}),
    )
}

fn deployment(replicas: i64, pods: Vec<Pod>) -> State {
    let rollout = Rollout {
        namespace: "alice".into(),
        kind: Kind::Deployment,
        name: "web".into(),
    };
    let set = |revision: &str| {
        read(
            json!({"metadata": {"uid": format!("set{revision}"), "annotations": {"deployment.kubernetes.io/revision": revision},
            "ownerReferences": [{"uid": "d", "controller": true}]}}),
        )
    };
    let mut state = State::new(&rollout, at(60));
    state.workload = Some(read(
        json!({"metadata": {"uid": "d", "generation": 4, "annotations": {"deployment.kubernetes.io/revision": "2"}},
        "spec": {"replicas": replicas}, "status": {"observedGeneration": 4, "updatedReplicas": replicas}}),
    ));
    state.replica_sets = Some(vec![set("1"), set("2")]);
    state.pods = pods;
    state
}

fn leaving(mut pod: Pod) -> Pod {
    pod.metadata.deletion_timestamp = Some(at(59));
    pod
}

#[track_caller]
fn underway(state: &State, text: &str) {
    assert_eq!(state.progress(), Progress::Underway(text.into()));
}

#[test]
fn a_roll_out_is_done_when_the_new_pods_are_ready_and_the_old_ones_told_to_go() {
    let new = || vec![pod("b", "set2", true), pod("c", "set2", true)];
    underway(&deployment(2, vec![]), "0 of 2 pods ready, making pods");
    underway(
        &deployment(2, vec![pod("a", "set1", true), pod("b", "set2", true)]),
        "1 of 2 pods ready, replacing old pods",
    );
    underway(
        &deployment(2, vec![pod("b", "set2", true), pod("c", "set2", false)]),
        "1 of 2 pods ready, waiting for its readiness probe",
    );
    let mut all = new();
    all.push(pod("a", "set1", true));
    underway(
        &deployment(2, all),
        "2 of 2 pods ready, 1 old pod still serves",
    );
    let mut all = new();
    all.push(leaving(pod("a", "set1", true)));
    assert_eq!(
        deployment(2, all).progress(),
        Progress::Ready(Ready {
            replicas: 2,
            pods: vec!["b".into(), "c".into()],
            leaving: vec!["a".into()],
        })
    );
}

#[test]
fn pods_of_others_do_not_count() {
    let mut state = deployment(1, vec![pod("x", "foreign", true)]);
    underway(&state, "0 of 1 pod ready, making pods");
    state.pods = vec![pod("b", "set2", true)];
    assert!(matches!(state.progress(), Progress::Ready(_)));
    state.workload = None;
    assert_eq!(state.progress(), Progress::Gone);
}

#[test]
fn nothing_counts_before_the_controller_has_looked() {
    let mut state = deployment(1, vec![pod("b", "set2", true)]);
    if let Some(workload) = &mut state.workload {
        workload.metadata.generation = 5;
    }
    underway(&state, "the cluster has not seen the change yet");
    assert_eq!(state.new_pods().count(), 0);
}

#[test]
fn the_pods_of_a_paused_deployment_are_old() {
    let mut state = deployment(1, vec![pod("b", "set2", true)]);
    let workload = state.workload.as_mut().expect("a workload");
    workload.status.updated_replicas = 0;
    underway(&state, "1 of 1 pod ready");
}

#[test]
fn a_pod_that_was_thrown_out_is_replaced_by_another() {
    let mut out = pod("b", "set2", false);
    out.status.phase = "Failed".into();
    let state = deployment(1, vec![out, pod("c", "set2", true)]);
    assert!(matches!(state.progress(), Progress::Ready(_)));
    assert_eq!(state.failed_pods().count(), 1);
}

#[test]
fn min_ready_seconds_are_the_controllers_to_count() {
    let mut state = deployment(1, vec![pod("b", "set2", true)]);
    let workload = state.workload.as_mut().expect("a workload");
    workload.spec.min_ready_seconds = 10;
    underway(&state, "1 of 1 pod ready");
    let workload = state.workload.as_mut().expect("a workload");
    workload.status.available_replicas = 1;
    assert!(matches!(state.progress(), Progress::Ready(_)));
}

#[test]
fn a_partition_keeps_the_lower_pods_as_they_are() {
    let mut state = deployment(2, vec![pod("web-0", "d", true), pod("web-1", "d", true)]);
    state.rollout.kind = Kind::StatefulSet;
    state.pods[0]
        .metadata
        .labels
        .insert("controller-revision-hash".into(), "old".into());
    let workload = state.workload.as_mut().expect("a workload");
    workload.status.update_revision = "d".into();
    underway(&state, "1 of 2 pods ready, replacing old pods");
    let workload = state.workload.as_mut().expect("a workload");
    workload.spec.update_strategy.rolling_update.partition = 1;
    assert!(matches!(state.progress(), Progress::Ready(_)));
    let workload = state.workload.as_mut().expect("a workload");
    workload.spec.update_strategy.rolling_update.partition = 2;
    underway(&state, "1 of 2 pods ready, replacing old pods");
}

#[test]
fn the_last_version_that_serves_and_not_the_one_before() {
    let with = |sets: &[(&str, i64, &str)]| {
        let mut state = deployment(1, vec![]);
        let set = |(revision, ready, image): &(&str, i64, &str)| {
            read(
                json!({"metadata": {"uid": format!("set{revision}"), "annotations": {REVISION: revision}, "ownerReferences": [{"uid": "d", "controller": true}]},
                "spec": {"template": {"spec": {"containers": [{"name": "proxy", "image": "proxy:1"}, {"name": "web", "image": image}]}}},
                "status": {"availableReplicas": ready}}),
            )
        };
        state.replica_sets = Some(sets.iter().map(set).collect());
        state.serving()
    };
    let serving = with(&[("1", 1, "web:1"), ("2", 0, "web:nope"), ("10", 0, "web:3")]);
    assert_eq!(
        serving,
        Some(Earlier {
            revision: 1,
            image: "web:1".into()
        })
    );
    assert_eq!(with(&[("1", 1, "web:1")]), None, "it is the present one");
    assert_eq!(with(&[("1", 0, "web:1"), ("2", 0, "web:2")]), None);
}

#[test]
fn without_a_probe_it_must_stay_up_for_a_moment() {
    let mut state = deployment(1, vec![pod("b", "set2", true)]);
    state.now = at(1);
    assert!(state.is_steady(), "it has a probe");
    state.pods[0].spec.containers[0].readiness_probe = None;
    state.now = at(2);
    assert!(!state.is_steady());
    state.now = at(3);
    assert!(state.is_steady());
    state.pods[0].status.container_statuses[0]
        .last_state
        .terminated = Some(read(json!({"exitCode": 1})));
    assert!(!state.is_steady(), "it has crashed before");
    state.now = at(10);
    assert!(state.is_steady());
}

#[test]
fn progress_tells_what_is_being_done() {
    let mut state = deployment(1, vec![pod("b", "set2", false)]);
    state.pods[0].status.container_statuses =
        read(json!([{"name": "c", "state": {"waiting": {"reason": "ContainerCreating"}}}]));
    state.pods[0].spec.containers[0].image = "x:1".into();
    underway(&state, "0 of 1 pod ready, starting");
    state.events = vec![read(
        json!({"reason": "Pulling", "involvedObject": {"uid": "b", "fieldPath": "spec.containers{c}"}}),
    )];
    underway(&state, "0 of 1 pod ready, pulling x:1");
    state.pods[0].status.conditions.clear();
    underway(&state, "0 of 1 pod ready, looking for a node");
}

#[test]
fn without_replica_sets_the_newest_pods_are_the_new_ones() {
    let mut state = deployment(1, vec![pod("b", "web-2", true), pod("a", "web-1", true)]);
    state.replica_sets = None;
    for (pod, hash, born) in [(0, "2", 9), (1, "1", 1)] {
        let metadata = &mut state.pods[pod].metadata;
        metadata
            .labels
            .insert("pod-template-hash".into(), hash.into());
        metadata.creation_timestamp = Some(at(born));
        metadata.owner_references[0].name = format!("web-{hash}");
    }
    let names = |pods: Vec<&Pod>| {
        pods.iter()
            .map(|pod| pod.metadata.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(state.new_pods().collect()), ["b"]);
    assert_eq!(names(state.old_pods().collect()), ["a"]);
}
