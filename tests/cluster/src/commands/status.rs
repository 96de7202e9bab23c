//! `cluster status`.

use super::{say, short};
use crate::{
    control::Health,
    error::{Error, Result},
    layout::Layout,
    node,
};

pub(super) fn run(layout: &Layout) -> Result<()> {
    let status = node::status(layout);
    if !status.exists {
        return Err(Error::new("no node is up").hint("run `make cluster`"));
    }
    if !status.components.is_empty() {
        say(&format!("{:<20}{:<9}{}", "COMPONENT", "PID", "STATE"));
    }
    for (component, health) in &status.components {
        let (pid, state) = match health {
            Health::Running(pid) => (pid.to_string(), "running"),
            Health::Stopped(pid) => (pid.to_string(), "stopped"),
            Health::Ended(how) => ("<none>".to_owned(), how.as_str()),
        };
        say(&format!("{component:<20}{pid:<9}{state}"));
    }
    let with: Vec<_> = status.with.iter().map(|addition| addition.name()).collect();
    say(&format!("\nAPI server   {}", layout.server()));
    say(&format!(
        "with         {}",
        if with.is_empty() {
            "<none>".to_owned()
        } else {
            with.join(", ")
        }
    ));
    say(&format!("state        {}", short(layout.state())));
    say(&format!("logs         {}", short(&layout.path("log"))));
    if status.complaints.is_empty() {
        return Ok(());
    }
    Err(Error::new(format!(
        "the node is not well: {}",
        status.complaints.join("; ")
    ))
    .hint("run `make cluster` to make it anew"))
}
