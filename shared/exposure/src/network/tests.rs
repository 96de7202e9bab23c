//! The rules of the API one by one, and then all of them against each other.

use super::*;
use serde_json::{Value, json};

fn policies(specs: Value) -> Vec<NetworkPolicy> {
    let Value::Array(specs) = specs else {
        panic!("not a list: {specs}");
    };
    specs
        .into_iter()
        .map(|spec| {
            serde_json::from_value(json!({"metadata": {"namespace": "alice"}, "spec": spec}))
                .unwrap()
        })
        .collect()
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn web() -> BTreeMap<String, String> {
    labels(&[("app", "web")])
}

/// Whether pods `app=web` take `peer` on port 8000, which is also called `http`.
fn takes(specs: Value, peer: Value) -> bool {
    let peer: NetworkPolicyPeer = serde_json::from_value(peer).unwrap();
    lets_in(&policies(specs), &web(), &peer, 8000, &["http".to_owned()])
}

/// The pods of a namespace, as a peer.
fn of(namespace: &str) -> Value {
    json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}})
}

#[test]
fn a_policy_isolates_what_it_selects_for_what_it_is_about() {
    for (spec, isolated) in [
        (json!({}), true),
        (json!({"podSelector": {}}), true),
        (json!({"podSelector": {}, "policyTypes": []}), true),
        (
            json!({"podSelector": {"matchLabels": {"app": "web"}}}),
            true,
        ),
        (
            json!({"podSelector": {"matchLabels": {"app": "db"}}}),
            false,
        ),
        (json!({"podSelector": {}, "egress": [{}]}), true),
        (json!({"podSelector": {}, "policyTypes": ["Egress"]}), false),
        (
            json!({"podSelector": {}, "policyTypes": ["Egress"], "ingress": [{}]}),
            false,
        ),
        (json!({"podSelector": {}, "policyTypes": ["Ingress"]}), true),
        (
            json!({"podSelector": {}, "policyTypes": ["Egress", "Ingress"]}),
            true,
        ),
    ] {
        let all = policies(json!([spec]));
        assert_eq!(
            isolating(&all, &web()).len(),
            usize::from(isolated),
            "{spec}"
        );
        assert_eq!(takes(json!([spec]), of("bob")), !isolated, "{spec}");
    }
    assert!(
        isolating(&[NetworkPolicy::default()], &web()).is_empty(),
        "no spec, no effect"
    );
}

#[test]
fn ports_by_number_name_range_and_protocol() {
    for (ports, covered) in [
        (json!(null), true),
        (json!([]), true),
        (json!([{}]), true),
        (json!([{"protocol": "TCP"}]), true),
        (json!([{"protocol": "UDP"}]), false),
        (json!([{"port": 8000}]), true),
        (json!([{"port": 8000, "protocol": "TCP"}]), true),
        (json!([{"port": 8000, "protocol": "UDP"}]), false),
        (json!([{"port": 8000, "protocol": "SCTP"}]), false),
        (json!([{"port": 80}]), false),
        (json!([{"port": "http"}]), true),
        (json!([{"port": "metrics"}]), false),
        (json!([{"port": 7999, "endPort": 8000}]), true),
        (json!([{"port": 8000, "endPort": 8000}]), true),
        (json!([{"port": 8001, "endPort": 9000}]), false),
        (json!([{"port": 1, "endPort": 7999}]), false),
        (json!([{"port": 80}, {"port": 8000}]), true),
    ] {
        let spec = json!([{"ingress": [{"ports": ports}]}]);
        assert_eq!(takes(spec, of("bob")), covered, "{ports}");
    }
}

#[test]
fn the_peer_and_the_port_must_be_in_one_rule() {
    let rules = json!([
        {"from": [of("alice")], "ports": [{"port": 8000}]},
        {"ports": [{"port": 9000}]},
    ]);
    assert!(takes(json!([{"ingress": rules}]), of("alice")));
    assert!(!takes(json!([{"ingress": rules}]), of("bob")));
}

/// The chart's two policies of an app, and what else may be in a namespace.
fn neighbours() -> Vec<NetworkPolicy> {
    let controller = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}});
    let balancer = json!({"ipBlock": {"cidr": "10.0.0.0/8"}});
    let name = |name: &str| json!({"matchLabels": {"app": name}});
    policies(json!([
        {"podSelector": name("vscode"), "ingress": [{"from": [{"podSelector": {}}]}]},
        {"podSelector": name("vscode"), "ingress": [{"from": [balancer]}, {"from": [controller, controller]}]},
        {"podSelector": name("jupyter"), "ingress": [{"from": [{"podSelector": {}}, controller], "ports": [{"port": 8888}]}]},
        // Not published: somebody else is let in to a database.
        {"podSelector": name("pg"), "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "bob"}}}]}]},
        // Its own namespace, in other words.
        {"podSelector": name("vscode"), "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "alice"}}}]}]},
        // About outgoing traffic.
        {"podSelector": {}, "policyTypes": ["Egress"], "ingress": [{"from": [{"namespaceSelector": {}}]}]},
        {"podSelector": name("vscode"), "ingress": [{}]},
    ]))
}

#[test]
fn who_is_everybody() {
    let peers = |json| -> Vec<NetworkPolicyPeer> { serde_json::from_value(json).expect("peers") };
    let everybody = peers(json!([
        {"namespaceSelector": {}},
        {"namespaceSelector": {}, "podSelector": {}},
        {"ipBlock": {"cidr": "0.0.0.0/0"}},
        {"ipBlock": {"cidr": "::/0"}},
    ]));
    assert!(everybody.iter().all(is_everybody));
    let others = peers(json!([
        {"namespaceSelector": {"matchLabels": {"a": "b"}}},
        {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "traefik"}}},
        {"podSelector": {}},
        {"ipBlock": {"cidr": "10.0.0.0/8"}},
        {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}},
    ]));
    assert!(!others.iter().any(is_everybody));
}

#[test]
fn outsiders_are_learned_from_neighbours() {
    let published = [at("vscode", 8080), at("jupyter", 8888)];
    let learned: Vec<(String, usize)> = outsiders(&neighbours(), &published)
        .iter()
        .map(|outsider| (describe_peer(&outsider.peer), outsider.policies))
        .collect();
    assert_eq!(
        learned,
        [
            ("10.0.0.0/8".to_owned(), 1),
            ("pods of namespace ingress-nginx".to_owned(), 2)
        ],
        "two apps let it in, one lets in somebody else too"
    );
    assert_eq!(outsiders(&neighbours(), &[]), []);
    assert_eq!(outsiders(&neighbours(), &[at("other", 80)]), []);
    assert_eq!(
        outsiders(&neighbours(), &[at("jupyter", 9090)]),
        [],
        "whoever may read its metrics need not be the controller"
    );
}

fn at(app: &str, port: u16) -> Published {
    Published {
        labels: labels(&[("app", app)]),
        port: Some(port),
    }
}

#[test]
fn what_we_allow_lets_in_whom_it_names_and_nobody_else() {
    let pods = LabelSelector {
        match_labels: Some(web()),
        ..Default::default()
    };
    let peers = vec![
        outsiders(&neighbours(), &[at("jupyter", 8888)])[0]
            .peer
            .clone(),
    ];
    let isolated =
        policies(json!([{"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]}]));
    let ours = |peers: &[NetworkPolicyPeer], port: IntOrString| {
        allow(ObjectMeta::default(), pods.clone(), peers.to_vec(), port)
    };
    let with = |peers: &[NetworkPolicyPeer]| {
        [isolated.clone(), vec![ours(peers, IntOrString::Int(8000))]].concat()
    };
    assert!(lets_in(&with(&peers), &web(), &peers[0], 8000, &[]));
    assert!(!lets_in(&with(&peers), &web(), &peers[0], 9000, &[]));
    assert!(!lets_in(&isolated, &web(), &peers[0], 8000, &[]));
    assert!(lets_in(&[], &web(), &peers[0], 8000, &[]));
    // No peers are nobody, though the API takes an empty `from` for everybody.
    assert!(!lets_in(&with(&[]), &web(), &peers[0], 8000, &[]));
    let named = ours(&peers, IntOrString::String("http".to_owned()));
    assert_eq!(
        serde_json::to_value(named).unwrap()["spec"],
        json!({
            "podSelector": {"matchLabels": {"app": "web"}},
            "policyTypes": ["Ingress"],
            "ingress": [{
                "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}],
                "ports": [{"port": "http", "protocol": "TCP"}],
            }],
        })
    );
}
