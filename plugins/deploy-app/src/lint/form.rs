//! What the API server would refuse, or take for something else than was meant.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Around, Finding, called, containers, is, items, labels, shown, template, values};
use crate::objects::PLACEHOLDER;

/// Versions that are gone, and what took their place (the deprecation guide of Kubernetes).
const GONE: [(&str, &str, &str); 16] = [
    ("extensions/v1beta1", "Deployment", "apps/v1"),
    ("extensions/v1beta1", "DaemonSet", "apps/v1"),
    ("extensions/v1beta1", "ReplicaSet", "apps/v1"),
    ("extensions/v1beta1", "Ingress", "networking.k8s.io/v1"),
    (
        "extensions/v1beta1",
        "NetworkPolicy",
        "networking.k8s.io/v1",
    ),
    ("apps/v1beta1", "Deployment", "apps/v1"),
    ("apps/v1beta1", "StatefulSet", "apps/v1"),
    ("apps/v1beta2", "Deployment", "apps/v1"),
    ("apps/v1beta2", "StatefulSet", "apps/v1"),
    ("apps/v1beta2", "DaemonSet", "apps/v1"),
    (
        "networking.k8s.io/v1beta1",
        "Ingress",
        "networking.k8s.io/v1",
    ),
    ("batch/v1beta1", "CronJob", "batch/v1"),
    ("policy/v1beta1", "PodDisruptionBudget", "policy/v1"),
    (
        "autoscaling/v2beta1",
        "HorizontalPodAutoscaler",
        "autoscaling/v2",
    ),
    (
        "autoscaling/v2beta2",
        "HorizontalPodAutoscaler",
        "autoscaling/v2",
    ),
    (
        "rbac.authorization.k8s.io/v1beta1",
        "RoleBinding",
        "rbac.authorization.k8s.io/v1",
    ),
];

/// What is wrong with the objects one by one.
pub fn findings(objects: &[Value], around: &Around) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    for object in objects {
        if !seen.insert(called(object)) {
            findings.push(Finding::fatal(
                format!("{} is defined twice in the files", called(object)),
                "keep one of them",
            ));
        }
        findings.extend(version(object));
        findings.extend(values::findings(object));
        findings.extend(data(object));
        findings.extend(own_selector(object));
        for (container, path) in containers(object) {
            findings.extend(environment(object, container, &path));
            findings.extend(mounts(object, container, &path));
            findings.extend(probes(object, container, &path));
            findings.extend(needs(object, container, &path, around));
        }
    }
    findings
}

fn version(object: &Value) -> Option<Finding> {
    let version = object["apiVersion"].as_str()?;
    let kind = object["kind"].as_str()?;
    let (_, _, new) = GONE
        .iter()
        .find(|gone| gone.0 == version && gone.1 == kind)?;
    let more = if kind == "Ingress" {
        "; its backends are written `service: {name: ..., port: {number: ...}}` now, and each path wants a `pathType`"
    } else {
        ""
    };
    Some(Finding::fatal(
        format!(
            "{}: `apiVersion: {version}` was removed from Kubernetes",
            called(object)
        ),
        format!("write `apiVersion: {new}`{more}"),
    ))
}

/// Values that YAML does not take for text, and placeholders.
fn data(object: &Value) -> Vec<Finding> {
    let fields: &[&str] = match object["kind"].as_str() {
        Some("ConfigMap") => &["data"],
        Some("Secret") => &["data", "stringData"],
        _ => return Vec::new(),
    };
    fields
        .iter()
        .flat_map(|field| {
            object[*field]
                .as_object()
                .into_iter()
                .flatten()
                .map(move |(key, value)| (field, key, value))
        })
        .filter_map(|(field, key, value)| match value {
            Value::String(text) if text == PLACEHOLDER => Some(Finding::fatal(
                format!("{}: `{field}.{}` still holds a placeholder", called(object), shown(key)),
                "put the value there in base64 (`base64 -w0 FILE`), or remove this document if the Secret exists already",
            )),
            Value::String(_) | Value::Null => None,
            other => {
                let written = if is(object, "Secret") { "...".to_owned() } else { shown(&other.to_string()) };
                Some(Finding::fatal(
                    format!("{}: the value of `{field}.{}` must be a string", called(object), shown(key)),
                    format!("put it in quotes: `{}: \"{written}\"`", shown(key)),
                ))
            }
        })
        .collect()
}

/// A workload must select the pods that it makes.
fn own_selector(object: &Value) -> Option<Finding> {
    if !matches!(
        object["kind"].as_str(),
        Some("Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
    ) {
        return None;
    }
    let wanted = &object["spec"]["selector"]["matchLabels"];
    let (template, _) = template(object)?;
    let has = &template["metadata"]["labels"];
    let wrong = wanted
        .as_object()?
        .iter()
        .any(|(key, value)| &has[key] != value);
    wrong.then(|| {
        Finding::fatal(
            format!(
                "{}: `spec.selector.matchLabels` is {}, but its own pods have {}",
                called(object),
                labels(wanted),
                if has.is_null() { "no labels".to_owned() } else { labels(has) }
            ),
            "write the same labels in `spec.selector.matchLabels` and `spec.template.metadata.labels`",
        )
    })
}

fn environment(object: &Value, container: &Value, path: &str) -> Vec<Finding> {
    let mut seen = BTreeSet::new();
    items(container, "env")
        .filter_map(|variable| {
            let name = variable["name"].as_str()?;
            if !seen.insert(name) {
                return Some(Finding::fatal(
                    format!(
                        "{}: variable `{}` is defined twice in `{path}.env`",
                        called(object),
                        shown(name)
                    ),
                    "keep one of them",
                ));
            }
            let value = variable.get("value")?;
            (!value.is_string() && !value.is_null()).then(|| {
                Finding::fatal(
                    format!(
                        "{}: the value of variable `{}` in `{path}.env` must be a string",
                        called(object),
                        shown(name)
                    ),
                    format!(
                        "put it in quotes: `value: \"{}\"`",
                        shown(&value.to_string())
                    ),
                )
            })
        })
        .collect()
}

fn mounts(object: &Value, container: &Value, path: &str) -> Vec<Finding> {
    let Some((template, root)) = template(object) else {
        return Vec::new();
    };
    let mut volumes: Vec<&Value> = items(&template["spec"], "volumes")
        .map(|volume| &volume["name"])
        .collect();
    volumes.extend(
        items(&object["spec"], "volumeClaimTemplates").map(|claim| &claim["metadata"]["name"]),
    );
    items(container, "volumeMounts")
        .enumerate()
        .filter(|(_, mount)| !volumes.contains(&&mount["name"]))
        .map(|(position, mount)| {
            Finding::fatal(
                format!(
                    "{}: `{path}.volumeMounts[{position}].name` is `{}`, and there is no volume of that name",
                    called(object),
                    shown(mount["name"].as_str().unwrap_or_default())
                ),
                format!("add it to `{root}spec.volumes`, or correct that field"),
            )
        })
        .collect()
}

/// A probe that asks a port which the container does not name.
fn probes(object: &Value, container: &Value, path: &str) -> Vec<Finding> {
    let ports: Vec<&Value> = items(container, "ports").collect();
    ["startupProbe", "readinessProbe", "livenessProbe"]
        .into_iter()
        .filter_map(|probe| {
            let asked = ["httpGet", "tcpSocket"]
                .into_iter()
                .find_map(|mode| container[probe][mode].get("port"))?;
            let fits = ports.iter().any(|port| match asked {
                Value::String(name) => port["name"] == name.as_str(),
                number => &port["containerPort"] == number,
            });
            if fits || ports.is_empty() && asked.is_number() {
                return None;
            }
            let has: Vec<String> = ports
                .iter()
                .map(|port| port["containerPort"].to_string())
                .collect();
            let asked = asked.as_str().map_or_else(|| asked.to_string(), shown);
            Some(Finding::new(
                format!(
                    "{}: `{path}.{probe}` asks port {asked}, but the container names {}",
                    called(object),
                    if has.is_empty() {
                        "none".into()
                    } else {
                        has.join(", ")
                    }
                ),
                "let it ask the port that the app listens on",
            ))
        })
        .collect()
}

/// What a quota demands of every container.
fn needs(object: &Value, container: &Value, path: &str, around: &Around) -> Vec<Finding> {
    around
        .rules
        .demanded()
        .into_iter()
        .filter(|(side, resource, _)| {
            let said = |side: &str| container["resources"][side].get(resource).is_some();
            // A limit is a request too.
            !(said(side) || *side == "requests" && said("limits"))
        })
        .map(|(side, resource, quota)| {
            Finding::new(
                format!("{}: `{path}.resources.{side}` says no `{resource}`, and quota `{}` lets no pod in without", called(object), shown(&quota)),
                format!("for example `{side}: {{{resource}: {}}}`", if resource == "cpu" { "200m" } else { "256Mi" }),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(objects: &[Value]) -> Vec<String> {
        findings(objects, &Around::default())
            .into_iter()
            .map(|finding| finding.what)
            .collect()
    }

    #[test]
    fn versions_that_are_gone() {
        let old = json!({"apiVersion": "extensions/v1beta1", "kind": "Deployment", "metadata": {"name": "web"}});
        assert_eq!(
            said(&[old]),
            ["deployment `web`: `apiVersion: extensions/v1beta1` was removed from Kubernetes"]
        );
    }

    #[test]
    fn values_that_are_no_text() {
        let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"PORT": 8000, "DEBUG": true, "A": "x"}});
        let found = findings(&[config], &Around::default());
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].remedy, "put it in quotes: `PORT: \"8000\"`");
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"PIN": 1234}});
        let found = findings(&[secret], &Around::default());
        assert!(
            !format!("{found:?}").contains("1234"),
            "a secret is not repeated"
        );
    }

    #[test]
    fn a_deployment_that_does_not_select_its_pods() {
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "wbe"}}, "spec": {"containers": []}}}});
        assert_eq!(
            said(&[object]),
            [
                "deployment `web`: `spec.selector.matchLabels` is app=web, but its own pods have app=wbe"
            ]
        );
    }

    #[test]
    fn variables_mounts_and_probes() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {
        "volumes": [{"name": "data"}],
        "containers": [{
            "name": "c",
            "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}, {"name": "B", "value": 3}],
            "volumeMounts": [{"name": "data"}, {"name": "date"}],
            "ports": [{"containerPort": 8000}],
            "readinessProbe": {"httpGet": {"port": 80}},
            "livenessProbe": {"tcpSocket": {"port": 8000}},
        }]}});
        assert_eq!(
            said(&[pod]),
            [
                "pod `p`: variable `A` is defined twice in `spec.containers[0].env`",
                "pod `p`: the value of variable `B` in `spec.containers[0].env` must be a string",
                "pod `p`: `spec.containers[0].volumeMounts[1].name` is `date`, and there is no volume of that name",
                "pod `p`: `spec.containers[0].readinessProbe` asks port 80, but the container names 8000",
            ]
        );
    }
}
