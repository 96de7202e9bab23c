//! Pods that the API server does not admit.

use super::*;

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
            "because the quota `onyxia-quota` counts limits.cpu, limits.memory, requests.cpu, requests.memory, and the containers do not set it",
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
