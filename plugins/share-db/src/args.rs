//! The command line of `share-db`.

use clap::{Parser, Subcommand};
use commons::cli::{Command, Globals, Interrupt};
use commons::{Cluster, Result, Ui};

use crate::{ask, extend, list, revoke, share};

/// The field manager, and the value of the label `app.kubernetes.io/managed-by` of all that this plugin makes.
pub const MANAGER: &str = "kubectl-share-db";

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
    List(list::Args),
    Extend(extend::Args),
    Revoke(revoke::Args),
    Ask(ask::Args),
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
        None => share::run(&cluster, &ui, &interrupt, args.share).await,
        Some(Subcommands::List(list)) => list::run(&cluster, &ui, &list).await,
        Some(Subcommands::Extend(extend)) => extend::run(&cluster, &ui, &interrupt, &extend).await,
        Some(Subcommands::Revoke(revoke)) => revoke::run(&cluster, &ui, &revoke).await,
        Some(Subcommands::Ask(ask)) => ask::run(&cluster, &ui, &ask).await,
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
