//! The command line, and everything that is printed.

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use clap::Parser;

use crate::{
    error::Result,
    plugin::Workspace,
    release::{self, Layout},
};

/// Pack every plugin of the workspace for this machine's platform, and write its krew manifest.
///
/// The binaries are those that `make build` left in target/release.
#[derive(Parser)]
#[command(name = "dist")]
struct Args {}

/// Runs the command and prints what it made, or why it could not.
#[expect(clippy::print_stderr, reason = "the one place that prints a failure")]
pub fn run() -> ExitCode {
    let Args {} = Args::parse();
    match make() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", error.report());
            ExitCode::FAILURE
        }
    }
}

fn make() -> Result<()> {
    let workspace = Workspace::find(Path::new("."))?;
    let made = release::make(&workspace.plugins, &Layout::of(&workspace))?;
    let mut stdout = io::stdout().lock();
    for path in made.iter().flat_map(|made| [&made.archive, &made.manifest]) {
        let path = path.strip_prefix(&workspace.root).unwrap_or(path);
        // A reader that has closed the pipe wants no more of it.
        let _closed = writeln!(stdout, "{}", path.display());
    }
    Ok(())
}
