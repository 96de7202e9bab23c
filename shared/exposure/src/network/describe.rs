//! Peers and selectors in words.

use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicyPeer};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::NAMESPACE_NAME;
use commons::printable;

/// Whom a peer stands for: `pods of namespace ingress-nginx`, `every namespace`, `10.0.0.0/8`.
pub fn describe_peer(peer: &NetworkPolicyPeer) -> String {
    if let Some(block) = &peer.ip_block {
        return describe_block(block);
    }
    let pods = peer
        .pod_selector
        .as_ref()
        .filter(|selector| !is_empty(selector))
        .map(|selector| format!("pods with {}", describe_selector(selector)));
    match (&peer.namespace_selector, pods) {
        (None, None) if peer.pod_selector.is_none() => "nobody".to_owned(),
        (None, None) => "every pod of this namespace".to_owned(),
        (None, Some(pods)) => format!("{pods} of this namespace"),
        (Some(selector), None) if is_empty(selector) => "every namespace".to_owned(),
        (Some(selector), pods) => format!(
            "{} of {}",
            pods.as_deref().unwrap_or("pods"),
            describe_namespaces(selector)
        ),
    }
}

/// What a selector asks for, as `kubectl get --selector` takes it: `app=web,tier in (a, b)`; `any labels` if for nothing.
pub fn describe_selector(selector: &LabelSelector) -> String {
    let equal = selector
        .match_labels
        .iter()
        .flatten()
        .map(|(key, value)| format!("{key}={value}"));
    let conditions = selector
        .match_expressions
        .iter()
        .flatten()
        .map(|condition| {
            let key = &condition.key;
            let values = condition.values.as_deref().unwrap_or_default();
            match (condition.operator.as_str(), values) {
                ("In", [value]) => format!("{key}={value}"),
                ("NotIn", [value]) => format!("{key}!={value}"),
                ("In", values) => format!("{key} in ({})", values.join(", ")),
                ("NotIn", values) => format!("{key} notin ({})", values.join(", ")),
                ("Exists", _) => key.clone(),
                ("DoesNotExist", _) => format!("!{key}"),
                (operator, values) => format!("{key} {operator} ({})", values.join(", ")),
            }
        });
    let parts: Vec<String> = equal.chain(conditions).collect();
    if parts.is_empty() {
        return "any labels".to_owned();
    }
    printable::short(&parts.join(","), 200)
}

fn describe_block(block: &IPBlock) -> String {
    let whole = match block.cidr.as_str() {
        "0.0.0.0/0" => "every IPv4 address",
        "::/0" => "every IPv6 address",
        cidr => cidr,
    };
    let except = block.except.as_deref().unwrap_or_default();
    let text = if except.is_empty() {
        whole.to_owned()
    } else {
        format!("{whole} except {}", listed(except))
    };
    printable::short(&text, 200)
}

fn describe_namespaces(selector: &LabelSelector) -> String {
    if is_empty(selector) {
        return "every namespace".to_owned();
    }
    match names(selector).as_deref() {
        Some([name]) => format!("namespace {}", printable::short(name, 80)),
        Some(names) => format!("namespaces {}", printable::short(&listed(names), 200)),
        None => format!("namespaces with {}", describe_selector(selector)),
    }
}

/// The namespaces that a selector names, if it selects by name alone.
pub(super) fn names(selector: &LabelSelector) -> Option<Vec<&str>> {
    let labels = selector.match_labels.as_ref();
    let conditions = selector.match_expressions.as_deref().unwrap_or_default();
    let label = labels.and_then(|labels| labels.get(NAMESPACE_NAME));
    match (
        labels.map_or(0, std::collections::BTreeMap::len),
        label,
        conditions,
    ) {
        (1, Some(name), []) => Some(vec![name]),
        (0, None, [only]) if only.key == NAMESPACE_NAME && only.operator == "In" => {
            Some(only.values.iter().flatten().map(String::as_str).collect())
        }
        _ => None,
    }
}

fn is_empty(selector: &LabelSelector) -> bool {
    selector.match_labels.iter().flatten().next().is_none()
        && selector.match_expressions.iter().flatten().next().is_none()
}

/// `a`, `a and b`, `a, b and c`.
fn listed<S: AsRef<str>>(items: &[S]) -> String {
    match items {
        [] => "nothing".to_owned(),
        [one] => one.as_ref().to_owned(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", first.join(", "), last.as_ref())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn peers_in_words() {
        let name = |name: &str| json!({"matchLabels": {"kubernetes.io/metadata.name": name}});
        let names = json!({"matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["a", "b", "c"]}
        ]});
        let app = json!({"matchLabels": {"app": "traefik"}});
        for (peer, words) in [
            (json!({"podSelector": {}}), "every pod of this namespace"),
            (
                json!({"podSelector": app}),
                "pods with app=traefik of this namespace",
            ),
            (json!({"namespaceSelector": {}}), "every namespace"),
            (
                json!({"namespaceSelector": {}, "podSelector": {}}),
                "every namespace",
            ),
            (
                json!({"namespaceSelector": {}, "podSelector": app}),
                "pods with app=traefik of every namespace",
            ),
            (
                json!({"namespaceSelector": name("ingress-nginx")}),
                "pods of namespace ingress-nginx",
            ),
            (
                json!({"namespaceSelector": names}),
                "pods of namespaces a, b and c",
            ),
            (
                json!({"namespaceSelector": name("kube-system"), "podSelector": app}),
                "pods with app=traefik of namespace kube-system",
            ),
            (
                json!({"namespaceSelector": {"matchLabels": {"team": "x", "kubernetes.io/metadata.name": "a"}}}),
                "pods of namespaces with kubernetes.io/metadata.name=a,team=x",
            ),
            (json!({"ipBlock": {"cidr": "10.0.0.0/8"}}), "10.0.0.0/8"),
            (
                json!({"ipBlock": {"cidr": "0.0.0.0/0"}}),
                "every IPv4 address",
            ),
            (
                json!({"ipBlock": {"cidr": "::/0", "except": ["fd00::/8", "fe80::/10"]}}),
                "every IPv6 address except fd00::/8 and fe80::/10",
            ),
            (json!({}), "nobody"),
            (
                json!({"namespaceSelector": name("evil\u{1b}[2J")}),
                "pods of namespace evil[2J",
            ),
        ] {
            let parsed: NetworkPolicyPeer = serde_json::from_value(peer.clone()).unwrap();
            assert_eq!(describe_peer(&parsed), words, "{peer}");
        }
    }

    #[test]
    fn selectors_as_kubectl_takes_them() {
        let condition = |operator: &str, values: Value| json!({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": operator, "values": values}]});
        for (selector, text) in [
            (json!({}), "any labels"),
            (condition("In", json!(["a"])), "app=web,tier=a"),
            (condition("In", json!(["a", "b"])), "app=web,tier in (a, b)"),
            (condition("NotIn", json!(["a"])), "app=web,tier!=a"),
            (
                condition("NotIn", json!(["a", "b"])),
                "app=web,tier notin (a, b)",
            ),
            (condition("Exists", json!(null)), "app=web,tier"),
            (condition("DoesNotExist", json!(null)), "app=web,!tier"),
        ] {
            let parsed: LabelSelector = serde_json::from_value(selector.clone()).unwrap();
            assert_eq!(describe_selector(&parsed), text, "{selector}");
        }
    }
}
