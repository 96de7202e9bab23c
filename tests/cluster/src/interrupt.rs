//! Ctrl-C and SIGTERM while a node is being made: whatever long-running child there is ends at once, every wait ends at once, and the
//! caller takes down what it had made.

use std::{
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::signal::unix::{SignalKind, signal};

use crate::error::{Context as _, Error, Result};

/// The exit code of the signal that came, 0 while there was none.
static CAME: AtomicU8 = AtomicU8::new(0);
/// Process groups of the long-running children under way.
static CHILDREN: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// From now on a signal is remembered instead of ending the process.
pub(crate) fn watch() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .context("signals cannot be watched")?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            let (Ok(mut int), Ok(mut term)) = (
                signal(SignalKind::interrupt()),
                signal(SignalKind::terminate()),
            ) else {
                return;
            };
            loop {
                let code = tokio::select! { _ = int.recv() => 130, _ = term.recv() => 143 };
                CAME.store(code, Ordering::SeqCst);
                let children = CHILDREN.lock().unwrap_or_else(PoisonError::into_inner);
                for &group in children.iter() {
                    kill_group(group);
                }
            }
        });
    });
    Ok(())
}

/// Fails once a signal has come.
pub(crate) fn check() -> Result<()> {
    match CAME.load(Ordering::SeqCst) {
        0 => Ok(()),
        code => Err(Error::interrupted(code)),
    }
}

/// Lets the clean-up after a signal wait for things in its turn.
pub(crate) fn forget() {
    CAME.store(0, Ordering::SeqCst);
}

/// A child with a process group of its own, which ends whole when this is dropped or a signal comes.
pub(crate) struct LongChild {
    /// The child; wait for it here.
    pub(crate) child: Child,
}

impl LongChild {
    pub(crate) fn spawn(command: &mut Command) -> Result<Self> {
        check()?;
        let child = command
            .process_group(0)
            .spawn()
            .map_err(|error| crate::external::not_started(command, &error))?;
        CHILDREN
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(child.id());
        Ok(Self { child })
    }
}

/// Runs a command that may take long to its end; what it says matters only together with its failure.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut running = LongChild::spawn(command)?;
    let stderr = running.child.stderr.take().map(std::io::read_to_string);
    let said = stderr.and_then(std::result::Result::ok).unwrap_or_default();
    let status = running
        .child
        .wait()
        .map_err(|error| crate::external::not_started(command, &error))?;
    check()?;
    if status.success() {
        Ok(())
    } else {
        Err(crate::external::failed(command, status.to_string(), &said))
    }
}

impl Drop for LongChild {
    fn drop(&mut self) {
        let id = self.child.id();
        CHILDREN
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|&group| group != id);
        if matches!(self.child.try_wait(), Ok(None)) {
            kill_group(id);
            // Killed: the wait only collects it.
            let _ = self.child.wait();
        }
    }
}

fn kill_group(leader: u32) {
    if let Some(pid) = i32::try_from(leader).ok().and_then(Pid::from_raw) {
        // It may just have ended by itself.
        let _ = kill_process_group(pid, Signal::KILL);
    }
}
