//! The scheduler.

use super::{CommandLine, Setup, component_kubeconfig};
use crate::{error::Result, programs::Program};

pub(super) fn prepare(setup: &Setup) -> Result<CommandLine> {
    Ok(CommandLine::new(
        setup.program(Program::Kubenode)?,
        &[
            "scheduler",
            "--kubeconfig",
            &component_kubeconfig("scheduler"),
            "--leader-elect=false",
            "--bind-address",
            "127.0.0.1",
        ],
    ))
}
