//! What went wrong, why, and what to do about it: every failure of this crate reaches the developer through this one type.

use std::{any::Any, fmt, mem};

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure: one phrase, its causes, lines that show it (a log's end), and commands that help.
#[derive(Debug)]
pub struct Error {
    message: String,
    causes: Vec<String>,
    shown: Vec<String>,
    hints: Vec<String>,
    exit_code: u8,
}

impl Error {
    /// A failure described by a lower-case phrase without a period.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            causes: Vec::new(),
            shown: Vec::new(),
            hints: Vec::new(),
            exit_code: 1,
        }
    }

    /// The error of a run ended by SIGINT (130) or SIGTERM (143).
    pub(crate) fn interrupted(exit_code: u8) -> Self {
        Self {
            exit_code,
            ..Self::new("interrupted")
        }
    }

    /// Adds an underlying cause.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// Adds something to do about it; commands stand in backticks.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds text to show as it is, such as the last lines of a log.
    #[must_use]
    pub fn show(mut self, text: impl Into<String>) -> Self {
        self.shown.push(text.into());
        self
    }

    /// The phrase alone.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The failure of something larger, of which this one is the cause. An interruption stays one.
    fn within(mut self, message: impl Into<String>) -> Self {
        if self.exit_code == 1 {
            let cause = mem::replace(&mut self.message, message.into());
            self.causes.insert(0, cause);
        }
        self
    }

    /// What the process exits with because of this failure.
    pub fn exit_code(&self) -> u8 {
        self.exit_code
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        for cause in &self.causes {
            write!(f, "\ncaused by: {cause}")?;
        }
        for text in &self.shown {
            write!(f, "\n\n{}", text.trim_end())?;
        }
        if !self.hints.is_empty() {
            writeln!(f)?;
        }
        for hint in &self.hints {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// Turns any failure into an [`Error`] that says what was being done.
pub(crate) trait Context<T> {
    /// Names what could not be done.
    fn context(self, message: impl Into<String>) -> Result<T>;
    /// As `context`, made only on failure.
    fn with_context<S: Into<String>>(self, message: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: fmt::Display + 'static> Context<T> for std::result::Result<T, E> {
    fn context(self, message: impl Into<String>) -> Result<T> {
        self.with_context(|| message)
    }

    fn with_context<S: Into<String>>(self, message: impl FnOnce() -> S) -> Result<T> {
        self.map_err(
            |mut cause| match (&mut cause as &mut dyn Any).downcast_mut::<Error>() {
                Some(cause) => mem::replace(cause, Error::new(String::new())).within(message()),
                None => Error::new(message()).because(cause),
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_from_the_phrase_to_the_remedy() {
        let error = Error::new("etcd did not start")
            .because("port taken")
            .show("log line\n")
            .hint("run `make cluster`");
        assert_eq!(
            error.to_string(),
            "etcd did not start\ncaused by: port taken\n\nlog line\n\nhint: run `make cluster`"
        );
    }

    #[test]
    fn causes_stand_in_order_and_hints_stay_last() {
        let inner: Result<()> = Err(Error::new("port taken").because("errno 98").hint("free it"));
        let error = inner.context("etcd did not start").unwrap_err();
        assert_eq!(
            error.to_string(),
            "etcd did not start\ncaused by: port taken\ncaused by: errno 98\n\nhint: free it"
        );
    }

    #[test]
    fn an_interruption_is_not_explained() {
        let error = Err::<(), _>(Error::interrupted(130))
            .context("etcd did not start")
            .unwrap_err();
        assert_eq!(
            (error.to_string().as_str(), error.exit_code()),
            ("interrupted", 130)
        );
    }
}
