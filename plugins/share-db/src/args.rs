//! The command line of `share-db`.

use clap::{Parser, Subcommand};
use commons::Result;
use commons::cli::{Context, Globals, Plugin};

use crate::plan::MANAGER;
use crate::{ask, extend, list, revoke, share};

const USAGE: &str = "\
kubectl share-db DATABASE --with USER... [--for 8h | --forever]
       kubectl share-db list | extend | revoke | ask [...]";

const EXAMPLES: &str = "\
Examples:
  # Bob may connect to the database pg for eight hours, and may do nothing else
  kubectl share-db pg --with bob

  # two colleagues, until the end of the course
  kubectl share-db pg --with bob carol --for 90d

  # what do I share, with whom, until when?
  kubectl share-db list

  # one hour from now, longer or shorter than it was
  kubectl share-db extend pg --with bob --for 1h

  # end it now
  kubectl share-db revoke pg --with bob

  # what do I send to Alice, so that she shares pg with me?
  kubectl share-db ask user-alice/pg";

/// Share a database of your namespace with colleagues, for a while
#[derive(Debug, Parser)]
#[command(name = "kubectl-share_db", bin_name = "kubectl share-db",
    display_name = "kubectl share-db", version, override_usage = USAGE, after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Args {
    #[command(flatten)]
    share: share::ShareArgs,
    #[command(subcommand)]
    command: Option<Subcommands>,
    #[command(flatten)]
    globals: Globals,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    #[command(alias = "ls")]
    List(list::Args),
    Extend(extend::Args),
    #[command(aliases = ["delete", "remove", "rm"])]
    Revoke(revoke::Args),
    Ask(ask::Args),
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
            None => share::run(&context, args.share).await,
            Some(Subcommands::List(list)) => list::run(&context, &list).await,
            Some(Subcommands::Extend(extend)) => extend::run(&context, &extend).await,
            Some(Subcommands::Revoke(revoke)) => revoke::run(&context, &revoke).await,
            Some(Subcommands::Ask(ask)) => ask::run(&context, &ask).await,
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
