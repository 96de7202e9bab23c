//! Fields of JSON objects, for server-side apply and merge patches.

use serde_json::{Value, json};

/// The paths of all fields that are no objects themselves, but for those that identify the object.
pub fn leaves(object: &Value) -> Vec<Vec<String>> {
    fn walk(value: &Value, path: &mut Vec<String>, leaves: &mut Vec<Vec<String>>) {
        match value.as_object() {
            Some(fields) if !fields.is_empty() => {
                for (name, value) in fields {
                    path.push(name.clone());
                    walk(value, path, leaves);
                    path.pop();
                }
            }
            _ => leaves.push(path.clone()),
        }
    }
    let mut found = Vec::new();
    walk(object, &mut Vec::new(), &mut found);
    found.retain(|path| {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        !matches!(path[..], ["apiVersion" | "kind" | "status", ..])
            && !matches!(
                path[..],
                [
                    "metadata",
                    "name"
                        | "namespace"
                        | "uid"
                        | "resourceVersion"
                        | "creationTimestamp"
                        | "managedFields",
                    ..
                ]
            )
    });
    found
}

pub fn at<'a>(value: &'a Value, path: &[String]) -> &'a Value {
    path.iter().fold(value, |value, name| &value[name.as_str()])
}

pub fn set(value: &mut Value, path: &[String], new: Value) {
    *path
        .iter()
        .fold(value, |value, name| &mut value[name.as_str()]) = new;
}

pub fn remove(value: &mut Value, path: &[String]) {
    let Some((last, parents)) = path.split_last() else {
        return;
    };
    let parent = parents
        .iter()
        .fold(value, |value, name| &mut value[name.as_str()]);
    if let Some(fields) = parent.as_object_mut() {
        fields.remove(last);
    }
}

pub fn merge(target: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in fields {
        if value.is_null() {
            remove(target, std::slice::from_ref(name));
        } else {
            merge(&mut target[name.as_str()], value);
        }
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_patch_follows_its_rfc() {
        let mut value = json!({"a": {"b": 1, "c": 2}, "d": [1]});
        merge(
            &mut value,
            &json!({"a": {"b": null, "e": {"f": null}}, "d": 3}),
        );
        assert_eq!(value, json!({"a": {"c": 2, "e": {}}, "d": 3}));
    }
}
