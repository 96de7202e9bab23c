//! `share-db revoke`: the end of a share, now.

use std::collections::BTreeSet;
use std::time::Duration;

use commons::apply::{self, DryRun, DryRunFlags, Outcome, is_ours};
use commons::cli::Context;
use commons::cluster::Namespaced;
use commons::output::{self, OutputFlags};
use commons::shell::{Shell, shell};
use commons::subject::{Several, Subject};
use commons::{Cluster, Kind, Result, Ui, printable};
use database::{DatabaseRef, Trust, trusts_local};
use futures::future::join_all;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::ResourceExt;
use tokio::time::timeout;

use crate::cut::{Cut, CutFlags};
use crate::listed::{Held, Share, Trace};
use crate::selection::{Selection, others_with_the_same};
use crate::shares::{self, FoundShares};
use crate::verify;
use crate::worth::left_behind;

/// How long is tried whether a database lets in whoever comes.
const PATIENCE: Duration = Duration::from_secs(1);

/// End a share now
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The database, as it was shared
    #[arg(value_name = "DATABASE", conflicts_with = "all")]
    database: Option<DatabaseRef>,
    /// Only the share with these colleagues
    #[arg(long, value_name = "USER", num_args = 1..)]
    with: Vec<Several>,
    /// Every share of the namespace
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    cut: CutFlags,
    /// It is no failure if there is none
    #[arg(long)]
    ignore_not_found: bool,
    #[command(flatten)]
    dry_run: DryRunFlags,
    #[command(flatten)]
    output: OutputFlags,
}

pub async fn run(context: &Context, args: &Args) -> Result<()> {
    let Context { cluster, ui, .. } = context;
    let selection = Selection::new(args.database.as_ref(), &args.with, args.all);
    let found = shares::all(cluster, Some(selection.namespace(cluster))).await?;
    let everything = args.all && selection.with.is_empty();
    let dry_run = args.dry_run.dry_run;
    shares::warn(ui, &found, everything);
    let meant = match selection.among(&found, cluster, ui, "revoke") {
        Err(error) if error.kind() == Kind::NotFound && everything && ended_something(&found) => {
            return end_unreadable(cluster, ui, &found, dry_run).await;
        }
        Err(error) if error.kind() == Kind::NotFound && args.ignore_not_found => return Ok(()),
        meant => meant?,
    };
    // Deleting a `RoleBinding` takes the right from each of its subjects (several only after a change by hand).
    let also = others_with_the_same(&meant, &found, Share::binding_uid);
    let meant = [meant, also].concat();
    let cut = Cut::agreed(cluster, ui, &meant, args.cut).await?;
    if everything {
        end_unreadable(cluster, ui, &found, dry_run).await?;
    }
    end_all(cluster, &meant, &found, dry_run).await?;
    if dry_run != DryRun::None {
        return meant
            .iter()
            .try_for_each(|share| would_end(ui, &share.trace, dry_run));
    }
    let after = join_all(
        meant
            .iter()
            .map(|share| after(cluster, share, &found.groups)),
    )
    .await;
    if args.output.output.is_some() {
        output::list(ui, args.output.output, &meant, "")?;
    }
    report(ui, args.output.output.is_none(), &meant, &after)?;
    tell_of_logins(cluster, ui, &meant).await;
    if let Some(cut) = cut.filter(|cut| !cut.is_empty()) {
        return cut.make(cluster, ui, &meant).await;
    }
    tell_about_open_tunnels(ui, &meant);
    Ok(())
}

/// Ends these shares; one that cannot be ended does not keep the others.
async fn end_all(
    cluster: &Cluster,
    meant: &[Share],
    found: &FoundShares,
    dry_run: DryRun,
) -> Result<()> {
    if dry_run == DryRun::Client {
        return Ok(());
    }
    let dry = dry_run == DryRun::Server;
    let traces = traces(meant, found);
    let ended = join_all(traces.iter().map(|trace| end(cluster, trace, dry))).await;
    ended.into_iter().collect()
}

/// Says how to look for logins that colleagues may have left in databases that let in whoever comes through a tunnel. One that
/// is not there, or does not answer soon, is not waited for: the shares have ended.
async fn tell_of_logins(cluster: &Cluster, ui: &Ui, revoked: &[Share]) {
    let databases: BTreeSet<(&str, &str)> = revoked
        .iter()
        .map(|share| (share.namespace.as_str(), share.database.as_str()))
        .collect();
    let hints = join_all(databases.into_iter().map(async |(namespace, name)| {
        let mut typed: DatabaseRef = name.parse().ok()?;
        typed.namespace = Some(namespace.to_owned());
        let database = database::find(cluster, &typed).await.ok()?;
        match trusts_local(cluster, &database).await {
            Trust::LetsIn(_) => left_behind(namespace, name, database.protocol),
            _ => None,
        }
    }));
    let hints = timeout(PATIENCE, hints).await.unwrap_or_default();
    for hint in hints.into_iter().flatten() {
        ui.hint(hint);
    }
}

fn ended_something(found: &FoundShares) -> bool {
    !found.unreadable.is_empty() || !found.leftovers.is_empty()
}

/// Ends what carries our label and cannot be read, since it may give rights all the same, and what is left of shares.
async fn end_unreadable(
    cluster: &Cluster,
    ui: &Ui,
    found: &FoundShares,
    dry_run: DryRun,
) -> Result<()> {
    let unreadable = found
        .unreadable
        .iter()
        .map(|trace| (trace, "Ended", "which does not say whose share it was"));
    let leftovers = found
        .leftovers
        .iter()
        .map(|trace| (trace, "Removed", "which nobody was given"));
    for (trace, done, what) in unreadable.chain(leftovers) {
        if dry_run != DryRun::Client {
            end(cluster, trace, dry_run == DryRun::Server).await?;
        }
        if dry_run == DryRun::None {
            ui.status(format!("{done} {}, {what}.", printable::line(&trace.name)));
        } else {
            would_end(ui, trace, dry_run)?;
        }
    }
    Ok(())
}

/// Prints what a dry run would delete: the `RoleBinding`, or what there is without one.
fn would_end(ui: &Ui, trace: &Trace, dry_run: DryRun) -> Result<()> {
    let deleted = Outcome::Deleted;
    let line = match (&trace.binding, &trace.role) {
        (Some(binding), _) => apply::change_line::<RoleBinding>(&binding.name, deleted, dry_run),
        (None, Some(role)) => apply::change_line::<Role>(&role.name, deleted, dry_run),
        (None, None) => apply::change_line::<Job>(&trace.name, deleted, dry_run),
    };
    ui.result(line)
}

/// What is to be deleted. A Role that others have by another `RoleBinding` stays for them, with its timer and its card.
fn traces(meant: &[Share], found: &FoundShares) -> Vec<Trace> {
    let staying: BTreeSet<(&str, &str)> = found
        .shares
        .iter()
        .filter(|share| {
            !meant
                .iter()
                .any(|meant| meant.trace.binding == share.trace.binding)
        })
        .map(|share| (share.namespace.as_str(), share.name.as_str()))
        .collect();
    meant
        .iter()
        .map(|share| {
            if staying.contains(&(share.namespace.as_str(), share.name.as_str())) {
                Trace {
                    role: None,
                    timer: None,
                    name: String::new(),
                    ..share.trace.clone()
                }
            } else {
                share.trace.clone()
            }
        })
        .collect()
}

/// Deletes what gives the right, and all that goes with it, each by its UID: what the timer owns would go after it, but a share
/// may have no timer, and one that is held back takes nothing with it.
async fn end(cluster: &Cluster, trace: &Trace, dry: bool) -> Result<()> {
    let Trace {
        namespace,
        name,
        binding,
        role,
        timer,
        ..
    } = trace;
    let binding = binding
        .as_ref()
        .map(|held| (held.name.as_str(), held.uid.as_str()));
    let role = role
        .as_ref()
        .map(|held| (held.name.as_str(), held.uid.as_str()));
    let timer = timer
        .as_ref()
        .map(|timer| (timer.name.as_str(), timer.uid.as_str()));
    let binding = delete::<RoleBinding>(cluster, namespace, binding, dry);
    let role = delete::<Role>(cluster, namespace, role, dry);
    let timer = delete::<Job>(cluster, namespace, timer, dry);
    let card = delete_card(cluster, namespace, name, dry);
    let outcomes: [Result<bool>; 4] = futures::join!(binding, role, timer, card).into();
    outcomes
        .into_iter()
        .collect::<Result<Vec<bool>>>()
        .map(drop)
}

/// Deletes an object by name and UID, if there is one.
async fn delete<K: Namespaced>(
    cluster: &Cluster,
    namespace: &str,
    held: Option<(&str, &str)>,
    dry: bool,
) -> Result<bool> {
    match held {
        Some((name, uid)) => cluster.delete::<K>(namespace, name, Some(uid), dry).await,
        None => Ok(false),
    }
}

async fn delete_card(cluster: &Cluster, namespace: &str, name: &str, dry: bool) -> Result<bool> {
    if name.is_empty() {
        return Ok(false);
    }
    match cluster.find::<ConfigMap>(namespace, name).await? {
        Some(card) if is_ours(&card.metadata, cluster.manager()) => {
            cluster
                .delete::<ConfigMap>(namespace, name, card.uid().as_deref(), dry)
                .await
        }
        _ => Ok(false),
    }
}

/// What is known after the end of a share.
#[derive(Debug, Default)]
struct AfterRevoke {
    /// Whether what gives the right is there all the same: something holds it back.
    is_held_back: bool,
    /// Whether the colleague is out, by their name; nothing where it could not be asked.
    is_out: Option<bool>,
    /// Groups whose members may still connect.
    groups: Vec<String>,
    /// How many groups were not asked about.
    groups_left: usize,
}

async fn after(cluster: &Cluster, share: &Share, groups: &[String]) -> AfterRevoke {
    let Share {
        namespace,
        subject,
        pods,
        ..
    } = share;
    let is_held_back = is_there::<RoleBinding>(cluster, namespace, share.trace.binding.as_ref())
        .await
        && is_there::<Role>(cluster, namespace, share.trace.role.as_ref()).await;
    if is_held_back || share.pods.is_empty() {
        return AfterRevoke {
            is_held_back,
            ..AfterRevoke::default()
        };
    }
    let is_out = verify::ended(cluster, namespace, subject, pods).await.ok();
    match verify::groups_that_may(cluster, namespace, subject, pods, groups).await {
        Ok((groups, groups_left)) => AfterRevoke {
            is_held_back,
            is_out,
            groups,
            groups_left,
        },
        Err(_) => AfterRevoke {
            is_out,
            ..AfterRevoke::default()
        },
    }
}

/// Whether this very object is there still; not where it may not be looked for.
async fn is_there<K: Namespaced>(cluster: &Cluster, namespace: &str, held: Option<&Held>) -> bool {
    let Some(held) = held else { return false };
    let found = cluster.find::<K>(namespace, &held.name).await;
    matches!(found, Ok(Some(object)) if object.uid().as_ref() == Some(&held.uid))
}

fn report(ui: &Ui, in_words: bool, meant: &[Share], after: &[AfterRevoke]) -> Result<()> {
    for (share, after) in meant.iter().zip(after) {
        let Share {
            with,
            database,
            namespace,
            ..
        } = share;
        let ended = format!("the share of {database} with {with} has ended");
        match after.is_out {
            _ if after.is_held_back => {
                ui.warning(format!("the share of {database} with {with} goes on: finalizers hold back its RoleBinding and its Role"));
                share
                    .without_finalizers()
                    .into_iter()
                    .for_each(|hint| ui.hint(hint));
            }
            None => ui.warning(format!(
                "{ended}; whether {with} may still connect was not asked"
            )),
            Some(true) if !in_words => {}
            Some(true) => {
                let as_user = match &share.subject {
                    // Nobody but who logs them in knows the groups of a user.
                    Subject::User { name } => format!(" as user {}", printable::ascii(name)),
                    _ => String::new(),
                };
                ui.result(format!(
                    "{with} can open no new tunnel to {database} in {namespace}{as_user}."
                ))?;
            }
            Some(false) => ui.warning(format!(
                "{ended}, but {with} may still connect by other rights: `{}`",
                shell("kubectl get rolebindings")
                    .in_namespace(namespace)
                    .then("-o wide")
            )),
        }
        for group in &after.groups {
            ui.warning(format!(
                "members of group {} can still connect to {database}, and {with} too if a member",
                printable::ascii(group)
            ));
        }
        if after.groups_left > 0 {
            ui.warning(format!(
                "{} more groups have rights here; whether their members can connect was not checked",
                after.groups_left
            ));
        }
    }
    Ok(())
}

/// RBAC is asked when a tunnel is opened, never again: what is open stays open, and takes new connections.
fn tell_about_open_tunnels(ui: &Ui, revoked: &[Share]) {
    ui.warning(
        "a tunnel that is open now stays open, and takes new connections, for as long as it lives",
    );
    let pods: BTreeSet<(&str, &[String])> = revoked
        .iter()
        .filter(|share| !share.pods.is_empty())
        .map(|share| (share.namespace.as_str(), share.pods.as_slice()))
        .collect();
    for (namespace, pods) in pods {
        // Not all of the names that a database may have are there, and any of them may serve it.
        let several = pods.len() > 1;
        let delete = pods.iter().fold(shell("kubectl delete pod"), Shell::arg);
        let delete = if several {
            delete.then("--ignore-not-found")
        } else {
            delete
        };
        ui.hint(format!(
            "to end open tunnels too, restart the database: `{}`",
            delete.in_namespace(namespace)
        ));
    }
}
