//! Writing an exposure: the timer first, what leads to the app last; what a failed run has made is taken back.

use std::cell::{Cell, RefCell};
use std::pin::pin;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;
use serde_json::Value;

use super::claim::Claim;
use super::prove::AnsweringApp;
use super::resolve::Resolved;
use super::tls::{CLUSTER_ISSUER, ISSUER};
use commons::apply::{DryRun, Outcome, PlannedObject};
use commons::change::{self, Change};
use commons::cluster::{Cluster, Namespaced};
use commons::error::{Error, Result};
use commons::grant::{self, FOR, Term};
use commons::output::Format;
use commons::ui::Ui;

/// An exposure as far as it is written.
pub struct Applied {
    pub(super) change: Change,
    at: Cell<Option<tokio::time::Instant>>,
    /// Whether the way to the app was changed, so that controllers may go on with what it was for a while.
    changed: Cell<bool>,
    /// To the host, where others may want it too.
    claim: Cell<Option<Claim>>,
    /// What is to be done by hand, of what was taken back so far.
    left: RefCell<Vec<String>>,
}

impl Applied {
    /// Nothing so far.
    pub(super) fn new(cluster: &Cluster, namespace: &str, dry_run: DryRun) -> Self {
        let change = Change::new(&cluster.under(super::MANAGER), namespace, dry_run);
        Self {
            change: change.owning(&[CLUSTER_ISSUER, ISSUER, FOR]),
            at: Cell::default(),
            changed: Cell::default(),
            claim: Cell::default(),
            left: RefCell::default(),
        }
    }

    /// Objects that somebody else has just written.
    pub fn by_others(cluster: &Cluster, namespace: &str, has_changed: bool) -> Self {
        let applied = Self::new(cluster, namespace, DryRun::None);
        applied.at.set(Some(tokio::time::Instant::now()));
        applied.changed.set(has_changed);
        applied
    }

    /// A line for each object, as kubectl prints them.
    pub(super) fn lines(&self) -> Vec<String> {
        self.change.lines()
    }

    /// When it was written.
    pub(super) fn at(&self) -> Option<tokio::time::Instant> {
        self.at.get()
    }

    /// The claim to a host that was free; whoever takes it goes on with it.
    pub(super) fn take_claim(&self) -> Option<Claim> {
        self.claim.take()
    }

    pub(super) fn has_changed(&self) -> bool {
        self.changed.get()
    }

    /// Undoes what this run has written; hints for what could not be undone.
    pub(super) async fn take_back(&self) -> Vec<String> {
        let mut left = self.left.take();
        left.extend(self.change.undo().await.hints());
        left
    }

    async fn put<K>(&self, wanted: Option<&K>, present: Option<&K>) -> Result<()>
    where
        K: Namespaced + Send + Sync + 'static,
    {
        let Some(wanted) = wanted else { return Ok(()) };
        let (_, stored) = self.change.put(wanted, present).await?;
        if let Some(present) = present
            && (loses_issuer(present, wanted) || spec(present)? != spec(&stored)?)
        {
            // Whose it is and when it ends is nothing to a controller.
            self.changed.set(true);
        }
        Ok(())
    }

    async fn drop_unneeded<K>(&self, unneeded: bool, present: Option<&K>) -> Result<()>
    where
        K: Namespaced + 'static,
    {
        if let Some(present) = present.filter(|_| unneeded) {
            self.changed.set(true);
            self.change.delete(present).await?;
        }
        Ok(())
    }

    /// Deletes what the exposure had and does not need any more.
    async fn drop_rest(&self, resolved: &Resolved) -> Result<()> {
        let Resolved { plan, found, .. } = resolved;
        self.drop_unneeded(plan.ingress(None).is_none(), found.ingress.as_ref())
            .await?;
        self.drop_unneeded(plan.route(None).is_none(), found.route.as_ref())
            .await?;
        self.drop_unneeded(resolved.policy_unneeded, found.policy.as_ref())
            .await?;
        self.drop_unneeded(
            plan.listener_set(None).is_none(),
            found.listener_set.as_ref(),
        )
        .await?;
        self.drop_unneeded(plan.service(None).is_none(), found.service.as_ref())
            .await
    }
}

fn spec<K: Namespaced>(object: &K) -> Result<Value> {
    serde_json::to_value(object)
        .map(|mut object| object["spec"].take())
        .map_err(|error| Error::new("cannot write JSON").caused_by(error.to_string()))
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
            "{} is left out: applied by kubectl it would never end",
            resolved.object()
        ));
    }
    Ok(objects)
}

fn all_objects(resolved: &Resolved, dry_run: DryRun) -> Result<Vec<PlannedObject>> {
    let Resolved { plan, found, .. } = resolved;
    let mut objects = Vec::new();
    if let Some(job) = plan.job() {
        // Its end is another one each time.
        let outcome = match found.job {
            Some(_) => Outcome::Configured,
            None => Outcome::Created,
        };
        objects.push(PlannedObject::new(&job, outcome, dry_run)?);
    }
    objects.extend(planned(
        plan.service(None),
        found.service.as_ref(),
        dry_run,
    )?);
    objects.extend(planned(plan.policy(None), found.policy.as_ref(), dry_run)?);
    let listener_set = plan.listener_set(None);
    objects.extend(planned(listener_set, found.listener_set.as_ref(), dry_run)?);
    objects.extend(planned(
        plan.ingress(None),
        found.ingress.as_ref(),
        dry_run,
    )?);
    objects.extend(planned(plan.route(None), found.route.as_ref(), dry_run)?);
    Ok(objects)
}

/// An object of the plan, whose owner is not there yet.
fn planned<K: Namespaced>(
    wanted: Option<K>,
    present: Option<&K>,
    dry_run: DryRun,
) -> Result<Option<PlannedObject>> {
    wanted
        .map(|mut wanted| {
            wanted.meta_mut().owner_references = None;
            change::planned(&wanted, present, dry_run)
        })
        .transpose()
}

/// Writes what the plan says and remembers in `applied` what was made, so that it can be taken back at any moment. A host that
/// others may want too is looked at meanwhile; what came of that is told by [`super::prove`].
///
/// # Errors
/// What is not ours; the API server's refusals.
pub(super) async fn write(
    cluster: &Cluster,
    resolved: &Resolved,
    applied: &Applied,
    app: Option<&AnsweringApp>,
) -> Result<()> {
    let cluster = &cluster.under(super::MANAGER);
    let Resolved { plan, found, .. } = resolved;
    let owner = timer(cluster, &applied.change, resolved).await?;
    let owner = owner.as_ref();
    let (service, policy, listener_set) = (
        plan.service(owner),
        plan.policy(owner),
        plan.listener_set(owner),
    );
    let first = futures::join!(
        applied.put(service.as_ref(), found.service.as_ref()),
        applied.put(policy.as_ref(), found.policy.as_ref()),
        applied.put(listener_set.as_ref(), found.listener_set.as_ref()),
    );
    first.0.and(first.1).and(first.2)?;
    let (ingress, route) = (plan.ingress(owner), plan.route(owner));
    let mut writing = pin!(async {
        applied
            .put(ingress.as_ref(), found.ingress.as_ref())
            .await?;
        applied.put(route.as_ref(), found.route.as_ref()).await
    });
    if resolved.is_contested() && !applied.change.is_dry() {
        let mut claim = Claim::open(resolved, app).await;
        if claim.lost().is_some() {
            applied.claim.set(Some(claim));
            return Ok(());
        }
        match claim.beside(cluster, resolved, writing.as_mut()).await {
            Some(written) => written?,
            None => writing.await?,
        }
        applied.claim.set(Some(claim));
    } else {
        writing.await?;
    }
    applied.at.set(Some(tokio::time::Instant::now()));
    if resolved.moves() {
        // The address of before answers until the new one is proven.
        return Ok(());
    }
    applied.drop_rest(resolved).await
}

/// Does `work`, such as waiting for an app, and looks meanwhile at its host, where others may want that too. If they have it, what
/// was made is taken back at once, and [`super::prove`] says so.
pub(super) async fn watched<T>(
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
    let (left, done) = futures::join!(applied.take_back(), work);
    applied.left.replace(left);
    done
}

/// Deletes what is better there until the new address is proven: the way to the old one, and a timer that is not to be any more,
/// which cannot be put back with the time that was left. The address that answers no more, if there is one.
///
/// # Errors
/// The API server's refusals.
pub(super) async fn finish(resolved: &Resolved, applied: &Applied) -> Result<Option<String>> {
    let drop_all = async {
        if resolved.moves() {
            applied.drop_rest(resolved).await?;
        }
        let endless = resolved.plan.term == Some(Term::Forever);
        applied
            .drop_unneeded(endless, resolved.found.job.as_ref())
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

/// Whether cert-manager is to act on it no more.
fn loses_issuer<K: Namespaced>(present: &K, wanted: &K) -> bool {
    let has = |object: &K, annotation: &str| object.annotations().contains_key(annotation);
    [CLUSTER_ISSUER, ISSUER]
        .iter()
        .any(|annotation| has(present, annotation) && !has(wanted, annotation))
}

/// How the other objects name the timer, once it runs.
async fn timer(
    cluster: &Cluster,
    change: &Change,
    resolved: &Resolved,
) -> Result<Option<OwnerReference>> {
    let Resolved { plan, found, .. } = resolved;
    let present = resolved.timer().filter(|timer| !timer.over);
    let (term, duration) = match (plan.term, &present) {
        (None, None) | (Some(Term::Forever), _) => return Ok(None),
        // It has an end, and nothing was said about it.
        (None, Some(timer)) => return Ok(Some(timer.owner_reference())),
        (Some(Term::For(duration)), _) => (Term::For(duration), duration),
    };
    let Some((timer, job)) = present.zip(found.job.as_ref()) else {
        let Some(job) = plan.job() else {
            return Ok(None);
        };
        let (_, job) = change.put(&job, None).await?;
        if change.is_dry() {
            return Ok(None);
        }
        let timer = grant::started(cluster, &plan.namespace, &job, term).await?;
        return Ok(Some(timer.owner_reference()));
    };
    let now = cluster.now();
    let asked = now.checked_add(duration).ok();
    let apart = timer
        .until()
        .zip(asked)
        .map(|(until, asked)| until.duration_since(asked).as_secs().abs());
    if apart.is_some_and(|apart| apart <= grant::tolerance(duration)) {
        change.tell::<Job>(&plan.name, Outcome::Unchanged);
        return Ok(Some(timer.owner_reference()));
    }
    let timer = grant::reset(cluster, change, job, term, now).await?;
    change.tell::<Job>(&plan.name, Outcome::Configured);
    Ok(Some(timer.owner_reference()))
}
