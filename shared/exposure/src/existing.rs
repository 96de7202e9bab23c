//! What the other addresses of the namespace teach: the domain, the class, how certificates are had, who the controller is.
//!
//! A namespace's user may read neither `IngressClass`es nor Gateways of other namespaces, but the objects that a platform's
//! charts have put into the namespace show how things are done here.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy, NetworkPolicyPeer};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;

use super::gateway::{HttpRoute, ParentRef};
use super::host::domain_of;
use super::tls::{CLUSTER_ISSUER, ISSUER, Tls};
use crate::network::{self, Outsider, Published};
use commons::apply::is_ours;

/// The annotation that named an Ingress's class before Kubernetes 1.18.
const OLD_CLASS: &str = "kubernetes.io/ingress.class";

/// What there is in the namespace, read once.
#[derive(Clone, Debug, Default)]
pub struct ExistingRoutes {
    /// Its Ingresses.
    pub ingresses: Vec<Ingress>,
    /// Its routes; nothing where the Gateway API is not served (or may not be read).
    pub routes: Option<Vec<HttpRoute>>,
    /// Its policies.
    pub policies: Vec<NetworkPolicy>,
    /// Its Services.
    pub services: Vec<Service>,
}

/// One address that exists: a host of an Ingress or a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The host.
    pub host: String,
    /// `ingress/NAME` or `httproute/NAME`.
    pub of: String,
    /// The Services that it leads to.
    pub services: Vec<String>,
    /// How it is served.
    pub route_kind: RouteKind,
    /// How it gets its certificate; nothing for a route, whose Gateway knows.
    pub tls: Option<Tls>,
}

/// Through what an address is served.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RouteKind {
    /// An Ingress, of this class; the cluster's default, or whichever controller takes it, where there is none.
    Ingress {
        /// The class.
        class: Option<String>,
    },
    /// A route on this Gateway.
    Route {
        /// The Gateway.
        parent: ParentRef,
    },
}

impl ExistingRoutes {
    /// Every address in the namespace.
    pub fn addresses(&self) -> Vec<Address> {
        let of_ingresses = self.ingresses.iter().flat_map(addresses_of_ingress);
        let of_routes = self.routes.iter().flatten().flat_map(addresses_of_route);
        of_ingresses.chain(of_routes).collect()
    }

    /// The addresses that can teach: those at a plain host, one label under a domain.
    fn teachers(&self) -> Vec<Address> {
        let mut addresses = self.addresses();
        addresses
            .retain(|address| !address.host.starts_with('*') && domain_of(&address.host).is_some());
        addresses
    }

    /// The domain that most addresses are under; of Ingresses of `class` only, if one is asked for, or of routes only.
    pub fn domain(&self, wanted: Option<&RouteKind>) -> Option<String> {
        let teachers = self.teachers();
        let serving = |address: &&Address| match (wanted, &address.route_kind) {
            (None, _) | (Some(RouteKind::Ingress { class: None }), RouteKind::Ingress { .. }) => {
                true
            }
            (Some(RouteKind::Ingress { class: wanted }), RouteKind::Ingress { class }) => {
                wanted == class
            }
            (Some(RouteKind::Route { parent }), RouteKind::Route { parent: theirs }) => {
                parent.name.is_empty()
                    || (&parent.name, &parent.namespace) == (&theirs.name, &theirs.namespace)
            }
            _ => false,
        };
        most_common(
            teachers
                .iter()
                .filter(serving)
                .filter_map(|address| domain_of(&address.host)),
        )
        .map(str::to_owned)
    }

    /// An object that has an address of this domain: `ingress/grafana`.
    pub fn teacher(&self, domain: Option<&str>) -> Option<String> {
        let mut teachers = self.teachers().into_iter();
        teachers
            .find(|address| domain.is_some() && domain_of(&address.host) == domain)
            .map(|address| address.of)
    }

    /// How addresses of this domain are served here, the most common way first; of any domain, where there is none of it.
    pub fn route_kind(&self, domain: Option<&str>, gateway: Option<bool>) -> Option<RouteKind> {
        let teachers = self.teachers();
        let kind = |address: &&Address| {
            gateway.is_none_or(|gateway| {
                gateway == matches!(address.route_kind, RouteKind::Route { .. })
            })
        };
        let of_domain = teachers
            .iter()
            .filter(kind)
            .filter(|address| domain.is_some() && domain_of(&address.host) == domain);
        most_common(of_domain.map(|address| &address.route_kind))
            .or_else(|| {
                most_common(
                    teachers
                        .iter()
                        .filter(kind)
                        .map(|address| &address.route_kind),
                )
            })
            .cloned()
    }

    /// How Ingresses of this class and domain get their certificates.
    pub fn tls(&self, class: Option<&str>, host: &str) -> Option<Tls> {
        let teachers = self.teachers();
        let same = |address: &&Address| {
            domain_of(&address.host) == domain_of(host)
                && matches!(&address.route_kind, RouteKind::Ingress { class: theirs } if class.is_none() || theirs.is_none() || theirs.as_deref() == class)
        };
        most_common(
            teachers
                .iter()
                .filter(same)
                .filter_map(|address| address.tls.as_ref())
                .filter(|tls| **tls != Tls::Off),
        )
        .cloned()
    }

    /// Another object of this namespace that serves this host.
    pub fn serving(&self, host: &str, except: &str) -> Option<Address> {
        self.addresses().into_iter().find(|address| {
            address.host == host && address.of.split('/').next_back() != Some(except)
        })
    }

    /// Whom policies on pods behind other addresses let in from outside of this namespace: most likely the controller.
    ///
    /// Policies of our own tell only where no others do: they repeat what they were told.
    pub fn controller(&self) -> Controller {
        let (own, others): (Vec<_>, Vec<_>) = self
            .policies
            .iter()
            .cloned()
            .partition(|policy| is_ours(&policy.metadata, super::MANAGER));
        match Controller::among(&self.outsiders(&others)) {
            Controller::Unknown => Controller::among(&self.outsiders(&own)),
            known => known,
        }
    }

    fn outsiders(&self, policies: &[NetworkPolicy]) -> Vec<Outsider> {
        let published: Vec<Published> = self
            .addresses()
            .iter()
            .flat_map(|address| &address.services)
            .filter_map(|name| {
                self.services
                    .iter()
                    .find(|service| service.name_any() == **name)
            })
            .filter_map(|service| service.spec.as_ref())
            .flat_map(|spec| {
                let labels = spec.selector.clone().unwrap_or_default();
                let ports = spec
                    .ports
                    .iter()
                    .flatten()
                    .map(|port| match &port.target_port {
                        Some(IntOrString::Int(number)) if *number > 0 => {
                            u16::try_from(*number).ok()
                        }
                        Some(IntOrString::String(_)) => None,
                        _ => u16::try_from(port.port).ok(),
                    });
                ports
                    .map(move |port| Published {
                        labels: labels.clone(),
                        port,
                    })
                    .collect::<Vec<_>>()
            })
            .collect();
        network::outsiders(policies, &published)
    }
}

/// Who the ingress controller is to network policies.
#[derive(Clone, Debug, PartialEq)]
pub enum Controller {
    /// These peers.
    Peers(Vec<NetworkPolicyPeer>),
    /// One of these, of whom one is as likely as the other.
    OneOf(Vec<NetworkPolicyPeer>),
    /// Nothing tells.
    Unknown,
}

impl Controller {
    /// Whom the most policies let in: a single app may let in others too. Whoever there is, is nobody in particular.
    fn among(outsiders: &[Outsider]) -> Self {
        let named = || {
            outsiders
                .iter()
                .filter(|outsider| !network::is_everybody(&outsider.peer))
        };
        let most = named().map(|outsider| outsider.policies).max();
        let peers: Vec<NetworkPolicyPeer> = named()
            .filter(|outsider| Some(outsider.policies) == most)
            .map(|outsider| outsider.peer.clone())
            .collect();
        match (most, &peers[..]) {
            (None, _) => Self::Unknown,
            (Some(1), [_, _, ..]) => Self::OneOf(peers),
            _ => Self::Peers(peers),
        }
    }
}

pub(super) fn addresses_of_ingress(ingress: &Ingress) -> Vec<Address> {
    let Some(spec) = &ingress.spec else {
        return Vec::new();
    };
    let class = spec
        .ingress_class_name
        .clone()
        .or_else(|| ingress.annotations().get(OLD_CLASS).cloned());
    let issuer = [(CLUSTER_ISSUER, false), (ISSUER, true)]
        .into_iter()
        .find_map(|(annotation, of_namespace)| {
            let name = ingress.annotations().get(annotation)?.clone();
            Some(Tls::Issuer {
                name,
                of_namespace: Some(of_namespace),
            })
        });
    let rules = spec.rules.iter().flatten();
    rules
        .filter_map(|rule| {
            let host = rule.host.clone()?;
            let entry = spec.tls.iter().flatten().find(|entry| {
                entry.hosts.as_ref().is_none_or(|hosts| {
                    hosts.is_empty() || hosts.iter().any(|covered| covers(covered, &host))
                })
            });
            let tls = match entry {
                None => Tls::Off,
                Some(entry) => match (&issuer, &entry.secret_name) {
                    (Some(issuer), Some(_)) => issuer.clone(),
                    (None, Some(secret)) => Tls::Secret(secret.clone()),
                    (_, None) => Tls::Wildcard,
                },
            };
            let paths = rule.http.iter().flat_map(|http| &http.paths);
            Some(Address {
                host,
                of: format!("ingress/{}", ingress.name_any()),
                services: paths
                    .filter_map(|path| Some(path.backend.service.as_ref()?.name.clone()))
                    .collect(),
                route_kind: RouteKind::Ingress {
                    class: class.clone(),
                },
                tls: Some(tls),
            })
        })
        .collect()
}

fn addresses_of_route(route: &HttpRoute) -> Vec<Address> {
    let Some(parent) = route
        .spec
        .parent_refs
        .iter()
        .find(|parent| parent.kind.as_deref().is_none_or(|kind| kind == "Gateway"))
    else {
        return Vec::new();
    };
    let backends = route.spec.rules.iter().flat_map(|rule| &rule.backend_refs);
    let services: Vec<String> = backends.map(|backend| backend.name.clone()).collect();
    let address = |host: &String| Address {
        host: host.clone(),
        of: format!("httproute/{}", route.name_any()),
        services: services.clone(),
        route_kind: RouteKind::Route {
            parent: parent.clone(),
        },
        tls: None,
    };
    route.spec.hostnames.iter().map(address).collect()
}

/// Whether a name of a certificate or `tls` entry is for this host: itself, or a wildcard over one label (RFC 6125).
pub fn covers(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(domain) => host
            .split_once('.')
            .is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(domain)),
        None => name.eq_ignore_ascii_case(host),
    }
}

/// The certificate in a TLS Secret, in PEM.
pub fn certificate_in(secret: &Secret) -> Option<&[u8]> {
    secret
        .data
        .as_ref()?
        .get("tls.crt")
        .map(|bytes| bytes.0.as_slice())
}

/// The value seen most often, the first of those in their own order where several are.
fn most_common<T: Ord>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut counts: BTreeMap<T, usize> = BTreeMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    let most = counts.values().copied().max()?;
    counts
        .into_iter()
        .find(|(_, count)| *count == most)
        .map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ingress(yaml: &str) -> Ingress {
        serde_saphyr::from_str(yaml).expect("an Ingress")
    }

    fn named(name: &str, host: &str, rest: &str) -> Ingress {
        ingress(&format!(
            "{{metadata: {{name: {name}}}, spec: {{rules: [{{host: {host}, http: {{paths: [{{pathType: Prefix, path: /, backend: {{service: {{name: {name}, port: {{number: 80}}}}}}}}]}}}}], {rest}}}}}"
        ))
    }

    fn routes_of(ingresses: Vec<Ingress>) -> ExistingRoutes {
        ExistingRoutes {
            ingresses,
            ..Default::default()
        }
    }

    /// An app behind an Ingress, whose policy lets in these namespaces; nothing is everybody.
    fn isolated(name: &str, is_ours: bool, from: &[Option<&str>]) -> (Service, NetworkPolicy) {
        let peers: Vec<serde_json::Value> = from
            .iter()
            .map(|namespace| match namespace {
                Some(namespace) => serde_json::json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}),
                None => serde_json::json!({"namespaceSelector": {}}),
            })
            .collect();
        let labels = if is_ours {
            serde_json::json!({"app.kubernetes.io/managed-by": super::super::MANAGER})
        } else {
            serde_json::json!({})
        };
        let service = serde_json::json!({"metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8000}]}});
        let policy = serde_json::json!({"metadata": {"name": name, "namespace": "user-alice", "labels": labels}, "spec": {"podSelector": {"matchLabels": {"app": name}}, "ingress": [{"from": peers}]}});
        (
            serde_json::from_value(service).expect("a Service"),
            serde_json::from_value(policy).expect("a NetworkPolicy"),
        )
    }

    #[test]
    fn the_controller_is_whom_most_let_in_and_nobody_is_guessed() {
        let controller = |apps: &[(&str, bool, &[Option<&str>])]| {
            let mut all = routes_of(
                apps.iter()
                    .map(|(name, ..)| named(name, &format!("{name}.kub.example.test"), "tls: []"))
                    .collect(),
            );
            for (name, is_ours, from) in apps {
                let (service, policy) = isolated(name, *is_ours, from);
                all.services.push(service);
                all.policies.push(policy);
            }
            let described = |peers: Vec<NetworkPolicyPeer>| -> Vec<String> {
                peers.iter().map(network::describe_peer).collect()
            };
            match all.controller() {
                Controller::Peers(peers) => ("these", described(peers)),
                Controller::OneOf(peers) => ("one of", described(peers)),
                Controller::Unknown => ("unknown", Vec::new()),
            }
        };
        let traefik = "pods of namespace traefik".to_owned();
        let bob = "pods of namespace user-bob".to_owned();
        let (t, b) = (Some("traefik"), Some("user-bob"));
        assert_eq!(
            controller(&[("a", false, &[t]), ("b", false, &[t, b])]),
            ("these", vec![traefik.clone()])
        );
        assert_eq!(
            controller(&[("a", false, &[t, b])]),
            ("one of", vec![traefik.clone(), bob]),
            "a colleague is as likely"
        );
        assert_eq!(
            controller(&[("a", false, &[None])]),
            ("unknown", vec![]),
            "everybody is nobody in particular"
        );
        assert_eq!(
            controller(&[("a", true, &[b]), ("b", false, &[t])]),
            ("these", vec![traefik.clone()]),
            "ours only repeat"
        );
        assert_eq!(
            controller(&[("a", true, &[t])]),
            ("these", vec![traefik]),
            "but tell where nothing else does"
        );
    }

    #[test]
    fn the_domain_is_the_one_most_addresses_are_under() {
        let some = routes_of(vec![
            named("a", "a.kub.example.test", "tls: []"),
            named("b", "b.kub.example.test", "tls: []"),
            named("c", "c.other.example.test", "ingressClassName: other"),
            named("d", "'*.wild.example.test'", "tls: []"),
            named("e", "short.test", "tls: []"),
        ]);
        assert_eq!(some.domain(None).as_deref(), Some("kub.example.test"));
        let other = RouteKind::Ingress {
            class: Some("other".into()),
        };
        assert_eq!(
            some.domain(Some(&other)).as_deref(),
            Some("other.example.test")
        );
        assert_eq!(
            some.route_kind(Some("other.example.test"), None),
            Some(other)
        );
        assert_eq!(routes_of(vec![]).domain(None), None);
    }

    #[test]
    fn certificates_are_had_as_the_neighbours_have_them() {
        let host = "new.kub.example.test";
        let wildcard = routes_of(vec![named(
            "a",
            "a.kub.example.test",
            "tls: [{hosts: [a.kub.example.test]}]",
        )]);
        assert_eq!(wildcard.tls(None, host), Some(Tls::Wildcard));
        let secret = routes_of(vec![named(
            "a",
            "a.kub.example.test",
            "tls: [{hosts: ['*.kub.example.test'], secretName: wild}]",
        )]);
        assert_eq!(secret.tls(None, host), Some(Tls::Secret("wild".into())));
        let mut issued = named(
            "a",
            "a.kub.example.test",
            "tls: [{hosts: [a.kub.example.test], secretName: a-tls}]",
        );
        issued
            .annotations_mut()
            .insert(CLUSTER_ISSUER.into(), "letsencrypt".into());
        assert_eq!(
            routes_of(vec![issued]).tls(None, host),
            Some(Tls::Issuer {
                name: "letsencrypt".into(),
                of_namespace: Some(false)
            })
        );
        let none = routes_of(vec![named("a", "a.kub.example.test", "tls: []")]);
        assert_eq!(
            none.tls(None, host),
            None,
            "without certificates nothing is learned"
        );
        assert_eq!(
            wildcard.tls(None, "new.other.example.test"),
            None,
            "another domain"
        );
    }

    #[test]
    fn the_old_annotation_is_a_class_too() {
        let mut old = named("a", "a.kub.example.test", "tls: []");
        old.annotations_mut()
            .insert(OLD_CLASS.into(), "nginx".into());
        assert_eq!(
            routes_of(vec![old]).route_kind(Some("kub.example.test"), None),
            Some(RouteKind::Ingress {
                class: Some("nginx".into())
            })
        );
    }

    #[test]
    fn routes_teach_their_gateway() {
        let route: HttpRoute = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "a"},
            "spec": {"parentRefs": [{"name": "shared", "namespace": "infra"}], "hostnames": ["a.gw.example.test"],
                "rules": [{"backendRefs": [{"name": "a", "port": 80}]}]},
        })).expect("a route");
        let some = ExistingRoutes {
            routes: Some(vec![route]),
            ..Default::default()
        };
        let route_kind = some.route_kind(None, Some(true));
        assert!(
            matches!(&route_kind, Some(RouteKind::Route { parent }) if parent.to_string() == "infra/shared")
        );
        assert_eq!(
            some.domain(route_kind.as_ref()).as_deref(),
            Some("gw.example.test")
        );
        assert_eq!(some.route_kind(None, Some(false)), None);
    }

    #[test]
    fn a_wildcard_covers_one_label() {
        assert!(covers("*.kub.example.test", "a.kub.example.test"));
        assert!(!covers("*.kub.example.test", "a.b.kub.example.test"));
        assert!(!covers("*.kub.example.test", "kub.example.test"));
        assert!(covers("A.example.test", "a.example.test"));
    }
}
