//! `share-db extend`: a new end for a share that exists, later or earlier.

use std::collections::BTreeMap;

use commons::apply::{self, DryRun, DryRunFlags};
use commons::change::Change;
use commons::cli::Context;
use commons::grant::{self, FOR, Term, TermFlags, Timer};
use commons::output::{self, OutputFlags};
use commons::subject::Several;
use commons::{Cluster, Error, Kind, Result, Ui, printable};
use database::DatabaseRef;
use database::card::Card;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

use crate::listed::{Ends, Share};
use crate::selection::{Selection, more_time_for_others, others_with_the_same};
use crate::shares::{self, FoundShares};
use crate::verify;

/// Set a new end for a share, counted from now; it may also be earlier
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The database, as it was shared
    #[arg(value_name = "DATABASE")]
    database: Option<DatabaseRef>,
    /// Only the share with these colleagues
    #[arg(long, value_name = "USER", num_args = 1..)]
    with: Vec<Several>,
    #[command(flatten)]
    term: TermFlags,
    #[command(flatten)]
    dry_run: DryRunFlags,
    #[command(flatten)]
    output: OutputFlags,
}

pub async fn run(context: &Context, args: &Args) -> Result<()> {
    let Context { cluster, ui, .. } = context;
    let term = args.term.term()?;
    let dry_run = args.dry_run.dry_run;
    let selection = Selection::new(args.database.as_ref(), &args.with, false);
    let namespace = selection.namespace(cluster);
    let found = shares::all(cluster, Some(namespace)).await?;
    shares::warn(ui, &found, false);
    let mut shares = selection.among(&found, cluster, ui, "extend")?;
    refuse_others(&shares, &found)?;
    if let Some(share) = shares.iter().find(|share| !has_living_timer(share)) {
        return Err(without_timer(share, term));
    }
    if dry_run != DryRun::Client {
        let change = Change::new(cluster, namespace, dry_run);
        let extending = all(cluster, &change, &shares, term);
        shares = change
            .all_or_nothing(&context.interrupt.shield(), extending)
            .await?;
    }
    if dry_run == DryRun::None {
        verify::all(cluster, &mut shares, found.complete).await;
    }
    report(cluster, ui, args, &shares)
}

fn has_living_timer(share: &Share) -> bool {
    let is_own = |timer: &Timer| timer.name == share.name;
    share.own_timer().is_some_and(is_own) && share.ending != Ends::Over
}

/// Refuses to give more time to somebody who was not named.
fn refuse_others(meant: &[Share], found: &FoundShares) -> Result<()> {
    let others = others_with_the_same(meant, found, Share::timer_uid);
    let Some(share) = meant.first().filter(|_| !others.is_empty()) else {
        return Ok(());
    };
    let with = others.iter().map(|share| share.with.clone()).collect();
    // A RoleBinding of their own is taken away; one that names several ends for all of them.
    let own = others
        .iter()
        .filter(|other| {
            meant
                .iter()
                .all(|meant| meant.binding_uid() != other.binding_uid())
        })
        .filter_map(|other| Some(other.trace.binding.as_ref()?.name.clone()))
        .collect();
    let timer = share.own_timer().map_or(&share.name, |timer| &timer.name);
    let revoke = share.command("kubectl share-db revoke");
    Err(more_time_for_others(
        with,
        timer,
        own,
        &share.namespace,
        &revoke,
    ))
}

/// Sets the timers, each once, and tells `RoleBindings` and cards.
async fn all(
    cluster: &Cluster,
    change: &Change,
    shares: &[Share],
    term: Term,
) -> Result<Vec<Share>> {
    let now = cluster.now();
    let mut timers: BTreeMap<&str, Timer> = BTreeMap::new();
    let mut extended = Vec::new();
    for share in shares {
        let Some(timer) = share.own_timer() else {
            return Err(without_timer(share, term));
        };
        if !timers.contains_key(timer.uid.as_str()) {
            let job: Job = cluster.get(&share.namespace, &timer.name).await?;
            if job.uid().as_ref() != Some(&timer.uid) {
                return Err(without_timer(share, term));
            }
            let reset = grant::reset(cluster, change, &job, term, now).await;
            let reset = reset.map_err(|error| match error.kind() {
                Kind::Failed => error.hint(end_it(share)),
                _ => error,
            })?;
            timers.insert(&timer.uid, reset);
        }
        let timer = timers[timer.uid.as_str()].clone();
        write_down(cluster, change, share, term).await?;
        let share = share.clone().timed_by(timer, term, now);
        update_card(cluster, change, &share).await?;
        extended.push(share);
    }
    Ok(extended)
}

fn end_it(share: &Share) -> String {
    format!("end it now: `{}`", share.command("kubectl share-db revoke"))
}

fn without_timer(share: &Share, term: Term) -> Error {
    let what = format!("the share of {} with {}", share.database, share.with);
    if share.ending == Ends::Over {
        return Error::new(format!(
            "the time of {what} is over, but the cluster has not removed it"
        ))
        .hint(end_it(share));
    }
    if let Some(timer) = share.own_timer() {
        return Error::new(format!(
            "{what} ends with the timer of something else (job `{}`)",
            printable::line(&timer.name)
        ))
        .hint(end_it(share));
    }
    let again = share.command("kubectl share-db");
    let again = match term {
        Term::For(_) => again.then("--for").arg(term),
        Term::Forever => again.then("--forever"),
    };
    Error::new(format!("nothing ends {what}: its timer is gone"))
        .hint(format!("give it a new one: `{again}`"))
        .hint(end_it(share))
}

/// Notes at the `RoleBinding` whether an end was asked for, where that has changed.
async fn write_down(cluster: &Cluster, change: &Change, share: &Share, term: Term) -> Result<()> {
    let endless = Term::Forever.to_string();
    let held = match &share.trace.binding {
        Some(held) if (share.asked == endless) != (term == Term::Forever) => held,
        _ => return Ok(()),
    };
    let binding: RoleBinding = cluster.get(&share.namespace, &held.name).await?;
    let mut noted = binding.clone();
    noted.annotations_mut().insert(FOR.into(), term.to_string());
    let (cluster, namespace, dry) = (cluster.clone(), share.namespace.clone(), change.is_dry());
    let noting = async move { cluster.replace(&namespace, &noted, dry).await };
    change.replace(&binding, noting).await.map(drop)
}

/// Writes the new end into the card; only what a card says is kept of the old one.
async fn update_card(cluster: &Cluster, change: &Change, share: &Share) -> Result<()> {
    let old = cluster
        .find::<ConfigMap>(&share.namespace, &share.name)
        .await?;
    let Some((old, mut card)) = old.and_then(|old| Card::read(&old).map(|card| (old, card))) else {
        return Ok(());
    };
    card.until = share.until;
    let ours = |(key, _): &(String, String)| key.starts_with("kube-commons/");
    let timer = share.trace.clock.as_ref();
    let new = ConfigMap {
        metadata: ObjectMeta {
            name: old.metadata.name.clone(),
            labels: old.metadata.labels.clone(),
            annotations: Some(old.annotations().clone().into_iter().filter(ours).collect()),
            owner_references: timer.map(|timer| vec![timer.owner_reference()]),
            ..Default::default()
        },
        data: Some(card.to_data()),
        ..Default::default()
    };
    change.put(&new, Some(&old)).await.map(drop)
}

fn report(cluster: &Cluster, ui: &Ui, args: &Args, extended: &[Share]) -> Result<()> {
    if args.dry_run.dry_run != DryRun::None {
        let lines = extended.iter().map(|share| {
            apply::change_line::<Job>(
                &share.name,
                apply::Outcome::Configured,
                args.dry_run.dry_run,
            )
        });
        return lines.into_iter().try_for_each(|line| ui.result(line));
    }
    if args.output.output.is_some() {
        output::list(ui, args.output.output, extended, "")?;
    }
    let now = cluster.now();
    for share in extended {
        let Share {
            with,
            database,
            namespace,
            ..
        } = share;
        let term = share.term(now, Some(args.term.duration));
        if args.output.output.is_none() {
            ui.result(match share.verified {
                Some(true) => format!("{with} may connect to {database} in {namespace} {term}."),
                _ => format!("The share of {database} with {with} lasts {term}."),
            })?;
        }
        match share.verified {
            Some(true) => {}
            Some(false) => ui.warning(format!(
                "{with} cannot connect to {database}: a part of the share was deleted; share again"
            )),
            None => ui.warning(format!(
                "whether {with} may connect to {database} is not known"
            )),
        }
    }
    Ok(())
}
