//! `expose-app remove`: closes an address. The app itself stays as it is.

use commons::apply::{DryRun, DryRunFlags};
use commons::cli::Context;
use commons::error::name_hint;
use commons::shell::shell;
use commons::{Error, Kind, Result, printable};
use exposure::Exposure;

/// Close an address; the app stays
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The app, or its host
    #[arg(value_name = "APP", conflicts_with = "all")]
    apps: Vec<String>,
    /// Every address of the namespace that was made with this command
    #[arg(long)]
    all: bool,
    /// It is no failure if there is none
    #[arg(long)]
    ignore_not_found: bool,
    #[command(flatten)]
    dry_run: DryRunFlags,
}

pub async fn run(context: &Context, args: &Args) -> Result<()> {
    let Context { cluster, ui, .. } = context;
    if args.apps.is_empty() && !args.all {
        return Err(Error::usage("missing APP")
            .hint("name the app or its host: `kubectl expose-app remove APP`")
            .hint("remove all of them: `kubectl expose-app remove --all`")
            .hint("list them: `kubectl expose-app list`"));
    }
    let namespace = cluster.namespace();
    let present = exposure::all(cluster, Some(namespace)).await?;
    let mut meant: Vec<&Exposure> = Vec::new();
    for app in &args.apps {
        let called: Vec<&Exposure> = present
            .iter()
            .filter(|exposure| exposure.is_called(app))
            .collect();
        if called.is_empty() {
            // Its Ingress may have been deleted by hand, and the rest of it be there still.
            let bare = app.rsplit('/').next().unwrap_or(app);
            let rest = exposure::remove(
                cluster,
                namespace,
                &exposure::object_name(bare),
                args.dry_run.dry_run,
            )
            .await?;
            if rest.is_empty() && !args.ignore_not_found {
                return Err(absent(app, namespace, &present));
            }
            rest.iter().try_for_each(|line| ui.result(line))?;
        }
        meant.extend(called);
    }
    if args.all {
        meant = present.iter().collect();
    }
    meant.sort_by_key(|exposure| exposure.object.clone());
    meant.dedup_by_key(|exposure| exposure.object.clone());
    for exposure in &meant {
        for line in
            exposure::remove(cluster, namespace, &exposure.object, args.dry_run.dry_run).await?
        {
            ui.result(line)?;
        }
        if args.dry_run.dry_run == DryRun::None {
            ui.status(format!("{} is no longer exposed.", exposure.url));
        }
    }
    if meant.is_empty() {
        ui.status(format!(
            "Nothing is exposed from namespace {namespace} with this command."
        ));
    }
    Ok(())
}

fn absent(typed: &str, namespace: &str, present: &[Exposure]) -> Error {
    let typed = printable::short(typed, 100);
    let names: Vec<&str> = present
        .iter()
        .map(|exposure| exposure.app.rsplit('/').next().unwrap_or_default())
        .collect();
    let error = Error::of(
        Kind::NotFound,
        format!("`{typed}` is not exposed from namespace `{namespace}` with this command"),
    );
    match name_hint(&typed, names.iter().copied()) {
        Some(hint) => error.hint(hint),
        None => error.hint(format!(
            "an address that was made otherwise is deleted with it: `{}`",
            shell("kubectl get ingress").in_namespace(namespace)
        )),
    }
}
