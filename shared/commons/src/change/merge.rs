//! What an object is to be, put together with what it is: pure decisions.

use kube::ResourceExt;
use serde::Serialize;
use serde_json::Value;

use crate::cluster::Namespaced;
use crate::error::{Error, Result};

/// The field whose empty parts the API server fills in; all others are as they were sent.
const DEFAULTED: &str = "spec";

/// What is there with our fields as they are to be: whole ones outside the metadata, single labels and annotations in it. Of
/// `own_annotations` none stays that is not wanted. None where nothing differs.
///
/// # Errors
/// When it cannot be written as JSON.
pub(super) fn merged<K: Namespaced>(
    present: &K,
    wanted: &K,
    own_annotations: &[&str],
) -> Result<Option<K>> {
    let mut cleaned = present.clone();
    for annotation in own_annotations {
        if !wanted.annotations().contains_key(*annotation) {
            cleaned.annotations_mut().remove(*annotation);
        }
    }
    let is_clean = cleaned.annotations().len() == present.annotations().len();
    if is_clean && is_as_wanted(present, wanted)? {
        return Ok(None);
    }
    let merged = with_fields_of(&to_json(&cleaned)?, &to_json(wanted)?);
    let merged = serde_json::from_value(merged).map_err(|error| {
        Error::new("cannot put an object together").caused_by(error.to_string())
    })?;
    Ok(Some(merged))
}

/// Compares what the server stored with what it was asked to store: a policy of the cluster may change what is written.
///
/// # Errors
/// When a field that was asked for is missing or says something else. The `spec` is not compared.
pub(super) fn refuse_rewritten<K: Namespaced>(stored: &K, asked: &K) -> Result<()> {
    let (stored, wanted) = (to_json(stored)?, to_json(asked)?);
    if says(&stored, &wanted, |field| field != DEFAULTED) {
        return Ok(());
    }
    Err(Error::new(format!(
        "the cluster changed {} `{}` while it was written",
        K::kind(&()).to_lowercase(),
        asked.name_any()
    ))
    .caused_by("a policy (an admission webhook, Kyverno, Gatekeeper) rewrites it, so that it would not say what was asked for")
    .hint("ask your cluster administrator"))
}

/// Compares what the server stored with what was to be put back.
///
/// # Errors
/// When something else is there.
pub(super) fn refuse_changed<K: Namespaced>(stored: &K, before: &K) -> Result<()> {
    if content(stored)? == content(before)? {
        return Ok(());
    }
    Err(Error::new("it was not stored as it was"))
}

/// What people write of an object.
fn content<K: Namespaced>(object: &K) -> Result<Value> {
    let mut content = to_json(object)?;
    let metadata = &content["metadata"];
    content["metadata"] = ["labels", "annotations", "ownerReferences", "finalizers"]
        .iter()
        .map(|field| metadata[field].clone())
        .collect();
    content["status"] = Value::Null;
    Ok(content)
}

/// Whether an object says all that it is to say. What others have added to its metadata, and what the API server has filled in
/// into its `spec`, is no difference.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn is_as_wanted<K: Serialize>(present: &K, wanted: &K) -> Result<bool> {
    Ok(says(&to_json(present)?, &to_json(wanted)?, |_| true))
}

/// Whether `there` has each of these fields of `wanted`.
fn says(there: &Value, wanted: &Value, of: impl Fn(&str) -> bool) -> bool {
    wanted
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(field, _)| of(field))
        .all(|(field, wanted)| match field.as_str() {
            "metadata" | DEFAULTED => holds(&there[field], wanted),
            _ => there[field] == *wanted || (there[field].is_null() && is_empty(wanted)),
        })
}

/// Whether `there` has all that is `wanted`, and perhaps more. An empty list and none are the same; lists are compared whole, item
/// by item.
fn holds(there: &Value, wanted: &Value) -> bool {
    match (there, wanted) {
        (Value::Object(there), Value::Object(wanted)) => wanted
            .iter()
            .all(|(field, wanted)| holds(there.get(field).unwrap_or(&Value::Null), wanted)),
        (Value::Null, wanted) => is_empty(wanted),
        (Value::Array(there), Value::Array(wanted)) => {
            there.len() == wanted.len()
                && there
                    .iter()
                    .zip(wanted)
                    .all(|(there, wanted)| holds(there, wanted))
        }
        _ => there == wanted,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn to_json<K: Serialize>(object: &K) -> Result<Value> {
    serde_json::to_value(object)
        .map_err(|error| Error::new("cannot write JSON").caused_by(error.to_string()))
}

fn with_fields_of(there: &Value, wanted: &Value) -> Value {
    let mut merged = there.clone();
    for (field, value) in wanted.as_object().into_iter().flatten() {
        if field == "metadata" {
            for (field, value) in value.as_object().into_iter().flatten() {
                match (&mut merged["metadata"][field], value) {
                    (Value::Object(present), Value::Object(wanted)) => {
                        present.extend(wanted.clone());
                    }
                    (present, value) => *present = value.clone(),
                }
            }
        } else {
            merged[field] = value.clone();
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::networking::v1::Ingress;

    use super::*;

    fn whole(there: &Value, wanted: &Value) -> bool {
        says(there, wanted, |_| true)
    }

    #[test]
    fn our_fields_come_back_and_what_others_added_stays() {
        let wanted = serde_json::json!({"metadata": {"name": "pg", "labels": {"a": "ours"}}, "data": {"until": "18:00"}});
        let there = serde_json::json!({"metadata": {"name": "pg", "uid": "1", "labels": {"a": "theirs", "b": "theirs"}}, "data": {"until": "12:00", "old": "x"}});
        let merged = serde_json::json!({"metadata": {"name": "pg", "uid": "1", "labels": {"a": "ours", "b": "theirs"}}, "data": {"until": "18:00"}});
        assert_eq!(with_fields_of(&there, &wanted), merged);
        assert_eq!(with_fields_of(&merged, &wanted), merged, "nothing to write");
    }

    #[test]
    fn what_the_server_fills_in_is_no_difference() {
        let wanted = serde_json::json!({"metadata": {"name": "web", "ownerReferences": []}, "spec": {"ports": [{"port": 80}], "selector": {"app": "web"}}});
        let there = serde_json::json!({"metadata": {"name": "web", "uid": "1"}, "spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 80, "protocol": "TCP"}], "selector": {"app": "web"}}});
        assert!(whole(&there, &wanted));
        let another_port = serde_json::json!({"spec": {"ports": [{"port": 81}]}});
        assert!(!whole(&there, &another_port));
        let two_ports = serde_json::json!({"spec": {"ports": [{"port": 80}, {"port": 81}]}});
        assert!(!whole(&there, &two_ports));
        let owned = serde_json::json!({"metadata": {"ownerReferences": [{"uid": "2"}]}});
        assert!(!whole(&there, &owned));
    }

    #[test]
    fn outside_the_spec_every_field_is_ours_whole() {
        let wanted = serde_json::json!({"rules": [{"verbs": ["get"], "resources": ["pods"]}], "data": {"until": "18:00"}});
        assert!(whole(&wanted, &wanted));
        for (field, there) in [
            ("data", serde_json::json!({"until": "18:00", "more": "x"})),
            (
                "rules",
                serde_json::json!([{"verbs": ["get"], "resources": ["pods"], "resourceNames": ["pg-0"]}]),
            ),
            ("rules", Value::Null),
        ] {
            let mut changed = wanted.clone();
            changed[field] = there;
            assert!(!whole(&changed, &wanted), "{changed}");
        }
        let nothing = serde_json::json!({"rules": [], "data": null});
        assert!(whole(&serde_json::json!({}), &nothing));
    }

    #[test]
    fn own_annotations_go_where_they_are_not_wanted() {
        let ingress = |annotations: &[(&str, &str)]| {
            let mut ingress = Ingress::default();
            let own = annotations
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            ingress.annotations_mut().extend(own);
            ingress
        };
        let present = ingress(&[("ours/a", "1"), ("other", "stays")]);
        let own = ["ours/a", "ours/b"];
        let after = |wanted: &Ingress| merged(&present, wanted, &own).expect("JSON");
        let cleaned = after(&ingress(&[])).expect("something to write");
        assert_eq!(cleaned.annotations().keys().collect::<Vec<_>>(), ["other"]);
        let changed = after(&ingress(&[("ours/b", "1")])).expect("something to write");
        assert_eq!(
            changed.annotations().keys().collect::<Vec<_>>(),
            ["other", "ours/b"]
        );
        assert!(after(&ingress(&[("ours/a", "1")])).is_none());
    }
}
