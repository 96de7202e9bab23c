//! What a user of the plugins reads, on every path: the real binaries run against an API server that is a part of the test.
//!
//! [`ApiServer`] is a small but honest one: it authenticates, authorizes by the Roles and `RoleBindings` that it stores,
//! refuses with Kubernetes' own words, keeps versions, starts and ends Jobs, and collects what they owned. It also
//! answers what a test tells it to, and remembers every request. [`odd`] has servers that are none. [`Session`] runs a
//! binary with nothing of the machine around it and returns all it printed as one text.
//!
//! The cluster's clock stands still until a test moves it, far from the machine's: what is printed of times is the same in
//! every run, and a plugin that trusted its own clock would be seen.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test that cannot go on panics, and says where"
)]

pub mod api;
pub mod authority;
pub mod fixtures;
pub mod http;
mod merge_patch;
pub mod odd;
mod rbac;
pub mod run;
mod store;
mod target;

pub use api::{ApiServer, JobController};
pub use authority::Authority;
pub use http::{Request, Response};
pub use run::{Run, Session};
