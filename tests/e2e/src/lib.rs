//! A stage for scenarios: people with namespaces of their own on a real cluster, who type real commands.
//!
//! Every test has its own people, so tests run side by side. What a test made is removed when its stage goes, also when the
//! test fails; then the state of its namespace is printed first.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::print_stderr,
    clippy::return_self_not_must_use,
    reason = "a harness that fails is a failed test"
)]

mod machine;
mod outcome;
mod person;
mod pod_watch;
mod proxy;
mod soak;
mod stage;
mod terminal;
mod web;

pub use cli_tests::{Stopwatch, Terminal};
pub use outcome::{Outcome, eventually, run};
pub use person::Person;
pub use pod_watch::PodWatch;
pub use proxy::{Proxy, free_port};
pub use soak::rounds;
pub use stage::{Alone, Stage};
pub use web::Answer;
