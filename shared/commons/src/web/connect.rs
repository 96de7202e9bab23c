//! The way to a server: its name, its addresses, a proxy in between.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use http::{HeaderValue, Uri};
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, sleep_until, timeout_at};
use tower::ServiceExt;

use super::tls::Trust;
use super::{HttpFailure, Lookup, Unconnected, local};
use crate::printable;
use crate::proxy::{Proxies, Proxy};

/// How long an address may take before the next one is tried beside it (RFC 8305).
const NEXT_AFTER: Duration = Duration::from_millis(250);

/// Any stream, of one type, so that all that comes on top of it is compiled once.
pub(super) type Stream = Box<dyn Duplex>;

/// Both directions of a connection.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// Where a request goes, and by which way.
pub(super) struct Route {
    /// Whether the URL is `https`.
    pub(super) secure: bool,
    /// The URL's host without brackets.
    pub(super) host: String,
    port: u16,
    by: By,
}

enum By {
    Dns,
    Address(SocketAddr),
    Proxy(Proxy),
}

/// A connection on which the server, or for an `http` URL its proxy, can be spoken to.
pub(super) struct Opened {
    pub(super) stream: Stream,
    pub(super) address: SocketAddr,
    /// What a proxy wants to see in the request itself.
    pub(super) authorization: Option<HeaderValue>,
}

impl Route {
    /// The way to `url`.
    ///
    /// # Errors
    /// [`HttpFailure::Protocol`] for a URL that is not an absolute one of `http` or `https`.
    pub(super) fn to(
        url: &Uri,
        address: Option<SocketAddr>,
        proxies: &Proxies,
    ) -> Result<Self, HttpFailure> {
        let secure = match url.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => {
                return Err(HttpFailure::Protocol(format!(
                    "`{}` does not start with http:// or https://",
                    printable::short(&url.to_string(), 200)
                )));
            }
        };
        let host = bare(url.host().unwrap_or_default());
        let by = match address {
            Some(address) => By::Address(address),
            None => proxies.for_url(url).cloned().map_or(By::Dns, By::Proxy),
        };
        Ok(Self {
            secure,
            host: host.to_owned(),
            port: url.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            by,
        })
    }

    /// What the request's first line says: the whole URL to a proxy that is to fetch it, else the path.
    pub(super) fn target(&self, url: &Uri) -> Uri {
        if self.asks_proxy() {
            return url.clone();
        }
        let path = url.path_and_query().cloned();
        path.map_or_else(|| Uri::from_static("/"), Uri::from)
    }

    /// The `Host` header: the port only if it is not the scheme's own.
    pub(super) fn authority(&self) -> String {
        let host = bracketed(&self.host);
        match (self.secure, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    /// The proxy as `scheme://host:port`, without a password.
    pub(super) fn proxy_name(&self) -> Option<String> {
        match &self.by {
            By::Proxy(proxy) => Some(proxy.name()),
            _ => None,
        }
    }

    /// Whether the request itself is for a proxy, which happens only for `http` URLs.
    fn asks_proxy(&self) -> bool {
        matches!(&self.by, By::Proxy(proxy) if !self.secure && !proxy.is_socks())
    }

    /// Connects. `beside` is where the cluster's API server is.
    pub(super) async fn open(
        &self,
        trust: &Trust,
        beside: Option<&str>,
        deadline: Instant,
    ) -> Result<Opened, HttpFailure> {
        match &self.by {
            By::Address(address) => {
                let found = self.allowed(vec![*address], beside, deadline).await?;
                dial(found, deadline).await
            }
            By::Dns => {
                let found = lookup(&self.host, self.port, deadline).await?;
                dial(self.allowed(found, beside, deadline).await?, deadline).await
            }
            By::Proxy(proxy) => {
                // Names are resolved by the proxy, and it may reach more than we.
                if local::is_named_local(&self.host) && !is_here(beside, deadline).await {
                    return Err(self.local(None));
                }
                self.through(proxy, trust, deadline)
                    .await
                    .map_err(|why| match why {
                        HttpFailure::Proxy { .. } => why,
                        why => HttpFailure::Proxy {
                            proxy: self.proxy_name().unwrap_or_default(),
                            why: format!("cannot be used: {why}"),
                        },
                    })
            }
        }
        .map(|(stream, address)| Opened {
            stream,
            address,
            authorization: match &self.by {
                By::Proxy(proxy) if self.asks_proxy() => proxy.authorization(),
                _ => None,
            },
        })
    }

    /// Those of the addresses that may be asked: looked at after the name was resolved, so that no name gets around it.
    async fn allowed(
        &self,
        mut found: Vec<SocketAddr>,
        beside: Option<&str>,
        deadline: Instant,
    ) -> Result<Vec<SocketAddr>, HttpFailure> {
        let is_local = |address: &SocketAddr| local::is_local(address.ip());
        let Some(address) = found.iter().copied().find(is_local) else {
            return Ok(found);
        };
        if is_here(beside, deadline).await {
            return Ok(found);
        }
        found.retain(|address| !is_local(address));
        if found.is_empty() {
            return Err(self.local(Some(address.ip())));
        }
        Ok(found)
    }

    fn local(&self, address: Option<IpAddr>) -> HttpFailure {
        HttpFailure::Local {
            host: self.host.clone(),
            address,
        }
    }

    /// Connects to the proxy and, unless it is to fetch the URL itself, from there to the server.
    async fn through(
        &self,
        proxy: &Proxy,
        trust: &Trust,
        deadline: Instant,
    ) -> Result<(Stream, SocketAddr), HttpFailure> {
        let uri = proxy.uri();
        let host = bare(uri.host().unwrap_or_default());
        let port = uri.port_u16().unwrap_or(match uri.scheme_str() {
            Some("https") => 443,
            Some("http") => 80,
            _ => 1080,
        });
        let (mut stream, address) = dial(lookup(host, port, deadline).await?, deadline).await?;
        if uri.scheme_str() == Some("https") {
            (stream, _) = trust.handshake(stream, host, deadline).await?;
        }
        if self.asks_proxy() {
            return Ok((stream, address));
        }
        let destination = format!("https://{}:{}", bracketed(&self.host), self.port)
            .parse::<Uri>()
            .map_err(|error| HttpFailure::Protocol(error.to_string()))?;
        // Connected already: the connector only hands the connection over.
        let mut connected = Some(TokioIo::new(stream));
        let connected = tower::service_fn(move |_: Uri| {
            let stream = connected.take();
            async move { stream.ok_or(std::io::Error::from(std::io::ErrorKind::NotConnected)) }
        });
        let through = async {
            if proxy.is_socks() {
                let tunnel = SocksV5::new(uri.clone(), connected);
                let tunnel = match proxy.login() {
                    Some((user, password)) => tunnel.with_auth(user, password),
                    None => tunnel,
                };
                tunnel
                    .oneshot(destination)
                    .await
                    .map_err(|error| error.to_string())
            } else {
                let tunnel = Tunnel::new(uri.clone(), connected);
                let tunnel = match proxy.authorization() {
                    Some(value) => tunnel.with_auth(value),
                    None => tunnel,
                };
                tunnel
                    .oneshot(destination)
                    .await
                    .map_err(|error| error.to_string())
            }
        };
        match timeout_at(deadline, through).await {
            Ok(Ok(stream)) => Ok((stream.into_inner(), address)),
            Ok(Err(why)) => Err(HttpFailure::Proxy {
                proxy: self.proxy_name().unwrap_or_default(),
                why: format!(
                    "did not let the connection through ({})",
                    printable::short(&why, 200)
                ),
            }),
            Err(_) => Err(HttpFailure::Timeout),
        }
    }
}

/// Whether an API server is at this machine.
async fn is_here(server: Option<&str>, deadline: Instant) -> bool {
    let Some(server) = server else {
        return false;
    };
    let found = lookup(bare(server), 443, deadline).await;
    found.is_ok_and(|found| found.iter().any(|address| local::is_loopback(address.ip())))
}

/// Finds the addresses of a host.
async fn lookup(host: &str, port: u16, deadline: Instant) -> Result<Vec<SocketAddr>, HttpFailure> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let trouble = |why| HttpFailure::Name {
        host: host.to_owned(),
        why,
    };
    let found: Vec<SocketAddr> = timeout_at(deadline, lookup_host((host, port)))
        .await
        .map_err(|_| trouble(Lookup::NoAnswer("no answer in time".to_owned())))?
        .map_err(|error| trouble(Lookup::from(&error)))?
        .collect();
    if found.is_empty() {
        return Err(trouble(Lookup::NoSuchName));
    }
    Ok(alternating(found))
}

/// The same addresses, the families taking turns, each in the resolver's order and the first one first (RFC 8305).
pub(super) fn alternating(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut these, mut others): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first);
    let mut merged = Vec::with_capacity(these.len() + others.len());
    let (mut these, mut others) = (these.drain(..), others.drain(..));
    loop {
        let next = [these.next(), others.next()];
        if next == [None, None] {
            return merged;
        }
        merged.extend(next.into_iter().flatten());
    }
}

/// Connects to the first of these addresses that lets us.
pub(super) async fn dial(
    addresses: Vec<SocketAddr>,
    deadline: Instant,
) -> Result<(Stream, SocketAddr), HttpFailure> {
    let mut waiting = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut failures: Vec<(SocketAddr, Unconnected)> = Vec::new();
    let attempt = |address| async move { (address, TcpStream::connect(address).await) };
    let mut under_way = Vec::new();
    let mut next_at = Instant::now();
    loop {
        if attempts.is_empty() || Instant::now() >= next_at {
            if let Some(address) = waiting.next() {
                under_way.push(address);
                attempts.push(attempt(address));
                next_at = Instant::now() + NEXT_AFTER;
            } else if attempts.is_empty() {
                break;
            }
        }
        tokio::select! {
            Some((address, outcome)) = attempts.next() => match outcome {
                Ok(stream) => {
                    // Without it, what is written in two pieces waits for an acknowledgement.
                    let _ = stream.set_nodelay(true);
                    return Ok((Box::new(stream), address));
                }
                Err(error) => {
                    under_way.retain(|other| *other != address);
                    failures.push((address, Unconnected::from(&error)));
                    next_at = Instant::now();
                }
            },
            () = sleep_until(next_at), if waiting.len() > 0 => {}
            () = sleep_until(deadline) => {
                failures.extend(under_way.into_iter().map(|address| (address, Unconnected::Timeout)));
                break;
            }
        }
    }
    let telling = failures
        .into_iter()
        .rev()
        .max_by_key(|(_, why)| why.tells());
    Err(match telling {
        Some((address, why)) => HttpFailure::Connect { address, why },
        None => HttpFailure::Timeout,
    })
}

fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}
