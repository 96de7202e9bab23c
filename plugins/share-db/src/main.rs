//! `kubectl share-db`: a colleague reaches this database and nothing else, until then; it ends by itself.

mod args;
mod extend;
mod list;
mod plan;
mod revoke;
mod share;
mod shares;
mod verify;
mod worth;

fn main() -> std::process::ExitCode {
    commons::cli::main(args::run)
}
