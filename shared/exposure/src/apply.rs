//! Writing an exposure: the timer first, what leads to the app last; what a failed run has made is taken back.

use std::cell::{Cell, RefCell};

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;
use serde_json::Value;

use super::claim::Claim;
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
    pub(super) at: Cell<Option<tokio::time::Instant>>,
    /// Whether the way to the app was changed, so that controllers may go on with what it was for a while.
    changed: Cell<bool>,
    /// To the host, where others may want it too.
    pub(super) claim: Cell<Option<Claim>>,
    /// What is to be done by hand, of what was taken back so far.
    pub(super) left: RefCell<Vec<String>>,
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

    pub(super) async fn put<K>(&self, wanted: Option<&K>, present: Option<&K>) -> Result<()>
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

    pub(super) async fn drop_unneeded<K>(&self, unneeded: bool, present: Option<&K>) -> Result<()>
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
    pub(super) async fn drop_rest(&self, resolved: &Resolved) -> Result<()> {
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

/// Whether cert-manager is to act on it no more.
fn loses_issuer<K: Namespaced>(present: &K, wanted: &K) -> bool {
    let has = |object: &K, annotation: &str| object.annotations().contains_key(annotation);
    [CLUSTER_ISSUER, ISSUER]
        .iter()
        .any(|annotation| has(present, annotation) && !has(wanted, annotation))
}

/// How the other objects name the timer, once it runs.
pub(super) async fn timer(
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
