//! Services that lead to no pod, Ingresses that lead to no Service, hosts that somebody has.

use commons::labels::{self, Labels};
use serde_json::Value;

use super::context::Known;
use super::{Around, Finding, called, is, items, labels as of, name, pod_labels, shown, template};

/// What is wrong with the way from a host to a container.
pub fn findings(objects: &[Value], around: &Around) -> Vec<Finding> {
    let mut findings = Vec::new();
    for object in objects {
        match object["kind"].as_str() {
            Some("Service") => findings.extend(of_service(object, objects, around)),
            Some("Ingress") => {
                findings.extend(of_backends(object, objects, around));
                findings.extend(of_hosts(object, objects, around));
            }
            _ => {}
        }
    }
    findings
}

fn of_service(service: &Value, objects: &[Value], around: &Around) -> Vec<Finding> {
    let spec = &service["spec"];
    let selector = of(&spec["selector"]);
    // Without a selector its endpoints are made by hand; an ExternalName leads elsewhere.
    if selector.is_empty() || spec["type"] == "ExternalName" {
        return Vec::new();
    }
    let workloads = || objects.iter().chain(&around.workloads);
    let is_selected = |workload: &&Value| {
        pod_labels(workload).is_some_and(|labels| labels::selects(&selector, &labels))
    };
    let selected: Vec<&Value> = workloads().filter(is_selected).collect();
    if selected.is_empty() {
        let all: Vec<&Value> = workloads().collect();
        return vec![leads_nowhere(service, &selector, &all)];
    }
    let ports = items(spec, "ports").enumerate();
    ports
        .filter_map(|(position, port)| {
            let target = port.get("targetPort").unwrap_or(&port["port"]);
            let has: Vec<&Value> = selected
                .iter()
                .flat_map(|workload| container_ports(workload))
                .collect();
            let fits = has.iter().any(|there| match target {
                Value::String(name) => there["name"] == name.as_str(),
                number => &there["containerPort"] == number,
            });
            // Without declared ports nothing is known of the numbers, but a name cannot mean anything.
            if fits || has.is_empty() && target.is_number() {
                return None;
            }
            Some(wrong_target(
                service,
                position,
                port,
                target,
                selected.first()?,
                &has,
            ))
        })
        .collect()
}

fn container_ports(workload: &Value) -> Vec<&Value> {
    super::containers(workload)
        .into_iter()
        .flat_map(|(container, _)| items(container, "ports"))
        .filter(|port| port["containerPort"].is_number())
        .collect()
}

fn leads_nowhere(service: &Value, selector: &Labels, workloads: &[&Value]) -> Finding {
    let text = |labels: &Labels| shown(&labels::text(labels));
    let what = format!(
        "{}: `spec.selector` is {}, which no pods have",
        called(service),
        text(selector)
    );
    let apps = workloads
        .iter()
        .filter_map(|workload| Some((name(workload), pod_labels(workload)?)));
    let Some((app, right)) = labels::likely(name(service), selector, apps) else {
        return Finding::new(what, "deploy what it leads to, or correct that field");
    };
    let meant = workloads
        .iter()
        .copied()
        .find(|workload| name(workload) == app && template(workload).is_some());
    let right: Vec<String> = right
        .iter()
        .filter(|(key, value)| selector.get(*key) != Some(value))
        .map(|(key, value)| format!("{key}: {value}"))
        .collect();
    Finding::new(
        format!(
            "{what}; those of {} have {}",
            meant.map(called).unwrap_or_default(),
            text(&meant.and_then(pod_labels).unwrap_or_default())
        ),
        format!(
            "set `{}` in `spec.selector` of {}",
            shown(&right.join(", ")),
            called(service)
        ),
    )
}

fn wrong_target(
    service: &Value,
    position: usize,
    port: &Value,
    target: &Value,
    workload: &Value,
    has: &[&Value],
) -> Finding {
    let said = match port.get("targetPort") {
        Some(target) => format!("`spec.ports[{position}].targetPort` is {}", plain(target)),
        None => format!(
            "`spec.ports[{position}]` has no `targetPort`, so it leads to port {}",
            plain(target)
        ),
    };
    let names: Vec<String> = has
        .iter()
        .map(|port| match port["name"].as_str() {
            Some(name) => format!("{} ({})", plain(&port["containerPort"]), shown(name)),
            None => plain(&port["containerPort"]),
        })
        .collect();
    let there = if names.is_empty() {
        "names none".to_owned()
    } else {
        format!("has {}", names.join(", "))
    };
    let remedy = match has {
        [only] => format!(
            "set `targetPort: {}` in {}",
            plain(&only["containerPort"]),
            called(service)
        ),
        [] => format!(
            "set `targetPort` of {} to the number that the container listens on",
            called(service)
        ),
        _ => format!("set `targetPort` of {} to one of these", called(service)),
    };
    Finding::new(
        format!(
            "{}: {said}, but {} has no such port; it {there}",
            called(service),
            called(workload)
        ),
        remedy,
    )
}

/// A port as it is written.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => format!("`{}`", shown(text)),
        other => other.to_string(),
    }
}

/// The Services that an Ingress leads to, each with the place of it.
pub fn backends(ingress: &Value) -> Vec<(&Value, String)> {
    let spec = &ingress["spec"];
    let mut all = Vec::new();
    let default = &spec["defaultBackend"]["service"];
    if default.is_object() {
        all.push((default, "spec.defaultBackend.service".to_owned()));
    }
    for (rule_position, rule) in items(spec, "rules").enumerate() {
        for (position, path) in items(&rule["http"], "paths").enumerate() {
            let service = &path["backend"]["service"];
            if service.is_object() {
                all.push((
                    service,
                    format!("spec.rules[{rule_position}].http.paths[{position}].backend.service"),
                ));
            }
        }
    }
    all
}

/// Ports that the Services do not have; Services that are not there are references.
fn of_backends(ingress: &Value, objects: &[Value], around: &Around) -> Vec<Finding> {
    backends(ingress)
        .into_iter()
        .filter_map(|(backend, field)| {
            let Known::There(service) =
                around.object(objects, "Service", backend["name"].as_str()?)
            else {
                return None;
            };
            let port = &backend["port"];
            let ports: Vec<&Value> = items(&service["spec"], "ports").collect();
            let fits = ports.iter().any(|there| {
                port["number"].is_number() && there["port"] == port["number"]
                    || port["name"].is_string() && there["name"] == port["name"]
            });
            if fits || ports.is_empty() {
                return None;
            }
            let said = port.get("number").or_else(|| port.get("name"))?;
            let has: Vec<String> = ports.iter().map(|port| plain(&port["port"])).collect();
            let remedy = match &has[..] {
                [only] => format!("set `port: {{number: {only}}}` there"),
                _ => "set it to one of these".to_owned(),
            };
            Some(Finding::new(
                format!(
                    "{}: `{field}.port` is {}, but {} has no such port; it has {}",
                    called(ingress),
                    plain(said),
                    called(service),
                    has.join(", ")
                ),
                remedy,
            ))
        })
        .collect()
}

/// Hosts that are taken, and hosts that no certificate here would cover.
fn of_hosts(ingress: &Value, objects: &[Value], around: &Around) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (position, rule) in items(&ingress["spec"], "rules").enumerate() {
        let Some(host) = rule["host"].as_str() else {
            continue;
        };
        let what = format!(
            "{}: `spec.rules[{position}].host` is `{}`",
            called(ingress),
            shown(host)
        );
        let another = "choose another host there and in `spec.tls`";
        let among = objects.iter().find(|other| {
            is(other, "Ingress")
                && name(other) != name(ingress)
                && items(&other["spec"], "rules")
                    .any(|other| other["host"] == host && share_a_path(other, rule))
        });
        let elsewhere = around
            .ingress_rules
            .iter()
            .find(|(_, other)| other["host"] == host && share_a_path(other, rule));
        if let Some(other) = among {
            findings.push(Finding::new(
                format!("{what}, which {} has too", called(other)),
                another,
            ));
        } else if let Some((other, _)) = elsewhere {
            findings.push(Finding::new(
                format!("{what}, which ingress `{}` has already", shown(other)),
                another,
            ));
        } else if let Some(how) = around.taken.get(host) {
            findings.push(Finding::new(
                format!("{what}, which is already in use: {how}"),
                format!(
                    "take another host in `spec.rules[{position}].host` and in `spec.tls[0].hosts`"
                ),
            ));
        }
    }
    findings
}

fn share_a_path(one: &Value, other: &Value) -> bool {
    items(&one["http"], "paths")
        .any(|one| items(&other["http"], "paths").any(|other| one["path"] == other["path"]))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use serde_json::json;

    fn service(spec: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec})
    }

    fn pod(labels: &Value, ports: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "labels": labels}, "spec": {"containers": [{"name": "c", "ports": ports}]}})
    }

    #[test]
    fn a_name_that_is_no_ports_name() {
        let objects = [
            service(
                &json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}),
            ),
            pod(&json!({"app": "web"}), &json!([{"containerPort": 8000}])),
        ];
        let found = findings(&objects, &Around::default());
        assert_eq!(
            found[0].what,
            "service `web`: `spec.ports[0].targetPort` is `http`, but pod `web` has no such port; it has 8000"
        );
    }

    #[test]
    fn a_port_without_a_target_is_its_own() {
        let objects = [
            service(&json!({"selector": {"app": "web"}, "ports": [{"port": 80}]})),
            pod(
                &json!({"app": "web"}),
                &json!([{"containerPort": 8000, "name": "web"}]),
            ),
        ];
        let found = findings(&objects, &Around::default());
        assert_eq!(
            found[0].what,
            "service `web`: `spec.ports[0]` has no `targetPort`, so it leads to port 80, but pod `web` has no such port; it has 8000 (web)"
        );
    }

    #[test]
    fn undeclared_ports_services_by_hand_and_workloads_of_the_cluster_are_fine() {
        let undeclared = [
            service(
                &json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8000}]}),
            ),
            pod(&json!({"app": "web"}), &json!([])),
        ];
        assert_eq!(findings(&undeclared, &Around::default()), []);
        assert_eq!(
            findings(
                &[service(&json!({"ports": [{"port": 80}]}))],
                &Around::default()
            ),
            []
        );
        let around = Around {
            workloads: vec![pod(&json!({"app": "web"}), &json!([{"containerPort": 80}]))],
            ..Around::default()
        };
        let alone = [service(
            &json!({"selector": {"app": "web"}, "ports": [{"port": 80}]}),
        )];
        assert_eq!(findings(&alone, &around), []);
    }

    #[test]
    fn a_host_is_shared_by_paths_and_taken_by_an_answer() {
        let rule =
            |path: &str| json!({"host": "web.kub.test", "http": {"paths": [{"path": path}]}});
        let ingress = |path: &str| json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web"}, "spec": {"rules": [rule(path)]}});
        let around = Around {
            ingress_rules: vec![("other".into(), rule("/"))],
            ..Around::default()
        };
        assert_eq!(
            findings(&[ingress("/")], &around)[0].what,
            "ingress `web`: `spec.rules[0].host` is `web.kub.test`, which ingress `other` has already"
        );
        assert_eq!(findings(&[ingress("/api")], &around), []);
        let around = Around {
            taken: BTreeMap::from([("web.kub.test".into(), "it answers 200, \"Shop\"".into())]),
            ..Around::default()
        };
        assert_eq!(
            findings(&[ingress("/")], &around)[0].what,
            "ingress `web`: `spec.rules[0].host` is `web.kub.test`, which is already in use: it answers 200, \"Shop\""
        );
    }
}
