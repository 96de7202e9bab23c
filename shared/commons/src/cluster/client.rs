//! kube's client on top of a login: each request carries the present credential, and goes out once more with another one if the
//! API server refuses it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use kube::Client;
use kube::client::{Body, ClientBuilder, ConfigExt};
use rustls::sign::CertifiedKey;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};

use crate::error::{Error, Failed, Result};
use crate::login::{Credential, Login, Transport, WithoutLogin, same_identity, transport};
use crate::printable;

/// A client of a cluster; `clock` receives how many seconds the server's clock is ahead.
///
/// # Errors
/// Settings that no connection can be made with.
pub(super) fn build(login: Arc<Login>, clock: Arc<AtomicI64>) -> Result<Client> {
    let headers = login.config.extra_headers_layer().map_err(|error| {
        Error::usage("the name of the user or group to act as cannot be sent")
            .caused_by(printable::short(&error.to_string(), 200))
    })?;
    let namespace = login.config.default_namespace.clone();
    let service = ServiceBuilder::new()
        .layer(login.config.base_uri_layer())
        .layer(headers)
        .service(Authorized::new(login)?)
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
    Ok(ClientBuilder::new(service, namespace).build())
}

/// Sends requests with the present credential.
#[derive(Clone)]
struct Authorized {
    login: Arc<Login>,
    /// The connections, and the certificate that was shown on them.
    connections: Arc<Mutex<(Option<Arc<CertifiedKey>>, Transport)>>,
}

impl Authorized {
    fn new(login: Arc<Login>) -> Result<Self> {
        let transport = transport(&login.config, login.proxy.as_ref(), None)?;
        Ok(Self {
            login,
            connections: Arc::new(Mutex::new((None, transport))),
        })
    }

    /// Connections on which this credential's certificate is shown: another one needs new connections.
    fn connections(&self, credential: &Credential) -> Result<Transport> {
        let mut connections = self
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let identity = credential.identity.as_ref();
        if !same_identity(connections.0.as_ref(), identity) {
            let new = transport(&self.login.config, self.login.proxy.as_ref(), identity)?;
            *connections = (identity.cloned(), new);
        }
        Ok(connections.1.clone())
    }

    async fn send(
        &self,
        mut request: Request<Body>,
        credential: &Credential,
    ) -> Result<Response<Incoming>, BoxError> {
        let connections = self.connections(credential).map_err(Failed)?;
        if let Some(header) = &credential.header {
            request.headers_mut().insert(AUTHORIZATION, header.clone());
        }
        connections.oneshot(request).await
    }

    async fn authorized(self, request: Request<Body>) -> Result<Response<Incoming>, BoxError> {
        if request.extensions().get::<WithoutLogin>().is_some() {
            let connections = self
                .connections
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .1
                .clone();
            return connections.oneshot(request).await;
        }
        let again = copy(&request);
        let credential = self.login.credentials.current().await.map_err(Failed)?;
        let response = self.send(request, &credential).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let other = self
            .login
            .credentials
            .instead_of(&credential)
            .await
            .map_err(Failed)?;
        match (other, again) {
            (Some(other), Some(request)) => self.send(request, &other).await,
            _ => Ok(response),
        }
    }
}

impl Service<Request<Body>> for Authorized {
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().authorized(request))
    }
}

/// The same request, to be sent a second time.
fn copy(request: &Request<Body>) -> Option<Request<Body>> {
    let mut copy = Request::new(request.body().try_clone()?);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    Some(copy)
}

/// How far a `Date` header is ahead of this machine's clock. Both are read at about the same moment, so up to a second is
/// rounding and the network, and counts as none.
fn seconds_ahead(date: &str) -> Option<i64> {
    let server = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    let ahead = server.as_second() - jiff::Timestamp::now().as_second();
    Some(if ahead.abs() <= 1 { 0 } else { ahead })
}
