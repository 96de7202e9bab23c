//! Ownership that ends by itself, with nothing but the cluster's stock controllers.
//!
//! RBAC has no expiry (kubernetes#87433, #89763), but a Job has: with `parallelism: 0` it runs no pod, so it needs no quota, no
//! image and no Pod Security; its controller notes the start, ends it `activeDeadlineSeconds` later, and with
//! `ttlSecondsAfterFinished: 0` (KEP-592) it is deleted at once together with all objects that name it in their
//! `ownerReferences`. Nobody's laptop has to be on.

mod ending;
mod timer;

use std::time::Duration;

use jiff::Timestamp;

use crate::error::{Error, Result};

pub use ending::Ending;
pub use timer::{Fault, Timer, is_owned_by, reset, started, timer_job};

/// The longest time a grant may be for; longer is `--forever`, to be said on purpose.
pub const LONGEST: Duration = Duration::from_hours(8784);

/// Annotation with the term that was asked for, as [`Term`] is written: an end that is missing must not look as if it was meant.
pub const FOR: &str = "kube-commons/for";

/// For how long something is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Term {
    /// For this time from now on.
    For(Duration),
    /// Until it is revoked.
    Forever,
}

impl Term {
    /// From `--for` and `--forever`.
    ///
    /// # Errors
    /// A usage error for no time at all and for more than [`LONGEST`].
    pub fn new(duration: Duration, forever: bool) -> Result<Self> {
        match duration {
            _ if forever => Ok(Self::Forever),
            Duration::ZERO => Err(Error::usage("`--for` must be at least `1s`")),
            long if long > LONGEST => Err(Error::usage(format!(
                "`--for` is at most {}",
                crate::duration::rough(LONGEST)
            ))
            .hint("`--forever` has no end")),
            duration => Ok(Self::For(duration)),
        }
    }

    /// From now to the end, as a Job's deadline has it; nothing for what has no end.
    fn seconds(self) -> Option<i64> {
        match self {
            Self::For(duration) => Some(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)),
            Self::Forever => None,
        }
    }
}

impl std::fmt::Display for Term {
    /// `8h`, or `forever`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::For(duration) => f.write_str(&crate::duration::exact(*duration)),
            Self::Forever => f.write_str("forever"),
        }
    }
}

/// The flags `--for` and `--forever`, the same everywhere.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct TermFlags {
    /// For this time from now on, such as `90m`, `8h` or `2d`
    #[arg(long = "for", allow_hyphen_values = true, value_name = "DURATION", value_parser = crate::duration::parse, default_value = "8h")]
    pub duration: Duration,
    /// Until you revoke it
    #[arg(long, conflicts_with = "duration")]
    pub forever: bool,
}

impl TermFlags {
    /// The term that they mean.
    ///
    /// # Errors
    /// See [`Term::new`].
    pub fn term(&self) -> Result<Term> {
        Term::new(self.duration, self.forever)
    }
}

/// By how many seconds an end may differ from the one that is asked for: a hundredth of the time. The same command typed again changes
/// nothing.
pub fn tolerance(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs() / 100)
        .unwrap_or(i64::MAX)
        .max(1)
}

/// What is left until a moment; zero when it is over.
pub fn left(until: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_bounded() {
        assert!(Term::new(Duration::ZERO, false).is_err());
        assert!(Term::new(LONGEST + Duration::from_secs(1), false).is_err());
        assert_eq!(Term::new(Duration::ZERO, true).ok(), Some(Term::Forever));
    }
}
