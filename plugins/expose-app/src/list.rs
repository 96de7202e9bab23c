//! `expose-app list`: what is exposed, until when, and whether it answers.

use commons::Result;
use commons::cli::Context;
use commons::output::{self, ListFlags};

use crate::remedy::{self, CommandLine};

/// List the addresses that were made with this command, and whether they answer
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    list: ListFlags,
}

pub async fn run(context: &Context, args: &Args) -> Result<()> {
    let Context { cluster, ui, .. } = context;
    let namespace = args.list.namespace(cluster);
    let mut all = exposure::all(cluster, namespace).await?;
    let progress = ui.progress("Probing each address");
    exposure::look_at(cluster, &mut all).await;
    drop(progress);
    let empty = namespace.map_or_else(
        || "Nothing is exposed.".into(),
        |namespace| format!("Nothing is exposed from namespace {namespace} with this command."),
    );
    output::list_of(ui, args.list, &all, &empty)?;
    let typed = CommandLine {
        app: "APP".to_owned(),
        flags: Vec::new(),
        namespace: cluster.named().map(str::to_owned),
    };
    for warning in exposure::endless(&all) {
        ui.warn(&remedy::phrased(warning, &typed));
    }
    Ok(())
}
