//! What went wrong, why, and what to do about it: the one form in which every failure reaches the user.
//!
//! An error is a phrase (`error: ...`), the causes below it and hints, each one action. Everything that a cluster, a
//! kubeconfig or the network can answer is put into words here and nowhere else, so that no raw client error is ever shown.

use std::error::Error as StdError;

use kube::core::Status;
use kube::core::response::StatusDetails;

use crate::printable;

/// A result whose error is for the user.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure it is, for code that goes on differently (and for the exit code).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The command was typed wrongly: exit code 2.
    Usage,
    /// Stopped by the signal of this number: exit code 128 + number.
    Signal(i32),
    /// A child command ended with this code, which becomes ours; nothing is printed.
    Child(i32),
    /// Whoever read our output has closed it: nothing is printed, exit code 0.
    ClosedPipe,
    /// The API server could not be reached, or did not answer in time.
    Unreachable,
    /// The API server does not know who asks (401).
    Unauthorized,
    /// The API server knows who asks and refuses (403).
    Forbidden,
    /// What was asked for does not exist (404).
    NotFound,
    /// It exists already (409, `AlreadyExists`).
    AlreadyExists,
    /// It was changed by somebody else at the same time, or another field manager owns the field (409).
    Conflict,
    /// Every other failure: exit code 1.
    Failed,
}

/// A failure as the user will read it.
#[derive(Clone, Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    causes: Vec<String>,
    hints: Vec<String>,
}

impl Error {
    /// A failure said in one lower-case phrase without a full stop.
    pub fn new(message: impl Into<String>) -> Self {
        Self::of(Kind::Failed, message)
    }

    /// A failure of a certain kind.
    pub fn of(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            causes: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// The command was typed wrongly.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::of(Kind::Usage, message)
    }

    /// What it was caused by, one phrase; the first added is shown first.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// One thing to do about it, commands in backticks.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same failure seen from a step higher: `message` takes the place of the phrase, which becomes its first cause.
    #[must_use]
    pub fn context(mut self, message: impl Into<String>) -> Self {
        let inner = std::mem::replace(&mut self.message, message.into());
        self.causes.insert(0, inner);
        self
    }

    /// The same failure without hints, for when the caller knows better ones.
    #[must_use]
    pub fn without_hints(mut self) -> Self {
        self.hints.clear();
        self
    }

    /// What sort of failure it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The phrase.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The causes, outermost first.
    pub fn causes(&self) -> &[String] {
        &self.causes
    }

    /// The hints.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }

    /// The process's exit code for this failure.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Usage => 2,
            Kind::Signal(number) => u8::try_from(128 + number).unwrap_or(1),
            Kind::Child(code) => u8::try_from(code).unwrap_or(1),
            Kind::ClosedPipe => 0,
            _ => 1,
        }
    }
}

impl From<std::io::Error> for Error {
    /// For writes to standard output, the one place where an I/O error needs no words of its own.
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            Self::of(Kind::ClosedPipe, "closed pipe")
        } else {
            Self::new("cannot write the output").caused_by(error.to_string())
        }
    }
}

/// What was asked of the API server, to be named when it fails.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The verb as RBAC names it.
    pub verb: &'static str,
    /// The resource as RBAC names it, with its subresource: `pods/portforward`.
    pub resource: String,
    /// What the user calls one of these: `job`, `role binding`.
    pub noun: String,
    /// The object's name, empty for lists.
    pub name: &'a str,
    /// The namespace, if it has one.
    pub namespace: Option<&'a str>,
}

impl Request<'_> {
    fn object(&self) -> String {
        if self.name.is_empty() {
            format!("{}s", self.noun)
        } else {
            format!("{} `{}`", self.noun, printable::line(self.name))
        }
    }

    fn place(&self) -> String {
        self.namespace
            .map(|namespace| format!(" in namespace `{}`", printable::line(namespace)))
            .unwrap_or_default()
    }
}

/// Where a request was sent, as far as it is needed to explain its failure.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// The API server's address.
    pub server: String,
    /// The kubeconfig's context, empty inside a cluster.
    pub context: String,
    /// The words for how one is known there: `user "alice"`.
    pub credential: String,
    /// The program that the kubeconfig runs for credentials, empty if none.
    pub plugin: String,
    /// When the credential ends, if it tells.
    pub expires: Option<jiff::Timestamp>,
}

/// Puts a failed request into words.
pub fn explain(error: &kube::Error, request: &Request<'_>, connection: &Connection) -> Error {
    match error {
        kube::Error::Api(status) => explain_status(status, request, connection),
        kube::Error::Auth(error) => explain_auth(error, &connection.plugin),
        kube::Error::SerdeError(error) => unintelligible(connection).caused_by(printable::short(&error.to_string(), 300)),
        kube::Error::FromUtf8(_) => unintelligible(connection).caused_by("it is not text"),
        kube::Error::UpgradeConnection(error) => Error::new(format!("the API server at {} does not open a tunnel{}", connection.server, request.place()))
            .caused_by(printable::short(&error.to_string(), 300))
            .hint("a proxy between here and the API server may refuse WebSockets: ask who runs the cluster"),
        other => explain_transport(other, connection),
    }
}

fn unintelligible(connection: &Connection) -> Error {
    Error::new(format!(
        "the answer of {} is not one of a Kubernetes API server",
        connection.server
    ))
    .hint("check the server's address: `kubectl config view --minify`")
}

/// The API server's own refusals.
fn explain_status(status: &Status, request: &Request<'_>, connection: &Connection) -> Error {
    let said = printable::short(&status.message, 600);
    let object = request.object();
    let place = request.place();
    match (status.code, status.reason.as_str()) {
        (401, _) => explain_unauthorized(connection),
        (403, _) if quota_exceeded(&status.message) => Error::of(
            Kind::Forbidden,
            format!("the quota{place} does not allow {object}"),
        )
        .caused_by(said)
        .hint("see what is used: `kubectl describe resourcequota`"),
        (403, _)
            if status
                .message
                .contains("unable to create new content in namespace") =>
        {
            Error::of(
                Kind::Forbidden,
                format!(
                    "the namespace{} is being deleted",
                    place.strip_prefix(" in namespace").unwrap_or_default()
                ),
            )
            .hint("use another one with `--namespace`")
        }
        (403, _) if said.contains("attempting to grant RBAC permissions not currently held") => {
            Error::of(
                Kind::Forbidden,
                format!("cannot give away rights that you do not have yourself{place}"),
            )
            .caused_by(said)
            .hint("see your own rights: `kubectl auth can-i --list`")
        }
        (403, _)
            if status.message.contains("is forbidden: User")
                || status.message.contains("cannot ") =>
        {
            Error::of(
                Kind::Forbidden,
                format!(
                    "not allowed to {} {}{}",
                    request.verb, request.resource, place
                ),
            )
            .caused_by(said)
            .hint(rights_hint())
        }
        (403, _) => Error::of(
            Kind::Forbidden,
            format!("the cluster refused {object}{place}"),
        )
        .caused_by(said),
        (404, _)
            if status.details.as_ref().is_some_and(names_no_object)
                || status
                    .message
                    .contains("could not find the requested resource") =>
        {
            Error::of(
                Kind::NotFound,
                format!("this cluster does not serve {}", request.resource),
            )
            .caused_by(said)
        }
        (404, _) if status.message.starts_with("namespaces ") => Error::of(
            Kind::NotFound,
            format!(
                "namespace `{}` not found",
                request.namespace.unwrap_or_default()
            ),
        )
        .hint("see which one you use: `kubectl config view --minify`"),
        (404, _) => match status.details.as_ref().filter(|details| {
            details.name != request.name || !request.resource.starts_with(&details.kind)
        }) {
            // Not what was asked for is missing, but something that it refers to.
            Some(other) if !other.name.is_empty() => Error::of(
                Kind::NotFound,
                format!(
                    "{} `{}`, which {object} refers to, not found{place}",
                    printable::short(other.kind.trim_end_matches('s'), 80),
                    printable::short(&other.name, 253)
                ),
            ),
            _ => Error::of(Kind::NotFound, format!("{object} not found{place}")),
        },
        (409, "AlreadyExists") => Error::of(
            Kind::AlreadyExists,
            format!("{object} exists already{place}"),
        ),
        (409, _) => Error::of(
            Kind::Conflict,
            format!("{object}{place} was changed by somebody else at the same time"),
        )
        .caused_by(said)
        .hint("run the command again"),
        (413, _) => Error::new(format!("{object} is too large for the cluster")).caused_by(said),
        (429, _) => Error::of(
            Kind::Unreachable,
            format!("the API server at {} has too much to do", connection.server),
        )
        .caused_by(said)
        .hint("try again in a moment"),
        (500.., _) if webhook(&status.message).is_some() => {
            Error::new(format!("the cluster could not check {object}{place}"))
                .caused_by(format!(
                    "its admission webhook {} does not answer",
                    webhook(&status.message).unwrap_or_default()
                ))
                .caused_by(said)
                .hint("this is for the cluster's administrators to repair; try again later")
        }
        (400 | 422, _) if webhook(&status.message).is_some() => {
            Error::new(format!("a rule of the cluster refuses {object}{place}"))
                .caused_by(format!(
                    "admission webhook {}",
                    webhook(&status.message).unwrap_or_default()
                ))
                .caused_by(said)
                .hint("the rule is the cluster's, not this command's: ask who runs it")
        }
        (400 | 422, _) => {
            Error::new(format!("the cluster does not accept {object}{place}")).caused_by(said)
        }
        (500.., _) => Error::of(
            Kind::Unreachable,
            format!(
                "the API server at {} failed ({})",
                connection.server, status.code
            ),
        )
        .caused_by(if said.is_empty() {
            "it did not say why".into()
        } else {
            said
        })
        .hint("try again in a moment"),
        (code, _) => Error::new(format!(
            "the API server refused to {} {object}{place} ({code})",
            request.verb
        ))
        .caused_by(said),
    }
}

/// A 404 for the resource type itself carries no object name.
fn names_no_object(details: &StatusDetails) -> bool {
    details.name.is_empty()
        && details.kind.is_empty()
        && details
            .causes
            .iter()
            .any(|cause| cause.reason == "UnexpectedServerResponse")
}

fn quota_exceeded(message: &str) -> bool {
    message.contains("exceeded quota") || message.contains("failed quota")
}

/// The name of the admission webhook in a message of the API server, with its quotes.
fn webhook(message: &str) -> Option<String> {
    let after = message
        .split_once("admission webhook ")
        .or_else(|| message.split_once("calling webhook "))?
        .1;
    let name = after.strip_prefix('"')?.split('"').next()?;
    Some(format!("`{}`", printable::short(name, 100)))
}

/// What to do about missing rights, on the platforms this is made for.
pub fn rights_hint() -> String {
    "see what you may do here: `kubectl auth can-i --list`; in an Onyxia service, relaunch it with Kubernetes role `admin`, or use the kubeconfig of your account page".into()
}

fn explain_unauthorized(connection: &Connection) -> Error {
    let who = if connection.credential.is_empty() {
        "these credentials"
    } else {
        connection.credential.as_str()
    };
    let error = Error::of(
        Kind::Unauthorized,
        format!(
            "the API server at {} does not accept {who}",
            connection.server
        ),
    );
    match connection.expires {
        Some(expires) => error
            .caused_by(format!("they expired at {expires:.0}"))
            .hint("get a new kubeconfig (on Onyxia: My account, Kubernetes) or log in again"),
        None => error.hint("they may have expired: get a new kubeconfig (on Onyxia: My account, Kubernetes) or log in again"),
    }
}

fn explain_auth(error: &kube::client::AuthError, program: &str) -> Error {
    use kube::client::AuthError as A;
    let failed = Error::of(Kind::Unauthorized, "cannot get credentials for the cluster");
    match error {
        A::AuthExecStart(error) => failed
            .caused_by(format!(
                "its credential plugin `{program}` cannot be started: {error}"
            ))
            .hint("install it, or use another kubeconfig"),
        A::AuthExecRun { out, .. } => {
            let said = String::from_utf8_lossy(&out.stderr);
            let failed = failed.caused_by(format!(
                "its credential plugin `{program}` ended with {}",
                out.status
            ));
            let last = said.lines().rev().find(|line| !line.trim().is_empty());
            match last {
                Some(last) => failed.caused_by(printable::short(last, 300)),
                None => failed,
            }
            .hint("log in again, then retry")
        }
        A::AuthExecParse(_) | A::ExecPluginFailed | A::AuthExec(_) => failed
            .caused_by(format!(
                "its credential plugin `{program}` gave no usable answer"
            ))
            .hint("log in again, then retry"),
        A::ReadTokenFile(error, path) => failed.caused_by(format!(
            "cannot read the token file {}: {error}",
            path.display()
        )),
        A::InvalidBearerToken(_) => failed
            .caused_by("the token has characters that no token has")
            .hint("copy the token anew, on one line"),
        other => failed.caused_by(printable::short(&other.to_string(), 300)),
    }
}

/// No answer at all: name resolution, connection, TLS, time.
fn explain_transport(error: &kube::Error, connection: &Connection) -> Error {
    let chain = chain(error);
    let all = chain.join(": ");
    let server = &connection.server;
    let away = |why: String| {
        Error::of(
            Kind::Unreachable,
            format!("cannot reach the API server at {server}"),
        )
        .caused_by(why)
    };
    if all.contains("UnknownIssuer")
        || all.contains("BadSignature")
        || all.contains("CaUsedAsEndEntity")
        || all.contains("self-signed")
    {
        return away(
            "its certificate is not signed by the authority that the kubeconfig names".into(),
        )
        .hint("get a new kubeconfig; a proxy that inspects TLS also does this");
    }
    if all.contains("NotValidForName") || all.contains("not valid for name") {
        return away("its certificate is for another host name".into())
            .hint("check the server's address: `kubectl config view --minify`");
    }
    if all.contains("invalid peer certificate: Expired") || all.contains("certificate expired") {
        return away("its certificate has expired".into())
            .hint("check this machine's clock, then tell who runs the cluster");
    }
    if all.contains("dns error") || all.contains("failed to lookup address") {
        return away("its name is not known to this machine's DNS".into())
            .hint("check the network or VPN, then the address: `kubectl config view --minify`");
    }
    if all.contains("Connection refused") {
        return away("nothing listens there (connection refused)".into())
            .hint("check the address: `kubectl config view --minify`");
    }
    if all.contains("Network is unreachable") || all.contains("No route to host") {
        return away("there is no way there from this network".into())
            .hint("check the network or VPN");
    }
    if all.contains("timed out") || all.contains("deadline has elapsed") {
        return away("it did not answer in time".into())
            .hint("check the network or VPN; `--request-timeout` waits longer");
    }
    if all.contains("Connection reset")
        || all.contains("connection closed before message completed")
        || all.contains("IncompleteMessage")
        || all.contains("unexpected EOF")
        || all.contains("UnexpectedEof")
    {
        return away("it closed the connection without an answer".into())
            .hint("try again in a moment");
    }
    if all.contains("InvalidMessage")
        || all.contains("InvalidContentType")
        || all.contains("corrupt message")
    {
        return away("what answers there does not speak TLS".into()).hint(
            "check the address (`http` or `https`, the port): `kubectl config view --minify`",
        );
    }
    if all.contains("invalid HTTP") || all.contains("Parse(") || all.contains("error parsing") {
        return unintelligible(connection);
    }
    if all.contains("proxy") {
        return away(printable::short(
            chain.last().map_or("", String::as_str),
            300,
        ))
        .hint("check `proxy-url` in the kubeconfig and HTTPS_PROXY");
    }
    away(printable::short(
        chain.last().map_or("", String::as_str),
        300,
    ))
    .hint("check the address: `kubectl config view --minify`")
}

/// An error and its sources, outermost first, as text.
fn chain(error: &dyn StdError) -> Vec<String> {
    let mut chain = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        chain.push(error.to_string());
        next = error.source();
    }
    chain
}

/// The names closest to what was typed, best first, for a hint.
pub fn close_names<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut close: Vec<(f64, &str)> = names
        .into_iter()
        .map(|name| {
            let contains = !typed.is_empty() && (name.contains(typed) || typed.contains(name));
            (
                strsim::jaro_winkler(typed, name).max(if contains { 0.85 } else { 0.0 }),
                name,
            )
        })
        .filter(|(score, _)| *score >= 0.8)
        .collect();
    close.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    close.dedup_by(|a, b| a.1 == b.1);
    close.into_iter().take(3).map(|(_, name)| name).collect()
}

/// "did you mean" for names that are close, or the names there are, or nothing.
pub fn name_hint<'a>(
    typed: &str,
    names: impl IntoIterator<Item = &'a str> + Clone,
) -> Option<String> {
    let quoted = |names: &[&str]| {
        names
            .iter()
            .map(|name| format!("`{}`", printable::line(name)))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let close = close_names(typed, names.clone());
    if !close.is_empty() {
        return Some(format!("did you mean {}?", quoted(&close)));
    }
    let mut all: Vec<&str> = names.into_iter().collect();
    all.sort_unstable();
    all.dedup();
    match all.len() {
        0 => None,
        1..=8 => Some(format!("there are: {}", quoted(&all))),
        n => Some(format!("there are {n}, among them {}", quoted(&all[..8]))),
    }
}
