//! The command line: the flags that every plugin has, the entry point, exit codes and signals.

use std::cell::Cell;
use std::future::Future;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::rc::Rc;

use clap::{ArgAction, Args, Parser};
use tokio::sync::{Notify, watch};

use crate::error::{Error, Kind, Result};
use crate::flags::ConnectionFlags;
use crate::printable;
use crate::ui::{Color, Ui, Verbosity};

/// The flags that every command of the suite takes.
#[derive(Clone, Debug, Default, Args)]
pub struct Globals {
    /// How to reach the cluster.
    #[command(flatten)]
    pub connection: ConnectionFlags,

    /// Print results, warnings and errors only
    #[arg(
        short,
        long,
        global = true,
        conflicts_with = "verbose",
        help_heading = "Output"
    )]
    pub quiet: bool,

    /// Print every request to the API server too
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = "Output")]
    pub verbose: u8,

    /// When to colour
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "WHEN",
        hide_possible_values = true,
        help_heading = "Output"
    )]
    pub color: Color,
}

/// Arguments that carry the flags common to all.
pub trait Command: Parser {
    /// The common flags.
    fn globals(&self) -> &Globals;
}

/// The whole life of a plugin's process: arguments, signals, errors, exit code.
pub fn main<A: Command>(run: impl AsyncFnOnce(A, Ui, Interrupt) -> Result<()>) -> ExitCode {
    hide_memory();
    let parsed = as_kubectl(A::command())
        .try_get_matches()
        .and_then(|matches| A::from_arg_matches(&matches));
    let args = match parsed {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    let globals = args.globals();
    let verbosity = match (globals.quiet, globals.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, 0) => Verbosity::Normal,
        _ => Verbosity::Verbose,
    };
    let ui = Ui::new(verbosity, globals.color);
    if globals.verbose > 0 {
        log_to_stderr(globals.verbose);
    }
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            ui.error(&Error::new("cannot start").caused_by(error.to_string()));
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(async {
        let interrupt = Interrupt::listen()?;
        tokio::select! {
            biased;
            outcome = run(args, ui.clone(), interrupt.clone()) => outcome,
            signal = interrupt.unshielded() => Err(Error::of(Kind::Signal(signal), "")),
        }
    });
    // A lookup or credential plugin may still run on another thread; nobody waits for it.
    runtime.shutdown_background();
    crate::login::settle();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui.error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Keeps tokens and passwords out of core files, and from other processes of the same user. It holds for this process alone: a
/// program that is started is as it always was, which a limit on core files would not leave it. Nobody but the administrator
/// may look at our open files then (`lsof`); what we read of our own in /proc stays ours to read.
fn hide_memory() {
    #[cfg(target_os = "linux")]
    // A kernel that refuses leaves us as we were.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// A flag given twice counts once, the later one: people have an alias with `-n` in it.
fn as_kubectl(command: clap::Command) -> clap::Command {
    command.args_override_self(true).mut_subcommands(as_kubectl)
}

/// Prints help, the version, or what was typed wrongly, in one write. clap repeats arguments as they are, so what could
/// mislead a terminal is taken out of them, and the colours with it.
fn usage(error: &clap::Error) -> ExitCode {
    let misleading = std::env::args_os().any(|arg| match arg.to_str() {
        Some(arg) => printable::line(arg) != arg,
        None => true,
    });
    let to_stderr = error.use_stderr();
    let colored = if to_stderr {
        std::io::stderr().is_terminal()
    } else {
        std::io::stdout().is_terminal()
    };
    let text = if misleading && to_stderr {
        printable::lines(&error.render().to_string()).into_owned()
    } else if colored {
        error.render().ansi().to_string()
    } else {
        error.render().to_string()
    };
    let written = if to_stderr {
        // As clap does; where it reads no colour, it is taken out here.
        anstream::stderr().write_all(text.as_bytes())
    } else if colored {
        anstream::stdout().write_all(text.as_bytes())
    } else {
        std::io::stdout().write_all(text.as_bytes())
    };
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe && !to_stderr => {
            ExitCode::FAILURE
        }
        _ => u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from),
    }
}

/// `-v` shows the requests, `-vv` all that the libraries tell.
fn log_to_stderr(level: u8) {
    use tracing_subscriber::filter::{LevelFilter, Targets};
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;
    let filter = match level {
        1 => Targets::new().with_target("commons", LevelFilter::DEBUG),
        2 => Targets::new()
            .with_target("commons", LevelFilter::TRACE)
            .with_default(LevelFilter::DEBUG),
        _ => Targets::new().with_default(LevelFilter::TRACE),
    };
    // It prints whole answers that it cannot read, and they may hold a Secret.
    let filter = filter.with_target("kube_client", LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(level > 1)
        .without_time();
    let _ = tracing_subscriber::registry()
        .with(lines)
        .with(filter)
        .try_init();
}

/// Ctrl-C, SIGTERM and SIGHUP. A command that has begun to write shields itself, so that it can put back what it did.
#[derive(Clone, Debug)]
pub struct Interrupt {
    signal: watch::Receiver<Option<i32>>,
    shields: Rc<Cell<usize>>,
    lowered: Rc<Notify>,
}

impl Interrupt {
    fn listen() -> Result<Self> {
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

    async fn unshielded(&self) -> i32 {
        let number = self.signal().await;
        while self.shields.get() > 0 {
            self.lowered.notified().await;
        }
        number
    }
}

/// Does what may block for as long as somebody else pleases (reading standard input, a pipe, the keyboard) on a thread of its
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
