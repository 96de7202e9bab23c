//! Lines that tell what is being done.

use std::io;
use std::time::Duration;

use dialoguer::console::Term;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use crate::printable;

/// How often a line is drawn anew, and how often at most in a second.
const TICK: Duration = Duration::from_millis(120);
const DRAWN: u8 = 20;

/// A line on the terminal that tells what is being done; it goes away when this is dropped.
#[derive(Debug)]
#[must_use = "the line goes away when this is dropped"]
pub struct Progress {
    lines: MultiProgress,
    line: ProgressBar,
}

impl Progress {
    pub(super) fn begin(lines: &MultiProgress, text: &str) -> Self {
        let style = ProgressStyle::with_template("{spinner} {wide_msg}");
        let line = lines.add(
            ProgressBar::new_spinner()
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner())),
        );
        let progress = Self {
            lines: lines.clone(),
            line,
        };
        progress.say(text);
        progress.line.enable_steady_tick(TICK);
        progress
    }

    /// Replaces its text.
    pub fn say(&self, text: impl AsRef<str>) {
        let text = printable::line(text.as_ref());
        self.line.set_message(format!("{text}…"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.line.finish_and_clear();
        self.lines.remove(&self.line);
    }
}

/// The terminal on standard error.
pub(super) fn terminal() -> ProgressDrawTarget {
    ProgressDrawTarget::term_like_with_hz(Box::new(AtTheBeginning(Term::stderr())), DRAWN)
}

/// A terminal whose cursor waits at the beginning of the last line. indicatif leaves it at the end, where the `^C` that a terminal
/// shows would begin a line of its own, which would then be cleared in the place of the one above it.
#[derive(Debug)]
struct AtTheBeginning(Term);

impl TermLike for AtTheBeginning {
    fn width(&self) -> u16 {
        self.0.size().1
    }

    fn height(&self) -> u16 {
        self.0.size().0
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_up(n)
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_down(n)
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_right(n)
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_left(n)
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.0.write_line(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.0.write_str(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.0.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        self.0.write_str("\r")?;
        self.0.flush()
    }
}
