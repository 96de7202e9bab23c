//! The command line of `deploy-app`.

use clap::{Parser, Subcommand};
use commons::cli::{Command, Globals, Interrupt};
use commons::{Cluster, Result, Ui};
use k8s_openapi::api::apps::v1::Deployment;

use crate::{delete, deploy, flags, list, manifests};

/// The field manager, and the value of the label `app.kubernetes.io/managed-by` of all that this plugin makes.
pub const MANAGER: &str = commons::exposure::DEPLOY_APP;
/// The field manager of what is deployed from files: what a file no longer says goes, and what was said by flags does not.
pub const MANAGER_OF_FILES: &str = "kubectl-deploy-app-files";

/// Whether a Deployment was deployed from files.
pub fn is_from_files(deployment: &Deployment) -> bool {
    let managers = deployment.metadata.managed_fields.iter().flatten();
    managers
        .filter_map(|fields| fields.manager.as_deref())
        .any(|manager| manager == MANAGER_OF_FILES)
}

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
    List(list::Args),
    #[command(aliases = ["remove", "rm"])]
    Delete(delete::Args),
}

impl Command for Args {
    fn globals(&self) -> &Globals {
        &self.globals
    }
}

/// Connects and runs the command that was asked for.
pub async fn run(args: Args, ui: Ui, interrupt: Interrupt) -> Result<()> {
    let from_files = args.command.is_none() && args.deploy.is_from_files();
    let manager = if from_files {
        MANAGER_OF_FILES
    } else {
        MANAGER
    };
    let cluster = async || Cluster::connect(&args.globals.connection, manager).await;
    match args.command {
        None if from_files => {
            let checked = args.deploy.for_files()?;
            manifests::run(&cluster().await?, &ui, &interrupt, checked).await
        }
        None => {
            let checked = args.deploy.for_name()?;
            deploy::run(&cluster().await?, &ui, &interrupt, checked).await
        }
        Some(Subcommands::List(list)) => list::run(&cluster().await?, &ui, &list).await,
        Some(Subcommands::Delete(delete)) => delete::run(&cluster().await?, &ui, &delete).await,
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
