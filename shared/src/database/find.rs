//! Finding a database of one's own by whatever people call it: a Service, a `StatefulSet`, a pod, a `CloudNativePG` cluster, or
//! the release of a Helm chart.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Container, Endpoints, Pod, Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;

use super::credentials::{Source, Value, from_container};
use super::{Database, Protocol, Typed, Workload, ready_endpoint};
use crate::cluster::Cluster;
use crate::error::{Error, Kind, Result, name_hint};
use crate::tunnel::Endpoint;

/// `CloudNativePG` puts its cluster's name on everything it makes.
const CNPG_CLUSTER: &str = "cnpg.io/cluster";
/// Helm charts put their release's name on everything they make.
const RELEASE: &str = "app.kubernetes.io/instance";
/// How many pods after the newest one a `CloudNativePG` cluster may go through while a share lasts: it numbers them upwards.
const CNPG_AHEAD: u32 = 5;

/// Finds a database that one may see oneself.
///
/// # Errors
/// [`Kind::NotFound`] with close names; [`Kind::Forbidden`] for those who may not read Services; others of the API server.
pub async fn find(cluster: &Cluster, typed: &Typed) -> Result<Database> {
    let namespace = typed.namespace_in(cluster);
    match typed.workload {
        Some(Workload::Pod) => {
            let pod: Pod = cluster.get(namespace, &typed.name).await?;
            behind_pod(namespace, &typed.name, &pod)
        }
        Some(Workload::StatefulSet) => {
            let set: StatefulSet = cluster.get(namespace, &typed.name).await?;
            let service = service_of(cluster, namespace, &set).await?;
            behind(cluster, namespace, &typed.name, service, Some(set), None).await
        }
        Some(Workload::Service) => {
            let service: Service = cluster.get(namespace, &typed.name).await?;
            behind(cluster, namespace, &typed.name, Some(service), None, None).await
        }
        None => {
            // The Endpoints of the most likely Service are read together with it.
            let (service, set, endpoints) = futures::join!(
                cluster.find::<Service>(namespace, &typed.name),
                cluster.find::<StatefulSet>(namespace, &typed.name),
                cluster.find::<Endpoints>(namespace, &typed.name)
            );
            match (service?, set) {
                (Some(service), set) => {
                    let set = set.ok().flatten();
                    let endpoints = endpoints?.unwrap_or_default();
                    behind(
                        cluster,
                        namespace,
                        &typed.name,
                        Some(service),
                        set,
                        Some(endpoints),
                    )
                    .await
                }
                (None, Ok(Some(set))) => {
                    let service = service_of(cluster, namespace, &set).await?;
                    behind(cluster, namespace, &typed.name, service, Some(set), None).await
                }
                (None, _) => by_label_or_pod(cluster, namespace, &typed.name).await,
            }
        }
    }
}

/// A database by the name of its `CloudNativePG` cluster or Helm release, or a lone pod.
async fn by_label_or_pod(cluster: &Cluster, namespace: &str, name: &str) -> Result<Database> {
    let (services, pod) = futures::join!(
        cluster.list::<Service>(namespace, ""),
        cluster.find::<Pod>(namespace, name)
    );
    let services = services?;
    let labelled = |label: &'static str| {
        services.iter().filter(move |service| {
            service
                .labels()
                .get(label)
                .is_some_and(|value| value == name)
        })
    };
    let cnpg = labelled(CNPG_CLUSTER).find(|service| service.name_any().ends_with("-rw"));
    let chart = || {
        let mut of_release: Vec<&Service> = labelled(RELEASE)
            .filter(|service| looks_like_database(service) && !is_headless(service))
            .collect();
        of_release.sort_by_key(|service| (service.name_any().contains("read"), service.name_any()));
        of_release.into_iter().next()
    };
    if let Some(service) = cnpg.or_else(chart) {
        return behind(cluster, namespace, name, Some(service.clone()), None, None).await;
    }
    if let Some(pod) = pod? {
        return behind_pod(namespace, name, &pod);
    }
    let names: BTreeSet<String> = services
        .iter()
        .filter(|service| looks_like_database(service))
        .map(known_as)
        .collect();
    let error = Error::of(
        Kind::NotFound,
        format!("no database `{name}` in namespace `{namespace}`"),
    );
    Err(match name_hint(name, names.iter().map(String::as_str)) {
        Some(hint) => error.hint(hint),
        None => error.hint(format!(
            "see what there is: `kubectl get services -n {namespace}`"
        )),
    })
}

/// The databases in a namespace, by the names under which they are found.
///
/// # Errors
/// Those of listing Services.
pub async fn candidates(cluster: &Cluster, namespace: &str) -> Result<Vec<String>> {
    let services: Vec<Service> = cluster.list(namespace, "").await?;
    let names: BTreeSet<String> = services
        .iter()
        .filter(|service| looks_like_database(service))
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

fn is_headless(service: &Service) -> bool {
    service
        .spec
        .as_ref()
        .and_then(|spec| spec.cluster_ip.as_deref())
        == Some("None")
}

fn looks_like_database(service: &Service) -> bool {
    ports(service)
        .iter()
        .any(|port| u16::try_from(port.port).is_ok_and(|port| Protocol::at_port(port).is_some()))
}

fn ports(service: &Service) -> &[ServicePort] {
    service
        .spec
        .as_ref()
        .and_then(|spec| spec.ports.as_deref())
        .unwrap_or_default()
}

/// The Service of a `StatefulSet`: the governing one, or one that selects its pods.
async fn service_of(
    cluster: &Cluster,
    namespace: &str,
    set: &StatefulSet,
) -> Result<Option<Service>> {
    let governing = set
        .spec
        .as_ref()
        .and_then(|spec| spec.service_name.clone())
        .filter(|name| !name.is_empty());
    if let Some(name) = governing
        && let Some(service) = cluster.find::<Service>(namespace, &name).await?
    {
        return Ok(Some(service));
    }
    let labels = template_labels(set);
    let services: Vec<Service> = cluster.list(namespace, "").await?;
    Ok(services
        .into_iter()
        .find(|service| selects(service, &labels)))
}

/// The labels that a StatefulSet's pods have.
fn template_labels(set: &StatefulSet) -> BTreeMap<String, String> {
    let template = set
        .spec
        .as_ref()
        .and_then(|spec| spec.template.metadata.as_ref());
    template
        .and_then(|metadata| metadata.labels.clone())
        .unwrap_or_default()
}

fn selects(service: &Service, labels: &BTreeMap<String, String>) -> bool {
    let selector = service
        .spec
        .as_ref()
        .and_then(|spec| spec.selector.as_ref());
    selector.is_some_and(|selector| {
        !selector.is_empty()
            && selector
                .iter()
                .all(|(key, value)| labels.get(key) == Some(value))
    })
}

/// The database behind a Service, or behind a `StatefulSet` that has none.
async fn behind(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    service: Option<Service>,
    set: Option<StatefulSet>,
    endpoints: Option<Endpoints>,
) -> Result<Database> {
    let Some(service) = service else {
        let set = set.unwrap_or_default();
        let pods = set_pods(&set);
        let pod: Pod = cluster
            .get(namespace, pods.first().map_or("", String::as_str))
            .await?;
        let mut database = behind_pod(namespace, name, &pod)?;
        database.pods = pods;
        database.lasting_names = true;
        return Ok(database);
    };
    let service_name = service.name_any();
    let endpoints = match endpoints {
        Some(endpoints) => endpoints,
        None => cluster
            .find(namespace, &service_name)
            .await?
            .unwrap_or_default(),
    };
    let port = choose_port(&service)?;
    let seen = pods_of(&endpoints);
    let pod = match seen.first() {
        // The pod of a StatefulSet that is known tells nothing more than its template does.
        Some(pod) if set.as_ref().is_some_and(|set| set_pods(set).contains(pod)) => None,
        Some(pod) => cluster.find::<Pod>(namespace, pod).await?,
        None => None,
    };
    let owner = pod.as_ref().and_then(controller);
    let set = match (&owner, set) {
        (_, Some(set)) => Some(set),
        (Some((kind, owner)), None) if kind == "StatefulSet" => {
            cluster.find(namespace, owner).await?
        }
        _ => None,
    };
    // A StatefulSet of the same name that this Service does not lead to is another thing.
    let set = set.filter(|set| {
        let theirs = set_pods(set);
        if seen.is_empty() {
            selects(&service, &template_labels(set))
        } else {
            seen.iter().any(|pod| theirs.contains(pod))
        }
    });
    let cnpg = pod
        .as_ref()
        .and_then(|pod| pod.labels().get(CNPG_CLUSTER).cloned())
        .or_else(|| service.labels().get(CNPG_CLUSTER).cloned());
    let mut pods: BTreeSet<String> = seen.iter().cloned().collect();
    if let Some(set) = &set {
        pods.extend(set_pods(set));
    }
    if let Some(cnpg) = &cnpg {
        pods.extend(cnpg_pods(cnpg, &seen));
    }
    if pods.is_empty() {
        return Err(Error::new(format!("{name} has no pod"))
            .caused_by(format!(
                "service `{service_name}` selects none at the moment"
            ))
            .hint(format!("see its pods: `kubectl get pods -n {namespace}`")));
    }
    let serving = ready_endpoint(namespace, &endpoints, port.name.as_deref());
    let template = set
        .as_ref()
        .and_then(|set| set.spec.as_ref())
        .and_then(|spec| spec.template.spec.as_ref());
    let containers = pod
        .as_ref()
        .and_then(|pod| pod.spec.as_ref())
        .or(template)
        .map(|spec| spec.containers.as_slice())
        .unwrap_or_default();
    let container = database_container(containers);
    let number = u16::try_from(port.port).unwrap_or_default();
    let protocol = protocol_of(
        number,
        port.name.as_deref(),
        port.target_port.as_ref(),
        container,
        cnpg.is_some(),
    );
    let mut database = Database {
        namespace: namespace.into(),
        name: name.into(),
        service: Some(service_name),
        port_name: port.name.clone(),
        port: number,
        lasting_names: set.is_some() || cnpg.is_some(),
        pods: pods.into_iter().collect(),
        serving,
        protocol,
        dbname: None,
        username: None,
        source: Source::Unknown,
        until: None,
        owner: None,
    };
    match (&cnpg, container) {
        // INSEE's chart keeps the owner of the real database in `-user`; the operator's own Secret is `-app`.
        (Some(cnpg), _) => {
            database.source = Source::Secrets(vec![format!("{cnpg}-user"), format!("{cnpg}-app")]);
        }
        (None, Some(container)) => learn_login(&mut database, container),
        (None, None) => {}
    }
    Ok(database)
}

/// A database in a pod without a Service.
fn behind_pod(namespace: &str, name: &str, pod: &Pod) -> Result<Database> {
    let containers = pod
        .spec
        .as_ref()
        .map(|spec| spec.containers.as_slice())
        .unwrap_or_default();
    let container = database_container(containers);
    let declared: Vec<u16> = containers
        .iter()
        .flat_map(|container| container.ports.iter().flatten())
        .filter_map(|port| u16::try_from(port.container_port).ok())
        .collect();
    let is_postgres = container.and_then(protocol_of_image) == Some(Protocol::Postgres);
    let port = declared
        .iter()
        .copied()
        .find(|port| Protocol::at_port(*port).is_some())
        .or_else(|| is_postgres.then_some(5432))
        .or_else(|| declared.first().copied());
    let Some(port) = port else {
        return Err(Error::new(format!(
            "pod `{}` does not say which port it listens on",
            pod.name_any()
        ))
        .hint("add `ports: [{containerPort: N}]` to its container, or give it a Service"));
    };
    let mut database = Database {
        namespace: namespace.into(),
        name: name.into(),
        service: None,
        port_name: None,
        port,
        pods: vec![pod.name_any()],
        serving: Some(Endpoint {
            namespace: namespace.into(),
            pod: pod.name_any(),
            port,
        }),
        lasting_names: controller(pod).is_none_or(|(kind, _)| kind == "StatefulSet"),
        protocol: protocol_of(port, None, None, container, false),
        dbname: None,
        username: None,
        source: Source::Unknown,
        until: None,
        owner: None,
    };
    if let Some(container) = container {
        learn_login(&mut database, container);
    }
    Ok(database)
}

fn learn_login(database: &mut Database, container: &Container) {
    if database.protocol != Protocol::Postgres {
        return;
    }
    let source = from_container(container);
    if let Source::Environment {
        username, dbname, ..
    } = &source
    {
        // The images' own defaults: the user is `postgres`, the database is called like the user.
        database.username = username
            .plain()
            .or_else(|| matches!(username, Value::Absent).then(|| "postgres".into()));
        database.dbname = dbname.plain().or_else(|| {
            if matches!(dbname, Value::Absent) {
                database.username.clone()
            } else {
                None
            }
        });
    }
    database.source = source;
}

/// The container that runs the database, among sidecars.
fn database_container(containers: &[Container]) -> Option<&Container> {
    let has_known_port = |container: &&Container| {
        container.ports.iter().flatten().any(|port| {
            u16::try_from(port.container_port).is_ok_and(|port| Protocol::at_port(port).is_some())
        })
    };
    containers
        .iter()
        .find(|container| protocol_of_image(container).is_some())
        .or_else(|| containers.iter().find(has_known_port))
        .or_else(|| containers.first())
}

fn protocol_of_image(container: &Container) -> Option<Protocol> {
    Protocol::of_image(container.image.as_deref().unwrap_or_default())
}

fn protocol_of(
    port: u16,
    name: Option<&str>,
    target: Option<&IntOrString>,
    container: Option<&Container>,
    cnpg: bool,
) -> Protocol {
    let named = |name: &str| name.contains("postgres") || name == "pg" || name.ends_with("-pg");
    let (target_name, target_number) = match target {
        Some(IntOrString::String(name)) => (Some(name.as_str()), None),
        Some(IntOrString::Int(number)) => (None, u16::try_from(*number).ok()),
        None => (None, None),
    };
    if cnpg || name.is_some_and(named) || target_name.is_some_and(named) {
        return Protocol::Postgres;
    }
    container
        .and_then(protocol_of_image)
        .or_else(|| Protocol::at_port(port))
        .or_else(|| target_number.and_then(Protocol::at_port))
        .unwrap_or(Protocol::Other)
}

/// The port by which a database is reached, among those of its Service.
fn choose_port(service: &Service) -> Result<&ServicePort> {
    let tcp: Vec<&ServicePort> = ports(service)
        .iter()
        .filter(|port| {
            port.protocol
                .as_deref()
                .is_none_or(|protocol| protocol == "TCP")
        })
        .collect();
    tcp.iter()
        .find(|port| u16::try_from(port.port).is_ok_and(|port| Protocol::at_port(port).is_some()))
        .or_else(|| tcp.first())
        .copied()
        .ok_or_else(|| Error::new(format!("service `{}` has no TCP port", service.name_any())))
}

/// The pods behind a Service, ready ones first.
fn pods_of(endpoints: &Endpoints) -> Vec<String> {
    let subsets = endpoints.subsets.iter().flatten();
    let ready = subsets
        .clone()
        .flat_map(|subset| subset.addresses.iter().flatten());
    let starting = subsets.flat_map(|subset| subset.not_ready_addresses.iter().flatten());
    let mut pods: Vec<String> = Vec::new();
    for target in ready
        .chain(starting)
        .filter_map(|address| address.target_ref.as_ref())
        .filter(|target| target.kind.as_deref() == Some("Pod"))
    {
        if let Some(name) = target.name.clone().filter(|name| !pods.contains(name)) {
            pods.push(name);
        }
    }
    pods
}

/// The kind and name of what controls a pod.
fn controller(pod: &Pod) -> Option<(String, String)> {
    pod.owner_references()
        .iter()
        .find(|owner| owner.controller == Some(true))
        .map(|owner| (owner.kind.clone(), owner.name.clone()))
}

/// The names that a `StatefulSet`'s pods have and will have again.
fn set_pods(set: &StatefulSet) -> Vec<String> {
    let spec = set.spec.as_ref();
    let first = spec
        .and_then(|spec| spec.ordinals.as_ref())
        .and_then(|ordinals| ordinals.start)
        .unwrap_or(0);
    let replicas = spec.and_then(|spec| spec.replicas).unwrap_or(1).max(1);
    (first..first + replicas.min(32))
        .map(|ordinal| format!("{}-{ordinal}", set.name_any()))
        .collect()
}

/// The names that a `CloudNativePG` cluster's pods have and will have next: it counts upwards and never uses one again.
fn cnpg_pods(cluster: &str, seen: &[String]) -> Vec<String> {
    let newest = seen
        .iter()
        .filter_map(|pod| {
            pod.strip_prefix(cluster)?
                .strip_prefix('-')?
                .parse::<u32>()
                .ok()
        })
        .max()
        .unwrap_or(0);
    (1..=newest.saturating_add(CNPG_AHEAD).min(64))
        .map(|serial| format!("{cluster}-{serial}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(json: serde_json::Value) -> Service {
        serde_json::from_value(json).expect("a service")
    }

    #[test]
    fn the_database_port_is_chosen_among_others() {
        let service = service(
            serde_json::json!({"metadata": {"name": "pg"}, "spec": {"ports": [{"name": "metrics", "port": 9187}, {"name": "tcp-postgresql", "port": 5432}]}}),
        );
        assert_eq!(choose_port(&service).ok().map(|port| port.port), Some(5432));
        assert!(choose_port(&Service::default()).is_err());
    }

    #[test]
    fn names_of_a_statefulset_last() {
        let set: StatefulSet = serde_json::from_value(serde_json::json!({"metadata": {"name": "pg"}, "spec": {"replicas": 2, "selector": {}, "serviceName": "pg", "template": {}}})).expect("a set");
        assert_eq!(set_pods(&set), ["pg-0", "pg-1"]);
    }

    #[test]
    fn cnpg_counts_upwards() {
        assert_eq!(
            cnpg_pods("pg1", &["pg1-3".into()]),
            [
                "pg1-1", "pg1-2", "pg1-3", "pg1-4", "pg1-5", "pg1-6", "pg1-7", "pg1-8"
            ]
        );
        assert_eq!(cnpg_pods("pg1", &[]).len(), 5);
    }
}
