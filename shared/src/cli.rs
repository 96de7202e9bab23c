//! The command line: the flags that every plugin has, the entry point, exit codes and signals.

use std::cell::Cell;
use std::future::Future;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use clap::{ArgAction, Args, Parser};
use tokio::sync::{Notify, watch};

use crate::error::{Error, Kind, Result};
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

/// kubectl's connection flags, with kubectl's names and precedence.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Connection (as kubectl's)")]
pub struct ConnectionFlags {
    /// Use this namespace
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Use this context of the kubeconfig
    #[arg(long, global = true, value_name = "CONTEXT")]
    pub context: Option<String>,
    /// Use this kubeconfig file
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<String>,
    /// Use this cluster of the kubeconfig
    #[arg(long, global = true, value_name = "CLUSTER", hide_short_help = true)]
    pub cluster: Option<String>,
    /// Use this user of the kubeconfig
    #[arg(long, global = true, value_name = "USER", hide_short_help = true)]
    pub user: Option<String>,
    /// Address of the API server
    #[arg(short, long, global = true, value_name = "URL", hide_short_help = true)]
    pub server: Option<String>,
    /// User name for basic authentication
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub username: Option<String>,
    /// Password for basic authentication (other users of this machine can read it: prefer a kubeconfig)
    #[arg(long, global = true, value_name = "PASSWORD", hide_short_help = true)]
    pub password: Option<String>,
    /// Bearer token for the API server (other users of this machine can read it: prefer a kubeconfig)
    #[arg(long, global = true, value_name = "TOKEN", hide_short_help = true)]
    pub token: Option<String>,
    /// Act as this user
    #[arg(
        long = "as",
        global = true,
        value_name = "USER",
        hide_short_help = true
    )]
    pub as_user: Option<String>,
    /// Act as a member of this group; may be repeated
    #[arg(long, global = true, value_name = "GROUP", hide_short_help = true)]
    pub as_group: Vec<String>,
    /// Act as the user with this UID
    #[arg(long, global = true, value_name = "UID", hide_short_help = true)]
    pub as_uid: Option<String>,
    /// Act as a user with this extra attribute; may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE", hide_short_help = true)]
    pub as_user_extra: Vec<String>,
    /// File with the certificate authority of the API server
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub certificate_authority: Option<String>,
    /// File with the client certificate
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub client_certificate: Option<String>,
    /// File with the client certificate's key
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub client_key: Option<String>,
    /// Do not check the API server's certificate: anybody in between can read and change everything
    #[arg(long, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = truth, hide_short_help = true)]
    pub insecure_skip_tls_verify: Option<bool>,
    /// Name to expect in the API server's certificate
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub tls_server_name: Option<String>,
    /// Ask for answers without compression (they always are)
    #[arg(long, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = truth, hide_short_help = true)]
    pub disable_compression: Option<bool>,
    /// Directory of kubectl's cache (there is none here)
    #[arg(long, global = true, value_name = "DIRECTORY", hide_short_help = true)]
    pub cache_dir: Option<String>,
    /// File of kubectl's preferences, for its policy on credential plugins
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub kuberc: Option<String>,
    /// Give up a request after this time, such as `10s`; `0` waits for ever
    #[arg(long, global = true, value_name = "DURATION", value_parser = request_timeout, hide_short_help = true)]
    pub request_timeout: Option<Duration>,
}

/// As kubectl reads it: a number alone is seconds.
fn request_timeout(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    // Fractions and milliseconds, as Go writes them.
    let of_go = text.parse::<jiff::SignedDuration>().ok();
    match of_go.and_then(|duration| Duration::try_from(duration).ok()) {
        Some(duration) => Ok(duration),
        None => crate::duration::parse(text),
    }
}

/// A truth value as kubectl's flags take it (Go's `strconv.ParseBool`).
fn truth(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("write `true` or `false`".into()),
    }
}

impl ConnectionFlags {
    /// The same where an empty value is none, as it is for kubectl.
    #[must_use]
    pub fn without_empty_values(&self) -> Self {
        let mut flags = self.clone();
        for value in [
            &mut flags.namespace,
            &mut flags.context,
            &mut flags.kubeconfig,
            &mut flags.cluster,
            &mut flags.user,
            &mut flags.server,
            &mut flags.username,
            &mut flags.password,
            &mut flags.token,
            &mut flags.as_user,
            &mut flags.as_uid,
            &mut flags.certificate_authority,
            &mut flags.client_certificate,
            &mut flags.client_key,
            &mut flags.tls_server_name,
            &mut flags.kuberc,
        ] {
            value.take_if(|value| value.is_empty());
        }
        flags
    }
}

/// Arguments that carry the flags common to all.
pub trait Command: Parser {
    /// The common flags.
    fn globals(&self) -> &Globals;
}

/// The whole life of a plugin's process: arguments, signals, errors, exit code.
pub fn main<A: Command>(run: impl AsyncFnOnce(A, Ui, Interrupt) -> Result<()>) -> ExitCode {
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
