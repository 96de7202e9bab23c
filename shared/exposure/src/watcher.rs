//! When what is seen of an address is final: a state machine that is given verdicts and the time.

use std::time::Duration;

use tokio::time::Instant;

use commons::error::Error;

use super::apply::Applied;
use super::judge::Verdict;
use super::resolve::Resolved;

/// How long a controller may take to take over what was written. They take well under a second; Traefik gathers changes for two.
const CONTROLLER: Duration = Duration::from_secs(7);

/// How long somebody else's answer may last where it is to be replaced.
const TAKING_OVER: Duration = Duration::from_secs(4);

/// How long the address may fail in the same way: longer than any controller takes to do what it was told last.
const STANDSTILL: Duration = Duration::from_secs(5);

/// The same of an address that was written before its app was waited for: controllers gather changes for two seconds.
const PRESENT: Duration = Duration::from_millis(2500);

/// How long a controller may go on with what an address was before: they gather changes for two seconds.
const CHANGE: Duration = Duration::from_secs(3);

/// Between two looks at an app that answers, until it is believed.
const SOON: Duration = Duration::from_millis(30);

/// Between two looks at an address that is not there yet: the first pause, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(40), Duration::from_millis(400));

/// How often in a row something must be seen to be believed. After an update a controller may still take turns between new pods
/// and old ones.
const BELIEVED: u32 = 3;

/// One look at the address, beside the verdict.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Observation {
    /// Whether the host was won, where it had to be.
    pub(super) claim: Option<bool>,
    /// Whether nothing was answered.
    pub(super) is_silent: bool,
    /// Whether another certificate is shown than the one that was just issued.
    pub(super) is_old_certificate: bool,
}

/// What follows.
#[derive(Debug)]
pub(super) enum Next {
    /// To look again after this time.
    Again(Duration),
    /// The address leads to the app.
    Proven,
    /// It does not, for this reason.
    Failed(Error),
    /// Somebody else answers there.
    Lost(Error),
}

/// What was seen until now.
#[derive(Debug)]
pub(super) struct Watcher {
    started: Instant,
    written: Instant,
    /// Whether the address led elsewhere before.
    has_changed: bool,
    /// Whether a policy keeps the controller out, as far as is known.
    is_kept_out: bool,
    /// How long it may fail in the same way.
    standstill: Duration,
    pause: Duration,
    ours: u32,
    others: u32,
    others_since: Instant,
    complaint: Option<(String, Instant)>,
}

impl Watcher {
    pub(super) fn new(resolved: &Resolved, applied: &Applied, now: Instant) -> Self {
        Self {
            started: now,
            written: applied.at().unwrap_or(now),
            has_changed: applied.has_changed(),
            is_kept_out: !resolved.isolated_by.is_empty() && resolved.plan.policy.is_none(),
            standstill: if resolved.is_present() {
                PRESENT
            } else {
                STANDSTILL
            },
            pause: PAUSES.0,
            ours: 0,
            others: 0,
            others_since: now,
            complaint: None,
        }
    }

    /// What follows from one more look, which was judged at `now`.
    pub(super) fn next(&mut self, verdict: Verdict, seen: Observation, now: Instant) -> Next {
        match &verdict {
            Verdict::SomebodyElse(_) => {
                if self.others == 0 {
                    self.others_since = now;
                }
                self.others += 1;
            }
            _ => self.others = 0,
        }
        match verdict {
            Verdict::Ours => self.answered(seen, now),
            Verdict::Wrong(error) => Next::Failed(error),
            Verdict::SomebodyElse(error) if self.is_lost(seen, now) => Next::Lost(error),
            Verdict::NotYet(error) | Verdict::SomebodyElse(error) => {
                self.complained(error, seen, now)
            }
        }
    }

    /// The app answers: so often, with the new certificate, and longer than what was there before can have.
    fn answered(&mut self, seen: Observation, now: Instant) -> Next {
        self.ours += 1;
        if seen.claim == Some(false) {
            return Next::Again(Duration::ZERO);
        }
        if self.ours < BELIEVED {
            return Next::Again(SOON);
        }
        // The controller may have another certificate for the domain, and show that for a moment.
        if seen.is_old_certificate && now - self.started < TAKING_OVER {
            return Next::Again(self.pause);
        }
        let since_written = now - self.written;
        if self.has_changed && since_written < CHANGE {
            self.ours = 0;
            return Next::Again(CHANGE.saturating_sub(since_written));
        }
        Next::Proven
    }

    /// At a host that is ours, or was taken on purpose, an older configuration of the controller may still answer for a while: of
    /// what was there before, or of somebody who has given way.
    fn is_lost(&self, seen: Observation, now: Instant) -> bool {
        self.others >= BELIEVED
            && now - self.written > TAKING_OVER
            && (seen.claim.is_none() || now - self.others_since > TAKING_OVER)
    }

    fn complained(&mut self, error: Error, seen: Observation, now: Instant) -> Next {
        self.ours = 0;
        // Silence is what policies make; otherwise a controller may still ask a pod that has just gone.
        let standstill = if self.is_kept_out && seen.is_silent {
            Duration::ZERO
        } else {
            self.standstill
        };
        match &self.complaint {
            Some((same, since)) if *same == error.message() => {
                if now - *since > standstill {
                    return Next::Failed(error);
                }
            }
            _ => self.complaint = Some((error.message().to_owned(), now)),
        }
        if now - self.started > CONTROLLER {
            return Next::Failed(error);
        }
        if seen.claim == Some(false) {
            return Next::Again(Duration::ZERO);
        }
        let pause = self.pause;
        self.pause = (pause * 3 / 2).min(PAUSES.1);
        Next::Again(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watcher(now: Instant) -> Watcher {
        Watcher {
            started: now,
            written: now,
            has_changed: false,
            is_kept_out: false,
            standstill: STANDSTILL,
            pause: PAUSES.0,
            ours: 0,
            others: 0,
            others_since: now,
            complaint: None,
        }
    }

    fn not_yet(why: &str) -> Verdict {
        Verdict::NotYet(Error::new(why))
    }

    fn somebody() -> Verdict {
        Verdict::SomebodyElse(Error::new("somebody"))
    }

    /// What comes of looking every 100 ms, and after how many seconds.
    fn watched(
        mut watcher: Watcher,
        seen: impl Fn(f64) -> Observation,
        verdict: impl Fn(f64) -> Verdict,
    ) -> (Next, f64) {
        let start = watcher.started;
        for tenth in 0..300_u32 {
            let at = f64::from(tenth) / 10.0;
            let now = start + Duration::from_millis(100) * tenth;
            match watcher.next(verdict(at), seen(at), now) {
                Next::Again(_) => {}
                done => return (done, at),
            }
        }
        panic!("it never ends")
    }

    fn plain(_: f64) -> Observation {
        Observation::default()
    }

    #[test]
    fn three_answers_of_the_app_are_a_proof() {
        let (next, at) = watched(watcher(Instant::now()), plain, |_| Verdict::Ours);
        assert!(matches!(next, Next::Proven) && at < 0.3, "{at}");
        let waits = |at: f64| {
            if at < 2.0 {
                not_yet("404")
            } else {
                Verdict::Ours
            }
        };
        let (next, at) = watched(watcher(Instant::now()), plain, waits);
        assert!(matches!(next, Next::Proven) && at < 2.3, "{at}");
    }

    #[test]
    fn what_was_there_before_proves_nothing() {
        let changed = Watcher {
            has_changed: true,
            ..watcher(Instant::now())
        };
        let (next, at) = watched(changed, plain, |_| Verdict::Ours);
        assert!(
            matches!(next, Next::Proven) && (3.0..3.5).contains(&at),
            "{at}"
        );
        let old = |at: f64| Observation {
            is_old_certificate: at < 1.0,
            ..Observation::default()
        };
        let (next, at) = watched(watcher(Instant::now()), old, |_| Verdict::Ours);
        assert!(
            matches!(next, Next::Proven) && (1.0..1.3).contains(&at),
            "{at}"
        );
        // Another certificate that stays is good enough, after a while.
        let always = |_| Observation {
            is_old_certificate: true,
            ..Observation::default()
        };
        let (next, at) = watched(watcher(Instant::now()), always, |_| Verdict::Ours);
        assert!(
            matches!(next, Next::Proven) && (4.0..4.3).contains(&at),
            "{at}"
        );
    }

    #[test]
    fn the_same_complaint_is_final_after_a_time() {
        let (next, at) = watched(watcher(Instant::now()), plain, |_| not_yet("404"));
        assert!(
            matches!(next, Next::Failed(_)) && (5.0..5.3).contains(&at),
            "{at}"
        );
        // Another one every second: until no controller takes longer.
        let changing = |at: f64| not_yet(&format!("{at:.0}"));
        let (next, at) = watched(watcher(Instant::now()), plain, changing);
        assert!(
            matches!(next, Next::Failed(_)) && (7.0..7.3).contains(&at),
            "{at}"
        );
        let kept_out = Watcher {
            is_kept_out: true,
            ..watcher(Instant::now())
        };
        let silent = |_| Observation {
            is_silent: true,
            ..Observation::default()
        };
        let (next, at) = watched(kept_out, silent, |_| not_yet("no answer"));
        assert!(matches!(next, Next::Failed(_)) && at < 0.3, "{at}");
        let wrong = |_| Verdict::Wrong(Error::new("wrong"));
        let (next, at) = watched(watcher(Instant::now()), plain, wrong);
        assert!(matches!(next, Next::Failed(_)) && at < 0.1, "{at}");
    }

    #[test]
    fn somebody_else_may_stay_for_a_while() {
        let (next, at) = watched(watcher(Instant::now()), plain, |_| somebody());
        assert!(
            matches!(next, Next::Lost(_)) && (4.0..4.3).contains(&at),
            "{at}"
        );
        // At a host that was won, for as long as the controller has not read that they have given way.
        let won = |_| Observation {
            claim: Some(true),
            ..Observation::default()
        };
        let gives_way = |at: f64| match at {
            ..3.0 => not_yet("404"),
            3.0..6.0 => somebody(),
            _ => Verdict::Ours,
        };
        let (next, at) = watched(watcher(Instant::now()), won, gives_way);
        assert!(matches!(next, Next::Proven) && at < 6.4, "{at}");
        let stays = |at: f64| if at < 1.0 { not_yet("404") } else { somebody() };
        let (next, at) = watched(watcher(Instant::now()), won, stays);
        assert!(
            matches!(next, Next::Lost(_)) && (5.0..5.3).contains(&at),
            "{at}"
        );
    }

    #[test]
    fn an_open_claim_is_looked_at_without_a_pause() {
        let now = Instant::now();
        let open = Observation {
            claim: Some(false),
            ..Observation::default()
        };
        for verdict in [Verdict::Ours, not_yet("404"), somebody()] {
            let next = watcher(now).next(verdict, open, now);
            assert!(matches!(next, Next::Again(Duration::ZERO)), "{next:?}");
        }
    }
}
