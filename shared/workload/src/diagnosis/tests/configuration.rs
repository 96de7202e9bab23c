//! ConfigMaps, Secrets and volumes that pods wait for.

use super::*;

#[test]
fn a_configmap_that_is_missing() {
    let container = json!({"envFrom": [{"configMapRef": {"name": "setings"}}]});
    let mut state = deployment(
        container,
        waiting(
            "CreateContainerConfigError",
            "configmap \"setings\" not found",
        ),
    );
    let user = "because `spec.template.spec.containers[0].envFrom[0]` refers to it";
    check(
        &state,
        true,
        &[
            "configmap `setings`, which deployment/web needs, does not exist",
            user,
        ],
    );
    state.more.config_maps = Some(BTreeMap::from([
        ("settings".into(), BTreeSet::new()),
        ("kube-root-ca.crt".into(), BTreeSet::new()),
    ]));
    check(
        &state,
        true,
        &[
            "configmap `setings`, which deployment/web needs, does not exist",
            user,
            "do did you mean `settings`?",
            "do create it: `kubectl create configmap setings --from-literal=KEY=VALUE -n alice`; or correct `spec.template.spec.containers[0].envFrom[0]`",
        ],
    );
    state.more.config_maps = Some(BTreeMap::from([("setings".into(), BTreeSet::new())]));
    assert!(
        diagnose(&state).findings.is_empty(),
        "it has been made meanwhile"
    );
}

#[test]
fn what_is_missing_may_be_on_its_way() {
    let mut state = deployment(
        json!({}),
        waiting(
            "CreateContainerConfigError",
            "configmap \"settings\" not found",
        ),
    );
    state.pods[0].status.start_time = Some(now() - SignedDuration::from_secs(1));
    assert!(!told(&state).0);
}

#[test]
fn a_key_that_is_missing() {
    let container = json!({"env": [{"name": "A", "value": "1"}, {"name": "DATABASE_URL", "valueFrom": {"configMapKeyRef": {"name": "setup", "key": "DATABASE_URL"}}}]});
    let mut state = deployment(
        container,
        waiting(
            "CreateContainerConfigError",
            "couldn't find key DATABASE_URL in ConfigMap alice/setup",
        ),
    );
    state.more.config_maps = Some(BTreeMap::from([(
        "setup".into(),
        BTreeSet::from(["DATABASE_URI".into()]),
    )]));
    check(
        &state,
        true,
        &[
            "configmap `setup` has no key `DATABASE_URL`",
            "because `spec.template.spec.containers[0].env[1].valueFrom` of deployment/web asks for it for the variable `DATABASE_URL`",
            "do did you mean `DATABASE_URI`?",
            "do add the key, or correct `spec.template.spec.containers[0].env[1].valueFrom`: `kubectl edit configmap setup -n alice`",
        ],
    );
}

#[test]
fn a_secret_and_its_key() {
    let container = json!({"env": [{"name": "P", "valueFrom": {"secretKeyRef": {"name": "sec", "key": "password"}}}]});
    let state = deployment(
        container.clone(),
        waiting("CreateContainerConfigError", "secret \"sec\" not found"),
    );
    check(
        &state,
        true,
        &[
            "secret `sec`, which deployment/web needs, does not exist",
            "because `spec.template.spec.containers[0].env[0].valueFrom` refers to it",
        ],
    );
    assert_eq!(diagnose(&state).wants, BTreeSet::from([Want::Secrets]));
    let state = deployment(
        container,
        waiting(
            "CreateContainerConfigError",
            "couldn't find key password in Secret alice/sec",
        ),
    );
    check(&state, true, &["secret `sec` has no key `password`"]);
    assert_eq!(
        diagnose(&state).wants,
        BTreeSet::from([Want::SecretKeys("sec".into())])
    );
}

#[test]
fn an_image_that_runs_as_root() {
    let state = deployment(
        json!({}),
        waiting(
            "CreateContainerConfigError",
            "container has runAsNonRoot and image will run as root (pod: \"web-new-a_alice(1)\", container: c)",
        ),
    );
    check(
        &state,
        true,
        &[
            "container `c` of deployment/web may not run as root",
            "because its definition says `runAsNonRoot: true`, and the image runs as root",
            "do say as whom it runs: `runAsUser: 1000` in `spec.template.spec.securityContext`",
        ],
    );
    let state = deployment(
        json!({}),
        waiting(
            "CreateContainerConfigError",
            "container has runAsNonRoot and image has non-numeric user (node), cannot verify user is non-root (pod: \"web-new-a_alice(1)\", container: c)",
        ),
    );
    check(
        &state,
        true,
        &[
            "container `c` of deployment/web may not run as root",
            "because the image's user is `node`, and by a name alone the cluster cannot tell that this is not root",
        ],
    );
}

/// A pod that is being made, with volumes.
fn creating(volumes: Value) -> State {
    let mut state = deployment(json!({}), waiting("ContainerCreating", ""));
    let workload = state.workload.as_mut().expect("a workload");
    workload.spec.template.spec.volumes = read(volumes.clone());
    state.pods[0].spec.volumes = read(volumes);
    state
}

#[test]
fn a_volume_of_a_secret_that_is_missing() {
    let mut state = creating(
        json!([{"name": "v", "emptyDir": {}}, {"name": "w", "secret": {"secretName": "nosuch"}}]),
    );
    state.events = vec![event(
        "FailedMount",
        "MountVolume.SetUp failed for volume \"w\" : secret \"nosuch\" not found",
        5,
        2,
    )];
    check(
        &state,
        true,
        &[
            "secret `nosuch`, which deployment/web needs, does not exist",
            "because `spec.template.spec.volumes[1].secret.secretName` refers to it",
        ],
    );
    state
        .events
        .push(event("Pulling", "Pulling image \"busybox:1\"", 1, 1));
    assert!(diagnose(&state).findings.is_empty(), "it was mounted since");
}

#[test]
fn a_volume_of_a_key_that_is_missing() {
    let mut state = creating(
        json!([{"name": "v", "configMap": {"name": "setup", "items": [{"key": "app.conf", "path": "app.conf"}]}}]),
    );
    state.events = vec![event(
        "FailedMount",
        "MountVolume.SetUp failed for volume \"v\" : configmap references non-existent config key: app.conf",
        5,
        2,
    )];
    check(
        &state,
        true,
        &[
            "configmap `setup` has no key `app.conf`",
            "because the volume `spec.template.spec.volumes[0]` of deployment/web asks for it in its `items`",
        ],
    );
}

#[test]
fn a_volume_without_a_word_of_the_kubelet() {
    let mut state = creating(json!([{"name": "v", "configMap": {"name": "settings"}}]));
    assert_eq!(diagnose(&state).wants, BTreeSet::from([Want::ConfigMaps]));
    state.more.config_maps = Some(BTreeMap::new());
    check(
        &state,
        true,
        &["configmap `settings`, which deployment/web needs, does not exist"],
    );
}

#[test]
fn a_volume_in_use_on_another_node() {
    let mut state =
        creating(json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]));
    let message =
        "Multi-Attach error for volume \"pvc-1\" Volume is already used by pod(s) web-old-b";
    state.events = vec![event("FailedAttachVolume", message, 1, 15)];
    let lines = [
        "a volume of deployment/web is in use on another node",
        "because it can be mounted on one node at a time (ReadWriteOnce), and pod web-old-b has it",
        "do let the old pod end before the new one starts: `type: Recreate` in `spec.strategy` (and `rollingUpdate: null`)",
    ];
    check(&state, true, &lines);
    let mut going = pod("web-old-b", "ReplicaSet", "old", &json!({}), json!({}));
    going.metadata.deletion_timestamp = Some(now());
    state.pods.push(going);
    check(&state, false, &lines);
}
