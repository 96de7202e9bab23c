use serde_json::json;

use super::*;

fn backend() -> Backend {
    let container = json!({"name": "web", "ports": [{"containerPort": 8000}]});
    Backend {
        namespace: "user-alice".into(),
        reference: "deployment/web".into(),
        name: "web".into(),
        pod_labels: [("app".to_owned(), "web".to_owned())].into(),
        containers: vec![serde_json::from_value(container).unwrap()],
        services: Vec::new(),
        selector: [("app".to_owned(), "web".to_owned())].into(),
    }
}

fn at(host: &str) -> Location {
    Location {
        host: host.into(),
        route: RouteKind::Ingress { class: None },
        learned: vec![format!("host {host}")],
    }
}

/// The draft for an app of an empty namespace.
pub(in crate::resolve) fn example() -> Draft {
    let (seen, facts) = (Snapshot::default(), CertificateFacts::default());
    drafted(
        seen,
        Tls::Wildcard,
        SaidBy::Taught,
        facts,
        &backend(),
        &Options::default(),
    )
    .unwrap()
}

fn drafted(
    seen: Snapshot,
    tls: Tls,
    origin: SaidBy,
    facts: CertificateFacts,
    backend: &Backend,
    options: &Options,
) -> Result<Draft> {
    let wanted = Wanted { tls, origin };
    draft(seen, at("web.kub.test"), wanted, facts, backend, options)
}

#[test]
fn a_secret_of_others_is_used_if_it_is_for_the_host() {
    for (names, origin, tls) in [
        (
            Some(vec!["*.kub.test"]),
            SaidBy::Taught,
            Tls::Secret("all".into()),
        ),
        (
            Some(vec!["grafana.kub.test"]),
            SaidBy::Taught,
            Tls::Wildcard,
        ),
        (None, SaidBy::Taught, Tls::Wildcard),
        (None, SaidBy::Present, Tls::Secret("all".into())),
    ] {
        let names = names.map(|names| names.into_iter().map(str::to_owned).collect());
        let facts = CertificateFacts {
            names,
            ..CertificateFacts::default()
        };
        let secret = Tls::Secret("all".into());
        let draft = drafted(
            Snapshot::default(),
            secret,
            origin,
            facts,
            &backend(),
            &Options::default(),
        );
        assert_eq!(draft.unwrap().plan.tls, tls);
    }
    let facts = CertificateFacts {
        no_secret: true,
        ..CertificateFacts::default()
    };
    let secret = Tls::Secret("all".into());
    let error = drafted(
        Snapshot::default(),
        secret,
        SaidBy::Asked,
        facts,
        &backend(),
        &Options::default(),
    );
    assert_eq!(error.expect_err("no such secret").kind(), Kind::NotFound);
}

#[test]
fn without_a_service_one_is_made() {
    let draft = drafted(
        Snapshot::default(),
        Tls::Wildcard,
        SaidBy::Taught,
        CertificateFacts::default(),
        &backend(),
        &Options::default(),
    )
    .unwrap();
    let plan = draft.plan;
    assert_eq!(
        (plan.service.as_str(), plan.service_port, plan.target),
        ("expose-web", 80, 8000)
    );
    assert_eq!(plan.new_service, Some(backend().selector));
    assert!(draft.fresh && draft.unknown_ports.is_empty());
    let unlabelled = Backend {
        selector: BTreeMap::new(),
        ..backend()
    };
    let error = drafted(
        Snapshot::default(),
        Tls::Wildcard,
        SaidBy::Taught,
        CertificateFacts::default(),
        &unlabelled,
        &Options::default(),
    );
    assert!(
        error
            .expect_err("no labels")
            .message()
            .contains("have no labels")
    );
}

#[test]
fn only_the_rights_that_are_needed_are_missed() {
    for (resource, is_missed) in [
        ("services", true),
        ("ingresses", true),
        ("httproutes", false),
        ("jobs", false),
    ] {
        let seen = Snapshot {
            lacking: vec![Right::core("create", resource)],
            ..Snapshot::default()
        };
        let draft = drafted(
            seen,
            Tls::Wildcard,
            SaidBy::Taught,
            CertificateFacts::default(),
            &backend(),
            &Options::default(),
        );
        assert_eq!(draft.is_err(), is_missed, "{resource}");
    }
}

#[test]
fn a_host_of_ones_own_is_not_shared() {
    let other = json!({"metadata": {"name": "shop"}, "spec": {"rules": [{"host": "web.kub.test", "http": {"paths": [
        {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "shop", "port": {"number": 80}}}}]}}]}});
    let seen = Snapshot {
        routes: ExistingRoutes {
            ingresses: vec![serde_json::from_value(other).unwrap()],
            ..ExistingRoutes::default()
        },
        ..Snapshot::default()
    };
    let draft = |take| {
        let options = Options {
            take,
            ..Options::default()
        };
        drafted(
            seen.clone(),
            Tls::Wildcard,
            SaidBy::Taught,
            CertificateFacts::default(),
            &backend(),
            &options,
        )
    };
    let error = draft(false).expect_err("it has another");
    assert!(
        error.message().contains("another address of yours"),
        "{error:?}"
    );
    assert!(draft(true).is_ok());
}
