//! `kubectl proxy-db`: a local address for a database of the cluster, one's own or a colleague's.

mod args;
mod child;
mod find;
mod login;
mod proxy;
mod remedy;
mod report;
mod target;
mod wait;

fn main() -> std::process::ExitCode {
    commons::cli::main::<args::Args>()
}
