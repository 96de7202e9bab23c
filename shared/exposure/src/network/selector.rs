//! Label selectors, as the API server and its controllers understand them.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// Whether `selector` selects something with these labels. An empty one selects everything; all of its conditions must hold.
pub fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let equal = selector
        .match_labels
        .iter()
        .flatten()
        .all(|(key, value)| labels.get(key) == Some(value));
    equal
        && selector
            .match_expressions
            .iter()
            .flatten()
            .all(|condition| {
                let value = labels.get(&condition.key);
                let listed = || {
                    value.is_some_and(|value| condition.values.iter().flatten().any(|v| v == value))
                };
                match condition.operator.as_str() {
                    "In" => listed(),
                    // Holds without the label, too.
                    "NotIn" => !listed(),
                    "Exists" => value.is_some(),
                    "DoesNotExist" => value.is_none(),
                    _ => false,
                }
            })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selects_as_the_api_says() {
        let none = json!({});
        let web = json!({"app": "web"});
        let all = [
            &none,
            &web,
            &json!({"app": "db"}),
            &json!({"tier": "1"}),
            &json!({"app": "web", "tier": "1"}),
        ];
        // Which of `all` a selector selects.
        for (selector, selected) in [
            (json!({}), vec![0, 1, 2, 3, 4]),
            (
                json!({"matchLabels": {}, "matchExpressions": []}),
                vec![0, 1, 2, 3, 4],
            ),
            (json!({"matchLabels": {"app": "web"}}), vec![1, 4]),
            (json!({"matchLabels": {"app": "web", "tier": "1"}}), vec![4]),
            (json!({"matchLabels": {"app": ""}}), vec![]),
            (
                json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "db"]}]}),
                vec![1, 2, 4],
            ),
            (
                json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}),
                vec![0, 2, 3],
            ),
            (
                json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]}),
                vec![1, 2, 4],
            ),
            (
                json!({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}),
                vec![0, 3],
            ),
            (
                json!({"matchExpressions": [{"key": "app", "operator": "Gt", "values": ["a"]}]}),
                vec![],
            ),
            (
                json!({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}),
                vec![1],
            ),
            (
                json!({"matchExpressions": [
                    {"key": "app", "operator": "Exists"},
                    {"key": "app", "operator": "NotIn", "values": ["db"]},
                ]}),
                vec![1, 4],
            ),
        ] {
            let parsed: LabelSelector = serde_json::from_value(selector.clone()).unwrap();
            let found: Vec<usize> = (0..all.len())
                .filter(|at| matches(&parsed, &serde_json::from_value(all[*at].clone()).unwrap()))
                .collect();
            assert_eq!(found, selected, "{selector}");
        }
    }
}
