//! Manifests as they are read: from files, a directory or standard input, without what an export adds, in the order of writing.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use commons::cluster::documents;
use commons::shell::shell;
use commons::{Error, Result, Ui, manifest, names, printable};
use serde_json::Value;

use crate::{link, lint, print};

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

/// Reads all files, in the order in which their objects need each other.
pub fn read(ui: &Ui, files: &[String]) -> Result<Vec<Value>> {
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
pub fn clean(object: &mut Value) {
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
pub fn rank(object: &Value) -> usize {
    let kind = object["kind"].as_str().unwrap_or_default();
    let runs = lint::template_path(kind).is_some();
    match ORDER.iter().position(|known| *known == kind) {
        Some(position) => position,
        None if runs => ORDER.len(),
        None => ORDER.len() + 1,
    }
}

/// One namespace a run, and the one that was asked for.
pub fn refuse_other_namespaces(objects: &[Value], namespace: &str) -> Result<()> {
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

/// One definition of each object.
pub fn refuse_twice(objects: &[Value]) -> Result<()> {
    let mut seen = BTreeSet::new();
    let twice = objects
        .iter()
        .map(documents::reference)
        .find(|object| !seen.insert(object.clone()));
    twice.map_or(Ok(()), |object| {
        let object = printable::short(&object, 200);
        Err(
            Error::usage(format!("{object} is defined twice in the files"))
                .hint("keep one of them"),
        )
    })
}
