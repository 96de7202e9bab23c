//! Making shares: all of them or none.

use std::cell::OnceCell;

use commons::apply;
use commons::cli::Shield;
use commons::database::{Database, Trust, trusts_local};
use commons::grant::{self, Timer, is_owned_by};
use commons::shell::shell;
use commons::{Cluster, Error, Kind, Result};
use futures::future::{OptionFuture, join_all};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};

use crate::existing::{Existing, Step};
use crate::listed::{Held, Share, Trace, is_elsewhere};
use crate::verify::{self, Asked, Besides};

/// What is to be shared, and what there is of it.
pub struct Resolved {
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

/// The UIDs of what this run has made of a share, each once it has.
#[derive(Default)]
struct Created {
    timer: OnceCell<String>,
    role: OnceCell<String>,
    binding: OnceCell<String>,
    card: OnceCell<String>,
    /// Whether a timer that was there may have a later end by now.
    extended: OnceCell<()>,
}

impl Created {
    fn anything(&self) -> bool {
        [&self.timer, &self.role, &self.binding, &self.card]
            .iter()
            .any(|uid| uid.get().is_some())
    }

    /// Whether an object under the share's name was made by this run, and has not become part of another share since.
    fn made<K: Resource>(&self, object: &K, uid: &OnceCell<String>, timer: Option<&Timer>) -> bool {
        let is_new = uid.get() == object.meta().uid.as_ref();
        let timers = [self.timer.get(), timer.map(|timer| &timer.uid)];
        let owners = object.owner_references();
        let is_of_share = owners
            .iter()
            .all(|owner| timers.contains(&Some(&owner.uid)));
        // What was there before goes only if it was given to this run's timer.
        let was_taken = self
            .timer
            .get()
            .is_some_and(|timer| is_owned_by(object, timer));
        is_of_share && (is_new || was_taken)
    }
}

fn remember<K: Resource>(created: &OnceCell<String>) -> impl FnOnce(&K) {
    move |object| {
        let _ = created.set(object.uid().unwrap_or_default());
    }
}

/// Makes all shares or none: what a failed or interrupted run has created is taken back.
///
/// # Errors
/// Of the API server; what could not be taken back is named in a hint.
pub async fn all(
    cluster: &Cluster,
    resolved: &Resolved,
    shield: &Shield,
    dry: bool,
) -> Result<Vec<Made>> {
    let shares: Vec<(&Existing, Created)> = resolved
        .shares
        .iter()
        .map(|existing| (existing, Created::default()))
        .collect();
    // What is there is extended last: that cannot be taken back as what is new can.
    let making = async {
        let mut made = in_step(cluster, resolved, &shares, false, dry).await?;
        made.extend(in_step(cluster, resolved, &shares, true, dry).await?);
        made.sort_by(|a, b| a.share.name.cmp(&b.share.name));
        Ok(made)
    };
    let failure = match shield.race(making).await {
        Ok(made) => return Ok(made),
        Err(error) if dry => return Err(error),
        Err(error) => error,
    };
    let namespace = &resolved.database.namespace;
    let failure = shares
        .iter()
        .filter(|(_, created)| created.extended.get().is_some())
        .fold(failure, |failure, (existing, _)| {
            failure.hint(format!(
                "the share with {} may last longer than before: `{}`",
                existing.plan.colleague.called,
                shell("kubectl share-db list")
            ))
        });
    let taken_back = join_all(
        shares
            .iter()
            .filter(|(_, created)| created.anything())
            .map(|(existing, created)| take_back(cluster, namespace, existing, created)),
    )
    .await;
    let left: Vec<&str> = taken_back.iter().flatten().copied().collect();
    if !left.is_empty() {
        let delete = left.iter().fold(shell("kubectl delete"), |command, name| {
            ["job/", "rolebinding/", "role/", "configmap/"]
                .iter()
                .fold(command, |command, kind| {
                    command.arg(format!("{kind}{name}"))
                })
        });
        return Err(failure.hint(format!(
            "something of it may be left; remove it: `{}`",
            delete.then("--ignore-not-found -n").arg(namespace)
        )));
    }
    Err(match failure.kind() {
        Kind::Signal(_) => Error::of(failure.kind(), "interrupted: nothing new is shared")
            .hints_from(failure.hints().iter().cloned()),
        _ if taken_back.is_empty() => failure,
        _ => failure.caused_by("nothing new is shared: what was made before that was taken back"),
    })
}

/// Makes those of the shares that are extended by it, or all others.
async fn in_step(
    cluster: &Cluster,
    resolved: &Resolved,
    shares: &[(&Existing, Created)],
    extending: bool,
    dry: bool,
) -> Result<Vec<Made>> {
    let in_step = shares
        .iter()
        .filter(|(existing, _)| (existing.step == Step::Extend) == extending);
    let making = in_step.map(|(existing, created)| one(cluster, resolved, existing, created, dry));
    join_all(making).await.into_iter().collect()
}

/// Deletes what this run has made of a share, and nothing else; the share's name where something could not be.
async fn take_back<'a>(
    cluster: &Cluster,
    namespace: &str,
    existing: &'a Existing,
    created: &Created,
) -> Option<&'a str> {
    let name = existing.plan.name.as_str();
    let timer = existing.timer.as_ref();
    let timer_itself = async {
        match created.timer.get() {
            Some(uid) => {
                cluster
                    .delete::<Job>(namespace, name, Some(uid), false)
                    .await
            }
            None => Ok(false),
        }
    };
    // The cluster removes what the timer owns after it; this is sooner.
    let outcomes: [Result<bool>; 4] = futures::join!(
        delete::<RoleBinding>(cluster, namespace, name, |binding| created.made(
            binding,
            &created.binding,
            timer
        )),
        timer_itself,
        delete::<Role>(cluster, namespace, name, |role| created.made(
            role,
            &created.role,
            timer
        )),
        delete::<ConfigMap>(cluster, namespace, name, |card| created.made(
            card,
            &created.card,
            timer
        ))
    )
    .into();
    outcomes.iter().any(Result::is_err).then_some(name)
}

/// Deletes an object if it is one that this run has made.
async fn delete<K: commons::cluster::Namespaced>(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    is_mine: impl Fn(&K) -> bool,
) -> Result<bool> {
    match cluster.find::<K>(namespace, name).await? {
        Some(object) if is_mine(&object) => {
            let uid = object.meta().uid.as_deref();
            cluster.delete::<K>(namespace, name, uid, false).await
        }
        _ => Ok(false),
    }
}

/// Makes the timer, and remembers that this run did.
async fn create_timer(
    cluster: &Cluster,
    namespace: &str,
    existing: &Existing,
    created: &Created,
    dry: bool,
) -> Result<Job> {
    let job = cluster.create(namespace, &existing.plan.job(), dry).await?;
    remember(&created.timer)(&job);
    Ok(job)
}

/// Makes the Role if there is none, and remembers that this run did; what there is then.
async fn create_role(
    cluster: &Cluster,
    database: &Database,
    existing: &Existing,
    created: &Created,
    dry: bool,
) -> Result<Option<Role>> {
    if existing.role.is_some() {
        return Ok(existing.role.clone());
    }
    let role = cluster
        .create(
            &database.namespace,
            &existing.plan.role(database, None),
            dry,
        )
        .await?;
    remember(&created.role)(&role);
    Ok(Some(role))
}

/// The timer as it is after this step, the Job if it was made now, and the Role as it is by then.
async fn timer_and_role(
    cluster: &Cluster,
    database: &Database,
    existing: &Existing,
    created: &Created,
    dry: bool,
) -> Result<(Option<Timer>, Option<Job>, Option<Role>)> {
    let namespace = &database.namespace;
    let term = existing.plan.term;
    match (existing.step, &existing.timer) {
        (Step::Extend, Some(timer)) => {
            let now = cluster.now();
            if !dry {
                let _ = created.extended.set(());
            }
            let timer = grant::reset(cluster, namespace, timer, term, now, dry).await?;
            Ok((Some(timer), None, existing.role.clone()))
        }
        (Step::Keep, timer) => Ok((timer.clone(), None, existing.role.clone())),
        _ => {
            // A Role alone gives nothing to anybody, so it need not wait for the timer that will own it.
            let (job, role) = futures::join!(
                create_timer(cluster, namespace, existing, created, dry),
                create_role(cluster, database, existing, created, dry)
            );
            let job = job?;
            Ok((Some(Timer::of(&job)), Some(job), role?))
        }
    }
}

/// What ends the share: its timer, running, and the Role that goes with it.
async fn ending(
    cluster: &Cluster,
    database: &Database,
    existing: &Existing,
    created: &Created,
    dry: bool,
) -> Result<(Option<Timer>, Role)> {
    let plan = &existing.plan;
    let namespace = &database.namespace;
    let (timer, job, role) = timer_and_role(cluster, database, existing, created, dry).await?;
    let owner = timer.as_ref().map(Timer::owner_reference);
    let new_role = plan.role(database, owner.as_ref());
    let role = async {
        match &role {
            // It was not stored.
            Some(_) if dry && existing.role.is_none() => Ok(apply::Outcome::Created),
            role => {
                let created = remember(&created.role);
                apply::apply(cluster, namespace, &new_role, role.as_ref(), dry, created).await
            }
        }
    };
    let running = async {
        match &job {
            Some(job) if !dry => grant::started(cluster, namespace, job, plan.term)
                .await
                .map(Some),
            _ => Ok(timer),
        }
    };
    let (timer, _) = futures::try_join!(running, role)?;
    Ok((timer, new_role))
}

async fn one(
    cluster: &Cluster,
    resolved: &Resolved,
    existing: &Existing,
    created: &Created,
    dry: bool,
) -> Result<Made> {
    let database = &resolved.database;
    let namespace = &database.namespace;
    let (timer, new_role) = ending(cluster, database, existing, created, dry).await?;
    let owner = timer.as_ref().map(Timer::owner_reference);
    let until = timer.as_ref().and_then(Timer::until);
    // The API server takes a tenth of a second for the binding: the database is tried in the meantime.
    let trying = async {
        if !dry {
            let trying = || trusts_local(cluster, database);
            resolved.trust.get_or_init(trying).await;
        }
        Ok(())
    };
    let giving = give(
        cluster,
        resolved,
        existing,
        created,
        owner.as_ref(),
        until,
        dry,
    );
    let ((new_binding, besides), ()) = futures::try_join!(giving, trying)?;
    let mut share = read_back(cluster, existing, namespace, timer, &new_role, &new_binding)?;
    share.verified = Some(!dry);
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
    resolved: &Resolved,
    existing: &Existing,
    created: &Created,
    owner: Option<&OwnerReference>,
    until: Option<Timestamp>,
    dry: bool,
) -> Result<(RoleBinding, Besides)> {
    let plan = &existing.plan;
    let database = &resolved.database;
    let namespace = &database.namespace;
    let new_card = plan.card(database, &resolved.owner, until, owner);
    let new_binding = plan.role_binding(owner);
    let (card, binding) = (existing.card.as_ref(), existing.binding.as_ref());
    let asked = Asked {
        namespace,
        subject: &plan.colleague.subject,
        pod: pod_to_prove(database),
        secrets: &resolved.secrets,
        groups: &resolved.groups,
    };
    let ask = || verify::besides(cluster, asked);
    // The API server takes a tenth of a second for the binding. What else the colleague may do does not depend on a new one: its
    // Role is compared with what was asked, and gives none of that.
    let is_new = !dry && binding.is_none();
    let besides = OptionFuture::from(is_new.then(ask));
    let (card, binding, besides) = futures::join!(
        apply::apply(
            cluster,
            namespace,
            &new_card,
            card,
            dry,
            remember(&created.card)
        ),
        apply::apply(
            cluster,
            namespace,
            &new_binding,
            binding,
            dry,
            remember(&created.binding)
        ),
        besides
    );
    card?;
    match binding {
        // In a dry run the Role that it refers to was not stored, so the server cannot check more.
        Err(error) if dry && error.kind() == Kind::NotFound => {}
        outcome => drop(outcome?),
    }
    if dry {
        return Ok((new_binding, Besides::default()));
    }
    verify::settled(cluster, namespace, asked.subject, asked.pod).await?;
    let besides = match besides {
        Some(besides) => besides?,
        None => ask().await?,
    };
    Ok((new_binding, besides))
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
