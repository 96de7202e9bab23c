//! Fields of an earlier manager that become ours, as `kubectl apply --server-side` takes over those of `kubectl apply`.

use serde_json::{Map, Value};

use super::kinds::text;

/// The annotation in which `kubectl apply` keeps what it applied last; it stays when its fields are taken over.
const LAST_APPLIED: &str = "f:kubectl.kubernetes.io/last-applied-configuration";

/// The managed fields as they are to be when those of `others` are ours; nothing where they have none.
pub(super) fn taken_over(there: &Value, manager: &str, others: &[&str]) -> Option<Vec<Value>> {
    let entries = there["metadata"]["managedFields"].as_array()?;
    let theirs = |entry: &Value| {
        others.contains(&text(entry, "manager")) && entry.get("subresource").is_none()
    };
    let mut taken = Map::new();
    let mut first: Option<&Value> = None;
    for entry in entries.iter().filter(|entry| theirs(entry)) {
        first.get_or_insert(entry);
        unite(&mut taken, entry["fieldsV1"].as_object()?);
    }
    let like = first?;
    let ours = |entry: &Value| {
        text(entry, "manager") == manager
            && text(entry, "operation") == "Apply"
            && entry.get("subresource").is_none()
    };
    let mut fields: Vec<Value> = Vec::new();
    let mut api_version = like["apiVersion"].clone();
    for entry in entries {
        if ours(entry) {
            unite(&mut taken, entry["fieldsV1"].as_object()?);
            api_version = entry["apiVersion"].clone();
        } else if !theirs(entry) {
            fields.push(entry.clone());
        }
    }
    if let Some(metadata) = taken.get_mut("f:metadata").and_then(Value::as_object_mut)
        && let Some(annotations) = metadata
            .get_mut("f:annotations")
            .and_then(Value::as_object_mut)
    {
        // A Secret's holds its values as they were then: as ours it goes, since the document has none.
        if there["kind"] != "Secret" {
            annotations.remove(LAST_APPLIED);
        }
        // Whoever owns the map itself (`.`) and applies without annotations removes it, with that annotation in it.
        annotations.remove(".");
        if annotations.is_empty() {
            metadata.remove("f:annotations");
        }
    }
    fields.push(serde_json::json!({
        "manager": manager, "operation": "Apply", "apiVersion": api_version, "time": like["time"],
        "fieldsType": "FieldsV1", "fieldsV1": taken,
    }));
    Some(fields)
}

/// Adds the fields of one set to another.
fn unite(into: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (field, below) in from {
        match (into.get_mut(field), below) {
            (Some(Value::Object(present)), Value::Object(below)) => unite(present, below),
            (Some(_), _) => {}
            (None, below) => {
                into.insert(field.clone(), below.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::CLIENT_SIDE_APPLY;
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_of_kubectl_apply_become_ours_and_its_annotation_nobodys() {
        let there = json!({"metadata": {"managedFields": [
            {"manager": "kubectl-client-side-apply", "operation": "Update", "apiVersion": "v1", "time": "t", "fieldsType": "FieldsV1", "fieldsV1": {
                "f:metadata": {"f:annotations": {".": {}, "f:kubectl.kubernetes.io/last-applied-configuration": {}}},
                "f:data": {".": {}, "f:A": {}}}},
            {"manager": "us", "operation": "Apply", "apiVersion": "v1", "fieldsV1": {"f:data": {"f:B": {}}}},
            {"manager": "kubectl-client-side-apply", "operation": "Update", "subresource": "scale", "fieldsV1": {"f:spec": {}}},
            {"manager": "kubectl-edit", "operation": "Update", "apiVersion": "v1", "fieldsV1": {"f:data": {"f:C": {}}}},
        ]}});
        let fields = taken_over(&there, "us", &[CLIENT_SIDE_APPLY]).expect("fields to take");
        let managers: Vec<&str> = fields.iter().map(|entry| text(entry, "manager")).collect();
        assert_eq!(
            managers,
            ["kubectl-client-side-apply", "kubectl-edit", "us"],
            "a subresource's entry stays"
        );
        assert_eq!(
            fields[2]["fieldsV1"],
            json!({"f:metadata": {}, "f:data": {".": {}, "f:A": {}, "f:B": {}}})
        );
        assert_eq!(fields[2]["operation"], "Apply");
        assert_eq!(taken_over(&there, "us", &["helm"]), None);
        let mut secret = there;
        secret["kind"] = "Secret".into();
        let fields = taken_over(&secret, "us", &[CLIENT_SIDE_APPLY]).expect("fields to take");
        assert_eq!(
            fields[2]["fieldsV1"]["f:metadata"],
            json!({"f:annotations": {"f:kubectl.kubernetes.io/last-applied-configuration": {}}}),
            "the values of before do not stay there"
        );
    }
}
