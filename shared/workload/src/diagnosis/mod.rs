//! Why an app does not run: from what the cluster says of its objects to what to change in which field.
//!
//! Everything here is a pure function of a [`State`], and the words that are recognised are those of the kubelet, containerd,
//! CRI-O, the scheduler and the API server's admission, as they were read on real nodes or in their sources.

mod configuration;
mod controller;
mod crash;
mod creation;
mod image;
mod probe;
mod schedule;
#[cfg(test)]
mod tests;
mod volume;

use std::collections::BTreeSet;

use super::seen::{Container, Pod};
use super::state::{State, Want};
use super::{Finding, Kind};
use crate::remedy::{Amount, Remedy};
use commons::error::{Error, Hint};
use commons::printable;
use commons::shell::{Shell, shell};

/// How long something may be missing that is perhaps being made at this moment, in seconds: manifests are applied in any order.
const SETTLES: i64 = 3;

/// What is wrong, and what would have to be read to say it better.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    pub(super) findings: Vec<Finding>,
    pub(super) wants: BTreeSet<Want>,
}

impl Report {
    /// Adds a finding; the same one of several pods is said once.
    fn add(&mut self, is_final: bool, error: Error) {
        match self
            .findings
            .iter_mut()
            .find(|other| other.error.message() == error.message())
        {
            Some(other) => other.is_final |= is_final,
            None => self.findings.push(Finding { is_final, error }),
        }
    }

    /// Whether anything of it is final.
    pub(super) fn is_final(&self) -> bool {
        self.findings.iter().any(|finding| finding.is_final)
    }

    /// The end of a container's log, if it is known; wanted otherwise.
    fn log<'a>(
        &mut self,
        state: &'a State,
        pod: &str,
        container: &str,
        previous: bool,
    ) -> Option<&'a str> {
        let known = state.more.logs.get(&(pod.to_owned(), container.to_owned()));
        if known.is_none() {
            self.wants.insert(Want::Log {
                pod: pod.to_owned(),
                container: container.to_owned(),
                previous,
            });
        }
        known.map(String::as_str)
    }
}

/// What is wrong with an app, most important first.
pub(super) fn diagnose(state: &State) -> Report {
    let mut report = Report::default();
    if state.rollout.kind != Kind::Pod {
        if state.workload.is_none() {
            return report;
        }
        controller::stands_still(state, &mut report);
        if !state.is_observed() {
            return report;
        }
        creation::refused(state, &mut report);
    }
    for pod in state.new_pods().filter(|pod| !pod.is_ready()) {
        of_pod(state, pod, &mut report);
    }
    if state.rollout.kind != Kind::Pod {
        controller::held_up(state, &mut report);
    }
    // The sort is stable: within each half the order of finding stays.
    report.findings.sort_by_key(|finding| !finding.is_final);
    report
}

fn of_pod(state: &State, pod: &Pod, report: &mut Report) {
    controller::pod_over(state, pod, report);
    schedule::unschedulable(state, pod, report);
    volume::unmounted(state, pod, report);
    for (container, status) in pod.containers() {
        let at = ContainerPlace {
            state,
            pod,
            container,
        };
        image::not_pulled(&at, status, report);
        configuration::incomplete(&at, status, report);
        crash::ended(&at, status, report);
        probe::failing(&at, status, report);
    }
}

/// A container in a pod, for naming it and its fields.
struct ContainerPlace<'a> {
    state: &'a State,
    pod: &'a Pod,
    container: &'a Container,
}

impl ContainerPlace<'_> {
    /// The container's name, safe to print.
    fn name(&self) -> String {
        printable::short(&self.container.name, 63)
    }

    /// `container `web` of deployment/web`
    fn subject(&self) -> String {
        format!("container `{}` of {}", self.name(), self.state.reference())
    }

    /// Where a field of it stands in the definition: `spec.template.spec.containers[0].image`.
    fn field(&self, field: &str) -> String {
        let Some(spec) = self.state.pod_spec() else {
            return field.to_owned();
        };
        for (list, containers) in [
            ("containers", &spec.containers),
            ("initContainers", &spec.init_containers),
        ] {
            if let Some(position) = containers
                .iter()
                .position(|other| other.name == self.container.name)
            {
                let field = if field.is_empty() {
                    String::new()
                } else {
                    format!(".{field}")
                };
                return pod_field(self.state, &format!("{list}[{position}]{field}"));
            }
        }
        // Something in the cluster added it to the pod.
        format!("{field} of container {}", self.name())
    }
}

/// Where a field of the pods stands in the definition: `spec.template.spec.volumes`.
fn pod_field(state: &State, field: &str) -> String {
    match state.rollout.kind {
        Kind::Pod => format!("spec.{field}"),
        _ => format!("spec.template.spec.{field}"),
    }
}

/// Where a field of all containers stands, or of the only one: `spec.template.spec.containers[0].resources`.
fn containers_field(state: &State, field: &str) -> String {
    let only = state
        .pod_spec()
        .is_some_and(|spec| spec.containers.len() == 1);
    pod_field(
        state,
        &format!("containers[{}].{field}", if only { "0" } else { "*" }),
    )
}

/// To ask for less of what these fields say, each with what it says if that is known.
fn ask_for_less(fields: &[(String, Option<String>)]) -> Hint {
    let names: Vec<&str> = fields.iter().map(|(field, _)| field.as_str()).collect();
    let mut less: Vec<(Amount, Option<String>)> = Vec::new();
    for (field, asked) in fields {
        if let Some(amount) = amount(field)
            && !less.iter().any(|(known, _)| *known == amount)
        {
            less.push((amount, asked.clone()));
        }
    }
    Remedy::Less(less).hint(format!("request less: `{}`", names.join("`, `")))
}

/// What a field is an amount of.
fn amount(field: &str) -> Option<Amount> {
    match field.rsplit('.').next()? {
        "cpu" => Some(Amount::Cpu),
        "memory" => Some(Amount::Memory),
        "replicas" => Some(Amount::Replicas),
        _ => None,
    }
}

/// The log of a container.
fn logs(at: &ContainerPlace<'_>) -> Shell {
    let command = shell("kubectl logs")
        .arg(&at.pod.metadata.name)
        .then("-c")
        .arg(&at.container.name);
    there(at.state, command)
}

/// A command about the namespace of an app: the words before the flag for it.
fn there(state: &State, command: Shell) -> Shell {
    command.in_namespace(&state.rollout.namespace)
}

/// Some text of the cluster's, as one line.
fn said(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    printable::short(&words.join(" "), 400)
}

/// What stands between two marks.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    Some(text.split_once(before)?.1.split_once(after)?.0)
}
