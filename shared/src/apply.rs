//! Writing objects that are ours, and leaving alone all that are not.

use kube::ResourceExt;
use kube::core::ObjectMeta;
use serde::Serialize;
use serde_json::Value;

use crate::cluster::{Cluster, Namespaced};
use crate::error::{Error, Result};
use crate::json;
use crate::output::{self, Format};
use crate::printable;
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
    let group = K::group(&());
    let kind = K::kind(&()).to_lowercase();
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
    format!(
        "{kind}{}{group}/{name} {outcome}{dry}",
        if group.is_empty() { "" } else { "." }
    )
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
        "rename or delete it if it is yours: `kubectl delete {kind} {} -n {}`",
        existing.name_any(),
        existing.namespace().unwrap_or_default()
    )))
}

/// Makes an object what it is to be, and tells what became of it; `existing` is what was read before.
///
/// A new object is created. One of ours that is there gets our fields back as they are to be, whoever changed them, keeps
/// what others added to its metadata, and is not written at all where nothing differs. What the server answers is compared
/// with what was sent.
///
/// # Errors
/// [`refuse_foreign`]'s; [`crate::Kind::Conflict`] when somebody changed it since it was read; the API server's refusals; when
/// the cluster has written something else. `created` is told of what was created, also
/// then.
pub async fn apply<K: Namespaced>(
    cluster: &Cluster,
    namespace: &str,
    object: &K,
    existing: Option<&K>,
    dry_run: bool,
    created: impl FnOnce(&K),
) -> Result<Outcome> {
    let Some(existing) = existing else {
        let stored = cluster.create(namespace, object, dry_run).await?;
        created(&stored);
        as_asked(&stored, object)?;
        return Ok(Outcome::Created);
    };
    refuse_foreign(Some(existing), cluster.manager())?;
    let before = to_json(existing)?;
    let after = with_fields_of(&before, &to_json(object)?);
    if before == after {
        return Ok(Outcome::Unchanged);
    }
    let merged: K = json::from_value(&after).map_err(|error| {
        Error::new("cannot put an object together").caused_by(error.to_string())
    })?;
    as_asked(&cluster.replace(namespace, &merged, dry_run).await?, object)?;
    Ok(Outcome::Configured)
}

/// Compares what the server stored with what it was asked to store: a policy of the cluster may change what is written.
///
/// # Errors
/// When a field that was asked for is missing or says something else.
fn as_asked<K: Namespaced>(stored: &K, asked: &K) -> Result<()> {
    if is_as_wanted(stored, asked)? {
        return Ok(());
    }
    Err(Error::new(format!(
        "the cluster changed {} `{}` while it was written",
        K::kind(&()).to_lowercase(),
        asked.name_any()
    ))
    .caused_by("a policy (an admission webhook, Kyverno, Gatekeeper) rewrites it, so that it would not say what was asked for")
    .hint("ask who runs the cluster"))
}

/// As [`apply`], for kinds whose empty fields the API server fills in: such fields are no difference, unless they are ours.
/// The object as it is then comes back too.
///
/// # Errors
/// Those of [`apply`].
pub async fn apply_defaulted<K: Namespaced>(
    cluster: &Cluster,
    namespace: &str,
    object: &K,
    existing: Option<&K>,
    dry_run: bool,
) -> Result<(Outcome, K)> {
    let Some(existing) = existing else {
        return Ok((
            Outcome::Created,
            cluster.create(namespace, object, dry_run).await?,
        ));
    };
    refuse_foreign(Some(existing), cluster.manager())?;
    if is_as_wanted(existing, object)? {
        return Ok((Outcome::Unchanged, existing.clone()));
    }
    let after = with_fields_of(&to_json(existing)?, &to_json(object)?);
    let object: K = json::from_value(&after).map_err(|error| {
        Error::new("cannot put an object together").caused_by(error.to_string())
    })?;
    Ok((
        Outcome::Configured,
        cluster.replace(namespace, &object, dry_run).await?,
    ))
}

/// Whether an object has every field that it is to have, whatever else it has.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn is_as_wanted<K: Serialize>(existing: &K, wanted: &K) -> Result<bool> {
    Ok(holds(&to_json(existing)?, &to_json(wanted)?))
}

/// Whether `there` has all that is `wanted`. An empty list and none are the same; lists are compared whole, item by item.
fn holds(there: &Value, wanted: &Value) -> bool {
    match (there, wanted) {
        (Value::Object(there), Value::Object(wanted)) => wanted
            .iter()
            .all(|(field, wanted)| holds(there.get(field).unwrap_or(&Value::Null), wanted)),
        (Value::Null, Value::Array(wanted)) => wanted.is_empty(),
        (Value::Null, Value::Object(wanted)) => wanted.is_empty(),
        (Value::Array(there), Value::Array(wanted)) => {
            there.len() == wanted.len()
                && there
                    .iter()
                    .zip(wanted)
                    .all(|(there, wanted)| holds(there, wanted))
        }
        _ => there == wanted,
    }
}

fn to_json<K: Serialize>(object: &K) -> Result<Value> {
    json::to_value(object)
        .map_err(|error| Error::new("cannot write JSON").caused_by(error.to_string()))
}

/// What is there with the fields that are to be: whole ones outside the metadata, single labels and annotations in it.
fn with_fields_of(there: &Value, wanted: &Value) -> Value {
    let mut merged = there.clone();
    for (field, value) in wanted.as_object().into_iter().flatten() {
        if field == "metadata" {
            for (field, value) in value.as_object().into_iter().flatten() {
                match (&mut merged["metadata"][field], value) {
                    (Value::Object(present), Value::Object(wanted)) => {
                        present.extend(wanted.clone());
                    }
                    (present, value) => *present = value.clone(),
                }
            }
        } else {
            merged[field] = value.clone();
        }
    }
    merged
}

/// Prints the objects of a plan as kubectl would: as documents, or a line each.
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
            for (position, object) in objects.iter().enumerate() {
                if position > 0 {
                    ui.result("---")?;
                }
                output::document(ui, format, &object.document)?;
            }
            Ok(())
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
        let mut document = json::to_value(object)
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
    fn our_fields_come_back_and_what_others_added_stays() {
        let wanted = serde_json::json!({"metadata": {"name": "pg", "labels": {"a": "ours"}}, "data": {"until": "18:00"}});
        let there = serde_json::json!({"metadata": {"name": "pg", "uid": "1", "labels": {"a": "theirs", "b": "theirs"}}, "data": {"until": "12:00", "old": "x"}});
        let merged = serde_json::json!({"metadata": {"name": "pg", "uid": "1", "labels": {"a": "ours", "b": "theirs"}}, "data": {"until": "18:00"}});
        assert_eq!(with_fields_of(&there, &wanted), merged);
        assert_eq!(with_fields_of(&merged, &wanted), merged, "nothing to write");
    }

    #[test]
    fn what_the_server_fills_in_is_no_difference() {
        let wanted = serde_json::json!({"metadata": {"name": "web", "ownerReferences": []}, "spec": {"ports": [{"port": 80}], "selector": {"app": "web"}}});
        let there = serde_json::json!({"metadata": {"name": "web", "uid": "1"}, "spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 80, "protocol": "TCP"}], "selector": {"app": "web"}}});
        assert!(holds(&there, &wanted));
        let another_port = serde_json::json!({"spec": {"ports": [{"port": 81}]}});
        assert!(!holds(&there, &another_port));
        let two_ports = serde_json::json!({"spec": {"ports": [{"port": 80}, {"port": 81}]}});
        assert!(!holds(&there, &two_ports));
        let owned = serde_json::json!({"metadata": {"ownerReferences": [{"uid": "2"}]}});
        assert!(!holds(&there, &owned));
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
