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

fn pod_of(namespace: &str, pod: &[(&str, &str)]) -> Source {
    Source {
        namespace: Some(labels_of_namespace(namespace)),
        pod: labels(pod),
        address: Some("10.42.0.9".parse().unwrap()),
    }
}

fn outside(address: &str) -> Source {
    Source {
        address: Some(address.parse().unwrap()),
        ..Source::default()
    }
}

/// Whether pods `app=web` of namespace alice take `source` on port 8000, which is also called `http`.
fn takes(specs: Value, source: &Source) -> bool {
    admits(
        &policies(specs),
        &labels_of_namespace("alice"),
        &web(),
        source,
        8000,
        &["http".to_owned()],
    )
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
        assert_eq!(
            takes(json!([spec]), &pod_of("bob", &[])),
            !isolated,
            "{spec}"
        );
    }
    assert!(
        isolating(&[NetworkPolicy::default()], &web()).is_empty(),
        "no spec, no effect"
    );
}

#[test]
fn peers_are_told_apart() {
    let client = [("role", "client")];
    let neighbour = pod_of("alice", &client);
    let stranger = pod_of("bob", &client);
    let far = outside("192.0.2.200");
    let bob = json!({"matchLabels": {"kubernetes.io/metadata.name": "bob"}});
    let clients = json!({"matchLabels": {"role": "client"}});
    let servers = json!({"matchLabels": {"role": "server"}});
    // Who of the three is let in.
    for (from, who) in [
        (json!(null), [true, true, true]),
        (json!([]), [true, true, true]),
        (json!([{"podSelector": {}}]), [true, false, false]),
        (json!([{"podSelector": clients}]), [true, false, false]),
        (json!([{"podSelector": servers}]), [false, false, false]),
        (json!([{"namespaceSelector": {}}]), [true, true, false]),
        (json!([{"namespaceSelector": bob}]), [false, true, false]),
        (
            json!([{"namespaceSelector": bob, "podSelector": clients}]),
            [false, true, false],
        ),
        (
            json!([{"namespaceSelector": bob, "podSelector": servers}]),
            [false, false, false],
        ),
        // Two peers, not one with two conditions.
        (
            json!([{"namespaceSelector": bob}, {"podSelector": servers}]),
            [false, true, false],
        ),
        (
            json!([{"ipBlock": {"cidr": "192.0.2.0/24"}}]),
            [false, false, true],
        ),
        (
            json!([{"ipBlock": {"cidr": "192.0.2.0/24", "except": ["192.0.2.128/25"]}}]),
            [false, false, false],
        ),
        (
            json!([{"ipBlock": {"cidr": "192.0.2.0/24", "except": ["192.0.2.0/25"]}}]),
            [false, false, true],
        ),
        (
            json!([{"ipBlock": {"cidr": "192.0.2.0/24", "except": ["nonsense"]}}]),
            [false, false, false],
        ),
        (
            json!([{"ipBlock": {"cidr": "nonsense"}}]),
            [false, false, false],
        ),
        (
            json!([{"ipBlock": {"cidr": "::/0"}}]),
            [false, false, false],
        ),
        (
            json!([{"ipBlock": {"cidr": "0.0.0.0/0"}}]),
            [true, true, true],
        ),
        // Not valid to the API server; nobody in any case.
        (json!([{}]), [false, false, false]),
    ] {
        let spec = json!([{"podSelector": {}, "ingress": [{"from": from}]}]);
        let let_in = [&neighbour, &stranger, &far].map(|source| takes(spec.clone(), source));
        assert_eq!(let_in, who, "{from}");
    }
}

#[test]
fn addresses_of_both_families() {
    for (cidr, address, within) in [
        ("2001:db8::/32", "2001:db8:ffff::1", true),
        ("2001:db8::/32", "2001:db9::1", false),
        ("2001:db8::7/128", "2001:db8::7", true),
        ("::/0", "2001:db8::7", true),
        ("0.0.0.0/0", "2001:db8::7", false),
        ("10.1.2.3/8", "10.200.0.1", true),
        ("10.0.0.0/31", "10.0.0.2", false),
    ] {
        let spec = json!([{"ingress": [{"from": [{"ipBlock": {"cidr": cidr}}]}]}]);
        assert_eq!(
            takes(spec, &outside(address)),
            within,
            "{address} in {cidr}"
        );
    }
    let unknown = Source::default();
    let spec = json!([{"ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}]);
    assert!(!takes(spec, &unknown), "an unknown address is in no block");
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
        assert_eq!(takes(spec, &pod_of("bob", &[])), covered, "{ports}");
    }
}

#[test]
fn the_peer_and_the_port_must_be_in_one_rule() {
    let rules = json!([
        {"from": [{"podSelector": {}}], "ports": [{"port": 8000}]},
        {"ports": [{"port": 9000}]},
    ]);
    assert!(takes(json!([{"ingress": rules}]), &pod_of("alice", &[])));
    assert!(!takes(json!([{"ingress": rules}]), &pod_of("bob", &[])));
}

#[test]
fn a_namespace_is_the_same_only_by_its_name() {
    let spec = json!([{"ingress": [{"from": [{"podSelector": {}}]}]}]);
    let nameless = Source {
        namespace: Some(BTreeMap::new()),
        ..Source::default()
    };
    assert!(!takes(spec.clone(), &nameless));
    assert!(!admits(
        &policies(spec),
        &BTreeMap::new(),
        &web(),
        &nameless,
        8000,
        &[]
    ));
}

/// Specs of many shapes; every pair of them is tried below.
fn shapes() -> Vec<Value> {
    let mut shapes = Vec::new();
    for selector in [
        json!({}),
        json!({"matchLabels": {"app": "web"}}),
        json!({"matchLabels": {"app": "db"}}),
    ] {
        for types in [json!(null), json!(["Ingress"]), json!(["Egress"])] {
            for ingress in [
                json!(null),
                json!([]),
                json!([{}]),
                json!([{"from": [{"podSelector": {}}]}]),
                json!([{"from": [{"namespaceSelector": {}}], "ports": [{"port": 8000}]}]),
                json!([{"from": [{"ipBlock": {"cidr": "192.0.2.0/24"}}], "ports": [{"port": "http"}]}]),
                json!([{"ports": [{"port": 9000}]}]),
            ] {
                shapes.push(
                    json!({"podSelector": selector, "policyTypes": types, "ingress": ingress}),
                );
            }
        }
    }
    shapes
}

/// What the API promises of any set of policies: together they let in what each of those that select the pod lets in, in any
/// order, and those that do not select it change nothing.
#[test]
fn policies_only_ever_add_up() {
    let sources = [
        pod_of("alice", &[("role", "client")]),
        pod_of("bob", &[]),
        outside("192.0.2.1"),
        outside("2001:db8::1"),
    ];
    let shapes = shapes();
    let mut told_apart = 0;
    for one in &shapes {
        for other in &shapes {
            for source in &sources {
                let isolates =
                    |spec: &Value| !isolating(&policies(json!([spec])), &web()).is_empty();
                let alone = |spec: &Value| takes(json!([spec]), source);
                let expected = match (isolates(one), isolates(other)) {
                    (true, true) => alone(one) || alone(other),
                    (true, false) => alone(one),
                    (false, true) => alone(other),
                    (false, false) => true,
                };
                assert_eq!(
                    takes(json!([one, other]), source),
                    expected,
                    "{one} {other} {source:?}"
                );
                assert_eq!(
                    takes(json!([other, one]), source),
                    expected,
                    "{other} {one} {source:?}"
                );
                told_apart += usize::from(expected);
            }
        }
    }
    assert!(told_apart > 1000 && told_apart < shapes.len() * shapes.len() * sources.len() - 1000);
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
    let with = |admitted: Admitted, port: Option<IntOrString>| {
        let ours = allow(ObjectMeta::default(), pods.clone(), admitted, port);
        [isolated.clone(), vec![ours]].concat()
    };
    let here = labels_of_namespace("alice");
    let reaches = |policies: &[NetworkPolicy], namespace: &str, port: u16| {
        admits(policies, &here, &web(), &pod_of(namespace, &[]), port, &[])
    };
    for port in [None, Some(IntOrString::Int(8000))] {
        let policies = with(Admitted::Peers(peers.clone()), port.clone());
        assert!(reaches(&policies, "ingress-nginx", 8000));
        assert_eq!(reaches(&policies, "ingress-nginx", 9000), port.is_none());
        assert!(!reaches(&policies, "bob", 8000));
        assert!(reaches(&policies, "alice", 8000), "it adds to the others");
        assert!(lets_in(&policies, &web(), &peers[0], 8000, &[]));
        assert_eq!(
            lets_in(&policies, &web(), &peers[0], 9000, &[]),
            port.is_none()
        );
    }
    assert!(!lets_in(&isolated, &web(), &peers[0], 8000, &[]));
    assert!(lets_in(&[], &web(), &peers[0], 8000, &[]));

    let policies = with(Admitted::Everybody, None);
    assert!(reaches(&policies, "bob", 8000));
    assert!(lets_in(&policies, &web(), &peers[0], 8000, &[]));

    // No peers are nobody, though the API takes an empty `from` for everybody.
    let policies = with(Admitted::Peers(Vec::new()), None);
    assert!(!reaches(&policies, "bob", 8000));

    let named = allow(
        ObjectMeta::default(),
        pods.clone(),
        Admitted::Peers(peers),
        Some(IntOrString::String("http".to_owned())),
    );
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
