//! What a request is about: a resource type, and an object of it.

use serde_json::json;

use crate::http::{Request, Response};
use crate::rbac::Action;
use crate::store::Key;

/// A part of the API that not every cluster has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Addon {
    /// `gateway.networking.k8s.io` as of Gateway API 1.4: Gateways and `HTTPRoutes`.
    GatewayApi,
    /// `ListenerSets`, which came to it with 1.5.
    ListenerSets,
    /// cert-manager's kinds and those of its ACME issuers.
    CertManager,
}

/// A resource type.
pub struct ResourceType {
    pub group: &'static str,
    pub version: &'static str,
    pub plural: &'static str,
    pub kind: &'static str,
    pub short: &'static str,
    pub is_namespaced: bool,
    /// What must have been added for it to be served.
    pub addon: Option<Addon>,
}

impl ResourceType {
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.into()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

const fn kind(
    group: &'static str,
    plural: &'static str,
    kind: &'static str,
    short: &'static str,
) -> ResourceType {
    ResourceType {
        group,
        version: "v1",
        plural,
        kind,
        short,
        is_namespaced: true,
        addon: None,
    }
}

const fn global(mut kind: ResourceType) -> ResourceType {
    kind.is_namespaced = false;
    kind
}

const fn added(mut kind: ResourceType, addon: Addon) -> ResourceType {
    kind.addon = Some(addon);
    kind
}

pub const RBAC: &str = "rbac.authorization.k8s.io";
pub const GATEWAY: &str = "gateway.networking.k8s.io";
const NETWORKING: &str = "networking.k8s.io";
const CERT_MANAGER: &str = "cert-manager.io";
const ACME: &str = "acme.cert-manager.io";

pub const TYPES: &[ResourceType] = &[
    global(kind("", "namespaces", "Namespace", "ns")),
    global(kind("", "nodes", "Node", "no")),
    kind("", "services", "Service", "svc"),
    kind("", "endpoints", "Endpoints", "ep"),
    kind("", "pods", "Pod", "po"),
    kind("", "configmaps", "ConfigMap", "cm"),
    kind("", "secrets", "Secret", ""),
    kind("", "serviceaccounts", "ServiceAccount", "sa"),
    kind("", "events", "Event", "ev"),
    kind("", "resourcequotas", "ResourceQuota", "quota"),
    kind("", "limitranges", "LimitRange", "limits"),
    kind("", "persistentvolumeclaims", "PersistentVolumeClaim", "pvc"),
    kind("apps", "deployments", "Deployment", "deploy"),
    kind("apps", "replicasets", "ReplicaSet", "rs"),
    kind("apps", "statefulsets", "StatefulSet", "sts"),
    kind("apps", "daemonsets", "DaemonSet", "ds"),
    kind("batch", "jobs", "Job", ""),
    kind("batch", "cronjobs", "CronJob", "cj"),
    kind("discovery.k8s.io", "endpointslices", "EndpointSlice", ""),
    kind(NETWORKING, "ingresses", "Ingress", "ing"),
    kind(NETWORKING, "networkpolicies", "NetworkPolicy", "netpol"),
    global(kind(NETWORKING, "ingressclasses", "IngressClass", "")),
    kind(
        "policy",
        "poddisruptionbudgets",
        "PodDisruptionBudget",
        "pdb",
    ),
    kind(RBAC, "roles", "Role", ""),
    kind(RBAC, "rolebindings", "RoleBinding", ""),
    global(added(
        kind(GATEWAY, "gatewayclasses", "GatewayClass", "gc"),
        Addon::GatewayApi,
    )),
    added(
        kind(GATEWAY, "gateways", "Gateway", "gtw"),
        Addon::GatewayApi,
    ),
    added(
        kind(GATEWAY, "httproutes", "HTTPRoute", ""),
        Addon::GatewayApi,
    ),
    added(
        kind(GATEWAY, "listenersets", "ListenerSet", "lset"),
        Addon::ListenerSets,
    ),
    global(added(
        kind(CERT_MANAGER, "clusterissuers", "ClusterIssuer", ""),
        Addon::CertManager,
    )),
    added(
        kind(CERT_MANAGER, "issuers", "Issuer", ""),
        Addon::CertManager,
    ),
    added(
        kind(CERT_MANAGER, "certificates", "Certificate", "cert"),
        Addon::CertManager,
    ),
    added(
        kind(
            CERT_MANAGER,
            "certificaterequests",
            "CertificateRequest",
            "cr",
        ),
        Addon::CertManager,
    ),
    added(kind(ACME, "orders", "Order", ""), Addon::CertManager),
    added(
        kind(ACME, "challenges", "Challenge", ""),
        Addon::CertManager,
    ),
];

pub const REVIEWS: [(&str, &str); 4] = [
    ("authentication.k8s.io", "selfsubjectreviews"),
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"),
    ("authorization.k8s.io", "localsubjectaccessreviews"),
];

/// What a path names, whether that exists or not.
pub struct Target {
    pub group: String,
    pub version: String,
    pub plural: String,
    /// Empty for a type that nobody knows.
    pub kind: String,
    pub namespace: String,
    pub name: String,
    /// `log`, or empty.
    pub subresource: String,
    pub addon: Option<Addon>,
}

impl Target {
    pub fn of(request: &Request) -> Result<Self, Response> {
        let segments = request.segments();
        let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (group, version, rest) = match &parts[..] {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return Err(no_such_page()),
        };
        let (namespace, plural, name, subresource) = match rest {
            ["namespaces", name] => (*name, "namespaces", *name, ""),
            ["namespaces", namespace, plural] => (*namespace, *plural, "", ""),
            ["namespaces", namespace, plural, name] => (*namespace, *plural, *name, ""),
            ["namespaces", namespace, plural, name, sub] => (*namespace, *plural, *name, *sub),
            [plural] => ("", *plural, "", ""),
            [plural, name] => ("", *plural, *name, ""),
            _ => return Err(no_such_page()),
        };
        let known = TYPES
            .iter()
            .find(|kind| (kind.group, kind.version, kind.plural) == (group, version, plural));
        let is_review = version == "v1" && REVIEWS.contains(&(group, plural));
        let kind = known.map_or(if is_review { "Review" } else { "" }, |kind| kind.kind);
        Ok(Self {
            group: group.into(),
            version: version.into(),
            plural: plural.into(),
            kind: kind.into(),
            namespace: namespace.into(),
            name: name.into(),
            subresource: subresource.into(),
            addon: known.and_then(|kind| kind.addon),
        })
    }

    /// An object of a type that is known, addressed by the cluster itself.
    pub fn object(plural: &str, namespace: &str, name: &str) -> Self {
        let kind = TYPES
            .iter()
            .find(|kind| kind.plural == plural)
            .unwrap_or_else(|| panic!("no type is called {plural}"));
        Self {
            group: kind.group.into(),
            version: kind.version.into(),
            plural: plural.into(),
            kind: kind.kind.into(),
            namespace: namespace.into(),
            name: name.into(),
            subresource: String::new(),
            addon: kind.addon,
        }
    }

    pub fn key(&self, name: &str) -> Key {
        let namespace = if self.plural == "namespaces" {
            ""
        } else {
            &self.namespace
        };
        (namespace.to_owned(), self.plural.clone(), name.to_owned())
    }

    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `jobs.batch`
    pub fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.clone()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// `Deployment.apps`
    pub fn qualified_kind(&self) -> String {
        if self.group.is_empty() {
            self.kind.clone()
        } else {
            format!("{}.{}", self.kind, self.group)
        }
    }

    pub fn action(&self, verb: &str) -> Action {
        let resource = if self.subresource.is_empty() {
            self.plural.clone()
        } else {
            format!("{}/{}", self.plural, self.subresource)
        };
        Action {
            verb: verb.into(),
            group: self.group.clone(),
            resource,
            name: self.name.clone(),
            namespace: self.namespace.clone(),
        }
    }

    pub fn refusal(&self, code: u16, reason: &str, name: &str, message: String) -> Response {
        let kind = if code == 422 {
            &self.kind
        } else {
            &self.plural
        };
        let mut details = json!({"name": name, "kind": kind});
        if !self.group.is_empty() {
            details["group"] = json!(self.group);
        }
        Response::status(code, reason, message, &details)
    }
}

fn no_such_page() -> Response {
    Response::text(404, "text/plain", "404 page not found\n")
}

/// The answer for a type that is not served.
pub fn not_served() -> Response {
    let message = "the server could not find the requested resource";
    Response::status(404, "NotFound", message, &json!({}))
}
