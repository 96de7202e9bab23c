//! What a user of the plugins reads, on every path: the real binaries run against an API server that is a part of the test.
//!
//! [`ApiServer`] is a small but honest one: it authenticates, authorizes by the Roles and `RoleBindings` that it stores,
//! refuses with Kubernetes' own words, fills in defaults, keeps versions and who set which field (server-side apply), lets
//! itself be watched, starts and ends Jobs, and collects what they owned. Behind it are as many controllers as the plugins see
//! (for Deployments and their like, endpoints, ingress and gateway, cert-manager) and a kubelet that lets pods meet the
//! [`Fate`] that a test has for them. It also answers what a test tells it to, and remembers every request. [`Internet`] is
//! the way in from outside, with names, addresses and certificates. [`odd`] has servers that are none. [`Session`] runs a
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

mod access;
mod admission;
pub mod api;
pub mod authority;
pub mod commands;
mod controllers;
mod defaults;
mod discovery;
pub mod fixtures;
pub mod http;
pub mod internet;
mod managed_fields;
mod merge_patch;
pub mod odd;
mod pod;
mod quantity;
mod rbac;
pub mod run;
mod selector;
mod stopwatch;
mod store;
mod target;
mod terminal;
mod validation;

pub use api::{ApiServer, JobController};
pub use authority::{Authority, TRUSTED};
pub use controllers::{Fate, Issuing};
pub use http::{Request, Response};
pub use internet::Internet;
pub use merge_patch::merge;
pub use run::{Run, Session};
pub use stopwatch::Stopwatch;
pub use target::Addon;
pub use terminal::Terminal;
