//! Ownership that ends by itself, with nothing but the cluster's stock controllers.
//!
//! RBAC has no expiry (kubernetes#87433, #89763), but a Job has: with `parallelism: 0` it runs no pod, so it needs no quota, no
//! image and no Pod Security; its controller notes the start, ends it `activeDeadlineSeconds` later, and with
//! `ttlSecondsAfterFinished: 0` (KEP-592) it is deleted at once together with all objects that name it in their
//! `ownerReferences`. Nobody's laptop has to be on.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, PodSpec, PodTemplateSpec, ResourceRequirements, SeccompProfile,
    SecurityContext,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use kube::Resource;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams, WatchEvent, WatchParams};
use serde::Deserialize;

use crate::cluster::Cluster;
use crate::error::{Error, Kind, Request, Result};
use crate::printable;

/// The longest time a grant may be for; longer is `--forever`, to be said on purpose.
pub const LONGEST: Duration = Duration::from_hours(8784);

/// How long the Job's controller may take to start a timer. It takes milliseconds; a cluster where it takes longer has no
/// working Job controller, or suspends Jobs.
const START_DEADLINE: Duration = Duration::from_secs(10);

/// For how long something is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Term {
    /// For this time from now on.
    For(Duration),
    /// Until it is revoked.
    Forever,
}

impl Term {
    /// From `--for` and `--forever`.
    ///
    /// # Errors
    /// A usage error for no time at all and for more than [`LONGEST`].
    pub fn new(duration: Duration, forever: bool) -> Result<Self> {
        match duration {
            _ if forever => Ok(Self::Forever),
            Duration::ZERO => Err(Error::usage("`--for` must be at least `1s`")),
            long if long > LONGEST => Err(Error::usage(format!(
                "`--for` is at most {}",
                crate::duration::rough(LONGEST)
            ))
            .hint("`--forever` has no end")),
            duration => Ok(Self::For(duration)),
        }
    }
}

/// The flags `--for` and `--forever`, the same everywhere.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct TermFlags {
    /// For this time from now on, such as `90m`, `8h` or `2d`
    #[arg(long = "for", allow_hyphen_values = true, value_name = "DURATION", value_parser = crate::duration::parse, default_value = "8h")]
    pub duration: Duration,
    /// Until you revoke it
    #[arg(long, conflicts_with = "duration")]
    pub forever: bool,
}

impl TermFlags {
    /// The term that they mean.
    ///
    /// # Errors
    /// See [`Term::new`].
    pub fn term(&self) -> Result<Term> {
        Term::new(self.duration, self.forever)
    }
}

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
    /// Whether it stands still (Kueue and others suspend Jobs) and will never end by itself.
    pub suspended: bool,
    /// Whether it has ended or is being deleted: what it owns is going away.
    pub over: bool,
    resource_version: String,
}

impl Timer {
    /// Reads a timer's state from its Job.
    pub fn of(job: &Job) -> Self {
        let spec = job.spec.as_ref();
        let status = job.status.as_ref();
        let finished = status
            .and_then(|status| status.conditions.as_ref())
            .is_some_and(|conditions| {
                conditions.iter().any(|condition| {
                    matches!(condition.type_.as_str(), "Failed" | "Complete")
                        && condition.status == "True"
                })
            });
        Self {
            name: job.name_any(),
            uid: job.uid().unwrap_or_default(),
            started: status
                .and_then(|status| status.start_time.as_ref())
                .map(|time| time.0),
            deadline: spec.and_then(|spec| spec.active_deadline_seconds),
            suspended: spec.and_then(|spec| spec.suspend).unwrap_or(false),
            over: finished || job.metadata.deletion_timestamp.is_some(),
            resource_version: job.resource_version().unwrap_or_default(),
        }
    }

    /// When it ends; nothing if it never does or has not started.
    pub fn until(&self) -> Option<Timestamp> {
        self.started?
            .checked_add(SignedDuration::from_secs(self.deadline?))
            .ok()
    }

    /// What is left at `now`; zero when it is over, nothing if it never ends.
    pub fn left(&self, now: Timestamp) -> Option<Duration> {
        self.until()
            .map(|until| Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO))
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
            active_deadline_seconds: match term {
                Term::For(duration) => Some(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)),
                Term::Forever => None,
            },
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

/// Waits until a timer just created runs.
///
/// # Errors
/// When the cluster suspends it, changes its end, or does not start it: then what it owns would never end.
pub async fn started(cluster: &Cluster, namespace: &str, created: &Job) -> Result<Timer> {
    let asked = created.spec.clone().unwrap_or_default();
    let mut timer = Timer::of(created);
    check_running(&timer, asked.ttl_seconds_after_finished)?;
    if timer.started.is_some() {
        return Ok(timer);
    }
    let name = timer.name.clone();
    let waiting = async {
        while timer.started.is_none() {
            timer = next_change(cluster, namespace, &timer).await?;
            check_running(&timer, asked.ttl_seconds_after_finished)?;
        }
        Ok(timer)
    };
    match tokio::time::timeout(START_DEADLINE, waiting).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::new(format!("the cluster does not start the timer (job `{name}`)"))
            .caused_by(format!("no start time after {} s: its Job controller does not run, or something holds Jobs back", START_DEADLINE.as_secs()))
            .hint("without a timer it would never end by itself; `--forever` says that this is meant")),
    }
}

fn check_running(timer: &Timer, ttl: Option<i32>) -> Result<()> {
    let fault = if timer.suspended {
        "something in the cluster (Kueue does this) suspended it, so it would never end"
    } else if ttl != Some(0) {
        "something in the cluster changed it, so what it owns would not be removed at the end"
    } else {
        return Ok(());
    };
    Err(Error::new(format!("the timer (job `{}`) does not run", timer.name)).caused_by(fault).hint("ask who runs the cluster to leave Jobs with `parallelism: 0` alone; `--forever` is without an end"))
}

/// What of a Job its watch is about. (The whole Job would bring code for every field of a pod's definition into the plugin
/// a second time.)
#[derive(Clone, Debug, Deserialize)]
struct Seen {
    metadata: ObjectMeta,
    spec: Option<SeenSpec>,
    status: Option<SeenStatus>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SeenSpec {
    suspend: Option<bool>,
    active_deadline_seconds: Option<i64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SeenStatus {
    start_time: Option<Time>,
}

/// The timer after its Job changed once; a watch, so that nothing is polled.
async fn next_change(cluster: &Cluster, namespace: &str, timer: &Timer) -> Result<Timer> {
    let request = Request {
        verb: "watch",
        resource: "jobs".into(),
        noun: "job".into(),
        name: &timer.name,
        namespace: Some(namespace),
    };
    let params = WatchParams::default()
        .fields(&format!("metadata.name={}", timer.name))
        .timeout(60);
    let watch = kube::core::Request::new(Job::url_path(&(), Some(namespace)))
        .watch(&params, &timer.resource_version)
        .map_err(|error| {
            Error::new("cannot watch the timer")
                .caused_by(printable::short(&error.to_string(), 200))
        })?;
    let events = cluster
        .send(
            request.clone(),
            cluster.client().request_events::<Seen>(watch),
        )
        .await?;
    let mut events = std::pin::pin!(
        events.map(|event| event.map_err(|error| cluster.explain(&error, &request)))
    );
    while let Some(event) = events.try_next().await? {
        match event {
            WatchEvent::Added(seen) | WatchEvent::Modified(seen) => {
                let spec = seen.spec.as_ref();
                return Ok(Timer {
                    started: seen
                        .status
                        .and_then(|status| status.start_time)
                        .map(|time| time.0),
                    deadline: spec.and_then(|spec| spec.active_deadline_seconds),
                    suspended: spec.and_then(|spec| spec.suspend).unwrap_or(false),
                    over: seen.metadata.deletion_timestamp.is_some(),
                    resource_version: seen.metadata.resource_version.unwrap_or_default(),
                    ..timer.clone()
                });
            }
            WatchEvent::Deleted(_) => {
                return Err(Error::of(
                    Kind::NotFound,
                    format!(
                        "the timer (job `{}`) was deleted by somebody else",
                        timer.name
                    ),
                ));
            }
            WatchEvent::Bookmark(_) | WatchEvent::Error(_) => {}
        }
    }
    // The watch ended without a change: look.
    Ok(Timer::of(
        &cluster.get::<Job>(namespace, &timer.name).await?,
    ))
}

/// Sets when a running timer ends, counted from `now`; also earlier than before.
///
/// # Errors
/// [`Kind::Conflict`] when somebody changed it at the same time; the API server's refusals.
pub async fn reset(
    cluster: &Cluster,
    namespace: &str,
    timer: &Timer,
    term: Term,
    now: Timestamp,
    dry_run: bool,
) -> Result<Timer> {
    let deadline = match (term, timer.started) {
        (Term::Forever, _) => None,
        (Term::For(duration), Some(started)) => Some(
            now.duration_since(started)
                .as_secs()
                .max(0)
                .saturating_add(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)),
        ),
        (Term::For(_), None) => {
            return Err(
                Error::new(format!("the timer (job `{}`) has not started", timer.name))
                    .hint("end it and make it again"),
            );
        }
    };
    let api: Api<Job> = Api::namespaced(cluster.client().clone(), namespace);
    let request = Request {
        verb: "patch",
        resource: "jobs".into(),
        noun: "job".into(),
        name: &timer.name,
        namespace: Some(namespace),
    };
    let params = PatchParams {
        dry_run,
        field_manager: Some(cluster.manager().into()),
        ..PatchParams::default()
    };
    let patch = serde_json::json!({"metadata": {"resourceVersion": timer.resource_version}, "spec": {"activeDeadlineSeconds": deadline}});
    let job = cluster
        .send(
            request,
            api.patch(&timer.name, &params, &Patch::Merge(&patch)),
        )
        .await?;
    Ok(Timer::of(&job))
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::batch::v1::JobStatus;

    fn job(started: Option<&str>, term: Term) -> Job {
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
            timer.left(at("2026-01-01T10:59:00Z")),
            Some(Duration::from_mins(1))
        );
        assert_eq!(timer.left(at("2026-01-01T12:00:00Z")), Some(Duration::ZERO));
        assert_eq!(
            Timer::of(&job(None, Term::For(Duration::from_secs(1)))).until(),
            None,
            "not started"
        );
    }

    #[test]
    fn a_timer_that_stands_still_is_an_error() {
        let mut suspended = job(None, Term::For(Duration::from_secs(1)));
        if let Some(spec) = &mut suspended.spec {
            spec.suspend = Some(true);
        }
        assert!(check_running(&Timer::of(&suspended), Some(0)).is_err());
        assert!(
            check_running(&Timer::of(&job(None, Term::Forever)), None).is_err(),
            "the TTL was stripped"
        );
    }

    #[test]
    fn terms_are_bounded() {
        assert!(Term::new(Duration::ZERO, false).is_err());
        assert!(Term::new(LONGEST + Duration::from_secs(1), false).is_err());
        assert_eq!(Term::new(Duration::ZERO, true).ok(), Some(Term::Forever));
    }
}
