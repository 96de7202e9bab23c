//! Objects as people have them.

pub use cli_tests::fixtures::{postgres, role_binding, user};
use serde_json::{Value, json};

/// A Job without pods that ends after eight hours.
pub fn job_spec() -> Value {
    let container = json!({"name": "none", "image": "registry.example.test/none:1"});
    json!({
        "activeDeadlineSeconds": 28800, "parallelism": 0,
        "template": {"spec": {"restartPolicy": "Never", "containers": [container]}},
    })
}

/// An object of somebody else's, as small as the API server takes one of its kind.
pub fn foreign(kind: &str, name: &str, labels: &Value) -> Value {
    let rbac = "rbac.authorization.k8s.io/v1";
    let group = "rbac.authorization.k8s.io";
    let (api_version, fields) = match kind {
        "Job" => ("batch/v1", json!({"spec": job_spec()})),
        "Role" => (rbac, json!({})),
        "RoleBinding" => (
            rbac,
            json!({"roleRef": {"apiGroup": group, "kind": "Role", "name": name}}),
        ),
        "Ingress" => {
            let backend = json!({"service": {"name": name, "port": {"number": 80}}});
            let spec = json!({"defaultBackend": backend});
            ("networking.k8s.io/v1", json!({"spec": spec}))
        }
        "NetworkPolicy" => ("networking.k8s.io/v1", json!({"spec": {"podSelector": {}}})),
        "Service" => ("v1", json!({"spec": {"ports": [{"port": 80}]}})),
        _ => ("v1", json!({"data": {"a": "b"}})),
    };
    let mut object = fields;
    object["apiVersion"] = json!(api_version);
    object["kind"] = json!(kind);
    object["metadata"] = json!({"namespace": "user-alice", "name": name, "labels": labels});
    object
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

/// A namespace, as its owner may read it.
pub fn namespace(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
        "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
    })
}
