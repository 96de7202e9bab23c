//! `cluster user`.

use std::env;

use clap::Subcommand;

use super::{say, short};
use crate::{
    cluster::{CHOICE, Cluster},
    error::Result,
    layout::Layout,
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
    },
    /// Delete the user's namespace and kubeconfig
    Remove {
        name: String,
        /// Wait until the namespace is gone
        #[arg(long)]
        wait: bool,
    },
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
        } => {
            let groups: Vec<_> = groups.iter().map(String::as_str).collect();
            let kubeconfig =
                cluster.add_user(&name, (!no_namespace).then_some(role.as_str()), &groups)?;
            say(&short(&kubeconfig));
        }
        Action::Remove { name, wait } => {
            cluster.remove_user(&name, wait)?;
            say(&format!("user {name} removed"));
        }
    }
    Ok(())
}
