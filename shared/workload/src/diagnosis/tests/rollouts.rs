//! Rollouts that stand still, and what is no failure.

use super::images::image;
use super::*;

#[test]
fn old_pods_are_not_taken_for_new_ones() {
    let end = json!({"exitCode": 1, "reason": "Error", "finishedAt": ago(3)});
    let mut state = deployment(json!({}), json!({}));
    state.pods = vec![pod(
        "web-old-a",
        "ReplicaSet",
        "old",
        &json!({"containers": [{"name": "c"}]}),
        crashed(7, &end),
    )];
    assert!(diagnose(&state).findings.is_empty());
    // Nor are the pods of what the controller has not looked at yet.
    let mut state = deployment(json!({}), crashed(7, &end));
    state
        .workload
        .as_mut()
        .expect("a workload")
        .metadata
        .generation = 3;
    assert!(diagnose(&state).findings.is_empty());
    assert_eq!(
        state.progress(),
        Progress::Underway("the cluster has not seen the change yet".into())
    );
}

#[test]
fn controllers_that_stand_still() {
    let mut state = deployment(json!({}), json!({}));
    state.pods.clear();
    let workload = state.workload.as_mut().expect("a workload");
    workload.spec.replicas = Some(0);
    check(
        &state,
        true,
        &[
            "deployment/web is stopped: it has 0 replicas",
            "because `spec.replicas` is 0",
            "do start it: `kubectl scale deployment/web --replicas=1 -n alice`",
        ],
    );
    let workload = state.workload.as_mut().expect("a workload");
    workload.spec.replicas = Some(1);
    workload.spec.paused = true;
    workload.status.updated_replicas = 0;
    check(
        &state,
        true,
        &[
            "deployment/web is paused: the change is not rolled out",
            "because `spec.paused` is true",
            "do let it go on: `kubectl rollout resume deployment/web -n alice`",
        ],
    );
}

/// A `StatefulSet` whose pods are of an older definition.
fn stateful_with_old_pods() -> State {
    let mut state = stateful(json!({}), waiting("InvalidImageName", ""));
    let workload = state.workload.as_mut().expect("a workload");
    workload.status.update_revision = "newer".into();
    state
}

#[test]
fn a_statefulset_that_replaces_nothing() {
    let mut state = stateful_with_old_pods();
    state
        .workload
        .as_mut()
        .expect("a workload")
        .spec
        .update_strategy
        .type_ = "OnDelete".into();
    check(
        &state,
        true,
        &[
            "statefulset/web does not replace its pods by itself",
            "because `spec.updateStrategy.type` is `OnDelete`, and these are old: `web-0`",
            "do replace them: `kubectl delete pod web-0 -n alice`",
        ],
    );
    let mut state = stateful_with_old_pods();
    state
        .workload
        .as_mut()
        .expect("a workload")
        .spec
        .update_strategy
        .rolling_update
        .partition = 1;
    assert!(diagnose(&state).findings.iter().any(|finding| {
        finding.is_final
            && finding
                .error
                .causes()
                .iter()
                .any(|cause| cause.contains("partition` is 1"))
    }));
}

#[test]
fn a_statefulset_that_waits_for_a_broken_pod() {
    check(
        &stateful_with_old_pods(),
        true,
        &[
            "statefulset/web waits for a pod that was broken before the change: `web-0`",
            "because a StatefulSet replaces a pod only after the others are ready, and this one never will be",
            "do delete it, it is made anew from the new definition: `kubectl delete pod web-0 -n alice`",
        ],
    );
}

#[test]
fn a_deadline_makes_what_is_known_final() {
    let container = json!({"readinessProbe": {"tcpSocket": {"port": 8000}}});
    let mut state = deployment(
        container,
        json!({"state": {"running": {"startedAt": ago(600)}}}),
    );
    state
        .workload
        .as_mut()
        .expect("a workload")
        .status
        .conditions = read(
        json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]),
    );
    check(
        &state,
        true,
        &["deployment/web gets no further, and the cluster has given up waiting"],
    );
    state.events = vec![event(
        "Unhealthy",
        "Readiness probe failed: dial tcp 10.0.0.1:8000: connect: connection refused",
        60,
        1,
    )];
    check(
        &state,
        true,
        &["container `c` of deployment/web runs, but does not pass its readiness probe"],
    );
}

#[test]
fn a_pod_that_does_not_go() {
    let mut state = deployment(
        json!({}),
        json!({"state": {"running": {"startedAt": ago(600)}}}),
    );
    let mut stuck = pod("web-old-a", "ReplicaSet", "old", &json!({}), json!({}));
    stuck.metadata.deletion_timestamp = Some(now() - SignedDuration::from_secs(20));
    stuck.metadata.finalizers = vec!["example.com/wait".into()];
    state.pods.push(stuck);
    check(
        &state,
        false,
        &[
            "pod `web-old-a` is being deleted and does not go",
            "because something wants to act first (finalizers): example.com/wait",
        ],
    );
}

#[test]
fn a_lone_pod_that_has_ended() {
    let mut state = deployment(
        json!({}),
        json!({"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}),
    );
    state.rollout.kind = Kind::Pod;
    state.rollout.name = "web-new-a".into();
    state.workload = None;
    state.pods[0].spec.restart_policy = "OnFailure".into();
    state.pods[0].status.phase = "Succeeded".into();
    check(&state, true, &["pod/web-new-a has done its work and ended"]);
}

#[test]
fn several_pods_with_one_fault_are_said_once() {
    let mut state = image("busybox:77", "ErrImageNeverPull", "");
    let mut second = state.pods[0].clone();
    second.metadata.uid = "other".into();
    state.pods.push(second);
    assert_eq!(diagnose(&state).findings.len(), 1);
}

#[test]
fn text_of_the_cluster_cannot_reach_the_terminal() {
    let state = image(
        "x\u{1b}[2J:1",
        "ErrImagePull",
        "failed: \u{1b}]0;owned\u{7}\u{202e}",
    );
    let (_, text) = told(&state);
    assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text:?}");
}
