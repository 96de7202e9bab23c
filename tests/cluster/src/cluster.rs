//! The cluster as tests see it: the node of this checkout, or any cluster where the caller is admin.

use std::{
    env,
    ffi::OsStr,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{
    additions::Addition,
    api::Api,
    cache,
    error::{Context as _, Error, Result},
    external,
    fault::{self, Fault},
    foreign,
    issuer::{AUTHORITY, Issuer},
    layout::{self, COMMAND, Layout},
    login::{self, Login},
    node, programs, users,
    workstation::{self, Workstation},
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

    /// The certificate (PEM) of the authority that signed the own node's issuer's, to trust it by.
    pub fn login_certificate(&self) -> PathBuf {
        self.layout.path(AUTHORITY)
    }

    /// Every certificate to trust on the own node, whether or not it is there.
    pub(crate) fn certificates(&self) -> [PathBuf; 5] {
        [
            self.ingress_certificate(),
            self.gateway_certificate(),
            self.second_certificate(),
            self.issuer_certificate(),
            self.login_certificate(),
        ]
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

    /// Makes a user as Onyxia does, who logs in by a certificate: [`Self::add_user_with`].
    pub fn add_user(&self, name: &str, role: Option<&str>, groups: &[&str]) -> Result<PathBuf> {
        self.add_user_with(name, role, groups, Login::Certificate)
    }

    /// Makes a user as Onyxia does and returns the path of their kubeconfig. Doing it twice is doing it once, with a fresh login.
    ///
    /// The user is `oidc-NAME` with these groups. With a role there is the namespace `user-NAME` and in it the `RoleBinding`
    /// `full_control_namespace` to this `ClusterRole`; `None` gives neither a namespace nor any right. Groups at the issuer are
    /// `oidc-GROUP` in the cluster. Logins other than by a certificate are on the own node only.
    pub fn add_user_with(
        &self,
        name: &str,
        role: Option<&str>,
        groups: &[&str],
        login: Login,
    ) -> Result<PathBuf> {
        users::check_name(name)?;
        if login.realm().is_some() {
            self.require(&[Addition::Keycloak])?;
        }
        if login == Login::ServiceAccount {
            self.only_own_node("ServiceAccounts as users are")?;
            if role.is_none() {
                return Err(Error::new("a ServiceAccount needs a namespace"));
            }
        }
        let api = Api::of(&self.admin)?;
        if self.own {
            node::add_user(&self.layout, &api, name, role, groups, login)?;
        } else {
            if let Some(role) = role {
                users::give_namespace(&api, name, role, &login.subject(name))?;
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
        cache::remove_file(&self.layout.kubeconfig(name))?;
        login::forget(&self.layout, name)?;
        users::take_namespace(&Api::of(&self.admin)?, name, wait)
    }

    /// Makes a fault happen on the own node. It has happened when this returns.
    pub fn fault(&self, fault: Fault) -> Result<()> {
        self.only_own_node("faults are possible")?;
        fault::inject(&self.layout, fault)
    }

    /// The issuer that users log in at.
    pub fn issuer(&self) -> Result<Issuer> {
        self.require(&[Addition::Keycloak])?;
        Issuer::of(&self.layout)
    }

    /// Writes a fresh token for a user who is a `ServiceAccount`, valid for at least 10 min. It has a Secret to itself;
    /// tokens before it end as at [`Self::revoke_token`].
    pub fn renew_token(&self, name: &str, lifetime: Duration) -> Result<()> {
        self.only_own_node("ServiceAccounts as users are")?;
        login::renew_token(&self.layout, &Api::of(&self.admin)?, name, lifetime)
    }

    /// Makes the token of a user who is a `ServiceAccount` invalid, by deleting the Secret that it is bound to. The API server
    /// may take it for 10 s more when it has seen it just before.
    pub fn revoke_token(&self, name: &str) -> Result<()> {
        self.only_own_node("ServiceAccounts as users are")?;
        login::revoke_token(&Api::of(&self.admin)?, name)
    }

    /// A program, about to run at the [`Workstation`] of a user: their kubeconfig, and kubectl and the plugins first in PATH.
    /// The plugins are those of `COMMONS_BIN_DIR`, or of the checkout's optimised build.
    pub fn command_as(&self, name: &str, program: impl AsRef<OsStr>) -> Result<Command> {
        let kubeconfig = self.layout.kubeconfig(name);
        if !kubeconfig.exists() {
            return Err(Error::new(format!("no user {name}"))
                .hint(format!("run `{COMMAND} user add {name}`")));
        }
        let plugins = match env::var_os("COMMONS_BIN_DIR") {
            Some(directory) => PathBuf::from(directory),
            None => layout::target_directory()?.join("release"),
        };
        let mut command = Workstation::of(self)?.command(program);
        command
            .env("KUBECONFIG", kubeconfig)
            .env("PATH", workstation::path(&self.kubectl, &plugins)?);
        Ok(command)
    }

    fn only_own_node(&self, what: &str) -> Result<()> {
        if self.own {
            return Ok(());
        }
        Err(Error::new(format!("{what} on the own node only"))
            .hint(format!("leave {CHOICE} out and run `make cluster`")))
    }
}
