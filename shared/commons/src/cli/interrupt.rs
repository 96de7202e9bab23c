//! Signals, and the time that a command is given to undo what it has written.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;

use tokio::sync::{Notify, watch};

use crate::error::{Error, Kind, Result};

/// Ctrl-C, SIGTERM and SIGHUP. A command that has begun to write shields itself, so that it can put back what it did.
#[derive(Clone, Debug)]
pub struct Interrupt {
    signal: watch::Receiver<Option<i32>>,
    shields: Rc<Cell<usize>>,
    lowered: Rc<Notify>,
}

impl Interrupt {
    pub(super) fn listen() -> Result<Self> {
        let (sender, signal) = watch::channel(None);
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let failed = |error: std::io::Error| {
                Error::new("cannot listen for signals").caused_by(error.to_string())
            };
            let mut int = signal(SignalKind::interrupt()).map_err(failed)?;
            let mut term = signal(SignalKind::terminate()).map_err(failed)?;
            let mut hup = signal(SignalKind::hangup()).map_err(failed)?;
            tokio::spawn(async move {
                loop {
                    let number = tokio::select! { _ = int.recv() => 2, _ = term.recv() => 15, _ = hup.recv() => 1 };
                    let _ = sender.send(Some(number));
                }
            });
        }
        #[cfg(not(unix))]
        tokio::spawn(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                let _ = sender.send(Some(2));
            }
        });
        Ok(Self {
            signal,
            shields: Rc::default(),
            lowered: Rc::default(),
        })
    }

    /// The next signal's number.
    pub async fn signal(&self) -> i32 {
        let mut signal = self.signal.clone();
        let number = signal.wait_for(Option::is_some).await.map(|number| *number);
        match number {
            Ok(Some(number)) => number,
            _ => std::future::pending().await,
        }
    }

    /// As long as the shield lives, a signal does not end the command by itself: it is to be looked for with [`Shield::race`].
    #[must_use]
    pub fn shield(&self) -> Shield {
        self.shields.set(self.shields.get() + 1);
        Shield(self.clone())
    }

    pub(super) async fn unshielded(&self) -> i32 {
        let number = self.signal().await;
        while self.shields.get() > 0 {
            self.lowered.notified().await;
        }
        number
    }
}

/// Does what may block for any length of time (reading standard input, a pipe, the keyboard) on a thread of its
/// own, so that a signal ends the command all the same; the thread goes with the process.
///
/// # Errors
/// Those of `work`.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(Error::new("cannot go on").caused_by(error.to_string())),
    }
}

/// Keeps a signal from ending the command at once.
#[derive(Debug)]
pub struct Shield(Interrupt);

impl Shield {
    /// Goes on with `work` until it is done or a signal comes; then the command has time to put things back.
    ///
    /// # Errors
    /// Those of `work`; [`Kind::Signal`] when a signal came.
    pub async fn race<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            outcome = work => outcome,
            number = self.0.signal() => Err(Error::of(Kind::Signal(number), "")),
        }
    }

    /// The next signal's number.
    pub async fn signal(&self) -> i32 {
        self.0.signal().await
    }
}

impl Drop for Shield {
    fn drop(&mut self) {
        self.0.shields.set(self.0.shields.get() - 1);
        self.0.lowered.notify_one();
    }
}
