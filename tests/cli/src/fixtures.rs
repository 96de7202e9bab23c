//! Objects as they are in the namespaces of people.

use serde_json::{Value, json};

/// A namespace, as its owner may read it.
pub fn namespace(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
        "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
    })
}

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
    let pod = format!("{name}-0");
    vec![
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": {
                "clusterIP": "10.43.0.7", "selector": {"app.kubernetes.io/instance": name},
                "ports": [{"name": "tcp-postgresql", "port": 5432, "targetPort": "tcp-postgresql", "protocol": "TCP"}],
            },
        }),
        json!({
            "apiVersion": "v1", "kind": "Endpoints", "metadata": metadata,
            "subsets": [{
                "addresses": [{"ip": "10.42.0.9", "targetRef": {"kind": "Pod", "name": pod, "namespace": namespace}}],
                "ports": [{"name": "tcp-postgresql", "port": 5432, "protocol": "TCP"}],
            }],
        }),
        json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"namespace": namespace, "name": name, "labels": labels, "uid": format!("{name}-set")},
            "spec": {
                "replicas": 1, "serviceName": name,
                "selector": {"matchLabels": {"app.kubernetes.io/instance": name}},
                "template": {"metadata": {"labels": labels}, "spec": pod_spec},
            },
        }),
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "namespace": namespace, "name": pod, "labels": labels,
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": name, "uid": format!("{name}-set"), "controller": true}],
            },
            "spec": pod_spec,
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
        }),
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": metadata,
            "data": {"password": "aHVudGVyMg=="},
        }),
    ]
}

/// A Deployment of an image whose container listens on this port, with a Service (port 80) in front of it.
pub fn app(name: &str, port: u16) -> [Value; 2] {
    let labels = json!({"app": name});
    let metadata = json!({"namespace": "user-alice", "name": name, "labels": labels});
    let container = json!({
        "name": name, "image": format!("registry.example.test/shop/{name}:1"),
        "ports": [{"containerPort": port, "name": "http"}],
    });
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
        "spec": {
            "replicas": 1, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata,
        "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": port}]},
    });
    [deployment, service]
}

/// An Ingress as the platform's charts make them: this host, the controller's wildcard certificate, no class.
pub fn ingress(name: &str, host: &str, service: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"namespace": "user-alice", "name": name, "labels": {"app.kubernetes.io/managed-by": "Helm"}},
        "spec": {
            "tls": [{"hosts": [host]}],
            "rules": [{"host": host, "http": {"paths": [{
                "path": "/", "pathType": "Prefix", "backend": {"service": {"name": service, "port": {"number": 80}}},
            }]}}],
        },
    })
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
