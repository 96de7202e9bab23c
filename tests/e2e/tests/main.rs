//! Scenarios against a real cluster, one file a behaviour, each promise with its negative beside it.

mod expiry;
mod extending;
mod foreign_objects;
mod idempotence;
mod plain_kubectl;
mod pod_restart;
mod quota;
mod revoking;
mod rights;
mod sharing;
mod subjects;
