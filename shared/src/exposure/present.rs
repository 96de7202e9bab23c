//! Addresses that are there already, as manifests have them: proven like our own.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::{Ingress, IngressServiceBackend};
use kube::ResourceExt;
use tokio::time::{Instant, sleep};

use super::neighbours::{Address, addresses_of_ingress};
use super::plan::Plan;
use super::pods::{self, Sends, Silence};
use super::port::{self, Choice, Typed as TypedPort};
use super::prove::{App, ask_app, ready};
use super::resolve::{Found, Policing, Resolved, policy, read_neighbours};
use super::tls::Tls;
use super::visit::{Visitor, two_randoms};
use super::{Backend, Options};
use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::tunnel::Endpoint;
use crate::workload::{self, Kind, Typed};

/// Parts of annotations by which controllers change requests or answers on their way, so that the app's own answer is not what
/// comes back.
const CHANGES_ANSWERS: [&str; 5] = [
    "rewrite",
    "middlewares",
    "auth",
    "snippet",
    "backend-protocol",
];

/// An address of an Ingress, and the app behind it.
pub struct Present {
    /// What there is to prove.
    pub resolved: Resolved,
    /// The app's pods.
    pub pods: Vec<Pod>,
    /// Whether its answer can be compared with the app's own.
    pub is_comparable: bool,
}

/// The addresses of an Ingress that lead to apps of its namespace: one a host, those of wildcards left out.
///
/// # Errors
/// The API server's refusals; a port that the Service has not.
pub async fn addresses(cluster: &Cluster, ingress: &Ingress) -> Result<Vec<Present>> {
    let namespace = ingress.namespace().unwrap_or_default();
    let neighbours = read_neighbours(cluster, &namespace).await?;
    let mut all = Vec::new();
    for address in addresses_of_ingress(ingress) {
        let Some((path, service)) = leads_to(ingress, &address.host) else {
            continue;
        };
        if address.host.starts_with("*.") {
            continue;
        }
        let typed = Typed {
            kind: Some(Kind::Service),
            name: service.name.clone(),
        };
        let app = workload::find(cluster, &namespace, &typed).await?;
        if app.kind == Kind::Service {
            continue;
        }
        let backend = Backend::of(&app);
        let number = service.port.as_ref().and_then(|port| {
            let name = || port.name.clone().map(TypedPort::Name);
            let number = u16::try_from(port.number?).ok();
            number.map(TypedPort::Number).or_else(name)
        });
        let choice = port::choose(
            &backend.name,
            &backend.services,
            &backend.containers,
            number.as_ref(),
        )?;
        let Choice::Existing(port) = choice else {
            continue;
        };
        let Policing { isolated_by, .. } = policy(
            &backend,
            &Options::default(),
            &neighbours,
            "",
            port.target,
            &mut Vec::new(),
            &mut Vec::new(),
        );
        let visitor = Visitor::new(address.tls.as_ref().map_or("http", Tls::scheme), &path);
        let nobody = visitor.nobody(&address.host, two_randoms()).await.ok();
        all.push(Present {
            resolved: Resolved::of_present(
                plan(&address, ingress, &backend, &port),
                Found::of_ingress(ingress),
                isolated_by,
                visitor,
                nobody,
                port.field,
                backend,
            ),
            pods: app.pods,
            is_comparable: !ingress
                .annotations()
                .keys()
                .any(|key| CHANGES_ANSWERS.iter().any(|part| key.contains(part))),
        });
    }
    Ok(all)
}

/// The first path of a host that leads to a Service, and that Service.
fn leads_to<'a>(ingress: &'a Ingress, host: &str) -> Option<(String, &'a IngressServiceBackend)> {
    let rules = ingress
        .spec
        .iter()
        .flat_map(|spec| spec.rules.iter().flatten());
    rules
        .filter(|rule| rule.host.as_deref() == Some(host))
        .flat_map(|rule| rule.http.iter().flat_map(|http| &http.paths))
        .find_map(|path| {
            let at = path.path.clone().unwrap_or_else(|| "/".into());
            Some((at, path.backend.service.as_ref()?))
        })
}

fn plan(address: &Address, ingress: &Ingress, backend: &Backend, port: &port::Port) -> Plan {
    Plan {
        namespace: backend.namespace.clone(),
        name: ingress.name_any(),
        app: backend.reference.clone(),
        host: address.host.clone(),
        way: address.way.clone(),
        tls: address.tls.clone().unwrap_or(Tls::Off),
        own_listener: false,
        service: port.service.clone(),
        service_port: port.number,
        target: port.target,
        new_service: None,
        policy: None,
        term: None,
    }
}

/// What is wrong where nothing listens on the port that a Service sends to, some time after its app is ready; nothing where
/// something does, or no pod can be asked.
///
/// # Errors
/// The API server's refusals.
pub async fn unheard(cluster: &Cluster, namespace: &str, service: &str) -> Result<Option<Error>> {
    let typed = Typed {
        kind: Some(Kind::Service),
        name: service.to_owned(),
    };
    let app = workload::find(cluster, namespace, &typed).await?;
    let Some(pod) = ready(&app.pods).next() else {
        return Ok(None);
    };
    let backend = Backend::of(&app);
    let choice = port::choose(&backend.name, &backend.services, &backend.containers, None);
    let Ok(Choice::Existing(port)) = choice else {
        return Ok(None);
    };
    let endpoint = Endpoint {
        namespace: namespace.to_owned(),
        pod: pod.name_any(),
        port: port.target,
    };
    let started = Instant::now();
    while pods::listening(cluster, &endpoint, &[port.target])
        .await
        .is_empty()
    {
        if started.elapsed() > BEGINNING {
            let others = pods::elsewhere(cluster, &endpoint, &backend.containers).await;
            let sends = Sends {
                service,
                field: &port.field,
                deployed: None,
            };
            let silence = Silence::NothingListens;
            return Ok(Some(pods::explain(
                &silence,
                &backend.reference,
                &endpoint,
                &others,
                Some(sends),
            )));
        }
        sleep(Duration::from_millis(500)).await;
    }
    Ok(None)
}

/// How long a program that says nothing of being ready may take until it listens.
const BEGINNING: Duration = Duration::from_secs(4);

impl Present {
    /// Asks the app itself as [`super::ask_app`] does, and again while it may be beginning to listen.
    ///
    /// # Errors
    /// As [`super::ask_app`]'s.
    pub async fn ask(&mut self, cluster: &Cluster) -> Result<App> {
        let started = Instant::now();
        loop {
            match ask_app(cluster, &mut self.resolved, &self.pods).await {
                Err(_) if started.elapsed() < BEGINNING => sleep(Duration::from_millis(500)).await,
                asked => return asked,
            }
        }
    }
}
