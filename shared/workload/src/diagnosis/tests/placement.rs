//! Pods for which there is no node, and claims without a volume.

use super::*;

#[test]
fn nodes_that_are_too_small() {
    let message = "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory. no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
    let lines = [
        "no node matches the pods of deployment/web",
        "because 1 node without enough cpu: the pod requests 64",
        "because 1 node without enough memory: the pod requests 4Ti",
        "do request less: `spec.template.spec.containers[0].resources.requests.cpu`",
    ];
    check(&unscheduled(message, 9), true, &lines);
    check(&unscheduled(message, 2), false, &lines);
    let mut grows = unscheduled(message, 60);
    grows.events = vec![event(
        "TriggeredScaleUp",
        "pod triggered scale-up: [{pool 1->2 (max: 3)}]",
        1,
        30,
    )];
    check(&grows, false, &lines);
}

#[test]
fn nodes_that_are_not_for_it() {
    let message = "0/6 nodes are available: 1 Too many pods, 2 node(s) didn't match Pod's node affinity/selector, 1 node(s) had untolerated taint {nvidia.com/gpu: present}, 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable. preemption: 0/6 nodes are available: 6 Preemption is not helpful for scheduling.";
    let mut state = unscheduled(message, 9);
    state.pods[0].spec.node_selector = BTreeMap::from([("gpu".into(), "true".into())]);
    check(
        &state,
        true,
        &[
            "no node matches the pods of deployment/web",
            "because 1 node with as many pods as it may have",
            "because 2 nodes without the label gpu=true",
            "because 1 node reserved for others (taint `nvidia.com/gpu: present`)",
            "because 1 node reserved for others (a taint)",
            "because 1 node closed for maintenance",
        ],
    );
}

#[test]
fn claims_that_are_missing_or_get_nothing() {
    let volumes = json!([{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]);
    let with_claim = |message: &str| {
        let mut state = unscheduled(message, 9);
        state
            .workload
            .as_mut()
            .expect("a workload")
            .spec
            .template
            .spec
            .volumes = read(volumes.clone());
        state.pods[0].spec.volumes = read(volumes.clone());
        state
    };
    check(
        &with_claim("0/1 nodes are available: persistentvolumeclaim \"data\" not found. not found"),
        true,
        &[
            "volume claim `data`, which deployment/web needs, does not exist",
            "because `spec.template.spec.volumes[0].persistentVolumeClaim.claimName` refers to it",
        ],
    );
    let mut state = with_claim(
        "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found",
    );
    check(
        &state,
        false,
        &[
            "volume claim `data` of deployment/web gets no volume",
            "because nothing has made a volume for it yet",
        ],
    );
    state.events = vec![read(
        json!({"reason": "ProvisioningFailed", "message": "storageclass.storage.k8s.io \"nosuchclass\" not found", "lastTimestamp": ago(2),
        "involvedObject": {"kind": "PersistentVolumeClaim", "name": "data", "uid": "p"}}),
    )];
    check(
        &state,
        true,
        &[
            "volume claim `data` of deployment/web gets no volume",
            "because there is no storage class `nosuchclass`",
        ],
    );
}
