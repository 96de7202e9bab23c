//! Images that are not there, may not be had, or fit no machine here.

use super::{ContainerPlace, Report, pod_field, said, there};
use crate::remedy::Remedy;
use crate::seen::ContainerStatus;
use commons::error::{Error, Hint};
use commons::printable;
use commons::shell::shell;

/// Why an image was not pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    RateLimited,
    WrongPlatform,
    UnknownHost,
    Certificate,
    NotTls,
    NoRegistry,
    Denied,
    NotFound,
    /// Nothing answers at its address.
    Refused,
    /// The way there is slow or breaks.
    Unreachable,
    RegistryFailed,
    NoSpace,
    Other,
}

/// How a failure goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    /// The next attempt ends as this one did, or comes too late to wait for: the kubelet's first pause is 10 seconds.
    Stays,
    /// It may pass; by this time after the pod's start there is nothing more to hope for.
    ForSeconds,
    /// It often passes with the next attempt.
    UntilTheNext,
}

/// How long something may fail that the next attempt perhaps mends, in seconds after the pod's start.
const PATIENCE: i64 = 8;

/// Whose words mean what; the first row that matches holds. containerd's and CRI-O's, Go's network errors, and registries' own.
const WORDS: &[(&[&str], Cause)] = &[
    (
        &[
            "toomanyrequests",
            "429 Too Many Requests",
            "pull rate limit",
            "TOOMANYREQUESTS",
        ],
        Cause::RateLimited,
    ),
    (
        &[
            "no match for platform",
            "no image found in image index for architecture",
            "no image found in manifest list for architecture",
            "does not match the specified platform",
        ],
        Cause::WrongPlatform,
    ),
    (&["no such host"], Cause::UnknownHost),
    (&["x509:", "tls: failed to verify"], Cause::Certificate),
    (
        &[
            "server gave HTTP response to HTTPS client",
            "first record does not look like a TLS handshake",
        ],
        Cause::NotTls,
    ),
    (
        &[
            "unqualified-search registries",
            "short-name resolution enforced",
        ],
        Cause::NoRegistry,
    ),
    (&["no space left on device"], Cause::NoSpace),
    (
        &[
            "pull access denied",
            "insufficient_scope",
            "authorization failed",
            "failed to authorize",
            "unauthorized",
            "401 Unauthorized",
            "403 Forbidden",
            "requested access to the resource is denied",
            "authentication required",
            "no basic auth credentials",
            "denied: ",
        ],
        Cause::Denied,
    ),
    (
        &[
            ": not found",
            "manifest unknown",
            "name unknown",
            "404 Not Found",
            "not found: manifest",
            "repository does not exist",
        ],
        Cause::NotFound,
    ),
    (
        &[
            "connection refused",
            "no route to host",
            "network is unreachable",
        ],
        Cause::Refused,
    ),
    (
        &[
            "i/o timeout",
            "connection reset",
            "TLS handshake timeout",
            "context deadline exceeded",
            "server misbehaving",
            "Temporary failure in name resolution",
            "unexpected EOF",
        ],
        Cause::Unreachable,
    ),
    (
        &[
            "500 Internal Server Error",
            "502 Bad Gateway",
            "503 Service Unavailable",
            "504 Gateway Time",
            "RegistryUnavailable",
        ],
        Cause::RegistryFailed,
    ),
];

/// What a runtime's message means.
pub(super) fn cause(message: &str) -> Cause {
    WORDS
        .iter()
        .find(|(words, _)| words.iter().any(|word| message.contains(word)))
        .map_or(Cause::Other, |(_, cause)| *cause)
}

/// The registry that an image's name leads to.
pub(super) fn registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => "docker.io",
    }
}

/// A container whose image is not there.
pub(super) fn not_pulled(at: &ContainerPlace<'_>, status: &ContainerStatus, report: &mut Report) {
    let Some(waiting) = &status.state.waiting else {
        return;
    };
    match waiting.reason.as_str() {
        "InvalidImageName" => report.add(true, invalid(at, &waiting.message)),
        "ErrImageNeverPull" => report.add(true, never_pulled(at)),
        "ErrImagePull"
        | "ImagePullBackOff"
        | "ImageInspectError"
        | "RegistryUnavailable"
        | "SignatureValidationFailed" => {
            let failures = failures(at);
            // Kubelets before 1.31 say the cause only once, and then only that they wait.
            let text = match failures.last() {
                Some((text, _)) if cause(&waiting.message) == Cause::Other => *text,
                _ => &waiting.message,
            };
            let times: i64 = failures.iter().map(|(_, times)| times).sum();
            let waited = at.state.since(at.pod.status.start_time).as_secs();
            let cause = cause(text);
            let is_final = match cause.course() {
                Course::Stays => true,
                Course::ForSeconds => times >= 2 || waited >= PATIENCE,
                // Where events may not be read nobody counts.
                Course::UntilTheNext => times >= 2 || (failures.is_empty() && waited > 20),
            };
            report.add(is_final, explain(at, cause, text));
        }
        _ => {}
    }
}

/// The failed pulls of this container's image: what was said, and how often.
fn failures<'a>(at: &ContainerPlace<'a>) -> Vec<(&'a str, i64)> {
    let name = at.container.name.as_str();
    at.state
        .events_of(&at.pod.metadata.uid)
        .filter(|event| {
            event.container() == Some(name) && event.message.starts_with("Failed to pull image")
        })
        .map(|event| (event.message.as_str(), event.times()))
        .collect()
}

impl Cause {
    fn course(self) -> Course {
        match self {
            Self::RateLimited
            | Self::WrongPlatform
            | Self::UnknownHost
            | Self::Certificate
            | Self::NotTls
            | Self::NoRegistry
            | Self::Denied
            | Self::NotFound
            | Self::Refused => Course::Stays,
            Self::RegistryFailed | Self::Other => Course::ForSeconds,
            Self::Unreachable | Self::NoSpace => Course::UntilTheNext,
        }
    }
}

/// The words for it.
fn explain(at: &ContainerPlace<'_>, cause: Cause, text: &str) -> Error {
    let image = printable::short(&at.container.image, 200);
    let host = printable::short(registry(&at.container.image), 100);
    let correct = Remedy::Image.hint(format!(
        "correct the image: `{}` (field `{}`)",
        there(
            at.state,
            shell("kubectl set image")
                .arg(at.state.reference())
                .arg(format!("{}=IMAGE", at.container.name))
        ),
        at.field("image")
    ));
    let pull = |why: &str| {
        Error::new(format!(
            "image `{image}` of {} cannot be pulled",
            at.subject()
        ))
        .caused_by(why.to_owned())
    };
    match cause {
        Cause::NotFound => Error::new(format!("image `{image}` of {} does not exist", at.subject()))
                .caused_by(format!("the registry {host} has no such name or no such tag"))
                .hint(correct),
        Cause::Denied => denied(at, &image, &host, correct),
        Cause::RateLimited => pull(&format!("the registry {host} gives out no more for now: too many images were pulled from this cluster (429)"))
                .hint("wait and try again, or take the same image from another registry")
            .hint(format!("with an account there one may pull more: {}", secret(at, &host))),
        Cause::WrongPlatform => pull("there is no variant of it for this cluster's processors")
                .hint("build it for them: `docker buildx build --platform linux/amd64 ...` (or linux/arm64, as the nodes are)"),
        Cause::UnknownHost => pull(&format!("there is no registry called {host}")).hint(correct),
        Cause::Certificate => pull(&format!("the certificate of the registry {host} is not trusted here"))
                .caused_by(tail(text))
                .hint("tell your cluster administrator, or use another registry meanwhile"),
        Cause::NotTls => pull(&format!("the registry {host} does not speak TLS, and the cluster asks for it"))
                .hint("tell your cluster administrator, or use another registry meanwhile"),
        Cause::NoRegistry => pull("its name does not say which registry it is in, and this cluster takes none for granted")
                .hint(Remedy::Image.hint(format!("write it in full, such as `docker.io/library/{image}`: `{}`", at.field("image")))),
        Cause::Refused | Cause::Unreachable => pull(&format!("the cluster cannot reach the registry {host}"))
                .caused_by(tail(text))
                .hint(correct)
                .hint("if the name is right, ask your cluster administrator whether its nodes may reach that registry"),
        Cause::RegistryFailed => pull(&format!("the registry {host} fails")).caused_by(tail(text)).hint("try again later"),
        Cause::NoSpace => pull("the node's disk is full").hint("tell your cluster administrator, or use a smaller image"),
        Cause::Other => pull(&said(text)).hint(correct),
    }
}

/// A registry gives the same answer for what is private and for what does not exist.
fn denied(at: &ContainerPlace<'_>, image: &str, host: &str, correct: Hint) -> Error {
    let error = Error::new(format!(
        "image `{image}` of {} is not given out by the registry {host}",
        at.subject()
    ));
    let secrets: Vec<&str> = at
        .pod
        .spec
        .image_pull_secrets
        .iter()
        .map(|secret| secret.name.as_str())
        .collect();
    let absent = at
        .state
        .events_of(&at.pod.metadata.uid)
        .rev()
        .find(|event| event.reason == "FailedToRetrieveImagePullSecret")
        .and_then(|event| super::between(&event.message, "(", ")"));
    match (absent, secrets.first()) {
        (Some(absent), _) => error
            .caused_by(format!(
                "secret `{}` of `{}` does not exist",
                printable::short(absent, 253),
                pod_field(at.state, "imagePullSecrets")
            ))
            .hint(credentials(at, host)),
        (None, Some(secret)) => error
            .caused_by(format!(
                "it does not exist, or the credentials in secret `{}` are not accepted",
                printable::short(secret, 253)
            ))
            .hint(correct)
            .hint(format!(
                "if the name is right, make the secret anew: `{}`, then {}",
                there(at.state, shell("kubectl delete secret").arg(secret)),
                new_secret(at, host, secret)
            )),
        (None, None) => error
            .caused_by(
                "it does not exist, or it is private and the cluster has no credentials for it",
            )
            .hint(correct)
            .hint(credentials(at, host)),
    }
}

fn credentials(at: &ContainerPlace<'_>, host: &str) -> String {
    format!("if it is private: {}", secret(at, host))
}

/// How credentials for a registry are put down.
fn new_secret(at: &ContainerPlace<'_>, host: &str, name: &str) -> String {
    let server = if host == "docker.io" {
        "https://index.docker.io/v1/"
    } else {
        host
    };
    format!(
        "`{}`",
        there(
            at.state,
            shell("kubectl create secret docker-registry")
                .arg(name)
                .equals("--docker-server", server)
                .then("--docker-username=NAME --docker-password=TOKEN")
        )
    )
}

/// How the cluster is given credentials for a registry.
fn secret(at: &ContainerPlace<'_>, host: &str) -> String {
    format!(
        "{}, then `imagePullSecrets: [{{name: pull}}]` in `{}`",
        new_secret(at, host, "pull"),
        pod_field(at.state, "imagePullSecrets").trim_end_matches(".imagePullSecrets")
    )
}

fn invalid(at: &ContainerPlace<'_>, message: &str) -> Error {
    let error = Error::new(format!(
        "`{}` of {} cannot be the name of an image",
        printable::short(&at.container.image, 200),
        at.subject()
    ));
    let error = match message.rsplit_once("invalid reference format") {
        Some((_, why)) if why.trim_start_matches(':').trim().is_empty() => {
            error.caused_by("it is not of the form REGISTRY/NAME:TAG")
        }
        Some((_, why)) => error.caused_by(said(why.trim_start_matches(':'))),
        None => error.caused_by(said(message)),
    };
    error.hint(Remedy::Image.hint(format!(
        "correct `{}`: REGISTRY/NAME:TAG, in lower case",
        at.field("image")
    )))
}

fn never_pulled(at: &ContainerPlace<'_>) -> Error {
    Error::new(format!(
        "image `{}` of {} is not on the node",
        printable::short(&at.container.image, 200),
        at.subject()
    ))
    .caused_by("its definition forbids to pull it (`imagePullPolicy: Never`)")
    .hint(format!(
        "set `{}` to `IfNotPresent`",
        at.field("imagePullPolicy")
    ))
}

/// The end of a chain of errors, where the cause stands.
fn tail(text: &str) -> String {
    let tail = text
        .rsplit_once("failed to do request: ")
        .or_else(|| text.rsplit_once("pinging container registry "))
        .or_else(|| text.rsplit_once("failed with status code "))
        .or_else(|| text.rsplit_once("\": "))
        .map_or(text, |(_, tail)| tail);
    printable::short(&said(tail), 240)
}
