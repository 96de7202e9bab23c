use serde_json::{Value, json};

use super::*;

fn rules(hard: Value, used: Value, range: Value) -> Rules {
    let map = |fields: [(&str, Value); 1]| -> Value {
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    };
    let mut status = map([("hard", hard)]);
    status["used"] = used;
    let mut quota = map([("status", status)]);
    quota["metadata"] = json!({"name": "onyxia-quota"});
    let range = map([("spec", map([("limits", Value::Array(vec![range]))]))]);
    Rules::of(
        &[serde_json::from_value(quota).expect("a quota")],
        &serde_json::from_value::<LimitRange>(range)
            .into_iter()
            .collect::<Vec<_>>(),
    )
}

fn nothing() -> Value {
    Value::Null
}

fn empty() -> Value {
    json!({})
}

#[test]
fn without_rules_an_ordinary_amount() {
    let proposal = propose(&Rules::default(), Asked::default(), None, 1);
    assert_eq!(proposal.resources.requests["cpu"], "100m");
    assert_eq!(proposal.resources.requests["memory"], "256Mi");
    assert_eq!(proposal.resources.limits["memory"], "1Gi");
    assert!(
        !proposal.resources.limits.contains_key("cpu"),
        "CPU is shared by weight"
    );
    assert!(proposal.surge && proposal.notes.is_empty());
}

#[test]
fn a_quota_on_limits_wants_limits() {
    let rules = rules(
        json!({"limits.cpu": "4", "requests.memory": "8Gi"}),
        empty(),
        nothing(),
    );
    let proposal = propose(&rules, Asked::default(), None, 1);
    assert_eq!(proposal.resources.limits["cpu"], "1");
}

#[test]
fn what_a_limit_range_gives_is_left_to_it() {
    let rules = rules(
        empty(),
        empty(),
        json!({"type": "Container", "default": {"cpu": "200m", "memory": "300Mi"}}),
    );
    assert_eq!(
        propose(&rules, Asked::default(), None, 1).resources,
        Resources::default()
    );
    let asked = Asked {
        cpu: Some(Quantity::millicores(500)),
        memory: None,
    };
    let proposal = propose(&rules, asked, None, 1);
    assert_eq!(
        proposal.resources.limits["cpu"], "500m",
        "the default limit would be below the request"
    );
}

#[test]
fn it_fits_what_is_left() {
    let rules = rules(
        json!({"requests.memory": "1Gi", "requests.cpu": "1"}),
        json!({"requests.memory": "824Mi", "requests.cpu": "950m"}),
        nothing(),
    );
    let proposal = propose(&rules, Asked::default(), None, 1);
    assert_eq!(proposal.resources.requests["memory"], "96Mi");
    assert_eq!(proposal.resources.requests["cpu"], "20m");
    assert!(proposal.surge, "room for the pod of an update was kept");
    assert_eq!(proposal.notes.len(), 2);
}

#[test]
fn an_update_without_room_replaces_in_place() {
    let rules = rules(
        json!({"requests.memory": "512Mi"}),
        json!({"requests.memory": "400Mi"}),
        nothing(),
    );
    let has = Resources {
        requests: BTreeMap::from([("memory".into(), "256Mi".into())]),
        ..Resources::default()
    };
    let proposal = propose(&rules, Asked::default(), Some((&has, 1)), 1);
    assert!(!proposal.surge, "112 Mi are free, the second pod takes 256");
    assert_eq!(proposal.too_much, []);
}

#[test]
fn all_that_is_too_much_is_said_with_what_there_is() {
    let full = rules(
        json!({"requests.memory": "512Mi", "requests.cpu": "1", "pods": "1"}),
        json!({"requests.memory": "256Mi", "requests.cpu": "1", "pods": "1"}),
        nothing(),
    );
    let asked = Asked {
        memory: Some(Quantity::mebibytes(300)),
        cpu: Some(Quantity::millicores(200)),
    };
    let refused = propose(&full, asked, None, 1).too_much;
    assert_eq!(refused.len(), 3, "{refused:?}");
    assert_eq!(
        flags_instead(&refused),
        None,
        "there are no pods and no CPU left"
    );
    let memory = Asked { cpu: None, ..asked };
    let tight = rules(
        json!({"requests.memory": "512Mi", "limits.memory": "1Gi"}),
        json!({"requests.memory": "256Mi", "limits.memory": "896Mi"}),
        nothing(),
    );
    let refused = propose(&tight, memory, None, 1).too_much;
    assert_eq!(
        flags_instead(&refused).as_deref(),
        Some("--memory 128Mi"),
        "one flag, the least: {refused:?}"
    );
    let range = rules(
        json!({}),
        json!({}),
        json!({"type": "Container", "max": {"memory": "512Mi"}, "min": {"cpu": "250m"}}),
    );
    let more = Asked {
        memory: Some(Quantity::mebibytes(1024)),
        ..asked
    };
    let refused = propose(&range, more, None, 1).too_much;
    assert_eq!(
        refused[0].why,
        "it asks for 200m of cpu, and 250m is the least that a container may have here"
    );
    assert!(refused.iter().all(|one| one.is_range), "{refused:?}");
    assert_eq!(
        flags_instead(&refused).as_deref(),
        Some("--cpu 250m --memory 512Mi")
    );
}

#[test]
fn what_cannot_fit_is_said_before() {
    let rules = rules(
        json!({"requests.memory": "512Mi", "pods": "3"}),
        json!({"requests.memory": "500Mi", "pods": "1"}),
        nothing(),
    );
    let asked = Asked {
        memory: Some(Quantity::mebibytes(64)),
        cpu: None,
    };
    assert_eq!(
        propose(&rules, asked, None, 1).too_much,
        [TooMuch {
            why:
                "quota `onyxia-quota` has 12Mi of 512Mi memory requests left, and a pod takes 64Mi"
                    .into(),
            instead: None,
            is_range: false,
        }],
        "12Mi are too little for anything"
    );
    let small = Asked {
        memory: Some(Quantity::mebibytes(2)),
        cpu: None,
    };
    let proposal = propose(&rules, small, None, 4);
    assert_eq!(
        proposal.too_few.as_deref(),
        Some(
            "only 2 of 4 pods will run: quota `onyxia-quota` has 2 of 3 pods left, and a pod takes 1"
        )
    );
}
