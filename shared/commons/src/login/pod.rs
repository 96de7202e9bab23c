//! In a pod without a kubeconfig, as in Onyxia's IDEs: the pod's ServiceAccount.

use std::path::Path;

use serde_json::Value;

use super::pem;
use super::settings::{Settings, address, namespace};
use super::trust::Tls;
use super::user::{Bearer, User};
use crate::error::{Kind, Result};
use crate::flags::ConnectionFlags;
use crate::proxy::Proxies;

/// What stands for the context, and for the user.
pub(super) const POD: &str = "the pod's ServiceAccount";

/// Where Kubernetes puts what a pod needs to reach the API server.
const FILES: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The settings of the pod around us; `None` outside of one. `preferred` is the namespace that a kubeconfig names.
pub(super) fn settings(
    flags: &ConnectionFlags,
    preferred: Option<String>,
) -> Option<Result<Settings>> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let host = variable("KUBERNETES_SERVICE_HOST")?;
    let port = variable("KUBERNETES_SERVICE_PORT")?;
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host
    };
    let files = Path::new(FILES);
    let token = files.join("token");
    if !token.is_file() {
        return None;
    }
    let kept = || {
        std::fs::read_to_string(files.join("namespace"))
            .ok()
            .map(|name| name.trim().to_owned())
    };
    let named = flags
        .namespace
        .clone()
        .or(preferred)
        .or_else(|| variable("POD_NAMESPACE"))
        .or_else(kept);
    let found = || {
        let server = address(
            Kind::Failed,
            &format!("https://{host}:{port}"),
            "KUBERNETES_SERVICE_HOST",
        )?;
        let mut tls = Tls::of(None, flags)?;
        let authority = files.join("ca.crt");
        if tls.authority.is_none()
            && !tls.insecure
            && let Ok(text) = std::fs::read(&authority)
        {
            // As kubectl, which then trusts what the machine trusts.
            tls.authority = pem::certificates(&text, "API server").ok();
            tls.authority_file = tls.authority.is_some().then_some(authority);
        }
        let mut user = User::of("", None, flags, &Value::Null)?;
        if matches!(user.bearer, Bearer::Nothing) {
            user.bearer = Bearer::File {
                path: token.clone(),
                otherwise: None,
            };
        }
        Ok(Settings {
            context: POD.into(),
            namespace: namespace(named.clone())?,
            proxy: Proxies::from_env().for_url(&server).cloned(),
            server,
            tls,
            user,
            origin: None,
        })
    };
    Some(found())
}
