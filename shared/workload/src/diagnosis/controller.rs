//! What a Deployment, `StatefulSet` or `DaemonSet` itself does, or does not do.

use super::{Report, containers_field, pod_field, said, there};
use crate::Kind;
use crate::seen::Pod;
use crate::state::State;
use commons::error::Error;
use commons::printable;
use commons::shell::shell;

/// For how long a pod may be broken before its StatefulSet is said to wait for it, in seconds.
const BROKEN: i64 = 5;
/// For how long after its time a pod may still be there, in seconds.
const OVERDUE: i64 = 15;

/// What keeps a controller from doing anything: its definition says so.
pub(super) fn stands_still(state: &State, report: &mut Report) {
    let Some(workload) = &state.workload else {
        return;
    };
    let reference = state.reference();
    if workload.metadata.is_leaving() {
        report.add(true, Error::new(format!("{reference} is being deleted")));
        return;
    }
    if state.rollout.kind != Kind::DaemonSet && state.desired() == 0 {
        report.add(
            true,
            Error::new(format!("{reference} is stopped: it has 0 replicas"))
                .caused_by("`spec.replicas` is 0")
                .hint(format!(
                    "start it: `{}`",
                    there(
                        state,
                        shell("kubectl scale").arg(&reference).then("--replicas=1")
                    )
                )),
        );
        return;
    }
    if !state.is_observed() {
        return;
    }
    if workload.spec.paused && workload.status.updated_replicas < state.desired() {
        report.add(
            true,
            Error::new(format!(
                "{reference} is paused: the change is not rolled out"
            ))
            .caused_by("`spec.paused` is true")
            .hint(format!(
                "let it go on: `{}`",
                there(state, shell("kubectl rollout resume").arg(&reference))
            )),
        );
    }
    let old: Vec<&str> = state
        .old_pods()
        .map(|pod| pod.metadata.name.as_str())
        .collect();
    if workload.spec.update_strategy.type_ == "OnDelete" && !old.is_empty() {
        report.add(
            true,
            Error::new(format!("{reference} does not replace its pods by itself"))
                .caused_by(format!(
                    "`spec.updateStrategy.type` is `OnDelete`, and these are old: {}",
                    listed(&old)
                ))
                .hint(format!(
                    "replace them: `{}`",
                    there(state, shell("kubectl delete pod").args(&old))
                ))
                .hint("or let it do so: set `spec.updateStrategy.type` to `RollingUpdate`"),
        );
    } else if state.partition() > 0 && state.partition() >= state.desired() && !old.is_empty() {
        report.add(
            true,
            Error::new(format!("{reference} does not replace its pods"))
                .caused_by(format!(
                    "`spec.updateStrategy.rollingUpdate.partition` is {}, so all stay as they are: {}",
                    state.partition(),
                    listed(&old)
                ))
                .hint("set the partition to 0"),
        );
    }
    if state.rollout.kind == Kind::DaemonSet && state.desired() == 0 {
        report.add(
            true,
            Error::new(format!("no node is meant for {reference}"))
                .caused_by("its `nodeSelector`, `affinity` or `tolerations` fit none")
                .hint(format!(
                    "correct them in `{}`",
                    pod_field(state, "nodeSelector")
                )),
        );
    }
}

/// What holds a roll-out up though its new pods may be well.
pub(super) fn held_up(state: &State, report: &mut Report) {
    let Some(workload) = &state.workload else {
        return;
    };
    broken_before(state, report);
    for pod in state.leaving_pods() {
        let overdue = state.since(pod.metadata.deletion_timestamp).as_secs();
        if overdue < OVERDUE {
            continue;
        }
        let name = &pod.metadata.name;
        let error = Error::new(format!("pod `{name}` is being deleted and does not go"));
        let error = if pod.metadata.finalizers.is_empty() {
            error
                .caused_by("its node does not answer, or a volume of it does not let go")
                .hint(format!(
                    "if nothing of it runs any more: `{}`",
                    there(state, shell("kubectl delete pod").arg(name).then("--force"))
                ))
        } else {
            error
                .caused_by(format!(
                    "something wants to act first (finalizers): {}",
                    printable::short(&pod.metadata.finalizers.join(", "), 200)
                ))
                .hint(format!(
                    "see who: `{}`",
                    there(state, shell("kubectl get pod").arg(name).then("-o yaml"))
                ))
        };
        // A StatefulSet makes no pod of a name that is still taken.
        report.add(
            state.rollout.kind == Kind::StatefulSet && overdue >= 2 * OVERDUE,
            error,
        );
    }
    for pod in state.failed_pods() {
        if pod.status.reason == "Evicted" {
            report.add(
                false,
                Error::new(format!(
                    "the node has thrown out pods of {}",
                    state.reference()
                ))
                .caused_by(said(&pod.status.message))
                .hint(format!(
                    "say how much it needs: `{}`",
                    containers_field(state, "resources.requests")
                )),
            );
        }
    }
    let given_up = workload.status.conditions.iter().find(|condition| {
        condition.type_ == "Progressing" && condition.reason == "ProgressDeadlineExceeded"
    });
    if given_up.is_some() {
        match report.findings.first_mut() {
            // The cluster has given up, so what is known is the reason.
            Some(first) => first.is_final = true,
            None => report.add(
                true,
                Error::new(format!(
                    "{} gets no further, and the cluster has given up waiting",
                    state.reference()
                ))
                .caused_by("`spec.progressDeadlineSeconds` has passed")
                .hint(format!(
                    "see its pods: `{}`",
                    there(state, shell("kubectl get pods"))
                )),
            ),
        }
    }
}

/// A `StatefulSet` replaces one pod after the other and first waits until each is ready: a pod that was broken before the
/// change is never replaced (kubernetes#67250).
fn broken_before(state: &State, report: &mut Report) {
    let Some(workload) = &state.workload else {
        return;
    };
    if state.rollout.kind != Kind::StatefulSet
        || workload.spec.pod_management_policy == "Parallel"
        || workload.spec.update_strategy.type_ == "OnDelete"
    {
        return;
    }
    let broken: Vec<&str> = state
        .old_pods()
        .filter(|pod| !pod.is_ready())
        .filter(|pod| {
            let ready = pod.condition("Ready");
            state
                .since(
                    ready
                        .and_then(|ready| ready.last_transition_time)
                        .or(pod.metadata.creation_timestamp),
                )
                .as_secs()
                >= BROKEN
        })
        .map(|pod| pod.metadata.name.as_str())
        .collect();
    if broken.is_empty()
        || state.leaving_pods().next().is_some()
        || state.new_pods().any(|pod| !pod.is_ready())
    {
        return;
    }
    report.add(
        true,
        Error::new(format!("{} waits for a pod that was broken before the change: {}", state.reference(), listed(&broken)))
            .caused_by("a StatefulSet replaces a pod only after the others are ready, and this one never will be")
            .hint(format!("delete it, it is made anew from the new definition: `{}`", there(state, shell("kubectl delete pod").args(&broken)))),
    );
}

/// A lone pod that has ended for good.
pub(super) fn pod_over(state: &State, pod: &Pod, report: &mut Report) {
    let reference = format!("pod/{}", pod.metadata.name);
    match pod.status.phase.as_str() {
        "Succeeded" => report.add(
            true,
            Error::new(format!("{reference} has done its work and ended"))
                .caused_by("all its containers ended with exit code 0 and are not started again")
                .hint(format!(
                    "read what it wrote: `{}`",
                    there(state, shell("kubectl logs").arg(&pod.metadata.name))
                )),
        ),
        "Failed" if !pod.status.message.is_empty() || pod.status.reason == "Evicted" => report.add(
            true,
            Error::new(format!("{reference} has failed and is not started again")).caused_by(said(
                &format!("{}: {}", pod.status.reason, pod.status.message),
            )),
        ),
        _ => {}
    }
}

fn listed(names: &[&str]) -> String {
    let shown = names
        .iter()
        .take(5)
        .map(|name| format!("`{}`", printable::line(name)))
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > 5 {
        format!("{shown} and {} more", names.len() - 5)
    } else {
        shown
    }
}
