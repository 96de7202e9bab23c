//! What the plugins of kube-commons share, one theme a module.
//!
//! Every command goes the same way: arguments, then `resolve` (reads the cluster), then a plan (plain data), then `apply`
//! (writes and verifies), then a report. The modules here are the parts of that way which at least two plugins need.

pub mod apply;
pub mod card;
pub mod change;
pub mod cli;
pub mod cluster;
pub mod database;
pub mod duration;
pub mod error;
pub mod exposure;
pub mod flags;
pub mod grant;
pub mod listener;
pub mod login;
pub mod manifest;
pub mod names;
pub mod network;
pub mod output;
pub mod printable;
pub mod proxy;
pub mod quantity;
pub mod shell;
pub mod subject;
pub mod tunnel;
pub mod ui;
pub mod web;
pub mod workload;

pub use cluster::Cluster;
pub use error::{Error, Kind, Result};
pub use shell::shell;
pub use ui::Ui;
