//! What a user of the plugins reads, on every path: the real binaries run against an API server that is a part of the test.
//!
//! [`ApiServer`] is the real one, with the real controllers, in namespaces of each test's own; pods meet the [`Fate`] that the
//! test has for them. Before it stands what remembers every request, answers what a test tells it to, and says of objects what
//! no API server would take ([`plane`]). [`Internet`] is the way in from outside, with names, addresses and certificates.
//! [`odd`] has servers that are none. [`Session`] runs a binary with nothing of the machine around it and returns all it
//! printed as one text.
//!
//! The cluster's clock stands still until a test moves it, far from the machine's: what is printed of times is the same in
//! every run, and a plugin that trusted its own clock would be seen.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test that cannot go on panics, and says where"
)]

pub mod authority;
pub mod fixtures;
pub mod http;
pub mod internet;
mod merge_patch;
pub mod odd;
pub mod plane;
pub mod run;
mod stopwatch;
mod terminal;

pub use authority::{Authority, TRUSTED};
pub use http::{Request, Response};
pub use internet::Internet;
pub use merge_patch::merge;
pub use plane::{Addon, ApiServer, Fate, JobController};
pub use run::{Run, Session};
pub use stopwatch::Stopwatch;
pub use terminal::Terminal;
