//! `expose-app list`: what is exposed, until when, and whether it answers.

use commons::exposure;
use commons::output::{self, OutputFlags};
use commons::{Cluster, Kind, Result, Ui};

/// List the addresses that were made with this command, and whether they answer
#[derive(Debug, clap::Args)]
pub struct Args {
    /// In all namespaces (needs rights that few people have)
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    #[command(flatten)]
    output: OutputFlags,
}

pub async fn run(cluster: &Cluster, ui: &Ui, args: &Args) -> Result<()> {
    let namespace = (!args.all_namespaces).then(|| cluster.namespace());
    let mut all = exposure::all(cluster, namespace)
        .await
        .map_err(|error| match error.kind() {
            Kind::Forbidden if args.all_namespaces => error
                .without_hints()
                .hint("without `-A` you see those of your own namespace"),
            _ => error,
        })?;
    let progress = ui.progress("Asking each address");
    exposure::look_at(cluster, &mut all).await;
    drop(progress);
    let empty = namespace.map_or_else(
        || "Nothing is exposed.".into(),
        |namespace| format!("Nothing is exposed from namespace {namespace} with this command."),
    );
    output::list_of(ui, args.output.output, &all, &empty, args.all_namespaces)
}
