//! Making shares: all of them or none.

use commons::apply::{DryRun, Outcome};
use commons::change::Change;
use commons::cli::Shield;
use commons::grant::{self, Timer};
use commons::{Cluster, Error, Kind, Result};
use database::{Database, Trust, trusts_local};
use futures::future::{OptionFuture, join_all};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;

use crate::existing::{Existing, Step};
use crate::listed::{Held, Share, Trace, is_elsewhere};
use crate::verify::{self, Asked, Besides};

/// What is to be shared, and what there is of it.
pub struct ResolvedShare {
    pub database: Database,
    /// Whether the database lets in whoever comes through a tunnel, once it was tried; not in a dry run.
    pub trust: tokio::sync::OnceCell<Trust>,
    /// What people call the owner, for the colleague who asks for more time.
    pub owner: String,
    /// The Secrets with the database's own password.
    pub secrets: Vec<String>,
    /// Groups to which something is given in this namespace.
    pub groups: Vec<String>,
    pub shares: Vec<Existing>,
}

/// A share as it is after the command.
pub struct Made {
    pub share: Share,
    pub step: Step,
    /// When it ended before this.
    pub before: Option<Timestamp>,
    /// What else the colleague may do.
    pub besides: Besides,
}

/// Makes all shares or none: what a failed or interrupted run has written is undone. With a line for each object, sorted.
///
/// # Errors
/// Of the API server; what could not be undone is named in a hint.
pub async fn all(
    cluster: &Cluster,
    resolved: &ResolvedShare,
    shield: &Shield,
    dry_run: DryRun,
) -> Result<(Vec<Made>, Vec<String>)> {
    let change = Change::new(cluster, &resolved.database.namespace, dry_run);
    let making = resolved
        .shares
        .iter()
        .map(|existing| one(cluster, resolved, existing, &change));
    let making = async { join_all(making).await.into_iter().collect() };
    let made = change.all_or_nothing(shield, making).await?;
    let mut lines = change.lines();
    lines.sort();
    Ok((made, lines))
}

/// What ends the share: its timer, running, and its Role, which goes with it.
async fn ending(
    cluster: &Cluster,
    database: &Database,
    existing: &Existing,
    change: &Change,
) -> Result<(Option<Timer>, Role)> {
    let Existing { plan, step, .. } = existing;
    let namespace = &database.namespace;
    let role = async |owner: Option<OwnerReference>, there: Option<&Role>| {
        let role = plan.role(database, owner.as_ref());
        change.put(&role, there).await.map(|(_, stored)| stored)
    };
    let there = existing.role.as_ref();
    let timer = match (step, &existing.job) {
        (Step::Extend, Some(job)) => {
            let now = cluster.now();
            let timer = grant::reset(cluster, change, job, plan.term, now).await?;
            change.tell::<Job>(&timer.name, Outcome::Configured);
            Some(timer)
        }
        (Step::Keep, _) => {
            let timer = existing.timer.clone();
            if let Some(timer) = &timer {
                change.tell::<Job>(&timer.name, Outcome::Unchanged);
            }
            timer
        }
        _ => {
            let (_, job) = change.put(&plan.job(), None).await?;
            let owner = Timer::of(&job).owner_reference();
            // A Role alone gives nothing to anybody, so it need not wait until the timer runs.
            let running = async {
                if change.is_dry() {
                    return Ok(Timer::of(&job));
                }
                grant::started(cluster, namespace, &job, plan.term).await
            };
            let (timer, role) = futures::try_join!(running, role(Some(owner), there))?;
            return Ok((Some(timer), role));
        }
    };
    let owner = timer.as_ref().map(Timer::owner_reference);
    let role = role(owner, there).await?;
    Ok((timer, role))
}

async fn one(
    cluster: &Cluster,
    resolved: &ResolvedShare,
    existing: &Existing,
    change: &Change,
) -> Result<Made> {
    let database = &resolved.database;
    let (timer, role) = ending(cluster, database, existing, change).await?;
    // The API server takes a tenth of a second for the binding: the database is tried in the meantime.
    let trying = async {
        if !change.is_dry() {
            let trying = || trusts_local(cluster, database);
            resolved.trust.get_or_init(trying).await;
        }
        Ok(())
    };
    let giving = give(cluster, resolved, existing, timer.as_ref(), change);
    let ((binding, besides), ()) = futures::try_join!(giving, trying)?;
    let mut share = read_back(
        cluster,
        existing,
        &database.namespace,
        timer,
        &role,
        &binding,
    )?;
    share.verified = Some(!change.is_dry());
    if share.is_held_back {
        return Err(
            Error::new(format!("the share with {} would not end", share.with))
                .caused_by(
                    "something in the cluster puts finalizers on its RoleBinding and its Role",
                )
                .hint("ask your cluster administrator"),
        );
    }
    Ok(Made {
        share,
        step: existing.step,
        before: existing.until,
        besides,
    })
}

/// Gives the right, last, so that nobody has it before its end is certain; and asks what the colleague may do now.
async fn give(
    cluster: &Cluster,
    resolved: &ResolvedShare,
    existing: &Existing,
    timer: Option<&Timer>,
    change: &Change,
) -> Result<(RoleBinding, Besides)> {
    let plan = &existing.plan;
    let database = &resolved.database;
    let owner = timer.map(Timer::owner_reference);
    let until = timer.and_then(Timer::until);
    let card = plan.card(database, &resolved.owner, until, owner.as_ref());
    let binding = plan.role_binding(owner.as_ref());
    let asked = Asked {
        namespace: &database.namespace,
        subject: &plan.colleague.subject,
        pod: pod_to_prove(database),
        secrets: &resolved.secrets,
        groups: &resolved.groups,
    };
    let ask = || verify::besides(cluster, asked);
    // The API server takes a tenth of a second for the binding. What else the colleague may do does not depend on a new one: its
    // Role is compared with what was asked, and gives none of that.
    let is_new = !change.is_dry() && existing.binding.is_none();
    let (card, written, besides) = futures::join!(
        change.put(&card, existing.card.as_ref()),
        change.put(&binding, existing.binding.as_ref()),
        OptionFuture::from(is_new.then(ask))
    );
    card?;
    if change.is_dry() {
        return match written {
            Ok((_, stored)) => Ok((stored, Besides::default())),
            // The Role that it refers to was not stored, so the server cannot check more.
            Err(error) if error.kind() == Kind::NotFound => {
                change.tell::<RoleBinding>(&binding.name_any(), Outcome::Created);
                Ok((binding, Besides::default()))
            }
            Err(error) => Err(error),
        };
    }
    let (_, stored) = written?;
    verify::settled(cluster, asked.namespace, asked.subject, asked.pod).await?;
    let besides = match besides {
        Some(besides) => besides?,
        None => ask().await?,
    };
    Ok((stored, besides))
}

/// The pod with which a share is proven: the one that serves, else the first.
pub fn pod_to_prove(database: &Database) -> &str {
    database
        .serving
        .as_ref()
        .map(|endpoint| endpoint.pod.as_str())
        .or_else(|| database.pods.first().map(String::as_str))
        .unwrap_or_default()
}

/// The share as it is now.
fn read_back(
    cluster: &Cluster,
    existing: &Existing,
    namespace: &str,
    timer: Option<Timer>,
    role: &Role,
    binding: &RoleBinding,
) -> Result<Share> {
    let plan = &existing.plan;
    let trace = Trace {
        namespace: namespace.to_owned(),
        elsewhere: is_elsewhere(cluster, namespace),
        name: plan.name.clone(),
        binding: Some(Held::of(binding)),
        role: Some(Held::of(role)),
        clock: timer.clone(),
        timer,
    };
    let said = plan
        .said()
        .ok_or_else(|| Error::new("the share cannot be read back"))?;
    Ok(Share::of(
        &said,
        plan.colleague.subject.clone(),
        trace,
        Some(role),
        &binding.metadata,
        cluster.now(),
    ))
}
