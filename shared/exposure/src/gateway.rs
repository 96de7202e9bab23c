//! The parts of the Gateway API (gateway.networking.k8s.io) that an exposure reads and writes.
//!
//! An `HTTPRoute` leads a host to a Service through a Gateway of the platform; a `ListenerSet` (standard since Gateway API 1.5)
//! adds a listener with its own certificate to such a Gateway, for platforms without a wildcard certificate.

use std::fmt;
use std::str::FromStr;

use kube::Resource;
use kube::core::ObjectMeta;
use serde::{Deserialize, Serialize};

use commons::names::is_name;
use commons::printable;

/// The API group.
pub const GROUP: &str = "gateway.networking.k8s.io";

/// What a route is attached to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// `gateway.networking.k8s.io` where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// `Gateway` where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its namespace; the route's where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// One listener of it; all where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
    /// The listeners at this port; all where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

impl fmt::Display for ParentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(f, "{}/", printable::line(namespace))?;
        }
        write!(f, "{}", printable::line(&self.name))?;
        match &self.section_name {
            Some(section) => write!(f, "/{}", printable::line(section)),
            None => Ok(()),
        }
    }
}

impl FromStr for ParentRef {
    type Err = String;

    /// `NAMESPACE/GATEWAY` or `NAMESPACE/GATEWAY/LISTENER`; a name alone is a Gateway of one's own namespace.
    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        if parts.len() > 3 || parts.iter().any(|part| !is_name(part)) {
            return Err("write `NAMESPACE/GATEWAY` or `NAMESPACE/GATEWAY/LISTENER`".into());
        }
        let owned = |position: usize| parts.get(position).map(|part| (*part).to_owned());
        Ok(match parts.len() {
            1 => Self {
                name: parts[0].into(),
                ..Self::default()
            },
            _ => Self {
                namespace: owned(0),
                name: parts[1].into(),
                section_name: owned(2),
                ..Self::default()
            },
        })
    }
}

/// A route for HTTP.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRoute {
    #[serde(default = "route_version")]
    api_version: String,
    #[serde(default = "route_kind")]
    kind: String,
    /// Name, labels and so on.
    pub metadata: ObjectMeta,
    /// What it leads where.
    #[serde(default)]
    pub spec: HttpRouteSpec,
    /// What the Gateways made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<HttpRouteStatus>,
}

fn route_version() -> String {
    HttpRoute::api_version(&()).into_owned()
}

fn route_kind() -> String {
    "HTTPRoute".into()
}

impl HttpRoute {
    /// A new one.
    pub fn new(metadata: ObjectMeta, spec: HttpRouteSpec) -> Self {
        Self {
            api_version: route_version(),
            kind: route_kind(),
            metadata,
            spec,
            status: None,
        }
    }
}

/// What a route leads where.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteSpec {
    /// Its Gateways.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<ParentRef>,
    /// Its hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
    /// Paths, filters and Services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RouteRule>,
}

/// A rule of a route; filters and the like of routes that are not ours are not read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteRule {
    /// Which requests it is about; the API server fills in every path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<serde_json::Value>,
    /// The Services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backend_refs: Vec<BackendRef>,
}

/// A Service that a route leads to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendRef {
    /// Core (empty) for Services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// `Service`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its name.
    pub name: String,
    /// Its port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    /// Its share of the requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<i32>,
}

/// What the Gateways made of a route.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct HttpRouteStatus {
    /// One entry a Gateway.
    #[serde(default)]
    pub parents: Vec<ParentStatus>,
}

/// What one Gateway made of a route.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ParentStatus {
    /// `Accepted`, `ResolvedRefs`, ...
    #[serde(default)]
    pub conditions: Vec<Condition>,
}

/// A condition as most kinds have them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// `Accepted`, `Ready`, ...
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// One word for programs.
    #[serde(default)]
    pub reason: String,
    /// A sentence for people.
    #[serde(default)]
    pub message: String,
}

impl HttpRoute {
    /// Why a Gateway refuses this route, in its words; nothing while it accepts it or has not looked yet.
    pub fn refusal(&self) -> Option<String> {
        let parents = &self.status.as_ref()?.parents;
        let refused = |condition: &&Condition| {
            matches!(condition.type_.as_str(), "Accepted" | "ResolvedRefs")
                && condition.status == "False"
        };
        let condition = parents
            .iter()
            .flat_map(|parent| &parent.conditions)
            .find(refused)?;
        Some(format!(
            "{}: {}",
            printable::short(&condition.reason, 60),
            printable::short(&condition.message, 300)
        ))
    }
}

/// Listeners of one's own on a Gateway of the platform.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerSet {
    #[serde(default = "set_version")]
    api_version: String,
    #[serde(default = "set_kind")]
    kind: String,
    /// Name, labels and so on; the annotations for cert-manager.
    pub metadata: ObjectMeta,
    /// The Gateway and the listeners.
    #[serde(default)]
    pub spec: ListenerSetSpec,
    /// What the Gateway made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ListenerSetStatus>,
}

fn set_version() -> String {
    ListenerSet::api_version(&()).into_owned()
}

fn set_kind() -> String {
    "ListenerSet".into()
}

impl ListenerSet {
    /// A new one.
    pub fn new(metadata: ObjectMeta, spec: ListenerSetSpec) -> Self {
        Self {
            api_version: set_version(),
            kind: set_kind(),
            metadata,
            spec,
            status: None,
        }
    }

    /// Why the Gateway refuses it, in its words.
    pub fn refusal(&self) -> Option<String> {
        let condition = self
            .status
            .as_ref()?
            .conditions
            .iter()
            .find(|condition| condition.type_ == "Accepted" && condition.status == "False")?;
        Some(format!(
            "{}: {}",
            printable::short(&condition.reason, 60),
            printable::short(&condition.message, 300)
        ))
    }
}

/// The Gateway and the listeners that it gets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerSetSpec {
    /// The Gateway.
    pub parent_ref: ParentRef,
    /// Its new listeners, as the API has them.
    #[serde(default)]
    pub listeners: Vec<serde_json::Value>,
}

/// What the Gateway made of a set of listeners.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ListenerSetStatus {
    /// `Accepted`, `Programmed`.
    #[serde(default)]
    pub conditions: Vec<Condition>,
}

commons::resource!(HttpRoute, GROUP, "v1", "HTTPRoute", "httproutes");
commons::resource!(ListenerSet, GROUP, "v1", "ListenerSet", "listenersets");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_typed_with_its_namespace() {
        let parent: ParentRef = "infra/shared/https".parse().expect("a parent");
        assert_eq!(parent.to_string(), "infra/shared/https");
        assert_eq!(
            "own".parse::<ParentRef>().map(|parent| parent.namespace),
            Ok(None)
        );
        for wrong in ["", "/", "a/b/c/d", "A/b", "a//b"] {
            assert!(wrong.parse::<ParentRef>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_route_is_written_as_the_api_has_it_and_its_refusal_read() {
        let spec = HttpRouteSpec {
            parent_refs: vec!["infra/shared".parse().expect("a parent")],
            hostnames: vec!["a.example.test".into()],
            ..Default::default()
        };
        let written =
            serde_json::to_value(HttpRoute::new(ObjectMeta::default(), spec)).expect("JSON");
        assert_eq!(
            written,
            serde_json::json!({
                "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {},
                "spec": {"parentRefs": [{"namespace": "infra", "name": "shared"}], "hostnames": ["a.example.test"]},
            })
        );
        let mut refused = written;
        refused["status"] = serde_json::json!({"parents": [{"conditions": [
            {"type": "Accepted", "status": "False", "reason": "NotAllowedByListeners", "message": "not from\u{1b}[2J here"}]}]});
        let refused: HttpRoute = serde_json::from_value(refused).expect("a route");
        assert_eq!(
            refused.refusal().as_deref(),
            Some("NotAllowedByListeners: not from[2J here")
        );
    }
}
