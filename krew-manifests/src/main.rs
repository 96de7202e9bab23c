//! `make dist`: the archive and the krew manifest of every plugin.

use std::process::ExitCode;

fn main() -> ExitCode {
    dist::command::run()
}
