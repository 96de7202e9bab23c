//! The computer at which somebody types: the programs that it has, the names that it resolves, the certificates that it trusts.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use test_cluster::{Cluster, Workstation};

/// A computer that finds and trusts the cluster's web addresses as a user's does: [`Workstation`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Machine(Workstation);

impl Machine {
    /// A computer from which this cluster is used. There is one cluster in a run, and its files are written once.
    pub(crate) fn of(cluster: &Cluster) -> Self {
        static WRITTEN: OnceLock<Workstation> = OnceLock::new();
        Self(
            WRITTEN
                .get_or_init(|| Workstation::of(cluster).unwrap())
                .clone(),
        )
    }

    /// A program, about to run on this computer.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        self.0.command(program.as_ref())
    }

    /// The certificates that are trusted, the usual ones among them.
    pub(crate) fn trusted(&self) -> Option<&Path> {
        self.0.trusted()
    }
}

/// Where the built plugins are: the optimised ones, unless `COMMONS_BIN_DIR` names others.
pub(crate) fn programs() -> PathBuf {
    env::var_os("COMMONS_BIN_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/release"),
        PathBuf::from,
    )
}
