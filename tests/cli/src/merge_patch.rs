//! Merge patches (RFC 7386).

use serde_json::{Value, json};

/// Merges a patch into an object; null removes a field.
pub fn merge(target: &mut Value, patch: &Value) {
    let Some(patched) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Some(fields) = target.as_object_mut() else {
        return;
    };
    for (name, value) in patched {
        if value.is_null() {
            fields.remove(name);
        } else {
            merge(fields.entry(name).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_its_rfc() {
        let mut value = json!({"a": {"b": 1, "c": 2}, "d": [1]});
        let patch = json!({"a": {"b": null, "e": {"f": null}}, "d": 3});
        merge(&mut value, &patch);
        assert_eq!(value, json!({"a": {"c": 2, "e": {}}, "d": 3}));
    }
}
