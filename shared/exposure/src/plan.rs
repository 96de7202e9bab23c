//! What an exposure consists of, as plain data: no cluster is asked here.
//!
//! An Ingress (or a route, with a listener where the certificate is to be issued), a Service where there is none, a policy where
//! the pods are isolated, and a timer that owns them all where the exposure is to end by itself.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule,
    IngressServiceBackend, IngressSpec, IngressTLS, NetworkPolicy, NetworkPolicyPeer,
    ServiceBackendPort,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::existing::RouteKind;
use super::gateway::{
    BackendRef, GROUP, HttpRoute, HttpRouteSpec, ListenerSet, ListenerSetSpec, ParentRef, RouteRule,
};
use super::tls::Tls;
use crate::network;
use commons::apply::MANAGED_BY;
use commons::grant::{FOR, Term, timer_job};
use commons::names;

/// Annotation with the app, as kubectl names it: `deployment/web`.
pub const APP: &str = "kube-commons/app";
/// Annotation with how the certificate is had, as `--tls` has it.
pub const TLS: &str = "kube-commons/tls";
/// Annotation with the host.
pub const HOST: &str = "kube-commons/host";

/// The app that an object's annotation names; nothing where that is no name of one.
pub fn app_of(metadata: &ObjectMeta) -> Option<&str> {
    let app = metadata.annotations.as_ref()?.get(APP)?;
    let (kind, name) = app.split_once('/')?;
    (kind.bytes().all(|byte| byte.is_ascii_lowercase()) && names::is_name(name)).then_some(app)
}

/// An exposure that is to be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The namespace.
    pub namespace: String,
    /// The name of its objects: `expose-web`.
    pub name: String,
    /// The app, as kubectl names it: `deployment/web`.
    pub app: String,
    /// The host.
    pub host: String,
    /// Through what it is served.
    pub route_kind: RouteKind,
    /// How it gets its certificate.
    pub tls: Tls,
    /// Whether the certificate's listener is ours, on a Gateway of the platform.
    pub own_listener: bool,
    /// The Service that it leads to.
    pub service: String,
    /// The Service's port.
    pub service_port: i32,
    /// The port in the pods.
    pub target: u16,
    /// By what a Service that is made selects the pods; nothing where there is one already.
    pub new_service: Option<BTreeMap<String, String>>,
    /// By what the policy selects the pods, and whom it lets in; nothing where the pods are not isolated.
    pub policy: Option<(BTreeMap<String, String>, Vec<NetworkPolicyPeer>)>,
    /// Until when; nothing for until it is removed.
    pub term: Option<Term>,
    /// The time for which it is asked now, or was before: `8h`.
    pub lasts: Option<String>,
    /// The Secret for a certificate that is issued, where somebody else has named it.
    pub secret_name: Option<String>,
}

fn labels() -> BTreeMap<String, String> {
    BTreeMap::from([(MANAGED_BY.to_owned(), super::MANAGER.to_owned())])
}

/// The name of the objects of an app's exposure.
pub fn object_name(app: &str) -> String {
    names::join(&["expose", app])
}

impl Plan {
    /// The address.
    pub fn url(&self) -> String {
        format!("{}://{}", self.tls.scheme(), self.host)
    }

    /// The Secret in which the certificate is, if it is one of the namespace.
    pub fn secret(&self) -> Option<String> {
        match &self.tls {
            Tls::Issuer { .. } => self
                .secret_name
                .clone()
                .or_else(|| Some(format!("{}-tls", self.name))),
            Tls::Secret(name) => Some(name.clone()),
            Tls::Off | Tls::Wildcard => None,
        }
    }

    fn metadata(&self, owner: Option<&OwnerReference>, with_issuer: bool) -> ObjectMeta {
        let mut annotations = BTreeMap::from([
            (APP.to_owned(), self.app.clone()),
            (HOST.to_owned(), self.host.clone()),
            (TLS.to_owned(), self.tls.to_string()),
        ]);
        if with_issuer && let Some((annotation, issuer)) = self.tls.annotation() {
            annotations.insert(annotation.into(), issuer.into());
        }
        ObjectMeta {
            name: Some(self.name.clone()),
            labels: Some(labels()),
            annotations: Some(annotations),
            // An exposure that no longer ends by itself belongs to no timer: the empty list takes the old one away.
            owner_references: Some(owner.cloned().into_iter().collect()),
            ..Default::default()
        }
    }

    /// The metadata of what opens the address: it says that an end was asked for, so that a lost one is seen.
    fn opening(&self, owner: Option<&OwnerReference>, with_issuer: bool) -> ObjectMeta {
        let mut metadata = self.metadata(owner, with_issuer);
        if let (Some(lasts), Some(annotations)) = (&self.lasts, &mut metadata.annotations) {
            annotations.insert(FOR.to_owned(), lasts.clone());
        }
        metadata
    }

    /// The timer, for an exposure that ends by itself.
    pub fn job(&self) -> Option<Job> {
        let annotations = self.metadata(None, false).annotations.unwrap_or_default();
        self.term
            .map(|term| timer_job(&self.name, term, &labels(), &annotations))
    }

    /// The Service, where there is none.
    pub fn service(&self, owner: Option<&OwnerReference>) -> Option<Service> {
        let selector = self.new_service.clone()?;
        Some(Service {
            metadata: self.metadata(owner, false),
            spec: Some(ServiceSpec {
                selector: Some(selector),
                ports: Some(vec![ServicePort {
                    name: Some("http".into()),
                    port: self.service_port,
                    target_port: Some(IntOrString::Int(i32::from(self.target))),
                    ..Default::default()
                }]),
                ..Default::default()
            }),
            status: None,
        })
    }

    /// The policy, where the pods are isolated: the controller, and nobody else, may reach the app's port.
    pub fn policy(&self, owner: Option<&OwnerReference>) -> Option<NetworkPolicy> {
        let (selector, peers) = self.policy.clone()?;
        let pods = LabelSelector {
            match_labels: Some(selector),
            ..Default::default()
        };
        let port = IntOrString::Int(i32::from(self.target));
        Some(network::allow(
            self.metadata(owner, false),
            pods,
            peers,
            port,
        ))
    }

    /// The Ingress, for an exposure through one.
    pub fn ingress(&self, owner: Option<&OwnerReference>) -> Option<Ingress> {
        let RouteKind::Ingress { class } = &self.route_kind else {
            return None;
        };
        let backend = IngressBackend {
            service: Some(IngressServiceBackend {
                name: self.service.clone(),
                port: Some(ServiceBackendPort {
                    number: Some(self.service_port),
                    name: None,
                }),
            }),
            resource: None,
        };
        let path = HTTPIngressPath {
            path: Some("/".into()),
            path_type: "Prefix".into(),
            backend,
        };
        let tls = (self.tls != Tls::Off).then(|| {
            vec![IngressTLS {
                hosts: Some(vec![self.host.clone()]),
                secret_name: self.secret(),
            }]
        });
        Some(Ingress {
            metadata: self.opening(owner, true),
            spec: Some(IngressSpec {
                ingress_class_name: class.clone(),
                rules: Some(vec![IngressRule {
                    host: Some(self.host.clone()),
                    http: Some(HTTPIngressRuleValue { paths: vec![path] }),
                }]),
                tls,
                default_backend: None,
            }),
            status: None,
        })
    }

    /// The route, for an exposure through a Gateway. What the API server would fill in is written, so that it can be compared.
    pub fn route(&self, owner: Option<&OwnerReference>) -> Option<HttpRoute> {
        let RouteKind::Route { parent } = &self.route_kind else {
            return None;
        };
        let parent = if self.own_listener {
            ParentRef {
                group: Some(GROUP.into()),
                kind: Some("ListenerSet".into()),
                name: self.name.clone(),
                ..Default::default()
            }
        } else {
            ParentRef {
                group: Some(GROUP.into()),
                kind: Some("Gateway".into()),
                ..parent.clone()
            }
        };
        let backend = BackendRef {
            group: Some(String::new()),
            kind: Some("Service".into()),
            name: self.service.clone(),
            port: Some(self.service_port),
            weight: Some(1),
        };
        let everything = serde_json::json!({"path": {"type": "PathPrefix", "value": "/"}});
        Some(HttpRoute::new(
            self.opening(owner, false),
            HttpRouteSpec {
                parent_refs: vec![parent],
                hostnames: vec![self.host.clone()],
                rules: vec![RouteRule {
                    matches: vec![everything],
                    backend_refs: vec![backend],
                }],
            },
        ))
    }

    /// Our listener on the platform's Gateway, where the certificate is issued for this host alone: cert-manager acts on
    /// listeners, never on routes.
    pub fn listener_set(&self, owner: Option<&OwnerReference>) -> Option<ListenerSet> {
        let (RouteKind::Route { parent }, true, Some(secret)) =
            (&self.route_kind, self.own_listener, self.secret())
        else {
            return None;
        };
        let listener = serde_json::json!({
            "name": "https", "hostname": self.host, "port": 443, "protocol": "HTTPS",
            "tls": {"mode": "Terminate", "certificateRefs": [{"group": "", "kind": "Secret", "name": secret}]},
            "allowedRoutes": {"namespaces": {"from": "Same"}},
        });
        let gateway = ParentRef {
            group: Some(GROUP.into()),
            kind: Some("Gateway".into()),
            section_name: None,
            port: None,
            ..parent.clone()
        };
        Some(ListenerSet::new(
            self.metadata(owner, true),
            ListenerSetSpec {
                parent_ref: gateway,
                listeners: vec![listener],
            },
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn plan() -> Plan {
        Plan {
            namespace: "user-alice".into(),
            name: object_name("web"),
            app: "deployment/web".into(),
            host: "web-alice.kub.example.test".into(),
            route_kind: RouteKind::Ingress {
                class: Some("traefik".into()),
            },
            tls: Tls::Wildcard,
            own_listener: false,
            service: "expose-web".into(),
            service_port: 80,
            target: 8000,
            new_service: Some(BTreeMap::from([("app".into(), "web".into())])),
            policy: None,
            term: None,
            lasts: None,
            secret_name: None,
        }
    }

    #[test]
    fn an_ingress_has_one_host_one_path_and_the_neighbours_certificate() {
        let ingress = serde_json::to_value(plan().ingress(None)).expect("JSON");
        assert_eq!(
            ingress["spec"],
            serde_json::json!({
                "ingressClassName": "traefik",
                "rules": [{"host": "web-alice.kub.example.test", "http": {"paths": [{
                    "path": "/", "pathType": "Prefix", "backend": {"service": {"name": "expose-web", "port": {"number": 80}}}}]}}],
                "tls": [{"hosts": ["web-alice.kub.example.test"]}],
            })
        );
        let issued = Plan {
            tls: Tls::Issuer {
                name: "ca".into(),
                of_namespace: Some(true),
            },
            ..plan()
        };
        let ingress = serde_json::to_value(issued.ingress(None)).expect("JSON");
        assert_eq!(ingress["spec"]["tls"][0]["secretName"], "expose-web-tls");
        assert_eq!(
            ingress["metadata"]["annotations"]["cert-manager.io/issuer"],
            "ca"
        );
        let plain = Plan {
            tls: Tls::Off,
            ..plan()
        };
        assert!(
            serde_json::to_value(plain.ingress(None)).expect("JSON")["spec"]
                .get("tls")
                .is_none()
        );
        assert_eq!(plain.url(), "http://web-alice.kub.example.test");
    }

    #[test]
    fn a_policy_opens_the_apps_port_to_the_controller_alone() {
        let peer = NetworkPolicyPeer {
            namespace_selector: Some(LabelSelector::default()),
            ..Default::default()
        };
        let isolated = Plan {
            policy: Some((BTreeMap::from([("app".into(), "web".into())]), vec![peer])),
            ..plan()
        };
        let policy = serde_json::to_value(isolated.policy(None)).expect("JSON");
        assert_eq!(
            policy["spec"],
            serde_json::json!({
                "podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"],
                "ingress": [{"from": [{"namespaceSelector": {}}], "ports": [{"port": 8000, "protocol": "TCP"}]}],
            })
        );
        assert!(plan().policy(None).is_none());
    }

    #[test]
    fn certificates_for_routes_need_a_listener_of_our_own() {
        let parent: ParentRef = "infra/shared/https".parse().expect("a parent");
        let route = Plan {
            route_kind: RouteKind::Route {
                parent: parent.clone(),
            },
            ..plan()
        };
        assert!(route.ingress(None).is_none() && route.listener_set(None).is_none());
        let written = serde_json::to_value(route.route(None)).expect("JSON");
        assert_eq!(written["spec"]["parentRefs"][0]["sectionName"], "https");
        let own = Plan {
            own_listener: true,
            tls: Tls::Issuer {
                name: "ca".into(),
                of_namespace: None,
            },
            ..route
        };
        let listeners = serde_json::to_value(own.listener_set(None)).expect("JSON");
        assert_eq!(
            listeners["spec"]["parentRef"],
            serde_json::json!({"group": GROUP, "kind": "Gateway", "namespace": "infra", "name": "shared"})
        );
        assert_eq!(
            listeners["spec"]["listeners"][0]["tls"]["certificateRefs"][0]["name"],
            "expose-web-tls"
        );
        assert_eq!(
            listeners["metadata"]["annotations"]["cert-manager.io/cluster-issuer"],
            "ca"
        );
        let written = serde_json::to_value(own.route(None)).expect("JSON");
        assert_eq!(
            written["spec"]["parentRefs"],
            serde_json::json!([{"group": GROUP, "kind": "ListenerSet", "name": "expose-web"}])
        );
    }

    #[test]
    fn only_what_ends_has_a_timer() {
        assert!(plan().job().is_none());
        let ends = Plan {
            term: Some(Term::For(Duration::from_secs(10))),
            ..plan()
        };
        assert_eq!(
            ends.job().and_then(|job| job.spec?.active_deadline_seconds),
            Some(10)
        );
        assert_eq!(
            ends.service(None)
                .and_then(|service| service.metadata.owner_references)
                .map(|owners| owners.len()),
            Some(0)
        );
    }
}
