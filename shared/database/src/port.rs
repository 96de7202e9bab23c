//! Which port of a Service, or of a pod, is the database's.

use k8s_openapi::api::core::v1::{Container, Endpoints, Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Protocol;

/// A port by which a database is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Port {
    /// The name that a Service has for it.
    pub name: Option<String>,
    /// The number by which clients know it.
    pub number: u16,
    /// The number in the pod, as far as it is known.
    pub target: Option<u16>,
    /// The name that the Service's port leads to.
    target_name: Option<String>,
}

impl Port {
    fn is_known(&self) -> bool {
        let numbers = [Some(self.number), self.target];
        let is_known = |port| Protocol::at_port(port).is_some();
        self.is_named_postgres() || numbers.into_iter().flatten().any(is_known)
    }

    fn is_named_postgres(&self) -> bool {
        [&self.name, &self.target_name]
            .into_iter()
            .flatten()
            .any(|name| name.contains("postgres") || name == "pg" || name.ends_with("-pg"))
    }

    /// What is spoken there, as far as the port tells.
    fn protocol(&self) -> Option<Protocol> {
        Protocol::at_port(self.number).or_else(|| self.target.and_then(Protocol::at_port))
    }
}

/// The port of a Service that leads to the database: one that is known by its number, its name or where it arrives; else one that
/// arrives where the database's container listens; else the first. Nothing where the Service has no TCP port, as headless ones.
pub(super) fn of_service(
    service: &Service,
    endpoints: &Endpoints,
    containers: &[Container],
) -> Option<Port> {
    let ports: Vec<Port> = tcp(service)
        .filter_map(|port| {
            Some(Port {
                name: port.name.clone(),
                number: u16::try_from(port.port).ok()?,
                target: target(port, endpoints, containers),
                target_name: match &port.target_port {
                    Some(IntOrString::String(name)) => Some(name.clone()),
                    _ => None,
                },
            })
        })
        .collect();
    let listens = database_container(containers)
        .into_iter()
        .filter(|container| protocol_of_image(container).is_some())
        .flat_map(declared)
        .collect::<Vec<u16>>();
    let arrives = |port: &&Port| port.target.is_some_and(|target| listens.contains(&target));
    ports
        .iter()
        .find(|port| port.is_known())
        .or_else(|| ports.iter().find(arrives))
        .or_else(|| ports.first())
        .cloned()
}

/// The port of a pod in which nothing but its containers tells it.
pub(super) fn of_pod(containers: &[Container]) -> Option<Port> {
    let all: Vec<u16> = containers.iter().flat_map(declared).collect();
    let known = all
        .iter()
        .find(|port| Protocol::at_port(**port).is_some())
        .copied();
    let usual = || {
        database_container(containers)
            .and_then(protocol_of_image)
            .and_then(Protocol::usual_port)
    };
    let number = known.or_else(usual).or_else(|| all.first().copied())?;
    Some(Port {
        name: None,
        number,
        target: Some(number),
        target_name: None,
    })
}

/// Whether a Service looks like one of a database.
pub(super) fn looks_like_database(service: &Service) -> bool {
    of_service(service, &Endpoints::default(), &[]).is_some_and(|port| port.is_known())
}

fn tcp(service: &Service) -> impl Iterator<Item = &ServicePort> {
    let ports = service
        .spec
        .iter()
        .flat_map(|spec| spec.ports.iter().flatten());
    ports.filter(|port| {
        port.protocol
            .as_deref()
            .is_none_or(|protocol| protocol == "TCP")
    })
}

/// Where a Service's port arrives in the pods. The Endpoints know it, also where the Service has only a name for it.
fn target(port: &ServicePort, endpoints: &Endpoints, containers: &[Container]) -> Option<u16> {
    let subsets = endpoints.subsets.iter().flatten();
    let arrived = subsets
        .flat_map(|subset| subset.ports.iter().flatten())
        .find(|arrived| arrived.name == port.name)
        .map(|arrived| arrived.port);
    let declared = || match &port.target_port {
        None => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => containers
            .iter()
            .flat_map(|container| container.ports.iter().flatten())
            .find(|port| port.name.as_ref() == Some(name))
            .map(|port| port.container_port),
    };
    u16::try_from(arrived.or_else(declared)?).ok()
}

/// The ports that a container says it listens on.
fn declared(container: &Container) -> impl Iterator<Item = u16> {
    let ports = container.ports.iter().flatten();
    ports.filter_map(|port| u16::try_from(port.container_port).ok())
}

/// The container that runs the database, among sidecars.
pub(super) fn database_container(containers: &[Container]) -> Option<&Container> {
    let has_known_port =
        |container: &&Container| declared(container).any(|port| Protocol::at_port(port).is_some());
    containers
        .iter()
        .find(|container| protocol_of_image(container).is_some())
        .or_else(|| containers.iter().find(has_known_port))
        .or_else(|| containers.first())
}

/// Whether one of these containers is a database's for sure.
pub(super) fn is_database(containers: &[Container]) -> bool {
    database_container(containers).is_some_and(|container| {
        protocol_of_image(container).is_some()
            || declared(container).any(|port| Protocol::at_port(port).is_some())
    })
}

fn protocol_of_image(container: &Container) -> Option<Protocol> {
    Protocol::of_image(container.image.as_deref().unwrap_or_default())
}

/// What is spoken at a port of a pod with these containers.
pub(super) fn protocol(port: &Port, containers: &[Container], is_cnpg: bool) -> Protocol {
    if is_cnpg || port.is_named_postgres() {
        return Protocol::Postgres;
    }
    database_container(containers)
        .and_then(protocol_of_image)
        .or_else(|| port.protocol())
        .unwrap_or(Protocol::Other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// As one that runs beside an exporter.
    fn containers() -> Vec<Container> {
        serde_json::from_value(json!([
            {"name": "exporter", "image": "busybox:1", "ports": [{"name": "metrics", "containerPort": 9187}]},
            {"name": "db", "image": "postgres:15", "ports": [{"name": "database", "containerPort": 5432}]},
        ]))
        .expect("containers")
    }

    fn service(ports: &Value) -> Service {
        serde_json::from_value(json!({"metadata": {"name": "pg"}, "spec": {"ports": ports}}))
            .expect("a service")
    }

    #[test]
    fn ports_of_every_shape_lead_to_the_database() {
        let metrics = json!({"name": "metrics", "port": 9187, "targetPort": 9187});
        for (ports, number, target) in [
            (json!([{"port": 5432}]), 5432, 5432),
            (
                json!([{"name": "sql", "port": 2345, "targetPort": 5432}]),
                2345,
                5432,
            ),
            (
                json!([{"name": "main", "port": 80, "targetPort": "database"}]),
                80,
                5432,
            ),
            (
                json!([metrics, {"name": "other", "port": 2345, "targetPort": 5432}]),
                2345,
                5432,
            ),
            (
                json!([metrics, {"name": "other", "port": 80, "targetPort": "database"}]),
                80,
                5432,
            ),
            (
                json!([metrics, {"name": "tcp-postgresql", "port": 5433}]),
                5433,
                5433,
            ),
            (
                json!([{"name": "u", "port": 5432, "protocol": "UDP"}, {"name": "t", "port": 5432}]),
                5432,
                5432,
            ),
            (json!([metrics]), 9187, 9187),
        ] {
            let port = of_service(&service(&ports), &Endpoints::default(), &containers())
                .unwrap_or_else(|| panic!("{ports}"));
            assert_eq!(
                (port.number, port.target),
                (number, Some(target)),
                "{ports}"
            );
            assert_eq!(protocol(&port, &containers(), false), Protocol::Postgres);
        }
        assert_eq!(
            of_service(&Service::default(), &Endpoints::default(), &containers()),
            None
        );
    }

    #[test]
    fn endpoints_tell_where_a_name_leads() {
        let endpoints = serde_json::from_value(json!({"subsets": [{"ports": [{"name": "m", "port": 9187}, {"name": "x", "port": 6379}]}]}))
            .expect("endpoints");
        let service = service(&json!([
            {"name": "m", "port": 80, "targetPort": "metrics"},
            {"name": "x", "port": 81, "targetPort": "cache"},
        ]));
        let port = of_service(&service, &endpoints, &[]).expect("a port");
        assert_eq!((port.number, port.target), (81, Some(6379)));
        assert_eq!(protocol(&port, &[], false), Protocol::Redis);
    }

    #[test]
    fn a_pod_tells_its_port() {
        let port = |containers: &[Container]| of_pod(containers).map(|port| port.number);
        assert_eq!(port(&containers()), Some(5432));
        let silent = |image: &str| {
            let container = json!([{"name": "c", "image": image}]);
            serde_json::from_value::<Vec<Container>>(container).expect("containers")
        };
        assert_eq!(port(&silent("mariadb:11")), Some(3306));
        assert_eq!(port(&silent("nginx")), None);
        assert_eq!(port(&containers()[..1]), Some(9187));
    }
}
