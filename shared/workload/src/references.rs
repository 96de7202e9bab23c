//! What a pod refers to: ConfigMaps, Secrets, claims and a ServiceAccount, each with the field that names it.
//!
//! The pod's definition is JSON as somebody wrote it: what is not of the form that it should have refers to nothing.

use serde_json::Value;

/// An object that a pod cannot do without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// `ConfigMap`, `Secret`, `PersistentVolumeClaim` or `ServiceAccount`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// A key of it, where one is named.
    pub key: Option<String>,
    /// The field that names it: `spec.containers[0].envFrom[0].configMapRef.name`.
    pub field: String,
}

/// A list of a definition, the JSON pointer to a reference in each of its items, the kind, and the field of the name.
type ReferenceField = (&'static str, &'static str, &'static str, &'static str);

const OF_CONTAINERS: [ReferenceField; 4] = [
    ("envFrom", "/configMapRef", "ConfigMap", "name"),
    ("envFrom", "/secretRef", "Secret", "name"),
    ("env", "/valueFrom/configMapKeyRef", "ConfigMap", "name"),
    ("env", "/valueFrom/secretKeyRef", "Secret", "name"),
];

const OF_PODS: [ReferenceField; 4] = [
    ("volumes", "/configMap", "ConfigMap", "name"),
    ("volumes", "/secret", "Secret", "secretName"),
    (
        "volumes",
        "/persistentVolumeClaim",
        "PersistentVolumeClaim",
        "claimName",
    ),
    ("imagePullSecrets", "", "Secret", "name"),
];

const OF_PROJECTED: [ReferenceField; 2] = [
    ("sources", "/configMap", "ConfigMap", "name"),
    ("sources", "/secret", "Secret", "name"),
];

/// All that the `spec` of a pod refers to and that is not optional. `path` is where it stands: `spec.template.spec`.
pub fn references(spec: &Value, path: &str) -> Vec<Reference> {
    let mut all = Vec::new();
    for list in ["containers", "initContainers"] {
        for (position, container) in items(spec, list) {
            in_lists(
                container,
                &format!("{path}.{list}[{position}]"),
                &OF_CONTAINERS,
                &mut all,
            );
        }
    }
    in_lists(spec, path, &OF_PODS, &mut all);
    for (position, volume) in items(spec, "volumes") {
        let path = format!("{path}.volumes[{position}].projected");
        in_lists(&volume["projected"], &path, &OF_PROJECTED, &mut all);
    }
    let account = spec["serviceAccountName"].as_str().unwrap_or_default();
    if !matches!(account, "" | "default") {
        all.push(Reference {
            kind: "ServiceAccount",
            name: account.to_owned(),
            key: None,
            field: format!("{path}.serviceAccountName"),
        });
    }
    all
}

fn items<'a>(value: &'a Value, list: &str) -> impl Iterator<Item = (usize, &'a Value)> {
    value[list].as_array().into_iter().flatten().enumerate()
}

fn in_lists(of: &Value, path: &str, places: &[ReferenceField], all: &mut Vec<Reference>) {
    for (list, way, kind, name_field) in places {
        for (position, item) in items(of, list) {
            let source = item.pointer(way).unwrap_or(&Value::Null);
            let name = source[*name_field].as_str().unwrap_or_default();
            if name.is_empty() || source["optional"] == true {
                continue;
            }
            let way = way.replace('/', ".");
            let reference = |key: Option<&str>| Reference {
                kind,
                name: name.to_owned(),
                key: key.map(str::to_owned),
                field: format!("{path}.{list}[{position}]{way}.{name_field}"),
            };
            all.push(reference(source["key"].as_str()));
            all.extend(items(source, "items").map(|(_, item)| reference(item["key"].as_str())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn everything_that_a_pod_can_name() {
        let spec = json!({
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
        });
        let all: Vec<String> = references(&spec, "spec")
            .into_iter()
            .map(|one| {
                format!(
                    "{} {} {} {}",
                    one.kind,
                    one.name,
                    one.key.unwrap_or_default(),
                    one.field
                )
            })
            .collect();
        assert_eq!(
            all,
            [
                "ConfigMap a  spec.containers[0].envFrom[0].configMapRef.name",
                "Secret s k spec.containers[0].env[0].valueFrom.secretKeyRef.name",
                "ConfigMap files  spec.volumes[0].configMap.name",
                "ConfigMap files app.toml spec.volumes[0].configMap.name",
                "PersistentVolumeClaim data  spec.volumes[2].persistentVolumeClaim.claimName",
                "Secret registry  spec.imagePullSecrets[0].name",
                "Secret proj  spec.volumes[1].projected.sources[0].secret.name",
                "ServiceAccount robot  spec.serviceAccountName",
            ]
        );
        for odd in [
            json!(null),
            json!([]),
            json!({"containers": {"a": 1}, "volumes": ["x", 1]}),
        ] {
            assert_eq!(references(&odd, "spec"), [], "{odd}");
        }
    }
}
