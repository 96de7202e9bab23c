//! `cluster user`.

use std::env;

use clap::{Subcommand, ValueEnum};

use super::{say, short};
use crate::{
    cluster::{CHOICE, Cluster},
    error::Result,
    issuer::Realm,
    layout::Layout,
    login::Login,
};

/// Make and remove users, as Onyxia does
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Make the user oidc-NAME, who owns the namespace user-NAME, and their kubeconfig
    Add {
        name: String,
        /// A group of the user
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
        /// The `ClusterRole` that the user has in the namespace
        #[arg(long, default_value = "admin")]
        role: String,
        /// Give neither a namespace nor any right
        #[arg(long, conflicts_with = "role")]
        no_namespace: bool,
        /// How the user logs in
        #[arg(long, value_enum, default_value_t)]
        login: LoginName,
        /// The realm of the issuer, for the logins `onyxia` and `kubelogin`
        #[arg(long, value_enum, default_value_t)]
        realm: Realm,
    },
    /// Delete the user's namespace and kubeconfig
    Remove {
        name: String,
        /// Wait until the namespace is gone
        #[arg(long)]
        wait: bool,
    },
}

/// The name of a login.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(super) enum LoginName {
    #[default]
    Certificate,
    Onyxia,
    Kubelogin,
    #[value(name = "serviceaccount")]
    ServiceAccount,
}

impl LoginName {
    fn at(self, realm: Realm) -> Login {
        match self {
            Self::Certificate => Login::Certificate,
            Self::Onyxia => Login::Onyxia(realm),
            Self::Kubelogin => Login::Kubelogin(realm),
            Self::ServiceAccount => Login::ServiceAccount,
        }
    }
}

pub(super) fn run(layout: &Layout, action: Action) -> Result<()> {
    // Any other cluster is chosen as the tests choose it.
    let foreign = env::var(CHOICE).is_ok_and(|choice| choice == "current");
    let cluster = if foreign {
        Cluster::for_tests()?
    } else {
        Cluster::node(layout)?
    };
    match action {
        Action::Add {
            name,
            groups,
            role,
            no_namespace,
            login,
            realm,
        } => {
            let groups: Vec<_> = groups.iter().map(String::as_str).collect();
            let role = (!no_namespace).then_some(role.as_str());
            let kubeconfig = cluster.add_user_with(&name, role, &groups, login.at(realm))?;
            say(&short(&kubeconfig));
        }
        Action::Remove { name, wait } => {
            cluster.remove_user(&name, wait)?;
            say(&format!("user {name} removed"));
        }
    }
    Ok(())
}
