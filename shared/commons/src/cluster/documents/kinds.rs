//! What kinds of objects are called.

use serde_json::Value;

use crate::error::close_names;

/// Kinds that are met every day: API group, kind, resource, whether it lives in a namespace.
pub(super) const KNOWN: &[(&str, &str, &str, bool)] = &[
    ("", "ConfigMap", "configmaps", true),
    ("", "Endpoints", "endpoints", true),
    ("", "LimitRange", "limitranges", true),
    ("", "Namespace", "namespaces", false),
    ("", "PersistentVolume", "persistentvolumes", false),
    ("", "PersistentVolumeClaim", "persistentvolumeclaims", true),
    ("", "Pod", "pods", true),
    ("", "ResourceQuota", "resourcequotas", true),
    ("", "Secret", "secrets", true),
    ("", "Service", "services", true),
    ("", "ServiceAccount", "serviceaccounts", true),
    ("apps", "DaemonSet", "daemonsets", true),
    ("apps", "Deployment", "deployments", true),
    ("apps", "ReplicaSet", "replicasets", true),
    ("apps", "StatefulSet", "statefulsets", true),
    (
        "autoscaling",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        true,
    ),
    ("batch", "CronJob", "cronjobs", true),
    ("batch", "Job", "jobs", true),
    ("gateway.networking.k8s.io", "Gateway", "gateways", true),
    ("gateway.networking.k8s.io", "HTTPRoute", "httproutes", true),
    ("networking.k8s.io", "Ingress", "ingresses", true),
    (
        "networking.k8s.io",
        "NetworkPolicy",
        "networkpolicies",
        true,
    ),
    (
        "policy",
        "PodDisruptionBudget",
        "poddisruptionbudgets",
        true,
    ),
    (
        "rbac.authorization.k8s.io",
        "ClusterRole",
        "clusterroles",
        false,
    ),
    (
        "rbac.authorization.k8s.io",
        "ClusterRoleBinding",
        "clusterrolebindings",
        false,
    ),
    ("rbac.authorization.k8s.io", "Role", "roles", true),
    (
        "rbac.authorization.k8s.io",
        "RoleBinding",
        "rolebindings",
        true,
    ),
];

/// The API group of an `apiVersion`: `apps` of `apps/v1`, nothing of `v1`.
pub fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// The API group and the resource of a document's kind, for rights; nothing for kinds that take a question to know.
pub fn known_resource(document: &Value) -> Option<(&'static str, &'static str)> {
    let (group, kind) = (group(text(document, "apiVersion")), text(document, "kind"));
    KNOWN
        .iter()
        .find(|known| known.0 == group && known.1 == kind)
        .map(|known| (known.0, known.2))
}

/// The `apiVersion` of an everyday kind.
pub(super) fn version(known: &(&str, &str, &str, bool)) -> String {
    match known.0 {
        "" => "v1".to_owned(),
        "autoscaling" => "autoscaling/v2".to_owned(),
        group => format!("{group}/v1"),
    }
}

/// The everyday kind that was meant by one that there is not: of its name in another group, or of a name like it.
pub(super) fn known_kind(api_version: &str, kind: &str) -> Option<String> {
    let same = KNOWN.iter().find(|known| known.1 == kind);
    if let Some(version) = same.map(version).filter(|version| version != api_version) {
        return Some(format!("`apiVersion: {version}`"));
    }
    let close = close_names(kind, KNOWN.iter().map(|known| known.1));
    close.first().map(|meant| format!("`kind: {meant}`"))
}

/// An object as kubectl names it in its change lines: `deployment.apps/web`.
pub fn reference(document: &Value) -> String {
    let group = group(text(document, "apiVersion"));
    format!(
        "{}{}{group}/{}",
        text(document, "kind").to_lowercase(),
        if group.is_empty() { "" } else { "." },
        name(document)
    )
}

/// The name of an object.
pub fn name(document: &Value) -> &str {
    text(&document["metadata"], "name")
}

pub(super) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn references_are_kubectls() {
        let web =
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}});
        assert_eq!(reference(&web), "deployment.apps/web");
        assert_eq!(known_resource(&web), Some(("apps", "deployments")));
        let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}});
        assert_eq!(reference(&config), "configmap/web");
        let other = json!({"apiVersion": "example.test/v1", "kind": "Deployment", "metadata": {"name": "x"}});
        assert_eq!(
            known_resource(&other),
            None,
            "the same kind of another group"
        );
    }

    #[test]
    fn a_kind_that_was_meant() {
        assert_eq!(
            known_kind("networking.k8s.io/v1", "Ingres").as_deref(),
            Some("`kind: Ingress`")
        );
        assert_eq!(
            known_kind("extensions/v1beta1", "Deployment").as_deref(),
            Some("`apiVersion: apps/v1`")
        );
        assert_eq!(known_kind("example.test/v1", "Xyz"), None);
    }
}
