//! `share-db list`: what I share, with whom, until when, and whether it is so.

use commons::output::{self, OutputFlags};
use commons::{Cluster, Kind, Result, Ui};
use futures::future::join_all;

use crate::shares::{self, TimerState};
use crate::verify::may_forward;

/// List what is shared, with whom and until when
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
    let mut found = shares::all(cluster, namespace)
        .await
        .map_err(|error| match error.kind() {
            Kind::Forbidden if args.all_namespaces => error
                .without_hints()
                .hint("without `-A` you see those of your own namespace"),
            _ => error,
        })?;
    // Whoever may read shares may not always ask as a colleague; then it is unknown, and said so.
    join_all(found.iter_mut().map(async |share| {
        if let Some(pod) = share.pods.first() {
            share.verified = may_forward(cluster, &share.namespace, &share.subject, pod)
                .await
                .ok();
        }
    }))
    .await;
    for share in found
        .iter()
        .filter(|share| share.timer == TimerState::Stopped)
    {
        ui.warning(format!("the share of {} with {} does not end by itself: its timer (job `{}`) stands still; revoke it and share again", share.database, share.with, share.name));
    }
    let empty = namespace.map_or_else(
        || "Nothing is shared.".into(),
        |namespace| format!("Nothing is shared from namespace {namespace}."),
    );
    output::list(ui, args.output.output, &found, &empty)
}
