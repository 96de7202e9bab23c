//! The cluster as tests see it: the node of this checkout, or any cluster where the caller is admin.

use std::{
    env, fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use crate::{
    additions::Addition,
    api::Api,
    error::{Context as _, Error, Result},
    external,
    fault::{self, Fault},
    foreign,
    layout::{COMMAND, Layout},
    node, programs, users,
};

/// Set to `current` to use the cluster of `KUBECONFIG` instead of the own node.
pub const CHOICE: &str = "COMMONS_TEST_CLUSTER";
/// The number of the own node to use, when it is not 0.
pub const NODE: &str = "COMMONS_TEST_NODE";

/// The cluster that tests use: the node of this checkout, or with `COMMONS_TEST_CLUSTER=current` the one of `KUBECONFIG`.
#[derive(Debug)]
pub struct Cluster {
    layout: Layout,
    own: bool,
    admin: PathBuf,
    kubectl: PathBuf,
}

impl Cluster {
    /// Finds the running cluster for tests; the error says `make cluster` when the node is not up.
    ///
    /// The node's number is taken from `COMMONS_TEST_NODE`, 0 when it is not set.
    pub fn for_tests() -> Result<Self> {
        match env::var(CHOICE)
            .ok()
            .filter(|choice| !choice.is_empty())
            .as_deref()
        {
            None | Some("node") => {
                let number = match env::var(NODE) {
                    Ok(number) => Some(number.parse().with_context(|| {
                        format!("{NODE} is {number:?}, which is no node number")
                    })?),
                    Err(_) => None,
                };
                Self::node(&Layout::find(number, None)?)
            }
            Some("current") => Self::current(),
            Some(other) => Err(Error::new(format!("{CHOICE} is {other:?}"))
                .hint(format!("leave {CHOICE} out, or set it to `current`"))),
        }
    }

    /// The running node with this layout.
    pub fn node(layout: &Layout) -> Result<Self> {
        let hint = "run `make cluster`";
        if !node::is_running(layout) {
            return Err(Error::new("the test node is not up").hint(hint));
        }
        if !node::is_ready(layout) {
            return Err(
                Error::new("the test node is still being made, or was never finished").hint(hint),
            );
        }
        let kubectl = layout.path("kubectl");
        let kubectl = fs::canonicalize(&kubectl)
            .with_context(|| format!("{} is not there", kubectl.display()))?;
        Ok(Self {
            layout: layout.clone(),
            own: true,
            admin: layout.kubeconfig("admin"),
            kubectl,
        })
    }

    fn current() -> Result<Self> {
        let layout = Layout::find(None, None)?;
        let state = layout.state().with_file_name("cluster-current");
        fs::create_dir_all(&state)
            .with_context(|| format!("{} cannot be made", state.display()))?;
        let layout = Layout::new(0, state);
        let admin = layout.kubeconfig("admin");
        foreign::write_admin_kubeconfig(&admin)?;
        let kubectl = match external::find("kubectl") {
            Some(found) => found,
            None => programs::kubectl()?,
        };
        Ok(Self {
            layout,
            own: false,
            admin,
            kubectl,
        })
    }

    /// Whether this is the node of the checkout: faults are possible only then.
    pub fn is_own_node(&self) -> bool {
        self.own
    }

    /// Fails, and says how to add it, unless the own node has all of this: nobody knows what another cluster has.
    pub fn require(&self, additions: &[Addition]) -> Result<()> {
        let names = |additions: &[Addition]| {
            additions
                .iter()
                .map(|addition| addition.name())
                .collect::<Vec<_>>()
                .join(",")
        };
        if !self.own {
            return Err(
                Error::new(format!("{} is on the own node only", names(additions)))
                    .hint(format!("leave {CHOICE} out and run `make cluster`")),
            );
        }
        let with = node::additions(&self.layout);
        let missing: Vec<_> = additions
            .iter()
            .copied()
            .filter(|addition| !with.contains(addition))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let missing = names(&missing);
        Err(
            Error::new(format!("the test node has no {missing}")).hint(format!(
                "run `{COMMAND} --node {} up --with {missing}`",
                self.layout.number()
            )),
        )
    }

    /// The kubeconfig of the cluster's admin.
    pub fn admin_kubeconfig(&self) -> &Path {
        &self.admin
    }

    /// The certificate (PEM) that the ingress of the own node answers with, to trust it by.
    pub fn ingress_certificate(&self) -> PathBuf {
        self.layout.path("pki/ingress.crt")
    }

    /// The certificate (PEM) that the shared `Gateway` of the own node answers with, to trust it by.
    pub fn gateway_certificate(&self) -> PathBuf {
        self.layout.path("pki/gateway.crt")
    }

    /// The certificate (PEM) that the second ingress controller of the own node answers with, to trust it by.
    pub fn second_certificate(&self) -> PathBuf {
        self.layout.path("pki/haproxy.crt")
    }

    /// The certificate (PEM) of the root that the `ClusterIssuer` `ca` of the own node signs with.
    pub fn issuer_certificate(&self) -> PathBuf {
        self.layout.path("pki/issuer-ca.crt")
    }

    /// The address that the names below [`crate::INGRESS_DOMAIN`] and [`crate::GATEWAY_DOMAIN`] lead to on the own node; DNS answers there too.
    pub fn address(&self) -> Ipv4Addr {
        self.layout.address()
    }

    /// The address that the names below [`crate::SECOND_DOMAIN`] lead to on the own node.
    pub fn second_address(&self) -> Ipv4Addr {
        self.layout.second_address()
    }

    /// kubectl: the one built for the node, or the one in PATH for another cluster.
    pub fn kubectl(&self) -> &Path {
        &self.kubectl
    }

    /// The directory where this cluster's kubeconfigs and logs are.
    pub fn state(&self) -> &Path {
        self.layout.state()
    }

    /// The kubeconfig of a user, whether or not the user was made.
    pub fn kubeconfig(&self, name: &str) -> PathBuf {
        self.layout.kubeconfig(name)
    }

    /// Makes a user as Onyxia does and returns the path of their kubeconfig. Doing it twice is doing it once.
    ///
    /// The user is `oidc-NAME` with these groups. With a role there is the namespace `user-NAME` and in it the `RoleBinding`
    /// `full_control_namespace` to this `ClusterRole`; `None` gives neither a namespace nor any right.
    pub fn add_user(&self, name: &str, role: Option<&str>, groups: &[&str]) -> Result<PathBuf> {
        users::check_name(name)?;
        let api = Api::of(&self.admin)?;
        if self.own {
            node::add_user(&self.layout, &api, name, role, groups)?;
        } else {
            if let Some(role) = role {
                users::give_namespace(&api, name, role)?;
            }
            foreign::write_user_kubeconfig(
                &api,
                &self.admin,
                &self.layout.kubeconfig(name),
                name,
                role.is_some(),
                groups,
            )?;
        }
        Ok(self.layout.kubeconfig(name))
    }

    /// Deletes the user's namespace, without waiting for its end unless `wait`, and the user's kubeconfig.
    pub fn remove_user(&self, name: &str, wait: bool) -> Result<()> {
        users::check_name(name)?;
        let kubeconfig = self.layout.kubeconfig(name);
        match fs::remove_file(&kubeconfig) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(
                    Error::new(format!("{} cannot be removed", kubeconfig.display()))
                        .because(error),
                );
            }
            _ => {}
        }
        users::take_namespace(&Api::of(&self.admin)?, name, wait)
    }

    /// Makes a fault happen on the own node. It has happened when this returns.
    pub fn fault(&self, fault: Fault) -> Result<()> {
        if !self.own {
            return Err(Error::new("faults are possible on the own node only")
                .hint(format!("leave {CHOICE} out and run `make cluster`")));
        }
        fault::inject(&self.layout, fault)
    }
}
