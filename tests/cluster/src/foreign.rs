//! Users of a cluster that is not ours: their certificates come from its own authority, and where that signs nothing, the admin acts in
//! their name.

use std::{path::Path, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use kube::config::Kubeconfig;
use serde_json::{Value, json};

use crate::{
    api::Api,
    certificates::{self, Identity},
    error::{Context as _, Error, Result},
    kubeconfig::Server,
    users, wait,
};

/// How long a cluster's signer may take before impersonation takes its place.
const SIGNER_PATIENCE: Duration = Duration::from_secs(10);

/// Writes the current context of `KUBECONFIG`, with everything it needs, into one file.
pub(crate) fn write_admin_kubeconfig(path: &Path) -> Result<()> {
    let unusable = "the cluster of KUBECONFIG cannot be used";
    let merged = Kubeconfig::read().context(unusable)?;
    let merged = serde_json::to_value(merged).context(unusable)?;
    let (cluster, user, namespace) = current(&merged)?;
    Server::from_entry(cluster).write_with(path, "admin", &namespace, &user)?;
    let api = Api::of(path)?;
    if api.may("*", "*", "*", "").context(unusable)? {
        return Ok(());
    }
    Err(
        Error::new("the user of KUBECONFIG is not admin of its cluster")
            .hint("choose another context with `kubectl config use-context`"),
    )
}

/// The cluster entry, the user entry and the namespace of the current context, with files read in.
fn current(config: &Value) -> Result<(Value, Value, String)> {
    let entry = |list: &str, name: &Value, inner: &str| {
        let found = config[list]
            .as_array()
            .into_iter()
            .flatten()
            .find(|entry| entry["name"] == *name);
        found
            .map(|entry| entry[inner].clone())
            .ok_or_else(|| Error::new(format!("KUBECONFIG has no {inner} named {name}")))
    };
    if config["current-context"].is_null() {
        return Err(Error::new("KUBECONFIG has no current context")
            .hint("choose one with `kubectl config use-context`"));
    }
    let context = entry("contexts", &config["current-context"], "context")?;
    let mut cluster = entry("clusters", &context["cluster"], "cluster")?;
    let mut user = entry("users", &context["user"], "user")?;
    embed(&mut cluster, "certificate-authority")?;
    embed(&mut user, "client-certificate")?;
    embed(&mut user, "client-key")?;
    Ok((
        cluster,
        user,
        context["namespace"]
            .as_str()
            .unwrap_or("default")
            .to_owned(),
    ))
}

/// Replaces the name of a file by what is in it: the new kubeconfig is elsewhere.
fn embed(entry: &mut Value, field: &str) -> Result<()> {
    let Some(path) = entry[field].as_str().map(str::to_owned) else {
        return Ok(());
    };
    let content =
        std::fs::read(&path).with_context(|| format!("{path} of KUBECONFIG cannot be read"))?;
    entry[format!("{field}-data")] = json!(STANDARD.encode(content));
    if let Some(fields) = entry.as_object_mut() {
        fields.remove(field);
    }
    Ok(())
}

/// Writes the kubeconfig of a user of this cluster.
pub(crate) fn write_user_kubeconfig(
    api: &Api,
    admin: &Path,
    path: &Path,
    name: &str,
    with_namespace: bool,
    groups: &[&str],
) -> Result<()> {
    let text = std::fs::read_to_string(admin)
        .with_context(|| format!("{} cannot be read", admin.display()))?;
    let config: Value = serde_saphyr::from_str(&text)
        .with_context(|| format!("{} cannot be understood", admin.display()))?;
    let (cluster, admin_user, _) = current(&config)?;
    let namespace = if with_namespace {
        users::namespace(name)
    } else {
        "default".to_owned()
    };
    let server = Server::from_entry(cluster);
    match signed(api, name, groups)? {
        Some(identity) => server.write(path, name, &namespace, &identity),
        None => server.write_with(
            path,
            name,
            &namespace,
            &in_the_name_of(admin_user, name, groups),
        ),
    }
}

/// A certificate signed by the cluster; `None` when it signs none.
fn signed(api: &Api, name: &str, groups: &[&str]) -> Result<Option<Identity>> {
    let (request, key) = certificates::request(&users::user_name(name), groups)?;
    let requests = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let object = json!({
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"generateName": format!("kube-commons-{name}-")},
        "spec": {
            "request": STANDARD.encode(request),
            "signerName": "kubernetes.io/kube-apiserver-client",
            "usages": ["client auth"],
        },
    });
    let mut created = api
        .create(requests, &object)?
        .ok_or_else(|| Error::new("a certificate request has a name that is taken"))?;
    let path = format!(
        "{requests}/{}",
        created["metadata"]["name"].as_str().unwrap_or_default()
    );
    created["status"]["conditions"] = json!([{"type": "Approved", "status": "True", "reason": "KubeCommonsTests", "message": "a user of the tests"}]);
    api.replace(&format!("{path}/approval"), &created)?;
    let certificate = wait::until("the cluster signs a certificate", SIGNER_PATIENCE, || {
        let request = api.get(&path)?.unwrap_or_default();
        Ok(request["status"]["certificate"].as_str().map(str::to_owned))
    });
    api.delete(&path)?;
    let Ok(certificate) = certificate else {
        return Ok(None);
    };
    let certificate = STANDARD
        .decode(certificate)
        .context("the signed certificate is not base64")?;
    let certificate =
        String::from_utf8(certificate).context("the signed certificate is not PEM")?;
    Ok(Some(Identity { certificate, key }))
}

/// The admin's credentials, used as the user.
fn in_the_name_of(mut admin: Value, name: &str, groups: &[&str]) -> Value {
    admin["as"] = json!(users::user_name(name));
    admin["as-groups"] = json!(
        groups
            .iter()
            .copied()
            .chain(["system:authenticated"])
            .collect::<Vec<_>>()
    );
    admin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_context_is_followed_and_files_are_read_in() {
        let directory = tempfile::tempdir().unwrap();
        let ca = directory.path().join("ca.crt");
        std::fs::write(&ca, "authority").unwrap();
        let config = json!({
            "current-context": "b",
            "contexts": [
                {"name": "a", "context": {"cluster": "x", "user": "x"}},
                {"name": "b", "context": {"cluster": "y", "user": "z", "namespace": "n"}},
            ],
            "clusters": [{"name": "y", "cluster": {"server": "https://y", "certificate-authority": ca}}],
            "users": [{"name": "z", "user": {"token": "t"}}],
        });
        let (cluster, user, namespace) = current(&config).unwrap();
        assert_eq!(
            cluster,
            json!({"server": "https://y", "certificate-authority-data": STANDARD.encode("authority")})
        );
        assert_eq!((user, namespace.as_str()), (json!({"token": "t"}), "n"));
    }

    #[test]
    fn a_missing_context_is_named() {
        let error = current(&json!({"current-context": "gone", "contexts": []}))
            .unwrap_err()
            .to_string();
        assert!(error.contains(r#"no context named "gone""#), "{error}");
    }
}
