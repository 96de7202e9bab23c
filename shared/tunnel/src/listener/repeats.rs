//! Keeps one fault from filling the screen: a client that tries again ten times a second makes one line, not hundreds.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// How long the same words are not said again.
const PAUSE: Duration = Duration::from_secs(10);

/// Most different lines remembered; a hostile node may invent a new one each time.
const REMEMBERED: usize = 32;

/// What was said lately.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    said: HashMap<String, (Instant, usize)>,
}

impl Repeats {
    /// The line to say now, if any; with how often it was left out since it was said last.
    pub(super) fn admit(&mut self, line: String, now: Instant) -> Option<String> {
        if let Some((when, left_out)) = self.said.get_mut(&line) {
            if now.saturating_duration_since(*when) < PAUSE {
                *left_out += 1;
                return None;
            }
            *when = now;
            let more = std::mem::take(left_out);
            return Some(if more > 0 {
                format!("{line} ({more} more since)")
            } else {
                line
            });
        }
        if self.said.len() >= REMEMBERED {
            self.said
                .retain(|_, (when, _)| now.saturating_duration_since(*when) < PAUSE);
        }
        if self.said.len() >= REMEMBERED {
            return None;
        }
        self.said.insert(line.clone(), (now, 0));
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_words_are_said_once_in_a_while() {
        let mut repeats = Repeats::default();
        let start = Instant::now();
        let mut admit =
            |line: &str, seconds| repeats.admit(line.into(), start + Duration::from_secs(seconds));
        assert_eq!(admit("a", 0).as_deref(), Some("a"));
        assert_eq!(admit("a", 1), None);
        assert_eq!(admit("b", 1).as_deref(), Some("b"));
        assert_eq!(admit("a", 9), None);
        assert_eq!(admit("a", 10).as_deref(), Some("a (2 more since)"));
        assert_eq!(admit("a", 30).as_deref(), Some("a"));
    }

    #[test]
    fn a_flood_of_different_words_is_bounded() {
        let mut repeats = Repeats::default();
        let start = Instant::now();
        let said = (0..1000)
            .filter(|n| repeats.admit(n.to_string(), start).is_some())
            .count();
        assert_eq!(said, REMEMBERED);
        assert!(repeats.admit("later".into(), start + PAUSE).is_some());
    }
}
