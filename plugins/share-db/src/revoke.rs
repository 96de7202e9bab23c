//! `share-db revoke`: the end of a share, now.

use commons::apply::{self, DryRun, DryRunFlags, Outcome};
use commons::database::Typed;
use commons::grant::{Timer, is_owned_by};
use commons::output::{self, OutputFlags};
use commons::{Cluster, Kind, Result, Ui, subject};
use futures::future::try_join_all;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::ResourceExt;

use crate::shares::{self, Selection, Share};
use crate::verify;

/// End a share now
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The database, as it was shared
    #[arg(value_name = "DATABASE", conflicts_with = "all")]
    database: Option<Typed>,
    /// Only the share with these colleagues
    #[arg(long, value_name = "USER", num_args = 1.., value_delimiter = ',')]
    with: Vec<subject::Typed>,
    /// Every share of the namespace
    #[arg(long)]
    all: bool,
    /// It is no failure if there is none
    #[arg(long)]
    ignore_not_found: bool,
    #[command(flatten)]
    dry_run: DryRunFlags,
    #[command(flatten)]
    output: OutputFlags,
}

pub async fn run(cluster: &Cluster, ui: &Ui, args: &Args) -> Result<()> {
    let selection = Selection {
        database: args.database.clone(),
        with: args.with.clone(),
        all: args.all,
    };
    if args.all && args.with.is_empty() && args.dry_run.dry_run == DryRun::None {
        end_unreadable(cluster, ui).await?;
    }
    let meant = match shares::select(cluster, ui, &selection, "revoke").await {
        Err(error) if error.kind() == Kind::NotFound && args.ignore_not_found => return Ok(()),
        meant => meant?,
    };
    let dry_run = args.dry_run.dry_run;
    if dry_run == DryRun::Client {
        return meant.iter().try_for_each(|share| {
            ui.result(apply::change_line::<Job>(
                &share.name,
                Outcome::Deleted,
                dry_run,
            ))
        });
    }
    let ended = try_join_all(meant.iter().map(|share| revoke(cluster, share, dry_run))).await?;
    if dry_run == DryRun::Server {
        return meant.iter().try_for_each(|share| {
            ui.result(apply::change_line::<Job>(
                &share.name,
                Outcome::Deleted,
                dry_run,
            ))
        });
    }
    if args.output.output.is_some() {
        return output::list(ui, args.output.output, &meant, "");
    }
    for (share, ended) in meant.iter().zip(&ended) {
        if *ended {
            ui.result(format!(
                "{} may no longer connect to {} in {}.",
                share.with, share.database, share.namespace
            ))?;
        } else {
            ui.warning(format!("the share of {} with {} has ended, but {} may still connect by other rights: `kubectl get rolebindings -n {} -o wide`", share.database, share.with, share.with, share.namespace));
        }
    }
    tell_about_open_sessions(ui, &meant);
    Ok(())
}

/// Ends what carries our label and cannot be read: it may give rights all the same.
async fn end_unreadable(cluster: &Cluster, ui: &Ui) -> Result<()> {
    let namespace = cluster.namespace();
    for timer in shares::all(cluster, Some(namespace)).await?.unreadable {
        end(cluster, namespace, &timer, false).await?;
        ui.status(format!(
            "Ended {}, which does not say whose share it was.",
            timer.name
        ));
    }
    Ok(())
}

/// First the right itself, so that it ends at once, then the timer, with which the rest goes. Nothing but what this timer owns.
async fn end(cluster: &Cluster, namespace: &str, timer: &Timer, dry: bool) -> Result<()> {
    let name = &timer.name;
    let binding: Option<RoleBinding> = cluster.find(namespace, name).await?;
    if let Some(binding) = binding.filter(|binding| is_owned_by(binding, &timer.uid)) {
        cluster
            .delete::<RoleBinding>(namespace, name, binding.uid().as_deref(), dry)
            .await?;
    }
    cluster
        .delete::<Job>(namespace, name, Some(&timer.uid), dry)
        .await?;
    Ok(())
}

/// True if the colleague is out.
async fn revoke(cluster: &Cluster, share: &Share, dry_run: DryRun) -> Result<bool> {
    let dry = dry_run == DryRun::Server;
    end(cluster, &share.namespace, &share.clock, dry).await?;
    match share.pods.first() {
        Some(pod) if !dry => verify::ended(cluster, &share.namespace, &share.subject, pod).await,
        _ => Ok(true),
    }
}

/// RBAC is asked when a tunnel is opened, never again: what is open stays open.
fn tell_about_open_sessions(ui: &Ui, revoked: &[Share]) {
    ui.warning("connections that are open now stay open until they end by themselves");
    let mut databases: Vec<&Share> = revoked.iter().collect();
    databases.dedup_by_key(|share| (&share.namespace, &share.database));
    for share in databases {
        if let Some(pod) = share.pods.first() {
            ui.hint(format!(
                "to cut them, restart the database: `kubectl delete pod {pod} -n {}`",
                share.namespace
            ));
        }
    }
}
