//! What there is of a share before it is made, and what is to be done with it.

use std::time::Duration;

use commons::apply;
use commons::grant::{self, Fault, Term, Timer};
use commons::{Cluster, Error, Result};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::ResourceExt;

use crate::listed::{Ends, Held, Said, Share, Trace, is_elsewhere};
use crate::plan::Plan;

/// How long what is just ending, or just being made by another terminal, is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// A share that is planned, and what there is of it.
pub struct Existing {
    pub plan: Plan,
    pub step: Step,
    pub job: Option<Job>,
    /// What the Job ends.
    pub timer: Option<Timer>,
    /// When it ended before this.
    pub until: Option<Timestamp>,
    pub role: Option<Role>,
    pub binding: Option<RoleBinding>,
    pub card: Option<ConfigMap>,
}

/// What is to be done with a timer that exists or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is none: make it.
    Create,
    /// It does not end as asked: set its end.
    Extend,
    /// It lasts as long as asked or longer: leave its end alone.
    Keep,
}

/// Why a share can be neither made nor extended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stuck {
    /// It has ended, or should have, and is not removed.
    Over,
    /// Its timer would never end it.
    Faulty(Fault),
    /// Its timer has not started.
    NotStarted,
    /// Its objects would stay after its end.
    HeldBack,
}

/// Decides from the timer there is, what the `RoleBinding` gives, and the term asked for.
fn step(
    timer: Option<&Timer>,
    share: Option<&Share>,
    term: Term,
    now: Timestamp,
) -> Result<Step, Stuck> {
    if share.is_some_and(|share| share.is_held_back) {
        return Err(Stuck::HeldBack);
    }
    let Some(timer) = timer else {
        // A right without a timer gets one, unless it is to have none.
        return Ok(match share {
            Some(share) if share.ending == Ends::Forever && term == Term::Forever => Step::Keep,
            _ => Step::Create,
        });
    };
    let ending = share.map(|share| share.ending);
    match (timer.fault, ending) {
        _ if timer.over || ending == Some(Ends::Over) => Err(Stuck::Over),
        (_, Some(Ends::Forever)) => Ok(Step::Keep),
        (Some(fault), _) => Err(Stuck::Faulty(fault)),
        _ if timer.started.is_none() && timer.deadline.is_some() => Err(Stuck::NotStarted),
        // A timer without a right: whoever made it, its end is to be the one asked for now.
        (None, None) => Ok(Step::Extend),
        (None, Some(_)) => Ok(match (share.and_then(|share| share.until), term) {
            (Some(until), Term::For(duration)) if !is_later(now, duration, until) => Step::Keep,
            _ => Step::Extend,
        }),
    }
}

/// Whether the end asked for is later than the one there is, by so much that it matters.
fn is_later(now: Timestamp, duration: Duration, until: Timestamp) -> bool {
    let more = now
        .checked_add(duration)
        .map_or(i64::MAX, |asked| asked.duration_since(until).as_secs());
    more > grant::tolerance(duration)
}

/// Reads what there is under a share's name, and refuses what is not ours, or another share. One that is just ending, or that
/// another terminal is just making, is waited for.
///
/// # Errors
/// Also when what is there would never end, or is over and stays.
pub async fn read(cluster: &Cluster, namespace: &str, plan: Plan) -> Result<Existing> {
    let mut pause = Duration::from_millis(50);
    let mut waited = Duration::ZERO;
    loop {
        let (job, role, binding, card) = futures::try_join!(
            cluster.find::<Job>(namespace, &plan.name),
            cluster.find::<Role>(namespace, &plan.name),
            cluster.find::<RoleBinding>(namespace, &plan.name),
            cluster.find::<ConfigMap>(namespace, &plan.name)
        )?;
        refuse_others(
            cluster,
            &plan,
            job.as_ref(),
            role.as_ref(),
            binding.as_ref(),
            card.as_ref(),
        )?;
        let timer = job.as_ref().map(Timer::of);
        let share = binding.as_ref().and_then(|binding| {
            given(
                cluster,
                namespace,
                &plan,
                binding,
                role.as_ref(),
                timer.clone(),
                cluster.now(),
            )
        });
        let step = step(timer.as_ref(), share.as_ref(), plan.term, cluster.now());
        // What is left of a share whose timer is gone goes too; a new one must not be taken for it.
        let going = timer.is_none()
            && (has_owner(role.as_ref())
                || has_owner(binding.as_ref())
                || has_owner(card.as_ref()));
        let patient = waited < PATIENCE;
        if patient && (going || matches!(step, Err(Stuck::Over | Stuck::NotStarted))) {
            tokio::time::sleep(pause).await;
            waited += pause;
            pause *= 2;
            continue;
        }
        let step = step.map_err(|stuck| refusal(&plan, stuck, share.as_ref()))?;
        let mut plan = plan;
        if let (Step::Keep, Some(share)) = (step, &share) {
            plan.keep_term(&share.asked);
        }
        return Ok(Existing {
            plan,
            step,
            job,
            timer,
            until: share.and_then(|share| share.until),
            role,
            binding,
            card,
        });
    }
}

fn has_owner<K: kube::Resource>(object: Option<&K>) -> bool {
    object.is_some_and(|object| !object.owner_references().is_empty())
}

/// What a `RoleBinding` under this plan's name gives to its colleague.
fn given(
    cluster: &Cluster,
    namespace: &str,
    plan: &Plan,
    binding: &RoleBinding,
    role: Option<&Role>,
    timer: Option<Timer>,
    now: Timestamp,
) -> Option<Share> {
    let trace = Trace {
        namespace: namespace.to_owned(),
        elsewhere: is_elsewhere(cluster, namespace),
        name: plan.name.clone(),
        binding: Some(Held::of(binding)),
        role: role.map(Held::of),
        clock: timer.clone(),
        timer,
    };
    let said = Said::of(binding.annotations())?;
    let subject = plan.colleague.subject.clone();
    Some(Share::of(
        &said,
        subject,
        trace,
        role,
        &binding.metadata,
        now,
    ))
}

/// Refuses objects of others, and those of another share whose name is the same.
fn refuse_others(
    cluster: &Cluster,
    plan: &Plan,
    job: Option<&Job>,
    role: Option<&Role>,
    binding: Option<&RoleBinding>,
    card: Option<&ConfigMap>,
) -> Result<()> {
    let manager = cluster.manager();
    apply::refuse_foreign(job, manager)?;
    apply::refuse_foreign(role, manager)?;
    apply::refuse_foreign(card, manager)?;
    apply::refuse_foreign(binding, manager)?;
    let said = [
        job.map(ResourceExt::annotations),
        role.map(ResourceExt::annotations),
        binding.map(ResourceExt::annotations),
        card.map(ResourceExt::annotations),
    ];
    if said.into_iter().flatten().all(|said| plan.is_of(said)) {
        return Ok(());
    }
    Err(
        Error::new(format!("something else is called `{}`", plan.name))
            .caused_by("an object of that name belongs to no share")
            .hint(format!(
                "see what is shared: `{}`",
                commons::shell("kubectl share-db list")
            )),
    )
}

fn refusal(plan: &Plan, stuck: Stuck, share: Option<&Share>) -> Error {
    let (database, with) = (plan.database(), &plan.colleague.called);
    let error = match stuck {
        Stuck::Over => Error::new(format!(
            "the time of the share of {database} with {with} is over, but the cluster has not removed it"
        ))
        .caused_by(format!(
            "its timer (job `{}`) is held back by something, or the cluster's controllers are down",
            plan.name
        )),
        Stuck::NotStarted => Error::new(format!(
            "there is a timer for {database} and {with} already (job `{}`), and it does not start",
            plan.name
        )),
        Stuck::Faulty(fault) => Error::new(format!(
            "there is a timer for {database} and {with} already (job `{}`) that would not end the share",
            plan.name
        ))
        .caused_by(fault.why()),
        Stuck::HeldBack => Error::new(format!(
            "there is a share of {database} with {with} already that would not end"
        ))
        .caused_by("its RoleBinding and its Role have finalizers")
        .hints_from(share.and_then(Share::without_finalizers)),
    };
    if stuck == Stuck::HeldBack {
        return error;
    }
    let revoke = match share {
        Some(share) => share.command("kubectl share-db revoke"),
        None => plan.command("kubectl share-db revoke"),
    };
    error.hint(format!("end it, then share again: `{revoke}`"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use commons::grant::timer_job;
    use commons::subject::Subject;
    use k8s_openapi::api::batch::v1::JobStatus;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};

    use super::*;
    use crate::plan::Colleague;

    const HOUR: Term = Term::For(Duration::from_hours(1));

    fn now() -> Timestamp {
        "2026-01-01T10:00:00Z".parse().expect("a time")
    }

    fn timer(term: Term, started: bool) -> Timer {
        let mut job = timer_job("share-pg-bob", term, &BTreeMap::new(), &BTreeMap::new());
        job.metadata.uid = Some("1".into());
        job.status = started.then(|| JobStatus {
            start_time: Some(Time(now())),
            ..Default::default()
        });
        Timer::of(&job)
    }

    fn lasts(seconds: u64) -> Timer {
        timer(Term::For(Duration::from_secs(seconds)), true)
    }

    /// What a binding gives that was made for `asked` and belongs to `owners`.
    fn share(asked: Term, timer: Option<&Timer>, owners: &[OwnerReference]) -> Share {
        let colleague = Colleague::new(Subject::User { name: "bob".into() }, None);
        let plan = Plan::new(&"pg".parse().expect("a name"), colleague, asked, false);
        let trace = Trace {
            clock: timer.cloned(),
            ..Trace::default()
        };
        let subject = plan.colleague.subject.clone();
        let said = plan.said().expect("it is written down");
        let binding = ObjectMeta {
            owner_references: Some(owners.to_vec()),
            ..Default::default()
        };
        Share::of(&said, subject, trace, None, &binding, now())
    }

    fn shared(asked: Term, timer: &Timer) -> Share {
        share(asked, Some(timer), &[timer.owner_reference()])
    }

    #[test]
    fn a_share_is_extended_never_shortened() {
        let decided = |there: &Timer, asked: Term, term| {
            step(Some(there), Some(&shared(asked, there)), term, now())
        };
        assert_eq!(step(None, None, HOUR, now()), Ok(Step::Create));
        assert_eq!(decided(&lasts(1800), HOUR, HOUR), Ok(Step::Extend));
        assert_eq!(decided(&lasts(7200), HOUR, HOUR), Ok(Step::Keep));
        let again = decided(&lasts(3570), HOUR, HOUR);
        assert_eq!(again, Ok(Step::Keep), "typed again half a minute later");
        let endless = timer(Term::Forever, true);
        assert_eq!(decided(&endless, Term::Forever, HOUR), Ok(Step::Keep));
        assert_eq!(decided(&lasts(1), HOUR, Term::Forever), Ok(Step::Extend));
        assert_eq!(
            decided(&endless, HOUR, HOUR),
            Ok(Step::Extend),
            "its end was taken away"
        );
    }

    #[test]
    fn what_nothing_ends_gets_an_end() {
        let orphan = share(HOUR, None, &[]);
        assert_eq!(step(None, Some(&orphan), HOUR, now()), Ok(Step::Create));
        let year = lasts(31_536_000);
        assert_eq!(
            step(Some(&year), None, HOUR, now()),
            Ok(Step::Extend),
            "a timer that somebody made beforehand, without a right"
        );
        let apart = share(HOUR, Some(&year), &[]);
        assert_eq!(
            step(Some(&year), Some(&apart), HOUR, now()),
            Ok(Step::Extend)
        );
    }

    #[test]
    fn what_would_not_end_is_not_taken_over() {
        let decided = |timer: Timer| step(Some(&timer), Some(&shared(HOUR, &timer)), HOUR, now());
        let mut over = lasts(3600);
        over.over = true;
        assert_eq!(decided(over), Err(Stuck::Over));
        let late = step(
            Some(&lasts(1)),
            Some(&share(HOUR, Some(&lasts(1)), &[lasts(1).owner_reference()])),
            HOUR,
            now(),
        );
        assert_eq!(late, Ok(Step::Extend), "it runs still");
        for fault in [
            Fault::Suspended,
            Fault::Foreign,
            Fault::Stays,
            Fault::RunsPods,
        ] {
            let mut faulty = lasts(3600);
            faulty.fault = Some(fault);
            assert_eq!(decided(faulty), Err(Stuck::Faulty(fault)));
        }
        assert_eq!(decided(timer(HOUR, false)), Err(Stuck::NotStarted));
    }
}
