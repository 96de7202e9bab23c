//! `deploy-app delete`: takes away what was made for an app, and nothing else.

use commons::apply::{DryRun, DryRunFlags, MANAGED_BY, Outcome};
use commons::cluster::documents;
use commons::{Cluster, Error, Kind, Result, Ui, error::name_hint, names};
use futures::future::{join_all, try_join_all};
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::args::MANAGER;
use crate::expose;
use crate::plan::{NAME, files_name};
use crate::write;

/// Delete an app: what this command made for it, and nothing else
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The app
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// It is no failure if there is none
    #[arg(long)]
    ignore_not_found: bool,
    #[command(flatten)]
    dry_run: DryRunFlags,
}

pub async fn run(cluster: &Cluster, ui: &Ui, args: &Args) -> Result<()> {
    if let Some(name) = args.names.iter().find(|name| !names::is_name(name)) {
        return Err(Error::usage(format!(
            "`{}` cannot be the name of an app",
            commons::printable::short(name, 80)
        )));
    }
    let found = try_join_all(args.names.iter().map(|name| find(cluster, name))).await?;
    for (name, objects) in args.names.iter().zip(&found) {
        if objects.is_empty() && !args.ignore_not_found {
            return Err(not_found(cluster, name).await);
        }
    }
    for (name, objects) in args.names.iter().zip(found) {
        delete(cluster, ui, name, &objects, args.dry_run.dry_run).await?;
    }
    Ok(())
}

/// The objects of an app that are ours; one of its name that is somebody else's stops it where it is the app itself.
async fn find(cluster: &Cluster, name: &str) -> Result<Vec<Value>> {
    let files = files_name(name);
    let places = [
        ("apps/v1", "Deployment", name),
        ("v1", "Service", name),
        ("v1", "ConfigMap", name),
        ("v1", "ConfigMap", &files),
        ("v1", "Secret", name),
    ];
    let there = try_join_all(places.map(async |(api_version, kind, object)| {
        let document =
            json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": object}});
        cluster.get_document(&document, cluster.namespace()).await
    }))
    .await?;
    let ours = |object: &Value| {
        let labels = &object["metadata"]["labels"];
        labels[MANAGED_BY] == MANAGER && labels[NAME] == name
    };
    if let Some(deployment) = there.first().and_then(Option::as_ref)
        && !ours(deployment)
    {
        return Err(Error::new(format!(
            "deployment `{name}` was not made by this command, so it is not deleted"
        ))
        .hint(format!(
            "if you want it gone: `kubectl delete deployment {name} -n {}`",
            cluster.namespace()
        )));
    }
    Ok(there.into_iter().flatten().filter(ours).collect())
}

async fn not_found(cluster: &Cluster, name: &str) -> Error {
    let labels = format!("{MANAGED_BY}={MANAGER}");
    let apps: Vec<String> = cluster
        .list::<Deployment>(cluster.namespace(), &labels)
        .await
        .unwrap_or_default()
        .iter()
        .map(ResourceExt::name_any)
        .collect();
    let error = Error::of(
        Kind::NotFound,
        format!("no app `{name}` in namespace `{}`", cluster.namespace()),
    );
    match name_hint(name, apps.iter().map(String::as_str)) {
        Some(hint) => error.hint(hint),
        None => error.hint(format!(
            "see what there is: `kubectl deploy-app list{}`",
            cluster.here()
        )),
    }
}

/// The address first, then what runs, then what it read; each by its UID.
async fn delete(
    cluster: &Cluster,
    ui: &Ui,
    name: &str,
    objects: &[Value],
    dry_run: DryRun,
) -> Result<()> {
    for line in expose::remove(cluster, cluster.namespace(), name, dry_run).await? {
        ui.result(line)?;
    }
    let outcomes = join_all(objects.iter().map(async |object| {
        match dry_run {
            DryRun::Client => Ok(true),
            _ => {
                cluster
                    .delete_document(object, cluster.namespace(), dry_run == DryRun::Server)
                    .await
            }
        }
    }))
    .await;
    let mut failure = None;
    for (object, outcome) in objects.iter().zip(outcomes) {
        match outcome {
            Ok(_) => ui.result(write::line(
                &documents::reference(object),
                Outcome::Deleted,
                dry_run,
            ))?,
            Err(error) => failure = Some(error),
        }
    }
    failure.map_or(Ok(()), |error| {
        Err(error.hint("run the command again: it deletes what is left"))
    })
}
