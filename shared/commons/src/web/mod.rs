//! A small HTTP client: what answers at a URL, and if nothing does, exactly why.
//!
//! kube's client speaks to one API server with one set of credentials and hides how it got there. Proving that a URL answers,
//! or asking a registry about an image, needs the opposite: no credentials, one connection a request, redirects shown and not
//! followed, and a failure told apart by its place: the name, the connection, the certificate, the answer.

mod certificate;
mod connect;
mod exchange;
mod failure;
mod local;
#[cfg(test)]
mod tests;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

pub use certificate::Certificate;
pub use failure::{HttpFailure, Lookup, TlsFailure, Unconnected};

use crate::proxy::Proxies;

use connect::{Route, Stream};
use tls::Trust;

/// How much of a body is kept unless [`Client::keeping`] says otherwise.
const BODY: usize = 1024 * 1024;

/// Asks one URL at a time. Clones share what the machine trusts, which is read from disk once, at the first `https` URL.
#[derive(Clone)]
pub struct Client {
    timeout: Duration,
    body: usize,
    to: Option<SocketAddr>,
    beside: Option<String>,
    proxies: Arc<Proxies>,
    trust: Trust,
}

/// What was answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// When the request was sent, on a connection that was open by then.
    pub asked: Instant,
    /// The status code.
    pub status: u16,
    /// The headers of the answer.
    pub headers: HeaderMap,
    /// The body, or its beginning.
    pub body: Bytes,
    /// Whether the body is only a beginning: longer than what is kept, broken off, or still coming when the time was up.
    pub truncated: bool,
    /// The server's own certificate, of an `https` URL.
    pub certificate: Option<Certificate>,
    /// Whose answer it is; the proxy's address if one was asked, and none for a stream that was given.
    pub address: Option<SocketAddr>,
    /// The proxy that was asked on the way, as `scheme://host:port`.
    pub proxy: Option<String>,
}

impl Client {
    /// A client that gives up on a request after `timeout`, from the lookup of the name to the end of the answer. Uses the
    /// proxies that the environment names, see [`Proxies`]. This machine, its link and a cloud's metadata are not asked, whatever
    /// a name resolves to; see [`Client::beside`].
    pub fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            body: BODY,
            to: None,
            beside: None,
            proxies: Arc::new(Proxies::from_env()),
            trust: Trust::default(),
        }
    }

    /// The same client, but asking this address whatever the name resolves to, and no proxy.
    #[must_use]
    pub fn to(&self, address: SocketAddr) -> Self {
        Self {
            to: Some(address),
            ..self.clone()
        }
    }

    /// The same client, for a cluster whose API server is at this host: where that is this machine, as with kind, what the cluster
    /// serves is at this machine too.
    #[must_use]
    pub fn beside(&self, host: &str) -> Self {
        Self {
            beside: Some(host.to_owned()),
            ..self.clone()
        }
    }

    /// The same client, but keeping at most so many bytes of a body.
    #[must_use]
    pub fn keeping(&self, bytes: usize) -> Self {
        Self {
            body: bytes,
            ..self.clone()
        }
    }

    /// The same client with another time limit.
    #[must_use]
    pub fn within(&self, timeout: Duration) -> Self {
        Self {
            timeout,
            ..self.clone()
        }
    }

    /// Sends one GET request by HTTP/1.1 on a connection of its own. `headers` come in addition to `Host`, `User-Agent`,
    /// `Accept` and `Connection`, or in their place. Redirects are answers like any other.
    ///
    /// # Errors
    /// See [`HttpFailure`]. Any status is an answer, not an error.
    pub async fn get(
        &self,
        url: &Uri,
        headers: &[(HeaderName, HeaderValue)],
    ) -> Result<Answer, HttpFailure> {
        let deadline = Instant::now() + self.timeout;
        let route = Route::to(url, self.to, &self.proxies)?;
        let beside = self.beside.as_deref();
        let opened = route.open(&self.trust, beside, deadline).await?;
        let (stream, certificate) = if route.secure {
            let (stream, certificate) = self
                .trust
                .handshake(opened.stream, &route.host, deadline)
                .await?;
            (stream, Some(certificate))
        } else {
            (opened.stream, None)
        };
        let request = exchange::request(route.target(url), &route.authority(), headers);
        let request = match opened.authorization {
            Some(value) => exchange::with(request, http::header::PROXY_AUTHORIZATION, value),
            None => request,
        };
        let answer = exchange::exchange(stream, request, self.body, deadline).await?;
        Ok(Answer {
            certificate,
            address: Some(opened.address),
            proxy: route.proxy_name(),
            ..answer
        })
    }

    /// Sends one GET request over a stream that is open already, such as the end of a tunnel to a pod. `host` is what the
    /// request says it is for, with the port if that is not 80.
    ///
    /// # Errors
    /// [`HttpFailure::Timeout`], [`HttpFailure::Closed`] or [`HttpFailure::Protocol`].
    pub async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        host: &str,
        path: &str,
        headers: &[(HeaderName, HeaderValue)],
    ) -> Result<Answer, HttpFailure> {
        let deadline = Instant::now() + self.timeout;
        let target = path
            .parse()
            .map_err(|_| HttpFailure::Protocol(format!("`{path}` cannot be a path of a URL")))?;
        let stream: Stream = Box::new(stream);
        let request = exchange::request(target, host, headers);
        exchange::exchange(stream, request, self.body, deadline).await
    }
}
