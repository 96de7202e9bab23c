//! Manifests of this crate: YAML with `${NAME}` where a value of the node goes.

use serde_json::Value;

use crate::error::{Context as _, Error, Result};

/// The objects of a manifest, with its values put in.
pub(super) fn read(manifest: &str, values: &[(&str, &str)]) -> Result<Vec<Value>> {
    let text = values
        .iter()
        .fold(manifest.to_owned(), |text, (name, value)| {
            text.replace(&format!("${{{name}}}"), value)
        });
    if let Some(rest) = text.find("${").map(|at| &text[at..]) {
        let name: String = rest.chars().take_while(|&letter| letter != '}').collect();
        return Err(Error::new(format!("{name}}} of a manifest has no value")));
    }
    serde_saphyr::from_multiple(&text).context("a manifest of this crate cannot be understood")
}

/// Where the API keeps an object of the kinds that manifests consist of.
pub(super) fn path_of(object: &Value) -> Result<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (version, kind, name) = (
        text(&object["apiVersion"]),
        text(&object["kind"]),
        text(&object["metadata"]["name"]),
    );
    let plural = match kind.as_str() {
        "Namespace" => "namespaces",
        "CustomResourceDefinition" => "customresourcedefinitions",
        "ServiceAccount" => "serviceaccounts",
        "ClusterRole" => "clusterroles",
        "ClusterRoleBinding" => "clusterrolebindings",
        "Role" => "roles",
        "RoleBinding" => "rolebindings",
        "ConfigMap" => "configmaps",
        "Secret" => "secrets",
        "Service" => "services",
        "Deployment" => "deployments",
        "IngressClass" => "ingressclasses",
        "GatewayClass" => "gatewayclasses",
        "Gateway" => "gateways",
        "ClusterIssuer" => "clusterissuers",
        "MutatingWebhookConfiguration" => "mutatingwebhookconfigurations",
        "ValidatingWebhookConfiguration" => "validatingwebhookconfigurations",
        other => {
            return Err(Error::new(format!(
                "no path is known for objects of kind {other}"
            )));
        }
    };
    let root = if version.contains('/') {
        format!("/apis/{version}")
    } else {
        format!("/api/{version}")
    };
    Ok(match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{root}/namespaces/{namespace}/{plural}/{name}"),
        None => format!("{root}/{plural}/{name}"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_follow_the_group_and_the_namespace() {
        let path = |object: Value| path_of(&object).unwrap();
        assert_eq!(
            path(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}})),
            "/api/v1/namespaces/a"
        );
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "r", "namespace": "n"}});
        assert_eq!(
            path(role),
            "/apis/rbac.authorization.k8s.io/v1/namespaces/n/roles/r"
        );
    }

    #[test]
    fn the_kinds_of_every_manifest_are_known() {
        for manifest in [include_str!("ingress.yaml"), include_str!("gateway.yaml")] {
            let names: Vec<_> = manifest
                .split("${")
                .skip(1)
                .map(|rest| (rest.split('}').next().unwrap(), "value"))
                .collect();
            let objects = read(manifest, &names).unwrap();
            assert!(objects.len() > 3);
            for object in objects {
                path_of(&object).unwrap();
            }
        }
    }

    #[test]
    fn every_value_must_be_given() {
        let manifest = "kind: ${KIND}\n---\nname: ${NAME}\n";
        let objects = read(manifest, &[("KIND", "Secret"), ("NAME", "a")]).unwrap();
        assert_eq!(objects, [json!({"kind": "Secret"}), json!({"name": "a"})]);
        let error = read(manifest, &[("KIND", "Secret")]).unwrap_err();
        assert!(error.to_string().contains("${NAME}"), "{error}");
    }
}
