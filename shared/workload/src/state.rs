//! A roll-out as it stands: plain data, and what follows from it without asking anybody.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::Earlier;
use super::seen::{Container, Controller, Event, Pod, PodSpec};
use super::{Kind, Ready, Rollout};
use commons::printable;

/// Where a Deployment and its `ReplicaSets` say which version they are.
const REVISION: &str = "deployment.kubernetes.io/revision";
/// How long a container that has no readiness probe must have run to count.
const STEADY: SignedDuration = SignedDuration::from_secs(3);
/// The same for one that has crashed before.
const STEADY_AGAIN: SignedDuration = SignedDuration::from_secs(10);

/// All that is known of a roll-out.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) rollout: Rollout,
    /// The API server's time.
    pub(super) now: Timestamp,
    /// The Deployment, `StatefulSet` or `DaemonSet`; nothing for a lone pod, or when it is gone.
    pub(super) workload: Option<Controller>,
    /// Those of a Deployment; nothing where they cannot be read.
    pub(super) replica_sets: Option<Vec<Controller>>,
    /// Pods that may be its own.
    pub(super) pods: Vec<Pod>,
    /// Events of the namespace.
    pub(super) events: Vec<Event>,
    /// What was read on purpose, for an explanation.
    pub(super) more: More,
}

/// Something that an explanation would be better for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Want {
    /// The end of what a container wrote, in the run before this one if `previous`.
    Log {
        pod: String,
        container: String,
        previous: bool,
    },
    /// The names of all `ConfigMaps` and their keys.
    ConfigMaps,
    /// The names of all Secrets.
    Secrets,
    /// The keys of one Secret.
    SecretKeys(String),
    /// The names of all volume claims, and what is said of them.
    Claims,
}

/// What was read for explanations; nothing where it was not read, or may not be.
#[derive(Clone, Debug, Default)]
pub(super) struct More {
    /// By pod and container.
    pub(super) logs: BTreeMap<(String, String), String>,
    pub(super) config_maps: Option<BTreeMap<String, BTreeSet<String>>>,
    pub(super) secrets: Option<BTreeSet<String>>,
    pub(super) secret_keys: BTreeMap<String, BTreeSet<String>>,
    /// Their phases, by name.
    pub(super) claims: Option<BTreeMap<String, String>>,
}

/// How far a roll-out is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It is done.
    Ready(Ready),
    /// It goes on; in words.
    Underway(String),
    /// The object is not there.
    Gone,
}

impl State {
    pub(super) fn new(rollout: &Rollout, now: Timestamp) -> Self {
        Self {
            rollout: rollout.clone(),
            now,
            workload: None,
            replica_sets: None,
            pods: Vec::new(),
            events: Vec::new(),
            more: More::default(),
        }
    }

    /// `deployment/web`
    pub(super) fn reference(&self) -> String {
        format!("{}/{}", self.rollout.kind, self.rollout.name)
    }

    /// Whether the controller has seen the definition as it is now; what it says of itself before is of an older one.
    pub(super) fn is_observed(&self) -> bool {
        self.workload.as_ref().is_some_and(|workload| {
            workload.status.observed_generation >= workload.metadata.generation
        })
    }

    /// How many pods there are to be.
    pub(super) fn desired(&self) -> i64 {
        match (&self.workload, self.rollout.kind) {
            (Some(workload), Kind::DaemonSet) => workload.status.desired_number_scheduled,
            (Some(workload), _) => workload.spec.replicas.unwrap_or(1),
            (None, _) => 1,
        }
    }

    /// The `ReplicaSet` of the Deployment's present template: its revision is the Deployment's.
    pub(super) fn new_replica_set(&self) -> Option<&Controller> {
        let workload = self.workload.as_ref().filter(|_| self.is_observed())?;
        let revision = workload.metadata.annotations.get(REVISION)?;
        self.own_replica_sets()
            .find(|set| set.metadata.annotations.get(REVISION) == Some(revision))
    }

    /// The newest earlier version that has pods which serve.
    pub(super) fn serving(&self) -> Option<Earlier> {
        let revision =
            |set: &Controller| set.metadata.annotations.get(REVISION)?.parse::<u64>().ok();
        let present = self.own_replica_sets().filter_map(revision).max()?;
        let set = self
            .own_replica_sets()
            .filter(|set| set.status.available_replicas > 0 && revision(set) != Some(present))
            .max_by_key(|set| revision(set))?;
        let containers = &set.spec.template.spec.containers;
        let own = containers
            .iter()
            .find(|container| container.name == self.rollout.name)
            .or(containers.first())?;
        Some(Earlier {
            revision: revision(set)?,
            image: own.image.clone(),
        })
    }

    pub(super) fn own_replica_sets(&self) -> impl Iterator<Item = &Controller> {
        let uid = self
            .workload
            .as_ref()
            .map(|workload| workload.metadata.uid.as_str());
        self.replica_sets.iter().flatten().filter(move |set| {
            uid.is_some() && set.metadata.controller().map(|owner| owner.uid.as_str()) == uid
        })
    }

    /// The pods that the roll-out has made, old and new, and those that are going.
    pub(super) fn own_pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods.iter().filter(|pod| self.is_own(pod))
    }

    fn is_own(&self, pod: &Pod) -> bool {
        let Some(workload) = &self.workload else {
            return self.rollout.kind == Kind::Pod && pod.metadata.name == self.rollout.name;
        };
        let Some(owner) = pod.metadata.controller() else {
            return false;
        };
        match (self.rollout.kind, &self.replica_sets) {
            (Kind::Deployment, Some(_)) => self
                .own_replica_sets()
                .any(|set| set.metadata.uid == owner.uid),
            (Kind::Deployment, None) => pod
                .metadata
                .labels
                .get("pod-template-hash")
                .is_some_and(|hash| owner.name == format!("{}-{hash}", self.rollout.name)),
            _ => owner.uid == workload.metadata.uid,
        }
    }

    /// Whether one of its pods is made from the present definition.
    fn is_new(&self, pod: &Pod) -> bool {
        let label = |key: &str| pod.metadata.labels.get(key);
        let Some(workload) = &self.workload else {
            return true;
        };
        if !self.is_observed() {
            return false;
        }
        match (self.rollout.kind, &self.replica_sets) {
            (Kind::Deployment, Some(_)) => self.new_replica_set().is_some_and(|set| {
                pod.metadata
                    .controller()
                    .is_some_and(|owner| owner.uid == set.metadata.uid)
            }),
            // Without its ReplicaSets: those of the newest pod's.
            (Kind::Deployment, None) => {
                let newest = self
                    .pods
                    .iter()
                    .filter(|pod| self.is_own(pod))
                    .max_by_key(|pod| pod.metadata.creation_timestamp);
                newest.and_then(|newest| newest.metadata.labels.get("pod-template-hash"))
                    == label("pod-template-hash")
            }
            (Kind::StatefulSet, _) => {
                let revision = &workload.status.update_revision;
                revision.is_empty() || label("controller-revision-hash") == Some(revision)
            }
            (Kind::DaemonSet, _) => {
                let generation = workload
                    .metadata
                    .annotations
                    .get("deprecated.daemonset.template.generation");
                generation.is_none() || label("pod-template-generation") == generation
            }
            _ => true,
        }
    }

    /// Whether a controller counts on a pod; one that has ended for good it replaces by another.
    fn is_active(&self, pod: &Pod) -> bool {
        !pod.metadata.is_leaving()
            && (self.workload.is_none()
                || !matches!(pod.status.phase.as_str(), "Failed" | "Succeeded"))
    }

    /// The pods of the present definition that are to stay.
    pub(super) fn new_pods(&self) -> impl Iterator<Item = &Pod> {
        self.own_pods()
            .filter(|pod| self.is_active(pod) && self.is_new(pod))
    }

    /// The pods of the present definition that have failed for good and were replaced by others.
    pub(super) fn failed_pods(&self) -> impl Iterator<Item = &Pod> {
        self.own_pods()
            .filter(|pod| pod.status.phase == "Failed" && self.is_new(pod))
    }

    /// The pods of an older definition that nobody has told to go yet.
    pub(super) fn old_pods(&self) -> impl Iterator<Item = &Pod> {
        self.own_pods()
            .filter(|pod| self.is_active(pod) && !self.is_new(pod))
    }

    /// Its pods that are going away.
    pub(super) fn leaving_pods(&self) -> impl Iterator<Item = &Pod> {
        self.own_pods().filter(|pod| pod.metadata.is_leaving())
    }

    /// From which ordinal on a `StatefulSet` rolls; the pods below it stay as they are on purpose.
    pub(super) fn partition(&self) -> i64 {
        match (&self.workload, self.rollout.kind) {
            (Some(workload), Kind::StatefulSet) => {
                workload.spec.update_strategy.rolling_update.partition
            }
            _ => 0,
        }
    }

    /// Whether an old pod is to stay old.
    fn stays_old(&self, pod: &Pod) -> bool {
        if self.partition() >= self.desired() {
            return false;
        }
        let ordinal = pod
            .metadata
            .name
            .rsplit('-')
            .next()
            .and_then(|last| last.parse::<i64>().ok());
        ordinal.is_some_and(|ordinal| ordinal < self.partition())
    }

    /// What the pods are to be made from: for naming fields.
    pub(super) fn pod_spec(&self) -> Option<&PodSpec> {
        match &self.workload {
            Some(workload) => Some(&workload.spec.template.spec),
            None => self.own_pods().next().map(|pod| &pod.spec),
        }
    }

    /// What happened to an object, newest last.
    pub(super) fn events_of<'a>(
        &'a self,
        uid: &'a str,
    ) -> impl DoubleEndedIterator<Item = &'a Event> {
        let mut events: Vec<&Event> = self
            .events
            .iter()
            .filter(|event| !uid.is_empty() && event.involved_object.uid == uid)
            .collect();
        events.sort_by_key(|event| event.last());
        events.into_iter()
    }

    /// How long ago something was; not at all when it is not known.
    pub(super) fn since(&self, moment: Option<Timestamp>) -> SignedDuration {
        moment.map_or(SignedDuration::ZERO, |moment| {
            self.now.duration_since(moment)
        })
    }

    /// How far the roll-out is.
    pub(super) fn progress(&self) -> Progress {
        let kind = self.rollout.kind;
        if match kind {
            Kind::Pod => self.pods.is_empty(),
            _ => self.workload.is_none(),
        } {
            return Progress::Gone;
        }
        if kind != Kind::Pod && !self.is_observed() {
            return Progress::Underway("the cluster has not seen the change yet".into());
        }
        let desired = self.desired();
        let (kept, old): (Vec<&Pod>, Vec<&Pod>) =
            self.old_pods().partition(|pod| self.stays_old(pod));
        let new: Vec<&Pod> = self.new_pods().collect();
        let ready: Vec<&Pod> = new
            .iter()
            .chain(&kept)
            .copied()
            .filter(|pod| pod.is_ready())
            .collect();
        let count = i64::try_from(ready.len()).unwrap_or(i64::MAX);
        let total = i64::try_from(new.len() + kept.len()).unwrap_or(i64::MAX);
        if desired > 0
            && count >= desired
            && total <= desired
            && old.is_empty()
            && self.is_updated()
            && self.is_available()
        {
            return Progress::Ready(Ready {
                replicas: i32::try_from(count).unwrap_or(i32::MAX),
                pods: ready.iter().map(|pod| pod.metadata.name.clone()).collect(),
                leaving: self
                    .leaving_pods()
                    .map(|pod| pod.metadata.name.clone())
                    .collect(),
            });
        }
        let pods = if desired == 1 { "pod" } else { "pods" };
        let mut text = format!("{count} of {desired} {pods} ready");
        let waits_for = new
            .iter()
            .find(|pod| !pod.is_ready())
            .map(|pod| self.activity(pod))
            .or_else(|| {
                (total < desired).then(|| {
                    if old.is_empty() {
                        "making pods".to_owned()
                    } else {
                        "replacing old pods".to_owned()
                    }
                })
            })
            .or_else(|| match old.len() {
                0 => None,
                1 => Some("1 old pod still serves".to_owned()),
                n => Some(format!("{n} old pods still serve")),
            });
        if let Some(waits_for) = waits_for {
            text.push_str(", ");
            text.push_str(&waits_for);
        }
        Progress::Underway(text)
    }

    /// Whether the controller counts enough pods as made from the definition as it is now: those of a paused Deployment are of
    /// an older one, though its `ReplicaSet` is the newest there is.
    fn is_updated(&self) -> bool {
        self.workload.as_ref().is_none_or(|workload| {
            self.rollout.kind != Kind::Deployment
                || workload.status.updated_replicas >= self.desired()
        })
    }

    /// With `minReadySeconds`, being ready is not enough; the controller counts.
    fn is_available(&self) -> bool {
        self.workload.as_ref().is_none_or(|workload| {
            let status = &workload.status;
            workload.spec.min_ready_seconds == 0
                || status.available_replicas.max(status.number_available) >= self.desired()
        })
    }

    /// Whether its ready pods are likely to stay so. The kubelet calls a container without a readiness probe ready as soon as
    /// it has started, also one that crashes in a moment; so it must have run for [`STEADY`], or [`STEADY_AGAIN`] if it has
    /// crashed before.
    pub(super) fn is_steady(&self) -> bool {
        self.new_pods().all(|pod| {
            pod.containers().all(|(container, status)| {
                let Some(running) = &status.state.running else {
                    return true;
                };
                let crashed = status.last_state.terminated.is_some();
                let needed = if crashed { STEADY_AGAIN } else { STEADY };
                (container.readiness_probe.is_some() || self.since(running.started_at) >= needed)
                    && !self.is_in_danger(pod, container)
            })
        })
    }

    /// Whether a container has just failed its liveness probe: it may be killed.
    fn is_in_danger(&self, pod: &Pod, container: &Container) -> bool {
        self.events_of(&pod.metadata.uid).any(|event| {
            event.container() == Some(&container.name)
                && event.message.starts_with("Liveness probe failed")
                && self.since(event.last()) < STEADY_AGAIN
        })
    }

    /// What a pod that is not ready is doing.
    fn activity(&self, pod: &Pod) -> String {
        if pod
            .condition("PodScheduled")
            .is_none_or(|condition| condition.status != "True")
        {
            return "looking for a node".into();
        }
        for (container, status) in pod.containers() {
            if let Some(waiting) = &status.state.waiting {
                return match waiting.reason.as_str() {
                    "ContainerCreating" | "PodInitializing" if self.is_pulling(pod, container) => {
                        format!("pulling {}", printable::short(&container.image, 60))
                    }
                    "ContainerCreating" | "PodInitializing" | "" => "starting".into(),
                    "ErrImagePull" | "ImagePullBackOff" => {
                        format!("cannot pull {} yet", printable::short(&container.image, 60))
                    }
                    "CrashLoopBackOff" => {
                        format!(
                            "`{}` crashed and will be started again",
                            printable::short(&container.name, 60)
                        )
                    }
                    reason => printable::short(reason, 60),
                };
            }
            // An init container that has ended well is no news.
            let ended = status.state.terminated.as_ref();
            if ended.is_some_and(|ended| ended.exit_code != 0) {
                return format!(
                    "`{}` crashed and will be started again",
                    printable::short(&container.name, 60)
                );
            }
        }
        let starts = pod
            .status
            .container_statuses
            .iter()
            .all(|status| status.state.running.is_none());
        if starts {
            "starting".into()
        } else {
            "waiting for its readiness probe".into()
        }
    }

    fn is_pulling(&self, pod: &Pod, container: &Container) -> bool {
        self.events_of(&pod.metadata.uid)
            .filter(|event| event.container() == Some(&container.name))
            .rev()
            .find(|event| matches!(event.reason.as_str(), "Pulling" | "Pulled"))
            .is_some_and(|event| event.reason == "Pulling")
    }
}

#[cfg(test)]
mod tests;
