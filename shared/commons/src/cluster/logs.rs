//! What a container wrote.

use k8s_openapi::api::core::v1::Pod;
use kube::Resource;
use kube::core::subresource::LogParams;

use super::{Cluster, path_segment};
use crate::error::{Error, Request, Result};
use crate::printable;

/// The most that is read of a log, in bytes.
const MOST: i64 = 64 * 1024;

impl Cluster {
    /// The last lines that a container wrote; of the run before this one if `previous`.
    ///
    /// # Errors
    /// [`crate::Kind::Forbidden`] for those who may not; a failure where there is no such run, or its log is gone.
    pub async fn log(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        previous: bool,
        lines: u32,
    ) -> Result<String> {
        path_segment(namespace)?;
        path_segment(pod)?;
        let params = LogParams {
            container: Some(container.to_owned()),
            previous,
            tail_lines: Some(lines.into()),
            limit_bytes: Some(MOST),
            ..LogParams::default()
        };
        let log = kube::core::Request::new(Pod::url_path(&(), Some(namespace)))
            .logs(pod, &params)
            .map_err(|error| {
                Error::new("cannot put a request together")
                    .caused_by(printable::short(&error.to_string(), 200))
            })?;
        let asked = Request {
            verb: "get",
            resource: "pods/log".into(),
            noun: "log of pod".into(),
            name: pod,
            namespace: Some(namespace),
        };
        self.send(asked, self.client.request_text(log)).await
    }
}
