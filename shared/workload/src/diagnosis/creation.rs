//! Pods that the API server does not let a controller make: quotas, limits, Pod Security, webhooks.

use jiff::Timestamp;

use super::{
    Report, SETTLES, amount, ask_for_less, between, containers_field, pod_field, said, there,
};
use crate::Kind;
use crate::remedy::Remedy;
use crate::seen::Event;
use crate::state::State;
use commons::error::Error;
use commons::printable;
use commons::quantity::Quantity;
use commons::shell::shell;

/// For how long a quota may be full while pods end, in seconds.
const QUOTA: i64 = 5;
/// For how long a webhook may not answer, in seconds.
const WEBHOOK: i64 = 8;

/// Whether making pods is refused, and why.
pub(super) fn refused(state: &State, report: &mut Report) {
    let made = i64::try_from(state.new_pods().count()).unwrap_or(i64::MAX);
    if made >= state.desired() {
        return;
    }
    if let Some((message, since)) = refusal(state) {
        let lasts = state.since(since).as_secs();
        explain(state, message, lasts, report);
    }
}

/// What was said last, and since when: the new `ReplicaSet`'s condition, or the events of a controller that keeps no such
/// condition.
fn refusal(state: &State) -> Option<(&str, Option<Timestamp>)> {
    let workload = state.workload.as_ref()?;
    if state.rollout.kind == Kind::Deployment {
        let holder = match state.replica_sets {
            Some(_) => state.new_replica_set()?,
            None => workload,
        };
        let failure =
            holder.status.conditions.iter().find(|condition| {
                condition.type_ == "ReplicaFailure" && condition.status == "True"
            })?;
        return Some((&failure.message, failure.last_transition_time));
    }
    let last = state
        .events_of(&workload.metadata.uid)
        .rfind(|event| matches!(event.reason.as_str(), "FailedCreate" | "SuccessfulCreate"))?;
    // Older events tell of an older definition.
    let changed = workload
        .metadata
        .managed_fields
        .iter()
        .filter(|entry| entry.subresource.is_empty())
        .filter_map(|entry| entry.time)
        .max();
    let is_current =
        |event: &Event| event.last().map(Timestamp::as_second) > changed.map(Timestamp::as_second);
    (last.reason == "FailedCreate" && is_current(last)).then(|| {
        (
            last.message.as_str(),
            last.first_timestamp.or(last.last()).max(changed),
        )
    })
}

fn explain(state: &State, message: &str, lasts: i64, report: &mut Report) {
    let reference = state.reference();
    let why = message
        .split_once("is forbidden: ")
        .or_else(|| message.split_once("is invalid: "))
        .map_or(message, |(_, why)| why);
    if let Some((_, quota)) = why.split_once("exceeded quota: ") {
        let (never, error) = exceeded(state, quota);
        let frees = state.leaving_pods().next().is_some();
        report.add(never || (lasts >= QUOTA && !frees), error);
    } else if let Some((_, quota)) = why.split_once("failed quota: ") {
        report.add(true, unspecified(state, quota));
    } else if let Some((_, violations)) = why.split_once("violates PodSecurity ") {
        report.add(true, insecure(state, violations));
    } else if why.contains("usage per ") || why.contains("limit to request ratio per ") {
        report.add(true, outside_limits(state, why));
    } else if let Some(account) = between(why, "serviceaccount \"", "\" not found") {
        let account = printable::short(account, 253);
        report.add(
            lasts >= SETTLES,
            Error::new(format!(
                "service account `{account}`, which {reference} runs as, does not exist"
            ))
            .caused_by(format!(
                "`{}` names it",
                pod_field(state, "serviceAccountName")
            ))
            .hint(format!(
                "create it: `{}`; or leave the field out",
                there(state, shell("kubectl create serviceaccount").arg(&account))
            )),
        );
    } else if let Some((_, denied)) = message.split_once("denied the request:") {
        let webhook = between(message, "admission webhook \"", "\"").unwrap_or_default();
        report.add(
            true,
            Error::new(format!(
                "an admission policy rejected the pods of {reference}"
            ))
            .caused_by(format!(
                "admission webhook `{}`: {}",
                printable::short(webhook, 100),
                said(denied)
            ))
            .hint("change what it objects to; the rule itself is the cluster's"),
        );
    } else if message.contains("calling webhook") {
        let webhook = between(message, "webhook \"", "\"").unwrap_or_default();
        report.add(
            lasts >= WEBHOOK,
            Error::new(format!("the cluster cannot check the pods of {reference}"))
                .caused_by(format!(
                    "its admission webhook `{}` does not answer",
                    printable::short(webhook, 100)
                ))
                .hint("ask your cluster administrator, or try again later"),
        );
    } else {
        let certain =
            message.contains("is invalid: ") || message.contains("ValidatingAdmissionPolicy");
        report.add(
            certain || lasts >= WEBHOOK,
            Error::new(format!("the cluster rejected the pods of {reference}"))
                .caused_by(said(why)),
        );
    }
}

/// What a resource of a quota is called, and which field asks for it.
fn resource(state: &State, name: &str) -> (String, Option<String>) {
    let field = |part: &str| Some(containers_field(state, &format!("resources.{part}")));
    let name = printable::short(name, 80);
    match name.as_str() {
        "cpu" => ("cpu requests".into(), field("requests.cpu")),
        "memory" => ("memory requests".into(), field("requests.memory")),
        "pods" | "count/pods" => ("pods".into(), Some("spec.replicas".into())),
        "requests.storage" => (
            "storage".into(),
            Some("spec.volumeClaimTemplates[].spec.resources.requests.storage".into()),
        ),
        "persistentvolumeclaims" | "count/persistentvolumeclaims" => ("volume claims".into(), None),
        other => match other.split_once('.') {
            Some((kind @ ("requests" | "limits"), resource)) => (
                format!("{resource} {kind}"),
                field(&format!("{kind}.{resource}")),
            ),
            _ => (name, None),
        },
    }
}

/// `NAME, requested: a=1,b=2, used: a=0,b=1, limited: a=1,b=1`, and whether it can never fit.
fn exceeded(state: &State, text: &str) -> (bool, Error) {
    let name = text.split(',').next().unwrap_or_default();
    let list = |from: &str, to: &str| -> Vec<(String, String)> {
        let part = if to.is_empty() {
            text.split_once(from).map(|(_, part)| part)
        } else {
            between(text, from, to)
        };
        part.unwrap_or_default()
            .split(',')
            .filter_map(|entry| entry.trim().split_once('='))
            .map(|(resource, amount)| (resource.to_owned(), printable::short(amount, 30)))
            .collect()
    };
    let requested = list("requested: ", ", used: ");
    let used = list("used: ", ", limited: ");
    let limited = list("limited: ", "");
    let of = |list: &[(String, String)], wanted: &str| {
        list.iter()
            .find(|(resource, _)| resource == wanted)
            .map(|(_, amount)| amount.clone())
            .unwrap_or_default()
    };
    let mut error = Error::new(format!(
        "the pods of {} exceed quota `{}`",
        state.reference(),
        printable::short(name, 253)
    ));
    let mut never = false;
    let mut fields: Vec<(String, Option<String>)> = Vec::new();
    for (wanted, amount) in &requested {
        let (words, field) = resource(state, wanted);
        let (used, limit) = (of(&used, wanted), of(&limited, wanted));
        let amounts = (amount.parse::<Quantity>(), limit.parse::<Quantity>());
        let too_much = matches!(amounts, (Ok(amount), Ok(limit)) if amount > limit);
        never |= too_much;
        error = error.caused_by(if too_much {
            format!("{words}: requested {amount}, limit {limit}")
        } else {
            format!("{words}: used {used}, requested {amount}, limit {limit}")
        });
        if field.as_deref() == Some("spec.replicas") && amounts.1 == Ok(Quantity::default()) {
            error =
                error.hint("nobody may run pods in this namespace: ask your cluster administrator");
        } else {
            let field = field.filter(|field| !fields.iter().any(|(known, _)| known == field));
            fields.extend(field.map(|field| (field, Some(amount.clone()))));
        }
    }
    if requested.is_empty() {
        error = error.caused_by(said(text));
    }
    if !never && state.old_pods().next().is_some() {
        error = error.hint(format!(
            "an update runs old and new pods side by side; let it first end one: `{}`",
            there(
                state,
                shell("kubectl patch").arg(state.reference()).then(
                    "--patch '{\"spec\":{\"strategy\":{\"rollingUpdate\":{\"maxSurge\":0,\"maxUnavailable\":1}}}}'"
                )
            )
        ));
    }
    if !fields.is_empty() {
        error = error.hint(ask_for_less(&fields));
    }
    if !never {
        error = error.hint(format!(
            "or stop something else; see what there is: `{}`, `{}`",
            there(state, shell("kubectl describe resourcequota")),
            there(state, shell("kubectl get pods"))
        ));
    }
    (never, error)
}

/// `NAME: must specify limits.cpu for: web; limits.memory for: web`
fn unspecified(state: &State, text: &str) -> Error {
    let (name, rest) = text.split_once(": must specify ").unwrap_or((text, ""));
    let wanted: Vec<&str> = rest
        .split([';', ','])
        .filter_map(|part| part.trim().split(" for:").next())
        .filter(|part| !part.is_empty())
        .collect();
    let error =
        Error::new(format!("{} must say how much it needs", state.reference())).caused_by(format!(
            "the quota `{}` counts {}, and the containers do not set it",
            printable::short(name, 253),
            printable::short(&wanted.join(", "), 200)
        ));
    let part = |kind: &str| {
        let entries: Vec<String> = wanted
            .iter()
            .filter_map(|resource| {
                let (prefix, resource) = resource.split_once('.').unwrap_or(("requests", resource));
                (prefix == kind).then(|| match (kind, resource) {
                    ("requests", "cpu") => "cpu: 100m".into(),
                    ("limits", "cpu") => "cpu: 500m".into(),
                    ("requests", "memory") => "memory: 128Mi".into(),
                    ("limits", "memory") => "memory: 256Mi".into(),
                    _ => format!("{}: ...", printable::short(resource, 60)),
                })
            })
            .collect();
        (!entries.is_empty()).then(|| format!("{kind}: {{{}}}", entries.join(", ")))
    };
    let example: Vec<String> = ["requests", "limits"]
        .into_iter()
        .filter_map(part)
        .collect();
    error.hint(format!(
        "set `{}`, such as `{{{}}}`",
        containers_field(state, "resources"),
        example.join(", ")
    ))
}

/// `[maximum cpu usage per Container is 500m, but limit is 3, minimum ...]`
fn outside_limits(state: &State, text: &str) -> Error {
    let mut error = Error::new(format!(
        "{} is outside the namespace's LimitRange",
        state.reference()
    ));
    let mut fields: Vec<String> = Vec::new();
    let text = text.trim().trim_start_matches('[').trim_end_matches(']');
    // Each statement has a comma of its own, before `but`.
    let joined = text
        .replace(", but ", " but ")
        .replace(".  No ", " but no ");
    for statement in joined.split(", ") {
        let words: Vec<&str> = statement.split_whitespace().collect();
        let is_ratio = statement.contains("limit to request ratio");
        let (bound, resource) = match words[..] {
            [bound @ ("maximum" | "minimum"), resource, ..] => (bound, resource),
            [resource, ..] if is_ratio => ("ratio", resource),
            _ => {
                error = error.caused_by(said(statement));
                continue;
            }
        };
        let limit = statement
            .split_once(" is ")
            .map(|(_, rest)| rest.split(' ').next().unwrap_or_default())
            .unwrap_or_default();
        let asked = statement
            .rsplit_once(" is ")
            .map(|(_, asked)| asked)
            .unwrap_or_default();
        let (kind, words) = match bound {
            "maximum" if statement.contains("but no limit") => (
                "limits",
                format!("{resource}: a limit of at most {limit} must be set"),
            ),
            "minimum" if statement.contains("but no request") => (
                "requests",
                format!("{resource}: a request of at least {limit} must be set"),
            ),
            "maximum" => (
                if statement.contains("but request is") {
                    "requests"
                } else {
                    "limits"
                },
                format!("{resource}: requested {asked}, maximum {limit}"),
            ),
            "minimum" => (
                if statement.contains("but limit is") {
                    "limits"
                } else {
                    "requests"
                },
                format!("{resource}: requested {asked}, minimum {limit}"),
            ),
            _ => {
                let asked = asked.trim_end_matches('0').trim_end_matches('.');
                (
                    "limits",
                    format!(
                        "{resource}: the limit may be {limit} times the request, and is {asked} times"
                    ),
                )
            }
        };
        error = error.caused_by(printable::short(&words, 200));
        let field = containers_field(state, &format!("resources.{kind}.{resource}"));
        if !fields.contains(&field) {
            fields.push(field);
        }
    }
    error
        .hint(
            Remedy::Bounds(fields.iter().filter_map(|field| amount(field)).collect())
                .hint(format!("correct `{}`", fields.join("`, `"))),
        )
        .hint(format!(
            "see the bounds: `{}`",
            there(state, shell("kubectl describe limitrange"))
        ))
}

/// What Pod Security wants otherwise, in its own words, in ours, and the setting that it wants; `None` for what nobody may have. The
/// detail in parentheses is added where ours end in a colon.
const VIOLATIONS: [(&str, &str, Option<&str>); 8] = [
    (
        "allowPrivilegeEscalation != false",
        "a program may gain rights: `allowPrivilegeEscalation` is not false",
        Some("allowPrivilegeEscalation: false"),
    ),
    (
        "runAsNonRoot != true",
        "it may run as root: `runAsNonRoot` is not true",
        Some("runAsNonRoot: true"),
    ),
    (
        "runAsUser=0",
        "it runs as root: `runAsUser` is 0",
        Some("runAsUser: 1000"),
    ),
    (
        "seccompProfile",
        "its system calls are not filtered: `seccompProfile.type` is not `RuntimeDefault`",
        Some("seccompProfile: {type: RuntimeDefault}"),
    ),
    ("privileged", "it wants to be `privileged`", None),
    (
        "host namespaces",
        "it wants to share the node's namespaces:",
        None,
    ),
    (
        "hostPort",
        "it takes a port of the node (`hostPort`); a Service needs none",
        None,
    ),
    (
        "restricted volume types",
        "it mounts what it may not:",
        None,
    ),
];

/// `"restricted:latest": allowPrivilegeEscalation != false (container "web" must set ...), runAsNonRoot != true (...)`
fn insecure(state: &State, text: &str) -> Error {
    let (level, violations) = text.split_once("\": ").unwrap_or(("", text));
    let level = level
        .trim_start_matches('"')
        .split(':')
        .next()
        .unwrap_or_default();
    let mut error = Error::new(format!(
        "the pods of {} violate Pod Security `{}`",
        state.reference(),
        printable::short(level, 40)
    ));
    let violations: Vec<Violation> = at_top_level(violations)
        .into_iter()
        .map(Violation::of)
        .collect();
    for violation in &violations {
        error = error.caused_by(&violation.words);
    }
    let settings: Vec<&str> = violations
        .iter()
        .filter_map(|violation| violation.set)
        .collect();
    if !settings.is_empty() {
        error = error.hint(Remedy::Privileges.hint(format!(
            "set in `{}` of each container: `{{{}}}`",
            containers_field(state, "securityContext"),
            settings.join(", ")
        )));
    }
    if violations.iter().any(|violation| violation.must_go) {
        error = error.hint("leave out what it names above: nobody may have it in this namespace");
    }
    error
}

/// One thing that Pod Security does not allow.
struct Violation {
    words: String,
    /// The setting that it wants.
    set: Option<&'static str>,
    /// Whether it has something that nobody may have.
    must_go: bool,
}

impl Violation {
    fn of(text: &str) -> Self {
        let (what, detail) = text.split_once(" (").unwrap_or((text, ""));
        let what = match what {
            "unrestricted capabilities" | "non-default capabilities" => {
                return Self::of_capabilities(detail);
            }
            "hostPath volumes" => "restricted volume types",
            what => what,
        };
        let Some((_, words, set)) = VIOLATIONS.iter().find(|(known, ..)| *known == what) else {
            return Self {
                words: said(text),
                set: None,
                must_go: true,
            };
        };
        Self {
            words: if words.ends_with(':') {
                format!("{words} {}", said(detail.trim_end_matches(')')))
            } else {
                (*words).to_owned()
            },
            set: *set,
            must_go: set.is_none(),
        }
    }

    fn of_capabilities(detail: &str) -> Self {
        let adds: Vec<&str> = detail
            .match_indices("must not include ")
            .filter_map(|(at, mark)| detail.get(at + mark.len()..)?.split(" in ").next())
            .collect();
        let set = detail
            .contains("drop")
            .then_some("capabilities: {drop: [ALL]}");
        let words = if adds.is_empty() {
            "it keeps capabilities of root: `capabilities.drop` is not `[ALL]`".to_owned()
        } else {
            let adds = printable::short(&adds.join(", ").replace('"', ""), 100);
            format!("it adds capabilities that are not allowed: {adds}")
        };
        Self {
            words,
            set,
            must_go: !adds.is_empty(),
        }
    }
}

/// The parts between commas that stand in no parentheses.
fn at_top_level(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    text.split(move |c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|part| !part.is_empty())
    .collect()
}
