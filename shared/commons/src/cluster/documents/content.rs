//! Whether two readings of an object say the same.

use serde_json::Value;

/// Whether two readings of an object say the same, whoever wrote it.
pub(super) fn same(before: &Value, after: &Value) -> bool {
    content(before) == content(after)
}

/// Whether an object says all that a document says already. What the server adds to a document is not looked at, nor what the
/// document no longer says.
pub fn says_already(object: &Value, document: &Value) -> bool {
    match (object, document) {
        (Value::Object(there), Value::Object(wanted)) => wanted.iter().all(|(field, wanted)| {
            there
                .get(field)
                .is_some_and(|there| says_already(there, wanted))
        }),
        (Value::Array(there), Value::Array(wanted)) => {
            there.len() == wanted.len()
                && there
                    .iter()
                    .zip(wanted)
                    .all(|(there, wanted)| says_already(there, wanted))
        }
        (there, wanted) => there == wanted,
    }
}

/// What people write of an object: without what the server and its controllers add while it lives.
fn content(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in ["managedFields", "resourceVersion", "generation"] {
            metadata.remove(field);
        }
        if let Some(annotations) = metadata
            .get_mut("annotations")
            .and_then(Value::as_object_mut)
        {
            annotations.remove("deployment.kubernetes.io/revision");
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_controllers_write_is_no_change() {
        let before = json!({"metadata": {"name": "web", "resourceVersion": "1", "generation": 1, "annotations": {"a": "b"}}, "spec": {"replicas": 1}});
        let mut after = before.clone();
        after["metadata"]["resourceVersion"] = "2".into();
        after["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "1".into();
        after["status"] = json!({"readyReplicas": 1});
        assert!(same(&before, &after));
        after["spec"]["replicas"] = 2.into();
        assert!(!same(&before, &after));
    }

    #[test]
    fn defaults_of_the_server_are_no_difference() {
        let there = json!({"spec": {"replicas": 1, "containers": [{"name": "a", "image": "x", "terminationMessagePath": "/dev"}]}});
        assert!(says_already(
            &there,
            &json!({"spec": {"containers": [{"name": "a", "image": "x"}]}})
        ));
        assert!(!says_already(
            &there,
            &json!({"spec": {"containers": [{"name": "a", "image": "y"}]}})
        ));
        assert!(!says_already(&there, &json!({"spec": {"containers": []}})));
    }
}
