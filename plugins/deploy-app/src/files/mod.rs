//! `deploy-app -f`: manifests that people keep, checked, applied, waited for and explained.

mod configuration;
mod images;
mod read;
#[cfg(test)]
mod tests;
mod verify;

use std::collections::BTreeMap;

use commons::apply::{DryRun, Outcome};
use commons::change::Change;
use commons::cli::{Context, Interrupt, blocking};
use commons::cluster::documents::{self, CLIENT_SIDE_APPLY, Writing};
use commons::cluster::{Right, refuse_lacking};
use commons::shell::shell;
use commons::{Cluster, Error, Result, Ui, printable};
use futures::future::{join_all, try_join_all};
use serde_json::Value;
use workload::Rollout;

use crate::flags::{FromFiles, Mode};
use crate::lint::{self, Around};
use crate::objects::{MANAGER, ROLES};
use crate::print;
use crate::write::{self, Write, Written};
use crate::{remedy, wait};

pub async fn run(context: &Context, args: FromFiles) -> Result<()> {
    deploy(context, args).await.map_err(remedy::of_write)
}

async fn deploy(context: &Context, args: FromFiles) -> Result<()> {
    let Context {
        cluster,
        ui,
        interrupt,
        ..
    } = context;
    let mode = args.mode;
    let namespace = cluster.namespace();
    let mut objects = {
        let (files, ui) = (args.files.clone(), ui.clone());
        blocking(move || read::read(&ui, &files)).await?
    };
    read::refuse_other_namespaces(&objects, namespace)?;
    read::refuse_twice(&objects)?;
    for change in images::set_images(&mut objects, &args.images)? {
        ui.status(change);
    }
    let progress = ui.progress(format!("Looking at {}", count(objects.len(), "object")));
    let (around, lacking, present) = futures::join!(
        Around::read(cluster, namespace, &objects, mode.dry_run != DryRun::None),
        lacking(cluster, &objects),
        try_join_all(
            objects
                .iter()
                .map(|object| cluster.get_document(object, namespace))
        )
    );
    let around = around?;
    drop(progress);
    if mode.dry_run != DryRun::None
        && let Some(unchecked) = unchecked(&objects)
    {
        ui.status(format!("not checked in a dry run: {unchecked}"));
    }
    let warnings = lint::tell(ui, &lint::of_manifests(&objects, &around), mode.strict)?;
    refuse_lacking(namespace, &lacking?, "deploying these files", ROLES)?;
    let present = present?;
    if mode.dry_run == DryRun::Client {
        return print_plan(ui, &mode, &objects, &present);
    }
    try_out(cluster, ui, &objects, &present, &mode).await?;
    let change = Change::new(cluster, namespace, mode.dry_run);
    let written = change
        .all_or_nothing(
            &interrupt.shield(),
            apply(ui, &change, &objects, &present, &mode),
        )
        .await?;
    if mode.dry_run == DryRun::Server {
        return print::written(ui, &mode, &written, None);
    }
    print::written(ui, &mode, &written, None)?;
    let is_new = written
        .iter()
        .all(|written| written.outcome == Outcome::Created);
    report(cluster, ui, interrupt, &mode, &objects, &written, warnings)
        .await
        .map_err(|error| stays(error, &args.files, namespace, is_new))
}

/// What others than the API server would have to be asked for.
fn unchecked(objects: &[Value]) -> Option<String> {
    let has_images = objects
        .iter()
        .any(|object| !lint::containers(object).is_empty());
    let has_hosts = objects.iter().any(|object| object["kind"] == "Ingress");
    let parts = [
        has_images.then_some("what registries say of the images"),
        has_hosts.then_some("whether new hosts are free"),
    ];
    let parts: Vec<&str> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", and "))
}

async fn lacking(cluster: &Cluster, objects: &[Value]) -> Result<Vec<Right>> {
    let mut needed: Vec<Right> = Vec::new();
    for (group, resource) in objects.iter().filter_map(documents::known_resource) {
        let right = Right::of("patch", group, resource);
        if !needed.contains(&right) {
            needed.push(Right::of("create", group, resource));
            needed.push(right);
        }
    }
    cluster.lacks(cluster.namespace(), &needed).await
}

/// Writes the objects, those of one kind at once, what others need first. Pods whose configuration changes are replaced: they
/// would not read it otherwise.
async fn apply(
    ui: &Ui,
    change: &Change,
    objects: &[Value],
    present: &[Option<Value>],
    mode: &Mode,
) -> Result<Vec<Written>> {
    let mut steps: BTreeMap<usize, Vec<(&Value, Option<&Value>)>> = BTreeMap::new();
    for (object, before) in objects.iter().zip(present) {
        steps
            .entry(read::rank(object))
            .or_default()
            .push((object, before.as_ref()));
    }
    let mut written: Vec<Written> = Vec::new();
    for step in steps.into_values() {
        let mut together = Vec::new();
        for (object, before) in step {
            let mut document = object.clone();
            if let Some(before) = before {
                let changed = configuration::changed(object, &written);
                if !changed.is_empty() && !change.is_dry() {
                    let names: Vec<String> = changed
                        .iter()
                        .map(|changed| documents::reference(changed))
                        .collect();
                    ui.status(format!(
                        "{} reads {}, which has changed: its pods are replaced.",
                        documents::reference(object),
                        names.join(", ")
                    ));
                }
                configuration::note(&mut document, before, &changed);
            }
            together.push(Write {
                document,
                before,
                writing: writing(mode),
            });
        }
        written.extend(write::write(change, together).await?);
    }
    Ok(written)
}

/// Lets the server check all of it before anything is written, so that no half is, and tells all that is wrong. What only fails
/// because it needs another object of these files, or a webhook that cannot be tried, is seen when it is written.
async fn try_out(
    cluster: &Cluster,
    ui: &Ui,
    objects: &[Value],
    present: &[Option<Value>],
    mode: &Mode,
) -> Result<()> {
    let tried = objects.iter().zip(present).map(async |(object, before)| {
        let write = Write {
            document: object.clone(),
            before: before.as_ref(),
            writing: writing(mode),
        };
        let tried = write::try_out(cluster, cluster.namespace(), &write).await;
        let failure = tried.err().filter(write::matters_when_tried)?;
        Some(explain_immutable(failure, object, cluster.namespace()))
    });
    let mut failures = join_all(tried).await.into_iter().flatten();
    let Some(last) = failures.next_back() else {
        return Ok(());
    };
    failures.for_each(|failure| ui.error(&failure));
    Err(last.note("nothing was deployed"))
}

/// How manifests are written: what `kubectl apply` or this command's flags have set is the files' from now on.
fn writing(mode: &Mode) -> Writing<'static> {
    Writing {
        force: mode.force,
        dry_run: false,
        takes_over: &[CLIENT_SIDE_APPLY, MANAGER],
    }
}

/// Some fields never change; then the object has to be made anew, which is for its owner to decide.
fn explain_immutable(error: Error, object: &Value, namespace: &str) -> Error {
    let mut causes = error.causes().iter();
    if !causes.any(|cause| cause.contains("field is immutable")) {
        return error;
    }
    let kind = object["kind"].as_str().unwrap_or_default().to_lowercase();
    let delete = shell("kubectl delete")
        .arg(kind)
        .arg(documents::name(object))
        .in_namespace(namespace);
    error.hint(format!(
        "that field cannot be changed: delete the object first, `{delete}`, then run the command again"
    ))
}

fn print_plan(ui: &Ui, mode: &Mode, objects: &[Value], present: &[Option<Value>]) -> Result<()> {
    let planned = objects.iter().zip(present).map(|(object, before)| Written {
        outcome: match before {
            None => Outcome::Created,
            Some(there) if documents::says_already(there, object) => Outcome::Unchanged,
            Some(_) => Outcome::Configured,
        },
        object: object.clone(),
    });
    print::written(ui, mode, &planned.collect::<Vec<_>>(), None)
}

/// Waits for all that runs, and says so.
async fn report(
    cluster: &Cluster,
    ui: &Ui,
    interrupt: &Interrupt,
    mode: &Mode,
    objects: &[Value],
    written: &[Written],
    warnings: usize,
) -> Result<()> {
    let namespace = cluster.namespace();
    let (stopped, started): (Vec<&Value>, Vec<&Value>) = objects
        .iter()
        .partition(|object| object["spec"]["replicas"] == 0);
    for object in stopped {
        ui.status(format!(
            "{} is stopped: it has no pods.",
            printable::line(documents::name(object))
        ));
    }
    let rollouts: Vec<Rollout> = started
        .into_iter()
        .filter_map(|object| {
            Some(Rollout {
                namespace: namespace.to_owned(),
                kind: match object["kind"].as_str()? {
                    "Deployment" => workload::Kind::Deployment,
                    "StatefulSet" => workload::Kind::StatefulSet,
                    "DaemonSet" => workload::Kind::DaemonSet,
                    "Pod" => workload::Kind::Pod,
                    _ => return None,
                },
                name: documents::name(object).to_owned(),
            })
        })
        .collect();
    if mode.wait && !rollouts.is_empty() {
        let ready = wait::until_ready(cluster, ui, interrupt, &rollouts, mode.timeout).await?;
        for (rollout, ready) in rollouts.iter().zip(ready) {
            ui.status(format!(
                "{} runs, {}.",
                rollout.name,
                count(usize::try_from(ready.replicas).unwrap_or(0), "pod")
            ));
        }
    }
    let urls = if mode.wait {
        verify::look(cluster, ui, interrupt, written).await?
    } else {
        Vec::new()
    };
    if warnings > 0 {
        ui.status(format!(
            "There {} above.",
            if warnings == 1 {
                "is a warning".into()
            } else {
                format!("are {warnings} warnings")
            }
        ));
    }
    match mode.output.output {
        None => urls.iter().try_for_each(|url| ui.result(url)),
        Some(_) => Ok(()),
    }
}

/// What does not come up stays, so that it can be looked at.
fn stays(error: Error, files: &[String], namespace: &str, is_new: bool) -> Error {
    if !is_new || files.iter().any(|file| file == "-") {
        return error;
    }
    let delete = files.iter().fold(shell("kubectl delete"), |delete, file| {
        delete.then("-f").arg(file)
    });
    error.hint(format!(
        "left in place for inspection; to delete it: `{}`",
        delete.in_namespace(namespace)
    ))
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
