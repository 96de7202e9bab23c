//! What happens in a cluster beside its control plane, as a test wants it to.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::fate::Fate;
use crate::http::{Request, Response};

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

/// What a program in a pod answers.
pub type Answers = Arc<dyn Fn(&Request) -> Response + Send + Sync>;

/// What happens in the cluster beside the API server.
#[derive(Default)]
pub struct World {
    /// What becomes of the pods of an app (whose names begin with its), the latest first asked.
    pub fates: Vec<(String, Fate)>,
    /// What is in the logs, by the pod's app: of the present and of the previous container.
    pub logs: BTreeMap<String, (String, String)>,
    /// What listens in pods: the app, the port, and what it answers.
    pub programs: Vec<(String, u16, Answers)>,
    /// Where the ingress controller is reached from outside.
    pub entrance: Option<IpAddr>,
    /// The class that the ingress controller serves; any if there is none.
    pub class: Option<String>,
    pods: u8,
}

impl World {
    /// An address that no other pod of the test has.
    pub fn next_pod_address(&mut self) -> String {
        self.pods = self.pods.wrapping_add(1);
        format!("10.42.1.{}", self.pods)
    }

    /// What becomes of a pod.
    pub fn fate(&self, pod: &str) -> Fate {
        let fate = self.fates.iter().rev().find(|(app, _)| is_of(pod, app));
        fate.map_or(Fate::Ready, |(_, fate)| fate.clone())
    }

    /// What listens on a port of a pod.
    pub fn program(&self, pod: &str, port: u16) -> Option<Answers> {
        let program = self
            .programs
            .iter()
            .rev()
            .find(|(app, of, _)| *of == port && is_of(pod, app));
        program.map(|(_, _, answers)| answers.clone())
    }
}

/// Whether a pod is one of an app's.
pub fn is_of(pod: &str, app: &str) -> bool {
    pod.strip_prefix(app)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}
