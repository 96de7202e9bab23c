//! How users prove who they are, and the kubeconfig that each of these ways leaves behind.

use std::{path::PathBuf, process::Command, time::Duration};

use serde_json::{Value, json};

use crate::{
    api::Api,
    cache,
    certificates::{Authority, write_private},
    error::{Context as _, Error, Result},
    external,
    issuer::{AUTHORITY, CLIENT, Issuer, Realm},
    kubeconfig::Server,
    layout::Layout,
    programs::Program,
    progress::Progress,
    users,
};

/// How a user proves who they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Login {
    /// A client certificate.
    #[default]
    Certificate,
    /// What Onyxia's account page gives: an id-token and a refresh token in kubectl's `oidc` auth provider.
    Onyxia(Realm),
    /// The credential plugin `kubectl oidc-login`, with the user's password.
    Kubelogin(Realm),
    /// A `ServiceAccount` of the user's namespace, whose token is in a file.
    ServiceAccount,
}

/// How long the token of a `ServiceAccount` is valid at first.
const TOKEN_LIFETIME: Duration = Duration::from_hours(1);

impl Login {
    /// The realm of the issuer, if there is one.
    pub(crate) fn realm(self) -> Option<Realm> {
        match self {
            Self::Onyxia(realm) | Self::Kubelogin(realm) => Some(realm),
            Self::Certificate | Self::ServiceAccount => None,
        }
    }

    /// Whom the user's `RoleBinding` names.
    pub(crate) fn subject(self, name: &str) -> Value {
        match self {
            Self::ServiceAccount => {
                json!({"kind": "ServiceAccount", "name": name, "namespace": users::namespace(name)})
            }
            _ => users::subject(name),
        }
    }
}

/// Writes the kubeconfig of a user of the node, whose namespace is there unless it is `default`.
pub(crate) fn write_kubeconfig(
    layout: &Layout,
    api: &Api,
    name: &str,
    namespace: &str,
    groups: &[&str],
    login: Login,
) -> Result<()> {
    let authority = Authority::read(&layout.path("pki"))?;
    let server = Server::new(&layout.server(), authority.certificate());
    let path = layout.kubeconfig(name);
    if let Some(realm) = login.realm() {
        Issuer::of(layout)?.add_user(realm, name, groups)?;
    }
    let credentials = match login {
        Login::Certificate => {
            let identity = authority.client(&users::user_name(name), groups)?;
            return server.write(&path, name, namespace, &identity);
        }
        Login::Onyxia(realm) => return type_as_onyxia_says(layout, name, namespace, realm),
        Login::Kubelogin(realm) => kubelogin(layout, name, realm)?,
        Login::ServiceAccount => {
            let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
            let account =
                json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
            api.create(&accounts, &account)?;
            renew_token(layout, api, name, TOKEN_LIFETIME)?;
            json!({"tokenFile": token_file(layout, name)?})
        }
    };
    server.write_with(&path, name, namespace, &credentials)
}

/// Types what Onyxia's account page shows (`k8sCodeSnippets.ts`), after a fresh login.
fn type_as_onyxia_says(layout: &Layout, name: &str, namespace: &str, realm: Realm) -> Result<()> {
    let tokens = Issuer::of(layout)?.log_in(realm, name)?;
    let path = layout.kubeconfig(name);
    cache::remove_file(&path)?;
    let server = layout.server();
    let host = server.trim_start_matches("https://");
    let user = users::user_name(name);
    let provided = |argument: &str, value: &str| format!("--auth-provider-arg={argument}={value}");
    let lines: [&[String]; 4] = [
        &[
            "set-cluster".to_owned(),
            host.to_owned(),
            format!("--server={server}"),
            "--insecure-skip-tls-verify=true".to_owned(),
        ],
        &[
            "set-credentials".to_owned(),
            user.clone(),
            "--auth-provider=oidc".to_owned(),
            provided("idp-issuer-url", &realm.url()),
            provided("client-id", CLIENT),
            provided("refresh-token", &tokens.refresh_token),
            provided("id-token", &tokens.id_token),
        ],
        &[
            "set-context".to_owned(),
            host.to_owned(),
            format!("--user={user}"),
            format!("--cluster={host}"),
            format!("--namespace={namespace}"),
        ],
        &["use-context".to_owned(), host.to_owned()],
    ];
    for line in lines {
        external::run(
            Command::new(layout.path("kubectl"))
                .arg("--kubeconfig")
                .arg(&path)
                .arg("config")
                .args(line),
        )?;
    }
    Ok(())
}

/// The credential plugin, with a cache of tokens for this user alone.
fn kubelogin(layout: &Layout, name: &str, realm: Realm) -> Result<Value> {
    let tokens = layout.path(format!("oidc-login/{name}"));
    // Those of an earlier user of that name are worth nothing any more.
    cache::remove_all(&tokens)?;
    Ok(json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "interactiveMode": "Never",
        "command": Program::Kubelogin.path(&Progress::new())?,
        "args": [
            "get-token",
            format!("--oidc-issuer-url={}", realm.url()),
            format!("--oidc-client-id={CLIENT}"),
            format!("--certificate-authority={}", layout.path(AUTHORITY).display()),
            format!("--token-cache-dir={}", tokens.display()),
            "--grant-type=password",
            format!("--username={name}"),
            format!("--password={name}"),
        ],
    }}))
}

/// The file with the token of a user who logs in as a `ServiceAccount`.
fn token_file(layout: &Layout, name: &str) -> Result<PathBuf> {
    let path = layout.path(format!("{name}.token"));
    std::path::absolute(&path).with_context(|| format!("{} cannot be resolved", path.display()))
}

/// Writes a fresh token, bound to a Secret made for it. Tokens before it end.
pub(crate) fn renew_token(
    layout: &Layout,
    api: &Api,
    name: &str,
    lifetime: Duration,
) -> Result<()> {
    revoke_token(api, name)?;
    let namespace = users::namespace(name);
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret(name)}});
    let secret = api
        .create(&format!("/api/v1/namespaces/{namespace}/secrets"), &secret)?
        .ok_or_else(|| Error::new(format!("somebody else renews the token of {name}")))?;
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {
            "expirationSeconds": lifetime.as_secs(),
            "boundObjectRef": {
                "apiVersion": "v1",
                "kind": "Secret",
                "name": secret["metadata"]["name"],
                "uid": secret["metadata"]["uid"],
            },
        },
    });
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
    let answer = api.create(&path, &request)?.unwrap_or_default();
    let token = answer["status"]["token"]
        .as_str()
        .ok_or_else(|| Error::new("the API server gave no token"))?;
    write_private(&token_file(layout, name)?, token)
}

/// Deletes what the token in the user's file is bound to.
pub(crate) fn revoke_token(api: &Api, name: &str) -> Result<()> {
    let (namespace, secret) = (users::namespace(name), secret(name));
    api.delete(&format!("/api/v1/namespaces/{namespace}/secrets/{secret}"))
        .map(drop)
}

fn secret(name: &str) -> String {
    format!("token-of-{name}")
}

/// Removes what a login leaves beside the kubeconfig.
pub(crate) fn forget(layout: &Layout, name: &str) -> Result<()> {
    cache::remove_all(&layout.path(format!("oidc-login/{name}")))?;
    cache::remove_file(&layout.path(format!("{name}.token")))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_a_service_account_is_bound_by_its_own_name() {
        assert_eq!(Login::ServiceAccount.subject("alice")["name"], "alice");
        for login in [Login::Certificate, Login::Onyxia(Realm::Short)] {
            assert_eq!(login.subject("alice")["name"], "oidc-alice");
        }
    }

    #[test]
    fn a_login_leaves_nothing_when_it_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(9, directory.path());
        fs::create_dir_all(layout.path("oidc-login/alice")).unwrap();
        fs::write(layout.path("alice.token"), "token").unwrap();
        forget(&layout, "alice").unwrap();
        assert!(!layout.path("oidc-login/alice").exists() && !layout.path("alice.token").exists());
        forget(&layout, "alice").unwrap();
    }
}
