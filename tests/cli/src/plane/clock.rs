//! The cluster's clock as a plugin sees it: it stands still until a test moves it, far from the machine's own.
//!
//! The API server's clock goes on. What it says of a time since the test began is shown as what stood on the test's clock by then.

use jiff::{SignedDuration, Timestamp};

/// When the clock stands at the beginning of every test.
pub const START: &str = "2026-01-05T10:00:00Z";

/// How far the clocks of the API server and of the tests may differ: both round to seconds.
const SLACK: SignedDuration = SignedDuration::from_secs(2);

/// A clock that stands still.
pub struct Clock {
    began: Timestamp,
    /// When it was moved, and to what.
    moves: Vec<(Timestamp, Timestamp)>,
}

impl Clock {
    /// At [`START`].
    pub fn new() -> Self {
        Self {
            began: Timestamp::now(),
            moves: Vec::new(),
        }
    }

    /// What stands on it.
    pub fn now(&self) -> Timestamp {
        self.moves
            .last()
            .map_or_else(|| START.parse().expect("a time"), |(_, to)| *to)
    }

    /// Moves it on. What happens from now on happens then: it waits until another second has begun.
    pub fn advance(&mut self, by: SignedDuration) {
        let to = self.now() + by;
        let now = Timestamp::now();
        let left = 1000 - now.as_millisecond().rem_euclid(1000);
        std::thread::sleep(std::time::Duration::from_millis(left.unsigned_abs() + 5));
        self.moves.push((Timestamp::now(), to));
    }

    /// What stood on it at a moment of the test.
    fn at(&self, real: Timestamp) -> Option<Timestamp> {
        if real < self.began - SLACK || real > Timestamp::now() + SLACK {
            return None;
        }
        let moved = self
            .moves
            .iter()
            .rev()
            .find(|(when, _)| real.as_second() >= when.as_second());
        Some(moved.map_or_else(|| START.parse().expect("a time"), |(_, to)| *to))
    }

    /// Text with every time of the test in it as this clock has it.
    pub fn show(&self, text: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(position) = rest.find("20") {
            let (before, candidate) = rest.split_at(position);
            shown += before;
            let found = whole_time(candidate).and_then(|length| {
                let time: Timestamp = candidate[..length].parse().ok()?;
                Some((length, self.at(time)?))
            });
            let length = if let Some((length, time)) = found {
                let is_fine = candidate[..length].contains('.');
                shown += &time.strftime("%Y-%m-%dT%H:%M:%S").to_string();
                shown += if is_fine { ".000000Z" } else { "Z" };
                length
            } else {
                shown += "20";
                2
            };
            rest = &candidate[length..];
        }
        shown + rest
    }
}

/// How long the time is that a text begins with: `2026-01-05T10:00:00Z`, with or without parts of a second.
fn whole_time(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let fits = |position: usize| bytes.get(position).copied();
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if !separators
        .iter()
        .all(|(position, byte)| fits(*position) == Some(*byte))
    {
        return None;
    }
    match fits(19)? {
        b'Z' => Some(20),
        b'.' => {
            let digits = bytes[20..].iter().take_while(|byte| byte.is_ascii_digit());
            let end = 20 + digits.count();
            (fits(end) == Some(b'Z')).then_some(end + 1)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_test_stand_still_and_others_stay() {
        let mut clock = Clock::new();
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S").to_string();
        let text =
            format!(r#"{{"a":"{now}Z","b":"{now}.123456Z","c":"2036-01-01T00:00:00Z","n":2026}}"#);
        let shown = r#"{"a":"2026-01-05T10:00:00Z","b":"2026-01-05T10:00:00.000000Z","c":"2036-01-01T00:00:00Z","n":2026}"#;
        assert_eq!(clock.show(&text), shown);
        clock.advance(SignedDuration::from_secs(3600));
        assert_eq!(clock.show(&text), shown, "what was before stays before");
        let later = format!("{}Z", Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S"));
        assert_eq!(clock.show(&later), "2026-01-05T11:00:00Z");
        assert_eq!(clock.now().to_string(), "2026-01-05T11:00:00Z");
    }
}
