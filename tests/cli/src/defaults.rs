//! What the API server fills in where nothing was said.

use base64::Engine as _;
use serde_json::{Value, json};

/// Fills in one field.
fn default(object: &mut Value, field: &str, value: Value) {
    if object[field].is_null() {
        object[field] = value;
    }
}

fn each(list: &mut Value) -> impl Iterator<Item = &mut Value> {
    list.as_array_mut().into_iter().flatten()
}

/// Fills in an object of this type; `new_address` is a free address for a Service.
pub fn fill_in(plural: &str, object: &mut Value, new_address: impl FnOnce() -> String) {
    match plural {
        "deployments" => {
            let spec = &mut object["spec"];
            default(spec, "replicas", json!(1));
            default(spec, "revisionHistoryLimit", json!(10));
            default(spec, "progressDeadlineSeconds", json!(600));
            default(&mut spec["strategy"], "type", json!("RollingUpdate"));
            if spec["strategy"]["type"] == "RollingUpdate" {
                default(&mut spec["strategy"], "rollingUpdate", json!({}));
                let rolling = &mut spec["strategy"]["rollingUpdate"];
                default(rolling, "maxSurge", json!("25%"));
                default(rolling, "maxUnavailable", json!("25%"));
            }
            template(&mut spec["template"]);
        }
        "replicasets" => {
            default(&mut object["spec"], "replicas", json!(1));
            template(&mut object["spec"]["template"]);
        }
        "statefulsets" => {
            let spec = &mut object["spec"];
            default(spec, "replicas", json!(1));
            default(spec, "revisionHistoryLimit", json!(10));
            default(spec, "podManagementPolicy", json!("OrderedReady"));
            default(
                spec,
                "updateStrategy",
                json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}),
            );
            default(
                spec,
                "persistentVolumeClaimRetentionPolicy",
                json!({"whenDeleted": "Retain", "whenScaled": "Retain"}),
            );
            template(&mut spec["template"]);
        }
        "daemonsets" => {
            let spec = &mut object["spec"];
            default(spec, "revisionHistoryLimit", json!(10));
            default(
                spec,
                "updateStrategy",
                json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}),
            );
            template(&mut spec["template"]);
        }
        "pods" => pod(&mut object["spec"]),
        "services" => service(&mut object["spec"], new_address),
        "secrets" => {
            default(object, "type", json!("Opaque"));
            let plain = object["stringData"]
                .as_object()
                .cloned()
                .unwrap_or_default();
            for (key, value) in plain {
                let text = value.as_str().unwrap_or_default();
                object["data"][key] = json!(base64::engine::general_purpose::STANDARD.encode(text));
            }
            if let Some(fields) = object.as_object_mut() {
                fields.remove("stringData");
            }
        }
        "networkpolicies" => {
            let mut types = vec!["Ingress"];
            if !object["spec"]["egress"].is_null() {
                types.push("Egress");
            }
            default(&mut object["spec"], "policyTypes", json!(types));
            for rule in each(&mut object["spec"]["ingress"]) {
                each(&mut rule["ports"]).for_each(|port| default(port, "protocol", json!("TCP")));
                drop_null(rule, "ports");
            }
            drop_null(&mut object["spec"], "ingress");
        }
        "httproutes" => {
            for parent in each(&mut object["spec"]["parentRefs"]) {
                default(parent, "group", json!("gateway.networking.k8s.io"));
                default(parent, "kind", json!("Gateway"));
            }
            let matches = json!([{"path": {"type": "PathPrefix", "value": "/"}}]);
            for rule in each(&mut object["spec"]["rules"]) {
                default(rule, "matches", matches.clone());
                for backend in each(&mut rule["backendRefs"]) {
                    default(backend, "group", json!(""));
                    default(backend, "kind", json!("Service"));
                    default(backend, "weight", json!(1));
                }
                drop_null(rule, "backendRefs");
            }
        }
        _ => {}
    }
}

/// `each` on an absent list leaves a null behind; absent is what it was.
fn drop_null(object: &mut Value, field: &str) {
    if object[field].is_null()
        && let Some(fields) = object.as_object_mut()
    {
        fields.remove(field);
    }
}

fn service(spec: &mut Value, new_address: impl FnOnce() -> String) {
    default(spec, "type", json!("ClusterIP"));
    default(spec, "sessionAffinity", json!("None"));
    if spec["type"] != "ExternalName" {
        default(spec, "clusterIP", Value::Null);
        if spec["clusterIP"].as_str().is_none_or(str::is_empty) {
            spec["clusterIP"] = json!(new_address());
        }
        let address = spec["clusterIP"].clone();
        default(spec, "clusterIPs", json!([address]));
        default(spec, "internalTrafficPolicy", json!("Cluster"));
        default(spec, "ipFamilies", json!(["IPv4"]));
        default(spec, "ipFamilyPolicy", json!("SingleStack"));
    }
    for port in each(&mut spec["ports"]) {
        default(port, "protocol", json!("TCP"));
        let number = port["port"].clone();
        default(port, "targetPort", number);
    }
    drop_null(spec, "ports");
}

fn template(template: &mut Value) {
    default(&mut template["metadata"], "creationTimestamp", Value::Null);
    pod(&mut template["spec"]);
}

fn pod(spec: &mut Value) {
    default(spec, "restartPolicy", json!("Always"));
    default(spec, "dnsPolicy", json!("ClusterFirst"));
    default(spec, "schedulerName", json!("default-scheduler"));
    default(spec, "securityContext", json!({}));
    default(spec, "terminationGracePeriodSeconds", json!(30));
    for list in ["containers", "initContainers"] {
        each(&mut spec[list]).for_each(container);
        drop_null(spec, list);
    }
    for volume in each(&mut spec["volumes"]) {
        for source in ["configMap", "secret", "projected", "downwardAPI"] {
            if volume[source].is_object() {
                default(&mut volume[source], "defaultMode", json!(420));
            }
            drop_null(volume, source);
        }
    }
    drop_null(spec, "volumes");
    // The old name of the same thing.
    if spec["serviceAccountName"].is_string() {
        spec["serviceAccount"] = spec["serviceAccountName"].clone();
    }
    drop_null(spec, "serviceAccountName");
}

fn container(container: &mut Value) {
    default(container, "resources", json!({}));
    default(
        container,
        "terminationMessagePath",
        json!("/dev/termination-log"),
    );
    default(container, "terminationMessagePolicy", json!("File"));
    let image = container["image"].as_str().unwrap_or_default();
    let name = image.rsplit('/').next().unwrap_or_default();
    let latest = !image.contains('@') && (!name.contains(':') || name.ends_with(":latest"));
    default(
        container,
        "imagePullPolicy",
        json!(if latest { "Always" } else { "IfNotPresent" }),
    );
    for port in each(&mut container["ports"]) {
        default(port, "protocol", json!("TCP"));
    }
    drop_null(container, "ports");
    // What is limited and not requested is requested as it is limited.
    let limits = container["resources"]["limits"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    for (resource, value) in limits {
        default(&mut container["resources"]["requests"], &resource, value);
    }
    if let Some(resources) = container["resources"].as_object_mut() {
        resources.retain(|_, value| !value.is_null());
    }
    for variable in each(&mut container["env"]) {
        if variable["valueFrom"]["fieldRef"].is_object() {
            default(
                &mut variable["valueFrom"]["fieldRef"],
                "apiVersion",
                json!("v1"),
            );
        }
        if variable["valueFrom"]["fieldRef"].is_null()
            && let Some(from) = variable["valueFrom"].as_object_mut()
        {
            from.remove("fieldRef");
        }
        drop_null(variable, "valueFrom");
    }
    drop_null(container, "env");
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if container[name].is_object() {
            probe(&mut container[name]);
        }
        drop_null(container, name);
    }
}

fn probe(probe: &mut Value) {
    for (field, value) in [
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ] {
        default(probe, field, json!(value));
    }
    if probe["httpGet"].is_object() {
        default(&mut probe["httpGet"], "path", json!("/"));
        default(&mut probe["httpGet"], "scheme", json!("HTTP"));
    }
    drop_null(probe, "httpGet");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filling_in_twice_is_filling_in_once() {
        let containers = json!([{
            "name": "web", "image": "registry:5000/web", "ports": [{"containerPort": 80}],
            "readinessProbe": {"httpGet": {"port": 80}}, "resources": {"limits": {"cpu": "1"}},
        }]);
        let mut object = json!({"spec": {"template": {"spec": {"containers": containers}}}});
        fill_in("deployments", &mut object, String::new);
        let container = &object["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["imagePullPolicy"], "Always");
        assert_eq!(container["resources"]["requests"]["cpu"], "1");
        assert_eq!(container["readinessProbe"]["httpGet"]["scheme"], "HTTP");
        assert!(!container.as_object().unwrap().contains_key("livenessProbe"));
        let once = object.clone();
        fill_in("deployments", &mut object, String::new);
        assert_eq!(object, once);
    }
}
