//! An HTTPS address for an app: learned from what is in the namespace, made, and proven.

mod apply;
mod attempt;
mod certificate;
mod claim;
mod contest;
mod danger;
mod existing;
mod fingerprint;
pub mod gateway;
mod host;
mod issue;
mod judge;
mod listed;
pub mod network;
mod plan;
mod pods;
mod port;
mod present;
mod probe;
mod prove;
mod remedy;
mod resolve;
mod tls;
mod watcher;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Service};

use commons::grant::Term;

pub use apply::{Applied, objects};
pub use attempt::{Attempt, Unproven};
pub use danger::reason_against;
pub use existing::RouteKind;
pub use gateway::ParentRef;
pub use host::parse as parse_host;
pub use listed::{Exposure, State, all, endless, look_at, remove};
pub use plan::{Plan, object_name};
pub use pods::listening;
pub use port::PortRef;
pub use present::{Place, Present, is_comparable, unheard, urls};
pub use probe::who_answers;
pub use prove::{AnsweringApp, Proof, ProofOutcome, find_port, prove, ready_pods};
pub use remedy::{CertificateSource, Remedy, Setting};
pub use resolve::{Resolved, another_host, resolve};
pub use tls::Tls;

/// The manager of apps that `deploy-app` makes by name.
pub const DEPLOY_APP: &str = "kubectl-deploy-app";

/// The manager of exposures, whoever makes them: `expose-app` and `deploy-app --expose`.
pub const MANAGER: &str = "kubectl-expose-app";

/// What is to be exposed; it may not exist yet.
#[derive(Clone, Debug)]
pub struct Backend {
    /// Namespace.
    pub namespace: String,
    /// The app, as kubectl names it: `deployment/web`.
    pub reference: String,
    /// The app's name, from which the host is made.
    pub name: String,
    /// Labels of its pods.
    pub pod_labels: BTreeMap<String, String>,
    /// Its containers.
    pub containers: Vec<Container>,
    /// Services that lead to it, or will; empty when one is to be made.
    pub services: Vec<Service>,
    /// By what a Service made here selects the pods.
    pub selector: BTreeMap<String, String>,
}

impl Backend {
    /// An app that is there.
    pub fn of(app: &workload::App) -> Self {
        let spec = app
            .template
            .as_ref()
            .and_then(|template| template.spec.as_ref());
        Self {
            namespace: app.namespace.clone(),
            reference: format!("{}/{}", app.kind.as_str(), app.name),
            name: app.name.clone(),
            pod_labels: app.pod_labels.clone(),
            containers: spec.map(|spec| spec.containers.clone()).unwrap_or_default(),
            services: app.services.clone(),
            selector: app.selector.clone(),
        }
    }
}

/// What the user wants of an exposure; everything else is learned.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The host, whole or one label.
    pub host: Option<String>,
    /// The port, of the Service or of the pods.
    pub port: Option<PortRef>,
    /// The Ingress's class.
    pub class: Option<String>,
    /// Through a Gateway.
    pub gateway: bool,
    /// Through this Gateway.
    pub parent: Option<ParentRef>,
    /// How the certificate is had.
    pub tls: Option<Tls>,
    /// The namespace of the ingress controller, to be let in.
    pub controller: Option<String>,
    /// Also where somebody else answers.
    pub take: bool,
    /// Until when; nothing leaves it as it is, which is for ever when new.
    pub term: Option<Term>,
    /// The path by which the address is proven; `/`.
    pub path: Option<String>,
    /// Whom to ask about the host.
    pub probing: Probing,
}

/// Whom to ask about a host, from this machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Probing {
    /// Whoever answers there, until the address is proven.
    #[default]
    UntilProven,
    /// Whoever answers there now; the address is made without proof: `--no-wait`.
    Once,
    /// Nobody but the API server: nothing is made.
    Never,
}
