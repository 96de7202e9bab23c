//! Labels, and what selects them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt};

use crate::error::close_names;

/// Labels of an object, or a selector of plain equalities.
pub type Labels = BTreeMap<String, String>;

/// As kubectl's `-l` takes them: `app=web,tier=front`.
pub fn text(labels: &Labels) -> String {
    labels.clone().into_iter().collect::<Selector>().to_string()
}

/// Whether labels fulfil all equalities of a selector; an empty one selects nothing, as a Service's.
pub fn selects(selector: &Labels, labels: &Labels) -> bool {
    let mut equalities = selector.iter();
    !selector.is_empty() && equalities.all(|(key, value)| labels.get(key) == Some(value))
}

/// Whether a Service leads to pods with these labels.
pub fn leads_to(service: &Service, labels: &Labels) -> bool {
    let spec = service.spec.as_ref();
    let selector = spec.and_then(|spec| spec.selector.as_ref());
    selector.is_some_and(|selector| selects(selector, labels))
}

/// Whether a selector selects something with these labels: an empty one selects everything, one with an unknown operator nothing.
pub fn matches(selector: &LabelSelector, labels: &Labels) -> bool {
    Selector::try_from(selector.clone()).is_ok_and(|selector| selector.matches(labels))
}

/// The app that a Service most likely means whose selector no pods fulfil: the one called like it, or else one with a label of nearly
/// that value. With what the selector should be. `apps` are names with the labels of their pods.
pub fn likely<'a>(
    service: &str,
    selector: &Labels,
    apps: impl Iterator<Item = (&'a str, Labels)>,
) -> Option<(&'a str, Labels)> {
    let is_near = |labels: &Labels| {
        selector.iter().any(|(key, value)| {
            labels
                .get(key)
                .is_some_and(|theirs| !close_names(value, [theirs.as_str()]).is_empty())
        })
    };
    let (name, labels) = apps
        .filter(|(name, labels)| *name == service || is_near(labels))
        .max_by_key(|(name, _)| *name == service)?;
    let mut same_keys = labels.clone();
    same_keys.retain(|key, _| selector.contains_key(key));
    Some((
        name,
        if same_keys.is_empty() {
            labels
        } else {
            same_keys
        },
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn one(key: &str, value: &str) -> Labels {
        Labels::from([(key.to_owned(), value.to_owned())])
    }

    #[test]
    fn an_empty_selector_of_a_service_selects_nothing_and_any_other_everything() {
        let web = one("app", "web");
        assert!(selects(&web, &web) && !selects(&Labels::new(), &web));
        assert!(!selects(&one("app", "db"), &web));
        assert!(matches(&LabelSelector::default(), &web));
        let unknown =
            json!({"matchExpressions": [{"key": "app", "operator": "Gt", "values": ["a"]}]});
        let unknown: LabelSelector = serde_json::from_value(unknown).expect("a selector");
        assert!(!matches(&unknown, &web));
        assert_eq!(text(&web), "app=web");
    }

    #[test]
    fn a_mistyped_selector_is_set_right() {
        let apps = || [("api", one("app", "api")), ("web", one("app", "web"))].into_iter();
        assert_eq!(
            likely("front", &one("app", "webb"), apps()),
            Some(("web", one("app", "web")))
        );
        assert_eq!(
            likely("api", &one("name", "x"), apps()),
            Some(("api", one("app", "api"))),
            "called like the Service"
        );
        assert_eq!(likely("front", &one("app", "shop"), apps()), None);
    }
}
