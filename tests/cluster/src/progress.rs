//! What the developer sees while waiting: one moving line on a terminal, a few plain lines elsewhere.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

/// Reports what is being done, on standard error.
pub struct Progress {
    bar: ProgressBar,
    started: Instant,
    said: Cell<Instant>,
}

/// Where there is no terminal, a long step says this often how far it is.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);

impl Progress {
    /// A progress line if standard error is a terminal, plain lines otherwise.
    pub fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style.tick_chars("-\\|/ "));
        }
        Self {
            bar,
            started: Instant::now(),
            said: Cell::new(Instant::now()),
        }
    }

    /// Names the step now under way.
    pub fn doing(&self, what: &str) {
        self.bar.enable_steady_tick(Duration::from_millis(120));
        self.bar.set_message(what.to_owned());
        if self.bar.is_hidden() && self.said.get().elapsed() > SIGN_OF_LIFE {
            self.say(what);
        }
    }

    /// Says something that stays on the screen.
    pub fn say(&self, what: &str) {
        self.said.set(Instant::now());
        if self.bar.is_hidden() {
            say_plainly(what);
        } else {
            self.bar.println(what);
        }
    }

    /// Removes the moving line.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Time since this progress began.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the one place that writes progress where there is no terminal"
)]
fn say_plainly(line: &str) {
    eprintln!("{line}");
}

/// A duration as a person reads it: `8.3s`, `3m12s`.
pub fn readable(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 {
        format!("{:.1}s", duration.as_secs_f64())
    } else {
        format!("{}m{}s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_go_writes_them() {
        assert_eq!(readable(Duration::from_millis(8340)), "8.3s");
        assert_eq!(readable(Duration::from_secs(192)), "3m12s");
    }
}
