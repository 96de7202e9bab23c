//! What an ingress controller does: where it sends requests, and what it writes about Ingresses.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use serde_json::{Value, json};

use super::server::Shared;
use super::{items, plane, text};

/// Namespace, plural, name.
pub type Key = (String, String, String);

impl Shared {
    /// What the ingress controller sees of the test's namespaces, as the test calls all of it.
    fn seen(&self, plurals: &[&str]) -> BTreeMap<Key, Value> {
        let namespaces: Vec<String> = self.names().all_real().collect();
        let mut all = BTreeMap::new();
        for namespace in &namespaces {
            for plural in plurals {
                for object in plane().objects(plural, namespace) {
                    let object = self.shown(&object);
                    let part = |field: &str| text(&object["metadata"][field]);
                    let key = (part("namespace"), (*plural).to_owned(), part("name"));
                    all.insert(key, object);
                }
            }
        }
        all
    }

    /// Where the ingress controller sends a request: by the longest path, and among equals by the oldest Ingress.
    pub(crate) fn destination(&self, host: &str, path: &str) -> Destination {
        let ingresses = self.seen(&["ingresses"]);
        let class = self.inner().world.class.clone();
        let ingresses = ingresses.iter().filter(|(_, ingress)| {
            let of = &ingress["spec"]["ingressClassName"];
            class.as_ref().is_none_or(|served| of == served)
        });
        let mut found: Vec<(usize, &str, &str, &Value)> = Vec::new();
        for ((namespace, ..), ingress) in ingresses {
            let created = ingress["metadata"]["creationTimestamp"].as_str();
            let rules = items(&ingress["spec"], "rules").filter(|rule| {
                let pattern = rule["host"].as_str();
                pattern.is_none_or(|pattern| host_fits(pattern, host))
            });
            for entry in rules.flat_map(|rule| items(&rule["http"], "paths")) {
                let prefix = entry["path"].as_str().unwrap_or("/");
                if path.starts_with(prefix) {
                    let service = &entry["backend"]["service"];
                    found.push((
                        prefix.len(),
                        created.unwrap_or_default(),
                        namespace,
                        service,
                    ));
                }
            }
        }
        found.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(other.1)));
        let Some((_, _, namespace, service)) = found.first() else {
            return Destination::Unknown;
        };
        let name = service["name"].as_str().unwrap_or_default();
        let objects = self.seen(&["services", "endpoints", "pods"]);
        endpoint_address(&objects, namespace, name, &service["port"])
            .map_or(Destination::Nobody, |(pod, port)| {
                Destination::Pod(pod, port)
            })
    }

    /// The certificate and key that an Ingress names for a host, as PEM.
    pub(crate) fn certificate(&self, host: &str) -> Option<(String, String)> {
        let ingresses = self.seen(&["ingresses"]);
        let mut named = ingresses.iter().flat_map(|((namespace, ..), ingress)| {
            items(&ingress["spec"], "tls").map(move |tls| (namespace, tls))
        });
        let (namespace, tls) = named.find(|(_, tls)| {
            tls["secretName"].is_string() && items(tls, "hosts").any(|of| of == host)
        })?;
        let key = (
            namespace.clone(),
            "secrets".to_owned(),
            text(&tls["secretName"]),
        );
        let secrets = self.seen(&["secrets"]);
        let data = &secrets.get(&key)?["data"];
        let read = |field: &str| {
            let bytes = base64::engine::general_purpose::STANDARD.decode(data[field].as_str()?);
            String::from_utf8(bytes.ok()?).ok()
        };
        Some((read("tls.crt")?, read("tls.key")?))
    }
}

/// What the ingress controller says of an Ingress that it serves.
pub(super) fn care(shared: &Arc<Shared>, ingress: &Value) {
    let (entrance, class) = {
        let world = &shared.inner().world;
        (world.entrance, world.class.clone())
    };
    let of = shared.show(
        ingress["spec"]["ingressClassName"]
            .as_str()
            .unwrap_or_default(),
    );
    let Some(entrance) = entrance.filter(|_| class.is_none_or(|served| of == served)) else {
        return;
    };
    let status = json!({"loadBalancer": {"ingress": [{"ip": entrance.to_string()}]}});
    if ingress["status"] == status {
        return;
    }
    let metadata = &ingress["metadata"];
    let kind = plane().kind_of_plural("ingresses");
    let path = kind.path(&text(&metadata["namespace"]), &text(&metadata["name"])) + "/status";
    let change = json!({"metadata": {"uid": metadata["uid"]}, "status": status});
    let change = Some(("application/merge-patch+json", &change));
    let (code, answer) = plane().root("PATCH", &path, change);
    assert!(code == 200 || code == 404 || code == 409, "{answer}");
}

fn host_fits(pattern: &str, host: &str) -> bool {
    pattern == host
        || pattern
            .strip_prefix('*')
            .is_some_and(|suffix| host.ends_with(suffix))
}

/// Where a request for a host leads.
#[derive(Debug, PartialEq, Eq)]
pub enum Destination {
    /// To this port of this pod.
    Pod(String, u16),
    /// To a Service that has nobody ready.
    Nobody,
    /// Nowhere: no Ingress or route has this host and path.
    Unknown,
}

/// A ready pod behind a Service's port (`{"number": 80}` or `{"name": "http"}`), and the port there.
fn endpoint_address(
    objects: &BTreeMap<Key, Value>,
    namespace: &str,
    service: &str,
    port: &Value,
) -> Option<(String, u16)> {
    let key = (
        namespace.to_owned(),
        "services".to_owned(),
        service.to_owned(),
    );
    let ports = objects.get(&key)?["spec"]["ports"].as_array()?;
    let chosen = ports.iter().find(|one| match port["name"].as_str() {
        Some(name) => one["name"] == name,
        None => one["port"] == port["number"],
    })?;
    let endpoints = objects.get(&(key.0.clone(), "endpoints".to_owned(), key.2.clone()))?;
    let subsets = endpoints["subsets"].as_array()?.iter();
    let mut addresses =
        subsets.flat_map(|subset| subset["addresses"].as_array().into_iter().flatten());
    let pod = addresses.next()?["targetRef"]["name"].as_str()?.to_owned();
    let stored = objects.get(&(key.0, "pods".to_owned(), pod.clone()))?;
    Some((pod, target_port(chosen, stored)?))
}

/// The port of a pod that a Service's port leads to.
pub(super) fn target_port(service_port: &Value, pod: &Value) -> Option<u16> {
    let target = &service_port["targetPort"];
    if let Some(number) = target.as_u64() {
        return u16::try_from(number).ok();
    }
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let mut ports =
        containers.flat_map(|container| container["ports"].as_array().into_iter().flatten());
    let port = ports.find(|port| port["name"] == *target)?["containerPort"].as_u64()?;
    u16::try_from(port).ok()
}
