//! `deploy-app delete`: takes away what was made for an app, and nothing else.

use commons::apply::{DryRun, DryRunFlags, MANAGED_BY, Outcome, line};
use commons::cli::Context;
use commons::cluster::documents;
use commons::{Cluster, Error, Kind, Result, Ui, error::name_hint, names};
use futures::future::{join_all, try_join_all};
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use serde_json::Value;

use crate::expose;
use crate::objects::{Documents, MANAGER, NAME, is_from_files, typed};
use commons::shell::{Shell, shell};

/// Delete an app: what this command made for it, and nothing else
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The app
    #[arg(value_name = "NAME", conflicts_with = "all")]
    names: Vec<String>,
    /// Every app of the namespace that was deployed with this command by name
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
    if args.names.is_empty() && !args.all {
        let delete = shell("kubectl deploy-app delete");
        return Err(Error::usage("missing NAME")
            .hint(format!(
                "delete all of them: `{}`",
                delete.then("--all").option("-n", cluster.named())
            ))
            .hint(format!("list them: `{}`", list(cluster))));
    }
    let typed: Vec<String> = if args.all {
        present(cluster).await?
    } else {
        args.names
            .iter()
            .map(|name| bare(name).to_owned())
            .collect()
    };
    if typed.is_empty() {
        ui.status(format!(
            "Nothing is deployed by name with this command in namespace {}.",
            cluster.namespace()
        ));
    }
    if let Some(name) = typed.iter().find(|name| !names::is_name(name)) {
        return Err(Error::usage(format!(
            "`{}` cannot be the name of an app",
            commons::printable::short(name, 80)
        )));
    }
    let found = try_join_all(typed.iter().map(|name| find(cluster, name))).await?;
    for (name, objects) in typed.iter().zip(&found) {
        if objects.is_empty() && !args.ignore_not_found {
            return Err(not_found(cluster, name).await);
        }
    }
    for (name, objects) in typed.iter().zip(found) {
        delete(cluster, ui, name, &objects, args.dry_run.dry_run).await?;
    }
    Ok(())
}

/// The name of an app that was typed as kubectl names its Deployment.
fn bare(name: &str) -> &str {
    let kinds = ["deployment/", "deployments/", "deploy/", "deployment.apps/"];
    kinds
        .iter()
        .find_map(|kind| name.strip_prefix(kind))
        .unwrap_or(name)
}

/// The apps that there are.
async fn present(cluster: &Cluster) -> Result<Vec<String>> {
    let labels = format!("{MANAGED_BY}={MANAGER}");
    let deployments: Vec<Deployment> = cluster.list(cluster.namespace(), &labels).await?;
    Ok(deployments.iter().map(ResourceExt::name_any).collect())
}

/// The objects of an app that are ours; one of its name that is somebody else's stops it where it is the app itself.
async fn find(cluster: &Cluster, name: &str) -> Result<Vec<Value>> {
    let documents = Documents::read(cluster, name).await?;
    let ours = |object: &Value| {
        let labels = &object["metadata"]["labels"];
        labels[MANAGED_BY] == MANAGER && labels[NAME] == name
    };
    if let Some(document) = documents.deployment.as_ref().filter(|there| !ours(there)) {
        let deployment: Option<Deployment> = typed(Some(document))?;
        if deployment.as_ref().is_some_and(is_from_files) {
            return Err(Error::new(format!(
                "{name} was deployed from files, so it is not deleted by its name"
            ))
            .hint(format!(
                "delete it with them: `{}`",
                shell("kubectl delete -f FILE").in_namespace(cluster.namespace())
            )));
        }
        return Err(Error::new(format!(
            "deployment `{name}` was not made by this command, so it is not deleted"
        ))
        .hint(format!(
            "if you want it gone: `{}`",
            shell("kubectl delete deployment")
                .arg(name)
                .in_namespace(cluster.namespace())
        )));
    }
    Ok(documents.into_all().filter(ours).collect())
}

/// The command that shows what there is.
fn list(cluster: &Cluster) -> Shell {
    shell("kubectl deploy-app list").option("-n", cluster.named())
}

async fn not_found(cluster: &Cluster, name: &str) -> Error {
    let apps = present(cluster).await.unwrap_or_default();
    let error = Error::of(
        Kind::NotFound,
        format!("no app `{name}` in namespace `{}`", cluster.namespace()),
    );
    match name_hint(name, apps.iter().map(String::as_str)) {
        Some(hint) => error.hint(hint),
        None => error.hint(format!("see what there is: `{}`", list(cluster))),
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
            Ok(_) => ui.result(line(
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
