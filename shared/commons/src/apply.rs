//! Which objects are ours, and how what becomes of them is printed.

use kube::ResourceExt;
use kube::core::ObjectMeta;
use serde::Serialize;

use crate::cluster::Namespaced;
use crate::error::{Error, Result};
use crate::manifest;
use crate::output::{self, Format};
use crate::printable;
use crate::shell::shell;
use crate::ui::Ui;

/// The label by which our objects are known; its value is the plugin's field manager.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// `--dry-run`, as kubectl's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum DryRun {
    /// Write.
    #[default]
    None,
    /// Print what would be written; the cluster is only read.
    Client,
    /// Send it to the API server, which checks it and stores nothing.
    Server,
}

/// The flag `--dry-run`, the same everywhere.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct DryRunFlags {
    /// Write nothing: print what would be written (client), or let the server check it (server)
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, require_equals = true, default_missing_value = "client", value_name = "WHERE", hide_default_value = true)]
    pub dry_run: DryRun,
}

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is new.
    Created,
    /// It was there and is different now.
    Configured,
    /// It was there and is the same.
    Unchanged,
    /// It is gone.
    Deleted,
}

/// A line as kubectl prints it: `role.rbac.authorization.k8s.io/pg created (dry run)`.
pub fn change_line<K: Namespaced>(name: &str, outcome: Outcome, dry_run: DryRun) -> String {
    line(&reference::<K>(name), outcome, dry_run)
}

/// The same of an object that says itself what it is: `deployment.apps/web`.
pub fn line(reference: &str, outcome: Outcome, dry_run: DryRun) -> String {
    let outcome = match outcome {
        Outcome::Created => "created",
        Outcome::Configured => "configured",
        Outcome::Unchanged => "unchanged",
        Outcome::Deleted => "deleted",
    };
    let dry = match dry_run {
        DryRun::None => "",
        DryRun::Client => " (dry run)",
        DryRun::Server => " (server dry run)",
    };
    format!("{reference} {outcome}{dry}")
}

/// An object as kubectl names it: `role.rbac.authorization.k8s.io/pg`.
pub fn reference<K: Namespaced>(name: &str) -> String {
    let (group, kind) = (K::group(&()), K::kind(&()).to_lowercase());
    let dot = if group.is_empty() { "" } else { "." };
    format!("{kind}{dot}{group}/{name}")
}

/// Whether an object was made by this plugin.
pub fn is_ours(metadata: &ObjectMeta, manager: &str) -> bool {
    metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(MANAGED_BY))
        .is_some_and(|by| by == manager)
}

/// Refuses to touch an object of somebody else.
///
/// # Errors
/// Whose it is, as far as its labels and managers tell.
pub fn refuse_foreign<K: Namespaced>(existing: Option<&K>, manager: &str) -> Result<()> {
    let Some(existing) = existing else {
        return Ok(());
    };
    if is_ours(existing.meta(), manager) {
        return Ok(());
    }
    let kind = K::kind(&()).to_lowercase();
    let by = existing
        .labels()
        .get(MANAGED_BY)
        .map(|by| printable::short(by, 80))
        .or_else(|| {
            existing
                .managed_fields()
                .iter()
                .find_map(|entry| entry.manager.as_deref())
                .map(|by| printable::short(by, 80))
        })
        .map_or_else(
            || "it does not say who made it".to_owned(),
            |by| format!("it was made by `{by}`"),
        );
    Err(Error::new(format!(
        "{kind} `{}` exists already and is not this command's",
        existing.name_any()
    ))
    .caused_by(by)
    .hint(format!(
        "if you do not need it: `{}`",
        shell("kubectl delete")
            .arg(kind)
            .arg(existing.name_any())
            .in_namespace(existing.namespace().unwrap_or_default())
    )))
}

/// Prints the objects of a plan as kubectl would: as documents, or a line each; YAML with the fields in the order in which people
/// write them.
///
/// # Errors
/// When they cannot be written.
pub fn print_objects(ui: &Ui, format: Option<Format>, objects: &[PlannedObject]) -> Result<()> {
    match format {
        Some(Format::Json) => {
            let items: Vec<_> = objects.iter().map(|object| &object.document).collect();
            output::document(
                ui,
                format,
                &serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items}),
            )
        }
        Some(Format::Yaml) => {
            let documents = objects.iter().map(|object| object.document.clone());
            let text = manifest::write(&documents.collect::<Vec<_>>())?;
            ui.result(text.trim_end())
        }
        Some(Format::Name) => objects
            .iter()
            .try_for_each(|object| ui.result(object.line.split(' ').next().unwrap_or_default())),
        None | Some(Format::Wide) => objects
            .iter()
            .try_for_each(|object| ui.result(&object.line)),
    }
}

/// An object of a plan, ready to be printed.
#[derive(Clone, Debug)]
pub struct PlannedObject {
    /// Its change line.
    pub line: String,
    /// The object itself.
    pub document: serde_json::Value,
}

impl PlannedObject {
    /// From an object and what would become of it.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn new<K: Namespaced + Serialize>(
        object: &K,
        outcome: Outcome,
        dry_run: DryRun,
    ) -> Result<Self> {
        let mut document = serde_json::to_value(object)
            .map_err(|error| Error::new("cannot write JSON").caused_by(error.to_string()))?;
        if let Some(fields) = document.as_object_mut() {
            fields
                .entry("apiVersion")
                .or_insert_with(|| K::api_version(&()).into());
            fields.entry("kind").or_insert_with(|| K::kind(&()).into());
        }
        Ok(Self {
            line: change_line::<K>(&object.name_any(), outcome, dry_run),
            document,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;
    use k8s_openapi::api::rbac::v1::Role;

    #[test]
    fn lines_are_kubectls() {
        assert_eq!(
            change_line::<Role>("pg", Outcome::Created, DryRun::Client),
            "role.rbac.authorization.k8s.io/pg created (dry run)"
        );
        assert_eq!(
            change_line::<ConfigMap>("pg", Outcome::Unchanged, DryRun::None),
            "configmap/pg unchanged"
        );
    }

    #[test]
    fn what_is_not_ours_is_refused_and_named() {
        let mut theirs = ConfigMap::default();
        theirs.metadata.name = Some("pg".into());
        theirs
            .labels_mut()
            .insert(MANAGED_BY.into(), "Helm\u{1b}[2J".into());
        let error = refuse_foreign(Some(&theirs), "kubectl-share-db").err();
        assert_eq!(
            error.map(|error| error.causes().to_vec()),
            Some(vec!["it was made by `Helm[2J`".to_owned()])
        );
        theirs
            .labels_mut()
            .insert(MANAGED_BY.into(), "kubectl-share-db".into());
        assert!(refuse_foreign(Some(&theirs), "kubectl-share-db").is_ok());
    }
}
