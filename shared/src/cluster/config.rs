//! From kubectl's flags and the kubeconfig to the settings of a connection, with kubectl's precedence.

use std::path::{Path, PathBuf};

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

use crate::cli::ConnectionFlags;
use crate::error::{Connection, Error, Kind, Result, name_hint};
use crate::printable;

/// Reads the kubeconfig that kubectl would read and lets the flags override it.
pub(super) fn load(flags: &ConnectionFlags) -> Result<(Config, Connection)> {
    if let Some(server) = &flags.server {
        server_address(server)?;
    }
    let kubeconfig = read(flags)?;
    let (mut config, context, credential) = match kubeconfig {
        Some(kubeconfig) => from_kubeconfig(kubeconfig, flags)?,
        None => match Config::incluster() {
            Ok(config) => (
                config,
                "the pod's ServiceAccount".to_owned(),
                "the pod's ServiceAccount".to_owned(),
            ),
            Err(_) if flags.server.is_some() => (
                Config::new(http::Uri::from_static("https://localhost")),
                String::new(),
                String::new(),
            ),
            Err(_) => {
                let error = Error::new("no kubeconfig found");
                let error = match std::env::var("KUBECONFIG") {
                    Ok(named) if !named.is_empty() => error.caused_by(format!(
                        "KUBECONFIG names {}, which does not exist or says nothing",
                        printable::short(&named, 200)
                    )),
                    _ => error,
                };
                return Err(error.hint("put it at ~/.kube/config, or name it with `--kubeconfig FILE` or KUBECONFIG (on Onyxia: My account, Kubernetes)"));
            }
        },
    };
    override_with(&mut config, flags)?;
    config.default_retry = false;
    let connection = Connection {
        server: printable::short(config.cluster_url.to_string().trim_end_matches('/'), 200),
        context: printable::short(&context, 200),
        credential: printable::short(&credential, 200),
        proxy: config
            .proxy_url
            .as_ref()
            .map(without_password)
            .unwrap_or_default(),
        plugin: config
            .auth_info
            .exec
            .as_ref()
            .and_then(|exec| exec.command.as_deref())
            .map(|command| printable::short(command, 200))
            .unwrap_or_default(),
        expires: config
            .auth_info
            .token
            .as_ref()
            .and_then(|token| token_expiry(secrecy::ExposeSecret::expose_secret(token))),
    };
    Ok((config, connection))
}

/// The kubeconfig files merged, or nothing where there are none. As in kubectl, `--kubeconfig` names exactly one file that
/// must exist, and files of `KUBECONFIG` that do not exist are passed over.
fn read(flags: &ConnectionFlags) -> Result<Option<Kubeconfig>> {
    if let Some(file) = &flags.kubeconfig {
        return read_file(Path::new(file)).map(Some);
    }
    let named: Vec<PathBuf> = std::env::var_os("KUBECONFIG")
        .map(|paths| {
            std::env::split_paths(&paths)
                .filter(|path| !path.as_os_str().is_empty())
                .collect()
        })
        .unwrap_or_default();
    let paths = if named.is_empty() {
        std::env::home_dir()
            .map(|home| home.join(".kube/config"))
            .into_iter()
            .collect()
    } else {
        named
    };
    let mut merged: Option<Kubeconfig> = None;
    for path in paths.iter().filter(|path| path.exists()) {
        let next = read_file(path)?;
        merged = Some(match merged {
            None => next,
            Some(before) => before
                .merge(next)
                .map_err(|error| explain_kubeconfig(&error, &path.display().to_string()))?,
        });
    }
    // An empty kubeconfig is as good as none: `kubectl config view` prints one for nothing.
    Ok(merged.filter(|config| {
        !config.contexts.is_empty()
            || !config.clusters.is_empty()
            || config
                .current_context
                .as_ref()
                .is_some_and(|name| !name.is_empty())
    }))
}

fn read_file(path: &Path) -> Result<Kubeconfig> {
    Kubeconfig::read_from(path)
        .map_err(|error| explain_kubeconfig(&error, &path.display().to_string()))
}

fn from_kubeconfig(
    mut kubeconfig: Kubeconfig,
    flags: &ConnectionFlags,
) -> Result<(Config, String, String)> {
    let context = flags
        .context
        .clone()
        .or_else(|| kubeconfig.current_context.clone())
        .filter(|name| !name.is_empty());
    let contexts: Vec<String> = kubeconfig
        .contexts
        .iter()
        .map(|context| context.name.clone())
        .collect();
    let Some(context) = context else {
        if flags.server.is_some() {
            return Ok((
                Config::new(http::Uri::from_static("https://localhost")),
                String::new(),
                String::new(),
            ));
        }
        let error = Error::new("the kubeconfig has no current context")
            .hint("choose one: `kubectl config use-context NAME`");
        return Err(match name_hint("", contexts.iter().map(String::as_str)) {
            Some(hint) => error.hint(hint),
            None => error,
        });
    };
    let chosen = kubeconfig
        .contexts
        .iter()
        .find(|named| named.name == context)
        .and_then(|named| named.context.clone());
    let Some(chosen) = chosen else {
        let error = Error::new(format!(
            "the kubeconfig has no context `{}`",
            printable::short(&context, 80)
        ));
        return Err(
            match name_hint(&context, contexts.iter().map(String::as_str)) {
                Some(hint) => error.hint(hint),
                None => error.hint("see the contexts: `kubectl config get-contexts`"),
            },
        );
    };
    let cluster = flags
        .cluster
        .clone()
        .unwrap_or_else(|| chosen.cluster.clone());
    if !kubeconfig
        .clusters
        .iter()
        .any(|named| named.name == cluster && named.cluster.is_some())
    {
        let error = Error::new(format!(
            "the kubeconfig has no cluster `{}`",
            printable::short(&cluster, 80)
        ));
        let error = match flags.cluster {
            Some(_) => error,
            None => error.caused_by(format!(
                "context `{}` names it",
                printable::short(&context, 80)
            )),
        };
        return Err(error.hint("see what it has: `kubectl config view`"));
    }
    let user = flags
        .user
        .clone()
        .or_else(|| chosen.user.clone())
        .filter(|name| !name.is_empty());
    if let Some(user) = &user
        && !kubeconfig
            .auth_infos
            .iter()
            .any(|named| &named.name == user)
    {
        let error = Error::new(format!(
            "the kubeconfig has no user `{}`",
            printable::short(user, 80)
        ));
        let error = match flags.user {
            Some(_) => error,
            None => error.caused_by(format!(
                "context `{}` names it",
                printable::short(&context, 80)
            )),
        };
        return Err(error.hint("see what it has: `kubectl config view`"));
    }
    // An address on the command line wins, so the file need not have one.
    if flags.server.is_some() {
        for named in kubeconfig
            .clusters
            .iter_mut()
            .filter(|named| named.name == cluster)
        {
            if let Some(cluster) = &mut named.cluster {
                cluster.server.clone_from(&flags.server);
            }
        }
    }
    let options = KubeConfigOptions {
        context: Some(context.clone()),
        cluster: Some(cluster),
        user: user.clone(),
    };
    // Only the signature is asynchronous: nothing in it waits.
    let config = futures::executor::block_on(Config::from_custom_kubeconfig(kubeconfig, &options))
        .map_err(|error| explain_kubeconfig(&error, "the kubeconfig"))?;
    Ok((
        config,
        context,
        user.map(|user| format!("user `{user}`"))
            .unwrap_or_default(),
    ))
}

fn override_with(config: &mut Config, flags: &ConnectionFlags) -> Result<()> {
    if let Some(server) = &flags.server {
        config.cluster_url = server_address(server)?;
    }
    if !matches!(config.cluster_url.scheme_str(), Some("http" | "https")) {
        return Err(no_address(
            Kind::Failed,
            &config.cluster_url.to_string(),
            "the kubeconfig's server address",
        ));
    }
    if let Some(namespace) = &flags.namespace {
        config.default_namespace.clone_from(namespace);
    }
    super::path_segment(&config.default_namespace).map_err(|_| {
        Error::usage(format!(
            "`{}` cannot be the name of a namespace",
            printable::short(&config.default_namespace, 80)
        ))
    })?;
    let auth = &mut config.auth_info;
    if let Some(token) = &flags.token {
        auth.token = Some(token.clone().into());
        auth.token_file = None;
        auth.exec = None;
        auth.auth_provider = None;
        // A certificate would win over the token at the API server, and the token was asked for.
        auth.client_certificate = None;
        auth.client_certificate_data = None;
        auth.client_key = None;
        auth.client_key_data = None;
    }
    if let Some(user) = &flags.as_user {
        auth.impersonate = Some(user.clone());
        auth.impersonate_groups = (!flags.as_group.is_empty()).then(|| flags.as_group.clone());
        auth.impersonate_uid.clone_from(&flags.as_uid);
    }
    if let Some(file) = &flags.client_certificate {
        auth.client_certificate = Some(file.clone());
        auth.client_certificate_data = None;
    }
    if let Some(file) = &flags.client_key {
        auth.client_key = Some(file.clone());
        auth.client_key_data = None;
    }
    if let Some(file) = &flags.certificate_authority {
        let text = std::fs::read(file).map_err(|error| {
            Error::new(format!("cannot read the certificate authority {file}"))
                .caused_by(error.to_string())
        })?;
        let certificates = pem::parse_many(text).unwrap_or_default();
        if certificates.is_empty() {
            return Err(Error::new(format!("{file} holds no certificate")));
        }
        config.root_cert = Some(
            certificates
                .into_iter()
                .map(pem::Pem::into_contents)
                .collect(),
        );
        config.root_cert_file = None;
    }
    if let Some(skip) = flags.insecure_skip_tls_verify {
        config.accept_invalid_certs = skip;
    }
    if let Some(name) = &flags.tls_server_name {
        config.tls_server_name = Some(name.clone());
    }
    // kube would panic on such a token instead of refusing it.
    let token = config
        .auth_info
        .token
        .as_ref()
        .map(secrecy::ExposeSecret::expose_secret);
    if token.is_some_and(|token| http::HeaderValue::try_from(format!("Bearer {token}")).is_err()) {
        return Err(Error::of(
            Kind::Unauthorized,
            "the token has characters that no token has",
        )
        .hint("copy the token anew, on one line"));
    }
    Ok(())
}

/// A proxy's address, to be shown.
fn without_password(proxy: &http::Uri) -> String {
    let authority = proxy
        .authority()
        .map(http::uri::Authority::as_str)
        .unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    printable::short(
        &format!("{}://{host}", proxy.scheme_str().unwrap_or("http")),
        200,
    )
}

/// The address of `--server`.
fn server_address(server: &str) -> Result<http::Uri> {
    let address: Option<http::Uri> = server.parse().ok();
    address
        .filter(|address| matches!(address.scheme_str(), Some("http" | "https")))
        .ok_or_else(|| no_address(Kind::Usage, server, "`--server`"))
}

fn no_address(kind: Kind, server: &str, what: &str) -> Error {
    Error::of(
        kind,
        format!("{what} `{}` is not a URL", printable::short(server, 80)),
    )
    .hint("write it like `https://host:6443`")
}

/// Puts a kubeconfig's fault into words.
fn explain_kubeconfig(error: &KubeconfigError, file: &str) -> Error {
    use KubeconfigError as E;
    let view = "see what it has: `kubectl config view`";
    match error {
        E::ReadConfig(error, path) => {
            Error::new(format!("cannot read the kubeconfig {}", path.display()))
                .caused_by(error.to_string())
                .hint("name another one with `--kubeconfig FILE` or KUBECONFIG")
        }
        E::Parse(error) => {
            // The library shows the faulty lines; a kubeconfig's lines may hold a token, so only the place is told.
            let place = error
                .location()
                .map(|location| format!("line {}, column {}", location.line(), location.column()));
            let failed = Error::new(format!("{file} is not a kubeconfig"));
            match place {
                Some(place) => failed.caused_by(format!("it cannot be read at {place}")),
                None => failed.caused_by("it is not YAML of the right form"),
            }
            .hint("get a new one (on Onyxia: My account, Kubernetes)")
        }
        E::KindMismatch | E::ApiVersionMismatch => {
            Error::new("the files of KUBECONFIG do not fit together")
                .caused_by(format!("{file} is of another kind or version"))
        }
        E::MissingClusterUrl => {
            Error::new("the kubeconfig's cluster has no server address").hint(view)
        }
        E::ParseClusterUrl(_) => {
            Error::new("the kubeconfig's server address is not a URL").hint(view)
        }
        E::ParseProxyUrl(_) | E::ParseNoProxy(_) => Error::new("the proxy's address is not a URL")
            .hint("check `proxy-url` in the kubeconfig, HTTPS_PROXY and NO_PROXY"),
        E::LoadCertificateAuthority(error) => {
            Error::new("the kubeconfig's certificate authority cannot be loaded")
                .caused_by(load_data(error))
                .hint(view)
        }
        E::LoadClientCertificate(error) => Error::of(
            Kind::Unauthorized,
            "the kubeconfig's client certificate cannot be loaded",
        )
        .caused_by(load_data(error))
        .hint(view),
        E::LoadClientKey(error) => Error::of(
            Kind::Unauthorized,
            "the kubeconfig's client key cannot be loaded",
        )
        .caused_by(load_data(error))
        .hint(view),
        E::ParseCertificates(_) => {
            Error::new("the kubeconfig's certificate authority is not a certificate").hint(view)
        }
        other => Error::new("the kubeconfig cannot be used")
            .caused_by(printable::short(&other.to_string(), 200))
            .hint(view),
    }
}

fn load_data(error: &kube::config::LoadDataError) -> String {
    use kube::config::LoadDataError as E;
    match error {
        E::DecodeBase64(_) => "its data is not base64".into(),
        E::ReadFile(error, path) => format!("cannot read {}: {error}", path.display()),
        E::NoBase64DataOrFile => "it is missing".into(),
    }
}

/// Puts into words why no client can be made from a kubeconfig that was read.
pub(super) fn explain_credentials(error: &kube::Error, connection: &Connection) -> Error {
    match error {
        kube::Error::InferKubeconfig(error) => explain_kubeconfig(error, "the kubeconfig"),
        kube::Error::RustlsTls(error) => Error::of(
            Kind::Unauthorized,
            "the kubeconfig's certificate or key cannot be used",
        )
        .caused_by(printable::short(&error.to_string(), 200))
        .hint("get a new one (on Onyxia: My account, Kubernetes)"),
        kube::Error::ProxyProtocolUnsupported { .. } => {
            Error::new("the proxy's address is not one of http, https or socks5")
                .hint("check `proxy-url` in the kubeconfig and HTTPS_PROXY")
        }
        other => crate::error::explain(
            other,
            &crate::error::Request {
                verb: "reach",
                resource: "the cluster".into(),
                noun: "cluster".into(),
                name: "",
                namespace: None,
            },
            connection,
        ),
    }
}

/// When a bearer token ends, if it is a JSON Web Token that tells (RFC 7519, claim `exp`).
fn token_expiry(token: &str) -> Option<jiff::Timestamp> {
    let claims = token.split('.').nth(1)?;
    let claims = base64::Engine::decode(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD,
        claims.trim_end_matches('='),
    )
    .ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    jiff::Timestamp::from_second(claims.get("exp")?.as_i64()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_when_a_token_ends() {
        // {"exp":1700000000}
        assert_eq!(
            token_expiry("e30.eyJleHAiOjE3MDAwMDAwMDB9.x").map(|t| t.to_string()),
            Some("2023-11-14T22:13:20Z".into())
        );
        assert_eq!(token_expiry("opaque"), None);
        assert_eq!(token_expiry("a.!!!.b"), None);
    }
}
