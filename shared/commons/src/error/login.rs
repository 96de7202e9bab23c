//! Failures to log in.

use super::{Error, Kind};

/// The login has ended for good, and only its owner can log in again.
pub(crate) fn over(why: &str) -> Error {
    Error::of(Kind::Unauthorized, "your login has ended")
        .caused_by(why)
        .hint("log in again (on Onyxia: My account, Kubernetes, and run its script), then retry")
}

/// A failure to log in, on its way through kube's client.
#[derive(Debug)]
pub(crate) struct Failed(pub(crate) Error);

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.message())
    }
}

impl std::error::Error for Failed {}
