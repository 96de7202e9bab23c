//! What goes wrong on purpose.

use std::{fmt, time::Duration};

use crate::{
    components::Component,
    control::{self, Interruption, Request},
    error::{Error, Result},
    layout::Layout,
    link, node,
};

/// A fault, or the end of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Kill a component (SIGKILL). It stays dead until started.
    Kill(Component),
    /// Stop a component (SIGSTOP): it holds its connections and answers nothing.
    Stop(Component),
    /// Let a stopped component continue (SIGCONT).
    Continue(Component),
    /// Start a component that ended. Nothing happens when it runs.
    Start(Component),
    /// Cut the link between this machine and the node. Pods and components still reach each other.
    CutLink,
    /// Restore the link.
    RestoreLink,
    /// Delay every packet from this machine to the node; zero ends it.
    Delay(Duration),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(component) => write!(f, "{component} killed"),
            Self::Stop(component) => write!(f, "{component} stopped"),
            Self::Continue(component) => write!(f, "{component} continues"),
            Self::Start(component) => write!(f, "{component} started"),
            Self::CutLink => write!(f, "link cut"),
            Self::RestoreLink => write!(f, "link restored"),
            Self::Delay(time) => write!(f, "packets delayed by {time:?}"),
        }
    }
}

/// Makes a fault happen. It has happened when this returns: a killed component is gone.
pub fn inject(layout: &Layout, fault: Fault) -> Result<()> {
    if !node::is_running(layout) {
        return Err(Error::new("the node is not up").hint("run `make cluster`"));
    }
    let tell = |request: &Request| control::ask(layout, request).map(drop);
    match fault {
        Fault::Kill(component) => tell(&Request::Signal(component, Interruption::Kill)),
        Fault::Stop(component) => tell(&Request::Signal(component, Interruption::Stop)),
        Fault::Continue(component) => tell(&Request::Signal(component, Interruption::Continue)),
        Fault::Start(component) => tell(&Request::Start(component)),
        Fault::CutLink => link::set(layout, false),
        Fault::RestoreLink => link::set(layout, true),
        Fault::Delay(time) => link::delay(layout, time.as_millis()),
    }
}
