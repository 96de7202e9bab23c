//! Where a node keeps its things and what it calls itself: several nodes live side by side because everything here depends on the number.

use std::{
    env, fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use crate::error::{Context as _, Error, Result};

/// The state directory as the node's own processes see it: short (socket paths end at 108 bytes) and the same for every node.
pub(crate) const INSIDE: &str = "/run/node";
/// The cache directory as the node's own processes see it.
pub(crate) const INSIDE_CACHE: &str = "/run/cache";
/// How this crate's command is called from the checkout, for hints.
pub(crate) const COMMAND: &str = "cargo run -q -p test-cluster --";
/// The name of the Kubernetes node.
pub const NODE_NAME: &str = "node1";
/// The node's address among its pods.
pub(crate) const POD_GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);
/// The number of the node that is a control plane only.
const CONTROL_PLANE: u8 = 250;
/// The domain whose every name leads to the ingress controller.
pub const INGRESS_DOMAIN: &str = "kub.example.test";
/// The domain whose every name leads to the shared `Gateway`, which is the same controller.
pub const GATEWAY_DOMAIN: &str = "gw.example.test";
/// The domain whose every name leads to the second ingress controller.
pub const SECOND_DOMAIN: &str = "haproxy.example.test";

/// The host at which Keycloak issues tokens, on the node's address.
pub(crate) const LOGIN_HOST: &str = "auth.example.test";
/// The port at which Keycloak issues tokens.
pub(crate) const LOGIN_PORT: u16 = 8443;

/// Number, state directory and names of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    number: u8,
    state: PathBuf,
}

impl Layout {
    /// The node with this number and this state directory.
    pub fn new(number: u8, state: impl Into<PathBuf>) -> Self {
        Self {
            number,
            state: state.into(),
        }
    }

    /// Node `number` of the checkout around the current directory, or the one kept in `state`.
    pub fn find(number: Option<u8>, state: Option<&Path>) -> Result<Self> {
        let state = if let Some(given) = state {
            std::path::absolute(given)
                .with_context(|| format!("{} cannot be resolved", given.display()))?
        } else {
            let name = match number.unwrap_or(0) {
                0 => "cluster".to_owned(),
                n => format!("cluster-{n}"),
            };
            target_directory()?.join(name)
        };
        let number = number
            .or_else(|| Self::recorded_number(&state))
            .unwrap_or(0);
        if number > 250 {
            return Err(Error::new(format!("node number {number} is too high"))
                .hint("use `--node` with 0 to 250"));
        }
        Ok(Self { number, state })
    }

    fn recorded_number(state: &Path) -> Option<u8> {
        crate::record::Started::read(state).map(|record| record.node)
    }

    /// The API server with its controllers that the tests of single commands use, where no pod runs.
    pub fn control_plane() -> Result<Self> {
        Self::find(Some(CONTROL_PLANE), None)
    }

    /// Which of the nodes side by side this is.
    pub fn number(&self) -> u8 {
        self.number
    }

    /// The state directory.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// A file or directory of the state, as the host sees it.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.state.join(relative)
    }

    /// The kubeconfig written for a user.
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.path(format!("{user}.kubeconfig"))
    }

    /// The host's end of the link to the node.
    pub fn host_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 254, self.number, 1)
    }

    /// The node's end: API server, ingress and DNS answer here.
    pub fn address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 254, self.number, 2)
    }

    /// An address of the node outside the link's network: the second ingress controller answers here.
    pub fn second_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 254, self.number, 5)
    }

    /// The URL of the API server.
    pub fn server(&self) -> String {
        format!("https://{}:6443", self.address())
    }

    /// The name of the link on the host.
    pub fn link(&self) -> String {
        format!("commons{}", self.number)
    }

    /// The cgroup below which the node's pods live.
    pub fn cgroup(&self) -> String {
        format!("kube-commons-{}", self.number)
    }
}

/// A file or directory of the state, as the node's own processes see it.
pub(crate) fn inside(relative: &str) -> String {
    format!("{INSIDE}/{relative}")
}

/// `target/` of the workspace around the current directory, as cargo would choose it.
pub(crate) fn target_directory() -> Result<PathBuf> {
    Ok(workspace()?.join("target"))
}

/// The nearest directory upwards whose `Cargo.toml` holds a workspace.
fn workspace() -> Result<PathBuf> {
    let here = env::current_dir().context("the current directory cannot be read")?;
    for directory in here.ancestors() {
        let manifest = fs::read_to_string(directory.join("Cargo.toml")).unwrap_or_default();
        if manifest.lines().any(|line| line.trim() == "[workspace]") {
            return Ok(directory.to_owned());
        }
    }
    Err(Error::new(format!(
        "{} is not inside a checkout of the project",
        here.display()
    ))
    .hint("change into the checkout, or name a directory with `--state DIR`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_side_by_side_share_no_name() {
        let (a, b) = (Layout::new(0, "/s/a"), Layout::new(1, "/s/b"));
        assert_ne!(a.address(), b.address());
        assert_ne!(a.second_address(), b.second_address());
        assert_ne!(a.link(), b.link());
        assert_ne!(a.cgroup(), b.cgroup());
    }

    #[test]
    fn a_link_name_fits_the_kernel() {
        assert!(Layout::new(250, "/s").link().len() <= 15);
    }

    #[test]
    fn the_state_lives_in_the_workspace_target() {
        let found = Layout::find(Some(3), None).unwrap();
        assert!(found.state().ends_with("target/cluster-3"), "{found:?}");
    }
}
