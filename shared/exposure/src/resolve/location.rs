//! At which host an address is to be, and through what it is served.

use commons::error::{Error, Kind, Result};
use commons::printable;

use super::read::{ExistingObjects, Snapshot};
use crate::existing::{ExistingRoutes, RouteKind};
use crate::gateway::ParentRef;
use crate::remedy::{Setting, set};
use crate::{Backend, Options, host};

/// Where an address is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) host: String,
    pub(super) route: RouteKind,
    /// What was learned, a phrase each.
    pub(super) learned: Vec<String>,
}

/// Decides by what is asked for, what the address has already, and what the other addresses of the namespace have.
///
/// # Errors
/// A host that cannot be completed; a Gateway that nothing names.
pub(super) fn location(seen: &Snapshot, backend: &Backend, options: &Options) -> Result<Location> {
    let (routes, found) = (&seen.routes, &seen.found);
    let asked = asked(options);
    let host = host_of(seen, backend, options, asked.as_ref())?;
    let domain = host::domain_of(&host);
    let route = match asked {
        Some(RouteKind::Route { parent }) => on_gateway(parent, routes, domain)?,
        Some(ingress) => ingress,
        None => as_before(found, routes, domain),
    };
    let mut learned = vec![host_in_words(&host, seen, options)];
    learned.extend(route_in_words(&route, found, options));
    Ok(Location {
        host,
        route,
        learned,
    })
}

/// Through what it is asked to be served; a Gateway without a name is any.
fn asked(options: &Options) -> Option<RouteKind> {
    match (&options.class, &options.parent) {
        (Some(class), _) => Some(RouteKind::Ingress {
            class: Some(class.clone()),
        }),
        (None, Some(parent)) => Some(RouteKind::Route {
            parent: parent.clone(),
        }),
        (None, None) => options.gateway.then(|| RouteKind::Route {
            parent: ParentRef::default(),
        }),
    }
}

fn host_of(
    seen: &Snapshot,
    backend: &Backend,
    options: &Options,
    asked: Option<&RouteKind>,
) -> Result<String> {
    let typed = options.host.as_deref();
    // What it has already stays, unless something else is asked for.
    if let (None, Some(present)) = (typed, seen.found.host()) {
        return Ok(present);
    }
    let domain = match typed {
        Some(host) if host.contains('.') => host::domain_of(host).map(str::to_owned),
        _ => seen
            .routes
            .domain(asked)
            .or_else(|| seen.routes.domain(None)),
    };
    host::complete(typed, &backend.name, &backend.namespace, domain.as_deref())
}

/// On the Gateway that was named, or else on the one of the other routes.
fn on_gateway(
    parent: ParentRef,
    routes: &ExistingRoutes,
    domain: Option<&str>,
) -> Result<RouteKind> {
    let taught = || routes.route_kind(domain, Some(true));
    if !parent.name.is_empty() && routes.routes.is_some() {
        return Ok(RouteKind::Route { parent });
    }
    if let (true, Some(taught)) = (parent.name.is_empty(), taught()) {
        return Ok(taught);
    }
    if routes.routes.is_none() {
        return Err(Error::of(
            Kind::NotFound,
            "this cluster does not serve the Gateway API, or not to you",
        )
        .hint(set("use an Ingress instead", [Setting::NoGateway])));
    }
    Err(
        Error::usage("missing a Gateway: no other route of the namespace has one").hint(set(
            "name the one in the platform's documentation",
            [Setting::Parent],
        )),
    )
}

/// As the address is served already, or as the other addresses are.
fn as_before(found: &ExistingObjects, routes: &ExistingRoutes, domain: Option<&str>) -> RouteKind {
    let as_others = |gateway| {
        let taught = routes.route_kind(domain, gateway);
        taught.unwrap_or(RouteKind::Ingress { class: None })
    };
    if let Some(ingress) = &found.ingress {
        let spec = ingress.spec.as_ref();
        return RouteKind::Ingress {
            class: spec.and_then(|spec| spec.ingress_class_name.clone()),
        };
    }
    let Some(route) = &found.route else {
        return as_others(None);
    };
    let parent = route.spec.parent_refs.first();
    match parent.filter(|parent| parent.kind.as_deref() != Some("ListenerSet")) {
        Some(parent) => RouteKind::Route {
            parent: parent.clone(),
        },
        None => as_others(Some(true)),
    }
}

fn host_in_words(host: &str, seen: &Snapshot, options: &Options) -> String {
    // Whoever may write an Ingress here may teach a domain: it is told whose it is.
    let as_others = match seen.routes.teacher(host::domain_of(host)) {
        Some(teacher) => format!(
            "as your other addresses, such as {}",
            printable::line(&teacher)
        ),
        None => "as your other addresses".to_owned(),
    };
    match (options.host.as_deref(), seen.found.host()) {
        (None, None) => format!("host {host} ({as_others})"),
        (Some(typed), _) if typed != host => format!("host {host} (completed {as_others})"),
        _ => format!("host {host}"),
    }
}

fn route_in_words(route: &RouteKind, found: &ExistingObjects, options: &Options) -> Option<String> {
    match route {
        RouteKind::Ingress { class: Some(class) }
            if options.class.is_none() && found.ingress.is_none() =>
        {
            let class = printable::line(class);
            Some(format!("class {class} (as your other addresses)"))
        }
        RouteKind::Route { parent } if options.parent.is_none() => {
            Some(format!("gateway {parent} (as your other addresses)"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn ingress(name: &str, host: &str, class: Option<&str>) -> Value {
        json!({"metadata": {"name": name}, "spec": {"ingressClassName": class, "rules": [{"host": host, "http": {"paths": [
            {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "x", "port": {"number": 80}}}}]}}]}})
    }

    fn route(name: &str, host: &str, gateway: &str) -> Value {
        json!({"metadata": {"name": name}, "spec": {"hostnames": [host], "parentRefs": [{"name": gateway, "namespace": "infra"}]}})
    }

    /// A namespace with these objects; `routes` is `None` where the Gateway API is not served.
    fn seen(ingresses: &[Value], routes: Option<&[Value]>) -> Snapshot {
        let read = |values: &[Value]| {
            values
                .iter()
                .map(|value| serde_json::from_value(value.clone()).unwrap())
                .collect()
        };
        Snapshot {
            routes: ExistingRoutes {
                ingresses: ingresses
                    .iter()
                    .map(|value| serde_json::from_value(value.clone()).unwrap())
                    .collect(),
                routes: routes.map(read),
                ..ExistingRoutes::default()
            },
            ..Snapshot::default()
        }
    }

    fn backend() -> Backend {
        Backend {
            namespace: "user-alice".into(),
            reference: "deployment/web".into(),
            name: "web".into(),
            pod_labels: [("app".to_owned(), "web".to_owned())].into(),
            containers: Vec::new(),
            services: Vec::new(),
            selector: [("app".to_owned(), "web".to_owned())].into(),
        }
    }

    fn of_class(class: Option<&str>) -> RouteKind {
        RouteKind::Ingress {
            class: class.map(str::to_owned),
        }
    }

    fn on(gateway: &str) -> RouteKind {
        RouteKind::Route {
            parent: format!("infra/{gateway}").parse().unwrap(),
        }
    }

    fn options(
        host: Option<&str>,
        class: Option<&str>,
        gateway: bool,
        parent: Option<&str>,
    ) -> Options {
        Options {
            host: host.map(str::to_owned),
            class: class.map(str::to_owned),
            gateway,
            parent: parent.map(|parent| parent.parse().unwrap()),
            ..Options::default()
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn host_and_route_by_what_is_asked_and_what_there_is() {
        let grafana = ingress("grafana", "grafana.kub.test", Some("traefik"));
        let docs = route("docs", "docs.gw.test", "shared");
        let ingresses = seen(std::slice::from_ref(&grafana), None);
        let both = seen(
            std::slice::from_ref(&grafana),
            Some(std::slice::from_ref(&docs)),
        );
        let empty = seen(&[], Some(&[]));
        for (seen, asked, host, route) in [
            (
                &ingresses,
                options(None, None, false, None),
                "web-alice.kub.test",
                of_class(Some("traefik")),
            ),
            (
                &ingresses,
                options(Some("shop"), None, false, None),
                "shop.kub.test",
                of_class(Some("traefik")),
            ),
            (
                &ingresses,
                options(Some("shop.other.test"), None, false, None),
                "shop.other.test",
                of_class(Some("traefik")),
            ),
            (
                &ingresses,
                options(None, Some("nginx"), false, None),
                "web-alice.kub.test",
                of_class(Some("nginx")),
            ),
            (
                &both,
                options(None, None, true, None),
                "web-alice.gw.test",
                on("shared"),
            ),
            (
                &both,
                options(Some("a.kub.test"), None, false, Some("infra/own")),
                "a.kub.test",
                on("own"),
            ),
            (
                &both,
                options(Some("a.gw.test"), None, false, None),
                "a.gw.test",
                on("shared"),
            ),
            (
                &empty,
                options(Some("a.b.test"), None, false, None),
                "a.b.test",
                of_class(None),
            ),
        ] {
            let location = location(seen, &backend(), &asked).unwrap();
            assert_eq!(
                (location.host.as_str(), &location.route),
                (host, &route),
                "{asked:?}"
            );
        }
        for (seen, asked, why) in [
            (
                &empty,
                options(None, None, false, None),
                "the host's domain cannot be learned",
            ),
            (
                &empty,
                options(Some("a.b.test"), None, true, None),
                "missing a Gateway",
            ),
            (
                &ingresses,
                options(None, None, true, None),
                "does not serve the Gateway API",
            ),
            (
                &ingresses,
                options(None, None, false, Some("infra/own")),
                "does not serve the Gateway API",
            ),
        ] {
            let error = location(seen, &backend(), &asked).expect_err(why);
            assert!(error.message().contains(why), "{error:?}");
        }
    }

    #[test]
    fn what_it_has_already_stays() {
        let own = ingress("expose-web", "shop.kub.test", Some("nginx"));
        let grafana = ingress("grafana", "grafana.kub.test", Some("traefik"));
        let mut seen = seen(&[grafana, own.clone()], None);
        seen.found.ingress = serde_json::from_value(own).unwrap();
        let stays = location(&seen, &backend(), &options(None, None, false, None)).unwrap();
        assert_eq!(
            (stays.host.as_str(), stays.route),
            ("shop.kub.test", of_class(Some("nginx")))
        );
        assert_eq!(stays.learned, ["host shop.kub.test"]);
        let moves = location(&seen, &backend(), &options(Some("new"), None, false, None)).unwrap();
        assert_eq!(moves.host, "new.kub.test");
    }
}
