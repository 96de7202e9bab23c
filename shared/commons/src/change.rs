//! What one command writes: all of it or nothing.
//!
//! A [`Change`] is told of every write before it is sent and knows how to undo it: what it has created is deleted by its UID, what it
//! has replaced or deleted is put back. So whatever fails, and whenever somebody presses Ctrl-C, the cluster is as it was
//! before, or the user is told what is not.

mod merge;
mod undo;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{LocalBoxFuture, Shared, join_all};
use kube::ResourceExt;
use serde_json::Value;
use tokio::time::{Instant, timeout, timeout_at};

use crate::apply::{DryRun, Outcome, PlannedObject, change_line, reference, refuse_foreign};
use crate::cli::Shield;
use crate::cluster::documents::{self, Writing};
use crate::cluster::{Cluster, Namespaced};
use crate::error::Result;

pub use undo::Undone;
use undo::{Fate, delete_own, documents_own, is_refusal, make_again, restore, unanswered};

/// How long the answers to requests are waited for that are to be undone.
const ANSWER: Duration = Duration::from_secs(10);

/// How long undoing may take in all.
const UNDOING: Duration = Duration::from_secs(20);

/// Undoes one write.
type Undo = LocalBoxFuture<'static, Result<Fate>>;

/// One write, as it was begun.
struct Step {
    /// `role.rbac.authorization.k8s.io/pg`
    object: String,
    /// Whether there was none of that name before.
    is_new: bool,
    undo: Undo,
}

/// The writes of one command, in one namespace.
pub struct Change {
    cluster: Cluster,
    namespace: String,
    dry_run: DryRun,
    steps: RefCell<Vec<Step>>,
    /// The UIDs of what was written as an owner: an object that somebody has given to another since is no longer this command's.
    owners: Rc<RefCell<BTreeSet<String>>>,
    lines: RefCell<Vec<String>>,
    /// The requests so far; each ends when it is answered.
    sent: RefCell<Vec<LocalBoxFuture<'static, ()>>>,
    /// What was changed, or is being changed, and cannot be put back.
    kept: RefCell<BTreeSet<String>>,
    /// Annotations that go where they are not wanted; those of others stay.
    own_annotations: &'static [&'static str],
}

impl Change {
    /// Nothing so far. With a dry run on the server everything is sent dry, and there is nothing to undo.
    pub fn new(cluster: &Cluster, namespace: &str, dry_run: DryRun) -> Self {
        Self {
            cluster: cluster.clone(),
            namespace: namespace.to_owned(),
            dry_run,
            steps: RefCell::default(),
            owners: Rc::default(),
            lines: RefCell::default(),
            sent: RefCell::default(),
            kept: RefCell::default(),
            own_annotations: &[],
        }
    }

    /// The same, and these annotations go where an object is not to have them any more.
    #[must_use]
    pub fn owning(mut self, annotations: &'static [&'static str]) -> Self {
        self.own_annotations = annotations;
        self
    }

    /// Whether nothing is stored.
    pub fn is_dry(&self) -> bool {
        self.dry_run != DryRun::None
    }

    /// Whether anything was written, or begun to be.
    pub fn has_written(&self) -> bool {
        !self.steps.borrow().is_empty()
    }

    /// A line for each object so far, as kubectl prints them.
    pub fn lines(&self) -> Vec<String> {
        self.lines.borrow().clone()
    }

    /// Makes an object what it is to be, and tells what became of it and how it is stored; `present` is what was read before.
    ///
    /// A new object is created. One of ours that is there gets our fields back as they are to be, whoever changed them, keeps
    /// what others added to its metadata, and is not written at all where nothing differs. What the server answers is compared
    /// with what was sent, but for the `spec`, whose empty fields it fills in.
    ///
    /// # Errors
    /// Those of [`refuse_foreign`]; [`Kind::AlreadyExists`] and [`Kind::Conflict`] when somebody else wrote it first; the API
    /// server's refusals; when the cluster stored something else.
    pub async fn put<K>(&self, wanted: &K, present: Option<&K>) -> Result<(Outcome, K)>
    where
        K: Namespaced + Send + Sync + 'static,
    {
        let owners = wanted.owner_references().iter();
        self.owners
            .borrow_mut()
            .extend(owners.map(|owner| owner.uid.clone()));
        let (outcome, stored) = match present {
            None => (Outcome::Created, self.create(wanted).await?),
            Some(present) => {
                refuse_foreign(Some(present), self.cluster.manager())?;
                match merge::merged(present, wanted, self.own_annotations)? {
                    None => (Outcome::Unchanged, present.clone()),
                    Some(merged) => {
                        let (cluster, namespace, dry) = self.place();
                        let replacing =
                            async move { cluster.replace(&namespace, &merged, dry).await };
                        (Outcome::Configured, self.replace(present, replacing).await?)
                    }
                }
            }
        };
        if outcome != Outcome::Unchanged {
            merge::refuse_rewritten(&stored, wanted)?;
        }
        self.tell::<K>(&wanted.name_any(), outcome);
        Ok((outcome, stored))
    }

    /// Deletes an object that was read before. False where it is gone, or is another one by now.
    ///
    /// # Errors
    /// The API server's refusals.
    pub async fn delete<K>(&self, present: &K) -> Result<bool>
    where
        K: Namespaced + 'static,
    {
        let (cluster, namespace, dry) = self.place();
        let (name, uid) = (present.name_any(), present.uid());
        let deleting = async move {
            cluster
                .delete::<K>(&namespace, &name, uid.as_deref(), dry)
                .await
        };
        let answer = self.send(deleting);
        let (cluster, namespace, _) = self.place();
        let (later, before) = (answer.clone(), present.clone());
        let object = reference::<K>(&present.name_any());
        self.remember(object, false, async move {
            match later.await {
                Ok(false) => Ok(Fate::Unwritten),
                Err(error) if is_refusal(&error) => Ok(Fate::Unwritten),
                _ => make_again(&cluster, &namespace, before).await,
            }
        });
        let deleted = answer.await?;
        if deleted {
            self.tell::<K>(&present.name_any(), Outcome::Deleted);
        }
        Ok(deleted)
    }

    /// Changes an object by other means: `request`, which is answered once it was sent, even if nobody waits for it any more. The
    /// object is put back as it was read before, unless somebody has changed it since.
    ///
    /// # Errors
    /// Those of `request`.
    pub async fn replace<K>(
        &self,
        before: &K,
        request: impl Future<Output = Result<K>> + Send + 'static,
    ) -> Result<K>
    where
        K: Namespaced + Send + Sync + 'static,
    {
        let object = reference::<K>(&before.name_any());
        let (cluster, namespace, _) = self.place();
        let answer = self.send(request);
        let (later, before) = (answer.clone(), before.clone());
        self.remember(object, false, async move {
            match later.await {
                Err(error) if is_refusal(&error) => Ok(Fate::Unwritten),
                stored => restore(&cluster, &namespace, before, stored.ok().as_ref()).await,
            }
        });
        answer.await
    }

    /// Says what became of an object that was written by other means.
    pub fn tell<K: Namespaced>(&self, name: &str, outcome: Outcome) {
        self.lines
            .borrow_mut()
            .push(change_line::<K>(name, outcome, self.dry_run));
    }

    /// Applies a document on the server's side; `before` is what was read. What was there already is not put back: whose fields
    /// were whose cannot be restored.
    ///
    /// # Errors
    /// As [`Cluster::apply_document`].
    pub async fn apply_document(
        &self,
        document: &Value,
        before: Option<&Value>,
        writing: Writing<'_>,
    ) -> Result<(Outcome, Value)> {
        let (cluster, namespace, dry_run) = self.place();
        let writing = Writing { dry_run, ..writing };
        let object = documents::reference(document);
        if before.is_some() || self.is_dry() {
            // Whoever interrupts does not know whether it was.
            if !self.is_dry() {
                self.kept.borrow_mut().insert(object.clone());
            }
            let applied = cluster
                .apply_document(document, &namespace, before, writing)
                .await;
            let is_as_before = match &applied {
                Ok((outcome, _)) => *outcome != Outcome::Configured,
                Err(error) => is_refusal(error),
            };
            if is_as_before {
                self.kept.borrow_mut().remove(&object);
            }
            return applied;
        }
        let (sent, force) = (document.clone(), writing.force);
        let create = async move {
            let writing = Writing {
                force,
                ..Writing::default()
            };
            let applying = cluster.apply_document(&sent, &namespace, None, writing);
            applying.await.map(|(_, stored)| stored)
        };
        let wanted = document.clone();
        let undo = |cluster: Cluster, namespace: String, stored: Result<Value>| async move {
            let stored = match stored {
                Ok(stored) => Some(stored),
                Err(_) => documents_own(&cluster, &namespace, &wanted).await?,
            };
            let Some(stored) = stored else {
                return Ok(Fate::Unwritten);
            };
            let deleting = cluster.delete_document(&stored, &namespace, false);
            deleting.await.map(|_| Fate::Undone)
        };
        let stored = self.begin(object, create, undo).await?;
        Ok((Outcome::Created, stored))
    }

    /// Deletes the object of a document; it is not put back.
    ///
    /// # Errors
    /// As [`Cluster::delete_document`].
    pub async fn delete_document(&self, document: &Value) -> Result<bool> {
        let object = documents::reference(document);
        if !self.is_dry() {
            self.kept.borrow_mut().insert(object.clone());
        }
        let (cluster, namespace, dry) = self.place();
        let deleted = cluster.delete_document(document, &namespace, dry).await;
        if matches!(deleted, Ok(false)) || deleted.as_ref().is_err_and(is_refusal) {
            self.kept.borrow_mut().remove(&object);
        }
        deleted
    }

    async fn create<K>(&self, wanted: &K) -> Result<K>
    where
        K: Namespaced + Send + Sync + 'static,
    {
        let (cluster, namespace, dry) = self.place();
        if dry {
            return cluster.create(&namespace, wanted, true).await;
        }
        let object = wanted.clone();
        let create = async move { cluster.create(&namespace, &object, false).await };
        let name = wanted.name_any();
        let (owners, wanted) = (self.owners.clone(), wanted.clone());
        let undo = move |cluster, namespace: String, stored: Result<K>| async move {
            let (stored, owners) = (stored.ok(), owners.borrow().clone());
            delete_own(&cluster, &namespace, &wanted, stored.as_ref(), &owners).await
        };
        let stored = self.begin(reference::<K>(&name), create, undo).await?;
        self.owners.borrow_mut().extend(stored.uid());
        Ok(stored)
    }

    /// Creates an object; undone by its UID, since somebody else may make one of the same name.
    async fn begin<T, U>(
        &self,
        object: String,
        create: impl Future<Output = Result<T>> + Send + 'static,
        undo: impl FnOnce(Cluster, String, Result<T>) -> U + 'static,
    ) -> Result<T>
    where
        T: Clone + Send + Sync + 'static,
        U: Future<Output = Result<Fate>>,
    {
        let answer = self.send(create);
        let (cluster, namespace, _) = self.place();
        let later = answer.clone();
        self.remember(object, true, async move {
            match later.await {
                Err(error) if is_refusal(&error) => Ok(Fate::Unwritten),
                // A server that fails may have stored it all the same.
                stored => undo(cluster, namespace, stored).await,
            }
        });
        answer.await
    }

    /// Sends a request on a task of its own: what cannot be recalled is answered, even if nobody waits for it any more, so that it
    /// is known what is to be undone.
    fn send<T>(
        &self,
        request: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Shared<LocalBoxFuture<'static, Result<T>>>
    where
        T: Clone + Send + Sync + 'static,
    {
        let answer = tokio::spawn(request)
            .map(|answer| answer.unwrap_or_else(|error| Err(unanswered(&error))))
            .boxed_local()
            .shared();
        let answered = answer.clone().map(drop).boxed_local();
        self.sent.borrow_mut().push(answered);
        answer
    }

    fn place(&self) -> (Cluster, String, bool) {
        (self.cluster.clone(), self.namespace.clone(), self.is_dry())
    }

    /// Remembers how a write is undone. What was new in the beginning goes, whatever it was meanwhile; what was not is put back to
    /// the first that was read.
    fn remember(
        &self,
        object: String,
        is_new: bool,
        undo: impl Future<Output = Result<Fate>> + 'static,
    ) {
        let mut steps = self.steps.borrow_mut();
        if self.is_dry() || steps.iter().any(|step| step.object == object) {
            return;
        }
        steps.push(Step {
            object,
            is_new,
            undo: undo.boxed_local(),
        });
    }

    /// Does `work`, and undoes what it has written when it fails or is interrupted.
    ///
    /// # Errors
    /// Those of `work`, with what became of what was written before; [`Kind::Signal`].
    pub async fn all_or_nothing<T>(
        &self,
        shield: &Shield,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        match shield.race(work).await {
            Ok(done) => Ok(done),
            Err(failure) if self.is_dry() => Err(failure),
            Err(failure) => Err(self.undo().await.explain(failure)),
        }
    }

    /// Undoes what was written so far, and forgets it: first what was there before is put back, since an owner that goes would take
    /// along what belongs to it.
    pub async fn undo(&self) -> Undone {
        let (new, old): (Vec<Step>, Vec<Step>) =
            self.steps.take().into_iter().partition(|step| step.is_new);
        let deadline = Instant::now() + UNDOING;
        // What has no answer yet by then is left for the user.
        let _ = timeout(ANSWER, join_all(self.sent.take())).await;
        let mut undone = Undone {
            kept: self.kept.take(),
            namespace: self.namespace.clone(),
            ..Undone::default()
        };
        for step in undo_all(old, deadline).await {
            undone.count(step, false);
        }
        for step in undo_all(new, deadline).await {
            undone.count(step, true);
        }
        undone
    }
}

/// An object as `--dry-run` prints it, with what would become of it beside the one that is there.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn planned<K: Namespaced>(
    wanted: &K,
    present: Option<&K>,
    dry_run: DryRun,
) -> Result<PlannedObject> {
    let outcome = match present {
        None => Outcome::Created,
        Some(present) if merge::is_as_wanted(present, wanted)? => Outcome::Unchanged,
        Some(_) => Outcome::Configured,
    };
    PlannedObject::new(wanted, outcome, dry_run)
}

async fn undo_all(steps: Vec<Step>, deadline: Instant) -> Vec<(String, Result<Fate>)> {
    let undoing = steps.into_iter().map(|step| async move {
        let fate = timeout_at(deadline, step.undo).await;
        let fate = fate.unwrap_or_else(|late| Err(unanswered(&late)));
        (step.object, fate)
    });
    join_all(undoing).await
}
