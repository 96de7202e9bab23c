//! Who set which field, and server-side apply (<https://kubernetes.io/docs/reference/using-api/server-side-apply/>).
//!
//! A field is known by its path in the notation of `fieldsV1`: `f:name` for a field, `k:{"name":"web"}` for an item of a list
//! that is a map in truth, `v:"x"` for a member of a list that is a set. Lists of other kinds are one value.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

type Path = Vec<String>;
type Paths = BTreeSet<Path>;

/// How somebody writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Apply,
    Update,
}

/// Who writes.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    pub manager: &'a str,
    pub time: Timestamp,
}

/// One entry of `managedFields`.
struct Entry {
    manager: String,
    operation: Operation,
    api_version: String,
    time: String,
    paths: Paths,
}

/// A field that somebody else has set to something else: who, and the path as people read it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict {
    who: String,
    path: String,
}

/// The API server's sentence about conflicts.
pub fn explain(conflicts: &[Conflict]) -> String {
    if let [only] = conflicts {
        return format!(
            "Apply failed with 1 conflict: conflict with {}: {}",
            only.who, only.path
        );
    }
    let mut of: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for conflict in conflicts {
        of.entry(&conflict.who).or_default().push(&conflict.path);
    }
    let mut lines = Vec::new();
    for (who, paths) in of {
        lines.push(format!("conflicts with {who}:"));
        lines.extend(paths.into_iter().map(|path| format!("- {path}")));
    }
    format!(
        "Apply failed with {} conflicts: {}",
        conflicts.len(),
        lines.join("\n")
    )
}

/// The causes of the refusal, as its details have them.
pub fn causes(conflicts: &[Conflict]) -> Value {
    let cause = |conflict: &Conflict| json!({"reason": "FieldManagerConflict", "message": format!("conflict with {}", conflict.who), "field": conflict.path});
    conflicts.iter().map(cause).collect()
}

/// What `live` becomes when `applied` is applied to it, without its `managedFields`.
///
/// # Errors
/// The conflicts, unless they are forced.
pub fn apply(
    live: &Value,
    applied: &Value,
    writer: Writer<'_>,
    force: bool,
) -> Result<Value, Vec<Conflict>> {
    let wanted = leaves(applied);
    let present = leaves(live);
    let entries = entries(live);
    let is_own =
        |entry: &&Entry| entry.manager == writer.manager && entry.operation == Operation::Apply;
    let mut conflicts: Vec<Conflict> = Vec::new();
    for entry in entries.iter().filter(|entry| !is_own(entry)) {
        for (path, value) in &wanted {
            if entry.paths.contains(path) && present.get(path).is_some_and(|there| there != value) {
                conflicts.push(Conflict {
                    who: entry.who(),
                    path: readable(path),
                });
            }
        }
    }
    if !force && !conflicts.is_empty() {
        conflicts.sort();
        return Err(conflicts);
    }
    let mut merged = live.clone();
    if let Some(metadata) = merged["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    for entry in entries.iter().filter(is_own) {
        // What we set before and set no more goes, if nobody else wants it: whole items first, then single fields.
        let dropped = entry
            .paths
            .iter()
            .filter(|path| !wanted.contains_key(*path));
        let (items, fields): (Vec<&Path>, Vec<&Path>) =
            dropped.partition(|path| path.last().is_some_and(|step| step == "."));
        for path in items.into_iter().chain(fields) {
            let at: &[String] = match path.split_last() {
                Some((last, item)) if last == "." => item,
                _ => path,
            };
            let mut others = entries.iter().filter(|entry| !is_own(entry));
            let kept = others.any(|other| other.paths.iter().any(|path| path.starts_with(at)));
            if !kept {
                remove(&mut merged, at);
            }
        }
    }
    for (path, value) in &wanted {
        set(&mut merged, path, value);
    }
    Ok(merged)
}

/// The `managedFields` of `after`, which `writer` has made of `before`; `applied` is the configuration if it was applied.
pub fn managed(
    before: Option<&Value>,
    after: &Value,
    applied: Option<&Value>,
    writer: Writer<'_>,
) -> Value {
    let mut entries = before.map(entries).unwrap_or_default();
    let present = leaves(after);
    let was = before.map(leaves).unwrap_or_default();
    let (operation, paths): (_, Paths) = if let Some(applied) = applied {
        (Operation::Apply, leaves(applied).into_keys().collect())
    } else {
        let changed = present
            .iter()
            .filter(|(path, value)| was.get(*path) != Some(value));
        (
            Operation::Update,
            changed.map(|(path, _)| path.clone()).collect(),
        )
    };
    let is_own = |entry: &Entry| entry.manager == writer.manager && entry.operation == operation;
    for entry in entries.iter_mut().filter(|entry| !is_own(entry)) {
        entry.paths.retain(|path| {
            let same = was.get(path) == present.get(path);
            present.contains_key(path) && (same || !paths.contains(path))
        });
    }
    match entries.iter_mut().find(|entry| is_own(entry)) {
        Some(entry) => {
            if operation == Operation::Update {
                entry.paths.retain(|path| present.contains_key(path));
                let changed = !paths.is_subset(&entry.paths) || !paths.is_empty();
                entry.paths.extend(paths);
                if changed {
                    entry.time = writer.time.to_string();
                }
            } else if entry.paths != paths || was != present {
                entry.paths = paths;
                entry.time = writer.time.to_string();
            }
        }
        None if paths.is_empty() => {}
        None => entries.push(Entry {
            manager: writer.manager.to_owned(),
            operation,
            api_version: after["apiVersion"].as_str().unwrap_or_default().to_owned(),
            time: writer.time.to_string(),
            paths,
        }),
    }
    entries.retain(|entry| !entry.paths.is_empty());
    entries.iter().map(Entry::to_json).collect()
}

impl Entry {
    fn who(&self) -> String {
        match self.operation {
            Operation::Apply => format!("{:?}", self.manager),
            Operation::Update => format!("{:?} using {}", self.manager, self.api_version),
        }
    }

    fn to_json(&self) -> Value {
        let mut fields = Value::Object(Map::new());
        for path in &self.paths {
            let mut at = &mut fields;
            for step in path {
                at = &mut at[step.as_str()];
                if at.is_null() {
                    *at = json!({});
                }
            }
        }
        json!({
            "manager": self.manager, "operation": format!("{:?}", self.operation), "apiVersion": self.api_version,
            "time": self.time, "fieldsType": "FieldsV1", "fieldsV1": fields,
        })
    }
}

fn entries(object: &Value) -> Vec<Entry> {
    fn collect(fields: &Value, at: &mut Path, into: &mut Paths) {
        let fields = fields.as_object().into_iter().flatten();
        let mut is_leaf = true;
        for (step, below) in fields {
            is_leaf = false;
            at.push(step.clone());
            collect(below, at, into);
            at.pop();
        }
        if is_leaf && !at.is_empty() {
            into.insert(at.clone());
        }
    }
    let list = object["metadata"]["managedFields"].as_array();
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    let read = |entry: &Value| {
        let mut paths = Paths::new();
        collect(&entry["fieldsV1"], &mut Path::new(), &mut paths);
        Entry {
            manager: text(entry, "manager"),
            operation: if entry["operation"] == "Apply" {
                Operation::Apply
            } else {
                Operation::Update
            },
            api_version: text(entry, "apiVersion"),
            time: text(entry, "time"),
            paths,
        }
    };
    list.into_iter().flatten().map(read).collect()
}

/// `.spec.template.spec.containers[name="web"].image`
fn readable(path: &[String]) -> String {
    let step = |step: &String| match step.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("k", keys)) => {
            let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let keys: Vec<String> = keys
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            format!("[{}]", keys.join(","))
        }
        Some((_, value)) => format!("[={value}]"),
        None => String::new(),
    };
    path.iter().map(step).collect()
}

/// All fields that can be owned, with their values.
fn leaves(object: &Value) -> BTreeMap<Path, Value> {
    let mut into = BTreeMap::new();
    for (field, value) in object.as_object().into_iter().flatten() {
        match field.as_str() {
            "apiVersion" | "kind" | "status" => {}
            "metadata" => {
                for field in ["labels", "annotations", "ownerReferences", "finalizers"] {
                    let mut at = vec!["f:metadata".to_owned(), format!("f:{field}")];
                    if !value[field].is_null() {
                        walk(&value[field], &mut at, &mut into);
                    }
                }
            }
            field => walk(value, &mut vec![format!("f:{field}")], &mut into),
        }
    }
    into
}

/// Structures that the API's schema takes for one value.
const ATOMIC: [&str; 10] = [
    "f:selector",
    "f:podSelector",
    "f:namespaceSelector",
    "f:nodeSelector",
    "f:secretKeyRef",
    "f:configMapKeyRef",
    "f:fieldRef",
    "f:resourceFieldRef",
    "f:roleRef",
    "f:defaultBackend",
];

fn walk(value: &Value, at: &mut Path, into: &mut BTreeMap<Path, Value>) {
    let is_atomic = at
        .last()
        .is_some_and(|step| ATOMIC.contains(&step.as_str()));
    match value {
        Value::Object(fields) if !fields.is_empty() && !is_atomic => {
            for (field, value) in fields {
                at.push(format!("f:{field}"));
                walk(value, at, into);
                at.pop();
            }
        }
        Value::Array(items) if is_set(at) => {
            for item in items {
                let path = [&at[..], &[format!("v:{item}")]].concat();
                into.insert(path, item.clone());
            }
        }
        Value::Array(items)
            if !items.is_empty() && items.iter().all(|item| key(at, item).is_some()) =>
        {
            for item in items {
                at.push(key(at, item).unwrap_or_default());
                into.insert([&at[..], &[".".to_owned()]].concat(), Value::Null);
                walk(item, at, into);
                at.pop();
            }
        }
        _ => {
            into.insert(at.clone(), value.clone());
        }
    }
}

fn is_set(at: &[String]) -> bool {
    at == ["f:metadata", "f:finalizers"]
}

/// The step to an item of a list that is a map by some of its fields; nothing for items of other lists.
fn key(at: &[String], item: &Value) -> Option<String> {
    let list = at.last()?.strip_prefix("f:")?;
    let names: &[&str] = match list {
        "containers" | "initContainers" | "volumes" | "env" | "imagePullSecrets" => &["name"],
        "ports" if !item["containerPort"].is_null() => &["containerPort", "protocol"],
        "ports" if at.len() == 2 && !item["port"].is_null() => &["port", "protocol"],
        "volumeMounts" => &["mountPath"],
        "ownerReferences" => &["uid"],
        "conditions" => &["type"],
        _ => return None,
    };
    let mut keys = Map::new();
    for name in names {
        let value = match &item[*name] {
            Value::Null if *name == "protocol" => json!("TCP"),
            Value::Null => return None,
            value => value.clone(),
        };
        keys.insert((*name).to_owned(), value);
    }
    Some(format!("k:{}", Value::Object(keys)))
}

/// The place of an item, among those of its list.
fn position(at: &[String], items: &[Value], step: &str) -> Option<usize> {
    items.iter().position(|item| {
        let named = key(at, item).is_some_and(|key| key == step);
        let value = step.strip_prefix("v:").map(serde_json::from_str::<Value>);
        named || value.is_some_and(|value| value.is_ok_and(|value| value == *item))
    })
}

fn set(object: &mut Value, path: &[String], value: &Value) {
    let mut place = object;
    for (depth, step) in path.iter().enumerate() {
        if step == "." {
            return;
        }
        if let Some(field) = step.strip_prefix("f:") {
            if !place.is_object() {
                *place = json!({});
            }
            place = &mut place[field];
        } else {
            if !place.is_array() {
                *place = json!([]);
            }
            let Some(items) = place.as_array_mut() else {
                return;
            };
            let index = position(&path[..depth], items, step).unwrap_or_else(|| {
                let text = step.split_once(':').map_or("", |(_, text)| text);
                items.push(serde_json::from_str(text).unwrap_or_default());
                items.len() - 1
            });
            place = &mut items[index];
        }
    }
    *place = value.clone();
}

fn remove(object: &mut Value, path: &[String]) {
    let Some((last, above)) = path.split_last() else {
        return;
    };
    let mut place = object;
    for (depth, step) in above.iter().enumerate() {
        let next = if let Some(field) = step.strip_prefix("f:") {
            place.get_mut(field)
        } else {
            place.as_array_mut().and_then(|items| {
                let index = position(&path[..depth], items, step)?;
                items.get_mut(index)
            })
        };
        match next {
            Some(next) => place = next,
            None => return,
        }
    }
    if let (Some(field), Some(fields)) = (last.strip_prefix("f:"), place.as_object_mut()) {
        fields.remove(field);
    } else if let Some(items) = place.as_array_mut()
        && let Some(index) = position(above, items, last)
    {
        items.remove(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(manager: &str) -> Writer<'_> {
        Writer {
            manager,
            time: Timestamp::UNIX_EPOCH,
        }
    }

    fn config(image: &str, env: &Value) -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "labels": {"a": "b"}},
            "spec": {"template": {"spec": {"containers": [{"name": "web", "image": image, "env": env}]}}},
        })
    }

    fn applied(live: &Value, config: &Value, manager: &str) -> Value {
        let mut after = apply(live, config, writer(manager), false).unwrap();
        after["apiVersion"] = json!("apps/v1");
        let before = (!live.is_null()).then_some(live);
        after["metadata"]["managedFields"] = managed(before, &after, Some(config), writer(manager));
        after
    }

    #[test]
    fn what_is_no_longer_applied_goes_and_what_others_set_stays() {
        let first = applied(
            &Value::Null,
            &config(
                "web:1",
                &json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]),
            ),
            "us",
        );
        let theirs = json!({"apiVersion": "apps/v1", "metadata": {"labels": {"team": "x"}}, "spec": {"replicas": 3}});
        let both = applied(&first, &theirs, "them");
        let second = applied(
            &both,
            &config("web:2", &json!([{"name": "B", "value": "2"}])),
            "us",
        );
        assert_eq!(second["spec"]["replicas"], 3);
        assert_eq!(second["metadata"]["labels"], json!({"a": "b", "team": "x"}));
        let container =
            json!({"name": "web", "image": "web:2", "env": [{"name": "B", "value": "2"}]});
        assert_eq!(
            second["spec"]["template"]["spec"]["containers"],
            json!([container])
        );
    }

    #[test]
    fn the_same_again_changes_nothing() {
        let config = config("web:1", &json!([{"name": "A", "value": "1"}]));
        let once = applied(&Value::Null, &config, "us");
        assert_eq!(applied(&once, &config, "us"), once);
    }

    #[test]
    fn conflicts_are_told_in_kubernetes_words() {
        let live = applied(&Value::Null, &config("web:1", &json!([])), "kubectl-edit");
        let mut edited = live.clone();
        edited["metadata"]["labels"]["a"] = json!("c");
        edited["metadata"]["managedFields"] =
            managed(Some(&live), &edited, None, writer("kubectl-label"));
        let conflicts =
            |wanted: &Value| explain(&apply(&edited, wanted, writer("us"), false).unwrap_err());
        let mut wanted = config("web:2", &json!([]));
        wanted["metadata"]["labels"]["a"] = json!("c");
        assert_eq!(
            conflicts(&wanted),
            "Apply failed with 1 conflict: conflict with \"kubectl-edit\": .spec.template.spec.containers[name=\"web\"].image"
        );
        assert_eq!(
            conflicts(&config("web:2", &json!([]))),
            "Apply failed with 2 conflicts: conflicts with \"kubectl-edit\":\n- .spec.template.spec.containers[name=\"web\"].image\nconflicts with \"kubectl-label\" using apps/v1:\n- .metadata.labels.a"
        );
        let forced = apply(&edited, &config("web:2", &json!([])), writer("us"), true).unwrap();
        assert_eq!(forced["metadata"]["labels"]["a"], "b");
    }
}
