//! Configuration that pods read when they start: they are replaced when it changes.

use commons::apply::Outcome;
use commons::cluster::documents;
use serde_json::{Value, json};

use crate::lint;
use crate::plan::CONFIG_HASH;
use crate::write::Written;

/// The ConfigMaps and Secrets that an object's pods read and that this run has changed.
pub fn changed<'a>(object: &Value, written: &'a [Written]) -> Vec<&'a Value> {
    let read = lint::references(object);
    written
        .iter()
        .filter(|written| written.outcome == Outcome::Configured)
        .map(|written| &written.object)
        .filter(|config| {
            read.iter()
                .any(|(kind, name)| config["kind"] == *kind && documents::name(config) == name)
        })
        .collect()
}

/// Gives the pods another annotation when their configuration has changed, and leaves them the one they have when not.
pub fn note(document: &mut Value, before: &Value, changed: &[&Value]) {
    if !matches!(
        document["kind"].as_str(),
        Some("Deployment" | "StatefulSet" | "DaemonSet")
    ) {
        return;
    }
    let has = &before["spec"]["template"]["metadata"]["annotations"][CONFIG_HASH];
    let versions: Vec<&str> = changed
        .iter()
        .filter_map(|changed| changed["metadata"]["resourceVersion"].as_str())
        .collect();
    let note = match (versions.is_empty(), has.as_str()) {
        (false, _) => versions.join("-"),
        (true, Some(has)) => has.to_owned(),
        (true, None) => return,
    };
    let annotations = document
        .pointer_mut("/spec/template")
        .and_then(|template| within(template, "metadata"))
        .and_then(|metadata| within(metadata, "annotations"))
        .and_then(Value::as_object_mut);
    if let Some(annotations) = annotations {
        annotations.insert(CONFIG_HASH.to_owned(), note.into());
    }
}

/// A field of an object, which becomes an object where it is missing or empty; nothing where it is a field of none.
fn within<'a>(object: &'a mut Value, field: &str) -> Option<&'a mut Value> {
    let value = object.as_object_mut()?.entry(field).or_insert(Value::Null);
    if value.is_null() {
        *value = json!({});
    }
    Some(value)
}
