//! Writing all objects of an app, or none.

use commons::shell::shell;
use std::cell::RefCell;
use std::time::Duration;

use commons::apply::{DryRun, Outcome};
use commons::cli::Interrupt;
use commons::cluster::documents::{self, Writing};
use commons::{Cluster, Error, Kind, Result};
use futures::future::join_all;
use serde_json::Value;
use tokio::sync::oneshot;

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

/// An object whose creation was begun.
#[derive(Debug)]
struct Begun {
    document: Value,
    /// Its UID as the API server answers; nothing if it refuses.
    uid: oneshot::Receiver<String>,
}

/// What a run has begun, so that it can be taken back.
#[derive(Debug)]
pub struct Writer<'a> {
    cluster: &'a Cluster,
    namespace: &'a str,
    dry_run: DryRun,
    /// Objects that were not there before.
    begun: RefCell<Vec<Begun>>,
}

impl<'a> Writer<'a> {
    /// Whether and where it is a dry run.
    pub fn dry_run(&self) -> DryRun {
        self.dry_run
    }

    /// Whether the server only checks what is sent.
    pub fn is_dry(&self) -> bool {
        self.dry_run != DryRun::None
    }

    pub fn new(cluster: &'a Cluster, namespace: &'a str, dry_run: DryRun) -> Self {
        Self {
            cluster,
            namespace,
            dry_run,
            begun: RefCell::default(),
        }
    }

    /// Writes objects, all of them at once.
    ///
    /// # Errors
    /// The first refusal; the others have been written or not.
    pub async fn write(&self, objects: Vec<Write<'_>>) -> Result<Vec<Written>> {
        let written = join_all(objects.iter().map(|object| self.write_one(object))).await;
        written.into_iter().collect()
    }

    /// Lets the server check an object, and stores nothing.
    ///
    /// # Errors
    /// Its refusals.
    pub async fn try_out(&self, write: &Write<'_>) -> Result<()> {
        let writing = Writing {
            dry_run: true,
            ..write.writing
        };
        self.cluster
            .apply_document(&write.document, self.namespace, write.before, writing)
            .await
            .map(drop)
    }

    async fn write_one(&self, write: &Write<'_>) -> Result<Written> {
        let writing = Writing {
            dry_run: self.is_dry(),
            ..write.writing
        };
        if write.before.is_none() && !self.is_dry() {
            return self.create(write).await;
        }
        let (outcome, object) = self
            .cluster
            .apply_document(&write.document, self.namespace, write.before, writing)
            .await?;
        Ok(Written { outcome, object })
    }

    /// Creates an object. Once sent it is answered, even if nobody waits for it any more: what cannot be recalled must be
    /// known by its UID to be taken back, since somebody else may make one of the same name.
    async fn create(&self, write: &Write<'_>) -> Result<Written> {
        let (tell, uid) = oneshot::channel();
        self.begun.borrow_mut().push(Begun {
            document: write.document.clone(),
            uid,
        });
        let (cluster, namespace) = (self.cluster.clone(), self.namespace.to_owned());
        let (document, force) = (write.document.clone(), write.writing.force);
        let sent = tokio::spawn(async move {
            let writing = Writing {
                force,
                ..Writing::default()
            };
            let (outcome, object) = cluster
                .apply_document(&document, &namespace, None, writing)
                .await?;
            if let Some(uid) = object["metadata"]["uid"].as_str() {
                // Nobody listens when nothing is to be taken back.
                let _ = tell.send(uid.to_owned());
            }
            Ok(Written { outcome, object })
        });
        sent.await
            .map_err(|error| Error::new("cannot write").caused_by(error.to_string()))?
    }

    /// Runs `work`, and takes back what it has created when it fails or is interrupted.
    ///
    /// # Errors
    /// Those of `work`, with what became of what was made before; [`Kind::Signal`].
    pub async fn all_or_nothing<T>(
        &self,
        interrupt: &Interrupt,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let shield = interrupt.shield();
        let failure = match shield.race(work).await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        if self.is_dry() {
            return Err(failure);
        }
        let begun = self.begun.take();
        let documents: Vec<Value> = begun.iter().map(|begun| begun.document.clone()).collect();
        let taken_back = join_all(begun.into_iter().map(|begun| self.take_back(begun))).await;
        let left: Vec<String> = documents
            .iter()
            .zip(&taken_back)
            .filter(|(_, outcome)| outcome.is_err())
            .map(|(document, _)| documents::reference(document))
            .collect();
        let any = taken_back.iter().any(|outcome| matches!(outcome, Ok(true)));
        Err(after_taking_back(failure, any, &left, self.namespace))
    }

    /// Deletes an object that this run has created, and no other of its name. False where it has created none.
    async fn take_back(&self, begun: Begun) -> Result<bool> {
        let Begun { mut document, uid } = begun;
        let uid = match tokio::time::timeout(ANSWER, uid).await {
            Ok(Ok(uid)) => uid,
            Ok(Err(_refused)) => return Ok(false),
            Err(_late) => return Err(Error::new("no answer yet")),
        };
        document["metadata"]["uid"] = uid.into();
        self.cluster
            .delete_document(&document, self.namespace, false)
            .await
    }
}

/// Whether what a dry run was refused for stops the real one: an object of the same run may be missing yet, and some webhooks
/// cannot be tried.
pub fn matters_when_tried(error: &Error) -> bool {
    error.kind() != Kind::NotFound && !error.causes().iter().any(|cause| cause.contains("dry run"))
}

/// How long the answer to a request is waited for that is to be taken back.
const ANSWER: Duration = Duration::from_secs(10);

/// A failure with what became of what was made before it.
fn after_taking_back(failure: Error, any: bool, left: &[String], namespace: &str) -> Error {
    let is_interrupt = matches!(failure.kind(), Kind::Signal(_));
    if !left.is_empty() {
        let failure = if is_interrupt {
            Error::of(
                failure.kind(),
                "interrupted: not all that was made could be taken back",
            )
        } else {
            failure
        };
        return failure.hint(format!(
            "something of it may be left; remove it: `{}`",
            shell("kubectl delete")
                .args(left)
                .then("--ignore-not-found")
                .in_namespace(namespace)
        ));
    }
    match (is_interrupt, any) {
        (true, true) => Error::of(
            failure.kind(),
            "interrupted: what was made before was taken back",
        ),
        (true, false) => Error::of(failure.kind(), "interrupted: nothing new was made"),
        (false, true) => {
            failure.context("nothing was deployed; what was made before is taken back")
        }
        (false, false) => failure,
    }
}

/// `deployment.apps/web created (dry run)`
pub fn line(reference: &str, outcome: Outcome, dry_run: DryRun) -> String {
    let outcome = match outcome {
        Outcome::Created => "created",
        Outcome::Configured => "configured",
        Outcome::Unchanged => "unchanged",
        Outcome::Deleted => "deleted",
    };
    let dry = match dry_run {
        DryRun::None => "",
        DryRun::Client => " (dry run)",
        DryRun::Server => " (server dry run)",
    };
    format!("{reference} {outcome}{dry}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_became_of_the_rest() {
        let failure = || Error::new("the quota is full").hint("ask for less");
        let back = after_taking_back(failure(), true, &[], "a");
        assert_eq!(
            back.message(),
            "nothing was deployed; what was made before is taken back"
        );
        assert_eq!(back.causes(), ["the quota is full"]);
        let alone = after_taking_back(failure(), false, &[], "a");
        assert_eq!(alone.message(), "the quota is full");
        let left = after_taking_back(failure(), true, &["configmap/web".into()], "a");
        assert_eq!(
            left.hints()[1],
            "something of it may be left; remove it: `kubectl delete configmap/web --ignore-not-found -n a`"
        );
        let interrupted = || Error::of(Kind::Signal(2), "interrupted");
        assert_eq!(
            after_taking_back(interrupted(), false, &[], "a").message(),
            "interrupted: nothing new was made"
        );
        assert_eq!(
            after_taking_back(interrupted(), true, &[], "a").kind(),
            Kind::Signal(2)
        );
    }
}
