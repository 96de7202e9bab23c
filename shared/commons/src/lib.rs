//! What every plugin of kube-commons needs, one theme a module.
//!
//! Every command goes the same way: arguments, then `resolve` (reads the cluster), then a plan (plain data), then `apply`
//! (writes and verifies), then a report.

pub mod apply;
pub mod change;
pub mod cli;
pub mod cluster;
pub mod duration;
pub mod error;
pub mod flags;
pub mod grant;
pub mod labels;
pub mod login;
pub mod manifest;
pub mod names;
pub mod output;
pub mod printable;
pub mod proxy;
pub mod quantity;
pub mod shell;
pub mod subject;
pub mod ui;
pub mod web;

pub use cluster::Cluster;
pub use error::{Error, Kind, Result};
pub use shell::shell;
pub use ui::Ui;
