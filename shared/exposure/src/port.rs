//! Which port of which Service leads to an app, and where it arrives in the pods.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;

use commons::error::{Error, Kind, Result};
use commons::printable;
use commons::shell::shell;

use super::remedy::{Setting, set};

/// Ports that web applications listen on, the likeliest first.
pub const COMMON_PORTS: [u16; 18] = [
    80, 8080, 8000, 3000, 5000, 8501, 8888, 5173, 8787, 7860, 4173, 4200, 8081, 9000, 9090, 1337,
    443, 8443,
];

/// Names of ports that speak HTTP.
const HTTP_NAMES: [&str; 5] = ["http", "web", "http-web", "https", "ui"];

/// A port as typed: its number, or its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortRef {
    /// 1 to 65535.
    Number(u16),
    /// As the Service or container calls it.
    Name(String),
}

impl std::str::FromStr for PortRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(number) = text.parse::<u16>()
            && number > 0
        {
            return Ok(Self::Number(number));
        }
        let name = !text.is_empty()
            && text.len() <= 15
            && text
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && text.chars().any(|c| c.is_ascii_lowercase());
        if name {
            Ok(Self::Name(text.into()))
        } else {
            Err("a port is a number from 1 to 65535, or the name of one".into())
        }
    }
}

impl std::fmt::Display for PortRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => write!(f, "{}", printable::line(name)),
        }
    }
}

/// A port of a Service, and where it arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The Service's name.
    pub service: String,
    /// The Service's port.
    pub number: i32,
    /// The port in the pods.
    pub target: u16,
    /// The field that says so, for when it is wrong: `spec.ports[0].targetPort`.
    pub field: String,
}

/// How an app is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Through a Service that exists (or is made with the app).
    Existing(Port),
    /// Through a Service to be made, to this port of the pods.
    New(u16),
    /// Nothing says which port it is: see which of these the pods listen on.
    Unknown(Vec<u16>),
}

/// Chooses from what is declared.
///
/// # Errors
/// A port typed that there is not, a Service that names a container port which there is not.
pub fn choose(
    app: &str,
    services: &[Service],
    containers: &[Container],
    wanted: Option<&PortRef>,
) -> Result<Choice> {
    let ports = service_ports(app, services);
    match wanted {
        Some(wanted) => named(app, &ports, containers, wanted),
        None => likeliest(&ports, containers),
    }
}

/// A TCP port of a Service, and its position there.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    service: &'a Service,
    position: usize,
    port: &'a ServicePort,
}

impl Candidate<'_> {
    fn target(&self, containers: &[Container]) -> Result<Port> {
        target(self.service, self.position, self.port, containers)
    }
}

/// The ports of Services that can be led to; the Service that is called like the app first: charts add others for metrics and
/// the like.
fn service_ports<'a>(app: &str, services: &'a [Service]) -> Vec<Candidate<'a>> {
    let usable = |service: &&Service| {
        service.spec.as_ref().is_some_and(|spec| {
            spec.type_.as_deref() != Some("ExternalName")
                && spec.cluster_ip.as_deref() != Some("None")
        })
    };
    let mut services: Vec<&Service> = services.iter().filter(usable).collect();
    services.sort_by_key(|service| {
        let name = service.name_any();
        (name != app, name.len(), name)
    });
    let of_service = |service: &'a Service| {
        let spec = service.spec.iter();
        let ports = spec.flat_map(|spec| spec.ports.iter().flatten());
        ports.enumerate().map(move |(position, port)| Candidate {
            service,
            position,
            port,
        })
    };
    services
        .into_iter()
        .flat_map(of_service)
        .filter(|candidate| is_tcp(candidate.port.protocol.as_deref()))
        .collect()
}

fn is_tcp(protocol: Option<&str>) -> bool {
    protocol.is_none_or(|protocol| protocol == "TCP")
}

/// The port that was typed: of a Service; or of the pods, through the Service's port that leads there, else through a Service of
/// its own.
fn named(
    app: &str,
    ports: &[Candidate],
    containers: &[Container],
    wanted: &PortRef,
) -> Result<Choice> {
    let is_wanted = |candidate: &&Candidate| match wanted {
        PortRef::Number(number) => candidate.port.port == i32::from(*number),
        PortRef::Name(name) => candidate.port.name.as_ref() == Some(name),
    };
    if let Some(candidate) = ports.iter().find(is_wanted) {
        return Ok(Choice::Existing(candidate.target(containers)?));
    }
    let of_pods = match wanted {
        PortRef::Number(number) => Some(*number),
        PortRef::Name(name) => declared(containers)
            .find(|(_, called)| *called == Some(name.as_str()))
            .map(|(number, _)| number),
    };
    let Some(of_pods) = of_pods else {
        return Err(no_such_port(app, ports, containers, wanted));
    };
    let leading = ports
        .iter()
        .filter_map(|candidate| candidate.target(containers).ok())
        .find(|port| port.target == of_pods);
    Ok(leading.map_or(Choice::New(of_pods), Choice::Existing))
}

fn no_such_port(
    app: &str,
    ports: &[Candidate],
    containers: &[Container],
    wanted: &PortRef,
) -> Error {
    let of_services = ports
        .iter()
        .filter_map(|candidate| candidate.port.name.clone());
    let of_pods = declared(containers).filter_map(|(_, name)| name.map(str::to_owned));
    let known: BTreeSet<String> = of_services.chain(of_pods).collect();
    let known: Vec<String> = known.into_iter().collect();
    let error = Error::of(
        Kind::NotFound,
        format!("`{app}` has no port named `{wanted}`"),
    );
    if known.is_empty() {
        error.hint(set("give its number", [Setting::Port(None)]))
    } else {
        error.hint(format!("its ports are named {}", quoted(&known)))
    }
}

/// The port that is most likely a web page's, of the first Service that has any; of the containers, where no Service has.
fn likeliest(ports: &[Candidate], containers: &[Container]) -> Result<Choice> {
    if let Some(first) = ports.first() {
        let of_first = ports
            .iter()
            .filter(|candidate| candidate.service.name_any() == first.service.name_any());
        if let Some(candidate) = of_first.min_by_key(|candidate| likelihood(candidate.port)) {
            return Ok(Choice::Existing(candidate.target(containers)?));
        }
    }
    let mut numbers: Vec<u16> = declared(containers).map(|(number, _)| number).collect();
    numbers.dedup();
    let is_http = |name: Option<&str>| name.is_some_and(|name| HTTP_NAMES.contains(&name));
    match (
        &numbers[..],
        declared(containers).find(|(_, name)| is_http(*name)),
    ) {
        ([only], _) => Ok(Choice::New(*only)),
        (_, Some((number, _))) => Ok(Choice::New(number)),
        _ => {
            let others = COMMON_PORTS
                .iter()
                .filter(|common| !numbers.contains(common));
            let all = numbers.iter().chain(others).copied().collect();
            Ok(Choice::Unknown(all))
        }
    }
}

/// How likely a port is a web page's; the least is the likeliest.
fn likelihood(port: &ServicePort) -> (bool, usize) {
    let name = port.name.as_deref().or(port.app_protocol.as_deref());
    let is_named = name.is_some_and(|name| HTTP_NAMES.contains(&name));
    let number = u16::try_from(port.port).unwrap_or_default();
    let common = COMMON_PORTS.iter().position(|common| *common == number);
    (!is_named, common.unwrap_or(COMMON_PORTS.len()))
}

/// TCP ports that containers declare, with their names. They are only information: an app may listen elsewhere.
pub fn declared(containers: &[Container]) -> impl Iterator<Item = (u16, Option<&str>)> {
    let ports = containers
        .iter()
        .flat_map(|container| container.ports.iter().flatten());
    ports
        .filter(|port| is_tcp(port.protocol.as_deref()))
        .filter_map(|port| {
            Some((
                u16::try_from(port.container_port).ok()?,
                port.name.as_deref(),
            ))
        })
}

/// Where a Service's port arrives in the pods.
fn target(
    service: &Service,
    position: usize,
    port: &ServicePort,
    containers: &[Container],
) -> Result<Port> {
    let name = service.name_any();
    let field = format!("spec.ports[{position}].targetPort");
    let number = match &port.target_port {
        None | Some(IntOrString::Int(0)) => port.port,
        Some(IntOrString::Int(number)) => *number,
        Some(IntOrString::String(wanted)) => {
            let found = declared(containers).find(|(_, called)| *called == Some(wanted.as_str()));
            let Some((number, _)) = found else {
                let names: Vec<String> = declared(containers)
                    .filter_map(|(_, name)| name.map(str::to_owned))
                    .collect();
                let numbers: Vec<String> = declared(containers)
                    .map(|(number, _)| number.to_string())
                    .collect();
                let error = Error::new(format!(
                    "service `{name}` sends to a port named `{}`, and no container has one of that name",
                    printable::short(wanted, 60)
                ));
                let error = match (names.is_empty(), numbers.is_empty()) {
                    (false, _) => {
                        error.caused_by(format!("the containers name {}", quoted(&names)))
                    }
                    (true, false) => error.caused_by(format!(
                        "the containers declare {} without a name",
                        numbers.join(", ")
                    )),
                    (true, true) => error.caused_by("the containers declare no ports at all"),
                };
                return Err(error.hint(format!(
                    "set `{field}` of service `{name}` to the port's number: `{}`",
                    shell("kubectl edit service")
                        .arg(&name)
                        .option("-n", service.namespace())
                )));
            };
            i32::from(number)
        }
    };
    let target = u16::try_from(number).unwrap_or_default();
    Ok(Port {
        service: name,
        number: port.port,
        target,
        field,
    })
}

fn quoted(names: &[String]) -> String {
    names
        .iter()
        .map(|name| format!("`{}`", printable::short(name, 60)))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(yaml: &str) -> Service {
        serde_saphyr::from_str(yaml).expect("a Service")
    }

    fn containers(yaml: &str) -> Vec<Container> {
        serde_saphyr::from_str(yaml).expect("containers")
    }

    fn web() -> Vec<Container> {
        containers("[{name: web, ports: [{containerPort: 8000, name: app}]}]")
    }

    #[test]
    fn a_service_says_where_its_port_arrives() {
        let services = [service(
            "{metadata: {name: web}, spec: {ports: [{port: 80, targetPort: 8000}]}}",
        )];
        let port = Port {
            service: "web".into(),
            number: 80,
            target: 8000,
            field: "spec.ports[0].targetPort".into(),
        };
        assert_eq!(
            choose("web", &services, &web(), None).ok(),
            Some(Choice::Existing(port.clone()))
        );
        assert_eq!(
            choose("web", &services, &web(), Some(&PortRef::Number(80))).ok(),
            Some(Choice::Existing(port.clone()))
        );
        assert_eq!(
            choose("web", &services, &web(), Some(&PortRef::Number(8000))).ok(),
            Some(Choice::Existing(port)),
            "the pods' port means the same"
        );
        assert_eq!(
            choose("web", &services, &web(), Some(&PortRef::Number(9000))).ok(),
            Some(Choice::New(9000))
        );
        assert!(
            choose(
                "web",
                &services,
                &web(),
                Some(&PortRef::Name("metrics".into()))
            )
            .is_err()
        );
        assert_eq!(
            choose("web", &[], &web(), Some(&PortRef::Name("app".into()))).ok(),
            Some(Choice::New(8000))
        );
    }

    #[test]
    fn a_named_target_must_be_named_by_a_container() {
        let services = [service(
            "{metadata: {name: web}, spec: {ports: [{port: 80, targetPort: http}]}}",
        )];
        let error = choose("web", &services, &web(), None).expect_err("it cannot arrive");
        assert!(
            error.message().contains("`http`") && error.causes()[0].contains("`app`"),
            "{error:?}"
        );
        let named = [service(
            "{metadata: {name: web}, spec: {ports: [{port: 80, targetPort: app}]}}",
        )];
        assert!(
            matches!(choose("web", &named, &web(), None), Ok(Choice::Existing(port)) if port.target == 8000)
        );
    }

    #[test]
    fn of_several_ports_the_one_for_http_is_taken() {
        let services = [
            service("{metadata: {name: web-metrics}, spec: {ports: [{port: 9100}]}}"),
            service(
                "{metadata: {name: web}, spec: {ports: [{port: 5432, name: db}, {port: 8080, name: http}]}}",
            ),
            service(
                "{metadata: {name: web-headless}, spec: {clusterIP: None, ports: [{port: 80}]}}",
            ),
        ];
        assert!(
            matches!(choose("web", &services, &[], None), Ok(Choice::Existing(port)) if port.number == 8080 && port.field == "spec.ports[1].targetPort")
        );
        let udp = [service(
            "{metadata: {name: web}, spec: {ports: [{port: 53, protocol: UDP}]}}",
        )];
        assert_eq!(
            choose("web", &udp, &web(), None).ok(),
            Some(Choice::New(8000))
        );
    }

    #[test]
    fn without_any_declaration_the_pods_are_looked_at() {
        assert!(
            matches!(choose("web", &[], &containers("[{name: web}]"), None), Ok(Choice::Unknown(ports)) if ports[0] == 80)
        );
        let two =
            containers("[{name: web, ports: [{containerPort: 9999}, {containerPort: 7777}]}]");
        assert!(
            matches!(choose("web", &[], &two, None), Ok(Choice::Unknown(ports)) if ports[..2] == [9999, 7777])
        );
        let named = containers(
            "[{name: web, ports: [{containerPort: 9999}, {containerPort: 7777, name: http}]}]",
        );
        assert_eq!(
            choose("web", &[], &named, None).ok(),
            Some(Choice::New(7777))
        );
    }

    #[test]
    fn ports_are_numbers_or_names() {
        assert_eq!("8000".parse(), Ok(PortRef::Number(8000)));
        assert_eq!("http".parse(), Ok(PortRef::Name("http".into())));
        for wrong in ["0", "65536", "-1", "80/tcp", "", "HTTP", "8000x\u{1b}"] {
            assert!(wrong.parse::<PortRef>().is_err(), "{wrong}");
        }
    }
}
