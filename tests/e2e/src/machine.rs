//! The computer at which somebody types: the programs that it has, the names that it resolves, the certificates that it trusts.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs};

use test_cluster::Cluster;

/// Makes the file `$1` this machine's settings for DNS, for the command that follows and for nobody else.
const WITH_DNS_OF: &str = r#"mount --bind "$1" /etc/resolv.conf && shift && exec "$@""#;

/// A computer that finds and trusts the cluster's web addresses as a user's does.
///
/// For the own node, whose names nobody else knows, commands run in a mount namespace of their own with its DNS; nothing of
/// this machine is changed. For another cluster, DNS and trust are this machine's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Machine {
    dns: Option<PathBuf>,
    trusted: Option<PathBuf>,
}

impl Machine {
    /// A computer from which this cluster is used.
    pub(crate) fn of(cluster: &Cluster) -> Self {
        static WRITTEN: OnceLock<Machine> = OnceLock::new();
        if !cluster.is_own_node() {
            return Self::default();
        }
        WRITTEN
            .get_or_init(|| {
                let trusted: String = [
                    cluster.ingress_certificate(),
                    cluster.gateway_certificate(),
                    cluster.second_certificate(),
                    cluster.issuer_certificate(),
                ]
                .iter()
                // What the node was not brought up with has no certificate.
                .filter_map(|path| fs::read_to_string(path).ok())
                .collect();
                let dns = format!("nameserver {}\n", cluster.address());
                Self {
                    dns: Some(write(cluster, "resolv.conf", &dns)),
                    trusted: Some(write(cluster, "trusted.crt", &trusted)),
                }
            })
            .clone()
    }

    /// A program, about to run on this computer.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let Some(dns) = &self.dns else {
            return Command::new(program.as_ref());
        };
        let mut command = Command::new("unshare");
        command.args(["--mount", "--", "sh", "-c", WITH_DNS_OF, "sh"]);
        command.arg(dns).arg(program.as_ref());
        if let Some(trusted) = &self.trusted {
            command.env("SSL_CERT_FILE", trusted);
        }
        command
    }

    /// The certificates that are trusted beside the usual ones.
    pub(crate) fn trusted(&self) -> Option<&Path> {
        self.trusted.as_deref()
    }
}

/// Writes a file of the node's state; other processes that test on it write the same.
fn write(cluster: &Cluster, name: &str, content: &str) -> PathBuf {
    let path = cluster.state().join(name);
    let aside = cluster
        .state()
        .join(format!("{name}.{}", std::process::id()));
    fs::write(&aside, content).unwrap();
    fs::rename(&aside, &path).unwrap();
    fs::canonicalize(path).unwrap()
}

/// Where the built plugins are: the optimised ones, unless `COMMONS_BIN_DIR` names others.
pub(crate) fn programs() -> PathBuf {
    env::var_os("COMMONS_BIN_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/release"),
        PathBuf::from,
    )
}
