//! ConfigMaps, Secrets, claims and ServiceAccounts that pods name and that do not exist.

use commons::error::name_hint;
use serde_json::Value;
use workload::Reference;

use super::context::Known;
use super::{Around, Finding, called, is, name, shown, template};

/// All that an object refers to and cannot do without.
pub fn wanted(object: &Value) -> Vec<Reference> {
    let mut all = Vec::new();
    if is(object, "Ingress") {
        let backends = super::links::backends(object).into_iter();
        all.extend(backends.filter_map(|(service, field)| {
            let name = service["name"].as_str().filter(|name| !name.is_empty())?;
            Some(Reference {
                kind: "Service",
                name: name.to_owned(),
                key: None,
                field: format!("{field}.name"),
            })
        }));
    }
    if let Some((template, path)) = template(object) {
        all.extend(workload::references(
            &template["spec"],
            &format!("{path}spec"),
        ));
    }
    all
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

fn absent(objects: &[Value], object: &Value, wanted: &Reference) -> Finding {
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

fn without_key(object: &Value, wanted: &Reference, there: &Value, key: &str) -> Finding {
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
