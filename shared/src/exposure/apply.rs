//! Writing an exposure: the timer first, what leads to the app last; what a failed run has made is taken back.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;

use super::claim::Claim;
use super::gateway::{HttpRoute, ListenerSet};
use super::prove::App;
use super::resolve::Resolved;
use super::tls::{CLUSTER_ISSUER, ISSUER};
use crate::apply::{self, DryRun, Outcome, PlannedObject, change_line};
use crate::cli::Shield;
use crate::cluster::{Cluster, Namespaced};
use crate::error::{Error, Kind, Result};
use crate::grant::{self, FOR, Term};
use crate::json;
use crate::output::Format;
use crate::shell::shell;
use crate::ui::Ui;

/// What became of an exposure's objects, as far as writing them has come.
#[derive(Default)]
pub struct Applied {
    lines: RefCell<Vec<String>>,
    at: Cell<Option<tokio::time::Instant>>,
    created: RefCell<Vec<Created>>,
    replaced: RefCell<Vec<Made>>,
    dropped: RefCell<Vec<Made>>,
    changed: Cell<bool>,
    /// To the host, where others may want it too.
    claim: Cell<Option<Claim>>,
    /// What could not be taken back so far.
    left: Cell<Option<String>>,
}

impl Applied {
    /// Objects that somebody else has just written.
    pub fn by_others(has_changed: bool) -> Self {
        let applied = Self::default();
        applied.at.set(Some(tokio::time::Instant::now()));
        applied.changed.set(has_changed);
        applied
    }

    /// A line for each object, as kubectl prints them.
    pub fn lines(&self) -> Vec<String> {
        self.lines.borrow().clone()
    }

    /// When it was written.
    pub(super) fn at(&self) -> Option<tokio::time::Instant> {
        self.at.get()
    }

    /// The claim to a host that was free; whoever takes it goes on with it.
    pub(super) fn take_claim(&self) -> Option<Claim> {
        self.claim.take()
    }

    /// Whether anything was made or changed.
    fn has_written(&self) -> bool {
        !(self.created.borrow().is_empty()
            && self.replaced.borrow().is_empty()
            && self.dropped.borrow().is_empty())
    }

    /// Whether the way to the app was changed, so that controllers may go on with what it was for a while.
    pub(super) fn has_changed(&self) -> bool {
        self.changed.get() || !self.dropped.borrow().is_empty()
    }

    fn begin(&self, kind: Made, is_dry: bool) {
        if !is_dry {
            self.created.borrow_mut().push(Created { kind, uid: None });
        }
    }

    fn replace(&self, kind: Made, is_dry: bool) {
        if !is_dry {
            self.replaced.borrow_mut().push(kind);
        }
    }

    fn finish(&self, kind: Made, uid: Option<String>) {
        if let Some(created) = self
            .created
            .borrow_mut()
            .iter_mut()
            .find(|created| created.kind == kind)
        {
            created.uid = uid;
        }
    }

    fn tell<K: Namespaced>(&self, name: &str, outcome: Outcome, dry_run: DryRun) {
        self.lines
            .borrow_mut()
            .push(change_line::<K>(name, outcome, dry_run));
    }
}

/// An object that this run has begun to make; its UID once the API server has answered.
#[derive(Clone, Debug)]
struct Created {
    kind: Made,
    uid: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    Job,
    Service,
    Policy,
    ListenerSet,
    Ingress,
    Route,
}

impl Made {
    fn plural(self) -> &'static str {
        match self {
            Self::Job => "jobs",
            Self::Service => "services",
            Self::Policy => "networkpolicies",
            Self::ListenerSet => "listenersets",
            Self::Ingress => "ingresses",
            Self::Route => "httproutes",
        }
    }
}

/// The plan's objects, for `--dry-run`. Documents may be applied by other means, which know no timer: what would open the address
/// without an end is not among them, and standard error says so.
///
/// # Errors
/// When they cannot be written as JSON.
pub fn objects(
    ui: &Ui,
    resolved: &Resolved,
    format: Option<Format>,
    dry_run: DryRun,
) -> Result<Vec<PlannedObject>> {
    let mut objects = all_objects(resolved, dry_run)?;
    if resolved.plan.lasts.is_some() && matches!(format, Some(Format::Json | Format::Yaml)) {
        objects.retain(|object| {
            !matches!(
                object.document["kind"].as_str(),
                Some("Ingress" | "HTTPRoute")
            )
        });
        ui.warning(format!(
            "left out: {}, because applied by other means it would never end",
            resolved.object()
        ));
    }
    Ok(objects)
}

fn all_objects(resolved: &Resolved, dry_run: DryRun) -> Result<Vec<PlannedObject>> {
    let Resolved { plan, found, .. } = resolved;
    let mut objects = Vec::new();
    let outcome = |present: bool, same: bool| match (present, same) {
        (false, _) => Outcome::Created,
        (true, true) => Outcome::Unchanged,
        (true, false) => Outcome::Configured,
    };
    let without_owner =
        |object: &mut k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta| {
            object.owner_references = None;
        };
    if let Some(job) = plan.job() {
        objects.push(PlannedObject::new(
            &job,
            outcome(found.job.is_some(), false),
            dry_run,
        )?);
    }
    macro_rules! push {
        ($object:expr, $found:expr) => {
            if let Some(mut object) = $object {
                without_owner(&mut object.metadata);
                let same = match $found {
                    Some(present) => apply::is_as_wanted(present, &object)?,
                    None => false,
                };
                objects.push(PlannedObject::new(
                    &object,
                    outcome($found.is_some(), same),
                    dry_run,
                )?);
            }
        };
    }
    push!(plan.service(None), &found.service);
    push!(plan.policy(None), &found.policy);
    push!(plan.listener_set(None), &found.listener_set);
    push!(plan.ingress(None), &found.ingress);
    push!(plan.route(None), &found.route);
    Ok(objects)
}

/// Writes what the plan says, or, sent dry, lets the API server check it. What this run has made is taken back when it fails
/// or is interrupted. `app` is what the app answers, if it was asked already.
///
/// # Errors
/// What is not ours; the API server's refusals; [`Kind::Signal`].
pub async fn apply(
    cluster: &Cluster,
    resolved: &Resolved,
    app: Option<&App>,
    shield: &Shield,
    dry_run: DryRun,
) -> Result<Applied> {
    let applied = Applied::default();
    let outcome = shield
        .race(async {
            write(cluster, resolved, &applied, app, dry_run).await?;
            if dry_run == DryRun::Server {
                finish(cluster, resolved, &applied, dry_run).await?;
            }
            Ok(())
        })
        .await;
    let Err(error) = outcome else {
        return Ok(applied);
    };
    if dry_run == DryRun::Server {
        return Err(error);
    }
    let left = take_back(cluster, resolved, &applied).await;
    Err(match (left, error.kind()) {
        (Some(left), _) => error.hint(left),
        (None, Kind::Signal(_)) => Error::of(error.kind(), "interrupted: nothing new is exposed"),
        (None, _) => error,
    })
}

/// Writes what the plan says and remembers in `applied` what was made, so that it can be taken back at any moment. A host that
/// others may want too is looked at meanwhile; what came of that is told by [`super::prove`].
///
/// # Errors
/// What is not ours; the API server's refusals.
pub async fn write(
    cluster: &Cluster,
    resolved: &Resolved,
    applied: &Applied,
    app: Option<&App>,
    dry_run: DryRun,
) -> Result<()> {
    let cluster = &cluster.under(super::MANAGER);
    let Resolved { plan, found, .. } = resolved;
    let writing = Writing {
        cluster,
        namespace: &plan.namespace,
        applied,
        dry_run,
    };
    let owner = timer(&writing, resolved).await?;
    let owner = owner.as_ref();
    let (service, policy, listener_set) = (
        plan.service(owner),
        plan.policy(owner),
        plan.listener_set(owner),
    );
    let first = futures::join!(
        writing.put(service.as_ref(), found.service.as_ref(), Made::Service),
        writing.put(policy.as_ref(), found.policy.as_ref(), Made::Policy),
        writing.put(
            listener_set.as_ref(),
            found.listener_set.as_ref(),
            Made::ListenerSet
        ),
    );
    first.0.and(first.1).and(first.2)?;
    let (ingress, route) = (plan.ingress(owner), plan.route(owner));
    let mut way = pin!(async {
        writing
            .put(ingress.as_ref(), found.ingress.as_ref(), Made::Ingress)
            .await?;
        writing
            .put(route.as_ref(), found.route.as_ref(), Made::Route)
            .await
    });
    if resolved.is_contested() && !writing.is_dry() {
        let mut claim = Claim::open(resolved, app).await;
        if claim.lost().is_some() {
            applied.claim.set(Some(claim));
            return Ok(());
        }
        match claim.beside(cluster, resolved, way.as_mut()).await {
            Some(written) => written?,
            None => way.await?,
        }
        applied.claim.set(Some(claim));
    } else {
        way.await?;
    }
    applied.at.set(Some(tokio::time::Instant::now()));
    if resolved.moves() {
        // The address of before answers until the new one is proven.
        return Ok(());
    }
    writing.drop_rest(resolved).await
}

/// Does `work`, such as waiting for an app, and looks meanwhile at its host, where others may want that too. If they have it, what
/// was made is taken back at once, and [`super::prove`] says so.
pub async fn watched<T>(
    cluster: &Cluster,
    resolved: &Resolved,
    applied: &Applied,
    work: impl Future<Output = T>,
) -> T {
    let Some(mut claim) = applied.claim.take() else {
        return work.await;
    };
    let mut work = pin!(work);
    let done = tokio::select! {
        biased;
        done = work.as_mut() => Some(done),
        () = claim.until_lost(cluster, resolved) => None,
    };
    applied.claim.set(Some(claim));
    if let Some(done) = done {
        return done;
    }
    let (left, done) = futures::join!(take_back(cluster, resolved, applied), work);
    applied.left.set(left);
    done
}

/// Deletes what is better there until the new address is proven: the way to the old one, and a timer that is not to be any more,
/// which cannot be put back with the time that was left. The address that answers no more, if there is one.
///
/// # Errors
/// The API server's refusals.
pub async fn finish(
    cluster: &Cluster,
    resolved: &Resolved,
    applied: &Applied,
    dry_run: DryRun,
) -> Result<Option<String>> {
    let writing = Writing {
        cluster: &cluster.under(super::MANAGER),
        namespace: &resolved.plan.namespace,
        applied,
        dry_run,
    };
    let drop_all = async {
        if resolved.moves() {
            writing.drop_rest(resolved).await?;
        }
        let endless = resolved.plan.term == Some(Term::Forever);
        writing
            .drop_unneeded(endless, resolved.found.job.as_ref(), Made::Job)
            .await
    };
    drop_all.await.map_err(|error| {
        error.context(format!(
            "{} is made, but what it takes the place of could not be deleted",
            resolved.plan.url()
        ))
    })?;
    let before = resolved.address_before();
    Ok(before.filter(|before| *before != resolved.plan.url()))
}

/// Puts an address that was there before back to what it was, where this run has changed it. The failure for which it is done,
/// in `Ok` if it was; as it is, in `Err`, where there was no such address or it was not touched.
///
/// # Errors
/// The failure itself.
pub async fn back_to_before(
    cluster: &Cluster,
    resolved: &Resolved,
    applied: &Applied,
    error: Error,
) -> Result<Error> {
    match resolved.address_before() {
        Some(before) if applied.has_written() => {
            Ok(match take_back(cluster, resolved, applied).await {
                None => error.caused_by(format!("the address is as it was before: {before}")),
                Some(left) => error.hint(left),
            })
        }
        _ => Err(error),
    }
}

/// Where and how objects are written.
struct Writing<'a> {
    cluster: &'a Cluster,
    namespace: &'a str,
    applied: &'a Applied,
    dry_run: DryRun,
}

impl Writing<'_> {
    fn is_dry(&self) -> bool {
        self.dry_run == DryRun::Server
    }

    async fn put<K: Namespaced>(
        &self,
        wanted: Option<&K>,
        present: Option<&K>,
        kind: Made,
    ) -> Result<()> {
        let Some(wanted) = wanted else { return Ok(()) };
        let name = wanted.name_any();
        let Some(present) = present else {
            // Remembered before it is sent: an interruption may come before the answer does.
            self.applied.begin(kind, self.is_dry());
            let stored = self
                .cluster
                .create(self.namespace, wanted, self.is_dry())
                .await?;
            self.applied.finish(kind, stored.uid());
            refuse_without_owner(wanted, &stored)?;
            self.applied
                .tell::<K>(&name, Outcome::Created, self.dry_run);
            return Ok(());
        };
        let cleaned = without_unwanted(present, wanted);
        let mut outcome = Outcome::Unchanged;
        if !apply::is_as_wanted(present, wanted)? || cleaned.is_some() {
            self.applied.replace(kind, self.is_dry());
            let stored;
            (outcome, stored) = apply::apply_defaulted(
                self.cluster,
                self.namespace,
                wanted,
                Some(cleaned.as_ref().unwrap_or(present)),
                self.is_dry(),
            )
            .await?;
            refuse_without_owner(wanted, &stored)?;
            // Whose it is and when it ends is nothing to a controller.
            let spec = |object: &K| {
                json::to_value(object)
                    .ok()
                    .map(|object| object["spec"].clone())
            };
            if loses_issuer(present, wanted) || spec(present) != spec(&stored) {
                self.applied.changed.set(true);
            }
        }
        if let Some(cleaned) = cleaned.filter(|_| outcome == Outcome::Unchanged) {
            self.cluster
                .replace(self.namespace, &cleaned, self.is_dry())
                .await?;
            outcome = Outcome::Configured;
        }
        self.applied.tell::<K>(&name, outcome, self.dry_run);
        Ok(())
    }

    /// Deletes what the exposure had and does not need any more.
    async fn drop_rest(&self, resolved: &Resolved) -> Result<()> {
        let Resolved { plan, found, .. } = resolved;
        let (ingress, route) = (plan.ingress(None), plan.route(None));
        let (listeners, service) = (plan.listener_set(None), plan.service(None));
        self.drop_unneeded(ingress.is_none(), found.ingress.as_ref(), Made::Ingress)
            .await?;
        self.drop_unneeded(route.is_none(), found.route.as_ref(), Made::Route)
            .await?;
        self.drop_unneeded(
            resolved.policy_unneeded,
            found.policy.as_ref(),
            Made::Policy,
        )
        .await?;
        self.drop_unneeded(
            listeners.is_none(),
            found.listener_set.as_ref(),
            Made::ListenerSet,
        )
        .await?;
        self.drop_unneeded(service.is_none(), found.service.as_ref(), Made::Service)
            .await
    }

    async fn drop_unneeded<K: Namespaced>(
        &self,
        unneeded: bool,
        present: Option<&K>,
        kind: Made,
    ) -> Result<()> {
        let Some(present) = present.filter(|_| unneeded) else {
            return Ok(());
        };
        let name = present.name_any();
        if !self.is_dry() {
            self.applied.dropped.borrow_mut().push(kind);
        }
        if self
            .cluster
            .delete::<K>(
                self.namespace,
                &name,
                present.uid().as_deref(),
                self.is_dry(),
            )
            .await?
        {
            self.applied
                .tell::<K>(&name, Outcome::Deleted, self.dry_run);
        }
        Ok(())
    }
}

/// Refuses an object that the cluster did not let belong to its timer, and so would never end.
fn refuse_without_owner<K: Namespaced>(wanted: &K, stored: &K) -> Result<()> {
    let mut owners = wanted.owner_references().iter();
    if owners.all(|owner| grant::is_owned_by(stored, &owner.uid)) {
        return Ok(());
    }
    Err(Error::new(format!(
        "{} `{}` does not end with its timer",
        K::kind(&()).to_lowercase(),
        wanted.name_any()
    ))
    .caused_by("something in the cluster took its `metadata.ownerReferences` away")
    .hint("`--forever` is without an end"))
}

/// Whether cert-manager is to act on it no more.
fn loses_issuer<K: Namespaced>(present: &K, wanted: &K) -> bool {
    let has = |object: &K, annotation: &str| object.annotations().contains_key(annotation);
    [CLUSTER_ISSUER, ISSUER]
        .iter()
        .any(|annotation| has(present, annotation) && !has(wanted, annotation))
}

/// The object without annotations that it is not to have any more; nothing where there are none. Those for cert-manager left
/// there, it would write over the Secret that is named instead.
fn without_unwanted<K: Namespaced>(present: &K, wanted: &K) -> Option<K> {
    let mut cleaned = present.clone();
    let mut unwanted = false;
    for annotation in [CLUSTER_ISSUER, ISSUER, FOR] {
        if !wanted.annotations().contains_key(annotation) {
            unwanted |= cleaned.annotations_mut().remove(annotation).is_some();
        }
    }
    unwanted.then_some(cleaned)
}

/// How the other objects name the timer, once it runs.
async fn timer(writing: &Writing<'_>, resolved: &Resolved) -> Result<Option<OwnerReference>> {
    let Writing {
        cluster,
        namespace,
        applied,
        dry_run,
    } = writing;
    let plan = &resolved.plan;
    let present = resolved.timer().filter(|timer| !timer.over);
    let (term, duration) = match (plan.term, &present) {
        (None, None) | (Some(Term::Forever), _) => return Ok(None),
        // It has an end, and nothing was said about it.
        (None, Some(timer)) => return Ok(Some(timer.owner_reference())),
        (Some(Term::For(duration)), _) => (Term::For(duration), duration),
    };
    let Some(timer) = present else {
        let Some(job) = plan.job() else {
            return Ok(None);
        };
        applied.begin(Made::Job, writing.is_dry());
        let job = cluster.create(namespace, &job, writing.is_dry()).await?;
        applied.finish(Made::Job, job.uid());
        applied.tell::<Job>(&plan.name, Outcome::Created, *dry_run);
        if writing.is_dry() {
            return Ok(None);
        }
        return Ok(Some(
            grant::started(cluster, namespace, &job, term)
                .await?
                .owner_reference(),
        ));
    };
    let now = cluster.now();
    let asked = now.checked_add(duration).ok();
    let apart = timer
        .until()
        .zip(asked)
        .map(|(until, asked)| until.duration_since(asked).as_secs().abs());
    // The same command typed again changes nothing.
    let matters = i64::try_from(duration.as_secs() / 100)
        .unwrap_or(i64::MAX)
        .max(1);
    if apart.is_some_and(|apart| apart <= matters) {
        applied.tell::<Job>(&plan.name, Outcome::Unchanged, *dry_run);
        return Ok(Some(timer.owner_reference()));
    }
    applied.replace(Made::Job, writing.is_dry());
    let timer = grant::reset(cluster, namespace, &timer, term, now, writing.is_dry()).await?;
    applied.tell::<Job>(&plan.name, Outcome::Configured, *dry_run);
    Ok(Some(timer.owner_reference()))
}

/// Deletes what a run has made, and nothing else, and puts back what it has changed or deleted; a hint for what could not be.
pub async fn take_back(
    cluster: &Cluster,
    resolved: &Resolved,
    applied: &Applied,
) -> Option<String> {
    let cluster = &cluster.under(super::MANAGER);
    let Resolved { plan, found, .. } = resolved;
    let (namespace, name) = (plan.namespace.as_str(), plan.name.as_str());
    if let Some(left) = applied.left.take() {
        return Some(left);
    }
    let created = applied.created.take();
    let mut before = applied.replaced.take();
    before.extend(applied.dropped.take());
    let put_back = async {
        let was_replaced = |kind| before.contains(&kind);
        let (ingress, route, policy, listeners, service, job) = futures::join!(
            restore(
                cluster,
                namespace,
                found
                    .ingress
                    .as_ref()
                    .filter(|_| was_replaced(Made::Ingress))
            ),
            restore(
                cluster,
                namespace,
                found.route.as_ref().filter(|_| was_replaced(Made::Route))
            ),
            restore(
                cluster,
                namespace,
                found.policy.as_ref().filter(|_| was_replaced(Made::Policy))
            ),
            restore(
                cluster,
                namespace,
                found
                    .listener_set
                    .as_ref()
                    .filter(|_| was_replaced(Made::ListenerSet))
            ),
            restore(
                cluster,
                namespace,
                found
                    .service
                    .as_ref()
                    .filter(|_| was_replaced(Made::Service))
            ),
            restore(
                cluster,
                namespace,
                found.job.as_ref().filter(|_| was_replaced(Made::Job))
            ),
        );
        ingress
            .and(route)
            .and(policy)
            .and(listeners)
            .and(service)
            .and(job)
    };
    let delete = join_all(created.iter().map(async |created| {
        let uid = created.uid.as_deref();
        let deleted = match created.kind {
            Made::Job => delete_own::<Job>(cluster, namespace, name, uid).await,
            Made::Service => delete_own::<Service>(cluster, namespace, name, uid).await,
            Made::Policy => delete_own::<NetworkPolicy>(cluster, namespace, name, uid).await,
            Made::ListenerSet => delete_own::<ListenerSet>(cluster, namespace, name, uid).await,
            Made::Ingress => delete_own::<Ingress>(cluster, namespace, name, uid).await,
            Made::Route => delete_own::<HttpRoute>(cluster, namespace, name, uid).await,
        };
        deleted.err().map(|_| created.kind.plural())
    }));
    let done = tokio::time::timeout(Duration::from_secs(20), async {
        // A timer would take what belongs to it along: first that is its own again.
        let put_back = put_back.await;
        (put_back, delete.await)
    })
    .await;
    let everything: Vec<&str> = created
        .iter()
        .map(|created| created.kind.plural())
        .collect();
    let (put_back, left) = match done {
        Ok((put_back, left)) => (put_back.is_ok(), left.into_iter().flatten().collect()),
        Err(_) => (false, everything),
    };
    match (left.is_empty(), put_back) {
        (true, true) => None,
        (false, _) => Some(format!(
            "something of it may be left; remove it: `{}`",
            shell("kubectl delete")
                .arg(left.join(","))
                .arg(name)
                .then("--ignore-not-found")
                .in_namespace(namespace)
        )),
        (true, false) => Some(format!(
            "the address was changed and could not be changed back; look: `{}`",
            shell("kubectl expose-app list").in_namespace(namespace)
        )),
    }
}

/// Deletes an object that this run has made. Where the answer to its creation was not waited for, there was none of that name
/// before, so one under our label is it.
async fn delete_own<K: Namespaced>(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    uid: Option<&str>,
) -> Result<bool> {
    if uid.is_some() {
        return cluster.delete::<K>(namespace, name, uid, false).await;
    }
    match cluster.find::<K>(namespace, name).await? {
        Some(object) if apply::is_ours(object.meta(), super::MANAGER) => {
            cluster
                .delete::<K>(namespace, name, object.uid().as_deref(), false)
                .await
        }
        _ => Ok(false),
    }
}

/// Makes an object what it was when it was read, unless it is another one meanwhile; makes it anew if it is gone.
async fn restore<K: Namespaced>(
    cluster: &Cluster,
    namespace: &str,
    before: Option<&K>,
) -> Result<()> {
    let Some(before) = before else { return Ok(()) };
    let mut before = before.clone();
    let Some(now) = cluster.find::<K>(namespace, &before.name_any()).await? else {
        let metadata = before.meta_mut();
        metadata.uid = None;
        metadata.resource_version = None;
        metadata.managed_fields = None;
        return cluster.create(namespace, &before, false).await.map(drop);
    };
    if now.uid() != before.uid() {
        return Ok(());
    }
    before.meta_mut().resource_version = now.resource_version();
    cluster.replace(namespace, &before, false).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ingress(annotations: &[(&str, &str)]) -> Ingress {
        let mut ingress = Ingress::default();
        for (key, value) in annotations {
            ingress
                .annotations_mut()
                .insert((*key).to_owned(), (*value).to_owned());
        }
        ingress
    }

    #[test]
    fn an_issuer_that_is_not_wanted_any_more_goes() {
        let present = ingress(&[(CLUSTER_ISSUER, "ca"), ("other", "stays")]);
        let cleaned = without_unwanted(&present, &ingress(&[])).expect("something to clean");
        assert_eq!(cleaned.annotations().keys().collect::<Vec<_>>(), ["other"]);
        let of_namespace =
            without_unwanted(&present, &ingress(&[(ISSUER, "ca")])).expect("the other annotation");
        assert!(!of_namespace.annotations().contains_key(CLUSTER_ISSUER));
        assert!(without_unwanted(&present, &ingress(&[(CLUSTER_ISSUER, "new")])).is_none());
    }
}
