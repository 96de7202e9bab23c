//! `cluster image`.

use std::path::PathBuf;

use clap::Subcommand;

use super::say;
use crate::{error::Result, layout::Layout, node};

/// Put container images on the node
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Load image archives (of `docker save`, or OCI); they are there until the node is taken down
    Load {
        #[arg(required = true, value_name = "ARCHIVE")]
        archives: Vec<PathBuf>,
    },
}

pub(super) fn run(layout: &Layout, action: &Action) -> Result<()> {
    let Action::Load { archives } = action;
    for archive in archives {
        say(&node::load_image(layout, archive)?);
    }
    Ok(())
}
