//! A Job that is only a clock.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::TryStreamExt;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, PodSpec, PodTemplateSpec, ResourceRequirements, SeccompProfile,
    SecurityContext,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};

use super::Term;
use crate::change::Change;
use crate::cluster::{Cluster, Delta, Selection, Versioned};
use crate::error::{Error, Kind, Request, Result};

/// How long the Job's controller may take to start a timer. It takes milliseconds; a cluster where it takes longer has no
/// working Job controller, or suspends Jobs.
const START_DEADLINE: Duration = Duration::from_secs(10);

/// A Job that is only a clock, as it is in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    /// The Job's name.
    pub name: String,
    /// The Job's UID, which its dependents name.
    pub uid: String,
    /// When it started, by the cluster's clock; nothing before the controller has seen it.
    pub started: Option<Timestamp>,
    /// Seconds from the start to the end; nothing for one that never ends.
    pub deadline: Option<i64>,
    /// Why it will not end what it owns, whatever its deadline.
    pub fault: Option<Fault>,
    /// Whether it has ended or is being deleted: what it owns is going away.
    pub over: bool,
    resource_version: String,
}

/// Why a timer will not end what it owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It stands still: Kueue and others suspend Jobs.
    Suspended,
    /// Another controller than the cluster's own looks after it (`managedBy`).
    Foreign,
    /// It is not removed when it ends: its `ttlSecondsAfterFinished` is not 0.
    Stays,
    /// It runs pods: its `parallelism` is not 0.
    RunsPods,
}

impl Fault {
    /// As the cause of an error.
    pub fn why(self) -> &'static str {
        match self {
            Self::Suspended => "it is suspended (Kueue and others do this), so it would never end",
            Self::Foreign => {
                "another controller looks after it (`managedBy`), and may never end it"
            }
            Self::Stays => "it would not be deleted at its end, and what it owns would stay",
            Self::RunsPods => "it was changed so that it runs pods",
        }
    }
}

impl Timer {
    /// Reads a timer's state from its Job.
    pub fn of(job: &Job) -> Self {
        let spec = job.spec.clone().unwrap_or_default();
        let status = job.status.clone().unwrap_or_default();
        let is_foreign = spec
            .managed_by
            .is_some_and(|manager| manager != "kubernetes.io/job-controller");
        let is_finished = status.conditions.iter().flatten().any(|condition| {
            matches!(condition.type_.as_str(), "Failed" | "Complete") && condition.status == "True"
        });
        let metadata = job.metadata.clone();
        Self {
            name: metadata.name.unwrap_or_default(),
            uid: metadata.uid.unwrap_or_default(),
            started: status.start_time.map(|time| time.0),
            deadline: spec.active_deadline_seconds,
            fault: match (spec.parallelism, spec.ttl_seconds_after_finished) {
                (Some(0), Some(0)) if is_foreign => Some(Fault::Foreign),
                (Some(0), Some(0)) => spec.suspend.unwrap_or(false).then_some(Fault::Suspended),
                (Some(0), _) => Some(Fault::Stays),
                _ => Some(Fault::RunsPods),
            },
            over: is_finished || metadata.deletion_timestamp.is_some(),
            resource_version: metadata.resource_version.unwrap_or_default(),
        }
    }

    /// When it ends; nothing if it never does or has not started.
    pub fn until(&self) -> Option<Timestamp> {
        self.started?
            .checked_add(SignedDuration::from_secs(self.deadline?))
            .ok()
    }

    /// How a dependent names it. `blockOwnerDeletion` is left out: setting it needs rights on the Job's finalizers where the
    /// admission plugin OwnerReferencesPermissionEnforcement is on.
    pub fn owner_reference(&self) -> OwnerReference {
        OwnerReference {
            api_version: "batch/v1".into(),
            kind: "Job".into(),
            name: self.name.clone(),
            uid: self.uid.clone(),
            controller: Some(false),
            block_owner_deletion: None,
        }
    }

    /// Compares what the server made of it with what was asked: a policy of the cluster may have changed it.
    ///
    /// # Errors
    /// When it would end later than after `deadline` seconds, or never.
    fn check(&self, deadline: Option<i64>) -> Result<()> {
        let why = match (self.fault, self.deadline, deadline) {
            (Some(fault), _, Some(_)) => fault.why(),
            // What has no end needs no timer that runs.
            (Some(Fault::RunsPods), _, None) => Fault::RunsPods.why(),
            (None, None, Some(_)) => "something in the cluster took away its end",
            (None, Some(there), Some(asked)) if there > asked => {
                "something in the cluster set its end later than asked"
            }
            _ => return Ok(()),
        };
        Err(Error::new(format!(
            "the cluster changed the timer (job `{}`)",
            self.name
        ))
        .caused_by(why)
        .hint("ask your cluster administrator not to change Jobs with `parallelism: 0`")
        .hints_from(deadline.map(|_| "or do without an end: `--forever`")))
    }
}

/// Whether an object goes with the timer of this UID.
pub fn is_owned_by<K: kube::Resource>(object: &K, timer: &str) -> bool {
    object
        .meta()
        .owner_references
        .iter()
        .flatten()
        .any(|owner| owner.uid == timer)
}

/// The Job that is a timer for `term`. It never runs its pod, but policies look at templates, so this one keeps to the Pod
/// Security standard "restricted" and asks for next to nothing.
pub fn timer_job(
    name: &str,
    term: Term,
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
) -> Job {
    let tiny = BTreeMap::from([
        ("cpu".to_owned(), Quantity("1m".into())),
        ("memory".to_owned(), Quantity("1Mi".into())),
    ]);
    let container = Container {
        name: "never-runs".into(),
        image: Some("pause".into()),
        resources: Some(ResourceRequirements {
            requests: Some(tiny.clone()),
            limits: Some(tiny),
            ..Default::default()
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".into()]),
                ..Default::default()
            }),
            read_only_root_filesystem: Some(true),
            run_as_non_root: Some(true),
            run_as_user: Some(65534),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".into(),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    };
    let pod = PodSpec {
        containers: vec![container],
        restart_policy: Some("Never".into()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        ..Default::default()
    };
    Job {
        metadata: ObjectMeta {
            name: Some(name.into()),
            labels: Some(labels.clone()),
            annotations: Some(annotations.clone()),
            ..Default::default()
        },
        spec: Some(JobSpec {
            parallelism: Some(0),
            backoff_limit: Some(0),
            active_deadline_seconds: term.seconds(),
            ttl_seconds_after_finished: Some(0),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels.clone()),
                    ..Default::default()
                }),
                spec: Some(pod),
            },
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Waits until a timer just created for `term` runs.
///
/// # Errors
/// When the cluster suspends it, changes its end, or does not start it: then what it owns would never end.
pub async fn started(
    cluster: &Cluster,
    namespace: &str,
    created: &Job,
    term: Term,
) -> Result<Timer> {
    let mut timer = Timer::of(created);
    let deadline = term.seconds();
    timer.check(deadline)?;
    // Nothing has to run for what has no end.
    if timer.started.is_some() || deadline.is_none() {
        return Ok(timer);
    }
    let name = timer.name.clone();
    let waiting = async {
        let mut changes = cluster.follow::<Job, Job>(namespace, &Selection::named(&name))?;
        while let Some(change) = changes.try_next().await? {
            let job = match change {
                Delta::All(jobs) => jobs.into_iter().next(),
                Delta::Put(job) => Some(job),
                Delta::Gone(_) => None,
            };
            let Some(job) = job.filter(|job| job.uid().as_ref() == Some(&timer.uid)) else {
                break;
            };
            timer = Timer::of(&job);
            timer.check(deadline)?;
            if timer.started.is_some() {
                return Ok(timer);
            }
        }
        Err(Error::of(
            Kind::NotFound,
            format!("the timer (job `{name}`) was deleted by another client"),
        ))
    };
    match tokio::time::timeout(START_DEADLINE, waiting).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::new(format!("the cluster does not start the timer (job `{name}`)"))
            .caused_by(format!("no start time after {} s: its Job controller does not run, or something holds Jobs back", START_DEADLINE.as_secs()))
            .hint("ask your cluster administrator, or do without an end: `--forever`")),
    }
}

impl Versioned for Job {
    fn version(&self) -> &str {
        self.metadata
            .resource_version
            .as_deref()
            .unwrap_or_default()
    }
}

/// Sets when a running timer ends, counted from `now`; also earlier than before. `job` is the timer as it was read.
///
/// # Errors
/// [`Kind::Conflict`] when somebody changed it at the same time; the API server's refusals; when the cluster made something
/// else of it than was asked.
pub async fn reset(
    cluster: &Cluster,
    change: &Change,
    job: &Job,
    term: Term,
    now: Timestamp,
) -> Result<Timer> {
    let timer = Timer::of(job);
    let deadline = match (term.seconds(), timer.started) {
        (None, _) => None,
        (Some(seconds), Some(started)) => Some(
            now.duration_since(started)
                .as_secs()
                .max(0)
                .saturating_add(seconds),
        ),
        (Some(_), None) => {
            return Err(
                Error::new(format!("the timer (job `{}`) has not started", timer.name))
                    .hint("end the share, and share again"),
            );
        }
    };
    // What would not end with it either is not written.
    let as_it_will_be = Timer {
        deadline,
        ..timer.clone()
    };
    as_it_will_be.check(deadline)?;
    let patch = serde_json::json!({"metadata": {"resourceVersion": timer.resource_version}, "spec": {"activeDeadlineSeconds": deadline}});
    let params = PatchParams {
        dry_run: change.is_dry(),
        field_manager: Some(cluster.manager().into()),
        ..PatchParams::default()
    };
    let (cluster, namespace) = (cluster.clone(), job.namespace().unwrap_or_default());
    let patching = async move {
        let api: Api<Job> = Api::namespaced(cluster.client().clone(), &namespace);
        let request = Request {
            verb: "patch",
            resource: "jobs".into(),
            noun: "job".into(),
            name: &timer.name,
            namespace: Some(&namespace),
        };
        let patch = Patch::Merge(patch);
        let patching = api.patch(&timer.name, &params, &patch);
        cluster.send(request, patching).await
    };
    let timer = Timer::of(&change.replace(job, patching).await?);
    timer.check(deadline)?;
    Ok(timer)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use k8s_openapi::api::batch::v1::JobStatus;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    /// A timer as it is in the cluster.
    pub fn job(started: Option<&str>, term: Term) -> Job {
        let mut job = timer_job("share-pg-bob", term, &BTreeMap::new(), &BTreeMap::new());
        job.status = Some(JobStatus {
            start_time: started.and_then(|t| t.parse().ok()).map(Time),
            ..Default::default()
        });
        job
    }

    #[test]
    fn a_timer_never_runs_a_pod_and_cleans_up_at_once() {
        let spec = job(None, Term::For(Duration::from_hours(8)))
            .spec
            .unwrap_or_default();
        assert_eq!(
            (
                spec.parallelism,
                spec.active_deadline_seconds,
                spec.ttl_seconds_after_finished
            ),
            (Some(0), Some(28800), Some(0))
        );
        assert_eq!(
            job(None, Term::Forever)
                .spec
                .unwrap_or_default()
                .active_deadline_seconds,
            None
        );
    }

    #[test]
    fn the_end_counts_from_the_start() {
        let timer = Timer::of(&job(
            Some("2026-01-01T10:00:00Z"),
            Term::For(Duration::from_hours(1)),
        ));
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        assert_eq!(timer.until(), Some(at("2026-01-01T11:00:00Z")));
        assert_eq!(
            crate::grant::left(at("2026-01-01T11:00:00Z"), at("2026-01-01T10:59:00Z")),
            Duration::from_mins(1)
        );
        assert_eq!(
            crate::grant::left(at("2026-01-01T11:00:00Z"), at("2026-01-01T12:00:00Z")),
            Duration::ZERO
        );
        assert_eq!(
            Timer::of(&job(None, Term::For(Duration::from_secs(1)))).until(),
            None,
            "not started"
        );
    }

    /// A change to the specification of a Job.
    type Change = fn(&mut JobSpec);

    #[test]
    fn what_a_cluster_made_of_a_timer_is_compared_with_what_was_asked() {
        let cases: [(&str, Change, bool, bool); 8] = [
            ("as asked", |_| {}, true, true),
            ("suspended", |spec| spec.suspend = Some(true), false, true),
            (
                "no TTL",
                |spec| spec.ttl_seconds_after_finished = None,
                false,
                true,
            ),
            (
                "a longer TTL",
                |spec| spec.ttl_seconds_after_finished = Some(60),
                false,
                true,
            ),
            ("a pod", |spec| spec.parallelism = Some(1), false, false),
            (
                "another's",
                |spec| spec.managed_by = Some("example.org/x".into()),
                false,
                true,
            ),
            (
                "no end",
                |spec| spec.active_deadline_seconds = None,
                false,
                true,
            ),
            (
                "longer",
                |spec| spec.active_deadline_seconds = Some(86400),
                false,
                true,
            ),
        ];
        for (what, change, ends, endless) in cases {
            let made = |term: Term| {
                let mut job = job(None, term);
                job.spec.as_mut().map(change);
                Timer::of(&job).check(term.seconds()).is_ok()
            };
            assert_eq!(made(Term::For(Duration::from_hours(1))), ends, "{what}");
            assert_eq!(made(Term::Forever), endless, "{what}, without an end");
        }
        let mut shorter = job(None, Term::For(Duration::from_hours(1)));
        if let Some(spec) = &mut shorter.spec {
            spec.active_deadline_seconds = Some(60);
        }
        assert!(
            Timer::of(&shorter).check(Some(3600)).is_ok(),
            "it ends all the same"
        );
    }
}
