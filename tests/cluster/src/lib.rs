//! A real Kubernetes node on this machine, for tests and demos: every component compiled from Go modules, every image made from Debian
//! packages, everything below one process in namespaces of its own.
//!
//! Tests start from [`Cluster::for_tests`]; the command `cluster` is what `make cluster` runs.

mod additions;
mod api;
mod archive;
mod cache;
mod certificates;
mod cgroup;
mod cluster;
mod commands;
mod components;
mod control;
mod error;
mod external;
mod fault;
mod foreign;
mod identity;
mod images;
mod init;
mod interrupt;
mod issuer;
mod keycloak;
mod kubeconfig;
mod launch;
mod layout;
mod link;
mod login;
pub mod machine;
mod node;
pub mod programs;
mod progress;
mod record;
mod storage;
mod store;
mod subject;
pub mod users;
mod wait;
mod workstation;

pub use additions::Addition;
pub use cluster::{CHOICE, Cluster, NODE};
pub use commands::main;
pub use components::Component;
pub use control::Health;
pub use error::{Error, Result};
pub use fault::Fault;
pub use images::references as image_references;
pub use issuer::{Issuer, Lifetimes, Realm, Refreshes, Tokens};
pub use layout::{GATEWAY_DOMAIN, INGRESS_DOMAIN, Layout, NODE_NAME, SECOND_DOMAIN};
pub use login::Login;
pub use node::{Outcome, Status};
pub use progress::Progress;
pub use workstation::Workstation;
