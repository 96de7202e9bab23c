//! `kubectl deploy-app`: from an image to an app that runs, or the reason why it does not.

mod args;
mod changes;
mod delete;
mod deploy;
mod expose;
mod flags;
mod image;
mod inputs;
mod link;
mod lint;
mod list;
mod manifests;
mod objects;
mod plan;
mod print;
mod remedy;
mod report;
mod resources;
mod rollback;
mod settings;
mod uses;
mod verify;
mod wait;
mod write;

fn main() -> std::process::ExitCode {
    commons::cli::main::<args::Args>()
}
