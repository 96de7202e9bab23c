//! `cluster down`.

use super::say;
use crate::{
    error::Result,
    layout::Layout,
    node,
    progress::{Progress, readable},
};

pub(super) fn run(layout: &Layout) -> Result<()> {
    let progress = Progress::new();
    progress.doing("taking the node down");
    let outcome = node::down(layout, &progress);
    progress.clear();
    say(&if outcome? {
        format!(
            "the node is down ({}); what was built is kept",
            readable(progress.elapsed())
        )
    } else {
        "no node is up".to_owned()
    });
    Ok(())
}
