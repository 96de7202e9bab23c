//! Images that cannot be pulled.

use super::*;

pub(super) fn image(image: &str, reason: &str, message: &str) -> State {
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
