//! Finding a database of one's own by whatever people call it: a Service, a `StatefulSet`, a Deployment, a pod, a `CloudNativePG`
//! cluster, or the release of a Helm chart.

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use kube::ResourceExt;

use super::behind::{Candidates, behind_pod, behind_service};
use super::candidates::names_of;
use super::outside::{self, Outside};
use super::pods::CNPG_CLUSTER;
use super::port::{is_database, looks_like_database};
use super::{Database, DatabaseRef, Workload, pods};
use commons::cluster::Cluster;
use commons::error::{Error, Kind, Result, name_hint};
use commons::labels;
use commons::shell::shell;

/// Helm charts put their release's name on everything they make.
const RELEASE: &str = "app.kubernetes.io/instance";

/// Where what was typed leads.
#[derive(Clone, Debug)]
pub enum Location {
    /// To pods of the cluster.
    Inside(Box<Database>),
    /// Out of it.
    Outside(Outside),
}

impl Location {
    fn inside(database: Database) -> Self {
        Self::Inside(Box::new(database))
    }
}

/// Finds a database that one may see oneself, and to which one can forward.
///
/// # Errors
/// As [`locate`]; and for one that is outside the cluster.
pub async fn find(cluster: &Cluster, typed: &DatabaseRef) -> Result<Database> {
    match locate(cluster, typed).await? {
        Location::Inside(database) => Ok(*database),
        Location::Outside(outside) => Err(outside.refusal()),
    }
}

/// Finds a database that one may see oneself, wherever it is.
///
/// # Errors
/// [`Kind::NotFound`] with close names; [`Kind::Forbidden`] for those who may not read Services; others of the API server.
pub async fn locate(cluster: &Cluster, typed: &DatabaseRef) -> Result<Location> {
    let search = Search {
        cluster,
        namespace: typed.namespace_in(cluster),
        name: &typed.name,
    };
    let Search {
        namespace, name, ..
    } = search;
    match typed.workload {
        Some(Workload::Pod) => search.in_pod(&cluster.get(namespace, name).await?),
        Some(Workload::StatefulSet) => {
            let set: StatefulSet = cluster.get(namespace, name).await?;
            search.of_set(set).await
        }
        Some(Workload::Deployment) => {
            let (deployment, services) = futures::join!(
                cluster.get::<Deployment>(namespace, name),
                cluster.list::<Service>(namespace, "")
            );
            search.of_deployment(&deployment?, services?).await
        }
        Some(Workload::Service) => {
            let (service, endpoints) = futures::join!(
                cluster.get::<Service>(namespace, name),
                cluster.find::<Endpoints>(namespace, name)
            );
            let (service, endpoints) = (service?, endpoints?.unwrap_or_default());
            search.of_service(service, None, Some(endpoints)).await
        }
        None => search.by_name().await,
    }
}

/// What is looked for, and where.
#[derive(Clone, Copy)]
struct Search<'a> {
    cluster: &'a Cluster,
    namespace: &'a str,
    name: &'a str,
}

impl Search<'_> {
    async fn by_name(self) -> Result<Location> {
        // The Endpoints of the most likely Service are read together with it.
        let (service, set, endpoints) = futures::join!(
            self.cluster.find::<Service>(self.namespace, self.name),
            self.cluster.find::<StatefulSet>(self.namespace, self.name),
            self.cluster.find::<Endpoints>(self.namespace, self.name)
        );
        match (service?, set) {
            (Some(service), set) => {
                let set = set.ok().flatten();
                let endpoints = endpoints?.unwrap_or_default();
                self.of_service(service, set, Some(endpoints)).await
            }
            (None, Ok(Some(set))) => self.of_set(set).await,
            (None, _) => self.by_label_or_pod().await,
        }
    }

    /// By the name of a `CloudNativePG` cluster or Helm release, of a Deployment that is a database, or of a lone pod.
    async fn by_label_or_pod(self) -> Result<Location> {
        let (services, deployment, pod) = futures::join!(
            self.cluster.list::<Service>(self.namespace, ""),
            self.cluster.find::<Deployment>(self.namespace, self.name),
            self.cluster.find::<Pod>(self.namespace, self.name)
        );
        let services = services?;
        let labelled = |label: &'static str| {
            services.iter().filter(move |service| {
                service
                    .labels()
                    .get(label)
                    .is_some_and(|value| value == self.name)
            })
        };
        let cnpg = labelled(CNPG_CLUSTER).find(|service| service.name_any().ends_with("-rw"));
        let chart = || {
            let mut of_release: Vec<&Service> = labelled(RELEASE)
                .filter(|service| looks_like_database(service) && !is_headless(service))
                .collect();
            of_release
                .sort_by_key(|service| (service.name_any().contains("read"), service.name_any()));
            of_release.into_iter().next()
        };
        if let Some(service) = cnpg.or_else(chart) {
            return self.of_service(service.clone(), None, None).await;
        }
        // An app is often called like the release of its chart.
        let deployment = deployment.ok().flatten().filter(|deployment| {
            let template = deployment.spec.as_ref().map(|spec| &spec.template);
            let pod = template.and_then(|template| template.spec.as_ref());
            pod.is_some_and(|pod| is_database(&pod.containers))
        });
        if let Some(deployment) = deployment {
            return self.of_deployment(&deployment, services).await;
        }
        match pod? {
            Some(pod) => self.in_pod(&pod),
            None => Err(self.not_found(services).await),
        }
    }

    async fn not_found(self, services: Vec<Service>) -> Error {
        let error = Error::of(
            Kind::NotFound,
            format!(
                "no database `{}` in namespace `{}`",
                self.name, self.namespace
            ),
        );
        // What cannot be looked at is only missing among the names that are offered.
        let names = names_of(self.cluster, self.namespace, services)
            .await
            .unwrap_or_default();
        match name_hint(self.name, names.iter().map(String::as_str)) {
            Some(hint) => error.hint(hint),
            None => error.hint(format!(
                "see what there is: `{}`",
                shell("kubectl get services").in_namespace(self.namespace)
            )),
        }
    }

    /// Behind the Service of a `StatefulSet`, the governing one or one that selects its pods; else in its first pod.
    async fn of_set(self, set: StatefulSet) -> Result<Location> {
        let governing = set
            .spec
            .as_ref()
            .and_then(|spec| spec.service_name.clone())
            .filter(|name| !name.is_empty());
        let mut service = None;
        if let Some(name) = governing {
            service = self.cluster.find::<Service>(self.namespace, &name).await?;
        }
        if service.is_none() {
            let labels = pods::labels_of_set(&set);
            let services: Vec<Service> = self.cluster.list(self.namespace, "").await?;
            service = services
                .into_iter()
                .find(|service| labels::leads_to(service, &labels));
        }
        if let Some(service) = service {
            return self.of_service(service, Some(set), None).await;
        }
        let names = pods::of_set(&set);
        let first = names.first().map_or("", String::as_str);
        let pod: Pod = self.cluster.get(self.namespace, first).await?;
        let mut database = behind_pod(self.namespace, self.name, &pod)?;
        database.pods = names;
        database.lasting_names = true;
        Ok(Location::inside(database))
    }

    /// Behind a Service that selects a Deployment's pods; else in the newest pod that is ready, as kubectl would forward to it.
    async fn of_deployment(
        self,
        deployment: &Deployment,
        services: Vec<Service>,
    ) -> Result<Location> {
        let spec = deployment.spec.as_ref();
        let labels = spec
            .and_then(|spec| spec.template.metadata.as_ref())
            .and_then(|metadata| metadata.labels.clone())
            .unwrap_or_default();
        let mut services: Vec<Service> = services
            .into_iter()
            .filter(|service| labels::leads_to(service, &labels))
            .collect();
        services.sort_by_key(|service| {
            let is_database = looks_like_database(service);
            (!is_database, is_headless(service), service.name_any())
        });
        if let Some(service) = services.into_iter().next() {
            return self.of_service(service, None, None).await;
        }
        let selector = spec.and_then(|spec| spec.selector.match_labels.as_ref());
        let selector = selector.map(labels::text).unwrap_or_default();
        let mut pods: Vec<Pod> = self.cluster.list(self.namespace, &selector).await?;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        pods.sort_by_key(|pod| (pods::is_ready(pod), pod.creation_timestamp()));
        match pods.pop() {
            Some(pod) => self.in_pod(&pod),
            None => Err(
                Error::new(format!("deployment `{}` has no pod", deployment.name_any())).hint(
                    format!(
                        "see why: `{}`",
                        shell("kubectl describe deployment")
                            .arg(deployment.name_any())
                            .in_namespace(self.namespace)
                    ),
                ),
            ),
        }
    }

    fn in_pod(self, pod: &Pod) -> Result<Location> {
        behind_pod(self.namespace, self.name, pod).map(Location::inside)
    }

    async fn of_service(
        self,
        service: Service,
        set: Option<StatefulSet>,
        endpoints: Option<Endpoints>,
    ) -> Result<Location> {
        if let Some(host) = outside::external_name(&service) {
            let outside = Outside::new(&service, &Endpoints::default(), vec![host]);
            return Ok(Location::Outside(outside));
        }
        let endpoints = match endpoints {
            Some(endpoints) => endpoints,
            None => self.endpoints(&service).await?,
        };
        if !outside::addresses(&endpoints).is_empty() {
            return self.at_addresses(service, endpoints).await;
        }
        self.at_pods(service, set, endpoints).await
    }

    async fn endpoints(self, service: &Service) -> Result<Endpoints> {
        let name = service.name_any();
        let endpoints = self.cluster.find(self.namespace, &name).await?;
        Ok(endpoints.unwrap_or_default())
    }

    /// Behind a Service whose Endpoints name pods, or nothing.
    async fn at_pods(
        self,
        service: Service,
        set: Option<StatefulSet>,
        endpoints: Endpoints,
    ) -> Result<Location> {
        let around =
            Candidates::read(self.cluster, self.namespace, &service, set, &endpoints).await?;
        behind_service(self.namespace, self.name, &service, &endpoints, &around)
            .map(Location::inside)
    }

    /// Behind a Service with bare addresses: they may be those of a pod or of another Service, or lead out of the cluster.
    async fn at_addresses(self, service: Service, endpoints: Endpoints) -> Result<Location> {
        let addresses = outside::addresses(&endpoints);
        let (services, pods) = futures::join!(
            self.cluster.list::<Service>(self.namespace, ""),
            self.cluster.list::<Pod>(self.namespace, "")
        );
        if let Some(pod) = outside::pod_at(&addresses, &pods.unwrap_or_default()) {
            return self.in_pod(pod);
        }
        let services = services.unwrap_or_default();
        let Some(other) = outside::service_at(&addresses, &services) else {
            return Ok(Location::Outside(Outside::new(
                &service, &endpoints, addresses,
            )));
        };
        // Crunchy's operator makes `CLUSTER-primary` so. It is followed once.
        let endpoints = self.endpoints(other).await?;
        self.at_pods(other.clone(), None, endpoints).await
    }
}

fn is_headless(service: &Service) -> bool {
    service
        .spec
        .as_ref()
        .and_then(|spec| spec.cluster_ip.as_deref())
        == Some("None")
}
