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
    /// By name: phase and storage class.
    pub(super) claims: Option<BTreeMap<String, (String, String)>>,
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
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).expect("a time")
    }

    fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).expect("an object")
    }

    /// A pod of a controller, ready or not, whose container has run since second 0.
    fn pod(name: &str, owner: &str, ready: bool) -> Pod {
        read(
            json!({"metadata": {"name": name, "uid": name, "labels": {"controller-revision-hash": owner}, "ownerReferences": [{"uid": owner, "controller": true}]},
            "spec": {"containers": [{"name": "c", "readinessProbe": {}}]},
            "status": {"phase": "Running", "containerStatuses": [{"name": "c", "ready": ready, "state": {"running": {"startedAt": at(0).to_string()}}}],
                "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": if ready { "True" } else { "False" }}]}}),
        )
    }

    fn deployment(replicas: i64, pods: Vec<Pod>) -> State {
        let rollout = Rollout {
            namespace: "alice".into(),
            kind: Kind::Deployment,
            name: "web".into(),
        };
        let set = |revision: &str| {
            read(
                json!({"metadata": {"uid": format!("set{revision}"), "annotations": {"deployment.kubernetes.io/revision": revision},
                "ownerReferences": [{"uid": "d", "controller": true}]}}),
            )
        };
        let mut state = State::new(&rollout, at(60));
        state.workload = Some(read(
            json!({"metadata": {"uid": "d", "generation": 4, "annotations": {"deployment.kubernetes.io/revision": "2"}},
            "spec": {"replicas": replicas}, "status": {"observedGeneration": 4, "updatedReplicas": replicas}}),
        ));
        state.replica_sets = Some(vec![set("1"), set("2")]);
        state.pods = pods;
        state
    }

    fn leaving(mut pod: Pod) -> Pod {
        pod.metadata.deletion_timestamp = Some(at(59));
        pod
    }

    #[track_caller]
    fn underway(state: &State, text: &str) {
        assert_eq!(state.progress(), Progress::Underway(text.into()));
    }

    #[test]
    fn a_roll_out_is_done_when_the_new_pods_are_ready_and_the_old_ones_told_to_go() {
        let new = || vec![pod("b", "set2", true), pod("c", "set2", true)];
        underway(&deployment(2, vec![]), "0 of 2 pods ready, making pods");
        underway(
            &deployment(2, vec![pod("a", "set1", true), pod("b", "set2", true)]),
            "1 of 2 pods ready, replacing old pods",
        );
        underway(
            &deployment(2, vec![pod("b", "set2", true), pod("c", "set2", false)]),
            "1 of 2 pods ready, waiting for its readiness probe",
        );
        let mut all = new();
        all.push(pod("a", "set1", true));
        underway(
            &deployment(2, all),
            "2 of 2 pods ready, 1 old pod still serves",
        );
        let mut all = new();
        all.push(leaving(pod("a", "set1", true)));
        assert_eq!(
            deployment(2, all).progress(),
            Progress::Ready(Ready {
                replicas: 2,
                pods: vec!["b".into(), "c".into()],
                leaving: vec!["a".into()],
            })
        );
    }

    #[test]
    fn pods_of_others_do_not_count() {
        let mut state = deployment(1, vec![pod("x", "foreign", true)]);
        underway(&state, "0 of 1 pod ready, making pods");
        state.pods = vec![pod("b", "set2", true)];
        assert!(matches!(state.progress(), Progress::Ready(_)));
        state.workload = None;
        assert_eq!(state.progress(), Progress::Gone);
    }

    #[test]
    fn nothing_counts_before_the_controller_has_looked() {
        let mut state = deployment(1, vec![pod("b", "set2", true)]);
        if let Some(workload) = &mut state.workload {
            workload.metadata.generation = 5;
        }
        underway(&state, "the cluster has not seen the change yet");
        assert_eq!(state.new_pods().count(), 0);
    }

    #[test]
    fn the_pods_of_a_paused_deployment_are_old() {
        let mut state = deployment(1, vec![pod("b", "set2", true)]);
        let workload = state.workload.as_mut().expect("a workload");
        workload.status.updated_replicas = 0;
        underway(&state, "1 of 1 pod ready");
    }

    #[test]
    fn a_pod_that_was_thrown_out_is_replaced_by_another() {
        let mut out = pod("b", "set2", false);
        out.status.phase = "Failed".into();
        let state = deployment(1, vec![out, pod("c", "set2", true)]);
        assert!(matches!(state.progress(), Progress::Ready(_)));
        assert_eq!(state.failed_pods().count(), 1);
    }

    #[test]
    fn min_ready_seconds_are_the_controllers_to_count() {
        let mut state = deployment(1, vec![pod("b", "set2", true)]);
        let workload = state.workload.as_mut().expect("a workload");
        workload.spec.min_ready_seconds = 10;
        underway(&state, "1 of 1 pod ready");
        let workload = state.workload.as_mut().expect("a workload");
        workload.status.available_replicas = 1;
        assert!(matches!(state.progress(), Progress::Ready(_)));
    }

    #[test]
    fn a_partition_keeps_the_lower_pods_as_they_are() {
        let mut state = deployment(2, vec![pod("web-0", "d", true), pod("web-1", "d", true)]);
        state.rollout.kind = Kind::StatefulSet;
        state.pods[0]
            .metadata
            .labels
            .insert("controller-revision-hash".into(), "old".into());
        let workload = state.workload.as_mut().expect("a workload");
        workload.status.update_revision = "d".into();
        underway(&state, "1 of 2 pods ready, replacing old pods");
        let workload = state.workload.as_mut().expect("a workload");
        workload.spec.update_strategy.rolling_update.partition = 1;
        assert!(matches!(state.progress(), Progress::Ready(_)));
        let workload = state.workload.as_mut().expect("a workload");
        workload.spec.update_strategy.rolling_update.partition = 2;
        underway(&state, "1 of 2 pods ready, replacing old pods");
    }

    #[test]
    fn the_last_version_that_serves_and_not_the_one_before() {
        let with = |sets: &[(&str, i64, &str)]| {
            let mut state = deployment(1, vec![]);
            let set = |(revision, ready, image): &(&str, i64, &str)| {
                read(
                    json!({"metadata": {"uid": format!("set{revision}"), "annotations": {REVISION: revision}, "ownerReferences": [{"uid": "d", "controller": true}]},
                    "spec": {"template": {"spec": {"containers": [{"name": "proxy", "image": "proxy:1"}, {"name": "web", "image": image}]}}},
                    "status": {"availableReplicas": ready}}),
                )
            };
            state.replica_sets = Some(sets.iter().map(set).collect());
            state.serving()
        };
        let serving = with(&[("1", 1, "web:1"), ("2", 0, "web:nope"), ("10", 0, "web:3")]);
        assert_eq!(
            serving,
            Some(Earlier {
                revision: 1,
                image: "web:1".into()
            })
        );
        assert_eq!(with(&[("1", 1, "web:1")]), None, "it is the present one");
        assert_eq!(with(&[("1", 0, "web:1"), ("2", 0, "web:2")]), None);
    }

    #[test]
    fn without_a_probe_it_must_stay_up_for_a_moment() {
        let mut state = deployment(1, vec![pod("b", "set2", true)]);
        state.now = at(1);
        assert!(state.is_steady(), "it has a probe");
        state.pods[0].spec.containers[0].readiness_probe = None;
        state.now = at(2);
        assert!(!state.is_steady());
        state.now = at(3);
        assert!(state.is_steady());
        state.pods[0].status.container_statuses[0]
            .last_state
            .terminated = Some(read(json!({"exitCode": 1})));
        assert!(!state.is_steady(), "it has crashed before");
        state.now = at(10);
        assert!(state.is_steady());
    }

    #[test]
    fn progress_tells_what_is_being_done() {
        let mut state = deployment(1, vec![pod("b", "set2", false)]);
        state.pods[0].status.container_statuses =
            read(json!([{"name": "c", "state": {"waiting": {"reason": "ContainerCreating"}}}]));
        state.pods[0].spec.containers[0].image = "x:1".into();
        underway(&state, "0 of 1 pod ready, starting");
        state.events = vec![read(
            json!({"reason": "Pulling", "involvedObject": {"uid": "b", "fieldPath": "spec.containers{c}"}}),
        )];
        underway(&state, "0 of 1 pod ready, pulling x:1");
        state.pods[0].status.conditions.clear();
        underway(&state, "0 of 1 pod ready, looking for a node");
    }

    #[test]
    fn without_replica_sets_the_newest_pods_are_the_new_ones() {
        let mut state = deployment(1, vec![pod("b", "web-2", true), pod("a", "web-1", true)]);
        state.replica_sets = None;
        for (pod, hash, born) in [(0, "2", 9), (1, "1", 1)] {
            let metadata = &mut state.pods[pod].metadata;
            metadata
                .labels
                .insert("pod-template-hash".into(), hash.into());
            metadata.creation_timestamp = Some(at(born));
            metadata.owner_references[0].name = format!("web-{hash}");
        }
        let names = |pods: Vec<&Pod>| {
            pods.iter()
                .map(|pod| pod.metadata.name.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(state.new_pods().collect()), ["b"]);
        assert_eq!(names(state.old_pods().collect()), ["a"]);
    }
}
