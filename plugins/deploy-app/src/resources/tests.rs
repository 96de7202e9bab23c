use serde_json::{Value, json};

use super::*;

fn rules(hard: &Value, used: &Value, limits: &Value) -> Rules {
    let quota =
        json!({"metadata": {"name": "onyxia-quota"}, "status": {"hard": hard, "used": used}});
    let range = json!({"spec": {"limits": [limits]}});
    Rules::of(
        &[serde_json::from_value(quota).expect("a quota")],
        &[serde_json::from_value(range).expect("a LimitRange")],
    )
}

fn none() -> Value {
    json!({"type": "Container"})
}

#[test]
fn without_rules_an_ordinary_amount() {
    let resources = propose(&Rules::default(), Asked::default(), None);
    assert_eq!(resources.requests["cpu"], "100m");
    assert_eq!(resources.requests["memory"], "256Mi");
    assert_eq!(resources.limits["memory"], "1Gi");
    assert!(
        !resources.limits.contains_key("cpu"),
        "CPU is shared by weight"
    );
}

#[test]
fn a_quota_on_limits_wants_limits() {
    let hard = json!({"limits.cpu": "4", "requests.memory": "8Gi"});
    let rules = rules(&hard, &json!({}), &none());
    let resources = propose(&rules, Asked::default(), None);
    assert_eq!(resources.limits["cpu"], "1");
}

#[test]
fn what_a_limit_range_gives_is_left_to_it() {
    let range = json!({"type": "Container", "default": {"cpu": "200m", "memory": "300Mi"}});
    let rules = rules(&json!({}), &json!({}), &range);
    assert_eq!(
        propose(&rules, Asked::default(), None),
        Resources::default()
    );
    let asked = Asked {
        cpu: Some(Quantity::millicores(500)),
        memory: None,
    };
    assert_eq!(
        propose(&rules, asked, None).limits["cpu"],
        "500m",
        "the default limit would be below the request"
    );
}

#[test]
fn an_update_replaces_in_place_where_only_that_fits() {
    let of = |memory: &str| Resources {
        requests: BTreeMap::from([("memory".into(), memory.into())]),
        ..Resources::default()
    };
    let now = of("256Mi");
    for (left, then, replicas, surges, why) in [
        ("300Mi", "256Mi", 1, true, "there is room for both"),
        ("112Mi", "256Mi", 1, false, "the old one makes room"),
        ("300Mi", "256Mi", 8, false, "two of eight come at a time"),
        (
            "112Mi",
            "512Mi",
            1,
            true,
            "nothing makes room: the old one goes on",
        ),
    ] {
        let rules = rules(&json!({"requests.memory": left}), &json!({}), &none());
        assert_eq!(
            may_surge(&rules, &now, &of(then), replicas),
            surges,
            "{why}"
        );
    }
    let full = rules(
        &json!({"count/pods": "3"}),
        &json!({"count/pods": "3"}),
        &none(),
    );
    assert!(!may_surge(&full, &now, &now, 1), "pods are counted too");
}
