//! One way to reach the cluster, prepared: files, environment and flags of its own, the same for both programs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use e2e::{Outcome, run};

use crate::parity::ground::Ground;
use crate::parity::relay::Relay;

/// Programs that plugins and shells find.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Files, environment and flags of one variant.
pub(super) struct Attempt<'g> {
    /// What all variants share.
    pub(super) g: &'g Ground,
    dir: PathBuf,
    folder: PathBuf,
    env: Vec<(String, String)>,
    args: Vec<String>,
    mounts: String,
    relay: Option<(Relay, bool)>,
    plugin: Option<usize>,
}

/// What one program did.
pub(super) struct Observed {
    pub(super) outcome: Outcome,
    /// Whether it went through the proxy, where there is one to look at.
    pub(super) through: Option<bool>,
    /// How often it ran the credential plugin, where that is counted.
    pub(super) runs: Option<usize>,
}

impl<'g> Attempt<'g> {
    pub(super) fn new(g: &'g Ground, number: usize) -> Self {
        let dir = g.dir.join(number.to_string());
        fs::create_dir_all(dir.join("home")).unwrap();
        let env = [
            ("PATH", PATH),
            ("HOME", &dir.join("home").display().to_string()),
            // What kinds of objects there are need not be asked for each time.
            ("KUBECACHEDIR", &g.dir.join("cache").display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            g,
            folder: dir.clone(),
            dir,
            env: env.to_vec(),
            args: Vec::new(),
            mounts: String::new(),
            relay: None,
            plugin: None,
        }
    }

    /// Where a file of this variant is.
    pub(super) fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// Writes a file.
    pub(super) fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// Makes a symbolic link.
    pub(super) fn link(self, name: &str, to: &str) -> Self {
        let path = self.dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(to, path).unwrap();
        self
    }

    /// Writes a file and names it in KUBECONFIG.
    pub(super) fn kubeconfig(self, content: impl AsRef<[u8]>) -> Self {
        self.file("config", content).files(&["config"])
    }

    /// Names these files in KUBECONFIG.
    pub(super) fn files(self, names: &[&str]) -> Self {
        let paths: Vec<String> = names.iter().map(|name| self.path(name)).collect();
        self.env("KUBECONFIG", &paths.join(":"))
    }

    /// The usual kubeconfig, with this cluster and this user.
    pub(super) fn config(self, cluster: &str, user: &str) -> Self {
        let text = self.g.config(cluster, user);
        self.kubeconfig(text)
    }

    /// The usual kubeconfig, with this user.
    pub(super) fn user(self, user: &str) -> Self {
        let cluster = self.g.cluster();
        self.config(&cluster, user)
    }

    /// The usual kubeconfig, with this cluster.
    pub(super) fn cluster(self, cluster: &str) -> Self {
        let user = self.g.token_user();
        self.config(cluster, &user)
    }

    /// The usual kubeconfig.
    pub(super) fn usual(self) -> Self {
        let cluster = self.g.cluster();
        self.cluster(&cluster)
    }

    /// Sets a variable; `FOLDER` stands for the folder of this variant.
    pub(super) fn env(mut self, name: &str, value: &str) -> Self {
        let value = value.replace("FOLDER", &self.dir.display().to_string());
        self.env.retain(|(set, _)| set != name);
        self.env.push((name.to_owned(), value));
        self
    }

    /// Takes a variable away.
    pub(super) fn without(mut self, name: &str) -> Self {
        self.env.retain(|(set, _)| set != name);
        self
    }

    /// Adds flags; `FOLDER` stands for the folder of this variant.
    pub(super) fn args(mut self, args: &[&str]) -> Self {
        let folder = self.dir.display().to_string();
        self.args
            .extend(args.iter().map(|arg| arg.replace("FOLDER", &folder)));
        self
    }

    /// In the namespace in which something is allowed.
    pub(super) fn in_namespace(self) -> Self {
        let namespace = self.g.namespace.clone();
        self.args(&["--namespace", &namespace])
    }

    /// Is typed in this folder.
    pub(super) fn within(mut self, folder: &str) -> Self {
        self.folder = self.dir.join(folder);
        self
    }

    /// Runs this first, in a mount namespace of its own; `FOLDER` stands for the folder of this variant.
    pub(super) fn mounts(mut self, script: &str) -> Self {
        self.mounts += &script.replace("FOLDER", &self.dir.display().to_string());
        self.mounts += " && ";
        self
    }

    /// On a machine that finds and trusts what the node's users do.
    pub(super) fn resolving(self) -> Self {
        let (dns, trusted) = (&self.g.login.dns, &self.g.login.trusted);
        let mount = format!("mount --bind '{}' /etc/resolv.conf", dns.display());
        let trusted = trusted.display().to_string();
        self.mounts(&mount).env("SSL_CERT_FILE", &trusted)
    }

    /// Both programs must go through this.
    pub(super) fn through(mut self, relay: Relay) -> Self {
        self.relay = Some((relay, true));
        self
    }

    /// Neither program may go through this.
    pub(super) fn past(mut self, relay: Relay) -> Self {
        self.relay = Some((relay, false));
        self
    }

    /// Both programs must run the credential plugin this often.
    pub(super) fn runs(mut self, times: usize) -> Self {
        self.plugin = Some(times);
        self
    }

    /// Whether the proxy must be gone through.
    pub(super) fn expected_through(&self) -> Option<bool> {
        self.relay.as_ref().map(|(_, through)| *through)
    }

    /// How often the plugin must be run.
    pub(super) fn expected_runs(&self) -> Option<usize> {
        self.plugin
    }

    /// Writes a program; `FOLDER` stands for the folder of this variant. Each run of it can be counted if it says `COUNT`.
    pub(super) fn program(self, name: &str, script: &str) -> Self {
        let folder = self.dir.display().to_string();
        let script = script
            .replace("COUNT", "echo run >> 'FOLDER/runs'")
            .replace("FOLDER", &folder);
        let written = self.file(name, format!("#!/bin/sh\n{script}\n"));
        let path = written.dir.join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        written
    }

    /// Does it.
    pub(super) fn run(&self, program: &Path, args: &[&str]) -> Observed {
        let mut command = if self.mounts.is_empty() {
            Command::new(program)
        } else {
            let mut command = Command::new("unshare");
            let script = format!("{}exec \"$@\"", self.mounts);
            command.args(["--mount", "--", "sh", "-c", &script, "sh"]);
            command.arg(program);
            command
        };
        command
            .args(args)
            .args(&self.args)
            .env_clear()
            .envs(self.env.iter().cloned())
            .current_dir(&self.folder)
            .stdin(Stdio::null());
        let before = self.relay.as_ref().map(|(relay, _)| relay.served());
        let outcome = run(&mut command);
        let counted = self.dir.join("runs");
        let runs = fs::read_to_string(&counted).map_or(0, |runs| runs.lines().count());
        let _ = fs::remove_file(counted);
        Observed {
            outcome,
            through: self
                .relay
                .as_ref()
                .map(|(relay, _)| Some(relay.served()) > before),
            runs: self.plugin.map(|_| runs),
        }
    }
}
