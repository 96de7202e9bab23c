//! The databases of a namespace, to choose from and for hints.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Endpoints, Service};
use kube::ResourceExt;

use super::pods::CNPG_CLUSTER;
use super::port::looks_like_database;
use super::{DatabaseRef, outside, pods};
use commons::cluster::Cluster;
use commons::error::{Error, Kind, Result};
use commons::shell::Shell;
use commons::ui::Ui;

/// Lets the user choose among the databases of the namespace; `example` is the command with one named.
///
/// # Errors
/// [`Kind::NotFound`] where there is none; those of [`Ui::choose`] and of reading them.
pub async fn choose(cluster: &Cluster, ui: &Ui, example: &Shell) -> Result<DatabaseRef> {
    let names = candidates(cluster, cluster.namespace()).await?;
    if names.is_empty() {
        return Err(Error::of(
            Kind::NotFound,
            format!("no database found in namespace `{}`", cluster.namespace()),
        ));
    }
    let chosen = ui.choose("DATABASE", &names, &format!("name it: `{example}`"))?;
    names[chosen].parse().map_err(Error::usage)
}

/// The databases in a namespace, by the names under which they are found.
///
/// # Errors
/// Those of listing Services, and Endpoints where a Service has no selector.
pub async fn candidates(cluster: &Cluster, namespace: &str) -> Result<Vec<String>> {
    let services: Vec<Service> = cluster.list(namespace, "").await?;
    names_of(cluster, namespace, services).await
}

/// The names of those Services that look like a database of this cluster. Where there is no selector, the Endpoints tell whether
/// it leads to a pod.
pub(super) async fn names_of(
    cluster: &Cluster,
    namespace: &str,
    services: Vec<Service>,
) -> Result<Vec<String>> {
    let has_selector = |service: &Service| {
        let spec = service.spec.as_ref();
        spec.and_then(|spec| spec.selector.as_ref())
            .is_some_and(|selector| !selector.is_empty())
    };
    let services: Vec<Service> = services
        .into_iter()
        .filter(|service| looks_like_database(service) && outside::external_name(service).is_none())
        .collect();
    let mut with_pods = BTreeSet::new();
    if !services.iter().all(has_selector) {
        let endpoints: Vec<Endpoints> = cluster.list(namespace, "").await?;
        with_pods = endpoints
            .iter()
            .filter(|endpoints| !pods::of_endpoints(endpoints).is_empty())
            .map(Endpoints::name_any)
            .collect();
    }
    let names: BTreeSet<String> = services
        .iter()
        .filter(|service| has_selector(service) || with_pods.contains(&service.name_any()))
        .map(known_as)
        .collect();
    Ok(names.into_iter().collect())
}

/// The shortest name by which a Service's database is found.
fn known_as(service: &Service) -> String {
    service
        .labels()
        .get(CNPG_CLUSTER)
        .cloned()
        .unwrap_or_else(|| service.name_any())
}
