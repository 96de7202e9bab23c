//! Several people who write the same host at once: from what each sees there, exactly one gets it. Decided without a cluster.
//!
//! No API tells who else has a host; all that everybody sees is who is served there. Whoever takes a free host looks at it from
//! before it is written, and goes on looking: between two looks there are never more than [`UNSEEN`]. Whoever sees another's
//! answer gives way at once, and so does whoever has not looked for longer than that. It is won by who has seen nobody else
//! for [`WATCHED`] since somebody was served there first, and their own app at the end.
//!
//! Two cannot win. While the first of them was watching and winning, their app was what everybody saw, for longer than any
//! other looks away; so the second has seen it, and has given way. That nobody wins is possible, and is why whoever gives way
//! tries again, after a time that differs from everybody else's ([`Tries`]).

use std::time::Duration;

use tokio::time::Instant;

/// For how long nobody else may be seen at a host before it is won; longer than [`UNSEEN`], by what a request may be under way.
const WATCHED: Duration = Duration::from_millis(1200);

/// The longest time between two looks after which others cannot have won unseen.
const UNSEEN: Duration = Duration::from_millis(800);

/// How often the own app must have been seen last, in a row: after an update, a controller may take turns between pods.
const IN_A_ROW: u32 = 3;

/// What one look at the host showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// What is answered for hosts that nobody has.
    Free,
    /// Somebody has it whose app does not answer (yet): us or another.
    Mute,
    /// Our app.
    Own,
    /// Another's.
    Other,
}

/// How it stands after a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// To be looked at again.
    Open,
    /// It is ours.
    Won,
    /// Another is served there: to give way.
    Taken,
    /// Another may have won while nobody looked: to give way.
    Unseen,
}

/// One attempt to get a host.
#[derive(Clone, Copy, Debug)]
pub struct Contest {
    /// When it was looked at last.
    looked: Instant,
    /// When somebody was seen to have it first.
    since: Option<Instant>,
    in_a_row: u32,
    won: bool,
}

impl Contest {
    /// From a look that showed a free host, asked for at this time, before anything was written.
    pub fn at_free_host(looked: Instant) -> Self {
        Self {
            looked,
            since: None,
            in_a_row: 0,
            won: false,
        }
    }

    /// Whether it is won.
    pub fn is_won(&self) -> bool {
        self.won
    }

    /// Takes in what was seen; `asked` is when the request was sent. Looks are given in their order.
    pub fn see(&mut self, asked: Instant, sight: Sight) -> Standing {
        if self.won {
            return Standing::Won;
        }
        let unseen = asked.saturating_duration_since(self.looked) > UNSEEN;
        self.looked = self.looked.max(asked);
        self.in_a_row = if sight == Sight::Own {
            self.in_a_row + 1
        } else {
            0
        };
        match sight {
            Sight::Other => return Standing::Taken,
            // Whoever has won stays: they would be seen.
            Sight::Free => self.since = None,
            Sight::Own | Sight::Mute if unseen => return Standing::Unseen,
            Sight::Own | Sight::Mute => {
                let since = *self.since.get_or_insert(asked);
                self.won =
                    self.in_a_row >= IN_A_ROW && asked.saturating_duration_since(since) >= WATCHED;
            }
        }
        if self.won {
            Standing::Won
        } else {
            Standing::Open
        }
    }
}

/// How often a host is tried for by who has to give way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tries(u32);

impl Tries {
    /// How long to wait before the next try, once the host is free again: a random share of a time that doubles. `None` when
    /// there were enough.
    pub fn next(&mut self, random: u64) -> Option<Duration> {
        self.0 += 1;
        let longest: u64 = match self.0 {
            1 => 1000,
            2 => 2000,
            3 => 4000,
            4 => 8000,
            _ => return None,
        };
        Some(Duration::from_millis(random % longest))
    }
}

#[cfg(test)]
mod tests {
    use super::Sight::{Free, Mute, Other, Own};
    use super::*;

    fn at(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    /// How it stands after looks at these times, in milliseconds after the host was seen free; the first that is not open.
    fn after(looks: &[(u64, Sight)]) -> (usize, Standing) {
        let start = Instant::now();
        let mut contest = Contest::at_free_host(start);
        for (position, (millis, sight)) in looks.iter().enumerate() {
            let standing = contest.see(at(start, *millis), *sight);
            if standing != Standing::Open {
                return (position, standing);
            }
        }
        (looks.len(), Standing::Open)
    }

    #[test]
    fn a_host_is_won_by_who_has_seen_nobody_else() {
        for (looks, expected) in [
            // Alone.
            (
                &[
                    (100, Free),
                    (300, Own),
                    (900, Own),
                    (1499, Own),
                    (1500, Own),
                ][..],
                (4, Standing::Won),
            ),
            // Seen often enough, and not long enough; and the other way round.
            (&[(300, Own), (400, Own), (500, Own)], (3, Standing::Open)),
            (
                &[(300, Own), (1000, Own), (1600, Mute), (1700, Own)],
                (4, Standing::Open),
            ),
            // Somebody else, at any time.
            (&[(100, Free), (300, Other)], (1, Standing::Taken)),
            (
                &[(300, Own), (400, Own), (500, Other), (600, Own)],
                (2, Standing::Taken),
            ),
            (&[(300, Mute), (700, Other)], (1, Standing::Taken)),
            // An app that starts has been watched meanwhile.
            (
                &[
                    (200, Mute),
                    (900, Mute),
                    (1600, Mute),
                    (1700, Own),
                    (1750, Own),
                    (1800, Own),
                ],
                (5, Standing::Won),
            ),
            // Looked away: before it was seen first, and later.
            (&[(801, Own)], (0, Standing::Unseen)),
            (&[(801, Mute)], (0, Standing::Unseen)),
            (&[(300, Own), (1101, Own)], (1, Standing::Unseen)),
            // Who has won would be seen, so a free host is as good as one that was never away.
            (
                &[(5000, Free), (5700, Own), (6300, Own), (6900, Own)],
                (3, Standing::Won),
            ),
            // A controller that forgets it between.
            (
                &[
                    (300, Own),
                    (900, Own),
                    (1400, Free),
                    (1500, Own),
                    (1600, Own),
                    (1700, Own),
                ],
                (6, Standing::Open),
            ),
        ] {
            assert_eq!(after(looks), expected, "{looks:?}");
        }
    }

    #[test]
    fn what_is_won_stays_won() {
        let start = Instant::now();
        let mut contest = Contest::at_free_host(start);
        for millis in [300, 900, 1500] {
            contest.see(at(start, millis), Own);
        }
        assert!(contest.is_won());
        assert_eq!(contest.see(at(start, 9000), Other), Standing::Won);
    }

    /// A small random source, the same in every run.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, end: u64) -> u64 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % end
        }
    }

    /// Somebody in [`never_two_winners`].
    struct Racer {
        contest: Option<Contest>,
        looks_at: u64,
        /// From when on the app answers.
        ready: u64,
        /// From when to when the controller is told to serve them.
        written: Option<u64>,
        gone: Option<u64>,
        standing: Standing,
        slow: u64,
    }

    impl Racer {
        fn is_there(&self, time: u64) -> bool {
            self.written.is_some_and(|written| written <= time)
                && self.gone.is_none_or(|gone| gone > time)
        }

        /// One look, and what follows from it.
        fn look(&mut self, now: u64, asked: Instant, sight: Sight, dice: &mut Dice) {
            match &mut self.contest {
                None if sight == Free => {
                    self.contest = Some(Contest::at_free_host(asked));
                    self.written = Some(now + dice.below(self.slow));
                }
                None => self.standing = Standing::Taken,
                Some(contest) => {
                    self.standing = contest.see(asked, sight);
                    if matches!(self.standing, Standing::Taken | Standing::Unseen) {
                        self.gone = Some(now + dice.below(self.slow));
                    }
                }
            }
            self.looks_at = now + 40 + dice.below(self.slow);
        }
    }

    /// What a controller serves: of all that are there, some one, anew each time it reads them; some obey the oldest.
    struct Controller {
        served: Option<usize>,
        /// Whether their app answers; of that too a controller learns when it reads.
        is_mute: bool,
        reads_at: u64,
        every: u64,
        is_fair: bool,
    }

    impl Controller {
        fn read(&mut self, now: u64, racers: &[Racer], dice: &mut Dice) {
            if now < self.reads_at {
                return;
            }
            let there: Vec<usize> = (0..racers.len())
                .filter(|who| racers[*who].is_there(now))
                .collect();
            let oldest = there.iter().copied().min_by_key(|who| racers[*who].written);
            self.served = if self.is_fair || there.is_empty() {
                oldest
            } else {
                let any = usize::try_from(dice.below(there.len() as u64)).unwrap_or_default();
                Some(there[any])
            };
            self.is_mute = self.served.is_some_and(|who| racers[who].ready > now);
            self.reads_at = now + self.every;
        }
    }

    #[test]
    fn never_two_winners() {
        let start = Instant::now();
        let mut dice = Dice(7);
        let mut one_winner = 0;
        for round in 0..20_000 {
            // Machines from quick to much too slow, controllers from immediate to every two seconds.
            let mut racers: Vec<Racer> = (0..2 + dice.below(2))
                .map(|_| Racer {
                    contest: None,
                    looks_at: dice.below(500),
                    ready: if round % 2 == 0 { 0 } else { dice.below(5000) },
                    written: None,
                    gone: None,
                    standing: Standing::Open,
                    slow: 1 + dice.below(1200),
                })
                .collect();
            let mut controller = Controller {
                served: None,
                is_mute: false,
                reads_at: 0,
                every: [50, 1000, 2000][usize::try_from(round % 3).unwrap_or_default()],
                is_fair: round % 3 == 0 || dice.below(3) == 0,
            };
            for now in (0..15_000).step_by(10) {
                controller.read(now, &racers, &mut dice);
                for (who, racer) in racers.iter_mut().enumerate() {
                    if racer.standing == Standing::Open && now >= racer.looks_at {
                        let sight = match controller.served {
                            None => Free,
                            Some(_) if controller.is_mute => Mute,
                            Some(served) if served == who => Own,
                            Some(_) => Other,
                        };
                        // The controller has it a moment after it was asked.
                        let asked = at(start, now.saturating_sub(dice.below(100)));
                        racer.look(now, asked, sight, &mut dice);
                    }
                }
            }
            let won = racers
                .iter()
                .filter(|racer| racer.standing == Standing::Won)
                .count();
            assert!(won <= 1, "round {round}: {won} winners");
            one_winner += won;
        }
        assert!(
            one_winner > 5000,
            "and mostly there is one: {one_winner} of 20000"
        );
    }

    #[test]
    fn whoever_gives_way_tries_again_some_times_at_random() {
        let mut tries = Tries::default();
        let longest: Vec<Option<Duration>> = (0..5).map(|_| tries.next(u64::MAX)).collect();
        assert!(
            longest[..4]
                .iter()
                .all(|pause| pause.is_some_and(|pause| pause < Duration::from_secs(8)))
        );
        assert_eq!(longest[4], None);
        assert_ne!(Tries::default().next(1), Tries::default().next(2));
    }
}
