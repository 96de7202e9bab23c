//! `share-db list`: what I share, with whom, until when, and whether it is so.

use commons::output::{self, ListFlags};
use commons::{Cluster, Result, Ui};
use futures::future::join_all;

use crate::shares::{self, TimerState};
use crate::verify::may_forward;

/// List what is shared, with whom and until when
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    list: ListFlags,
}

pub async fn run(cluster: &Cluster, ui: &Ui, args: &Args) -> Result<()> {
    let namespace = args.list.namespace(cluster);
    let mut found = shares::all(cluster, namespace).await?;
    // Whoever may read shares may not always ask as a colleague; then it is unknown, and said so.
    let with_roles = found.with_roles;
    join_all(found.shares.iter_mut().map(async |share| {
        share.verified = match share.pods.first() {
            Some(pod) => may_forward(cluster, &share.namespace, &share.subject, pod)
                .await
                .ok(),
            // Without its Role a share gives nothing.
            None => with_roles.then_some(false),
        };
    }))
    .await;
    shares::warn_of_unreadable(ui, &found);
    let found = found.shares;
    for share in found.iter().filter(|share| share.verified == Some(false)) {
        ui.warning(format!(
            "{} cannot connect to {}: something of the share is gone; share it again",
            share.with, share.database
        ));
    }
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
    output::list_of(ui, args.list, &found, &empty)
}
