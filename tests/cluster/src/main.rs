//! The command behind `make cluster`.

use std::process::ExitCode;

fn main() -> ExitCode {
    test_cluster::main()
}
