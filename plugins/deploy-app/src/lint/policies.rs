//! Ingresses whose pods nobody from outside of the namespace may reach.

use commons::shell::shell;
use std::collections::BTreeMap;

use exposure::network::{self, Published};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::Value;

use super::context::Known;
use super::{Around, Finding, called, is, links, name, selects, shown, template};

/// The Ingresses that lead to pods which the policies of the namespace, or of these manifests, shut off.
pub fn findings(objects: &[Value], around: &Around) -> Vec<Finding> {
    let policies: Vec<NetworkPolicy> = objects
        .iter()
        .chain(around.policies.iter().filter(|policy| {
            !objects
                .iter()
                .any(|object| is(object, "NetworkPolicy") && name(object) == name(policy))
        }))
        .filter(|object| is(object, "NetworkPolicy"))
        .filter_map(|policy| serde_json::from_value(policy.clone()).ok())
        .collect();
    if policies.is_empty() {
        return Vec::new();
    }
    let mut findings: Vec<Finding> = Vec::new();
    for ingress in objects.iter().filter(|object| is(object, "Ingress")) {
        for (backend, _) in links::backends(ingress) {
            let found = backend["name"]
                .as_str()
                .and_then(|service| shut_off(ingress, service, objects, around, &policies));
            findings.extend(found.filter(|found| !findings.contains(found)));
        }
    }
    findings
}

/// The finding for what an Ingress leads to, if its pods are shut off.
fn shut_off(
    ingress: &Value,
    service: &str,
    objects: &[Value],
    around: &Around,
    policies: &[NetworkPolicy],
) -> Option<Finding> {
    let Known::There(service) = around.object(objects, "Service", service) else {
        return None;
    };
    let selector = &service["spec"]["selector"];
    let (workload, labels) = objects
        .iter()
        .chain(&around.workloads)
        .find_map(|workload| {
            let labels = &template(workload)?.0["metadata"]["labels"];
            selects(selector, labels).then_some((workload, labels))
        })?;
    let labels: BTreeMap<String, String> = serde_json::from_value(labels.clone()).ok()?;
    let isolating = network::isolating(policies, &labels);
    let policy = isolating.first()?;
    (!lets_anybody_in(policies, &labels)).then(|| {
        let by = policy.metadata.name.as_deref().unwrap_or_default();
        Finding::new(
            format!(
                "{}: networkpolicy `{}` lets nobody from outside of the namespace in to the pods of {}",
                called(ingress),
                shown(by),
                called(workload)
            ),
            format!(
                "let the ingress controller in: `{}`, with the namespace it runs in",
                shell("kubectl expose-app")
                    .arg(name(workload))
                    .then("--controller NAMESPACE")
            ),
        )
    })
}

/// Whether anybody from outside of the namespace is let in, at whatever port.
fn lets_anybody_in(policies: &[NetworkPolicy], labels: &BTreeMap<String, String>) -> bool {
    let everybody = || {
        network::isolating(policies, labels)
            .into_iter()
            .flat_map(|policy| policy.spec.iter())
            .flat_map(|spec| spec.ingress.iter().flatten())
            .any(|rule| rule.from.as_ref().is_none_or(Vec::is_empty))
    };
    let published = Published {
        labels: labels.clone(),
        port: None,
    };
    !network::outsiders(policies, &[published]).is_empty() || everybody()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn app() -> Vec<Value> {
        vec![
            json!({"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"template": {"metadata": {"labels": {"app": "web"}}, "spec": {}}}}),
            json!({"kind": "Service", "metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}}}),
            json!({"kind": "Ingress", "metadata": {"name": "web"}, "spec": {"rules": [{"http": {"paths": [{"backend": {"service": {"name": "web"}}}]}}]}}),
        ]
    }

    fn policy(spec: &Value) -> Value {
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "deny", "namespace": "a"}, "spec": spec})
    }

    fn found(policies: Vec<Value>) -> Vec<Finding> {
        let around = Around {
            policies,
            ..Around::default()
        };
        findings(&app(), &around)
    }

    #[test]
    fn pods_that_nobody_from_outside_may_reach() {
        let own = json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]});
        for spec in [json!({"podSelector": {}}), own] {
            let found = found(vec![policy(&spec)]);
            assert_eq!(
                found[0].what,
                "ingress `web`: networkpolicy `deny` lets nobody from outside of the namespace in to the pods of deployment `web`"
            );
            assert_eq!(found.len(), 1);
        }
    }

    #[test]
    fn somebody_from_outside_is_enough() {
        for spec in [
            json!({"podSelector": {}, "ingress": [{}]}),
            json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "traefik"}}}]}]}),
            json!({"podSelector": {"matchLabels": {"app": "other"}}}),
            json!({"podSelector": {}, "policyTypes": ["Egress"]}),
        ] {
            assert_eq!(found(vec![policy(&spec)]), [], "{spec}");
        }
        assert_eq!(found(Vec::new()), []);
    }
}
