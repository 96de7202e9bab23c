//! `share-db extend`: a new end for a share that exists, later or earlier.

use std::collections::BTreeMap;

use commons::apply::{self, DryRun, DryRunFlags};
use commons::card::Card;
use commons::database::Typed;
use commons::grant::{self, FOR, Term, TermFlags, Timer};
use commons::output::{self, OutputFlags};
use commons::subject::Several;
use commons::{Cluster, Error, Kind, Result, Ui};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::listed::{Ends, Share};
use crate::selection::{Selection, others_with_the_same};
use crate::shares::{self, Found};
use crate::verify;

/// Set a new end for a share, counted from now; it may also be earlier
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The database, as it was shared
    #[arg(value_name = "DATABASE")]
    database: Option<Typed>,
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

pub async fn run(cluster: &Cluster, ui: &Ui, args: &Args) -> Result<()> {
    let term = args.term.term()?;
    let selection = Selection {
        database: args.database.clone(),
        with: args
            .with
            .iter()
            .flat_map(|several| several.0.clone())
            .collect(),
        all: false,
    };
    let found = shares::all(cluster, Some(selection.namespace(cluster))).await?;
    shares::warn(ui, &found);
    let meant = selection.among(&found, cluster, ui, "extend")?;
    refuse_others(&meant, &found)?;
    let mut extended: Vec<Share> = Vec::new();
    for share in &meant {
        // Several shares may go with one timer, which is set once.
        let same = extended
            .iter()
            .find(|done| done.timer_uid().is_some() && done.timer_uid() == share.timer_uid());
        let timer = same.and_then(|done| done.trace.timer.clone());
        extended.push(extend(cluster, share, timer, term, args.dry_run.dry_run).await?);
    }
    if args.dry_run.dry_run == DryRun::None {
        for share in &mut extended {
            share.verified = verify::of_share(cluster, share, found.complete).await;
        }
    }
    report(cluster, ui, args, &extended)
}

/// Refuses to give more time to somebody who was not named.
fn refuse_others(meant: &[Share], found: &Found) -> Result<()> {
    let others = others_with_the_same(meant, found, Share::timer_uid);
    let Some((share, other)) = meant.first().zip(others.first()) else {
        return Ok(());
    };
    let with: Vec<&str> = others.iter().map(|share| share.with.as_str()).collect();
    Err(Error::new(format!(
        "that would extend what {} has too",
        with.join(", ")
    ))
    .caused_by(format!(
        "it ends with the same timer (job `{}`): somebody has changed it by hand",
        other.name
    ))
    .hint(format!(
        "end it for all of them, then share again: `{}`",
        share.command("kubectl share-db revoke")
    )))
}

/// Sets the timer, unless that was done already, then tells the card.
async fn extend(
    cluster: &Cluster,
    share: &Share,
    done: Option<Timer>,
    term: Term,
    dry_run: DryRun,
) -> Result<Share> {
    let now = cluster.now();
    let timer = match share.own_timer() {
        Some(timer) if share.ending != Ends::Over => timer,
        _ => return Err(without_timer(share, term)),
    };
    if dry_run == DryRun::Client {
        return Ok(share.clone());
    }
    let dry = dry_run == DryRun::Server;
    let timer = match done {
        Some(timer) => timer,
        None => grant::reset(cluster, &share.namespace, timer, term, now, dry)
            .await
            .map_err(|error| match error.kind() {
                Kind::Failed => error.hint(end_it(share)),
                _ => error,
            })?,
    };
    let extended = share.clone().timed_by(timer, term, now);
    if !dry {
        write_down(cluster, share, term).await?;
        update_card(cluster, &extended).await.map_err(|error| {
            Error::new(format!(
                "{} is extended, but its card still tells the colleague the old end",
                share.database
            ))
            .caused_by(error.message().to_owned())
            .hint("run the command again")
        })?;
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
async fn write_down(cluster: &Cluster, share: &Share, term: Term) -> Result<()> {
    let endless = |asked: &str| asked == Term::Forever.to_string();
    let Some(held) = &share.trace.binding else {
        return Ok(());
    };
    if endless(&share.asked) == (term == Term::Forever) {
        return Ok(());
    }
    let mut binding: RoleBinding = cluster.get(&share.namespace, &held.name).await?;
    let annotations = binding.metadata.annotations.get_or_insert_default();
    annotations.insert(FOR.into(), term.to_string());
    cluster.replace(&share.namespace, &binding, false).await?;
    Ok(())
}

/// Writes the new end into the card; only what a card says is kept of the old one.
async fn update_card(cluster: &Cluster, share: &Share) -> Result<()> {
    let Some(old) = cluster
        .find::<ConfigMap>(&share.namespace, &share.name)
        .await?
    else {
        return Ok(());
    };
    let Some(mut card) = Card::read(&old) else {
        return Ok(());
    };
    card.until = share.until;
    let metadata = ObjectMeta {
        name: old.metadata.name.clone(),
        labels: old.metadata.labels.clone(),
        annotations: old.metadata.annotations.clone().map(|annotations| {
            annotations
                .into_iter()
                .filter(|(key, _)| key.starts_with("kube-commons/"))
                .collect::<BTreeMap<_, _>>()
        }),
        owner_references: share
            .trace
            .timer
            .as_ref()
            .map(|timer| vec![timer.owner_reference()]),
        ..Default::default()
    };
    let new = ConfigMap {
        metadata,
        data: Some(card.to_data()),
        ..Default::default()
    };
    apply::apply(cluster, &share.namespace, &new, Some(&old), false, |_| {}).await?;
    Ok(())
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
        return output::list(ui, args.output.output, extended, "");
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
        if share.verified == Some(true) {
            ui.result(format!(
                "{with} may connect to {database} in {namespace} {term}."
            ))?;
            continue;
        }
        ui.result(format!("The share of {database} with {with} lasts {term}."))?;
        if share.verified.is_none() {
            ui.warning(format!("whether {with} may connect was not asked"));
        } else {
            ui.warning(format!("{with} cannot connect to {database}: something of the share is gone; share it again"));
        }
    }
    Ok(())
}
