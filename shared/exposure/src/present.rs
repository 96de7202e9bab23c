//! Addresses and Services that are there already, as manifests have them: looked at like our own, and never changed.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::{Ingress, IngressServiceBackend};
use kube::ResourceExt;
use tokio::time::sleep;

use super::existing::{Address, ExistingRoutes, addresses_of_ingress};
use super::plan::Plan;
use super::pods::{self, Beginning, Sends, Silence};
use super::port::{self, Choice, PortRef};
use super::probe::{Prober, two_randoms};
use super::prove::{AnsweringApp, PAUSE, ask_app, ready_pods};
use super::resolve::{ExistingObjects, Resolved, existing_routes, policing};
use super::tls::Tls;
use super::{Backend, Options};
use commons::cluster::Cluster;
use commons::error::{Error, Result};
use tunnel::Endpoint;
use workload::{AppRef, Kind};

/// Parts of annotations by which controllers change requests or answers on their way, so that the app's own answer is not what
/// comes back.
const CHANGES_ANSWERS: [&str; 10] = [
    "rewrite",
    "redirect",
    "middlewares",
    "auth",
    "snippet",
    "backend-protocol",
    "default-backend",
    "custom-http-errors",
    "upstream-vhost",
    "whitelist",
];

/// What there is around the addresses of a namespace, read once.
pub struct Place {
    existing: ExistingRoutes,
}

/// An address of an Ingress, and the app behind it.
pub struct Present {
    /// What there is to prove.
    pub resolved: Resolved,
    pods: Vec<Pod>,
}

/// Whether an Ingress leaves its apps' answers as they are.
pub fn is_comparable(ingress: &Ingress) -> bool {
    let mut annotations = ingress.annotations().keys();
    !annotations.any(|key| CHANGES_ANSWERS.iter().any(|part| key.contains(part)))
}

/// The addresses of an Ingress, those of wildcards left out.
pub fn urls(ingress: &Ingress) -> Vec<String> {
    addresses_of_ingress(ingress)
        .iter()
        .filter(|address| !address.host.starts_with("*."))
        .map(|address| format!("{}://{}", scheme(address), address.host))
        .collect()
}

fn scheme(address: &Address) -> &'static str {
    address.tls.as_ref().map_or("http", Tls::scheme)
}

impl Place {
    /// Reads it.
    ///
    /// # Errors
    /// The API server's refusals.
    pub async fn read(cluster: &Cluster) -> Result<Self> {
        let existing = existing_routes(cluster, cluster.namespace()).await?;
        Ok(Self { existing })
    }

    /// One address of an Ingress, with the app that it leads to; nothing where it leads to none of this namespace that has
    /// ready pods.
    ///
    /// # Errors
    /// The API server's refusals; a port that the Service has not.
    pub async fn address(
        &self,
        cluster: &Cluster,
        ingress: &Ingress,
        url: &str,
    ) -> Result<Option<Present>> {
        let addresses = addresses_of_ingress(ingress);
        let Some(address) = addresses
            .iter()
            .find(|address| url == format!("{}://{}", scheme(address), address.host))
        else {
            return Ok(None);
        };
        let Some((path, service)) = leads_to(ingress, &address.host) else {
            return Ok(None);
        };
        let Some(app) = app_behind(cluster, &service.name).await? else {
            return Ok(None);
        };
        if ready_pods(&app.pods).next().is_none() {
            return Ok(None);
        }
        let backend = Backend::of(&app);
        let wanted = service.port.as_ref().and_then(|port| {
            let name = || port.name.clone().map(PortRef::Name);
            let number = port.number.and_then(|number| u16::try_from(number).ok());
            number.map(PortRef::Number).or_else(name)
        });
        let choice = port::choose(
            &backend.name,
            &backend.services,
            &backend.containers,
            wanted.as_ref(),
        )?;
        let Choice::Existing(port) = choice else {
            return Ok(None);
        };
        let options = Options::default();
        let policing = policing(&backend, &options, &self.existing, "", port.target);
        let prober = Prober::new(cluster, scheme(address), &path);
        let baseline = prober.baseline(&address.host, two_randoms()).await;
        Ok(Some(Present {
            resolved: Resolved::of_present(
                plan(address, ingress, &backend, &port),
                ExistingObjects::of_ingress(ingress),
                policing.isolated_by,
                prober,
                baseline,
                port.field,
                backend,
            ),
            pods: app.pods,
        }))
    }
}

/// What is wrong where nothing listens on the port that a Service sends to, though its app has had the time to begin; nothing where
/// something does, no pod can be asked, or what listens there is no web application.
///
/// # Errors
/// The API server's refusals.
pub async fn unheard(cluster: &Cluster, service: &str) -> Result<Option<Error>> {
    let Some(app) = app_behind(cluster, service).await? else {
        return Ok(None);
    };
    let Some(pod) = ready_pods(&app.pods).next() else {
        return Ok(None);
    };
    let backend = Backend::of(&app);
    let choice = port::choose(&backend.name, &backend.services, &backend.containers, None);
    let Ok(Choice::Existing(port)) = choice else {
        return Ok(None);
    };
    // A database would take a web request for an attack.
    if pods::usual(port.target).is_some() {
        return Ok(None);
    }
    let endpoint = Endpoint {
        namespace: cluster.namespace().to_owned(),
        pod: pod.name_any(),
        port: port.target,
    };
    let beginning = Beginning::of(pod, cluster.now());
    while pods::listening(cluster, &endpoint, &[port.target])
        .await
        .is_empty()
    {
        let others = pods::elsewhere(cluster, &endpoint, &backend.containers).await;
        if beginning.is_over(&others) {
            let sends = Sends {
                service,
                field: &port.field,
                deployed: None,
            };
            return Ok(Some(pods::explain(
                &Silence::NothingListens,
                &backend.reference,
                &endpoint,
                &others,
                Some(sends),
            )));
        }
        sleep(PAUSE).await;
    }
    Ok(None)
}

/// The app behind a Service; nothing where there is none.
async fn app_behind(cluster: &Cluster, service: &str) -> Result<Option<workload::App>> {
    let typed = AppRef {
        kind: Some(Kind::Service),
        name: service.to_owned(),
    };
    let app = workload::find(cluster, cluster.namespace(), &typed).await?;
    Ok(Some(app).filter(|app| app.kind != Kind::Service))
}

impl Present {
    /// Asks the app itself.
    ///
    /// # Errors
    /// As [`ask_app`]'s.
    pub async fn ask(&mut self, cluster: &Cluster) -> Result<AnsweringApp> {
        ask_app(cluster, &mut self.resolved, &self.pods).await
    }
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
        route_kind: address.route_kind.clone(),
        tls: address.tls.clone().unwrap_or(Tls::Off),
        own_listener: false,
        service: port.service.clone(),
        service_port: port.number,
        target: port.target,
        new_service: None,
        policy: None,
        term: None,
        lasts: None,
        secret_name: secret_of(ingress, &address.host),
    }
}

/// The Secret that an Ingress names for a host.
fn secret_of(ingress: &Ingress, host: &str) -> Option<String> {
    let entries = ingress
        .spec
        .iter()
        .flat_map(|spec| spec.tls.iter().flatten());
    entries
        .filter(|entry| entry.hosts.iter().flatten().any(|known| known == host))
        .find_map(|entry| entry.secret_name.clone())
}
