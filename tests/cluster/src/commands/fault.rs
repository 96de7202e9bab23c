//! `cluster fault`.

use std::time::Duration;

use clap::{Subcommand, ValueEnum as _};

use super::say;
use crate::{
    components::Component,
    error::Result,
    fault::{Fault, inject},
    layout::Layout,
};

/// Make something go wrong, or right again
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Name the components
    List,
    /// Kill a component; it stays dead until started
    Kill { component: Component },
    /// Stop a component: it holds its connections and answers nothing
    Stop { component: Component },
    /// Let a stopped component continue
    Cont { component: Component },
    /// Start a component that ended
    Start { component: Component },
    /// Cut the link between this machine and the node
    Cut,
    /// Restore the link
    Restore,
    /// Delay every packet to the node (`300ms`, `1.5s`; `0s` ends it)
    Delay {
        #[arg(value_parser = parse_duration)]
        time: Duration,
    },
}

pub(super) fn run(layout: &Layout, action: &Action) -> Result<()> {
    let fault = match *action {
        Action::List => {
            for component in Component::value_variants() {
                say(component.name());
            }
            return Ok(());
        }
        Action::Kill { component } => Fault::Kill(component),
        Action::Stop { component } => Fault::Stop(component),
        Action::Cont { component } => Fault::Continue(component),
        Action::Start { component } => Fault::Start(component),
        Action::Cut => Fault::CutLink,
        Action::Restore => Fault::RestoreLink,
        Action::Delay { time } => Fault::Delay(time),
    };
    inject(layout, fault)?;
    say(&fault.to_string());
    Ok(())
}

/// A time as Go writes it.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(
        text.find(|c: char| c.is_ascii_alphabetic())
            .unwrap_or(text.len()),
    );
    let scale = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("give a time such as 300ms, 1.5s or 30m".to_owned()),
    };
    let number: f64 = number
        .parse()
        .map_err(|_| "give a time such as 300ms or 1.5s".to_owned())?;
    Duration::try_from_secs_f64(number * scale).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_go_writes_them() {
        assert_eq!(parse_duration("300ms"), Ok(Duration::from_millis(300)));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("0s"), Ok(Duration::ZERO));
        assert_eq!(parse_duration("30m"), Ok(Duration::from_mins(30)));
        for wrong in ["", "5", "s", "-1s", "1d"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }
}
