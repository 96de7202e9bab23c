//! What there is: requests only, nothing is decided.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use kube::ResourceExt;

use commons::cluster::{Cluster, Right, if_allowed};
use commons::error::{Kind, Result};
use commons::web::Certificate;

use crate::Backend;
use crate::certificate;
use crate::existing::{ExistingRoutes, certificate_in};
use crate::gateway::{GROUP, HttpRoute, ListenerSet};
use crate::plan::object_name;
use crate::tls::Tls;

/// The objects that there are under an exposure's name.
#[derive(Clone, Debug, Default)]
pub struct ExistingObjects {
    pub(crate) ingress: Option<Ingress>,
    pub(crate) route: Option<HttpRoute>,
    pub(crate) listener_set: Option<ListenerSet>,
    pub(crate) policy: Option<NetworkPolicy>,
    pub(crate) service: Option<Service>,
    pub(crate) job: Option<Job>,
}

impl ExistingObjects {
    /// An Ingress that somebody has made.
    pub(crate) fn of_ingress(ingress: &Ingress) -> Self {
        Self {
            ingress: Some(ingress.clone()),
            ..Self::default()
        }
    }

    /// The host that it has already.
    pub(super) fn host(&self) -> Option<String> {
        let of_ingress = || {
            self.ingress
                .as_ref()?
                .spec
                .as_ref()?
                .rules
                .as_ref()?
                .first()?
                .host
                .clone()
        };
        let of_route = || self.route.as_ref()?.spec.hostnames.first().cloned();
        of_ingress().or_else(of_route)
    }
}

/// What there is in the namespace.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    pub(super) routes: ExistingRoutes,
    pub(super) found: ExistingObjects,
    /// The rights that exposing may need, and that one lacks.
    pub(super) lacking: Vec<Right>,
}

/// Reads the namespace, all that is independent at once.
///
/// # Errors
/// The API server's refusals.
pub(super) async fn snapshot(cluster: &Cluster, backend: &Backend) -> Result<Snapshot> {
    let namespace = backend.namespace.as_str();
    let name = object_name(&backend.name);
    let needed = rights();
    let (routes, job, lacking) = futures::join!(
        existing_routes(cluster, namespace),
        cluster.find::<Job>(namespace, &name),
        cluster.lacks(namespace, &needed),
    );
    let (routes, lacking) = (routes?, lacking?);
    let found = ExistingObjects {
        job: job?,
        ..found(&routes, &name)
    };
    Ok(Snapshot {
        routes,
        found,
        lacking,
    })
}

/// Reads the namespace's Ingresses, routes, policies and Services at once.
pub(crate) async fn existing_routes(cluster: &Cluster, namespace: &str) -> Result<ExistingRoutes> {
    let (ingresses, routes, policies, services) = futures::join!(
        cluster.list(namespace, ""),
        cluster.list(namespace, ""),
        cluster.list(namespace, ""),
        cluster.list(namespace, "")
    );
    Ok(ExistingRoutes {
        ingresses: ingresses?,
        // Not served, or not for us: then there are none to learn from.
        routes: if_allowed(routes)?,
        policies: policies?,
        services: services?,
    })
}

fn found(routes: &ExistingRoutes, name: &str) -> ExistingObjects {
    ExistingObjects {
        ingress: routes
            .ingresses
            .iter()
            .find(|object| object.name_any() == name)
            .cloned(),
        route: routes
            .routes
            .iter()
            .flatten()
            .find(|object| object.name_any() == name)
            .cloned(),
        policy: routes
            .policies
            .iter()
            .find(|object| object.name_any() == name)
            .cloned(),
        service: routes
            .services
            .iter()
            .find(|object| object.name_any() == name)
            .cloned(),
        ..ExistingObjects::default()
    }
}

fn rights() -> Vec<Right> {
    vec![
        Right::of("create", "networking.k8s.io", "ingresses"),
        Right::core("create", "services"),
        Right::of("create", "networking.k8s.io", "networkpolicies"),
        Right::of("create", "batch", "jobs"),
        Right::of("create", GROUP, "httproutes"),
        Right::of("create", GROUP, "listenersets"),
    ]
}

/// What there is of the certificate that an address may get.
#[derive(Clone, Debug, Default)]
pub(super) struct CertificateFacts {
    /// Whether the issuer is one of the namespace.
    pub(super) issuer_of_namespace: bool,
    /// The names of the certificate in the Secret; `None` where there is none, or it may not be read.
    pub(super) names: Option<Vec<String>>,
    /// Whether there is no such Secret.
    pub(super) no_secret: bool,
    /// The listeners that an earlier run has made.
    pub(super) listener_set: Option<ListenerSet>,
    /// Whether the API has no `ListenerSets`, or not for us.
    pub(super) no_listener_sets: bool,
}

/// Whether a route needs a listener of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listener {
    /// It does.
    Own,
    /// It does not, but an earlier run may have made one.
    Earlier,
    /// There is no route.
    None,
}

/// Reads what there is of a certificate, and of a listener of ours if one may be needed.
///
/// # Errors
/// The API server's refusals.
pub(super) async fn certificate_facts(
    cluster: &Cluster,
    backend: &Backend,
    tls: &Tls,
    needs_secret: bool,
    listener: Listener,
) -> Result<CertificateFacts> {
    let namespace = backend.namespace.as_str();
    let issuer = async {
        match tls {
            Tls::Issuer {
                name,
                of_namespace: None,
            } => certificate::is_of_namespace(cluster, namespace, name).await,
            _ => false,
        }
    };
    let secret = async {
        match tls {
            Tls::Secret(secret) if needs_secret => {
                Some(cluster.get::<Secret>(namespace, secret).await)
            }
            _ => None,
        }
    };
    let listeners = async {
        match listener {
            Listener::None => Ok((None, false)),
            _ => listener_set(cluster, namespace, &object_name(&backend.name), listener).await,
        }
    };
    let (issuer_of_namespace, secret, listeners) = futures::join!(issuer, secret, listeners);
    let (listener_set, no_listener_sets) = listeners?;
    let no_secret = matches!(&secret, Some(Err(error)) if error.kind() == Kind::NotFound);
    Ok(CertificateFacts {
        issuer_of_namespace,
        names: secret.and_then(Result::ok).as_ref().and_then(names_in),
        no_secret,
        listener_set,
        no_listener_sets,
    })
}

/// The listeners of this name, and whether the API has none at all, or not for us; one that is not there is answered like a kind
/// that is not there.
async fn listener_set(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    listener: Listener,
) -> Result<(Option<ListenerSet>, bool)> {
    match cluster.get(namespace, name).await {
        Ok(set) => Ok((Some(set), false)),
        Err(error) if error.kind() == Kind::NotFound && listener == Listener::Own => {
            let all = cluster.list::<ListenerSet>(namespace, "").await;
            Ok((None, all.is_err()))
        }
        Err(error) => Ok((None, if_allowed::<()>(Err(error))?.is_none())),
    }
}

fn names_in(secret: &Secret) -> Option<Vec<String>> {
    let first = pem::parse(certificate_in(secret)?).ok()?;
    Some(Certificate::read(first.contents())?.names)
}
