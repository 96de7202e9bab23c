//! The command line of `expose-app`.

use clap::{Parser, Subcommand};
use commons::cli::{Command, Globals, Interrupt};
use commons::exposure::MANAGER;
use commons::{Cluster, Result, Ui};

use crate::{expose, list, remove};

const USAGE: &str = "\
kubectl expose-app APP [--host HOST] [--port PORT] [--for 8h]
       kubectl expose-app list | remove [...]";

const EXAMPLES: &str = "\
Examples:
  # an https address for the app web, at a host that is free
  kubectl expose-app web

  # at this host, for the time of a demonstration
  kubectl expose-app deployment/web --host shop --for 2h

  # the app has several ports
  kubectl expose-app web --port 8000

  # what is exposed, and does it answer?
  kubectl expose-app list

  # close it
  kubectl expose-app remove web";

/// Give an app of your namespace an https address, proven to answer with it
#[derive(Debug, Parser)]
#[command(name = "kubectl-expose_app", bin_name = "kubectl expose-app",
    display_name = "kubectl expose-app", version, override_usage = USAGE, after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Args {
    #[command(flatten)]
    expose: expose::ExposeArgs,
    #[command(subcommand)]
    command: Option<Subcommands>,
    #[command(flatten)]
    globals: Globals,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    List(list::Args),
    #[command(aliases = ["delete", "rm"])]
    Remove(remove::Args),
}

impl Command for Args {
    fn globals(&self) -> &Globals {
        &self.globals
    }
}

/// Connects and runs the command that was asked for.
pub async fn run(args: Args, ui: Ui, interrupt: Interrupt) -> Result<()> {
    let cluster = Cluster::connect(&args.globals.connection, MANAGER).await?;
    match args.command {
        None => expose::run(&cluster, &ui, &interrupt, args.expose).await,
        Some(Subcommands::List(list)) => list::run(&cluster, &ui, &list).await,
        Some(Subcommands::Remove(remove)) => remove::run(&cluster, &ui, &remove).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Args::command().debug_assert();
    }
}
