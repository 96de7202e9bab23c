//! What can go wrong, and what to do about it.

use std::{error::Error as _, io, iter, path::PathBuf};

/// A result whose error is for whoever runs `make dist`.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure to make, or to find, what a user installs.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Cargo does not describe the workspace.
    #[error("the workspace cannot be read")]
    Workspace(#[from] cargo_metadata::Error),
    /// There is nothing to pack.
    #[error("no plugin below {}", .0.display())]
    NoPlugin(PathBuf),
    /// A package below `plugins/` that is not one plugin.
    #[error("package {package} has {found} binaries named kubectl-*, a plugin has one")]
    Binaries {
        /// The package.
        package: String,
        /// How many such binaries it has.
        found: usize,
    },
    /// A field of a plugin's `Cargo.toml` that krew's users are shown.
    #[error("{field} of package {package} {problem}")]
    Text {
        /// The package.
        package: String,
        /// The field's name in `Cargo.toml`.
        field: &'static str,
        /// What is wrong with it, as the rest of a sentence.
        problem: String,
    },
    /// The package's `[package.metadata.krew]` cannot be understood.
    #[error("[package.metadata.krew] of package {package} cannot be understood")]
    Metadata {
        /// The package.
        package: String,
        /// What serde says.
        source: serde_json::Error,
    },
    /// krew runs on no such machine.
    #[error("krew has no plugins for {os} on {architecture}")]
    Platform {
        /// The operating system, as Rust names it.
        os: &'static str,
        /// The processor, as Rust names it.
        architecture: &'static str,
    },
    /// The optimised binary was not built.
    #[error("the optimised binary {} is missing", .0.display())]
    NotBuilt(PathBuf),
    /// There is no licence to pack; krew refuses a plugin without.
    #[error("{} is missing", .0.display())]
    NoLicense(PathBuf),
    /// What `make dist` makes is not there.
    #[error("{} is missing", .0.display())]
    NotMade(PathBuf),
    /// The template and what fills it do not fit together.
    #[error("template.yaml cannot be filled in")]
    Template(#[from] minijinja::Error),
    /// A file that cannot be read or written.
    #[error("{} cannot be {action}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Error {
    /// What to do about it, with commands in backticks.
    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotBuilt(_) => Some("run `make build` first"),
            Self::NotMade(_) => Some("run `make dist` first"),
            _ => None,
        }
    }

    /// All that there is to say: the failure, its causes and what to do about it.
    pub fn report(&self) -> String {
        let causes = iter::successors(self.source(), |&cause| cause.source())
            .map(|cause| format!("\ncaused by: {cause}"));
        let hint = self.hint().map(|hint| format!("\n\nhint: {hint}"));
        iter::once(format!("error: {self}"))
            .chain(causes)
            .chain(hint)
            .collect()
    }

    /// Names the file of a failed read or write.
    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_failure_causes_and_remedy() {
        let denied = Error::file("written", "dist/it.tar.gz")(io::Error::other("disk full"));
        assert_eq!(
            denied.report(),
            "error: dist/it.tar.gz cannot be written\ncaused by: disk full"
        );
        let report = Error::NotBuilt("target/release/kubectl-it".into()).report();
        assert_eq!(
            report,
            "error: the optimised binary target/release/kubectl-it is missing\n\nhint: run `make build` first"
        );
    }
}
