//! `share-db list`: what I share, with whom, until when, and whether it is so.

use commons::Result;
use commons::cli::Context;
use commons::output::{self, ListFlags};
use commons::shell::shell;

use crate::{shares, verify};

/// List what is shared, with whom and until when
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    list: ListFlags,
}

pub async fn run(context: &Context, args: &Args) -> Result<()> {
    let Context { cluster, ui, .. } = context;
    let namespace = args.list.namespace(cluster);
    let mut found = shares::all(cluster, namespace).await?;
    verify::all(cluster, &mut found.shares, found.complete).await;
    shares::warn(ui, &found, false);
    for share in &found.shares {
        if share.verified == Some(false) {
            ui.warning(format!(
                "{} cannot connect to {}: a part of the share was deleted; share again",
                share.with, share.database
            ));
        }
        if share.may_give_more && share.trace.role.is_some() {
            ui.warning(format!(
                "the Role of the share of {} with {} was changed by hand and may give more: `{}`",
                share.database,
                share.with,
                shell("kubectl describe role")
                    .arg(&share.name)
                    .in_namespace(&share.namespace)
            ));
        }
        shares::warn_of_no_end(ui, share);
    }
    let empty = match namespace {
        _ if !found.complete => "Nothing is known to be shared.".into(),
        None => "Nothing is shared.".into(),
        Some(namespace) => format!("Nothing is shared from namespace {namespace}."),
    };
    output::list_of(ui, args.list, &found.shares, &empty)
}
