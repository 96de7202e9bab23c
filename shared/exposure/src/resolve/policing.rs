//! Whom a policy of ours has to let in, where the pods are isolated.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPeer};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt;

use commons::error::Error;
use commons::printable;

use crate::existing::{Controller, ExistingRoutes};
use crate::remedy::{Setting, set};
use crate::{Backend, Options, network, port};

/// What the network policies ask for.
#[derive(Debug, Default)]
pub(crate) struct Policing {
    /// By what ours selects the pods, and whom it lets in.
    pub(super) policy: Option<(BTreeMap<String, String>, Vec<NetworkPolicyPeer>)>,
    /// The policies that keep the controller out.
    pub(crate) isolated_by: Vec<String>,
    /// Whether ours would let in nobody who is not let in anyway.
    pub(super) unneeded: bool,
    /// What was learned, in a phrase.
    pub(super) learned: Option<String>,
    /// Why it cannot be told.
    pub(super) warning: Option<Error>,
}

impl Policing {
    fn unneeded() -> Self {
        Self {
            unneeded: true,
            ..Self::default()
        }
    }
}

/// Decides for the pods of an app that listens on `target`; `own` is the name of our policy.
pub(crate) fn policing(
    backend: &Backend,
    options: &Options,
    routes: &ExistingRoutes,
    own: &str,
    target: u16,
) -> Policing {
    let others: Vec<NetworkPolicy> = routes
        .policies
        .iter()
        .filter(|policy| policy.name_any() != own)
        .cloned()
        .collect();
    let isolating = network::isolating(&others, &backend.pod_labels);
    let port_names: Vec<String> = port::declared(&backend.containers)
        .filter(|(number, _)| *number == target)
        .filter_map(|(_, name)| name.map(str::to_owned))
        .collect();
    let lets_in = |peer: &NetworkPolicyPeer| {
        target > 0 && network::lets_in(&others, &backend.pod_labels, peer, target, &port_names)
    };
    let nobody_in_particular = NetworkPolicyPeer::default();
    if isolating.is_empty() || lets_in(&nobody_in_particular) {
        return Policing::unneeded();
    }
    let isolated_by: Vec<String> = isolating
        .iter()
        .map(|policy| format!("`{}`", printable::line(&policy.name_any())))
        .collect();
    let peers = match controller(options, routes) {
        Ok(peers) => peers,
        Err((why, cause)) => {
            return Policing {
                warning: Some(unknown(backend, &isolated_by, why, cause)),
                isolated_by,
                ..Policing::default()
            };
        }
    };
    if peers.iter().all(lets_in) {
        return Policing::unneeded();
    }
    let as_others = if options.controller.is_none() {
        " (as for your other addresses)"
    } else {
        ""
    };
    Policing {
        learned: Some(format!(
            "let in past the network policies: {}{as_others}",
            described(&peers)
        )),
        policy: Some((backend.selector.clone(), peers)),
        isolated_by,
        ..Policing::default()
    }
}

/// The ingress controller as policies name it, or why it cannot be told.
fn controller(
    options: &Options,
    routes: &ExistingRoutes,
) -> Result<Vec<NetworkPolicyPeer>, (&'static str, Option<String>)> {
    if let Some(namespace) = &options.controller {
        return Ok(vec![NetworkPolicyPeer {
            namespace_selector: Some(LabelSelector {
                match_labels: Some(network::labels_of_namespace(namespace)),
                ..Default::default()
            }),
            ..Default::default()
        }]);
    }
    match routes.controller() {
        Controller::Peers(peers) => Ok(peers),
        Controller::OneOf(peers) => Err((
            "it is not clear which of the peers in other policies is the ingress controller",
            Some(described(&peers)),
        )),
        Controller::Unknown => Err(("nothing here tells where the ingress controller runs", None)),
    }
}

fn unknown(backend: &Backend, isolated_by: &[String], why: &str, cause: Option<String>) -> Error {
    let error = Error::new(format!(
        "the pods of {} are isolated by {}, and {why}",
        backend.reference,
        isolated_by.join(", ")
    ))
    .hint(set(
        "if it cannot reach them, name its namespace",
        [Setting::Controller],
    ));
    match cause {
        Some(cause) => error.caused_by(cause),
        None => error,
    }
}

fn described(peers: &[NetworkPolicyPeer]) -> String {
    let described: Vec<String> = peers.iter().map(network::describe_peer).collect();
    described.join(", ")
}
