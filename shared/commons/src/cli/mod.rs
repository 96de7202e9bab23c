//! The command line: the flags that every plugin has, the entry point, exit codes and signals.

mod interrupt;

use std::future::Future;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::{ArgAction, Args, Parser};

use crate::cluster::Cluster;
use crate::error::{Error, Kind, Result, close_names};
use crate::flags::ConnectionFlags;
use crate::printable;
use crate::shell::{Shell, shell};
use crate::ui::{Color, Ui, Verbosity};

pub use interrupt::{Interrupt, Shield, blocking};

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

/// A plugin: its command line, and what it does.
pub trait Plugin: Parser {
    /// What is to be done, as far as the command line says it.
    type Command;

    /// The flags that every plugin has.
    fn globals(&self) -> &Globals;

    /// Checks what can be checked without the cluster.
    ///
    /// # Errors
    /// [`Kind::Usage`] where the flags do not go together.
    fn check(self) -> Result<Self::Command>;

    /// The field manager of what a command writes.
    fn manager(command: &Self::Command) -> &'static str;

    /// Does it.
    ///
    /// # Errors
    /// The failure that the user reads.
    fn run(command: Self::Command, context: Context) -> impl Future<Output = Result<()>>;
}

/// What a command works with.
#[derive(Clone, Debug)]
pub struct Context {
    /// The cluster, and the namespace there.
    pub cluster: Cluster,
    /// All printing and asking.
    pub ui: Ui,
    /// Ctrl-C and its like.
    pub interrupt: Interrupt,
    plugin: clap::Command,
}

impl Context {
    /// The command line with the subcommand that was meant by what was typed in the place of a name.
    pub fn command_meant(&self, typed: &str) -> Option<Shell> {
        let meant = command_meant(&self.plugin, typed)?;
        let plugin = self.plugin.get_bin_name()?;
        Some(Shell::of_words(plugin).and(&meant))
    }
}

/// The subcommand that was meant, by its name or an alias of it, and what it is about: `delete NAME`.
fn command_meant(plugin: &clap::Command, typed: &str) -> Option<Shell> {
    if typed == "help" {
        return Some(shell("--help"));
    }
    let names = plugin
        .get_subcommands()
        .flat_map(|command| std::iter::once(command.get_name()).chain(command.get_all_aliases()));
    let closest = *close_names(typed, names).first()?;
    let command = plugin.find_subcommand(closest)?;
    let about = command
        .get_positionals()
        .find_map(|argument| argument.get_value_names()?.first());
    let words = [
        Some(command.get_name()),
        about.map(clap::builder::Str::as_str),
    ];
    let words: Vec<&str> = words.into_iter().flatten().collect();
    Some(Shell::of_words(&words.join(" ")))
}

/// The whole life of a plugin's process: arguments, signals, errors, exit code.
pub fn main<P: Plugin>() -> ExitCode {
    hide_memory();
    let parsed = as_kubectl(P::command())
        .try_get_matches()
        .and_then(|matches| P::from_arg_matches(&matches));
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

async fn run<P: Plugin>(args: P, ui: Ui, interrupt: Interrupt) -> Result<()> {
    let connection = args.globals().connection.clone();
    let command = args.check()?;
    let cluster = Cluster::connect(&connection, P::manager(&command)).await?;
    let context = Context {
        cluster,
        ui,
        interrupt,
        plugin: P::command(),
    };
    P::run(command, context).await
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_was_meant() {
        let plugin = clap::Command::new("kubectl-share_db").subcommands([
            clap::Command::new("list").alias("ls"),
            clap::Command::new("revoke")
                .alias("delete")
                .arg(clap::Arg::new("database").value_name("DATABASE")),
        ]);
        for (typed, meant) in [
            ("lst", Some("list")),
            ("ls", Some("list")),
            ("delet", Some("revoke DATABASE")),
            ("help", Some("--help")),
            ("pg", None),
            ("", None),
        ] {
            let command = command_meant(&plugin, typed);
            assert_eq!(command, meant.map(Shell::of_words), "{typed}");
        }
    }
}
