//! What ends a right or an address: a timer that lives, or nothing.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::{Fault, Timer};

/// What ends a right or an address, as it is in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A timer runs that ends it.
    At(Timestamp),
    /// Its time is over, but the cluster has not removed it.
    Over(Option<Timestamp>),
    /// No end was asked for, and there is none.
    Forever,
    /// An end was asked for, and nothing will end it: why.
    Never(&'static str),
}

impl Ending {
    /// Of an object with these owners, made for this term (its annotation [`super::FOR`]), beside the Job of its name.
    pub fn of(
        owners: &[OwnerReference],
        asked: Option<&str>,
        job: Option<&Timer>,
        now: Timestamp,
    ) -> Self {
        let timer = job.filter(|timer| owners.iter().any(|owner| owner.uid == timer.uid));
        let until = timer.and_then(Timer::until);
        match timer {
            Some(timer) if timer.over => Self::Over(until),
            Some(timer) if timer.fault.is_none() && owners.len() == 1 && until.is_some() => until
                .filter(|until| *until >= now)
                .map_or(Self::Over(until), Self::At),
            _ if asked == Some("forever") => Self::Forever,
            // What is owned by a Job that is gone is about to be deleted too.
            None if owners.iter().any(|owner| owner.kind == "Job") => Self::Over(None),
            None => Self::Never("its timer is gone"),
            Some(timer) => Self::Never(match timer.fault {
                Some(Fault::Suspended) => "its timer is suspended",
                Some(Fault::Foreign) => "another controller manages its timer",
                Some(Fault::Stays) => "its timer is not removed when it ends",
                Some(Fault::RunsPods) => "its timer was changed and runs pods",
                None if timer.deadline.is_none() => "its timer has no end",
                None if timer.started.is_none() => "its timer has not started",
                None => "something else owns it too",
            }),
        }
    }

    /// When it ends, if something will end it.
    pub fn until(self) -> Option<Timestamp> {
        match self {
            Self::At(until) => Some(until),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use k8s_openapi::api::batch::v1::JobSpec;

    use super::*;
    use crate::grant::Term;
    use crate::grant::timer::tests::job;

    /// A change to the specification of a Job.
    type Change = fn(&mut JobSpec);

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn only_a_living_timer_of_its_own_ends_something() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let (now, end) = (at("2026-01-01T10:30:00Z"), at("2026-01-01T11:00:00Z"));
        let hour = Term::For(Duration::from_hours(1));
        let started = Some("2026-01-01T10:00:00Z");
        let timer = |change: Change, started, term| {
            let mut job = job(started, term);
            job.metadata.uid = Some("1".into());
            job.spec.as_mut().map(change);
            Timer::of(&job)
        };
        let own = [timer(|_| {}, started, hour).owner_reference()];
        let foreign = [OwnerReference {
            uid: "2".into(),
            ..own[0].clone()
        }];
        let both = [own[0].clone(), foreign[0].clone()];
        let ending = |owners: &[OwnerReference], asked, job: Option<Timer>, now| {
            Ending::of(owners, asked, job.as_ref(), now)
        };
        let running = || Some(timer(|_| {}, started, hour));
        let asked = Some("1h");
        assert_eq!(ending(&own, asked, running(), now), Ending::At(end));
        assert_eq!(
            ending(&own, asked, running(), at("2026-01-01T11:00:01Z")),
            Ending::Over(Some(end))
        );
        let over = running().map(|mut timer| {
            timer.over = true;
            timer
        });
        assert_eq!(ending(&own, asked, over, now), Ending::Over(Some(end)));
        for gone in [&own, &foreign] {
            let without = ending(gone, asked, None, now);
            assert_eq!(without, Ending::Over(None), "its Job is gone, it is next");
        }
        assert_eq!(ending(&foreign, asked, running(), now), Ending::Over(None));
        assert_eq!(ending(&[], Some("forever"), None, now), Ending::Forever);
        assert_eq!(
            ending(&own, Some("forever"), running(), now),
            Ending::At(end),
            "whatever was asked, this is what happens"
        );
        for (owners, job, why) in [
            (&[][..], None, "gone"),
            (&[][..], running(), "gone"),
            (&both[..], running(), "else owns"),
            (&own[..], Some(timer(|_| {}, None, hour)), "not started"),
            (
                &own[..],
                Some(timer(|_| {}, started, Term::Forever)),
                "no end",
            ),
            (
                &own[..],
                Some(timer(|spec| spec.suspend = Some(true), started, hour)),
                "suspended",
            ),
            (
                &own[..],
                Some(timer(|spec| spec.parallelism = Some(1), started, hour)),
                "changed",
            ),
            (
                &own[..],
                Some(timer(
                    |spec| spec.ttl_seconds_after_finished = None,
                    started,
                    hour,
                )),
                "not removed",
            ),
            (
                &own[..],
                Some(timer(
                    |spec| spec.managed_by = Some("x/y".into()),
                    started,
                    hour,
                )),
                "another controller",
            ),
        ] {
            for asked in [asked, None] {
                match ending(owners, asked, job.clone(), now) {
                    Ending::Never(said) => assert!(said.contains(why), "{said}: {why}"),
                    other => panic!("{why}: {other:?}"),
                }
            }
        }
    }
}
