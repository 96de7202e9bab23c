//! The computer at which a user types: the names that it resolves, the certificates that it trusts, the programs that it has.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    certificates::write_private,
    cluster::Cluster,
    error::{Context as _, Result},
};

/// Makes the file `$1` this machine's settings for DNS, for the command that follows and for nobody else.
const WITH_DNS_OF: &str = r#"mount --bind "$1" /etc/resolv.conf && shift && exec "$@""#;

/// What this machine trusts, on Debian and on Fedora.
const SYSTEM: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
];

/// A computer that finds and trusts the cluster's names as a user's does.
///
/// For the own node, whose names nobody else knows, commands run in a mount namespace of their own with its DNS; nothing of
/// this machine is changed. For another cluster, DNS and trust are this machine's.
#[derive(Clone, Debug, Default)]
pub struct Workstation {
    dns: Option<PathBuf>,
    trusted: Option<PathBuf>,
}

impl Workstation {
    /// A computer from which this cluster is used. Writes two files into the cluster's state.
    pub fn of(cluster: &Cluster) -> Result<Self> {
        if !cluster.is_own_node() {
            return Ok(Self::default());
        }
        let system = SYSTEM.iter().map(PathBuf::from).find(|path| path.exists());
        let trusted: String = system
            .into_iter()
            .chain(cluster.certificates())
            // What the node was not brought up with has no certificate.
            .filter_map(|path| fs::read_to_string(path).ok())
            .collect();
        let dns = format!("nameserver {}\n", cluster.address());
        let write = |name: &str, content: &str| {
            let path = cluster.state().join(name);
            write_private(&path, content)?;
            fs::canonicalize(&path).with_context(|| format!("{} cannot be found", path.display()))
        };
        Ok(Self {
            dns: Some(write("resolv.conf", &dns)?),
            trusted: Some(write("trusted.crt", &trusted)?),
        })
    }

    /// A program, about to run on this computer.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let Some(dns) = &self.dns else {
            return Command::new(program);
        };
        let mut command = Command::new("unshare");
        command.args(["--mount", "--", "sh", "-c", WITH_DNS_OF, "sh"]);
        command.arg(dns).arg(program);
        if let Some(trusted) = &self.trusted {
            // Where one of these is set, curl looks nowhere else.
            command
                .env("SSL_CERT_FILE", trusted)
                .env_remove("SSL_CERT_DIR")
                .env_remove("CURL_CA_BUNDLE");
        }
        command
    }

    /// The certificates that are trusted: the usual ones and the node's. `None` if these are the machine's.
    pub fn trusted(&self) -> Option<&Path> {
        self.trusted.as_deref()
    }
}

/// PATH with kubectl and the plugins before everything else.
pub(crate) fn path(kubectl: &Path, plugins: &Path) -> Result<std::ffi::OsString> {
    let own = kubectl
        .parent()
        .map(Path::to_owned)
        .into_iter()
        .chain([plugins.to_owned()]);
    let path = env::var_os("PATH").unwrap_or_default();
    env::join_paths(own.chain(env::split_paths(&path)))
        .with_context(|| format!("{} cannot stand in PATH", plugins.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plugins_come_before_what_is_installed() {
        let path = path(Path::new("/cache/kubectl"), Path::new("/target/release")).unwrap();
        let directories: Vec<_> = env::split_paths(&path).take(2).collect();
        assert_eq!(
            directories,
            [Path::new("/cache"), Path::new("/target/release")]
        );
    }
}
