//! Writing the objects of an app.

use commons::apply::Outcome;
use commons::change::Change;
use commons::cluster::documents::Writing;
use commons::{Cluster, Error, Kind, Result};
use futures::future::join_all;
use serde_json::Value;

/// An object after it was written.
#[derive(Clone, Debug)]
pub struct Written {
    pub outcome: Outcome,
    /// As the API server has it now.
    pub object: Value,
}

/// An object to be written, and how.
#[derive(Clone, Debug)]
pub struct Write<'a> {
    pub document: Value,
    /// What was there when it was looked at.
    pub before: Option<&'a Value>,
    pub writing: Writing<'a>,
}

/// Writes objects, all of them at once.
///
/// # Errors
/// The first refusal; the others have been written or not.
pub async fn write(change: &Change, objects: Vec<Write<'_>>) -> Result<Vec<Written>> {
    let writing = objects.iter().map(async |object| {
        let (outcome, object) = change
            .apply_document(&object.document, object.before, object.writing)
            .await?;
        Ok(Written { outcome, object })
    });
    join_all(writing).await.into_iter().collect()
}

/// Lets the server check an object, and stores nothing.
///
/// # Errors
/// Its refusals.
pub async fn try_out(cluster: &Cluster, namespace: &str, write: &Write<'_>) -> Result<()> {
    let writing = Writing {
        dry_run: true,
        ..write.writing
    };
    cluster
        .apply_document(&write.document, namespace, write.before, writing)
        .await
        .map(drop)
}

/// Whether what a dry run was refused for stops the real one: an object of the same run may be missing yet, and some webhooks
/// cannot be tried.
pub fn matters_when_tried(error: &Error) -> bool {
    error.kind() != Kind::NotFound && !error.causes().iter().any(|cause| cause.contains("dry run"))
}
