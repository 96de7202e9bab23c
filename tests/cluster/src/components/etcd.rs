//! etcd. Its data lives as long as the node, so nothing is forced to disk.

use super::{CommandLine, Setup};
use crate::{error::Result, layout::inside, programs::Program};

pub(super) fn prepare(setup: &Setup) -> Result<CommandLine> {
    let client = "http://127.0.0.1:2379";
    Ok(CommandLine::new(
        setup.program(Program::Kubenode)?,
        &[
            "etcd",
            "--data-dir",
            &inside("etcd"),
            "--listen-client-urls",
            client,
            "--advertise-client-urls",
            client,
            "--listen-peer-urls",
            "http://127.0.0.1:2380",
            "--unsafe-no-fsync",
            "--log-level",
            "warn",
        ],
    ))
}
