//! `kubectl share-db`: a colleague reaches this database and nothing else, until then; it ends by itself.

mod args;
mod ask;
mod cut;
mod existing;
mod extend;
mod list;
mod listed;
mod make;
mod plan;
mod report;
mod revoke;
mod selection;
mod share;
mod shares;
mod verify;
mod worth;

fn main() -> std::process::ExitCode {
    commons::cli::main::<args::Args>()
}
