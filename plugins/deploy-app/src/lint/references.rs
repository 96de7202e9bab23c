//! ConfigMaps, Secrets, claims and ServiceAccounts that pods name and that do not exist.

use commons::error::name_hint;
use serde_json::Value;

use super::context::Known;
use super::{Around, Finding, called, containers, is, items, name, shown, template};

/// An object that another one names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub kind: &'static str,
    pub name: String,
    /// A key of it, where one is named.
    pub key: Option<String>,
    /// The field that names it.
    pub field: String,
}

/// All that an object refers to and cannot do without.
pub fn wanted(object: &Value) -> Vec<Wanted> {
    let mut all = Vec::new();
    if is(object, "Ingress") {
        for (service, field) in super::links::backends(object) {
            let name = service["name"].as_str().unwrap_or_default();
            push(&mut all, "Service", name, None, format!("{field}.name"));
        }
    }
    let Some((template, path)) = template(object) else {
        return all;
    };
    for (container, path) in containers(object) {
        for (position, source) in items(container, "envFrom").enumerate() {
            for (field, kind) in [("configMapRef", "ConfigMap"), ("secretRef", "Secret")] {
                reference(
                    &mut all,
                    kind,
                    &source[field],
                    &["name"],
                    &format!("{path}.envFrom[{position}].{field}"),
                );
            }
        }
        for (position, variable) in items(container, "env").enumerate() {
            for (field, kind) in [("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")] {
                let source = &variable["valueFrom"][field];
                reference(
                    &mut all,
                    kind,
                    source,
                    &["name"],
                    &format!("{path}.env[{position}].valueFrom.{field}"),
                );
            }
        }
    }
    let spec = &template["spec"];
    for (position, volume) in items(spec, "volumes").enumerate() {
        let field = format!("{path}spec.volumes[{position}]");
        reference(
            &mut all,
            "ConfigMap",
            &volume["configMap"],
            &["name"],
            &format!("{field}.configMap"),
        );
        reference(
            &mut all,
            "Secret",
            &volume["secret"],
            &["secretName"],
            &format!("{field}.secret"),
        );
        for (position, source) in items(&volume["projected"], "sources").enumerate() {
            for (inner, kind) in [("configMap", "ConfigMap"), ("secret", "Secret")] {
                reference(
                    &mut all,
                    kind,
                    &source[inner],
                    &["name"],
                    &format!("{field}.projected.sources[{position}].{inner}"),
                );
            }
        }
        let claim = &volume["persistentVolumeClaim"];
        reference(
            &mut all,
            "PersistentVolumeClaim",
            claim,
            &["claimName"],
            &format!("{field}.persistentVolumeClaim"),
        );
    }
    for (position, secret) in items(spec, "imagePullSecrets").enumerate() {
        reference(
            &mut all,
            "Secret",
            secret,
            &["name"],
            &format!("{path}spec.imagePullSecrets[{position}]"),
        );
    }
    if let Some(account) = spec["serviceAccountName"]
        .as_str()
        .filter(|account| *account != "default")
    {
        push(
            &mut all,
            "ServiceAccount",
            account,
            None,
            format!("{path}spec.serviceAccountName"),
        );
    }
    all
}

fn push(all: &mut Vec<Wanted>, kind: &'static str, name: &str, key: Option<&str>, field: String) {
    if !name.is_empty() {
        all.push(Wanted {
            kind,
            name: name.to_owned(),
            key: key.map(str::to_owned),
            field,
        });
    }
}

/// One reference, with its keys; nothing where it is optional.
fn reference(
    all: &mut Vec<Wanted>,
    kind: &'static str,
    source: &Value,
    name_field: &[&str],
    field: &str,
) {
    if source["optional"] == true {
        return;
    }
    for name_field in name_field {
        let name = source[*name_field].as_str().unwrap_or_default();
        push(
            all,
            kind,
            name,
            source["key"].as_str(),
            format!("{field}.{name_field}"),
        );
        for item in items(source, "items") {
            push(
                all,
                kind,
                name,
                item["key"].as_str(),
                format!("{field}.{name_field}"),
            );
        }
    }
}

/// What is named and not there.
pub fn findings(objects: &[Value], around: &Around) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for object in objects {
        for wanted in wanted(object) {
            let finding = match around.object(objects, wanted.kind, &wanted.name) {
                Known::Absent => Some(absent(objects, object, &wanted)),
                Known::Unknown => None,
                Known::There(there) => wanted
                    .key
                    .as_deref()
                    .filter(|key| !keys(there).contains(key))
                    .map(|key| without_key(object, &wanted, there, key)),
            };
            findings.extend(finding);
        }
    }
    findings.dedup();
    findings
}

fn absent(objects: &[Value], object: &Value, wanted: &Wanted) -> Finding {
    let kind = wanted.kind.to_lowercase();
    let name_wanted = shown(&wanted.name);
    let others = objects
        .iter()
        .filter(|other| is(other, wanted.kind))
        .map(name);
    Finding::new(
        format!(
            "{}: {kind} `{name_wanted}` does not exist, and `{}` wants it",
            called(object),
            wanted.field
        ),
        name_hint(&wanted.name, others)
            .filter(|hint| hint.starts_with("did you mean"))
            .unwrap_or_else(|| format!("make {kind} `{name_wanted}`, or correct that field")),
    )
}

fn without_key(object: &Value, wanted: &Wanted, there: &Value, key: &str) -> Finding {
    let hint = name_hint(key, keys(there));
    Finding::new(
        format!(
            "{}: {} has no key `{}`, which `{}` wants",
            called(object),
            called(there),
            shown(key),
            wanted
                .field
                .rsplit_once('.')
                .map_or(wanted.field.as_str(), |(field, _)| field)
        ),
        hint.unwrap_or_else(|| format!("add the key to {}", called(there))),
    )
}

fn keys(object: &Value) -> Vec<&str> {
    ["data", "binaryData", "stringData"]
        .into_iter()
        .filter_map(|field| object[field].as_object())
        .flat_map(|data| data.keys().map(String::as_str))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(spec: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec})
    }

    #[test]
    fn everything_that_a_pod_can_name() {
        let object = pod(&json!({
            "serviceAccountName": "robot",
            "imagePullSecrets": [{"name": "registry"}],
            "containers": [{
                "name": "c",
                "envFrom": [{"configMapRef": {"name": "a"}}, {"secretRef": {"name": "b", "optional": true}}],
                "env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
            }],
            "volumes": [
                {"name": "v", "configMap": {"name": "files", "items": [{"key": "app.toml", "path": "x"}]}},
                {"name": "w", "projected": {"sources": [{"secret": {"name": "proj"}}]}},
                {"name": "d", "persistentVolumeClaim": {"claimName": "data"}},
            ],
        }));
        let names: Vec<(&str, String, Option<String>)> = wanted(&object)
            .into_iter()
            .map(|wanted| (wanted.kind, wanted.name, wanted.key))
            .collect();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            names,
            [
                ("ConfigMap", "a".into(), None),
                ("Secret", "s".into(), some("k")),
                ("ConfigMap", "files".into(), None),
                ("ConfigMap", "files".into(), some("app.toml")),
                ("Secret", "proj".into(), None),
                ("PersistentVolumeClaim", "data".into(), None),
                ("Secret", "registry".into(), None),
                ("ServiceAccount", "robot".into(), None),
            ]
        );
    }

    #[test]
    fn a_key_that_is_not_there() {
        let object = pod(
            &json!({"containers": [{"name": "c", "env": [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "LOG"}}}]}]}),
        );
        let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"LOGS": "x"}});
        let findings = findings(&[object, config], &Around::default());
        assert_eq!(
            findings[0].what,
            "pod `p`: configmap `a` has no key `LOG`, which `spec.containers[0].env[0].valueFrom.configMapKeyRef` wants"
        );
        assert_eq!(findings[0].remedy, "did you mean `LOGS`?");
    }
}
