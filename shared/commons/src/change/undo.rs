//! What undoing a write takes, and what is said of it.

use std::collections::BTreeSet;

use kube::ResourceExt;
use serde_json::Value;

use super::merge::{self, is_as_wanted};
use crate::cluster::documents;
use crate::cluster::{Cluster, Namespaced};
use crate::error::{Error, Kind, Result};
use crate::shell::shell;

/// What is said where everything was undone.
const ROLLED_BACK: &str = "nothing was changed: all writes were rolled back";

/// What became of one write that was to be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was refused, or has changed nothing.
    Unwritten,
    /// Nothing of it is left: this command has undone it, or another client has deleted or replaced it.
    Undone,
    /// Another client has taken the object over: it stays.
    Kept,
}

/// What became of what was undone.
#[derive(Clone, Debug, Default)]
pub struct Undone {
    /// Whether anything had been written.
    pub(super) any: bool,
    /// What was made and may still be there: `role.rbac.authorization.k8s.io/pg`.
    pub(super) left: Vec<String>,
    /// What was changed and could not be put back.
    pub(super) changed: Vec<String>,
    /// What may have been changed and is never put back.
    pub(super) kept: BTreeSet<String>,
    /// Hints about what was undone by other means.
    pub(super) more: Vec<String>,
    pub(super) namespace: String,
}

impl Undone {
    /// Adds what became of one write.
    pub(super) fn count(&mut self, (object, fate): (String, Result<Fate>), is_new: bool) {
        match fate {
            Ok(Fate::Unwritten) => {}
            Ok(Fate::Undone) => self.any = true,
            Ok(Fate::Kept) => {
                self.kept.insert(object);
            }
            Err(error) if is_new && error.kind() != Kind::Conflict => self.left.push(object),
            Err(_) => self.changed.push(object),
        }
    }

    /// The same, with what else is to be done by hand.
    #[must_use]
    pub fn and(mut self, hints: Vec<String>) -> Self {
        self.more.extend(hints);
        self
    }

    /// What the user has to do by hand; none where all is as it was.
    pub fn hints(&self) -> Vec<String> {
        let mut hints = Vec::new();
        if !self.left.is_empty() {
            let delete = shell("kubectl delete")
                .args(&self.left)
                .then("--ignore-not-found");
            hints.push(format!(
                "something of it may be left; remove it: `{}`",
                delete.in_namespace(&self.namespace)
            ));
        }
        if !self.changed.is_empty() {
            let look = shell("kubectl get").args(&self.changed).then("-o yaml");
            hints.push(format!(
                "something could not be put back as it was; look: `{}`",
                look.in_namespace(&self.namespace)
            ));
        }
        hints.extend(self.more.iter().cloned());
        hints
    }

    /// A failure with what became of what was written before it.
    pub fn explain(&self, failure: Error) -> Error {
        let hints = self.hints();
        let is_interrupt = matches!(failure.kind(), Kind::Signal(_));
        let is_as_before = hints.is_empty() && self.kept.is_empty();
        let failure = match (is_interrupt, is_as_before) {
            (true, true) => Error::of(failure.kind(), "interrupted: nothing was changed"),
            (true, false) => Error::of(
                failure.kind(),
                "interrupted: not everything could be rolled back",
            ),
            (false, true) if self.any => failure.note(ROLLED_BACK),
            (false, _) => failure,
        };
        if self.kept.is_empty() {
            return failure.hints_from(hints);
        }
        let kept: Vec<&str> = self.kept.iter().map(String::as_str).collect();
        failure
            .note(format!("not rolled back: {}", kept.join(", ")))
            .hints_from(hints)
    }
}

/// Deletes an object that was made by this command, unless somebody has given it to an owner of theirs since. `made` is how it was
/// stored, if that was answered.
pub(super) async fn delete_own<K: Namespaced>(
    cluster: &Cluster,
    namespace: &str,
    wanted: &K,
    made: Option<&K>,
    owners: &BTreeSet<String>,
) -> Result<Fate> {
    let name = wanted.name_any();
    let is_made = |there: &K| match made {
        Some(made) => there.uid() == made.uid(),
        // There was none before.
        None => is_as_wanted(there, wanted).unwrap_or_default(),
    };
    let there = cluster.find::<K>(namespace, &name).await?;
    let Some(there) = there.filter(is_made) else {
        return Ok(gone(made));
    };
    let mut of = there.owner_references().iter();
    if !of.all(|owner| owners.contains(&owner.uid)) {
        return Ok(Fate::Kept);
    }
    cluster
        .delete::<K>(namespace, &name, there.uid().as_deref(), false)
        .await?;
    // A right is there as long as its objects are.
    if there.finalizers().is_empty() || K::group(&()) != "rbac.authorization.k8s.io" {
        return Ok(Fate::Undone);
    }
    Err(Error::of(Kind::Conflict, "something holds it back"))
}

/// What is said of a write whose object is not there (any more): without an answer, none may have been made.
pub(super) fn gone<T>(stored: Option<&T>) -> Fate {
    stored.map_or(Fate::Unwritten, |_| Fate::Undone)
}

/// The object that a document names, if this command's manager is among those that have written it. There was none before.
pub(super) async fn documents_own(
    cluster: &Cluster,
    namespace: &str,
    document: &Value,
) -> Result<Option<Value>> {
    let is_own = |there: &Value| {
        let managers = there["metadata"]["managedFields"].as_array();
        let mut managers = managers.into_iter().flatten();
        managers.any(|entry| entry["manager"] == cluster.manager())
            && documents::says_already(there, document)
    };
    Ok(cluster
        .get_document(document, namespace)
        .await?
        .filter(is_own))
}

/// Makes an object what it was when it was read, unless it is another one meanwhile. `stored` is how this command has left it, if
/// that was answered; what somebody has changed since stays.
pub(super) async fn restore<K: Namespaced>(
    cluster: &Cluster,
    namespace: &str,
    mut before: K,
    stored: Option<&K>,
) -> Result<Fate> {
    let now = cluster.find::<K>(namespace, &before.name_any()).await?;
    let Some(now) = now.filter(|now| now.uid() == before.uid()) else {
        return Ok(gone(stored));
    };
    if merge::refuse_changed(&now, &before).is_ok() {
        return Ok(Fate::Unwritten);
    }
    let is_as_left = stored.is_some_and(|stored| merge::refuse_changed(&now, stored).is_ok());
    if !is_as_left || now.meta().deletion_timestamp.is_some() {
        return Err(Error::of(Kind::Conflict, "another client has changed it"));
    }
    before.meta_mut().resource_version = now.resource_version();
    let stored = cluster.replace(namespace, &before, false).await?;
    merge::refuse_changed(&stored, &before).map(|()| Fate::Undone)
}

/// Makes an object anew that was deleted, unless there is another one meanwhile.
pub(super) async fn make_again<K: Namespaced>(
    cluster: &Cluster,
    namespace: &str,
    mut before: K,
) -> Result<Fate> {
    match cluster.find::<K>(namespace, &before.name_any()).await? {
        Some(now) if now.uid() != before.uid() => Ok(Fate::Kept),
        Some(now) if now.meta().deletion_timestamp.is_none() => Ok(Fate::Unwritten),
        Some(_) => Err(Error::of(Kind::Conflict, "it is being deleted")),
        None => {
            let metadata = before.meta_mut();
            metadata.uid = None;
            metadata.resource_version = None;
            metadata.managed_fields = None;
            let stored = cluster.create(namespace, &before, false).await?;
            merge::refuse_changed(&stored, &before).map(|()| Fate::Undone)
        }
    }
}

/// Whether the API server has surely not done what it was asked.
pub(super) fn is_refusal(error: &Error) -> bool {
    matches!(
        error.kind(),
        Kind::Unauthorized
            | Kind::Forbidden
            | Kind::NotFound
            | Kind::AlreadyExists
            | Kind::Conflict
    )
}

pub(super) fn unanswered(error: &impl std::fmt::Display) -> Error {
    Error::new("there is no answer to what was sent").caused_by(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is undone, the failure, and what is said then: message, notes and hints.
    type Case<'a> = (Undone, Error, &'a str, &'a [&'a str], &'a [&'a str]);

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn a_failure_says_what_became_of_the_rest() {
        let names = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| (*name).to_owned()).collect()
        };
        let undone = |any, left: &[&str], changed: &[&str], kept: &[&str]| Undone {
            any,
            left: names(left),
            changed: names(changed),
            kept: names(kept).into_iter().collect(),
            more: Vec::new(),
            namespace: "a".into(),
        };
        let failure = || Error::new("the quota is full");
        let signal = || Error::of(Kind::Signal(2), "");
        let remove = "something of it may be left; remove it: `kubectl delete configmap/web --ignore-not-found -n a`";
        let look = "something could not be put back as it was; look: `kubectl get job.batch/web -o yaml -n a`";
        let cases: [Case<'_>; 8] = [
            (
                undone(false, &[], &[], &[]),
                failure(),
                "the quota is full",
                &[],
                &[],
            ),
            (
                undone(true, &[], &[], &[]),
                failure(),
                "the quota is full",
                &[ROLLED_BACK],
                &[],
            ),
            (
                undone(true, &["configmap/web"], &[], &[]),
                failure(),
                "the quota is full",
                &[],
                &[remove],
            ),
            (
                undone(true, &[], &["job.batch/web"], &[]),
                failure(),
                "the quota is full",
                &[],
                &[look],
            ),
            (
                undone(true, &[], &[], &["configmap/web", "secret/web"]),
                failure(),
                "the quota is full",
                &["not rolled back: configmap/web, secret/web"],
                &[],
            ),
            (
                undone(true, &[], &[], &[]),
                signal(),
                "interrupted: nothing was changed",
                &[],
                &[],
            ),
            (
                undone(true, &["configmap/web"], &[], &[]),
                signal(),
                "interrupted: not everything could be rolled back",
                &[],
                &[remove],
            ),
            (
                undone(false, &[], &[], &["configmap/web"]),
                signal(),
                "interrupted: not everything could be rolled back",
                &["not rolled back: configmap/web"],
                &[],
            ),
        ];
        for (undone, failure, message, notes, hints) in cases {
            let kind = failure.kind();
            let said = undone.explain(failure);
            let told: Vec<String> = said.hints().iter().map(ToString::to_string).collect();
            assert_eq!((said.message(), said.kind()), (message, kind));
            assert_eq!(said.notes().collect::<Vec<_>>(), notes, "{message}");
            assert_eq!(told, hints, "{message}");
        }
        let more = undone(true, &[], &[], &[]).and(vec!["close it".into()]);
        assert!(more.explain(failure()).notes().next().is_none());
    }

    #[test]
    fn each_write_is_counted_by_what_became_of_it() {
        let conflict = || Err(Error::of(Kind::Conflict, "another client has changed it"));
        let unreachable = || Err(Error::of(Kind::Unreachable, "no answer"));
        // What became of it, whether it was new, and whether something was written, left, changed, kept.
        for (fate, is_new, counted) in [
            (Ok(Fate::Unwritten), true, [false; 4]),
            (Ok(Fate::Undone), false, [true, false, false, false]),
            (Ok(Fate::Kept), true, [false, false, false, true]),
            (unreachable(), true, [false, true, false, false]),
            (unreachable(), false, [false, false, true, false]),
            (conflict(), true, [false, false, true, false]),
        ] {
            let case = format!("{fate:?}, {is_new}");
            let mut undone = Undone::default();
            undone.count(("role/pg".into(), fate), is_new);
            let is_counted = [
                undone.any,
                !undone.left.is_empty(),
                !undone.changed.is_empty(),
                !undone.kept.is_empty(),
            ];
            assert_eq!(is_counted, counted, "{case}");
        }
    }

    #[test]
    fn only_a_refusal_is_surely_no_write() {
        for (kind, surely) in [
            (Kind::Forbidden, true),
            (Kind::Conflict, true),
            (Kind::AlreadyExists, true),
            (Kind::NotFound, true),
            (Kind::Unauthorized, true),
            (Kind::Failed, false),
            (Kind::Unreachable, false),
        ] {
            assert_eq!(is_refusal(&Error::of(kind, "")), surely, "{kind:?}");
        }
    }
}
