//! `deploy-app -f`: manifests that people keep, checked, applied, waited for and explained.

use commons::shell::shell;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use commons::apply::{DryRun, Outcome, PlannedObject, line};
use commons::change::Change;
use commons::cli::{Context, Interrupt, blocking};
use commons::cluster::documents::{self, CLIENT_SIDE_APPLY, Writing};
use commons::cluster::{Right, refuse_lacking};
use commons::error::name_hint;
use commons::{Cluster, Error, Result, Ui, manifest, names, printable};
use futures::future::{join_all, try_join_all};
use serde_json::{Value, json};
use workload::Rollout;

use crate::flags::{FromFiles, Mode};
use crate::lint::untagged;
use crate::lint::{self, Around};
use crate::objects::{MANAGER, ROLES};
use crate::plan::CONFIG_HASH;
use crate::print::{self, shown};
use crate::write::{self, Write, Written};
use crate::{link, remedy, verify, wait};

/// The largest file that can be a manifest; etcd holds no object of more than 1.5 MiB.
const LIMIT: u64 = 16 * 1024 * 1024;

/// Fields that belong to one object in one cluster; a manifest that was exported has them.
const OF_THE_SERVER: [&str; 6] = [
    "managedFields",
    "resourceVersion",
    "uid",
    "creationTimestamp",
    "generation",
    "selfLink",
];

/// Kinds in the order in which they need each other.
const ORDER: [&str; 13] = [
    "Namespace",
    "CustomResourceDefinition",
    "ServiceAccount",
    "ResourceQuota",
    "LimitRange",
    "Secret",
    "ConfigMap",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Role",
    "RoleBinding",
    "NetworkPolicy",
    "Service",
];

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
        blocking(move || read(&ui, &files)).await?
    };
    refuse_other_namespaces(&objects, namespace)?;
    for change in set_images(&mut objects, &args.images)? {
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
    if mode.dry_run == DryRun::None && objects.len() > 1 {
        try_out(cluster, &objects, &present, &mode).await?;
    }
    let change = Change::new(cluster, namespace, mode.dry_run);
    let written = change
        .all_or_nothing(
            &interrupt.shield(),
            apply(ui, &change, &objects, &present, &mode),
        )
        .await
        .map_err(|error| explain_immutable(error, &objects, namespace))?;
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

/// Reads all files, in the order in which their objects need each other.
fn read(ui: &Ui, files: &[String]) -> Result<Vec<Value>> {
    let mut objects = Vec::new();
    for file in files {
        for path in paths(file)? {
            let shown = called(&path);
            link::warn(ui, &path);
            let text = text(&path)?;
            let found = manifest::read(&text)
                .map_err(|error| error.context(format!("cannot read {shown}")))?;
            objects.extend(found);
        }
    }
    if objects.is_empty() {
        return Err(Error::usage("there is no Kubernetes object in these files"));
    }
    for object in &mut objects {
        clean(object);
    }
    objects.sort_by_key(rank);
    Ok(objects)
}

/// The files that an argument of `-f` means, sorted: itself, or what a directory holds, as kubectl does.
fn paths(file: &str) -> Result<Vec<PathBuf>> {
    let shown = printable::short(file, 200);
    if file.starts_with("http://") || file.starts_with("https://") {
        return Err(
            Error::usage("manifests are read from files, not from addresses").hint(format!(
                "look at it first, then: `{}`",
                shell("curl -fsSL")
                    .arg(file)
                    .then("| kubectl deploy-app -f -")
            )),
        );
    }
    let path = Path::new(file);
    if file == "-" || !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    if path.join("kustomization.yaml").exists() || path.join("kustomization.yml").exists() {
        return Err(
            Error::usage(format!("`{shown}` is a kustomization")).hint(format!(
                "build it first: `{}`",
                shell("kubectl kustomize")
                    .arg(file)
                    .then("| kubectl deploy-app -f -")
            )),
        );
    }
    let entries = std::fs::read_dir(path).map_err(|error| {
        Error::usage(format!("cannot read `{shown}`")).caused_by(error.to_string())
    })?;
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.is_file()
                && path.extension().is_some_and(|extension| {
                    ["yaml", "yml", "json"]
                        .iter()
                        .any(|known| extension == *known)
                })
        })
        .collect();
    found.sort();
    if found.is_empty() {
        return Err(Error::usage(format!(
            "there is no `.yaml`, `.yml` or `.json` file in `{shown}`"
        )));
    }
    Ok(found)
}

/// A file in a sentence.
fn called(path: &Path) -> String {
    if path == Path::new("-") {
        "standard input".into()
    } else {
        format!("`{}`", printable::short(&path.to_string_lossy(), 200))
    }
}

fn text(path: &Path) -> Result<String> {
    let shown = called(path);
    let failed = |error: std::io::Error| {
        let why = match error.kind() {
            std::io::ErrorKind::NotFound => "there is no such file".into(),
            std::io::ErrorKind::InvalidData => "it is not UTF-8".into(),
            _ => error.to_string(),
        };
        Error::usage(format!("cannot read {shown}")).caused_by(why)
    };
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(LIMIT + 1)
            .read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(LIMIT + 1).read_to_string(&mut text))
    }
    .map_err(failed)?;
    if text.len() as u64 > LIMIT {
        return Err(Error::usage(format!("{shown} has more than 16 MiB"))
            .hint("deploy it in several files"));
    }
    Ok(text)
}

/// Takes out what an export has and nobody writes.
fn clean(object: &mut Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in OF_THE_SERVER {
            metadata.remove(field);
        }
        if let Some(annotations) = metadata
            .get_mut("annotations")
            .and_then(Value::as_object_mut)
        {
            annotations.remove(print::LAST_APPLIED);
        }
    }
}

/// What others need comes first, Ingresses and what is unknown last.
fn rank(object: &Value) -> usize {
    let kind = object["kind"].as_str().unwrap_or_default();
    let runs = matches!(
        kind,
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Pod" | "Job" | "CronJob"
    );
    match ORDER.iter().position(|known| *known == kind) {
        Some(position) => position,
        None if runs => ORDER.len(),
        None => ORDER.len() + 1,
    }
}

/// One namespace a run, and the one that was asked for.
fn refuse_other_namespaces(objects: &[Value], namespace: &str) -> Result<()> {
    let other = objects.iter().find_map(|object| {
        object["metadata"]["namespace"]
            .as_str()
            .filter(|other| *other != namespace)
    });
    let Some(other) = other else {
        return Ok(());
    };
    let how = if names::is_name(other) {
        format!(
            "if that is meant: `{}`; else remove `metadata.namespace` from the files",
            shell("-n").arg(other)
        )
    } else {
        "remove `metadata.namespace` from the files".to_owned()
    };
    let other = printable::short(other, 80);
    Err(Error::usage(format!(
        "the files are for namespace `{other}`, and you are in `{namespace}`"
    ))
    .caused_by("`metadata.namespace` says so")
    .hint(how))
}

/// Puts the images of `--image` in the place of those in the files; a line for each change.
fn set_images(objects: &mut [Value], images: &[String]) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for wanted in images {
        // A container's name has no `/`, `:` or `.` in it, so what stands before `=` is one.
        let (only, image) = match wanted.split_once('=') {
            Some((container, image)) => (Some(container), image),
            None => (None, wanted.as_str()),
        };
        if image.is_empty() {
            return Err(Error::usage("`--image` is empty")
                .caused_by("a variable of the pipeline may not be set"));
        }
        let mut all: Vec<(String, String, &mut Value)> = Vec::new();
        for object in objects.iter_mut() {
            let called = format!(
                "{}/{}",
                object["kind"].as_str().unwrap_or_default().to_lowercase(),
                documents::name(object)
            );
            all.extend(
                images_of(object)
                    .into_iter()
                    .map(|(container, image)| (called.clone(), container, image)),
            );
        }
        let names: Vec<String> = all
            .iter()
            .map(|(_, container, _)| container.clone())
            .collect();
        let choices = || {
            let listed: Vec<String> = all
                .iter()
                .map(|(object, container, image)| {
                    format!(
                        "{container} ({}, in {object})",
                        printable::short(image.as_str().unwrap_or_default(), 80)
                    )
                })
                .collect();
            listed.join(", ")
        };
        let same_name =
            |there: &Value| untagged(there.as_str().unwrap_or_default()).0 == untagged(image).0;
        let meant: Vec<usize> = match only {
            Some(container) => positions(&all, |(_, name, _)| name == container),
            None if all.len() == 1 => vec![0],
            None => positions(&all, |(_, _, there)| same_name(there)),
        };
        if meant.is_empty() {
            return Err(match only {
                Some(container) => {
                    let error = Error::usage(format!(
                        "no container is called `{}`",
                        printable::short(container, 80)
                    ));
                    match name_hint(container, names.iter().map(String::as_str)) {
                        Some(hint) => error.hint(hint),
                        None => error,
                    }
                }
                None if all.is_empty() => {
                    Error::usage("`--image` has no place: nothing in these files runs an image")
                }
                None => Error::usage(format!(
                    "which container is `{}` for?",
                    printable::short(image, 120)
                ))
                .caused_by(format!("there are: {}", choices()))
                .hint(format!(
                    "name it: `{}`",
                    shell("--image").arg(format!("{}={image}", names[0]))
                )),
            });
        }
        for position in meant {
            let (object, _, there) = &mut all[position];
            let before = there.as_str().unwrap_or_default();
            if before != image {
                lines.push(format!(
                    "{object}: image: {} -> {}",
                    printable::short(before, 120),
                    printable::short(image, 120)
                ));
                **there = image.into();
            }
        }
    }
    Ok(lines)
}

fn positions<T>(all: &[T], fits: impl Fn(&T) -> bool) -> Vec<usize> {
    all.iter()
        .enumerate()
        .filter(|(_, item)| fits(item))
        .map(|(position, _)| position)
        .collect()
}

/// The images of an object's containers, by the container's name. A file may hold anything in any field: what is not as it should
/// be has none, and the cluster says why.
fn images_of(object: &mut Value) -> Vec<(String, &mut Value)> {
    let pod = match object["kind"].as_str() {
        Some("Pod") => "/spec",
        Some("Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job") => {
            "/spec/template/spec"
        }
        Some("CronJob") => "/spec/jobTemplate/spec/template/spec",
        _ => return Vec::new(),
    };
    let Some(pod) = object.pointer_mut(pod).and_then(Value::as_object_mut) else {
        return Vec::new();
    };
    pod.iter_mut()
        .filter(|(field, _)| matches!(field.as_str(), "containers" | "initContainers"))
        .filter_map(|(_, containers)| containers.as_array_mut())
        .flatten()
        .filter_map(|container| {
            let name = container["name"].as_str().unwrap_or_default().to_owned();
            Some((
                name,
                container
                    .as_object_mut()?
                    .entry("image")
                    .or_insert(Value::Null),
            ))
        })
        .collect()
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
            .entry(rank(object))
            .or_default()
            .push((object, before.as_ref()));
    }
    let mut written: Vec<Written> = Vec::new();
    for step in steps.into_values() {
        let mut together = Vec::new();
        for (object, before) in step {
            let mut document = object.clone();
            if let Some(before) = before {
                let changed = changed_configuration(object, &written);
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
                note_configuration(&mut document, before, &changed);
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

/// The ConfigMaps and Secrets that an object's pods read and that this run has changed.
fn changed_configuration<'a>(object: &Value, written: &'a [Written]) -> Vec<&'a Value> {
    let read = lint::references(object);
    written
        .iter()
        .filter(|written| written.outcome == Outcome::Configured)
        .map(|written| &written.object)
        .filter(|config| {
            read.iter()
                .any(|(kind, name)| config["kind"] == *kind && documents::name(config) == name)
        })
        .collect()
}

/// Gives the pods another annotation when their configuration has changed, and leaves them the one they have when not.
fn note_configuration(document: &mut Value, before: &Value, changed: &[&Value]) {
    if !matches!(
        document["kind"].as_str(),
        Some("Deployment" | "StatefulSet" | "DaemonSet")
    ) {
        return;
    }
    let has = &before["spec"]["template"]["metadata"]["annotations"][CONFIG_HASH];
    let versions: Vec<&str> = changed
        .iter()
        .filter_map(|changed| changed["metadata"]["resourceVersion"].as_str())
        .collect();
    let note = match (versions.is_empty(), has.as_str()) {
        (false, _) => versions.join("-"),
        (true, Some(has)) => has.to_owned(),
        (true, None) => return,
    };
    let annotations = document
        .pointer_mut("/spec/template")
        .and_then(|template| within(template, "metadata"))
        .and_then(|metadata| within(metadata, "annotations"))
        .and_then(Value::as_object_mut);
    if let Some(annotations) = annotations {
        annotations.insert(CONFIG_HASH.to_owned(), note.into());
    }
}

/// A field of an object, which becomes an object where it is missing or empty; nothing where it is a field of none.
fn within<'a>(object: &'a mut Value, field: &str) -> Option<&'a mut Value> {
    let value = object.as_object_mut()?.entry(field).or_insert(Value::Null);
    if value.is_null() {
        *value = json!({});
    }
    Some(value)
}

/// Lets the server check all of it before anything is written, so that no half is. What only fails because it needs another
/// object of these files, or a webhook that cannot be tried, is seen when it is written.
async fn try_out(
    cluster: &Cluster,
    objects: &[Value],
    present: &[Option<Value>],
    mode: &Mode,
) -> Result<()> {
    let tried = join_all(objects.iter().zip(present).map(async |(object, before)| {
        let write = Write {
            document: object.clone(),
            before: before.as_ref(),
            writing: writing(mode),
        };
        write::try_out(cluster, cluster.namespace(), &write).await
    }))
    .await;
    match tried
        .into_iter()
        .filter_map(Result::err)
        .find(write::matters_when_tried)
    {
        Some(error) => {
            Err(explain_immutable(error, objects, cluster.namespace())
                .context("nothing was deployed"))
        }
        None => Ok(()),
    }
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
fn explain_immutable(error: Error, objects: &[Value], namespace: &str) -> Error {
    let says = |text: &str| {
        error.message().contains(text) || error.causes().iter().any(|cause| cause.contains(text))
    };
    if !says("field is immutable") {
        return error;
    }
    let kind = |object: &Value| object["kind"].as_str().unwrap_or_default().to_lowercase();
    let meant = objects
        .iter()
        .find(|object| says(&format!("{} `{}`", kind(object), documents::name(object))));
    let delete = shell("kubectl delete");
    let delete = match meant {
        Some(object) => delete.arg(kind(object)).arg(documents::name(object)),
        None => delete.then("-f FILE"),
    };
    error.hint(format!(
        "that field cannot be changed: delete the object first, `{}`, then run the command again",
        delete.in_namespace(namespace)
    ))
}

fn print_plan(ui: &Ui, mode: &Mode, objects: &[Value], present: &[Option<Value>]) -> Result<()> {
    let planned: Vec<PlannedObject> = objects
        .iter()
        .zip(present)
        .map(|(object, before)| {
            let outcome = match before {
                None => Outcome::Created,
                Some(there) if documents::says_already(there, object) => Outcome::Unchanged,
                Some(_) => Outcome::Configured,
            };
            PlannedObject {
                line: line(&documents::reference(object), outcome, mode.dry_run),
                document: shown(object),
            }
        })
        .collect();
    print::objects(ui, mode, &planned)
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment(name: &str, containers: &[(&str, &str)]) -> Value {
        let containers: Vec<Value> = containers
            .iter()
            .map(|(name, image)| json!({"name": name, "image": image}))
            .collect();
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {"template": {"spec": {"containers": containers}}}})
    }

    fn images(objects: &[Value]) -> Vec<&str> {
        objects
            .iter()
            .flat_map(|object| {
                object["spec"]["template"]["spec"]["containers"]
                    .as_array()
                    .into_iter()
                    .flatten()
            })
            .filter_map(|container| container["image"].as_str())
            .collect()
    }

    #[test]
    fn the_only_container_gets_the_image() {
        let mut objects = [deployment("web", &[("web", "IMAGE")])];
        let lines = set_images(&mut objects, &["r.test/web:2".into()]).expect("lines");
        assert_eq!(lines, ["deployment/web: image: IMAGE -> r.test/web:2"]);
        assert_eq!(images(&objects), ["r.test/web:2"]);
        assert_eq!(
            set_images(&mut objects, &["r.test/web:2".into()])
                .expect("lines")
                .len(),
            0
        );
    }

    #[test]
    fn among_several_the_one_of_that_name_or_the_one_that_is_named() {
        let two = || {
            vec![
                deployment(
                    "back",
                    &[("back", "r.test:5000/back:1"), ("proxy", "nginx:1")],
                ),
                deployment("front", &[("front", "r.test:5000/front:1")]),
            ]
        };
        let mut objects = two();
        set_images(
            &mut objects,
            &["r.test:5000/front:2".into(), "r.test:5000/back:2".into()],
        )
        .expect("both are known by name");
        assert_eq!(
            images(&objects),
            ["r.test:5000/back:2", "nginx:1", "r.test:5000/front:2"]
        );
        let mut objects = two();
        set_images(&mut objects, &["proxy=caddy:2".into()]).expect("named");
        assert_eq!(images(&objects)[1], "caddy:2");
        let error = set_images(&mut two(), &["other:1".into()]).expect_err("which one?");
        assert_eq!(error.hints(), ["name it: `--image back=other:1`"]);
        let error = set_images(&mut two(), &["frnt=x:1".into()]).expect_err("no such container");
        assert_eq!(error.hints(), ["did you mean `front`?"]);
        assert!(
            set_images(&mut two(), &[String::new()]).is_err(),
            "a variable that is not set"
        );
    }

    #[test]
    fn other_namespaces_are_refused_with_the_way() {
        let mut object = deployment("web", &[]);
        object["metadata"]["namespace"] = "user-bob".into();
        assert!(refuse_other_namespaces(std::slice::from_ref(&object), "user-bob").is_ok());
        let error = refuse_other_namespaces(&[object], "user-alice").expect_err("another");
        assert!(error.hints()[0].contains("`-n user-bob`"));
    }

    #[test]
    fn pods_are_replaced_when_what_they_read_has_changed() {
        let written = |outcome, version: &str| Written {
            outcome,
            object: json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "resourceVersion": version}}),
        };
        let mut object = deployment("web", &[("web", "web:1")]);
        object["spec"]["template"]["spec"]["containers"][0]["envFrom"] =
            json!([{"configMapRef": {"name": "c"}}]);
        let noted = |before: &Value, written: &[Written]| {
            let mut document = object.clone();
            note_configuration(
                &mut document,
                before,
                &changed_configuration(&object, written),
            );
            document["spec"]["template"]["metadata"]["annotations"][CONFIG_HASH].clone()
        };
        let mut before = object.clone();
        assert_eq!(
            noted(&before, &[written(Outcome::Unchanged, "1")]),
            Value::Null,
            "no reason to touch it"
        );
        assert_eq!(noted(&before, &[written(Outcome::Configured, "7")]), "7");
        before["spec"]["template"]["metadata"]["annotations"][CONFIG_HASH] = "7".into();
        assert_eq!(
            noted(&before, &[written(Outcome::Unchanged, "7")]),
            "7",
            "it stays, so nothing restarts"
        );
        assert_eq!(noted(&before, &[written(Outcome::Configured, "9")]), "9");
    }

    /// Objects with something else in the place of each field on the way to an image.
    fn odd() -> Vec<Value> {
        let odd = [
            json!("hello"),
            json!([1]),
            json!(7),
            json!(true),
            Value::Null,
            json!({}),
            json!({"a": {"b": 1}}),
        ];
        let kinds = [
            "Pod",
            "Deployment",
            "StatefulSet",
            "Job",
            "CronJob",
            "ConfigMap",
        ];
        let places = [
            "/spec",
            "/spec/template",
            "/spec/template/metadata",
            "/spec/template/metadata/annotations",
            "/spec/template/spec",
            "/spec/template/spec/containers",
            "/spec/template/spec/containers/0",
            "/spec/template/spec/containers/0/image",
            "/spec/template/spec/containers/0/name",
            "/spec/jobTemplate",
            "/spec/jobTemplate/spec",
            "/spec/jobTemplate/spec/template",
            "/metadata/annotations",
            "/metadata/labels",
            "/status",
        ];
        let mut whole = deployment("web", &[("web", "web:1")]);
        whole["metadata"] = json!({"name": "web", "annotations": {}, "labels": {}});
        whole["spec"]["template"]["metadata"] = json!({"annotations": {}});
        whole["spec"]["jobTemplate"] = json!({"spec": {"template": {"spec": {}}}});
        let mut objects = Vec::new();
        for kind in kinds {
            for place in places {
                for value in &odd {
                    let mut object = whole.clone();
                    object["kind"] = kind.into();
                    if let Some(there) = object.pointer_mut(place) {
                        there.clone_from(value);
                        objects.push(object);
                    }
                }
            }
        }
        objects
    }

    #[test]
    fn odd_objects_are_left_to_the_cluster() {
        let config = Written {
            outcome: Outcome::Configured,
            object: json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "resourceVersion": "7"}}),
        };
        let odd = odd();
        assert!(odd.len() > 300, "{}", odd.len());
        for object in odd {
            for image in ["web:2", "web=web:2"] {
                let mut changed = [object.clone()];
                let _ = set_images(&mut changed, &[image.into()]);
            }
            let mut cleaned = object.clone();
            clean(&mut cleaned);
            let _ = (rank(&object), shown(&object));
            let _ = refuse_other_namespaces(std::slice::from_ref(&object), "a");
            let _ = changed_configuration(&object, std::slice::from_ref(&config));
            let mut noted = object.clone();
            note_configuration(&mut noted, &object, &[&config.object]);
            let _ = explain_immutable(Error::new("field is immutable"), &[object], "a");
        }
    }

    #[test]
    fn what_an_export_has_goes_and_what_is_needed_comes_first() {
        let mut object = json!({"kind": "Service", "metadata": {"name": "web", "uid": "1", "resourceVersion": "2", "labels": {"a": "b"}}, "status": {}});
        clean(&mut object);
        assert_eq!(
            object,
            json!({"kind": "Service", "metadata": {"name": "web", "labels": {"a": "b"}}})
        );
        let mut kinds = ["Ingress", "Deployment", "Service", "ConfigMap", "Widget"]
            .map(|kind| json!({"kind": kind}));
        kinds.sort_by_key(rank);
        let sorted: Vec<&str> = kinds
            .iter()
            .filter_map(|object| object["kind"].as_str())
            .collect();
        assert_eq!(
            sorted,
            ["ConfigMap", "Service", "Deployment", "Ingress", "Widget"]
        );
    }
}
