//! Kubeconfig files: one per user, with everything in it.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use kube::config::Kubeconfig;
use serde_json::{Value, json};

use crate::{
    api::Api,
    certificates::{Identity, write_private},
    error::{Context as _, Result},
};

/// What a kubeconfig needs to know of the cluster.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// The cluster entry of a kubeconfig: address and trust.
    cluster: Value,
}

impl Server {
    /// A server trusted by this authority's certificate (PEM).
    pub(crate) fn new(url: &str, authority: &str) -> Self {
        Self {
            cluster: json!({"server": url, "certificate-authority-data": STANDARD.encode(authority)}),
        }
    }

    /// The server another kubeconfig names.
    pub(crate) fn from_entry(cluster: Value) -> Self {
        Self { cluster }
    }

    /// Writes a kubeconfig whose only user authenticates by this certificate.
    pub(crate) fn write(
        &self,
        path: &Path,
        user: &str,
        namespace: &str,
        identity: &Identity,
    ) -> Result<()> {
        let credentials = json!({
            "client-certificate-data": STANDARD.encode(&identity.certificate),
            "client-key-data": STANDARD.encode(&identity.key),
        });
        self.write_with(path, user, namespace, &credentials)
    }

    /// Writes a kubeconfig whose only user authenticates as `credentials` says.
    pub(crate) fn write_with(
        &self,
        path: &Path,
        user: &str,
        namespace: &str,
        credentials: &Value,
    ) -> Result<()> {
        let text = serde_saphyr::to_string(&self.config(user, namespace, credentials))
            .with_context(|| format!("the kubeconfig of {user} cannot be written"))?;
        write_private(path, &text)
    }

    /// A kubeconfig whose only user authenticates as `credentials` says.
    pub(crate) fn config(&self, user: &str, namespace: &str, credentials: &Value) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": user,
            "contexts": [{"name": user, "context": {"cluster": "kube-commons", "user": user, "namespace": namespace}}],
            "clusters": [{"name": "kube-commons", "cluster": self.cluster}],
            "users": [{"name": user, "user": credentials}],
        })
    }

    /// A client of this server that authenticates as `credentials` says.
    pub(crate) fn connect(&self, credentials: &Value) -> Result<Api> {
        let config: Kubeconfig =
            serde_json::from_value(self.config("client", "default", credentials))
                .context("the server cannot be named in a kubeconfig")?;
        Api::connect(config)
    }
}
