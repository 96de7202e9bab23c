//! The tunnel: one local connection carried to a port of a pod, through the API server.

/// Where in the cluster a connection goes: a port that a container of this pod listens on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The port in the pod, not the Service's.
    pub port: u16,
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "pod {}, port {}", self.pod, self.port)
    }
}
