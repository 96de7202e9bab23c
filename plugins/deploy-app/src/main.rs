//! `kubectl deploy-app`: from an image to an app that runs, or the reason why it does not.

mod args;
mod delete;
mod expose;
mod files;
mod flags;
mod inputs;
mod link;
mod lint;
mod list;
mod named;
mod objects;
mod plan;
mod print;
mod remedy;
mod resources;
mod settings;
mod uses;
mod wait;
mod write;

fn main() -> std::process::ExitCode {
    commons::cli::main::<args::Args>()
}
