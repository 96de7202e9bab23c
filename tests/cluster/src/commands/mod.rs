//! The command line: one file per verb.

mod as_user;
mod down;
mod fault;
mod image;
mod login;
mod program;
mod status;
mod up;
mod user;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use crate::{error::Result, init, launch, layout::Layout, store};

/// A real Kubernetes node on this machine, for tests and demos
#[derive(Debug, Parser)]
#[command(name = "cluster", version, max_term_width = 100)]
struct Cli {
    /// Number of the node, when several run side by side (0 to 250)
    #[arg(long, global = true, value_name = "N")]
    node: Option<u8>,
    /// Directory of the node's state [default: target/cluster, or target/cluster-N]
    #[arg(long, global = true, value_name = "DIR")]
    state: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Arguments),
    /// Take the node down: no process, mount, link or cgroup is left
    Down,
    /// Show how the node and its components are
    Status,
    #[command(subcommand)]
    User(user::Action),
    As(as_user::Arguments),
    #[command(subcommand)]
    Login(login::Action),
    #[command(subcommand)]
    Image(image::Action),
    #[command(subcommand)]
    Fault(fault::Action),
    Program(program::Arguments),
    /// Become the parent of the node's first process
    #[command(hide = true)]
    Launch,
    /// The node's first process
    #[command(hide = true)]
    Init,
    /// Unpack images into a store
    #[command(hide = true)]
    Unpack {
        archive: PathBuf,
        root: PathBuf,
    },
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say_error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    if let Command::Unpack { archive, root } = &cli.command {
        return store::unpack_inside(archive, root);
    }
    if let Command::Program(arguments) = &cli.command {
        return program::run(arguments);
    }
    let layout = Layout::find(cli.node, cli.state.as_deref())?;
    match cli.command {
        Command::Up(arguments) => up::run(&layout, &arguments),
        Command::Down => down::run(&layout),
        Command::Status => status::run(&layout),
        Command::User(action) => user::run(&layout, action),
        Command::As(arguments) => as_user::run(&layout, &arguments),
        Command::Login(action) => login::run(&layout, &action),
        Command::Image(action) => image::run(&layout, &action),
        Command::Fault(action) => fault::run(&layout, &action),
        Command::Launch => launch::run(&layout),
        Command::Init => init::run(&layout),
        Command::Unpack { .. } | Command::Program(_) => Ok(()),
    }
}

/// Prints a result. A reader that went away is no error.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

fn say_error(error: &crate::Error) {
    let _ = writeln!(std::io::stderr().lock(), "error: {error}");
}

/// A path as the developer would type it from here.
fn short(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here)
        .unwrap_or(path)
        .display()
        .to_string()
}
