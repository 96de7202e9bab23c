//! `cluster program`.

use clap::{Args, ValueEnum};

use super::say;
use crate::{error::Result, interrupt, programs::Program, progress::Progress};

/// Build a program that tests use, if it is not built yet, and print its path
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Which one
    name: Name,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Name {
    Kubectl,
    Krew,
    ValidateKrewManifest,
    Web,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let program = match arguments.name {
        Name::Kubectl => Program::Kubectl,
        Name::Krew => Program::Krew,
        Name::ValidateKrewManifest => Program::ValidateKrewManifest,
        Name::Web => Program::Web,
    };
    interrupt::watch()?;
    let progress = Progress::new();
    let path = program.path(&progress);
    progress.clear();
    say(&path?.display().to_string());
    Ok(())
}
