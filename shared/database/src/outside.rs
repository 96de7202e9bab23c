//! Services that lead out of the cluster: there is no pod behind them to which one could forward.

use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use kube::ResourceExt;

use super::port::{self, Port};
use super::{Protocol, pods};
use commons::error::Error;
use commons::printable;

/// A database that is not in the cluster, by the Service that stands for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside {
    /// The Service: a lasting address for apps.
    pub service: String,
    /// The port by which clients know it, where the Service tells one.
    pub port: Option<u16>,
    /// Where it leads: a host name, or addresses.
    pub hosts: Vec<String>,
    /// What it speaks, as far as the port tells.
    pub protocol: Protocol,
}

impl Outside {
    /// A Service that is but another name of this host, or stands for these addresses.
    pub(super) fn new(service: &Service, endpoints: &Endpoints, hosts: Vec<String>) -> Self {
        let port = port::of_service(service, endpoints, &[]);
        Self {
            service: service.name_any(),
            protocol: port
                .as_ref()
                .map_or(Protocol::Other, |port| port::protocol(port, &[], false)),
            port: port.map(|Port { number, .. }| number),
            hosts,
        }
    }

    /// That nothing can be forwarded there.
    pub fn refusal(&self) -> Error {
        let service = printable::line(&self.service);
        let hosts = printable::short(&self.hosts.join(", "), 120);
        if let [host] = &self.hosts[..]
            && let Some((service_meant, namespace)) = in_cluster(host)
        {
            let error = Error::new(format!("`{service}` is another name of `{hosts}`"));
            return error.hint(format!(
                "name that one: `{}/{}`",
                printable::word(namespace),
                printable::word(service_meant)
            ));
        }
        Error::new(format!(
            "`{service}` is outside the cluster ({hosts}): there is nothing to forward to"
        ))
    }
}

/// The Service and namespace in a name like `pg.user-bob.svc.cluster.local`.
fn in_cluster(host: &str) -> Option<(&str, &str)> {
    let mut parts = host.trim_end_matches('.').split('.');
    let (service, namespace) = (parts.next()?, parts.next()?);
    (parts.next() == Some("svc")).then_some((service, namespace))
}

/// The host for which a Service is but another name.
pub(super) fn external_name(service: &Service) -> Option<String> {
    let spec = service.spec.as_ref()?;
    let is_external = spec.type_.as_deref() == Some("ExternalName");
    is_external.then(|| spec.external_name.clone().unwrap_or_default())
}

/// The addresses of Endpoints that name no pod, as people write them by hand.
pub(super) fn addresses(endpoints: &Endpoints) -> Vec<String> {
    if !pods::of_endpoints(endpoints).is_empty() {
        return Vec::new();
    }
    let subsets = endpoints.subsets.iter().flatten();
    let addresses = subsets.flat_map(|subset| {
        let ready = subset.addresses.iter().flatten();
        ready.chain(subset.not_ready_addresses.iter().flatten())
    });
    addresses.map(|address| address.ip.clone()).collect()
}

/// The Service of the cluster that has one of these addresses.
pub(super) fn service_at<'a>(addresses: &[String], services: &'a [Service]) -> Option<&'a Service> {
    services.iter().find(|service| {
        let spec = service.spec.iter();
        let more = spec
            .clone()
            .flat_map(|spec| spec.cluster_ips.iter().flatten());
        let mut own = spec.filter_map(|spec| spec.cluster_ip.as_ref()).chain(more);
        own.any(|own| addresses.contains(own))
    })
}

/// The pod that has one of these addresses.
pub(super) fn pod_at<'a>(addresses: &[String], pods: &'a [Pod]) -> Option<&'a Pod> {
    pods.iter().find(|pod| {
        let is_on_node = pod.spec.as_ref().and_then(|spec| spec.host_network) == Some(true);
        let address = pod
            .status
            .as_ref()
            .and_then(|status| status.pod_ip.as_ref());
        // Others share the address of a node.
        !is_on_node && address.is_some_and(|address| addresses.contains(address))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn service(spec: &Value) -> Service {
        serde_json::from_value(json!({"metadata": {"name": "rds"}, "spec": spec}))
            .expect("a service")
    }

    #[test]
    fn what_is_outside_is_said_to_be() {
        let refusal = |spec: Value| {
            let service = service(&spec);
            let host = external_name(&service).expect("outside");
            let outside = Outside::new(&service, &Endpoints::default(), vec![host]);
            let hints = outside
                .refusal()
                .hints()
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>();
            (outside.port, outside.refusal().message().to_owned(), hints)
        };
        let ports = json!([{"port": 5432}]);
        let there = "`rds` is outside the cluster (db.example.org): there is nothing to forward to";
        assert_eq!(
            refusal(
                json!({"type": "ExternalName", "externalName": "db.example.org", "ports": ports})
            ),
            (Some(5432), there.to_owned(), vec![])
        );
        assert_eq!(
            refusal(json!({"type": "ExternalName", "externalName": "db.example.org"})),
            (None, there.to_owned(), vec![])
        );
        let alias =
            json!({"type": "ExternalName", "externalName": "pg.user-bob.svc.cluster.local"});
        assert_eq!(refusal(alias).2, ["name that one: `user-bob/pg`"]);
        assert_eq!(external_name(&service(&json!({"ports": ports}))), None);
    }

    #[test]
    fn addresses_by_hand_may_be_in_the_cluster() {
        let endpoints: Endpoints = serde_json::from_value(
            json!({"subsets": [{"addresses": [{"ip": "10.43.0.7"}, {"ip": "10.42.0.9"}]}]}),
        )
        .expect("endpoints");
        let found = addresses(&endpoints);
        let services = [
            service(&json!({"clusterIP": "10.43.0.8"})),
            service(&json!({"clusterIP": "10.43.0.7"})),
        ];
        assert!(
            service_at(&found, &services).is_some() && service_at(&found, &services[..1]).is_none()
        );
        let pod = |network: bool| -> Pod {
            serde_json::from_value(json!({"metadata": {}, "spec": {"containers": [], "hostNetwork": network}, "status": {"podIP": "10.42.0.9"}})).expect("a pod")
        };
        assert!(pod_at(&found, &[pod(false)]).is_some() && pod_at(&found, &[pod(true)]).is_none());
    }
}
