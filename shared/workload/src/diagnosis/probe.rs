//! Probes that fail: the kubelet asks the pod at its own address, and tells what it got.

use super::{ContainerPlace, Report, logs, said};
use crate::remedy::Remedy;
use crate::seen::{ContainerStatus, Event, Probe, Terminated};
use commons::error::{Error, Hint};
use commons::printable;

/// For how long a page may be absent while an app starts, in seconds.
const STARTS: i64 = 8;
/// A kill follows the probe that failed within this time, in seconds, if the pod's own time to end is not very long.
const KILL: i64 = 60;

/// Which probe an event tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Readiness,
    Liveness,
    Startup,
}

impl Which {
    /// Which one, and what was said.
    fn read(event: &Event) -> Option<(Self, &str)> {
        if event.reason != "Unhealthy" {
            return None;
        }
        [
            ("Readiness probe ", Self::Readiness),
            ("Liveness probe ", Self::Liveness),
            ("Startup probe ", Self::Startup),
        ]
        .into_iter()
        .find_map(|(start, which)| {
            let rest = event.message.strip_prefix(start)?;
            Some((which, rest.split_once(": ")?.1))
        })
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Readiness => "readiness",
            Self::Liveness => "liveness",
            Self::Startup => "startup",
        }
    }

    fn field(self) -> &'static str {
        match self {
            Self::Readiness => "readinessProbe",
            Self::Liveness => "livenessProbe",
            Self::Startup => "startupProbe",
        }
    }

    fn of<'a>(self, at: &ContainerPlace<'a>) -> Option<&'a Probe> {
        match self {
            Self::Readiness => at.container.readiness_probe.as_ref(),
            Self::Liveness => at.container.liveness_probe.as_ref(),
            Self::Startup => at.container.startup_probe.as_ref(),
        }
    }
}

/// A container that runs and is not ready. That is no reason to give up (it may be slow), unless it has long been answering
/// that there is no such page, or no right to see it.
pub(super) fn failing(at: &ContainerPlace<'_>, status: &ContainerStatus, report: &mut Report) {
    let Some(running) = status.state.running.as_ref().filter(|_| !status.ready) else {
        return;
    };
    let latest = at
        .state
        .events_of(&at.pod.metadata.uid)
        .rev()
        .filter(|event| event.container() == Some(&at.container.name))
        .filter(|event| event.last() >= running.started_at)
        .find_map(|event| Which::read(event).map(|(which, text)| (event, which, text)));
    let Some((event, which, text)) = latest else {
        return;
    };
    let answers_no = status_code(text).is_some_and(|code| matches!(code, 400..=499) && code != 429);
    let lasts = at.state.since(running.started_at).as_secs() >= STARTS && event.times() >= 3;
    report.add(answers_no && lasts, explain(at, which, text, false));
}

/// Whether it was a probe that ended a container; if so it is said.
pub(super) fn killed(
    at: &ContainerPlace<'_>,
    end: &Terminated,
    report: &mut Report,
    runs_again: bool,
) -> bool {
    if end.reason == "OOMKilled" {
        return false;
    }
    // A busy node sends events late or not at all, but a program that is told to end by a probe ends like this.
    let told_to_end = matches!(end.exit_code, 137 | 143);
    let just_before = |event: &Event| {
        event
            .last()
            .zip(end.finished_at)
            .is_some_and(|(last, finished)| finished.duration_since(last).as_secs().abs() <= KILL)
    };
    let mut kills = 0;
    let mut found = None;
    for event in at
        .state
        .events_of(&at.pod.metadata.uid)
        .filter(|event| event.container() == Some(&at.container.name))
    {
        if event.reason == "Killing"
            && (event.message.contains("failed liveness probe")
                || event.message.contains("failed startup probe"))
        {
            kills += event.times();
        }
        if (told_to_end || just_before(event))
            && let Some((which @ (Which::Liveness | Which::Startup), text)) = Which::read(event)
        {
            found = Some((which, text));
        }
    }
    let Some((which, text)) = found.filter(|_| kills > 0) else {
        return false;
    };
    report.add(!runs_again && kills >= 2, explain(at, which, text, true));
    true
}

/// The code of an HTTP answer in the kubelet's words.
fn status_code(text: &str) -> Option<u16> {
    text.split_once("HTTP probe failed with statuscode: ")?
        .1
        .split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

/// What was asked: `GET /health on port 8000`.
fn question(probe: Option<&Probe>) -> String {
    let port = |value: &serde_json::Value| match value {
        serde_json::Value::String(name) => printable::short(name, 20),
        other => other.to_string(),
    };
    match probe {
        Some(Probe {
            http_get: Some(get),
            ..
        }) => {
            let path = if get.path.is_empty() { "/" } else { &get.path };
            format!(
                "`GET {}` on port {}",
                printable::short(path, 100),
                port(&get.port)
            )
        }
        Some(Probe {
            tcp_socket: Some(socket),
            ..
        }) => format!("a connection to port {}", port(&socket.port)),
        Some(Probe {
            grpc: Some(socket), ..
        }) => format!("a gRPC health check on port {}", port(&socket.port)),
        Some(Probe {
            exec: Some(exec), ..
        }) => format!("`{}`", printable::short(&exec.command.join(" "), 100)),
        _ => "the probe".into(),
    }
}

/// Where the probe's target stands.
fn target(at: &ContainerPlace<'_>, which: Which, probe: Option<&Probe>, part: &str) -> String {
    let kind = match probe {
        Some(Probe {
            http_get: Some(_), ..
        }) => "httpGet",
        Some(Probe {
            tcp_socket: Some(_),
            ..
        }) => "tcpSocket",
        Some(Probe { grpc: Some(_), .. }) => "grpc",
        _ => return at.field(&format!("{}.exec.command", which.field())),
    };
    at.field(&format!("{}.{kind}.{part}", which.field()))
}

fn explain(at: &ContainerPlace<'_>, which: Which, text: &str, killed: bool) -> Error {
    let probe = which.of(at);
    let asked = question(probe);
    let error = not_passed(at, which, killed);
    if let Some(code) = status_code(text) {
        let error = error.caused_by(format!("{asked} is answered with {code}"));
        return error.hint(after_code(at, which, probe, code));
    }
    if text.contains("connection refused") {
        let port = target(at, which, probe, "port");
        return error
            .caused_by(format!("{asked} is refused: nothing listens there at the pod's address"))
            .hint(Remedy::Port.hint(format!("if it listens on another port, correct `{port}`")))
            .hint("if it listens on 127.0.0.1 (or localhost), let it listen on 0.0.0.0: only that is seen from outside")
            .hints_from(slow(at, which));
    }
    if text.contains("HTTP response to HTTPS client") || text.contains("malformed HTTP response") {
        let scheme = if text.contains("to HTTPS client") {
            "HTTP"
        } else {
            "HTTPS"
        };
        let field = target(at, which, probe, "scheme");
        return error
            .caused_by(format!(
                "{asked} is answered, but not in the scheme that was expected"
            ))
            .hint(format!("set `{field}` to `{scheme}`"));
    }
    if TIMED_OUT.iter().any(|word| text.contains(word)) {
        let field = at.field(&format!("{}.timeoutSeconds", which.field()));
        return error
            .caused_by(format!("{asked} gets no answer in time"))
            .hint(format!(
                "raise `{field}`, or ask something that is answered at once"
            ))
            .hints_from(slow(at, which));
    }
    let error = error.caused_by(if text.trim().is_empty() {
        format!("{asked} fails without a word")
    } else {
        format!("{asked} fails: {}", said(text))
    });
    error.hint(format!(
        "correct `{}`, or what it asks",
        at.field(which.field())
    ))
}

/// How kubelets and their clients say that nothing came in time.
const TIMED_OUT: [&str; 5] = [
    "Client.Timeout",
    "context deadline exceeded",
    "i/o timeout",
    "timed out",
    "timeout:",
];

fn not_passed(at: &ContainerPlace<'_>, which: Which, killed: bool) -> Error {
    let (subject, name) = (at.subject(), which.as_str());
    Error::new(if killed {
        format!("{subject} is killed again and again: it does not pass its {name} probe")
    } else {
        format!("{subject} runs, but does not pass its {name} probe")
    })
}

/// What to do about an HTTP status code.
fn after_code(at: &ContainerPlace<'_>, which: Which, probe: Option<&Probe>, code: u16) -> String {
    let path = || target(at, which, probe, "path");
    match code {
        404 => format!("correct the path: `{}`", path()),
        401 | 403 => format!("let it ask a page that needs no login: `{}`", path()),
        _ => format!("the app itself says that it is not well: `{}`", logs(at)),
    }
}

/// A probe that kills may only be too early.
fn slow(at: &ContainerPlace<'_>, which: Which) -> Option<Hint> {
    let field = match which {
        Which::Readiness => return None,
        Which::Startup => "startupProbe.failureThreshold",
        Which::Liveness => "livenessProbe.initialDelaySeconds",
    };
    Some(Remedy::Patience.hint(format!(
        "if it only needs longer to start, raise `{}`",
        at.field(field)
    )))
}
