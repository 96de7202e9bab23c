//! The database behind a Service or in a pod: what was read of them, put together.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Endpoints, Pod, PodSpec, Service};
use kube::ResourceExt;

use super::credentials::{CredentialSource, names_without_reading};
use super::images::Image;
use super::pods::{self, CNPG_CLUSTER, CnpgPods, controller};
use super::port::{self, Port, database_container};
use super::{Database, ready_endpoint};
use commons::cluster::Cluster;
use commons::error::{Error, Kind, Result};
use commons::labels;
use commons::printable;
use commons::shell::shell;
use tunnel::Endpoint;

/// What is around a Service, as far as it must be known.
#[derive(Default)]
pub(super) struct Candidates {
    /// The first of its pods; nothing where the `StatefulSet` tells as much.
    pod: Option<Pod>,
    /// What makes them.
    set: Option<StatefulSet>,
    /// The `CloudNativePG` cluster that they are, and its pods.
    cnpg: Option<(String, CnpgPods)>,
}

impl Candidates {
    /// Reads it. `set` is one that is known already, by its name or as the owner of the Service.
    ///
    /// # Errors
    /// Those of the API server.
    pub(super) async fn read(
        cluster: &Cluster,
        namespace: &str,
        service: &Service,
        set: Option<StatefulSet>,
        endpoints: &Endpoints,
    ) -> Result<Self> {
        let seen = pods::of_endpoints(endpoints);
        if let Some(cnpg) = service.labels().get(CNPG_CLUSTER) {
            return Self::of_cnpg(cluster, namespace, cnpg, &seen).await;
        }
        let pod = match seen.first() {
            // The pod of a StatefulSet that is known tells nothing more than its template does.
            Some(pod)
                if set
                    .as_ref()
                    .is_some_and(|set| pods::of_set(set).contains(pod)) =>
            {
                None
            }
            Some(pod) => cluster.find::<Pod>(namespace, pod).await?,
            None => None,
        };
        if let Some(cnpg) = pod.as_ref().and_then(|pod| pod.labels().get(CNPG_CLUSTER)) {
            return Self::of_cnpg(cluster, namespace, cnpg, &seen).await;
        }
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
            let theirs = pods::of_set(set);
            if seen.is_empty() {
                labels::leads_to(service, &pods::labels_of_set(set))
            } else {
                seen.iter().any(|pod| theirs.contains(pod))
            }
        });
        Ok(Self {
            pod,
            set,
            cnpg: None,
        })
    }

    /// All pods are looked at, since others may have the names that the cluster will give.
    async fn of_cnpg(
        cluster: &Cluster,
        namespace: &str,
        name: &str,
        seen: &[String],
    ) -> Result<Self> {
        let (all, set) = futures::join!(
            cluster.list_as_cached::<Pod>(namespace),
            cluster.find::<StatefulSet>(namespace, name)
        );
        // Who may not look at them cannot share them either.
        let all = match all {
            Err(error) if error.kind() == Kind::Forbidden => Vec::new(),
            all => all?,
        };
        let names = pods::of_cnpg(name, seen, &all, set.ok().flatten().as_ref());
        let pod = all
            .into_iter()
            .find(|pod| seen.first().is_some_and(|seen| *seen == pod.name_any()));
        Ok(Self {
            pod,
            set: None,
            cnpg: Some((name.to_owned(), names)),
        })
    }

    /// From what the pods are made.
    fn pod_spec(&self) -> Option<&PodSpec> {
        let template = || {
            let spec = self.set.as_ref().and_then(|set| set.spec.as_ref());
            spec.and_then(|spec| spec.template.spec.as_ref())
        };
        let pod = self.pod.as_ref().and_then(|pod| pod.spec.as_ref());
        pod.or_else(template)
    }

    /// The pods' names, whether they last, and what is to be said of them.
    fn names(&self, seen: &[String]) -> (BTreeSet<String>, bool, Vec<String>) {
        if let Some((_, cnpg)) = &self.cnpg {
            let warning = cnpg.warning.clone();
            return (
                cnpg.names.clone(),
                cnpg.is_lasting,
                warning.into_iter().collect(),
            );
        }
        let mut names: BTreeSet<String> = seen.iter().cloned().collect();
        if let Some(set) = &self.set {
            names.extend(pods::of_set(set));
        }
        // What nothing makes again never gets another name.
        let lone = self.pod.as_ref().and_then(pods::of_nobody);
        let is_lasting = self.set.is_some() || lone.is_some();
        (names, is_lasting, lone.into_iter().collect())
    }
}

/// The database behind a Service.
///
/// # Errors
/// It has no pod, or nothing tells the port.
pub(super) fn behind_service(
    namespace: &str,
    name: &str,
    service: &Service,
    endpoints: &Endpoints,
    around: &Candidates,
) -> Result<Database> {
    let seen = pods::of_endpoints(endpoints);
    let (names, lasting_names, warnings) = around.names(&seen);
    if names.is_empty() {
        return Err(no_pod(namespace, name, service));
    }
    let pod_spec = around.pod_spec();
    let containers = pod_spec
        .map(|spec| spec.containers.as_slice())
        .unwrap_or_default();
    let port = port::of_service(service, endpoints, containers)
        .or_else(|| port::of_pod(containers))
        .ok_or_else(|| no_port(&format!("service `{}`", service.name_any())))?;
    let serving = ready_endpoint(namespace, endpoints, port.name.as_deref(), port.number);
    let cnpg = around.cnpg.as_ref().map(|(name, _)| name.as_str());
    let database = of_parts(namespace, name, &port, pod_spec, cnpg);
    Ok(Database {
        service: Some(service.name_any()),
        pods: names.into_iter().collect(),
        serving,
        lasting_names,
        warnings: [database.warnings, warnings].concat(),
        ..database
    })
}

/// A database in a pod without a Service.
///
/// # Errors
/// Nothing tells the port.
pub(super) fn behind_pod(namespace: &str, name: &str, pod: &Pod) -> Result<Database> {
    let containers = pod
        .spec
        .as_ref()
        .map(|spec| spec.containers.as_slice())
        .unwrap_or_default();
    let port =
        port::of_pod(containers).ok_or_else(|| no_port(&format!("pod `{}`", pod.name_any())))?;
    let database = of_parts(namespace, name, &port, pod.spec.as_ref(), None);
    Ok(Database {
        pods: vec![pod.name_any()],
        serving: Some(Endpoint {
            namespace: namespace.into(),
            pod: pod.name_any(),
            port: port.number,
        }),
        lasting_names: controller(pod).is_none_or(|(kind, _)| kind == "StatefulSet"),
        warnings: database
            .warnings
            .into_iter()
            .chain(pods::of_nobody(pod))
            .collect(),
        ..database
    })
}

/// What port and container tell, with the names of the login as far as nothing must be read for them.
fn of_parts(
    namespace: &str,
    name: &str,
    port: &Port,
    pod_spec: Option<&PodSpec>,
    cnpg: Option<&str>,
) -> Database {
    let containers = pod_spec
        .map(|spec| spec.containers.as_slice())
        .unwrap_or_default();
    let protocol = port::protocol(port, containers, cnpg.is_some());
    let image = database_container(containers)
        .and_then(|container| Image::new(container, pod_spec, protocol));
    let (source, [username, dbname]) = match (cnpg, image) {
        (Some(cnpg), _) => (CredentialSource::Cnpg(cnpg.to_owned()), [None, None]),
        (None, Some(image)) => {
            let names = names_without_reading(&image);
            (CredentialSource::Container(Box::new(image)), names)
        }
        (None, None) => (CredentialSource::Unknown, [None, None]),
    };
    Database {
        namespace: namespace.into(),
        name: name.into(),
        service: None,
        port_name: port.name.clone(),
        port: port.number,
        pods: Vec::new(),
        serving: None,
        lasting_names: false,
        protocol,
        dbname,
        username,
        source,
        warnings: pod_spec.and_then(pods::on_the_node).into_iter().collect(),
        until: None,
        owner: None,
    }
}

fn no_pod(namespace: &str, name: &str, service: &Service) -> Error {
    let error = Error::new(format!("{name} has no pod"));
    let service_name = service.name_any();
    let service_name = printable::line(&service_name);
    let selects = service
        .spec
        .as_ref()
        .and_then(|spec| spec.selector.as_ref())
        .is_some_and(|selector| !selector.is_empty());
    if selects {
        error
            .caused_by(format!(
                "service `{service_name}` selects none at the moment"
            ))
            .hint(format!(
                "see its pods: `{}`",
                shell("kubectl get pods").in_namespace(namespace)
            ))
    } else {
        error
            .caused_by(format!(
                "service `{service_name}` has no selector, and no Endpoints that lead anywhere"
            ))
            .hint(format!(
                "see them: `{}`",
                shell("kubectl get endpoints")
                    .arg(&service_name)
                    .in_namespace(namespace)
            ))
    }
}

fn no_port(what: &str) -> Error {
    Error::new(format!("{what} does not say which port it listens on"))
        .hint("add `ports: [{containerPort: N}]` to its container, or give it a Service")
}
