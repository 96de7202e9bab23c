//! `kubectl expose-app`: an HTTPS address, ours, proven to answer with this app.

mod args;
mod expose;
mod list;
mod remedy;
mod remove;

fn main() -> std::process::ExitCode {
    commons::cli::main::<args::Args>()
}
