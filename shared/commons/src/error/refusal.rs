//! What an API server says when it refuses, and what that means for the person who asked.

use kube::core::Status;

use super::{Connection, Error, Failed, Kind, Request, over, transport};
use crate::printable;
use crate::shell::shell;

/// Puts a failed request into words.
pub fn explain(error: &kube::Error, request: &Request<'_>, connection: &Connection) -> Error {
    match error {
        kube::Error::Api(status) => explain_status(status, request, connection),
        kube::Error::Service(error) => match error.downcast_ref() {
            Some(Failed(error)) => error.clone(),
            None => transport::explain(&**error, connection),
        },
        kube::Error::SerdeError(_) => transport::unintelligible(connection).caused_by("it is not JSON of the form that was asked for"),
        kube::Error::FromUtf8(_) => transport::unintelligible(connection).caused_by("it is not text"),
        kube::Error::UpgradeConnection(error) => Error::new(format!("the API server at {} does not open a tunnel{}", connection.server, request.place()))
            .caused_by(printable::short(&error.to_string(), 300))
            .hint("a proxy between here and the API server may refuse WebSockets: ask your cluster administrator"),
        other => transport::explain(other, connection),
    }
}

fn explain_status(status: &Status, request: &Request<'_>, connection: &Connection) -> Error {
    let message = status.message.as_str();
    match status.code {
        401 => explain_unauthorized(connection),
        // Where anybody may ask, who shows no credentials is told of the rights of nobody.
        403 if connection.credential.is_empty()
            && message.contains("User \"system:anonymous\"") =>
        {
            explain_unauthorized(connection)
        }
        // kube makes a Status of its own where the answer holds none.
        400..500 if status.reason.starts_with("Failed to parse") => {
            let error = transport::unintelligible(connection).caused_by(said(message));
            // An API server answers so for an API group that it does not have.
            if status.code == 404 {
                error.as_kind(Kind::NotServed)
            } else {
                error
            }
        }
        400 if message.contains("HTTP request to an HTTPS server") => {
            transport::unintelligible(connection)
                .without_hints()
                .caused_by("it speaks TLS")
                .hint("write `https://` in its address: `kubectl config view --minify`")
        }
        // Gatekeeper's webhook refuses with 403, others with 400 or 422; a policy of the API server's own with 422.
        400..500 if is_rule(message) => explain_rule(message, request),
        403 => explain_forbidden(message, request),
        404 => explain_not_found(status, request),
        409 => explain_conflict(status, request),
        413 => Error::new(format!("{} is too large for the cluster", request.object()))
            .caused_by(said(message)),
        429 => Error::of(
            Kind::Unreachable,
            format!(
                "the API server at {} is overloaded (429)",
                connection.server
            ),
        )
        .caused_by(said(message))
        .hint("try again in a moment"),
        400 | 422 => wrong_fields(status).into_iter().fold(
            Error::new(format!(
                "the cluster does not accept {}{}",
                request.object(),
                request.place()
            )),
            Error::caused_by,
        ),
        500.. if message.contains("calling webhook ") => Error::new(format!(
            "the cluster could not check {}{}",
            request.object(),
            request.place()
        ))
        .caused_by(format!(
            "its admission webhook {} does not answer",
            webhook(message).unwrap_or_default()
        ))
        .hint("ask your cluster administrator, or try again later"),
        500.. => Error::of(
            Kind::Unreachable,
            format!(
                "the API server at {} failed ({})",
                connection.server, status.code
            ),
        )
        .caused_by(said(message))
        .hint("try again in a moment"),
        code => Error::new(format!(
            "the API server refused to {} {}{} ({code})",
            request.verb,
            request.object(),
            request.place()
        ))
        .caused_by(said(message)),
    }
}

/// What may be in a name, as API servers say it and in plain words.
const FORMS: [(&str, &str); 3] = [
    (
        "a lowercase RFC 1123 subdomain must consist of",
        "it may have lower-case letters, digits, `-` and `.`, a letter or digit first and last",
    ),
    (
        "a lowercase RFC 1123 label must consist of",
        "it may have lower-case letters, digits and `-`, a letter or digit first and last",
    ),
    (
        "a DNS-1035 label must consist of",
        "it may have lower-case letters, digits and `-`, a letter first",
    ),
];

/// What is wrong with which field, each as one line; else what the API server says.
fn wrong_fields(status: &Status) -> Vec<String> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let fields: Vec<String> = causes
        .filter(|cause| !cause.field.is_empty() && !cause.message.is_empty())
        .take(8)
        .map(|cause| {
            let form = FORMS.iter().find_map(|(theirs, ours)| {
                let (before, _) = cause.message.split_once(theirs)?;
                Some(format!("{before}{ours}"))
            });
            // The form as a regular expression comes after an example, or alone.
            let end = [", and must ", " (e.g. ", ", regex used"]
                .iter()
                .filter_map(|mark| cause.message.find(mark))
                .min();
            let why = form
                .as_deref()
                .unwrap_or(&cause.message[..end.unwrap_or(cause.message.len())]);
            let why = match why.split_once("quantities must match ") {
                Some((before, _)) => format!("{before}not a quantity"),
                None => why.to_owned(),
            };
            format!("`{}`: {}", printable::short(&cause.field, 200), said(&why))
        })
        .collect();
    if fields.is_empty() {
        vec![said(&status.message)]
    } else {
        fields
    }
}

/// The API server's own words, as one line with single spaces.
fn said(message: &str) -> String {
    if message.trim_start().starts_with('<') {
        return "it answered with a web page: something stands between here and the API server"
            .into();
    }
    let words: Vec<&str> = message.split_whitespace().collect();
    if words.is_empty() {
        "it did not say why".into()
    } else {
        printable::short(&words.join(" "), 600)
    }
}

fn explain_unauthorized(connection: &Connection) -> Error {
    let renew = "get a new kubeconfig (on Onyxia: My account, Kubernetes) or log in again";
    let refused = |what: &str| {
        Error::of(
            Kind::Unauthorized,
            format!(
                "the API server at {} does not accept {what}",
                connection.server
            ),
        )
    };
    if connection.credential.is_empty() {
        return refused("requests without credentials")
            .caused_by("the kubeconfig's context names no user")
            .hint(renew);
    }
    match connection.expires {
        Some(expires) if expires <= jiff::Timestamp::now() => {
            over(&format!("the token expired at {expires:.0}"))
        }
        _ => refused(&connection.credential)
            .hint(format!("the credentials may have expired: {renew}")),
    }
}

fn explain_forbidden(message: &str, request: &Request<'_>) -> Error {
    let place = request.place();
    let forbidden = |text: String| Error::of(Kind::Forbidden, text);
    if message.contains("exceeded quota") || message.contains("failed quota") {
        return forbidden(format!(
            "the quota{place} does not allow {}",
            request.object()
        ))
        .caused_by(said(message))
        .hint(format!(
            "see what is used: `{}`",
            shell("kubectl describe resourcequota").option("-n", request.namespace)
        ));
    }
    if message.contains("unable to create new content in namespace") {
        return forbidden(format!(
            "namespace `{}` is being deleted",
            printable::line(request.namespace.unwrap_or_default())
        ))
        .hint("use another one with `--namespace`");
    }
    if message.contains("attempting to grant RBAC permissions not currently held") {
        return forbidden(format!(
            "cannot give away rights that you do not have yourself{place}"
        ))
        .caused_by(said(message))
        .hint(format!(
            "see your own rights: `{}`",
            shell("kubectl auth can-i --list").option("-n", request.namespace)
        ));
    }
    if message.contains("cannot impersonate") {
        return forbidden("not allowed to impersonate another user (`--as`)".into())
            .caused_by(said(message));
    }
    if message.contains("is forbidden: User") || message.contains(" cannot ") {
        return forbidden(format!(
            "not allowed to {} {}{place}",
            request.verb, request.resource
        ))
        .caused_by(said(message))
        .hints_from(rights_hints(request.namespace));
    }
    forbidden(format!(
        "the cluster refused to {} {}{place}",
        request.verb,
        request.object()
    ))
    .caused_by(said(message))
}

/// What to do about missing rights, on the platforms this is made for.
pub fn rights_hints(namespace: Option<&str>) -> [String; 2] {
    let look = shell("kubectl auth can-i --list").option("-n", namespace);
    [
        format!("see what you may do there: `{look}`"),
        "in a service of Onyxia (VSCode, Jupyter): relaunch it with Kubernetes role `admin`, or use the kubeconfig of your account page".into(),
    ]
}

fn explain_not_found(status: &Status, request: &Request<'_>) -> Error {
    let missing = |text: String| Error::of(Kind::NotFound, text);
    let message = status.message.as_str();
    let place = request.place();
    if message.contains("could not find the requested resource") {
        return missing(format!("this cluster does not serve {}", request.resource))
            .caused_by(said(message));
    }
    if message.starts_with("namespaces ") {
        return missing(format!(
            "namespace `{}` not found",
            printable::line(request.namespace.unwrap_or_default())
        ))
        .hint("see which one you use: `kubectl config view --minify`");
    }
    // Not what was asked for may be missing, but something that it refers to.
    let other = status.details.as_ref().filter(|details| {
        !details.name.is_empty()
            && (details.name != request.name || !request.resource.starts_with(&details.kind))
    });
    match other {
        Some(other) => missing(format!(
            "{} `{}`, which {} refers to, not found{place}",
            printable::short(other.kind.trim_end_matches('s'), 80),
            printable::short(&other.name, 253),
            request.object()
        )),
        None => missing(format!("{} not found{place}", request.object())),
    }
}

fn explain_conflict(status: &Status, request: &Request<'_>) -> Error {
    let object = request.object();
    let place = request.place();
    if status.reason == "AlreadyExists" {
        return Error::of(
            Kind::AlreadyExists,
            format!("{object} exists already{place}"),
        )
        .hint("run the command again");
    }
    // Server-side apply: another manager has set one of our fields.
    if status.message.starts_with("Apply failed with") {
        return Error::of(
            Kind::Conflict,
            format!("{object}{place} was changed by hand or by another program"),
        )
        .caused_by(said(&status.message))
        .hint(format!(
            "if that was not meant, delete it and run the command again: `{}`",
            shell("kubectl delete")
                .arg(&request.noun)
                .arg(request.name)
                .option("-n", request.namespace)
        ));
    }
    Error::of(
        Kind::Conflict,
        format!("{object}{place} was changed by another client at the same time"),
    )
    .caused_by(said(&status.message))
    .hint("run the command again")
}

/// Whether it is a policy of the cluster that refuses.
fn is_rule(message: &str) -> bool {
    (message.contains("admission webhook ") && message.contains("denied the request"))
        || message.contains("ValidatingAdmissionPolicy ")
}

fn explain_rule(message: &str, request: &Request<'_>) -> Error {
    let cause = match (webhook(message), message.split_once("denied the request:")) {
        (Some(name), Some((_, why))) => format!("admission webhook {name}: {}", said(why)),
        (Some(name), None) => format!("admission webhook {name} denied it"),
        (None, _) => said(message),
    };
    Error::new(format!(
        "a rule of the cluster refuses {}{}",
        request.object(),
        request.place()
    ))
    .caused_by(cause)
    .hint("this is a rule of the cluster: ask your cluster administrator")
}

/// The name of the admission webhook in a message of the API server.
fn webhook(message: &str) -> Option<String> {
    let after = message
        .split_once("admission webhook ")
        .or_else(|| message.split_once("calling webhook "))?
        .1;
    let name = after.strip_prefix('"')?.split('"').next()?;
    Some(format!("`{}`", printable::short(name, 100)))
}
