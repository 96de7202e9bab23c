//! `cluster as`.

use std::{ffi::OsString, os::unix::process::CommandExt as _};

use clap::Args;

use crate::{
    cluster::Cluster,
    error::{Error, Result},
    external,
    layout::Layout,
};

/// Run a command as a user would: their kubeconfig, the node's DNS and trust, kubectl and the plugins in PATH
#[derive(Debug, Args)]
pub(super) struct Arguments {
    name: String,
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(super) fn run(layout: &Layout, arguments: &Arguments) -> Result<()> {
    let Some((program, rest)) = arguments.command.split_first() else {
        return Err(Error::new("missing COMMAND"));
    };
    let mut command = Cluster::node(layout)?.command_as(&arguments.name, program)?;
    command.args(rest);
    // It takes the place of this process, and so its exit code is passed on.
    let error = command.exec();
    Err(external::not_started(&command, &error))
}
