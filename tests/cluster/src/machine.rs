//! What the machine must offer: root on Linux, a few Debian packages, Go. What is missing is installed, or named with the command.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    error::{Error, Result},
    external, interrupt,
    progress::Progress,
};

/// The oldest Go that compiles the node's modules.
const GO: (u32, u32) = (1, 26);

/// A Debian package and the program or file that shows it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Package {
    /// What apt-get calls it.
    pub name: &'static str,
    /// A program to be found in PATH, or an absolute path.
    pub shows: &'static str,
}

/// What running the node needs.
const NODE: &[Package] = &[
    Package {
        name: "containerd",
        shows: "containerd",
    },
    Package {
        name: "containerd",
        shows: "ctr",
    },
    Package {
        name: "runc",
        shows: "runc",
    },
    Package {
        name: "containernetworking-plugins",
        shows: "/usr/lib/cni/host-local",
    },
    Package {
        name: "iproute2",
        shows: "ip",
    },
    Package {
        name: "iptables",
        shows: "iptables-nft-restore",
    },
    Package {
        name: "ipset",
        shows: "ipset",
    },
    Package {
        name: "nftables",
        shows: "nft",
    },
    Package {
        name: "conntrack",
        shows: "conntrack",
    },
    Package {
        name: "util-linux",
        shows: "unshare",
    },
    Package {
        name: "mount",
        shows: "mount",
    },
];

/// What making the images needs.
const IMAGES: &[Package] = &[Package {
    name: "mmdebstrap",
    shows: "mmdebstrap",
}];

/// What running Keycloak needs. Not a version: Debian's releases have different ones, each recent enough.
const JAVA: &[Package] = &[Package {
    name: "default-jre-headless",
    shows: "java",
}];

/// What fetching Keycloak needs.
const MAVEN: &[Package] = &[
    Package {
        name: "maven",
        shows: "mvn",
    },
    Package {
        name: "unzip",
        shows: "unzip",
    },
];

impl Package {
    fn is_there(self) -> bool {
        if self.shows.starts_with('/') {
            Path::new(self.shows).exists()
        } else {
            external::find(self.shows).is_some()
        }
    }
}

/// Fails unless a node can run here at all.
pub(crate) fn check_host() -> Result<()> {
    if !cfg!(target_os = "linux") {
        return Err(Error::new(
            "the node needs Linux: it is made of namespaces, cgroups and nftables",
        )
        .hint("point `KUBECONFIG` at another cluster and set `COMMONS_TEST_CLUSTER=current`"));
    }
    if !rustix::process::geteuid().is_root() {
        return Err(Error::new("the node needs root: it makes namespaces, mounts and a network link")
            .hint("run `sudo -E make cluster`, or use another cluster with `KUBECONFIG` and `COMMONS_TEST_CLUSTER=current`"));
    }
    if fs::read_to_string("/proc/filesystems").is_ok_and(|known| !known.contains("overlay")) {
        return Err(
            Error::new("this kernel has no overlay file system, which containers need")
                .hint("run `modprobe overlay`"),
        );
    }
    Ok(())
}

/// Installs what running the node needs, if anything is missing.
pub(crate) fn ensure_node_packages(progress: &Progress) -> Result<()> {
    ensure_packages(NODE, progress)
}

/// Installs what making the images needs, if anything is missing.
pub(crate) fn ensure_image_packages(progress: &Progress) -> Result<()> {
    ensure_packages(IMAGES, progress)
}

/// Installs what running Keycloak needs, if anything is missing.
pub(crate) fn ensure_java(progress: &Progress) -> Result<()> {
    ensure_packages(JAVA, progress)
}

/// Installs what fetching Keycloak needs, if anything is missing.
pub(crate) fn ensure_maven(progress: &Progress) -> Result<()> {
    ensure_packages(MAVEN, progress)
}

/// Installs those of `packages` that are missing, as root; otherwise names the command.
pub fn ensure_packages(packages: &[Package], progress: &Progress) -> Result<()> {
    let mut missing: Vec<_> = packages
        .iter()
        .filter(|package| !package.is_there())
        .map(|package| package.name)
        .collect();
    missing.sort_unstable();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    let install = format!(
        "apt-get install -y --no-install-recommends {}",
        missing.join(" ")
    );
    if external::find("apt-get").is_none() {
        return Err(
            Error::new(format!("missing on this machine: {}", missing.join(", "))).hint(
                "these are Debian's package names; install what carries the same programs here",
            ),
        );
    }
    if !rustix::process::geteuid().is_root() {
        return Err(
            Error::new(format!("missing on this machine: {}", missing.join(", ")))
                .hint(format!("run `sudo {install}`")),
        );
    }
    progress.say(&format!("installing {} (Debian)", missing.join(", ")));
    progress.doing("apt-get update");
    let updated = apt(&["update", "-q"]);
    progress.doing(&install);
    apt(&["install", "-y", "-q", "--no-install-recommends"]
        .iter()
        .copied()
        .chain(missing.iter().copied())
        .collect::<Vec<_>>())
    .map_err(|error| match updated {
        Err(update) => error.because(format!("{update}")),
        Ok(()) => error,
    })
    .map_err(|error| {
        error.hint(format!(
            "once Debian's packages can be reached, run `apt-get update && {install}`"
        ))
    })?;
    match packages.iter().find(|package| !package.is_there()) {
        Some(still) => Err(Error::new(format!(
            "{} is still missing after {} was installed",
            still.shows, still.name
        ))),
        None => Ok(()),
    }
}

fn apt(arguments: &[&str]) -> Result<()> {
    let mut command = external::command("apt-get");
    command
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    interrupt::run(&mut command)
}

/// The Go command and its version, if it is new enough.
pub(crate) fn go() -> Result<(PathBuf, String)> {
    let hint = format!(
        "install Go {}.{} or newer and put its `bin` into PATH",
        GO.0, GO.1
    );
    let found = external::find("go")
        .or_else(|| Some(PathBuf::from("/usr/local/go/bin/go")).filter(|go| go.exists()));
    let Some(go) = found else {
        return Err(Error::new(
            "Go is not on this machine, and the node is compiled from its modules",
        )
        .hint(hint));
    };
    let version = external::run(
        Command::new(&go)
            .args(["env", "GOVERSION"])
            .current_dir("/"),
    )?
    .trim()
    .to_owned();
    match parse_go_version(&version) {
        Some(found) if found >= GO => Ok((go, version)),
        _ => Err(Error::new(format!(
            "{} is {version}, too old for the node's modules",
            go.display()
        ))
        .hint(hint)),
    }
}

/// `go1.26.8` or `go1.27rc1` as numbers.
fn parse_go_version(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.strip_prefix("go")?.split('.');
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next()?;
    let digits = minor
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(minor.len());
    Some((major, minor[..digits].parse().ok()?))
}

/// The machine's architecture as Go and image formats call it.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Fails when fewer than `gib` GiB are free where `path` will be.
pub(crate) fn check_free_space(path: &Path, gib: u64) -> Result<()> {
    let existing = path
        .ancestors()
        .find(|candidate| candidate.exists())
        .unwrap_or(Path::new("/"));
    let Ok(found) = rustix::fs::statvfs(existing) else {
        return Ok(());
    };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    if free >= gib << 30 {
        return Ok(());
    }
    Err(Error::new(format!(
        "{} has {} MiB free, {gib} GiB are needed",
        existing.display(),
        free >> 20
    ))
    .hint("free some room, or set `COMMONS_CACHE` to a directory on a larger disk"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_versions_compare_as_numbers() {
        assert_eq!(parse_go_version("go1.26.8"), Some((1, 26)));
        assert_eq!(parse_go_version("go1.9"), Some((1, 9)));
        assert_eq!(parse_go_version("go1.27rc1"), Some((1, 27)));
        assert_eq!(parse_go_version("devel"), None);
        assert!((1, 9) < GO);
    }

    #[test]
    fn a_package_is_known_by_a_program_or_a_path() {
        assert!(
            Package {
                name: "dash",
                shows: "sh"
            }
            .is_there()
        );
        assert!(
            Package {
                name: "base-files",
                shows: "/etc/passwd"
            }
            .is_there()
        );
        assert!(
            !Package {
                name: "none",
                shows: "no-such-program-here"
            }
            .is_there()
        );
    }
}
