//! What real clusters say, and what is made of it. The words of the kubelet, containerd, the scheduler and admission are those
//! of a node with Kubernetes 1.35 and containerd 2; those of CRI-O and of older versions are from their sources.

#![expect(
    clippy::needless_pass_by_value,
    reason = "the JSON is written where it is passed"
)]

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
    lines.extend(error.quoted().iter().map(|line| format!("| {line}")));
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

fn image(image: &str, reason: &str, message: &str) -> State {
    deployment(json!({"image": image}), waiting(reason, message))
}

#[test]
fn an_image_that_does_not_exist() {
    let state = image(
        "127.0.0.1:5999/nf/x:1",
        "ErrImagePull",
        r#"rpc error: code = NotFound desc = failed to pull and unpack image "127.0.0.1:5999/nf/x:1": failed to resolve reference "127.0.0.1:5999/nf/x:1": 127.0.0.1:5999/nf/x:1: not found"#,
    );
    check(
        &state,
        true,
        &[
            "image `127.0.0.1:5999/nf/x:1` of container `c` of deployment/web does not exist",
            "because the registry 127.0.0.1:5999 has no such name or no such tag",
            "do correct the image: `kubectl set image deployment/web c=IMAGE -n alice` (field `spec.template.spec.containers[0].image`)",
        ],
    );
}

#[test]
fn an_image_that_is_private_or_misspelt() {
    let message = r#"Back-off pulling image "nginxx:1": ErrImagePull: failed to pull and unpack image "docker.io/library/nginxx:1": failed to resolve reference "docker.io/library/nginxx:1": pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed"#;
    let mut state = image("nginxx:1", "ImagePullBackOff", message);
    check(
        &state,
        true,
        &[
            "image `nginxx:1` of container `c` of deployment/web is not given out by the registry docker.io",
            "because it does not exist, or it is private and the cluster has no credentials for it",
            "do correct the image: `kubectl set image deployment/web c=IMAGE -n alice` (field `spec.template.spec.containers[0].image`)",
            "do if it is private: `kubectl create secret docker-registry pull --docker-server=https://index.docker.io/v1/ --docker-username=NAME --docker-password=TOKEN -n alice`, then `imagePullSecrets: [{name: pull}]` in `spec.template.spec`",
        ],
    );
    state.pods[0].spec.image_pull_secrets = read(json!([{"name": "regcred"}]));
    check(
        &state,
        true,
        &[
            "image `nginxx:1` of container `c` of deployment/web is not given out by the registry docker.io",
            "because it does not exist, or the credentials in secret `regcred` are not accepted",
        ],
    );
    state.events = vec![event(
        "FailedToRetrieveImagePullSecret",
        "Unable to retrieve some image pull secrets (regcred); attempting to pull the image may not succeed.",
        3,
        5,
    )];
    check(
        &state,
        true,
        &[
            "image `nginxx:1` of container `c` of deployment/web is not given out by the registry docker.io",
            "because secret `regcred` of `spec.template.spec.imagePullSecrets` does not exist",
        ],
    );
}

#[test]
fn a_registry_that_gives_no_more_or_refuses_is_final_at_once() {
    let message = r#"failed to pull and unpack image "docker.io/library/x:1": failed to copy: httpReadSeeker: failed open: unexpected status code https://registry-1.docker.io/v2/library/x/manifests/sha256:1: 429 Too Many Requests - Server message: toomanyrequests: You have reached your unauthenticated pull rate limit."#;
    let mut state = image("x:1", "ErrImagePull", message);
    let failed = format!("Failed to pull image \"x:1\": {message}");
    state.events = vec![event("Failed", &failed, 1, 2)];
    let lines = [
        "image `x:1` of container `c` of deployment/web cannot be pulled",
        "because the registry docker.io gives out no more for now: too many images were pulled from this cluster (429)",
    ];
    check(&state, true, &lines);
    let message = "failed to do request: Head \"https://localhost:1/v2/web/manifests/1\": dial tcp 127.0.0.1:1: connect: connection refused";
    check(
        &image("localhost:1/web:1", "ErrImagePull", message),
        true,
        &["image `localhost:1/web:1` of container `c` of deployment/web cannot be pulled"],
    );
}

#[test]
fn a_registry_that_cannot_be_reached_is_tried_again() {
    let message = r#"failed to pull and unpack image "registry.nowhere.example/x/y:1": failed to resolve reference "registry.nowhere.example/x/y:1": failed to do request: Head "https://registry.nowhere.example/v2/x/y/manifests/1": dial tcp: lookup registry.nowhere.example on 10.255.255.53:53: read udp 10.254.6.2:33685->10.255.255.53:53: i/o timeout"#;
    let mut state = image("registry.nowhere.example/x/y:1", "ErrImagePull", message);
    state.events = vec![event(
        "Failed",
        &format!("Failed to pull image \"x\": {message}"),
        1,
        2,
    )];
    check(
        &state,
        false,
        &[
            "image `registry.nowhere.example/x/y:1` of container `c` of deployment/web cannot be pulled",
            "because the cluster cannot reach the registry registry.nowhere.example",
            r#"because Head "https://registry.nowhere.example/v2/x/y/manifests/1": dial tcp: lookup registry.nowhere.example on 10.255.255.53:53: read udp 10.254.6.2:33685->10.255.255.53:53: i/o timeout"#,
        ],
    );
    // Another port in the words makes it another event.
    state.events.push(event(
        "Failed",
        &format!("Failed to pull image \"x\": again {message}"),
        1,
        1,
    ));
    assert!(told(&state).0);
}

#[test]
fn a_registry_of_an_unknown_name_is_final() {
    let state = image(
        "ghrc.io/alice/web:1",
        "ErrImagePull",
        r#"failed to pull and unpack image "ghrc.io/alice/web:1": failed to resolve reference "ghrc.io/alice/web:1": failed to do request: Head "https://ghrc.io/v2/alice/web/manifests/1": dial tcp: lookup ghrc.io on 10.96.0.10:53: no such host"#,
    );
    check(
        &state,
        true,
        &[
            "image `ghrc.io/alice/web:1` of container `c` of deployment/web cannot be pulled",
            "because there is no registry called ghrc.io",
        ],
    );
}

#[test]
fn runtimes_say_the_same_in_many_words() {
    for (words, expected) in [
        (
            "pulling from host 127.0.0.1:5999 failed with status code [manifests 1]: 401 Unauthorized",
            Cause::Denied,
        ),
        (
            "failed to authorize: failed to fetch anonymous token: unexpected status: 403 Forbidden",
            Cause::Denied,
        ),
        (
            "failed to authorize: failed to fetch anonymous token: unexpected status from GET request to https://ghcr.io/token?scope=repository%3Aa%2Fb%3Apull&service=ghcr.io: 403 Forbidden",
            Cause::Denied,
        ),
        (
            "initializing source docker://quay.io/a/b:1: reading manifest 1 in quay.io/a/b: unauthorized: access to the requested resource is not authorized",
            Cause::Denied,
        ),
        (
            "initializing source docker://nginxx:1: reading manifest 1 in docker.io/library/nginxx: requested access to the resource is denied",
            Cause::Denied,
        ),
        (
            "initializing source docker://nginx:nope: reading manifest nope in docker.io/library/nginx: manifest unknown",
            Cause::NotFound,
        ),
        (
            "reading manifest 1 in quay.io/a/b: name unknown: repository not found",
            Cause::NotFound,
        ),
        (
            "pulling from host 127.0.0.1:5999 failed with status code [manifests 1]: 429 Too Many Requests",
            Cause::RateLimited,
        ),
        (
            "reading manifest latest in docker.io/library/x: toomanyrequests: You have reached your pull rate limit.",
            Cause::RateLimited,
        ),
        (
            "failed to pull and unpack image \"127.0.0.1:5999/arm/x:1\": no match for platform in manifest: not found",
            Cause::WrongPlatform,
        ),
        (
            "choosing image instance: no image found in image index for architecture \"amd64\", variant \"\", OS \"linux\"",
            Cause::WrongPlatform,
        ),
        (
            "pinging container registry reg.example: Get \"https://reg.example/v2/\": dial tcp: lookup reg.example: no such host",
            Cause::UnknownHost,
        ),
        (
            "failed to do request: Head \"https://reg/v2/x/manifests/1\": tls: failed to verify certificate: x509: certificate signed by unknown authority",
            Cause::Certificate,
        ),
        (
            "failed to do request: Head \"https://10.0.0.1:5000/v2/x/manifests/1\": http: server gave HTTP response to HTTPS client",
            Cause::NotTls,
        ),
        (
            "failed to do request: Head \"http://127.0.0.1:5999/v2/x/manifests/1\": dial tcp 127.0.0.1:5999: connect: connection refused",
            Cause::Refused,
        ),
        (
            "pulling from host 127.0.0.1:5999 failed with status code [manifests 1]: 503 Service Unavailable",
            Cause::RegistryFailed,
        ),
        (
            "short-name \"web\" did not resolve to an alias and no unqualified-search registries are defined in \"/etc/containers/registries.conf\"",
            Cause::NoRegistry,
        ),
        (
            "failed to extract layer sha256:1: write /var/lib/containerd/x: no space left on device",
            Cause::NoSpace,
        ),
        ("Back-off pulling image \"x:1\"", Cause::Other),
    ] {
        assert_eq!(cause(words), expected, "{words}");
    }
}

#[test]
fn an_old_kubelet_tells_the_cause_only_in_an_event() {
    let mut state = image(
        "x.example/web:nope",
        "ImagePullBackOff",
        "Back-off pulling image \"x.example/web:nope\"",
    );
    state.events = vec![
        event(
            "Failed",
            "Failed to pull image \"x.example/web:nope\": rpc error: code = NotFound desc = failed to resolve reference \"x.example/web:nope\": x.example/web:nope: not found",
            1,
            9,
        ),
        event("Failed", "Error: ErrImagePull", 1, 9),
    ];
    check(
        &state,
        true,
        &["image `x.example/web:nope` of container `c` of deployment/web does not exist"],
    );
}

#[test]
fn an_image_for_other_processors() {
    let state = image(
        "arm/x:1",
        "ImagePullBackOff",
        "Back-off pulling image \"arm/x:1\": ErrImagePull: rpc error: code = NotFound desc = failed to pull and unpack image \"docker.io/arm/x:1\": no match for platform in manifest: not found",
    );
    check(
        &state,
        true,
        &[
            "image `arm/x:1` of container `c` of deployment/web cannot be pulled",
            "because there is no variant of it for this cluster's processors",
        ],
    );
}

#[test]
fn a_name_that_no_image_can_have() {
    let state = image(
        "Busybox:1",
        "InvalidImageName",
        r#"Failed to apply default image tag "Busybox:1": couldn't parse image name "Busybox:1": invalid reference format: repository name (library/Busybox) must be lowercase"#,
    );
    check(
        &state,
        true,
        &[
            "`Busybox:1` of container `c` of deployment/web cannot be the name of an image",
            "because repository name (library/Busybox) must be lowercase",
            "do correct `spec.template.spec.containers[0].image`: REGISTRY/NAME:TAG, in lower case",
        ],
    );
    let state = image(
        "web:",
        "InvalidImageName",
        "Failed to apply default image tag \"web:\": couldn't parse image name \"web:\": invalid reference format",
    );
    check(
        &state,
        true,
        &[
            "`web:` of container `c` of deployment/web cannot be the name of an image",
            "because it is not of the form REGISTRY/NAME:TAG",
        ],
    );
}

#[test]
fn an_image_that_may_not_be_pulled() {
    let state = image(
        "busybox:77",
        "ErrImageNeverPull",
        "Container image \"busybox:77\" is not present with pull policy of Never",
    );
    check(
        &state,
        true,
        &[
            "image `busybox:77` of container `c` of deployment/web is not on the node",
            "because its definition forbids to pull it (`imagePullPolicy: Never`)",
        ],
    );
}

#[test]
fn registries_by_the_images_name() {
    for (image, expected) in [
        ("nginx", "docker.io"),
        ("alice/web:1", "docker.io"),
        ("ghcr.io/alice/web:1", "ghcr.io"),
        ("localhost/web", "localhost"),
        ("10.0.0.1:5000/web", "10.0.0.1:5000"),
        ("nginx:1.27", "docker.io"),
    ] {
        assert_eq!(registry(image), expected, "{image}");
    }
}

#[test]
fn a_crash_is_told_with_its_last_lines() {
    let end = json!({"exitCode": 1, "reason": "Error", "finishedAt": ago(3)});
    let mut state = deployment(json!({}), crashed(1, &end));
    let wanted = diagnose(&state).wants;
    assert_eq!(
        wanted,
        BTreeSet::from([Want::Log {
            pod: "web-new-a".into(),
            container: "c".into(),
            previous: false
        }])
    );
    state.more.logs.insert(
        ("web-new-a".into(), "c".into()),
        "Traceback (most recent call last):\n\n  File \"main.py\"\u{1b}[31m\nKeyError: 'DATABASE_URL'\n".into(),
    );
    check(
        &state,
        true,
        &[
            "container `c` of deployment/web crashes: exit code 1 (2 times)",
            "because the program reports a failure",
            "because it wrote last:",
            "| Traceback (most recent call last):",
            "|   File \"main.py\"[31m",
            "| KeyError: 'DATABASE_URL'",
            "do read all of it: `kubectl logs web-new-a -c c -n alice`",
        ],
    );
    assert!(diagnose(&state).wants.is_empty());
}

#[test]
fn one_crash_may_be_a_race_at_the_start() {
    let end = |seconds| json!({"exitCode": 1, "reason": "Error", "finishedAt": ago(seconds)});
    let down = |seconds| deployment(json!({}), json!({"state": {"terminated": end(seconds)}}));
    assert!(!told(&down(1)).0, "it will be started again");
    assert!(told(&down(9)).0, "it was not");
    let again = deployment(
        json!({}),
        json!({"restartCount": 1, "lastState": {"terminated": end(4)}, "state": {"running": {"startedAt": ago(3)}}}),
    );
    assert!(!told(&again).0, "it runs again and is given its time");
    let twice = deployment(
        json!({}),
        json!({"restartCount": 1, "state": {"terminated": end(1)}}),
    );
    assert!(told(&twice).0);
}

#[test]
fn too_little_memory() {
    let end = json!({"exitCode": 137, "reason": "OOMKilled", "finishedAt": ago(3)});
    let mut state = deployment(
        json!({"resources": {"limits": {"memory": "20Mi"}}}),
        crashed(2, &end),
    );
    state
        .more
        .logs
        .insert(("web-new-a".into(), "c".into()), String::new());
    check(
        &state,
        true,
        &[
            "container `c` of deployment/web was OOMKilled (3 times)",
            "because its limit is 20Mi",
            "because it wrote nothing",
            "do raise `spec.template.spec.containers[0].resources.limits.memory`",
        ],
    );
}

/// Nodes may miss why they killed, and say only that they did.
#[test]
fn too_little_memory_that_the_node_does_not_tell() {
    let end = json!({"exitCode": 137, "reason": "Error", "finishedAt": ago(3)});
    let limited = deployment(
        json!({"resources": {"limits": {"memory": "20Mi"}}}),
        crashed(2, &end),
    );
    check(
        &limited,
        true,
        &[
            "container `c` of deployment/web was OOMKilled (3 times)",
            "because its limit is 20Mi",
            "because the node says only that it was killed (SIGKILL), as is done to what passes its limit",
            "do raise `spec.template.spec.containers[0].resources.limits.memory`",
        ],
    );
    let unlimited = deployment(json!({}), crashed(2, &end));
    assert!(told(&unlimited).1.contains("crashes: exit code 137"));
}

#[test]
fn a_program_that_ends_without_an_error() {
    let end = json!({"exitCode": 0, "reason": "Completed", "finishedAt": ago(3)});
    let state = deployment(json!({}), crashed(1, &end));
    check(
        &state,
        true,
        &["container `c` of deployment/web exits with code 0 and is restarted (2 times)"],
    );
}

#[test]
fn exit_codes_have_meanings() {
    for (code, words) in [
        (2, "called wrongly"),
        (126, "cannot be executed"),
        (127, "not found"),
        (137, "killed"),
        (139, "memory that is not its own"),
        (143, "told to end"),
        (136, "signal 8"),
        (3, "reports a failure"),
    ] {
        assert!(
            super::crash::meaning(code).contains(words),
            "{code}: {}",
            super::crash::meaning(code)
        );
    }
}

#[test]
fn last_lines_tell_what_to_change() {
    for (line, hint) in [
        (
            "sh: can't create /var/x: Read-only file system",
            "mount an `emptyDir`",
        ),
        ("httpd: bind: Permission denied", "port below 1024"),
        (
            "nginx: [emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)",
            "port below 1024",
        ),
        (
            "Error: listen EACCES: permission denied 0.0.0.0:80",
            "port below 1024",
        ),
        (
            "Error: listen EADDRINUSE: address already in use :::8000",
            "same port",
        ),
        (
            "PermissionError: [Errno 13] Permission denied: '/data/x'",
            "fsGroup",
        ),
        ("exec /v/x: exec format error", "docker buildx build"),
        (
            "psycopg2.OperationalError: could not translate host name \"db\" to address: Name or service not known",
            "check the address",
        ),
        (
            "Error: connect ECONNREFUSED 10.96.1.2:5432",
            "check the address",
        ),
    ] {
        let end = json!({"exitCode": 1, "reason": "Error", "finishedAt": ago(3)});
        let mut state = deployment(json!({}), crashed(1, &end));
        state.more.logs.insert(
            ("web-new-a".into(), "c".into()),
            format!("starting\n{line}\n"),
        );
        let (_, text) = told(&state);
        assert!(text.contains(hint), "{line}: {text}");
    }
}

#[test]
fn a_command_that_is_not_in_the_image() {
    let message = "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: \"pyton\": executable file not found in $PATH: unknown";
    let container = json!({"command": ["pyton", "main.py"]});
    let lines = [
        "container `c` of deployment/web cannot be started",
        "because there is no program `pyton` in image `busybox:1`",
        "do correct `spec.template.spec.containers[0].command`, or `spec.template.spec.containers[0].args`",
    ];
    let end =
        json!({"exitCode": 128, "reason": "StartError", "message": message, "finishedAt": ago(1)});
    check(
        &deployment(container.clone(), json!({"state": {"terminated": end}})),
        true,
        &lines,
    );
    check(
        &deployment(container.clone(), waiting("RunContainerError", message)),
        true,
        &lines,
    );
    check(&deployment(container, crashed(1, &end)), true, &lines);
}

#[test]
fn a_command_in_one_string() {
    let message = "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: \"python main.py\": executable file not found in $PATH: unknown";
    let state = deployment(
        json!({"command": ["python main.py"]}),
        waiting("RunContainerError", message),
    );
    let (_, text) = told(&state);
    assert!(text.contains("as separate items"), "{text}");
}

#[test]
fn a_file_that_is_no_program() {
    let state = deployment(
        json!({"command": ["/etc/passwd"]}),
        waiting(
            "RunContainerError",
            "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: \"/etc/passwd\": permission denied: unknown",
        ),
    );
    check(
        &state,
        true,
        &[
            "container `c` of deployment/web cannot be started",
            "because `/etc/passwd` may not be executed: it is not a program, lacks the permission `x`, or is a directory",
        ],
    );
}

#[test]
fn a_directory_mounted_over_a_file() {
    let state = deployment(
        json!({}),
        waiting(
            "RunContainerError",
            "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: error mounting \"/var/lib/kubelet/pods/1/volumes/kubernetes.io~empty-dir/v\" to rootfs at \"/etc/passwd\": mount /var/lib/kubelet/pods/1/volumes/kubernetes.io~empty-dir/v:/etc/passwd (via /proc/self/fd/6), flags: 0x5000: not a directory: unknown",
        ),
    );
    check(
        &state,
        true,
        &[
            "container `c` of deployment/web cannot be started",
            "because what is mounted at `/etc/passwd` is a directory and what the image has there a file, or the reverse",
        ],
    );
}

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
            "do make it, or correct `spec.template.spec.containers[0].envFrom[0]`: `kubectl create configmap setings --from-literal=KEY=VALUE -n alice`",
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

#[test]
fn a_readiness_probe_that_is_refused_is_never_final() {
    let container = json!({"readinessProbe": {"httpGet": {"path": "/health", "port": 8000}}});
    let mut state = deployment(
        container,
        json!({"state": {"running": {"startedAt": ago(60)}}}),
    );
    assert!(diagnose(&state).findings.is_empty(), "nothing has failed");
    state.events = vec![event(
        "Unhealthy",
        "Readiness probe failed: Get \"http://10.244.0.27:8000/health\": dial tcp 10.244.0.27:8000: connect: connection refused",
        25,
        1,
    )];
    check(
        &state,
        false,
        &[
            "container `c` of deployment/web runs, but does not pass its readiness probe",
            "because `GET /health` on port 8000 is refused: nothing listens there at the pod's address",
            "do if it listens on another port, correct `spec.template.spec.containers[0].readinessProbe.httpGet.port`",
            "do if it listens on 127.0.0.1 (or localhost), let it listen on 0.0.0.0: only that is seen from outside",
        ],
    );
}

#[test]
fn a_page_that_is_not_there_is_final_after_a_while() {
    let container = json!({"readinessProbe": {"httpGet": {"path": "/health", "port": "http"}}});
    let state = |code: u16, seconds| {
        let mut state = deployment(
            container.clone(),
            json!({"state": {"running": {"startedAt": ago(seconds)}}}),
        );
        state.events = vec![event(
            "Unhealthy",
            &format!("Readiness probe failed: HTTP probe failed with statuscode: {code}"),
            5,
            1,
        )];
        state
    };
    let lines = [
        "container `c` of deployment/web runs, but does not pass its readiness probe",
        "because `GET /health` on port http is answered with 404",
        "do correct the path: `spec.template.spec.containers[0].readinessProbe.httpGet.path`",
    ];
    check(&state(404, 9), true, &lines);
    check(&state(404, 3), false, &lines);
    assert!(!told(&state(503, 60)).0, "it may still come up");
    assert!(told(&state(401, 60)).1.contains("needs no login"));
}

#[test]
fn other_ways_to_fail_a_probe() {
    for (message, words) in [
        (
            "Readiness probe failed: Get \"http://10.0.0.1:8000/\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
            "gets no answer in time",
        ),
        (
            "Readiness probe failed: dial tcp 10.0.0.1:5432: i/o timeout",
            "gets no answer in time",
        ),
        (
            "Readiness probe failed: Get \"https://10.0.0.1:8000/\": http: server gave HTTP response to HTTPS client",
            "readinessProbe.httpGet.scheme` to `HTTP`",
        ),
        (
            "Readiness probe failed: cat: can't open '/tmp/ready': No such file or directory\n",
            "fails: cat: can't open '/tmp/ready': No such file or directory",
        ),
        (
            "Readiness probe errored and resulted in unknown state: rpc error: code = Unknown",
            "rpc error",
        ),
    ] {
        let container = json!({"readinessProbe": {"httpGet": {"port": 8000}}});
        let mut state = deployment(
            container,
            json!({"state": {"running": {"startedAt": ago(9)}}}),
        );
        state.events = vec![event("Unhealthy", message, 5, 1)];
        let (is_final, text) = told(&state);
        assert!(!is_final && text.contains(words), "{message}: {text}");
    }
}

#[test]
fn a_liveness_probe_that_kills() {
    let container = json!({"livenessProbe": {"tcpSocket": {"port": 8000}}});
    let end = json!({"exitCode": 137, "reason": "Error", "finishedAt": ago(3)});
    let mut state = deployment(container, crashed(1, &end));
    state.events = vec![
        event(
            "Unhealthy",
            "Liveness probe failed: dial tcp 10.244.0.29:8000: connect: connection refused",
            6,
            4,
        ),
        event(
            "Killing",
            "Container c failed liveness probe, will be restarted",
            2,
            4,
        ),
    ];
    check(
        &state,
        true,
        &[
            "container `c` of deployment/web is killed again and again: it does not pass its liveness probe",
            "because a connection to port 8000 is refused: nothing listens there at the pod's address",
        ],
    );
}

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

#[test]
fn a_quota_that_is_full() {
    let message = "pods \"web-5vrt7\" is forbidden: exceeded quota: onyxia-quota, requested: count/pods=1, used: count/pods=3, limited: count/pods=3";
    let lines = [
        "the pods of deployment/web exceed quota `onyxia-quota`",
        "because pods: used 3, requested 1, limit 3",
    ];
    check(&refused(message, 6), true, &lines);
    check(&refused(message, 1), false, &lines);
}

#[test]
fn a_quota_that_is_too_small_is_final_at_once() {
    let message = "pods \"web-mxjt7\" is forbidden: exceeded quota: onyxia-quota, requested: limits.cpu=3,requests.cpu=1500m, used: limits.cpu=0,requests.cpu=0, limited: limits.cpu=2,requests.cpu=1";
    check(
        &refused(message, 0),
        true,
        &[
            "the pods of deployment/web exceed quota `onyxia-quota`",
            "because cpu limits: requested 3, limit 2",
            "because cpu requests: requested 1500m, limit 1",
            "do request less: `spec.template.spec.containers[0].resources.limits.cpu`, `spec.template.spec.containers[0].resources.requests.cpu`",
        ],
    );
}

#[test]
fn an_update_that_wants_one_pod_more_than_the_quota() {
    let message = "pods \"web-new-1\" is forbidden: exceeded quota: onyxia-quota, requested: limits.memory=1Gi, used: limits.memory=2Gi, limited: limits.memory=2Gi";
    let mut state = refused(message, 9);
    state.pods = vec![pod("web-old-a", "ReplicaSet", "old", &json!({}), json!({}))];
    let (is_final, text) = told(&state);
    assert!(
        is_final && text.contains("\"maxSurge\":0,\"maxUnavailable\":1"),
        "{text}"
    );
}

#[test]
fn a_quota_that_wants_to_be_told() {
    check(
        &refused(
            "pods \"web-lx4wb\" is forbidden: failed quota: onyxia-quota: must specify limits.cpu for: c; limits.memory for: c; requests.cpu for: c; requests.memory for: c",
            0,
        ),
        true,
        &[
            "deployment/web must say how much it needs",
            "because the quota `onyxia-quota` counts limits.cpu, limits.memory, requests.cpu, requests.memory, and its containers do not set them",
            "do set `spec.template.spec.containers[0].resources`, such as `{requests: {cpu: 100m, memory: 128Mi}, limits: {cpu: 500m, memory: 256Mi}}`",
        ],
    );
}

#[test]
fn limits_of_a_namespace() {
    check(
        &refused(
            "pods \"web-drw75\" is forbidden: [maximum cpu usage per Container is 500m, but limit is 3, maximum memory usage per Container is 512Mi, but limit is 1Gi, cpu max limit to request ratio per Container is 2, but provided ratio is 5.000000]",
            0,
        ),
        true,
        &[
            "deployment/web is outside the namespace's LimitRange",
            "because cpu: requested 3, maximum 500m",
            "because memory: requested 1Gi, maximum 512Mi",
            "because cpu: the limit may be 2 times the request, and is 5 times",
            "do correct `spec.template.spec.containers[0].resources.limits.cpu`, `spec.template.spec.containers[0].resources.limits.memory`",
        ],
    );
    check(
        &refused(
            "pods \"web-1\" is forbidden: [minimum cpu usage per Container is 50m, but request is 10m, minimum memory usage per Container is 32Mi.  No request is specified]",
            0,
        ),
        true,
        &[
            "deployment/web is outside the namespace's LimitRange",
            "because cpu: requested 10m, minimum 50m",
            "because memory: a request of at least 32Mi must be set",
        ],
    );
}

#[test]
fn pod_security_field_by_field() {
    check(
        &refused(
            "pods \"web-0\" is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \"c\" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container \"c\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")",
            0,
        ),
        true,
        &[
            "the pods of deployment/web violate Pod Security `restricted`",
            "because a program may gain rights: `allowPrivilegeEscalation` is not false",
            "because it keeps capabilities of root: `capabilities.drop` is not `[ALL]`",
            "because it may run as root: `runAsNonRoot` is not true",
            "because its system calls are not filtered: `seccompProfile.type` is not `RuntimeDefault`",
            "do set in `spec.template.spec.containers[0].securityContext` of each container: `{allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}, runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}`",
        ],
    );
    let (_, text) = told(&refused(
        "pods \"web-0\" is forbidden: violates PodSecurity \"baseline:v1.35\": host namespaces (hostNetwork=true), hostPort (container \"c\" uses hostPort 80), privileged (container \"c\" must not set securityContext.privileged=true), non-default capabilities (container \"c\" must not include \"NET_ADMIN\" in securityContext.capabilities.add), hostPath volumes (volume \"h\")",
        0,
    ));
    for words in [
        "Pod Security `baseline`",
        "hostNetwork=true",
        "a Service needs none",
        "`privileged`",
        "not allowed: NET_ADMIN",
        "volume \"h\"",
        "leave out",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn other_refusals() {
    check(
        &refused(
            "pods \"web-\" is forbidden: error looking up service account alice/robot: serviceaccount \"robot\" not found",
            4,
        ),
        true,
        &[
            "service account `robot`, which deployment/web runs as, does not exist",
            "because `spec.template.spec.serviceAccountName` names it",
        ],
    );
    check(
        &refused(
            "admission webhook \"validate.kyverno.svc-fail\" denied the request: resource Pod/alice/web-1 was blocked: require-labels",
            0,
        ),
        true,
        &[
            "an admission policy rejected the pods of deployment/web",
            "because admission webhook `validate.kyverno.svc-fail`: resource Pod/alice/web-1 was blocked: require-labels",
        ],
    );
    check(
        &refused(
            "Internal error occurred: failed calling webhook \"mutate.example.com\": failed to call webhook: Post \"https://x.svc:443/?timeout=10s\": dial tcp 10.0.0.1:443: connect: connection refused",
            2,
        ),
        false,
        &[
            "the cluster cannot check the pods of deployment/web",
            "because its admission webhook `mutate.example.com` does not answer",
        ],
    );
    check(
        &refused(
            "Pod \"web-1\" is invalid: spec.containers[0].image: Invalid value: \"busybox:1 \": must not have leading or trailing whitespace",
            0,
        ),
        true,
        &[
            "the cluster rejected the pods of deployment/web",
            "because spec.containers[0].image: Invalid value: \"busybox:1 \": must not have leading or trailing whitespace",
        ],
    );
}

#[test]
fn what_a_statefulset_was_refused_before_it_was_changed_is_past() {
    let mut state = stateful(json!({}), json!({}));
    state.pods.clear();
    let refused = |seconds: i64| -> Event {
        read(
            json!({"reason": "FailedCreate", "message": "create Pod web-0 in StatefulSet web failed error: pods \"web-0\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true)",
            "firstTimestamp": ago(300), "lastTimestamp": ago(seconds), "involvedObject": {"kind": "StatefulSet", "name": "web", "uid": "d"}}),
        )
    };
    state.events = vec![refused(30)];
    assert!(
        diagnose(&state).findings.is_empty(),
        "the definition is from 25 seconds ago"
    );
    state.events = vec![refused(2)];
    check(
        &state,
        true,
        &["the pods of statefulset/web violate Pod Security `restricted`"],
    );
}

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
            "deployment/web is to have no pods",
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
