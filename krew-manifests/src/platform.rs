//! The machines that krew installs plugins on.

use std::{env::consts, fmt};

use crate::error::{Error, Result};

/// An operating system and a processor, as Go and krew name them. Shown as `linux-amd64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Platform {
    /// krew's label `os`.
    pub os: &'static str,
    /// krew's label `arch`.
    pub arch: &'static str,
}

impl Platform {
    /// Every platform that krew itself runs on (krew 0.5, `allPlatforms` of `validate-krew-manifest`), in alphabetical order.
    pub const ALL: &[Self] = &[
        Self {
            os: "darwin",
            arch: "386",
        },
        Self {
            os: "darwin",
            arch: "amd64",
        },
        Self {
            os: "darwin",
            arch: "arm64",
        },
        Self {
            os: "linux",
            arch: "386",
        },
        Self {
            os: "linux",
            arch: "amd64",
        },
        Self {
            os: "linux",
            arch: "arm",
        },
        Self {
            os: "linux",
            arch: "arm64",
        },
        Self {
            os: "linux",
            arch: "ppc64le",
        },
        Self {
            os: "windows",
            arch: "386",
        },
        Self {
            os: "windows",
            arch: "amd64",
        },
        Self {
            os: "windows",
            arch: "arm64",
        },
    ];

    /// The platform that this program was built for, and so the binaries of the same build.
    pub fn own() -> Result<Self> {
        Self::named_by_rust(consts::OS, consts::ARCH)
    }

    fn named_by_rust(os: &'static str, architecture: &'static str) -> Result<Self> {
        let go_os = if os == "macos" { "darwin" } else { os };
        let arch = match architecture {
            "x86" => "386",
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
            other => other,
        };
        Self::ALL
            .iter()
            .copied()
            .find(|platform| (platform.os, platform.arch) == (go_os, arch))
            .ok_or(Error::Platform { os, architecture })
    }

    /// What the file of an executable is called here.
    pub fn executable(self, name: &str) -> String {
        let suffix = if self.os == "windows" { ".exe" } else { "" };
        format!("{name}{suffix}")
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.os, self.arch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rust_and_go_name_the_same_machine_differently() {
        let named = |os, architecture| {
            Platform::named_by_rust(os, architecture)
                .map(|platform| platform.to_string())
                .ok()
        };
        assert_eq!(named("linux", "x86_64").as_deref(), Some("linux-amd64"));
        assert_eq!(named("linux", "arm").as_deref(), Some("linux-arm"));
        assert_eq!(named("macos", "aarch64").as_deref(), Some("darwin-arm64"));
        assert_eq!(named("windows", "x86").as_deref(), Some("windows-386"));
        assert_eq!(named("linux", "riscv64"), None);
        assert_eq!(named("freebsd", "x86_64"), None);
    }

    #[test]
    fn only_windows_has_a_suffix() {
        let names: Vec<_> = Platform::ALL
            .iter()
            .map(|platform| platform.executable("kubectl-share_db"))
            .collect();
        assert_eq!(
            names
                .iter()
                .filter(|name| name.as_str() == "kubectl-share_db.exe")
                .count(),
            3
        );
        assert_eq!(
            names
                .iter()
                .filter(|name| name.as_str() == "kubectl-share_db")
                .count(),
            8
        );
    }
}
