//! Pods that no node takes.

use super::{
    Report, SETTLES, ask_for_less, between, containers_field, pod_field, said, there, volume,
};
use crate::seen::Pod;
use crate::state::State;
use commons::error::{Error, Hint};
use commons::labels;
use commons::printable;
use commons::shell::shell;

/// For how long nodes may be full while other pods end, in seconds.
const PATIENCE: i64 = 8;

/// A pod without a node.
pub(super) fn unschedulable(state: &State, pod: &Pod, report: &mut Report) {
    let Some(condition) = pod
        .condition("PodScheduled")
        .filter(|condition| condition.status == "False")
    else {
        return;
    };
    let waited = state.since(condition.last_transition_time).as_secs();
    if condition.reason == "SchedulingGated" {
        report.add(
            false,
            Error::new(format!("the pods of {} are held back", state.reference()))
                .caused_by("something in the cluster (Kueue does this) decides when they may start")
                .hint(format!(
                    "see its gates: `{}`",
                    there(state, shell("kubectl get pod").arg(&pod.metadata.name)).then("-o yaml")
                )),
        );
        return;
    }
    let message = condition.message.as_str();
    if let Some(claim) = between(message, "persistentvolumeclaim \"", "\" not found") {
        volume::missing_claim(state, claim, waited >= SETTLES, report);
        return;
    }
    if message.contains("unbound immediate PersistentVolumeClaims") {
        volume::unbound(state, pod, waited, report);
        return;
    }
    let comes = state
        .events_of(&pod.metadata.uid)
        .any(|event| event.reason == "TriggeredScaleUp");
    let leaving = state.leaving_pods().next().is_some();
    report.add(
        waited >= PATIENCE && !comes && !leaving,
        no_node(state, pod, message),
    );
}

fn no_node(state: &State, pod: &Pod, message: &str) -> Error {
    let error = Error::new(format!("no node matches the pods of {}", state.reference()));
    let reasons = reasons(message);
    if reasons.is_empty() {
        return error.caused_by(said(message)).hint(format!(
            "see what the scheduler says: `{}`",
            there(state, shell("kubectl describe pod").arg(&pod.metadata.name))
        ));
    }
    let mut error = error;
    let mut hints: Vec<Hint> = Vec::new();
    for (nodes, reason) in reasons {
        let (words, hint) = words(state, pod, reason);
        error = error.caused_by(match nodes {
            0 => words,
            1 => format!("1 node {words}"),
            n => format!("{n} nodes {words}"),
        });
        if let Some(hint) = hint.filter(|hint| !hints.contains(hint)) {
            hints.push(hint);
        }
    }
    let error = error.hints_from(hints);
    if message.contains("Insufficient ") {
        return error.hint(format!(
            "or stop something else of yours; see what there is: `{}`",
            there(state, shell("kubectl get pods"))
        ));
    }
    error
}

/// The scheduler's reasons, each with how many nodes it holds for: `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had
/// untolerated taint {a: b}. preemption: ...`
fn reasons(message: &str) -> Vec<(u32, &str)> {
    let Some((_, rest)) = message.split_once("nodes are available: ") else {
        return Vec::new();
    };
    let end = [". preemption: ", ". no new claims", ". not found"]
        .iter()
        .filter_map(|mark| rest.find(mark))
        .min()
        .unwrap_or(rest.len());
    let rest = rest.get(..end).unwrap_or(rest).trim_end_matches('.');
    let mut depth = 0_i32;
    rest.split(move |c: char| {
        match c {
            '{' | '(' => depth += 1,
            '}' | ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|part| !part.is_empty())
    .map(|part| match part.split_once(' ') {
        Some((count, reason)) => count.parse().map_or((0, part), |count| (count, reason)),
        None => (0, part),
    })
    .collect()
}

/// What to do about a reason, if anything.
type Advice = fn(&State) -> Option<String>;

/// Reasons of the scheduler by a part of their text, in words that go on from "2 nodes".
const KNOWN: [(&str, &str, Advice); 12] = [
    (
        "Too many pods",
        "with as many pods as it may have",
        |state| {
            Some(format!(
                "try again when others have ended, or ask your cluster administrator: `{}`",
                there(state, shell("kubectl get pods"))
            ))
        },
    ),
    (
        "had volume node affinity conflict",
        "where its volume cannot be",
        |state| {
            Some(format!(
                "the volume is in another place: see `{}`",
                pod_field(state, "volumes")
            ))
        },
    ),
    (
        "available persistent volumes to bind",
        "without a volume for its claim",
        |state| {
            let claims = there(state, shell("kubectl get pvc"));
            Some(format!("see its claims: `{claims}`"))
        },
    ),
    (
        "had no available volume zone",
        "where its volume cannot be",
        |_| None,
    ),
    (
        "exceed max volume count",
        "with as many volumes as it may have",
        |_| None,
    ),
    (
        "free ports for the requested pod ports",
        "where its `hostPort` is taken",
        |state| {
            Some(format!(
                "remove `hostPort` from `{}`: a Service needs none",
                containers_field(state, "ports")
            ))
        },
    ),
    (
        "pod topology spread constraints",
        "excluded by `topologySpreadConstraints`",
        |state| Some(correct(state, "topologySpreadConstraints")),
    ),
    ("anti-affinity", "excluded by `podAntiAffinity`", |state| {
        Some(correct(state, "affinity.podAntiAffinity"))
    }),
    ("pod affinity rules", "excluded by `podAffinity`", |state| {
        Some(correct(state, "affinity.podAffinity"))
    }),
    ("were unschedulable", "closed for maintenance", |_| None),
    ("not-ready", "that is not ready", |_| None),
    ("unreachable", "that cannot be reached", |_| None),
];

fn correct(state: &State, field: &str) -> String {
    format!("correct `{}`", pod_field(state, field))
}

/// A reason in words that go on from "2 nodes", and what to do.
fn words(state: &State, pod: &Pod, reason: &str) -> (String, Option<Hint>) {
    if let Some(resource) = reason.strip_prefix("Insufficient ") {
        let (words, hint) = insufficient(state, pod, &printable::short(resource, 60));
        return (words, Some(hint));
    }
    if reason.contains("node affinity/selector") || reason.contains("node selector") {
        let hint = format!(
            "correct `{}` or `{}`",
            pod_field(state, "nodeSelector"),
            pod_field(state, "affinity.nodeAffinity")
        );
        return (format!("without {}", selected(pod)), Some(Hint::new(hint)));
    }
    if let Some((_, words, advice)) = KNOWN.iter().find(|(mark, ..)| reason.contains(mark)) {
        return ((*words).to_owned(), advice(state).map(Hint::new));
    }
    if reason.contains("untolerated taint") {
        let (words, hint) = tainted(state, reason);
        return (words, Some(hint));
    }
    (said(reason), None)
}

fn insufficient(state: &State, pod: &Pod, resource: &str) -> (String, Hint) {
    let asked = asked(pod, resource);
    let field = containers_field(state, &format!("resources.requests.{resource}"));
    let words = match &asked {
        Some(asked) => format!("without enough {resource}: the pod requests {asked}"),
        None => format!("without enough {resource}"),
    };
    (words, ask_for_less(&[(field, asked)]))
}

/// What a pod wants of its node.
fn selected(pod: &Pod) -> String {
    let wanted = &pod.spec.node_selector;
    if wanted.is_empty() {
        "what its `affinity` asks for".to_owned()
    } else {
        format!("the label {}", printable::short(&labels::text(wanted), 200))
    }
}

fn tainted(state: &State, reason: &str) -> (String, Hint) {
    let taint = between(reason, "{", "}")
        .map(|taint| printable::short(taint.trim().trim_end_matches(':'), 120))
        .filter(|taint| !taint.is_empty());
    let words = match taint {
        Some(taint) => format!("reserved for others (taint `{taint}`)"),
        None => "reserved for others (a taint)".into(),
    };
    let hint = format!(
        "if you may use these nodes, tolerate their taints in `{}`",
        pod_field(state, "tolerations")
    );
    (words, Hint::new(hint))
}

/// What a pod asks of a resource, all containers together, as they say it.
fn asked(pod: &Pod, resource: &str) -> Option<String> {
    let asked: Vec<String> = pod
        .spec
        .containers
        .iter()
        .filter_map(|container| container.resources.requests.get(resource))
        .map(|asked| printable::short(&as_typed(asked), 20))
        .collect();
    (!asked.is_empty()).then(|| asked.join(" + "))
}

/// An amount as people type it: the API server makes `1k` of 1000.
fn as_typed(amount: &str) -> String {
    amount
        .strip_suffix('k')
        .filter(|number| number.parse::<u32>().is_ok())
        .map_or_else(|| amount.to_owned(), |number| format!("{number}000"))
}

#[cfg(test)]
mod tests {
    use super::as_typed;

    #[test]
    fn thousands_are_written_out() {
        for (amount, typed) in [
            ("1k", "1000"),
            ("500m", "500m"),
            ("2", "2"),
            ("64Ki", "64Ki"),
        ] {
            assert_eq!(as_typed(amount), typed);
        }
    }
}
