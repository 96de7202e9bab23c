//! What a database in a namespace is: its Service, its pods now and next, its port, and how one logs in.

mod behind;
mod candidates;
pub mod card;
mod cnpg;
mod credentials;
mod environment;
mod find;
#[cfg(test)]
mod image_tests;
mod images;
mod mounts;
mod notes;
mod outside;
mod pods;
mod port;
mod protocol;
mod read;
mod trust;
mod variables;

use std::str::FromStr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Endpoints;

use commons::cluster::Cluster;
use commons::error::{Error, Kind, Result};
use commons::names;
use commons::shell::shell;
use tunnel::Endpoint;

pub use candidates::{candidates, choose};
pub use credentials::{
    Credentials, Field, Holder, Key, Note, References, Value, credentials, learn_names, login,
    secrets,
};
pub use environment::{Environment, environment, login_name};
pub use find::{Location, find, locate};
pub use outside::Outside;
pub use protocol::Protocol;
pub use trust::{Entry, NotKnown, Trust, trusts_local};

/// The kind that a database was typed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// `svc/`, `service/`
    Service,
    /// `sts/`, `statefulset/`
    StatefulSet,
    /// `deploy/`, `deployment/`
    Deployment,
    /// `po/`, `pod/`
    Pod,
}

impl Workload {
    /// As it is typed in front of a name.
    fn as_str(self) -> &'static str {
        match self {
            Self::Service => "svc",
            Self::StatefulSet => "statefulset",
            Self::Pod => "pod",
            Self::Deployment => "deployment",
        }
    }
}

/// Words that are kinds to everybody who types them, though a namespace might be called so (then `-n` names it).
const OTHER_KINDS: &[&str] = &[
    "cluster",
    "clusters",
    "cm",
    "configmap",
    "cronjob",
    "daemonset",
    "ds",
    "ep",
    "endpoints",
    "ing",
    "ingress",
    "job",
    "jobs",
    "namespace",
    "ns",
    "pvc",
    "replicaset",
    "rs",
    "secret",
    "secrets",
];

/// A database as typed: `[NAMESPACE/][KIND/]NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseRef {
    /// The namespace, if one stands in front.
    pub namespace: Option<String>,
    /// The kind, if one stands in front.
    pub workload: Option<Workload>,
    /// The name.
    pub name: String,
}

impl FromStr for DatabaseRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let workload =
            |word: &str| match word.to_ascii_lowercase().as_str() {
                "svc" | "service" | "services" => Some(Workload::Service),
                "sts" | "statefulset" | "statefulsets" | "statefulset.apps"
                | "statefulsets.apps" => Some(Workload::StatefulSet),
                "deploy" | "deployment" | "deployments" | "deployment.apps"
                | "deployments.apps" => Some(Workload::Deployment),
                "po" | "pod" | "pods" => Some(Workload::Pod),
                _ => None,
            };
        let parts: Vec<&str> = text.split('/').collect();
        let (namespace, kind, name) =
            match parts[..] {
                [name] => (None, None, name),
                [kind, name] if workload(kind).is_some() => (None, workload(kind), name),
                [kind, _] if OTHER_KINDS.contains(&kind) => {
                    return Err(format!(
                        "a database is `svc/NAME`, `statefulset/NAME`, `deployment/NAME` or `pod/NAME`, not `{kind}/`"
                    ));
                }
                [namespace, name] => (Some(namespace), None, name),
                [namespace, kind, name] if workload(kind).is_some() => {
                    (Some(namespace), workload(kind), name)
                }
                _ => return Err(
                    "write `NAME`, `NAMESPACE/NAME`, or `svc/NAME`, `statefulset/NAME`, `deployment/NAME`, `pod/NAME`"
                        .into(),
                ),
            };
        for part in namespace.into_iter().chain([name]) {
            names::parse(part)?;
        }
        Ok(Self {
            namespace: namespace.map(Into::into),
            workload: kind,
            name: name.into(),
        })
    }
}

impl std::fmt::Display for DatabaseRef {
    /// As it is typed where its namespace is known: `pg`, `svc/pg`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(workload) = self.workload {
            write!(f, "{}/", workload.as_str())?;
        }
        f.write_str(&self.name)
    }
}

impl DatabaseRef {
    /// Whether what was shared under the name of `other` is meant: a bare name means every kind.
    pub fn means(&self, other: &Self) -> bool {
        self.name == other.name && (self.workload.is_none() || self.workload == other.workload)
    }

    /// The namespace that is meant: the one in front, or the connection's.
    pub fn namespace_in<'a>(&'a self, cluster: &'a Cluster) -> &'a str {
        self.namespace
            .as_deref()
            .unwrap_or_else(|| cluster.namespace())
    }
}

/// A database, one's own or shared by somebody.
#[derive(Clone, Debug)]
pub struct Database {
    /// Its namespace.
    pub namespace: String,
    /// What people call it: the name that was typed.
    pub name: String,
    /// The Service whose Endpoints tell which pod serves it now; nothing for a lone pod.
    pub service: Option<String>,
    /// The name of the Service's port, where it has one: Endpoints list ports by this name.
    pub port_name: Option<String>,
    /// The port by which clients know it.
    pub port: u16,
    /// The pods that serve it now and those that its controller will make next, by name, sorted.
    pub pods: Vec<String>,
    /// The pod that serves it now, as far as it was seen.
    pub serving: Option<Endpoint>,
    /// Whether the pods keep their names when they are made anew (those of a `StatefulSet` and of `CloudNativePG` do).
    pub lasting_names: bool,
    /// What it speaks.
    pub protocol: Protocol,
    /// The database in it that is meant to be used.
    pub dbname: Option<String>,
    /// The user to log in as.
    pub username: Option<String>,
    /// Where the rest of the credentials is, for those who may read it.
    pub(crate) source: credentials::CredentialSource,
    /// What its owner should know before sharing it.
    pub warnings: Vec<String>,
    /// When the share ends; nothing for one's own and for shares without an end.
    pub until: Option<Timestamp>,
    /// Who shared it, as they are called; nothing for one's own.
    pub owner: Option<String>,
}

/// No credentials but those that a card tells.
pub(crate) fn nowhere() -> credentials::CredentialSource {
    credentials::CredentialSource::Unknown
}

/// The pod that serves a database at this moment, by one read of the Service's Endpoints.
///
/// # Errors
/// When no pod is ready; [`Kind::Forbidden`] and [`Kind::NotFound`] when a share has ended.
pub async fn serving(cluster: &Cluster, database: &Database) -> Result<Endpoint> {
    let Some(service) = &database.service else {
        return database
            .serving
            .clone()
            .ok_or_else(|| Error::new(format!("pod of {} is not known", database.name)));
    };
    let endpoints: Endpoints = cluster.get(&database.namespace, service).await?;
    ready_endpoint(
        &database.namespace,
        &endpoints,
        database.port_name.as_deref(),
        database.port,
    )
    .ok_or_else(|| {
        Error::of(
            Kind::Failed,
            format!("{} has no pod that is ready", database.name),
        )
        .hint(format!(
            "see what its pods wait for: `{}`",
            shell("kubectl get pods").in_namespace(&database.namespace)
        ))
    })
}

/// The first ready pod behind a Service, and its port by this name (or its only port, or this number where the Service has none).
fn ready_endpoint(
    namespace: &str,
    endpoints: &Endpoints,
    port_name: Option<&str>,
    without_ports: u16,
) -> Option<Endpoint> {
    endpoints.subsets.iter().flatten().find_map(|subset| {
        let ports = subset.ports.as_deref().unwrap_or_default();
        let port = ports
            .iter()
            .find(|port| port.name.as_deref() == port_name)
            .or_else(|| ports.first());
        let pod = subset
            .addresses
            .iter()
            .flatten()
            .filter_map(|address| address.target_ref.as_ref())
            .find(|target| target.kind.as_deref() == Some("Pod"))?;
        Some(Endpoint {
            namespace: namespace.to_owned(),
            pod: pod.name.clone()?,
            port: match port {
                Some(port) => u16::try_from(port.port).ok()?,
                None => without_ports,
            },
        })
    })
}

#[cfg(test)]
pub(crate) fn example() -> Database {
    Database {
        namespace: "user-alice".into(),
        name: "pg".into(),
        service: Some("pg".into()),
        port_name: None,
        port: 5432,
        pods: vec!["pg-0".into()],
        serving: Some(Endpoint {
            namespace: "user-alice".into(),
            pod: "pg-0".into(),
            port: 5432,
        }),
        lasting_names: true,
        protocol: Protocol::Postgres,
        dbname: Some("shop".into()),
        username: Some("shop".into()),
        source: credentials::CredentialSource::default(),
        warnings: Vec::new(),
        until: None,
        owner: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_type() {
        let typed = |namespace: Option<&str>, workload, name: &str| DatabaseRef {
            namespace: namespace.map(Into::into),
            workload,
            name: name.into(),
        };
        for (text, expected) in [
            ("pg", typed(None, None, "pg")),
            ("svc/pg", typed(None, Some(Workload::Service), "pg")),
            (
                "statefulset/pg",
                typed(None, Some(Workload::StatefulSet), "pg"),
            ),
            (
                "deployment/pg",
                typed(None, Some(Workload::Deployment), "pg"),
            ),
            ("pod/pg-0", typed(None, Some(Workload::Pod), "pg-0")),
            ("user-alice/pg", typed(Some("user-alice"), None, "pg")),
            (
                "user-alice/svc/pg",
                typed(Some("user-alice"), Some(Workload::Service), "pg"),
            ),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refuses_what_can_be_no_name() {
        for text in [
            "",
            "/",
            "a/b/c",
            "../pg",
            "pg/",
            "/pg",
            "PG",
            "pg;rm",
            "pg\u{1b}[31m",
            "-pg",
            "pg?x=1",
            "pg%2f",
            "a..b",
            "svc/",
        ] {
            assert!(text.parse::<DatabaseRef>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_ready_pod_and_the_named_port_are_chosen() {
        let endpoints: Endpoints = serde_json::from_value(serde_json::json!({"subsets": [
            {"notReadyAddresses": [{"ip": "10.0.0.1", "targetRef": {"kind": "Pod", "name": "pg-0"}}], "ports": [{"name": "pg", "port": 5432}]},
            {"addresses": [{"ip": "10.0.0.2", "targetRef": {"kind": "Pod", "name": "pg-1"}}], "ports": [{"name": "metrics", "port": 9187}, {"name": "pg", "port": 5433}]},
        ]})).expect("endpoints");
        let found = ready_endpoint("ns", &endpoints, Some("pg"), 1);
        assert_eq!(
            found,
            Some(Endpoint {
                namespace: "ns".into(),
                pod: "pg-1".into(),
                port: 5433
            })
        );
        assert_eq!(ready_endpoint("ns", &Endpoints::default(), None, 1), None);
        let headless: Endpoints = serde_json::from_value(serde_json::json!({"subsets": [
            {"addresses": [{"ip": "10.0.0.2", "targetRef": {"kind": "Pod", "name": "pg-0"}}]},
        ]}))
        .expect("endpoints");
        let found = ready_endpoint("ns", &headless, None, 5432);
        assert_eq!(found.map(|endpoint| endpoint.port), Some(5432));
    }
}
