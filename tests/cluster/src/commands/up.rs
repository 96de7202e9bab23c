//! `cluster up`.

use clap::Args;

use super::{say, short};
use crate::{
    additions::Addition,
    error::Result,
    images,
    issuer::Realm,
    layout::{GATEWAY_DOMAIN, INGRESS_DOMAIN, Layout, SECOND_DOMAIN},
    node::{self, Extent, Outcome},
    progress::{Progress, readable},
    users,
};

/// Make the node, unless it is up and well, and say how to use it
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// What the node has beyond the stock
    #[arg(long, value_name = "ADDITION", value_delimiter = ',')]
    with: Vec<Addition>,
    /// The API server and its controllers alone: no pod runs
    #[arg(long, conflicts_with = "with")]
    control_plane: bool,
}

pub(super) fn run(layout: &Layout, arguments: &Arguments) -> Result<()> {
    let progress = Progress::new();
    let extent = if arguments.control_plane {
        Extent::ControlPlane
    } else {
        Extent::Whole
    };
    let outcome = node::up(layout, extent, &arguments.with, &progress);
    progress.clear();
    let took = readable(progress.elapsed());
    match outcome? {
        Outcome::WasUp => say(&format!("the node is up already (looked at in {took})")),
        Outcome::Extended => say(&format!("the node has what was missing ({took})")),
        Outcome::Made => say(&format!("the node is up ({took})")),
    }
    if extent == Extent::Whole {
        say(&usage(layout));
    }
    Ok(())
}

fn usage(layout: &Layout) -> String {
    let kubeconfigs = short(layout.state());
    let first = users::DEFAULT[0];
    let number = if layout.number() == 0 {
        String::new()
    } else {
        format!(" --node {}", layout.number())
    };
    let down = if layout.number() == 0 {
        "make cluster-down".to_owned()
    } else {
        format!("cargo run -p test-cluster --{number} down")
    };
    let with = node::status(layout).with;
    let mut lines = vec![
        String::new(),
        format!("  export KUBECONFIG={}", layout.kubeconfig(first).display()),
        format!("  alias kubectl={}", layout.path("kubectl").display()),
        "  kubectl get pods".to_owned(),
        String::new(),
        format!(
            "users       admin, {} ({kubeconfigs}/NAME.kubeconfig); {first} is {} and owns {}",
            users::DEFAULT.join(", "),
            users::user_name(first),
            users::namespace(first)
        ),
        format!("images      {}", images::references().join(", ")),
        format!("API server  {}", layout.server()),
    ];
    let leads = |name: &str, domain: &str, address| {
        format!("{name:<12}http(s)://{address} for every name below {domain}")
    };
    if with.contains(&Addition::Ingress) {
        lines.push(leads("ingress", INGRESS_DOMAIN, layout.address()));
    } else {
        lines.push(format!(
            "ingress     none; `cargo run -p test-cluster --{number} up --with ingress` adds it"
        ));
    }
    if with.contains(&Addition::Gateway) {
        lines.push(leads("gateway", GATEWAY_DOMAIN, layout.address()));
    }
    if with.contains(&Addition::Haproxy) {
        lines.push(leads("haproxy", SECOND_DOMAIN, layout.second_address()));
    }
    if with.contains(&Addition::Keycloak) {
        let realms: Vec<_> = Realm::ALL.iter().map(|realm| realm.url()).collect();
        lines.push(format!("login       {}", realms.join(", ")));
    }
    lines.push(format!("down        {down}"));
    lines.join("\n")
}
