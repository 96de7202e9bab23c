//! Somebody who types commands.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::machine::{Machine, programs};
use crate::outcome::{Outcome, PATIENCE, eventually, run, run_with};

/// Somebody who types commands.
#[derive(Clone, Debug)]
pub struct Person {
    /// What others call them.
    pub name: String,
    /// How they reach the cluster.
    pub kubeconfig: PathBuf,
    pub(crate) kubectl: PathBuf,
    pub(crate) machine: Machine,
    /// Whether everything that they type needs the cluster's names and certificates, as a login at its issuer does.
    pub(crate) at_workstation: bool,
}

impl Person {
    /// Their namespace.
    pub fn namespace(&self) -> String {
        format!("user-{}", self.name)
    }

    /// A program of the suite, by its plugin's name.
    ///
    /// # Panics
    /// When it was not built.
    pub fn plugin(&self, plugin: &str) -> Command {
        self.command(program(plugin))
    }

    /// Any program, about to run as this person.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        self.environment(if self.at_workstation {
            self.machine.command(program)
        } else {
            Command::new(program.as_ref())
        })
    }

    /// The same on a machine that finds the cluster's web addresses.
    fn plugin_for_the_web(&self, plugin: &str) -> Command {
        self.environment(self.machine.command(program(plugin)))
    }

    pub(crate) fn environment(&self, mut command: Command) -> Command {
        // kubectl finds the plugins as it finds any: on PATH.
        let path = env::join_paths(
            std::iter::once(programs())
                .chain(env::split_paths(&env::var_os("PATH").unwrap_or_default())),
        )
        .unwrap();
        command
            .env("KUBECONFIG", &self.kubeconfig)
            .env("PATH", path)
            .env_remove("DATABASE_URL")
            .stdin(Stdio::null());
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command
    }

    /// Types `kubectl share-db ARGS`.
    pub fn share_db(&self, args: &[&str]) -> Outcome {
        run(self.plugin("share-db").args(args))
    }

    /// The name of the objects of a share.
    pub fn share_name(&self, database: &str, with: &str) -> String {
        let plan = self
            .share_db(&[database, "--with", with, "--dry-run", "-o", "name"])
            .ok();
        let name = plan
            .stdout
            .lines()
            .next()
            .and_then(|line| line.split_once('/'));
        name.map(|(_, name)| name.to_owned()).unwrap_or_default()
    }

    /// Types `kubectl proxy-db ARGS` and waits for its end.
    pub fn proxy_db(&self, args: &[&str]) -> Outcome {
        run(self.plugin("proxy-db").args(args))
    }

    /// Types `kubectl expose-app ARGS`.
    pub fn expose_app(&self, args: &[&str]) -> Outcome {
        run(self.plugin_for_the_web("expose-app").args(args))
    }

    /// Types `kubectl deploy-app ARGS`.
    pub fn deploy_app(&self, args: &[&str]) -> Outcome {
        run(self.plugin_for_the_web("deploy-app").args(args))
    }

    /// Types `kubectl deploy-app ARGS` with this on standard input.
    pub fn deploy_app_from(&self, args: &[&str], input: &str) -> Outcome {
        run_with(
            self.plugin_for_the_web("deploy-app").args(args),
            Some(input),
        )
    }

    /// Types `kubectl apply -f -` and then this manifest.
    ///
    /// # Panics
    /// When it is refused.
    #[track_caller]
    pub fn applies(&self, manifest: &str) {
        let mut kubectl = self.command(&self.kubectl);
        run_with(kubectl.args(["apply", "-f", "-"]), Some(manifest)).ok();
    }

    /// Types `kubectl ARGS`.
    pub fn kubectl(&self, args: &[&str]) -> Outcome {
        run(self.command(&self.kubectl).args(args))
    }

    /// Types this line into a shell, as from a hint.
    pub fn types(&self, line: &str) -> Outcome {
        let mut shell = self.environment(self.machine.command("sh"));
        let path = shell
            .get_envs()
            .find_map(|(name, value)| (name == "PATH").then_some(value))
            .flatten()
            .unwrap_or_default();
        let kubectl = self.kubectl.parent().map(Path::to_owned);
        let path = env::join_paths(kubectl.into_iter().chain(env::split_paths(path))).unwrap();
        run(shell.env("PATH", path).args(["-c", line]))
    }

    /// Starts `kubectl ARGS`.
    pub fn start_kubectl(&self, args: &[&str]) -> Child {
        self.command(&self.kubectl)
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Deploys the PostgreSQL of `manifests/postgres.yaml` and waits until it is ready.
    pub fn deploys_postgres(&self) {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/postgres.yaml");
        self.kubectl(&["apply", "-f", &manifest.display().to_string()])
            .ok();
        self.postgres_is_ready();
    }

    /// Waits until that PostgreSQL is ready.
    pub fn postgres_is_ready(&self) {
        eventually("PostgreSQL is ready", PATIENCE, || {
            let endpoints = self.kubectl(&[
                "get",
                "endpoints",
                "pg",
                "-o",
                "jsonpath={.subsets[*].addresses[*].targetRef.name}",
            ]);
            endpoints.stdout.contains("pg-0")
        });
    }

    /// The names of the objects of a kind in their namespace that the suite manages.
    pub fn ours(&self, kinds: &str) -> Vec<String> {
        let found = self
            .kubectl(&[
                "get",
                kinds,
                "-l",
                "app.kubernetes.io/managed-by",
                "-o",
                "name",
            ])
            .ok();
        found.stdout.lines().map(str::to_owned).collect()
    }
}

/// Where the program of a plugin is.
fn program(plugin: &str) -> PathBuf {
    let program = programs().join(format!("kubectl-{}", plugin.replace('-', "_")));
    assert!(
        program.exists(),
        "{} is missing: run `make build`",
        program.display()
    );
    program
}
