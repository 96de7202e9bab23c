//! Whether the other end of a tunnel is still alive.
//!
//! Load balancers forget idle connections and cut cables send no word, so a tunnel pings. But silence alone proves nothing:
//! the pod's node answers pings in the order of what it reads, and it stops reading while the program in the pod does. A
//! database that takes its time with a large COPY is alive, and so is a tunnel whose local client does not read.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

/// How often a ping is sent; as kubectl's.
pub(super) const PING_EVERY: Duration = Duration::from_secs(10);

/// How long nothing at all may arrive.
pub(super) const SILENCE: Duration = Duration::from_secs(30);

/// How often [`Pulse::verdict`] is to be asked.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What is known of the other end. Cells, because both directions of one tunnel, in one task, write to it.
#[derive(Debug)]
pub(super) struct Pulse {
    /// Since when we listen without having heard anything; nothing while we do not listen.
    silent_since: Cell<Option<Instant>>,
    /// When the last bytes for the local client came.
    data: Cell<Instant>,
    /// When we looked last: a process that was stopped has heard nothing for a while, which proves nothing.
    looked: Cell<Instant>,
    /// How many bytes went out, and how many of them had been taken when the last answered ping was.
    sent: Cell<u64>,
    taken: Cell<u64>,
    /// When the local client ended its direction.
    local_ended: Cell<Option<Instant>>,
}

/// What silence means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Alive,
    /// Either the pod reads slowly, or nobody is there: ask in another way, then [`Pulse::excuse`] it or not.
    Doubtful,
    /// All that we sent was taken, and still no ping is answered.
    Dead,
}

impl Pulse {
    /// A tunnel that was just opened.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            silent_since: Cell::new(Some(now)),
            data: Cell::new(now),
            looked: Cell::new(now),
            sent: Cell::new(0),
            taken: Cell::new(0),
            local_ended: Cell::new(None),
        }
    }

    /// We wait for the next message from now on.
    pub(super) fn listening(&self, now: Instant) {
        self.silent_since.set(Some(now));
    }

    /// A message has come; until [`Pulse::listening`] we are busy with it.
    pub(super) fn heard(&self) {
        self.silent_since.set(None);
    }

    /// It held bytes for the local client.
    pub(super) fn data(&self, now: Instant) {
        self.data.set(now);
    }

    /// So many more bytes are about to be sent.
    pub(super) fn sending(&self, bytes: usize) {
        self.sent.set(self.sent.get().saturating_add(bytes as u64));
    }

    /// What the next ping is to carry: the answer brings it back, and thereby tells how far the node has read.
    pub(super) fn ping(&self) -> [u8; 8] {
        self.sent.get().to_be_bytes()
    }

    /// The answer to a ping, or what pretends to be one.
    pub(super) fn answered(&self, payload: &[u8]) {
        if let Ok(payload) = payload.try_into() {
            self.taken.set(
                u64::from_be_bytes(payload)
                    .min(self.sent.get())
                    .max(self.taken.get()),
            );
        }
    }

    /// The local client has ended its direction.
    pub(super) fn local_ended(&self, now: Instant) {
        self.local_ended.set(Some(now));
    }

    /// Whether it has.
    pub(super) fn has_local_ended(&self) -> bool {
        self.local_ended.get().is_some()
    }

    /// For how long no data have come after the local client's end, while we were ready for them.
    pub(super) fn quiet_after_end(&self, now: Instant) -> Option<Duration> {
        let since = self.local_ended.get()?.max(self.data.get());
        self.silent_since.get()?;
        Some(now.saturating_duration_since(since))
    }

    /// Whether the other end is still there; to be asked every [`LOOK_EVERY`].
    pub(super) fn verdict(&self, now: Instant) -> Verdict {
        let looked = self.looked.replace(now);
        let Some(since) = self.silent_since.get() else {
            return Verdict::Alive;
        };
        if now.saturating_duration_since(looked) > LOOK_EVERY * 3 {
            self.silent_since.set(Some(now));
            return Verdict::Alive;
        }
        if now.saturating_duration_since(since) < SILENCE {
            return Verdict::Alive;
        }
        if self.taken.get() == self.sent.get() {
            Verdict::Dead
        } else {
            Verdict::Doubtful
        }
    }

    /// The API server answers elsewhere: the silence starts anew.
    pub(super) fn excuse(&self, now: Instant) {
        self.looked.set(now);
        if self.silent_since.get().is_some() {
            self.silent_since.set(Some(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks every two seconds for so many seconds.
    fn look(pulse: &Pulse, start: Instant, seconds: std::ops::Range<u64>) -> Verdict {
        let mut last = Verdict::Alive;
        for second in seconds.step_by(2) {
            last = pulse.verdict(start + Duration::from_secs(second));
        }
        last
    }

    #[test]
    fn an_idle_tunnel_without_answers_is_dead() {
        let start = Instant::now();
        let pulse = Pulse::new(start);
        assert_eq!(look(&pulse, start, 0..30), Verdict::Alive);
        assert_eq!(look(&pulse, start, 30..32), Verdict::Dead);
    }

    #[test]
    fn any_message_is_a_sign_of_life() {
        let start = Instant::now();
        let pulse = Pulse::new(start);
        for second in (0..300).step_by(20) {
            pulse.heard();
            pulse.listening(start + Duration::from_secs(second));
            assert_eq!(look(&pulse, start, second..second + 20), Verdict::Alive);
        }
    }

    #[test]
    fn a_pod_that_does_not_read_is_not_called_dead() {
        let start = Instant::now();
        let pulse = Pulse::new(start);
        pulse.sending(100);
        pulse.answered(&100_u64.to_be_bytes());
        pulse.sending(1);
        assert_eq!(look(&pulse, start, 0..32), Verdict::Doubtful);
        pulse.excuse(start + Duration::from_secs(31));
        assert_eq!(look(&pulse, start, 32..60), Verdict::Alive);
        pulse.answered(&101_u64.to_be_bytes());
        assert_eq!(
            look(&pulse, start, 60..64),
            Verdict::Dead,
            "all was taken, yet nothing answers"
        );
    }

    #[test]
    fn forged_answers_change_nothing() {
        let pulse = Pulse::new(Instant::now());
        pulse.sending(5);
        for payload in [&[][..], &[1], &u64::MAX.to_be_bytes()[..7]] {
            pulse.answered(payload);
            assert_eq!(pulse.taken.get(), 0);
        }
        pulse.answered(&u64::MAX.to_be_bytes());
        assert_eq!(pulse.taken.get(), 5);
        pulse.answered(&0_u64.to_be_bytes());
        assert_eq!(pulse.taken.get(), 5);
    }

    #[test]
    fn time_in_which_nobody_listened_does_not_count() {
        let start = Instant::now();
        let pulse = Pulse::new(start);
        pulse.heard();
        assert_eq!(
            look(&pulse, start, 0..100),
            Verdict::Alive,
            "the local client does not read"
        );
        let pulse = Pulse::new(start);
        assert_eq!(look(&pulse, start, 0..10), Verdict::Alive);
        assert_eq!(
            look(&pulse, start, 4000..4020),
            Verdict::Alive,
            "the process was stopped"
        );
        assert_eq!(look(&pulse, start, 4020..4032), Verdict::Dead);
    }
}
