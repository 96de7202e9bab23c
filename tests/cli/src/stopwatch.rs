//! Time as it passes on a busy machine: what somebody had to wait for the machine is not counted.
//!
//! A promise such as "within ten seconds" is about the program, not about what else the machine does. The kernel tells for
//! how long anything was ready to run and had to wait, for a processor, a disk or memory (`/proc/pressure`, Linux 4.20). On a
//! machine with nothing else to do that is little; without the kernel's word nothing is taken off.

use std::fs;
use std::time::{Duration, Instant};

/// However long the machine made everybody wait: after this much, nobody waits any more.
const AT_MOST: Duration = Duration::from_mins(5);

/// Measures from now on.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    started: Instant,
    waited: Duration,
}

impl Stopwatch {
    /// Starts to measure.
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
            waited: waited(),
        }
    }

    /// All time that has passed.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The time that has passed without anybody waiting for the machine.
    pub fn undisturbed(&self) -> Duration {
        let waited = waited().saturating_sub(self.waited);
        self.elapsed().saturating_sub(waited)
    }

    /// Whether this much undisturbed time has passed, or far more than any test needs.
    pub fn is_over(&self, patience: Duration) -> bool {
        self.undisturbed() > patience || self.elapsed() > patience + AT_MOST
    }
}

/// For how long, since the machine has started, somebody had to wait for it.
fn waited() -> Duration {
    ["cpu", "io", "memory"]
        .iter()
        .filter_map(|what| fs::read_to_string(format!("/proc/pressure/{what}")).ok())
        .filter_map(|text| total(&text))
        .sum()
}

/// `total` of the line `some avg10=0.00 avg60=0.00 avg300=0.00 total=42`, in microseconds.
fn total(text: &str) -> Option<Duration> {
    let some = text.lines().find(|line| line.starts_with("some "))?;
    let (_, total) = some.split_once("total=")?;
    total.trim().parse().ok().map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_word_is_understood() {
        let text = "some avg10=1.50 avg60=0.10 avg300=0.00 total=1500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";
        assert_eq!(total(text), Some(Duration::from_millis(1500)));
        assert_eq!(total("nothing"), None);
    }

    #[test]
    fn undisturbed_time_is_part_of_all_time() {
        let stopwatch = Stopwatch::start();
        std::thread::sleep(Duration::from_millis(20));
        let undisturbed = stopwatch.undisturbed();
        assert!(undisturbed <= stopwatch.elapsed());
        assert!(!stopwatch.is_over(Duration::from_mins(1)));
    }
}
