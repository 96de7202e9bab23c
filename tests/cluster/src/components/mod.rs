//! The processes a node is made of. Each file here knows one of them: its command line and its configuration.

mod apiserver;
mod containerd;
mod controller_manager;
mod coredns;
mod etcd;
mod felix;
mod keycloak;
mod kubelet;
mod proxy;
mod scheduler;

use std::{fmt, fs, path::Path};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::{
    cache,
    error::{Context as _, Error, Result},
    layout::{COMMAND, INSIDE_CACHE, Layout, inside},
    programs::Program,
    progress::Progress,
};

pub(crate) use containerd::CNI_PROGRAMS;
pub(crate) use felix::HEALTH_PORT as FELIX_HEALTH;
pub(crate) use kubelet::CGROUP_HIERARCHY;
pub(crate) use proxy::HEALTH_PORT as PROXY_HEALTH;

/// A process of the node.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Component {
    /// The database of the API server.
    Etcd,
    /// The Kubernetes API.
    Apiserver,
    /// The container runtime.
    Containerd,
    /// Deployments, Jobs, garbage collection, service accounts ...
    ControllerManager,
    /// Gives pods their node.
    Scheduler,
    /// Runs the pods.
    Kubelet,
    /// Service addresses.
    Proxy,
    /// `NetworkPolicies`.
    Felix,
    /// DNS for pods.
    Coredns,
    /// The issuer of tokens to log in with.
    Keycloak,
}

impl Component {
    /// What every node runs.
    pub const STOCK: &[Self] = &[
        Self::Etcd,
        Self::Apiserver,
        Self::Containerd,
        Self::ControllerManager,
        Self::Scheduler,
        Self::Kubelet,
        Self::Proxy,
        Self::Felix,
        Self::Coredns,
    ];

    /// What answers requests and cares for objects; nothing here runs a pod.
    pub const CONTROL_PLANE: &[Self] = &[Self::Etcd, Self::Apiserver, Self::ControllerManager];

    /// Whether a node has it, by what is recorded of the node.
    pub(crate) fn is_of(self, layout: &Layout) -> bool {
        layout.path(CommandLine::file(self)).exists()
    }

    /// Its name in commands and in the file names of logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Apiserver => "apiserver",
            Self::Containerd => "containerd",
            Self::ControllerManager => "controller-manager",
            Self::Scheduler => "scheduler",
            Self::Kubelet => "kubelet",
            Self::Proxy => "proxy",
            Self::Felix => "felix",
            Self::Coredns => "coredns",
            Self::Keycloak => "keycloak",
        }
    }

    /// Writes its configuration into the state and returns how to start it.
    pub(crate) fn prepare(self, setup: &Setup) -> Result<CommandLine> {
        match self {
            Self::Etcd => etcd::prepare(setup),
            Self::Apiserver => apiserver::prepare(setup),
            Self::Containerd => containerd::prepare(setup),
            Self::ControllerManager => controller_manager::prepare(setup),
            Self::Scheduler => scheduler::prepare(setup),
            Self::Kubelet => kubelet::prepare(setup),
            Self::Proxy => proxy::prepare(setup),
            Self::Felix => felix::prepare(setup),
            Self::Coredns => coredns::prepare(setup),
            Self::Keycloak => keycloak::prepare(setup),
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How to start a component, in the node's own view of the file system. Recorded, so that it can be started again after a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CommandLine {
    pub(crate) program: String,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
}

impl CommandLine {
    fn new(program: String, arguments: &[&str]) -> Self {
        Self {
            program,
            arguments: arguments
                .iter()
                .map(|&argument| argument.to_owned())
                .collect(),
            environment: Vec::new(),
        }
    }

    fn with_environment(mut self, variables: &[(&str, &str)]) -> Self {
        self.environment.extend(
            variables
                .iter()
                .map(|&(name, value)| (name.to_owned(), value.to_owned())),
        );
        self
    }

    /// Where the command line of a component is recorded, below the state.
    fn file(component: Component) -> String {
        format!("components/{component}.json")
    }

    pub(crate) fn record(&self, layout: &Layout, component: Component) -> Result<()> {
        crate::record::write(&layout.path(Self::file(component)), self)
    }

    /// Reads the record; called inside the node.
    pub(crate) fn recorded(component: Component) -> Result<Self> {
        let bytes = fs::read(inside(&Self::file(component))).map_err(|_| {
            Error::new(format!("{component} is not a part of this node"))
                .hint(format!("see `{COMMAND} fault list`"))
        })?;
        serde_json::from_slice(&bytes)
            .with_context(|| format!("the command line of {component} cannot be understood"))
    }
}

/// What the components are configured from.
pub(crate) struct Setup<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) progress: &'a Progress,
}

impl Setup<'_> {
    /// A program of the cache as the node's own processes see it.
    pub(crate) fn program(&self, program: Program) -> Result<String> {
        Self::cached(&program.path(self.progress)?)
    }

    /// A file or directory of the cache as the node's own processes see it.
    fn cached(path: &Path) -> Result<String> {
        let below = path
            .strip_prefix(cache::directory()?)
            .with_context(|| format!("{} is not in the cache", path.display()))?;
        Ok(format!("{INSIDE_CACHE}/{}", below.display()))
    }

    /// Writes a configuration file and returns its path as the node's own processes see it.
    fn configuration(&self, name: &str, content: &str) -> Result<String> {
        let relative = format!("etc/{name}");
        let path = self.layout.path(&relative);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))
            .with_context(|| format!("{} cannot be made", path.display()))?;
        fs::write(&path, content)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(inside(&relative))
    }
}

/// The kubeconfig of a component as the node's own processes see it.
fn component_kubeconfig(name: &str) -> String {
    inside(&format!("pki/{name}.kubeconfig"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_on_the_command_line_and_in_records() {
        for &component in Component::value_variants() {
            let possible = component.to_possible_value().unwrap();
            assert_eq!(possible.get_name(), component.name());
            assert_eq!(serde_json::to_value(component).unwrap(), component.name());
        }
    }
}
