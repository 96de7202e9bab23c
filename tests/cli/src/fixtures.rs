//! Objects as they are in the namespaces of people.

use serde_json::{Value, json};

/// The database `pg` in `user-alice`, as a chart would have made it: a `StatefulSet` of one pod behind a Service.
pub fn postgres(namespace: &str, name: &str) -> Vec<Value> {
    let labels =
        json!({"app.kubernetes.io/instance": name, "app.kubernetes.io/managed-by": "Helm"});
    let metadata = json!({"namespace": namespace, "name": name, "labels": labels});
    let pod_spec = json!({"containers": [{
        "name": "postgresql",
        "image": "docker.io/library/postgres:17",
        "ports": [{"containerPort": 5432, "name": "tcp-postgresql"}],
        "env": [
            {"name": "POSTGRES_USER", "value": "shop"},
            {"name": "POSTGRES_PASSWORD", "valueFrom": {"secretKeyRef": {"name": name, "key": "password"}}},
        ],
    }]});
    vec![
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": metadata,
            "data": {"password": "aHVudGVyMg=="},
        }),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": {
                "selector": {"app.kubernetes.io/instance": name},
                "ports": [{"name": "tcp-postgresql", "port": 5432, "targetPort": "tcp-postgresql", "protocol": "TCP"}],
            },
        }),
        json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata,
            "spec": {
                "replicas": 1, "serviceName": name,
                "selector": {"matchLabels": {"app.kubernetes.io/instance": name}},
                "template": {"metadata": {"labels": labels}, "spec": pod_spec},
            },
        }),
    ]
}

/// Gives a built-in `ClusterRole` in a namespace.
pub fn role_binding(namespace: &str, name: &str, cluster_role: &str, subject: &Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"namespace": namespace, "name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": cluster_role},
        "subjects": [subject],
    })
}

/// A user, as a `RoleBinding` names one.
pub fn user(name: &str) -> Value {
    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name})
}
