//! The command line of `deploy-app`.

use clap::{Parser, Subcommand};
use commons::Result;
use commons::cli::{Context, Globals, Plugin};

use crate::objects::{MANAGER, MANAGER_OF_FILES};
use crate::{delete, files, flags, list, named};

const USAGE: &str = "\
kubectl deploy-app NAME --image IMAGE [--port PORT] [...] [-- ARGUMENTS]
       kubectl deploy-app -f FILE... [--image [CONTAINER=]IMAGE]
       kubectl deploy-app list | delete NAME... | delete --all";

const EXAMPLES: &str = "\
Examples:
  # run an image that listens on port 8000, and wait until it answers
  kubectl deploy-app web --image registry.example/web:1.2 --port 8000

  # its configuration: a variable, a file, a secret that is asked for, and the database pg
  kubectl deploy-app web --env LOG=debug --config app.toml --secret API_KEY --use pg

  # a new version; what is not named stays as it is
  kubectl deploy-app web --image web:1.3

  # with an HTTPS address
  kubectl deploy-app web --image web:1.3 --expose

  # my own manifests, checked, waited for and explained, with the image that the pipeline has built
  kubectl deploy-app -f k8s/ --image web:$CI_COMMIT_SHORT_SHA --strict

  # manifests for a git repository
  kubectl deploy-app web --image web:1.3 --port 8000 --dry-run -o yaml > app.yaml

  # what runs, and where?
  kubectl deploy-app list";

/// Run an image and be told why it does not run
///
/// What is not named stays as it is, so the same command with another image is an update.
#[derive(Debug, Parser)]
#[command(name = "kubectl-deploy_app", bin_name = "kubectl deploy-app",
    display_name = "kubectl deploy-app", version, override_usage = USAGE, after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Args {
    #[command(flatten)]
    deploy: flags::DeployArgs,
    #[command(subcommand)]
    command: Option<Subcommands>,
    #[command(flatten)]
    globals: Globals,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    #[command(alias = "ls")]
    List(list::Args),
    #[command(aliases = ["remove", "rm"])]
    Delete(delete::Args),
}

/// What is to be done.
pub enum Command {
    Named(Box<flags::ByName>),
    Files(flags::FromFiles),
    List(list::Args),
    Delete(delete::Args),
}

impl Plugin for Args {
    type Command = Command;

    fn globals(&self) -> &Globals {
        &self.globals
    }

    fn check(self) -> Result<Command> {
        match self.command {
            None if self.deploy.is_from_files() => Ok(Command::Files(self.deploy.for_files())),
            None => Ok(Command::Named(Box::new(self.deploy.for_name()?))),
            Some(Subcommands::List(list)) => Ok(Command::List(list)),
            Some(Subcommands::Delete(delete)) => Ok(Command::Delete(delete)),
        }
    }

    fn manager(command: &Command) -> &'static str {
        match command {
            Command::Files(_) => MANAGER_OF_FILES,
            _ => MANAGER,
        }
    }

    async fn run(command: Command, context: Context) -> Result<()> {
        match command {
            Command::Named(named) => named::run(&context, *named).await,
            Command::Files(files) => files::run(&context, files).await,
            Command::List(list) => list::run(&context, &list).await,
            Command::Delete(delete) => delete::run(&context, &delete).await,
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
