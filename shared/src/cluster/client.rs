//! kube's HTTP stack, put together with the settings that a tunnel and a person at a terminal need.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use http::{Response, Uri};
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::{Client, Config, Error};
use tower::{BoxError, ServiceBuilder, ServiceExt};

/// A client for `config`; `clock` receives how many seconds the server's clock is ahead.
pub(super) fn build(config: &Config, clock: Arc<AtomicI64>) -> Result<Client, Error> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(Duration::from_secs(10)));
    tcp.set_keepalive(Some(Duration::from_secs(30)));
    match &config.proxy_url {
        None => stack(config, tcp, clock),
        Some(proxy) => match proxy.scheme_str() {
            Some("socks5" | "socks5h") => stack(config, SocksV5::new(proxy.clone(), tcp), clock),
            Some("http") => stack(
                config,
                authorized(Tunnel::new(proxy.clone(), tcp), proxy)?,
                clock,
            ),
            Some("https") => {
                let tls = config.rustls_https_connector_with_connector(tcp)?;
                stack(
                    config,
                    authorized(Tunnel::new(proxy.clone(), tls), proxy)?,
                    clock,
                )
            }
            _ => Err(Error::ProxyProtocolUnsupported {
                proxy_url: Box::new(proxy.clone()),
            }),
        },
    }
}

/// Adds the user and password of a proxy's URL, if it has any.
fn authorized<C>(tunnel: Tunnel<C>, proxy: &Uri) -> Result<Tunnel<C>, Error> {
    let Some((userinfo, _)) = proxy
        .authority()
        .and_then(|authority| authority.as_str().split_once('@'))
    else {
        return Ok(tunnel);
    };
    let plain: Vec<u8> = percent_encoding::percent_decode_str(userinfo).collect();
    let mut value = http::HeaderValue::try_from(format!(
        "Basic {}",
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, plain)
    ))
    .map_err(|error| Error::HttpError(error.into()))?;
    value.set_sensitive(true);
    Ok(tunnel.with_auth(value))
}

fn stack<C>(config: &Config, connector: C, clock: Arc<AtomicI64>) -> Result<Client, Error>
where
    C: tower::Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: std::error::Error + Send + Sync + 'static,
{
    let https = config.rustls_https_connector_with_connector(connector)?;
    let hyper: hyper_util::client::legacy::Client<_, Body> =
        hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(https);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(hyper)
        .map_response(move |response: Response<_>| {
            if let Some(ahead) = response
                .headers()
                .get(http::header::DATE)
                .and_then(|date| seconds_ahead(date.to_str().ok()?))
            {
                clock.store(ahead, Ordering::Relaxed);
            }
            response
        });
    Ok(ClientBuilder::new(service, config.default_namespace.clone()).build())
}

/// How far a `Date` header is ahead of this machine's clock. Both are read at about the same moment, so up to a second is
/// rounding and the network, and counts as none.
fn seconds_ahead(date: &str) -> Option<i64> {
    let server = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    let ahead = server.as_second() - jiff::Timestamp::now().as_second();
    Some(if ahead.abs() <= 1 { 0 } else { ahead })
}
