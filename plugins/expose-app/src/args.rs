//! The command line of `expose-app`.

use clap::{Parser, Subcommand};
use commons::Result;
use commons::cli::{Context, Globals, Plugin};
use exposure::MANAGER;

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

/// Give an app of your namespace an https address, and check that it answers there
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
    #[command(alias = "ls")]
    List(list::Args),
    #[command(aliases = ["delete", "rm", "close"])]
    Remove(remove::Args),
}

impl Plugin for Args {
    type Command = Self;

    fn globals(&self) -> &Globals {
        &self.globals
    }

    fn check(self) -> Result<Self> {
        Ok(self)
    }

    fn manager(_: &Self) -> &'static str {
        MANAGER
    }

    async fn run(args: Self, context: Context) -> Result<()> {
        match args.command {
            None => expose::run(&context, args.expose).await,
            Some(Subcommands::List(list)) => list::run(&context, &list).await,
            Some(Subcommands::Remove(remove)) => remove::run(&context, &remove).await,
        }
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
