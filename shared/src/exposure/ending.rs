//! When an address ends, by what is there: the object that opens it, and the timer that this object names as its owner.
//!
//! A timer ends what belongs to it, and nothing else does. Whoever deletes a Job by most clients leaves its dependents behind
//! without an owner (the API's default for Jobs is `orphan`), and a policy may change a Job. Such an address stays open for ever.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::ResourceExt;

use crate::error::{Error, Result};
use crate::grant::Timer;
use crate::printable;

/// Annotation with the time for which an address was asked: `8h`. Without it, no end was asked for.
pub const FOR: &str = "kube-commons/for";

/// The stock Job controller, as `spec.managedBy` may name it.
const JOB_CONTROLLER: &str = "kubernetes.io/job-controller";

/// When an address ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By itself at this time.
    Until(Timestamp),
    /// Its time is over, and it is still there.
    Over,
    /// When it is removed: no end was asked for.
    Forever,
    /// An end was asked for, and nothing ends it: why.
    Never(&'static str),
}

impl Ending {
    /// From the metadata of what opens the address, and the timers of its namespace.
    pub fn of(metadata: &ObjectMeta, jobs: &[Job], now: Timestamp) -> Self {
        let owners = metadata.owner_references.as_deref().unwrap_or_default();
        let uids: BTreeSet<&str> = owners.iter().map(|owner| owner.uid.as_str()).collect();
        let timer = jobs
            .iter()
            .find(|job| job.uid().is_some_and(|uid| uids.contains(uid.as_str())));
        let endless = |why| match asked(metadata) {
            Some(_) => Self::Never(why),
            None => Self::Forever,
        };
        let Some(job) = timer else {
            // Owned by a Job that is gone, it is about to be deleted too.
            return if owners.iter().any(is_job) {
                Self::Over
            } else {
                endless("its timer is gone")
            };
        };
        let timer = Timer::of(job);
        if timer.over {
            return Self::Over;
        }
        if timer.deadline.is_none() {
            return endless("its timer has no deadline");
        }
        if let Some(why) = fault(job) {
            return Self::Never(why);
        }
        if uids.len() > 1 {
            return Self::Never("another owner keeps it when its timer ends");
        }
        match timer.until() {
            None => Self::Never("its timer has not started"),
            Some(until) if until <= now => Self::Over,
            Some(until) => Self::Until(until),
        }
    }
}

/// The time for which an address was asked, if an end was.
pub fn asked(metadata: &ObjectMeta) -> Option<&str> {
    let asked = metadata.annotations.as_ref()?.get(FOR)?;
    (!asked.is_empty()).then_some(asked.as_str())
}

fn is_job(owner: &OwnerReference) -> bool {
    owner.kind == "Job"
}

/// Why a Job with a deadline would not take along what belongs to it.
fn fault(job: &Job) -> Option<&'static str> {
    let spec = job.spec.as_ref()?;
    let other = |manager: &String| manager != JOB_CONTROLLER;
    if spec.suspend == Some(true) {
        Some("its timer is suspended")
    } else if spec.managed_by.as_ref().is_some_and(other) {
        Some("its timer is left to another controller than the cluster's own")
    } else if spec.parallelism != Some(0) {
        Some("its timer was changed: it runs pods, and ends when they do")
    } else if spec.ttl_seconds_after_finished != Some(0) {
        Some("its timer was changed: it stays when it has ended")
    } else {
        None
    }
}

/// Refuses a timer that is not as it was asked for, which a policy of the cluster may have changed: it has to end within so
/// many seconds after its start.
///
/// # Errors
/// What is wrong with it.
pub fn refuse_changed(job: &Job, longest: i64) -> Result<()> {
    let deadline = job
        .spec
        .as_ref()
        .and_then(|spec| spec.active_deadline_seconds);
    let why = match (fault(job), deadline) {
        (Some(why), _) => why,
        (None, None) => "its timer has no deadline",
        (None, Some(deadline)) if deadline > longest => "its timer ends later than was asked",
        (None, Some(_)) => return Ok(()),
    };
    let name = job.name_any();
    Err(Error::new(format!(
        "the timer (job `{}`) is not as it was asked for",
        printable::line(&name)
    ))
    .caused_by(format!("something in the cluster changed it: {why}"))
    .hint("ask who runs the cluster to leave Jobs with `parallelism: 0` alone; `--forever` is without an end"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use k8s_openapi::api::batch::v1::{JobCondition, JobStatus};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::grant::{Term, timer_job};

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    /// A timer of an hour from ten o'clock on.
    fn hour(change: impl FnOnce(&mut Job)) -> Job {
        let term = Term::For(Duration::from_hours(1));
        let mut job = timer_job("expose-web", term, &BTreeMap::new(), &BTreeMap::new());
        job.metadata.uid = Some("timer".into());
        job.status = Some(JobStatus {
            start_time: Some(Time(at("2026-01-01T10:00:00Z"))),
            ..Default::default()
        });
        change(&mut job);
        job
    }

    fn spec(job: &mut Job) -> &mut k8s_openapi::api::batch::v1::JobSpec {
        job.spec.get_or_insert_default()
    }

    fn owner(kind: &str, uid: &str) -> OwnerReference {
        OwnerReference {
            kind: kind.into(),
            uid: uid.into(),
            ..Default::default()
        }
    }

    fn address(asked: Option<&str>, owners: &[OwnerReference]) -> ObjectMeta {
        ObjectMeta {
            annotations: asked.map(|asked| BTreeMap::from([(FOR.to_owned(), asked.to_owned())])),
            owner_references: Some(owners.to_vec()),
            ..Default::default()
        }
    }

    /// What it is about; what was asked; owners; timers; the ending.
    type Case = (
        &'static str,
        Option<&'static str>,
        Vec<OwnerReference>,
        Vec<Job>,
        Ending,
    );

    #[test]
    fn what_is_there_says_when_it_ends() {
        let timer = || owner("Job", "timer");
        let until = Ending::Until(at("2026-01-01T11:00:00Z"));
        let finished = |job: &mut Job| {
            let condition = JobCondition {
                type_: "Failed".into(),
                status: "True".into(),
                ..Default::default()
            };
            job.status.get_or_insert_default().conditions = Some(vec![condition]);
        };
        let deleted = |job: &mut Job| {
            job.metadata.deletion_timestamp = Some(Time(at("2026-01-01T10:10:00Z")));
        };
        let managed =
            |by: &'static str| move |job: &mut Job| spec(job).managed_by = Some(by.into());
        let asked = Some("1h");
        let cases: Vec<Case> = vec![
            (
                "as made",
                asked,
                vec![timer()],
                vec![hour(|_| ())],
                until.clone(),
            ),
            (
                "made before there was the annotation",
                None,
                vec![timer()],
                vec![hour(|_| ())],
                until.clone(),
            ),
            ("no end asked for", None, vec![], vec![], Ending::Forever),
            (
                "an empty annotation",
                Some(""),
                vec![],
                vec![],
                Ending::Forever,
            ),
            (
                "orphaned",
                asked,
                vec![],
                vec![],
                Ending::Never("its timer is gone"),
            ),
            (
                "a namesake that does not own it",
                asked,
                vec![],
                vec![hour(|_| ())],
                Ending::Never("its timer is gone"),
            ),
            (
                "another Job of that name",
                asked,
                vec![owner("Job", "old")],
                vec![hour(|_| ())],
                Ending::Over,
            ),
            (
                "owned by something else",
                asked,
                vec![owner("Deployment", "d")],
                vec![],
                Ending::Never("its timer is gone"),
            ),
            (
                "owned by something else, no end asked for",
                None,
                vec![owner("Deployment", "d")],
                vec![],
                Ending::Forever,
            ),
            (
                "the timer is gone, it is next",
                asked,
                vec![timer()],
                vec![],
                Ending::Over,
            ),
            (
                "finished",
                asked,
                vec![timer()],
                vec![hour(finished)],
                Ending::Over,
            ),
            (
                "being deleted",
                asked,
                vec![timer()],
                vec![hour(deleted)],
                Ending::Over,
            ),
            (
                "two owners",
                asked,
                vec![timer(), owner("Deployment", "d")],
                vec![hour(|_| ())],
                Ending::Never("another owner keeps it when its timer ends"),
            ),
            (
                "suspended",
                asked,
                vec![timer()],
                vec![hour(|job| spec(job).suspend = Some(true))],
                Ending::Never("its timer is suspended"),
            ),
            (
                "suspended, of before the annotation",
                None,
                vec![timer()],
                vec![hour(|job| spec(job).suspend = Some(true))],
                Ending::Never("its timer is suspended"),
            ),
            (
                "somebody else's",
                asked,
                vec![timer()],
                vec![hour(managed("kueue.x-k8s.io/multikueue"))],
                Ending::Never("its timer is left to another controller than the cluster's own"),
            ),
            (
                "the stock controller's by name",
                asked,
                vec![timer()],
                vec![hour(managed(JOB_CONTROLLER))],
                until.clone(),
            ),
            (
                "runs pods",
                asked,
                vec![timer()],
                vec![hour(|job| spec(job).parallelism = Some(1))],
                Ending::Never("its timer was changed: it runs pods, and ends when they do"),
            ),
            (
                "pods by default",
                asked,
                vec![timer()],
                vec![hour(|job| spec(job).parallelism = None)],
                Ending::Never("its timer was changed: it runs pods, and ends when they do"),
            ),
            (
                "stays",
                asked,
                vec![timer()],
                vec![hour(|job| spec(job).ttl_seconds_after_finished = None)],
                Ending::Never("its timer was changed: it stays when it has ended"),
            ),
            (
                "no deadline",
                asked,
                vec![timer()],
                vec![hour(|job| spec(job).active_deadline_seconds = None)],
                Ending::Never("its timer has no deadline"),
            ),
            (
                "no deadline, and none asked for",
                None,
                vec![timer()],
                vec![hour(|job| spec(job).active_deadline_seconds = None)],
                Ending::Forever,
            ),
            (
                "not started",
                asked,
                vec![timer()],
                vec![hour(|job| job.status = None)],
                Ending::Never("its timer has not started"),
            ),
            (
                "late",
                asked,
                vec![timer()],
                vec![hour(|job| spec(job).active_deadline_seconds = Some(60))],
                Ending::Over,
            ),
        ];
        for (what, asked, owners, jobs, ending) in cases {
            let found = Ending::of(&address(asked, &owners), &jobs, at("2026-01-01T10:30:00Z"));
            assert_eq!(found, ending, "{what}");
        }
    }

    #[test]
    fn a_timer_that_was_changed_is_refused() {
        assert!(refuse_changed(&hour(|_| ()), 3600).is_ok());
        assert!(
            refuse_changed(&hour(|_| ()), 7200).is_ok(),
            "sooner is no harm"
        );
        let changes: [fn(&mut Job); 6] = [
            |job| spec(job).active_deadline_seconds = None,
            |job| spec(job).active_deadline_seconds = Some(86400),
            |job| spec(job).parallelism = Some(1),
            |job| spec(job).ttl_seconds_after_finished = Some(600),
            |job| spec(job).suspend = Some(true),
            |job| spec(job).managed_by = Some("somebody.example/else".into()),
        ];
        for (position, change) in changes.into_iter().enumerate() {
            assert!(refuse_changed(&hour(change), 3600).is_err(), "{position}");
        }
    }
}
