//! The node's API as this crate speaks it: a few requests by path, blocking, safe to call from inside an async test.

use std::{path::Path, time::Duration};

use kube::{
    Client, Config,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::error::{Context as _, Error, Result};

/// The field manager of everything this crate writes.
const FIELD_MANAGER: &str = "test-cluster";
/// How long one request may take: the API server is on this machine.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A client of one API server, acting as one user.
pub(crate) struct Api {
    runtime: Runtime,
    client: Client,
}

impl Api {
    /// Acts as the user of a kubeconfig file; nothing is sent yet.
    pub(crate) fn of(kubeconfig: &Path) -> Result<Self> {
        let unusable = || format!("{} cannot be used", kubeconfig.display());
        let parsed = Kubeconfig::read_from(kubeconfig).with_context(unusable)?;
        Self::connect(parsed).with_context(unusable)
    }

    /// Acts as the current user of an already merged kubeconfig.
    pub(crate) fn connect(kubeconfig: Kubeconfig) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("no async runtime")?;
        let client = aside(|| {
            runtime.block_on(async {
                let mut config =
                    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
                        .await
                        .context("the kubeconfig cannot be understood")?;
                config.connect_timeout = Some(Duration::from_secs(2));
                config.read_timeout = Some(REQUEST_TIMEOUT);
                // Waiting is done here, by condition.
                config.default_retry = false;
                Client::try_from(config).context("no client for the API server")
            })
        })?;
        Ok(Self { runtime, client })
    }

    /// Reads an object; `None` when it is not there.
    pub(crate) fn get(&self, path: &str) -> Result<Option<Value>> {
        self.block(get(&self.client, path))
    }

    /// Reads an answer that is no object, such as `/readyz`.
    pub(crate) fn text(&self, path: &str) -> Result<String> {
        self.block(async {
            let request = request("GET", path, Vec::new(), "application/json")?;
            self.client
                .request_text(request)
                .await
                .map_err(|error| said("GET", path, &error))
        })
    }

    /// Creates an object and returns it as the server has it; `None` when it is there already.
    pub(crate) fn create(&self, path: &str, object: &Value) -> Result<Option<Value>> {
        self.block(create(&self.client, path, object))
    }

    /// Creates objects one after the other on one connection, whether they are there already or not.
    pub(crate) fn create_all(&self, objects: &[(String, Value)]) -> Result<()> {
        self.block(async {
            for (path, object) in objects {
                create(&self.client, path, object).await?;
            }
            Ok(())
        })
    }

    /// Writes an object as server-side apply, also where another manager owns a field.
    pub(crate) fn apply(&self, path: &str, object: &Value) -> Result<()> {
        self.block(async {
            let full = format!("{path}?fieldManager={FIELD_MANAGER}&force=true");
            let body = serde_json::to_vec(object).context("the object cannot be written")?;
            let request = request("PATCH", &full, body, "application/apply-patch+yaml")?;
            self.client
                .request::<Value>(request)
                .await
                .map(drop)
                .map_err(|error| said("PATCH", path, &error))
        })
    }

    /// Replaces an object's subresource or the object itself.
    pub(crate) fn replace(&self, path: &str, object: &Value) -> Result<()> {
        self.block(async {
            let body = serde_json::to_vec(object).context("the object cannot be written")?;
            let request = request("PUT", path, body, "application/json")?;
            self.client
                .request::<Value>(request)
                .await
                .map(drop)
                .map_err(|error| said("PUT", path, &error))
        })
    }

    /// Deletes an object; `false` when it was not there.
    pub(crate) fn delete(&self, path: &str) -> Result<bool> {
        self.block(async {
            let request = request("DELETE", path, Vec::new(), "application/json")?;
            match self.client.request::<Value>(request).await {
                Ok(_) => Ok(true),
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
                Err(error) => Err(said("DELETE", path, &error)),
            }
        })
    }

    /// Sends a request to a server that is no API server, and returns the status and the body of its answer.
    pub(crate) fn exchange(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<(u16, String)> {
        let failed = || format!("no answer to {method} {path}");
        self.block(async {
            let mut request = http::Request::builder().method(method).uri(path);
            for &(name, value) in headers {
                request = request.header(name, value);
            }
            let request = request
                .body(Body::from(body.into_bytes()))
                .with_context(failed)?;
            let answer = self
                .client
                .send(request)
                .await
                .map_err(|error| Error::new(failed()).because(chain(&error)))?;
            let status = answer.status().as_u16();
            let body = answer
                .into_body()
                .collect_bytes()
                .await
                .with_context(failed)?;
            Ok((status, String::from_utf8_lossy(&body).into_owned()))
        })
    }

    /// Whether the user may do this in a namespace.
    pub(crate) fn may(
        &self,
        verb: &str,
        group: &str,
        resource: &str,
        namespace: &str,
    ) -> Result<bool> {
        let review = serde_json::json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"verb": verb, "group": group, "resource": resource, "namespace": namespace}},
        });
        let answer = self.create(
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            &review,
        )?;
        Ok(answer.is_some_and(|answer| answer["status"]["allowed"] == true))
    }

    fn block<T: Send>(&self, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        aside(|| {
            self.runtime
                .block_on(async { tokio::time::timeout(REQUEST_TIMEOUT * 3, work).await })
        })
        .context("the API server does not answer")?
    }
}

/// Runs on a thread of its own: a runtime may not be entered where another one runs, as in an async test.
fn aside<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

async fn get(client: &Client, path: &str) -> Result<Option<Value>> {
    match client
        .request::<Value>(request("GET", path, Vec::new(), "application/json")?)
        .await
    {
        Ok(object) => Ok(Some(object)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(said("GET", path, &error)),
    }
}

async fn create(client: &Client, path: &str, object: &Value) -> Result<Option<Value>> {
    let body = serde_json::to_vec(object).context("the object cannot be written")?;
    let separator = if path.contains('?') { '&' } else { '?' };
    let full = format!("{path}{separator}fieldManager={FIELD_MANAGER}");
    match client
        .request::<Value>(request("POST", &full, body, "application/json")?)
        .await
    {
        Ok(object) => Ok(Some(object)),
        Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => Ok(None),
        Err(error) => Err(said("POST", path, &error)),
    }
}

fn request(
    method: &str,
    path: &str,
    body: Vec<u8>,
    content_type: &str,
) -> Result<http::Request<Vec<u8>>> {
    http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", content_type)
        .body(body)
        .with_context(|| format!("{path} is no path of the API"))
}

fn said(method: &str, path: &str, error: &kube::Error) -> Error {
    let failure = Error::new(format!("the API server refused {method} {path}"));
    match error {
        kube::Error::Api(status) => failure.because(&status.message),
        other => failure.because(chain(other)),
    }
}

/// The whole chain of causes on one line: the first one alone says only that a service failed.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
