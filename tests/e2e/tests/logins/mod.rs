//! Logins that end after seconds: ours goes on wherever kubectl does, beside it and without taking anything from it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a harness that fails is a failed test"
)]

mod kubeconfig;
mod token;

mod bursts;
mod ended;
mod interrupted;
mod kept;
