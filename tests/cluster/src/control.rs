//! The conversation with the node's first process: it alone knows its children for certain, so it starts them, signals them and tells
//! how they are. One request and one answer, a JSON line each, over a socket in the state directory.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    os::{fd::AsRawFd as _, unix::net::UnixStream},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    components::Component,
    error::{Context as _, Error, Result},
    layout::Layout,
};

/// The socket, below the state.
pub(crate) const SOCKET: &str = "control.sock";
/// The first process answers at once, unless it is stopped.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the first process can be asked.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Start a component by its recorded command line; nothing happens when it runs.
    Start(Component),
    /// Signal a component.
    Signal(Component, Interruption),
    /// Tell how every component is that was ever started.
    Status,
}

/// A signal that a fault sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Interruption {
    Kill,
    Stop,
    Continue,
}

/// How a component is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Health {
    /// It runs. Its number is the node's own in an answer of the first process, and the host's in [`crate::Status`].
    Running(i32),
    /// It is stopped by a signal and can continue.
    Stopped(i32),
    /// It ended, as described.
    Ended(String),
}

/// Every component that was ever started.
pub(crate) type Components = Vec<(Component, Health)>;

/// What the first process answers.
pub(crate) type Answer = std::result::Result<Components, String>;

/// Asks the node's first process.
pub(crate) fn ask(layout: &Layout, request: &Request) -> Result<Components> {
    let unreachable = "the node's first process does not answer";
    let mut stream = connect(layout).context(unreachable)?;
    stream
        .set_read_timeout(Some(PATIENCE))
        .context(unreachable)?;
    stream
        .set_write_timeout(Some(PATIENCE))
        .context(unreachable)?;
    let mut line = serde_json::to_string(request).context("the request cannot be written")?;
    line.push('\n');
    stream.write_all(line.as_bytes()).context(unreachable)?;
    let mut answer = String::new();
    BufReader::new(stream)
        .read_line(&mut answer)
        .context(unreachable)?;
    let answer: Answer = serde_json::from_str(&answer).context(unreachable)?;
    answer.map_err(Error::new)
}

/// Socket paths end at 108 bytes and state directories may be longer, so the way goes through an open directory.
fn connect(layout: &Layout) -> std::io::Result<UnixStream> {
    let directory = File::open(layout.state())?;
    UnixStream::connect(format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd()))
}
