//! Whom the `NetworkPolicies` of a namespace let in.
//!
//! The rules are those of the API (`networking.k8s.io/v1`): a pod that no policy selects takes everybody; one that is selected
//! takes whoever any rule of any of its policies lets in; no policy ever forbids. A plugin of the cluster's network enforces
//! them, or none does, which cannot be seen from a namespace: what is found here is what is written, and only a connection
//! proves it.

mod describe;

use std::collections::BTreeMap;

use commons::labels::matches;
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::ObjectMeta;

pub use describe::{describe_peer, describe_selector};

/// The label that every namespace has and that is its name (since Kubernetes 1.22).
pub const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// What is known of a namespace's labels by whoever may not read it.
pub fn labels_of_namespace(name: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(NAMESPACE_NAME.to_owned(), name.to_owned())])
}

/// The policies that isolate a pod with these labels for incoming traffic.
pub fn isolating<'a>(
    policies: &'a [NetworkPolicy],
    pod_labels: &BTreeMap<String, String>,
) -> Vec<&'a NetworkPolicy> {
    policies
        .iter()
        .filter(|policy| isolates(policy, pod_labels))
        .collect()
}

fn isolates(policy: &NetworkPolicy, pod_labels: &BTreeMap<String, String>) -> bool {
    let Some(spec) = &policy.spec else {
        return false;
    };
    // Without types a policy is about incoming traffic, whatever rules it has.
    let incoming = match spec.policy_types.as_deref() {
        None | Some([]) => true,
        Some(types) => types.iter().any(|kind| kind == "Ingress"),
    };
    let selected = spec
        .pod_selector
        .as_ref()
        .is_none_or(|selector| matches(selector, pod_labels));
    incoming && selected
}

/// Whether everything that `peer` stands for reaches these pods on a TCP port as far as can be told from what is written: the
/// pods are not isolated, or a rule names everybody or the very same peer.
pub fn lets_in(
    policies: &[NetworkPolicy],
    pod_labels: &BTreeMap<String, String>,
    peer: &NetworkPolicyPeer,
    port: u16,
    port_names: &[String],
) -> bool {
    let isolating = isolating(policies, pod_labels);
    isolating.is_empty()
        || isolating.into_iter().flat_map(rules).any(|rule| {
            covers(rule, port, port_names)
                && peers(rule)
                    .is_none_or(|peers| peers.contains(peer) || peers.iter().any(is_everybody))
        })
}

/// Pods that an Ingress leads to.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// Their labels, as far as the Service's selector names them.
    pub labels: BTreeMap<String, String>,
    /// The port at which they are reached, if its number is known.
    pub port: Option<u16>,
}

/// Somebody from outside of a namespace whom policies let in.
#[derive(Clone, Debug, PartialEq)]
pub struct Outsider {
    /// As the policies name them.
    pub peer: NetworkPolicyPeer,
    /// How many of the policies do.
    pub policies: usize,
}

/// The peers from outside of this namespace that policies let in to `published` pods at the port that is published, without
/// duplicates.
pub fn outsiders(policies: &[NetworkPolicy], published: &[Published]) -> Vec<Outsider> {
    let mut seen: Vec<Outsider> = Vec::new();
    for policy in policies {
        let ports: Vec<Option<u16>> = published
            .iter()
            .filter(|pods| isolates(policy, &pods.labels))
            .map(|pods| pods.port)
            .collect();
        let about_the_port = |rule: &&NetworkPolicyIngressRule| {
            ports
                .iter()
                .any(|port| port.is_none_or(|port| covers(rule, port, &[]) || has_named_port(rule)))
        };
        let here = policy.metadata.namespace.as_deref();
        let mut named: Vec<&NetworkPolicyPeer> = Vec::new();
        for peer in rules(policy)
            .filter(about_the_port)
            .filter_map(peers)
            .flatten()
        {
            if is_outside(peer, here) && !named.contains(&peer) {
                named.push(peer);
            }
        }
        for peer in named {
            match seen.iter_mut().find(|known| known.peer == *peer) {
                Some(known) => known.policies += 1,
                None => seen.push(Outsider {
                    peer: peer.clone(),
                    policies: 1,
                }),
            }
        }
    }
    seen
}

/// Whether a peer is whoever there is: every namespace, or every address.
pub fn is_everybody(peer: &NetworkPolicyPeer) -> bool {
    if let Some(block) = &peer.ip_block {
        return block.cidr.ends_with("/0") && block.except.as_ref().is_none_or(Vec::is_empty);
    }
    let is_empty = |selector: &LabelSelector| {
        let LabelSelector {
            match_labels,
            match_expressions,
        } = selector;
        match_labels.as_ref().is_none_or(BTreeMap::is_empty)
            && match_expressions.as_ref().is_none_or(Vec::is_empty)
    };
    peer.namespace_selector.as_ref().is_some_and(is_empty)
        && peer.pod_selector.as_ref().is_none_or(is_empty)
}

/// Whether a rule is about a port by its name, whose number only the pods know.
fn has_named_port(rule: &NetworkPolicyIngressRule) -> bool {
    rule.ports
        .iter()
        .flatten()
        .any(|port| matches!(port.port, Some(IntOrString::String(_))))
}

/// A policy that lets these peers, and nobody if there are none, in to `pods` on one TCP port of theirs (a number or a name).
///
/// It adds to what other policies let in. Where no other policy selects the pods, it is the first to isolate them and so shuts
/// everybody else out: ask [`isolating`] first.
pub fn allow(
    metadata: ObjectMeta,
    pods: LabelSelector,
    peers: Vec<NetworkPolicyPeer>,
    port: IntOrString,
) -> NetworkPolicy {
    let port = NetworkPolicyPort {
        port: Some(port),
        protocol: Some("TCP".to_owned()),
        end_port: None,
    };
    // To the API a rule without peers is for everybody.
    let rule = (!peers.is_empty()).then(|| NetworkPolicyIngressRule {
        from: Some(peers),
        ports: Some(vec![port]),
    });
    NetworkPolicy {
        metadata,
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(pods),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: rule.map(|rule| vec![rule]),
            egress: None,
        }),
    }
}

fn rules(policy: &NetworkPolicy) -> impl Iterator<Item = &NetworkPolicyIngressRule> {
    policy
        .spec
        .iter()
        .flat_map(|spec| spec.ingress.iter().flatten())
}

/// The peers of a rule, or nothing where it is for everybody.
fn peers(rule: &NetworkPolicyIngressRule) -> Option<&Vec<NetworkPolicyPeer>> {
    rule.from.as_ref().filter(|peers| !peers.is_empty())
}

/// Whether a rule is about this TCP port.
fn covers(rule: &NetworkPolicyIngressRule, port: u16, names: &[String]) -> bool {
    let ports = rule.ports.as_deref().unwrap_or_default();
    ports.is_empty()
        || ports.iter().any(|allowed| {
            let tcp = allowed
                .protocol
                .as_deref()
                .is_none_or(|protocol| protocol == "TCP");
            tcp && match (&allowed.port, allowed.end_port) {
                (None, _) => true,
                (Some(IntOrString::Int(first)), None) => *first == i32::from(port),
                (Some(IntOrString::Int(first)), Some(last)) => {
                    (*first..=last).contains(&i32::from(port))
                }
                (Some(IntOrString::String(name)), _) => names.contains(name),
            }
        })
}

/// Whether a peer may be outside of the namespace `here`.
fn is_outside(peer: &NetworkPolicyPeer, here: Option<&str>) -> bool {
    if peer.ip_block.is_some() {
        return true;
    }
    let Some(selector) = &peer.namespace_selector else {
        return false;
    };
    let named = describe::names(selector);
    !named.is_some_and(|names| here.is_some_and(|here| names.iter().all(|name| *name == here)))
}

#[cfg(test)]
mod tests;
