//! Connections to an API server, or to the issuer of its tokens: TCP, a proxy, TLS, HTTP/1.1.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::rt::TokioExecutor;
use kube::Config;
use kube::client::{Body, ConfigExt};
use rustls::ClientConfig;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::ServerName;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tower::util::BoxCloneService;
use tower::{BoxError, ServiceExt};

use super::{hints, trust};
use crate::error::{Error, Kind, Result};
use crate::printable;
use crate::proxy::Proxy;

/// Sends requests with absolute addresses.
pub(crate) type Transport = BoxCloneService<Request<Body>, Response<Incoming>, BoxError>;

/// Connections as `config` says (server name, certificate authority), by way of `proxy`, with a client certificate.
///
/// # Errors
/// A certificate authority or a server name that is none.
pub(crate) fn transport(
    config: &Config,
    proxy: Option<&Proxy>,
    identity: Option<&Arc<CertifiedKey>>,
) -> Result<Transport> {
    let tls = tls(config, identity)?;
    let name = server_name(config)?;
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    // Without it every new tunnel waits 40 ms for a delayed acknowledgement.
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(Duration::from_secs(10)));
    tcp.set_keepalive(Some(Duration::from_secs(30)));
    let Some(proxy) = proxy else {
        return Ok(http(tcp, tls, name));
    };
    let to = proxy.uri().clone();
    if proxy.is_socks() {
        let tunnel = SocksV5::new(to, tcp);
        return Ok(match proxy.login() {
            Some((user, password)) => http(tunnel.with_auth(user, password), tls, name),
            None => http(tunnel, tls, name),
        });
    }
    if to.scheme_str() == Some("https") {
        let to_proxy = HttpsConnectorBuilder::new()
            .with_tls_config(tls.clone())
            .https_or_http();
        return Ok(http(
            authorized(
                Tunnel::new(to, to_proxy.enable_http1().wrap_connector(tcp)),
                proxy,
            ),
            tls,
            name,
        ));
    }
    Ok(http(authorized(Tunnel::new(to, tcp), proxy), tls, name))
}

fn authorized<C>(tunnel: Tunnel<C>, proxy: &Proxy) -> Tunnel<C> {
    match proxy.authorization() {
        Some(value) => tunnel.with_auth(value),
        None => tunnel,
    }
}

fn http<C>(connector: C, tls: ClientConfig, name: Option<ServerName<'static>>) -> Transport
where
    C: tower::Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    let mut https = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http();
    if let Some(name) = name {
        https = https.with_server_name_resolver(FixedServerNameResolver::new(name));
    }
    let https = https.enable_http1().wrap_connector(connector);
    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build(https);
    client.map_err(BoxError::from).boxed_clone()
}

fn tls(config: &Config, identity: Option<&Arc<CertifiedKey>>) -> Result<ClientConfig> {
    let unusable = |why: &str| {
        Error::new("the certificate authority cannot be used")
            .caused_by(printable::short(why, 200))
            .hint(hints::RENEW)
    };
    let mut tls = config
        .rustls_client_config()
        .map_err(|error| unusable(&error.to_string()))?;
    // kube's own verifier reads the file again from time to time.
    if let (Some(authority), None) = (&config.root_cert, &config.root_cert_file) {
        let verifier = trust::verifier(authority).map_err(|why| unusable(&why))?;
        tls.dangerous().set_certificate_verifier(verifier);
    }
    if let Some(identity) = identity {
        let shown: Arc<dyn ResolvesClientCert> =
            Arc::new(SingleCertAndKey::from(CertifiedKey::clone(identity)));
        tls.client_auth_cert_resolver = shown;
    }
    Ok(tls)
}

fn server_name(config: &Config) -> Result<Option<ServerName<'static>>> {
    let name = config.tls_server_name.clone();
    name.map(|name| {
        ServerName::try_from(name.clone()).map_err(|_| {
            let name = printable::short(&name, 80);
            Error::of(
                Kind::Usage,
                format!("`{name}` cannot be the name of a server"),
            )
            .hint("check `tls-server-name` in the kubeconfig, or `--tls-server-name`")
        })
    })
    .transpose()
}
