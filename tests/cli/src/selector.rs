//! Which objects a list or a watch is about: label and field selectors.

use serde_json::Value;

use crate::http::{Request, Response};
use crate::target::Target;

/// What a request selects.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    labels: Vec<Requirement>,
    fields: Vec<Requirement>,
}

#[derive(Clone, Debug)]
struct Requirement {
    key: String,
    /// One of these, or none of these; no values: present, or absent.
    values: Option<Vec<String>>,
    negated: bool,
}

impl Requirement {
    fn admits(&self, value: Option<&str>) -> bool {
        let fits = match (&self.values, value) {
            (None, value) => value.is_some(),
            (Some(values), Some(value)) => values.iter().any(|one| one == value),
            (Some(_), None) => false,
        };
        fits != self.negated
    }
}

impl Selection {
    /// Reads `labelSelector` and `fieldSelector`.
    ///
    /// # Errors
    /// What the API server says of a selector that it does not support.
    pub fn of(request: &Request, target: &Target) -> Result<Self, Response> {
        let refused = |what: &str| {
            let message = format!("Unable to find {:?} that match {what}", target.qualified());
            Response::status(400, "BadRequest", message, &Value::Null)
        };
        let labels = terms(request.query("labelSelector").unwrap_or_default());
        let fields = terms(request.query("fieldSelector").unwrap_or_default());
        let selection = Self {
            labels: labels.iter().map(|term| requirement(term)).collect(),
            fields: fields.iter().map(|term| requirement(term)).collect(),
        };
        for field in &selection.fields {
            if !is_selectable(&target.plural, &field.key) {
                return Err(refused(&format!(
                    "label selector \"\", field selector \"{}\": field label not supported: {}",
                    request.query("fieldSelector").unwrap_or_default(),
                    field.key
                )));
            }
        }
        Ok(selection)
    }

    /// The one object of this name.
    pub fn named(name: &str) -> Self {
        let mut selection = Self::default();
        selection
            .fields
            .push(requirement(&format!("metadata.name={name}")));
        selection
    }

    /// Whether it selects this object.
    pub fn admits(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.labels
            .iter()
            .all(|term| term.admits(labels[&term.key].as_str()))
            && self.fields.iter().all(|term| {
                let path = format!("/{}", term.key.replace('.', "/"));
                // An absent field is an empty one to a field selector.
                let value = object.pointer(&path).and_then(Value::as_str);
                term.admits(Some(value.unwrap_or_default()))
            })
    }
}

/// The fields that the API server can select by.
fn is_selectable(plural: &str, field: &str) -> bool {
    let own: &[&str] = match plural {
        "pods" => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
        ],
        "events" => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "type",
        ],
        "secrets" => &["type"],
        "services" => &["spec.clusterIP", "spec.type"],
        "jobs" => &["status.successful"],
        "replicasets" => &["status.replicas"],
        _ => &[],
    };
    ["metadata.name", "metadata.namespace"].contains(&field) || own.contains(&field)
}

/// Splits at the commas that are not in parentheses.
fn terms(selector: &str) -> Vec<String> {
    let mut terms = vec![String::new()];
    let mut depth = 0;
    for c in selector.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if c == ',' && depth == 0 {
            terms.push(String::new());
        } else if let Some(term) = terms.last_mut() {
            term.push(c);
        }
    }
    terms.retain(|term| !term.trim().is_empty());
    terms
}

fn requirement(term: &str) -> Requirement {
    let of = |key: &str, values: Option<Vec<&str>>, negated| Requirement {
        key: key.trim().to_owned(),
        values: values.map(|values| {
            let values = values.into_iter().map(|value| value.trim().to_owned());
            values.collect()
        }),
        negated,
    };
    for (word, negated) in [(" notin ", true), (" in ", false)] {
        if let Some((key, list)) = term.split_once(word) {
            let list = list.trim().trim_start_matches('(').trim_end_matches(')');
            return of(key, Some(list.split(',').collect()), negated);
        }
    }
    for (sign, negated) in [("!=", true), ("==", false), ("=", false)] {
        if let Some((key, value)) = term.split_once(sign) {
            return of(key, Some(vec![value]), negated);
        }
    }
    match term.trim().strip_prefix('!') {
        Some(key) => of(key, None, true),
        None => of(term, None, false),
    }
}

/// Whether the labels of `object` are what a label selector of the API (`matchLabels`, `matchExpressions`) asks for.
pub fn matches(selector: &Value, labels: &Value) -> bool {
    let equal = selector["matchLabels"].as_object().into_iter().flatten();
    let expressions = selector["matchExpressions"]
        .as_array()
        .into_iter()
        .flatten();
    equal
        .into_iter()
        .all(|(key, value)| labels[key].is_string() && labels[key] == *value)
        && expressions.into_iter().all(|expression| {
            let value = labels[expression["key"].as_str().unwrap_or_default()].as_str();
            let values = expression["values"].as_array().into_iter().flatten();
            let listed = values
                .filter_map(Value::as_str)
                .any(|one| Some(one) == value);
            match expression["operator"].as_str().unwrap_or_default() {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => value.is_some(),
                _ => value.is_none(),
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn selects(labels: &str) -> bool {
        let terms = terms(labels);
        let selection = Selection {
            labels: terms.iter().map(|term| requirement(term)).collect(),
            fields: Vec::new(),
        };
        selection.admits(&json!({"metadata": {"labels": {"app": "web", "tier": "front"}}}))
    }

    #[test]
    fn labels_select_as_kubectls_flag_does() {
        for yes in [
            "",
            "app=web",
            "app==web",
            "app",
            "!team",
            "app in (web, api),tier",
            "team notin (a,b)",
            "app!=api",
            "team!=a",
        ] {
            assert!(selects(yes), "{yes}");
        }
        for no in [
            "app=api",
            "team",
            "!app",
            "app in (api)",
            "app notin (web)",
            "app=web,team=a",
        ] {
            assert!(!selects(no), "{no}");
        }
    }
}
