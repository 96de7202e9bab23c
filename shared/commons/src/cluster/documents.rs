//! Objects of any kind as documents: read, applied on the server's side, deleted.
//!
//! For common kinds the path is known here and needs no discovery; for the others one request tells it.

use http::Request as HttpRequest;
use kube::api::{
    DeleteParams, GetParams, Patch, PatchParams, Preconditions, PropagationPolicy,
    ValidationDirective,
};
use kube::core::Request as Route;
use serde_json::{Map, Value};

use super::{Cluster, path_segment};
use crate::apply::Outcome;
use crate::error::{Error, Hint, Kind, Request, Result, close_names};
use crate::printable;
use crate::shell::shell;

/// `kubectl apply` without `--server-side` manages fields under this name.
pub const CLIENT_SIDE_APPLY: &str = "kubectl-client-side-apply";

/// The annotation in which `kubectl apply` keeps what it applied last; it stays when its fields are taken over.
const LAST_APPLIED: &str = "f:kubectl.kubernetes.io/last-applied-configuration";

/// How documents are written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Writing<'a> {
    /// Take fields that other managers have set.
    pub force: bool,
    /// Let the server check it, and store nothing.
    pub dry_run: bool,
    /// Field managers that were earlier forms of this one: their fields become ours, so that what the document no longer holds
    /// goes, as if we had always written it.
    pub takes_over: &'a [&'a str],
}

/// Kinds that are met every day: API group, kind, resource, whether it lives in a namespace.
const KNOWN: &[(&str, &str, &str, bool)] = &[
    ("", "ConfigMap", "configmaps", true),
    ("", "Endpoints", "endpoints", true),
    ("", "LimitRange", "limitranges", true),
    ("", "Namespace", "namespaces", false),
    ("", "PersistentVolume", "persistentvolumes", false),
    ("", "PersistentVolumeClaim", "persistentvolumeclaims", true),
    ("", "Pod", "pods", true),
    ("", "ResourceQuota", "resourcequotas", true),
    ("", "Secret", "secrets", true),
    ("", "Service", "services", true),
    ("", "ServiceAccount", "serviceaccounts", true),
    ("apps", "DaemonSet", "daemonsets", true),
    ("apps", "Deployment", "deployments", true),
    ("apps", "ReplicaSet", "replicasets", true),
    ("apps", "StatefulSet", "statefulsets", true),
    (
        "autoscaling",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        true,
    ),
    ("batch", "CronJob", "cronjobs", true),
    ("batch", "Job", "jobs", true),
    ("gateway.networking.k8s.io", "Gateway", "gateways", true),
    ("gateway.networking.k8s.io", "HTTPRoute", "httproutes", true),
    ("networking.k8s.io", "Ingress", "ingresses", true),
    (
        "networking.k8s.io",
        "NetworkPolicy",
        "networkpolicies",
        true,
    ),
    (
        "policy",
        "PodDisruptionBudget",
        "poddisruptionbudgets",
        true,
    ),
    (
        "rbac.authorization.k8s.io",
        "ClusterRole",
        "clusterroles",
        false,
    ),
    (
        "rbac.authorization.k8s.io",
        "ClusterRoleBinding",
        "clusterrolebindings",
        false,
    ),
    ("rbac.authorization.k8s.io", "Role", "roles", true),
    (
        "rbac.authorization.k8s.io",
        "RoleBinding",
        "rolebindings",
        true,
    ),
];

/// The API group of an `apiVersion`: `apps` of `apps/v1`, nothing of `v1`.
pub fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// The API group and the resource of a document's kind, for rights; nothing for kinds that take a question to know.
pub fn known_resource(document: &Value) -> Option<(&'static str, &'static str)> {
    let (group, kind) = (group(text(document, "apiVersion")), text(document, "kind"));
    KNOWN
        .iter()
        .find(|known| known.0 == group && known.1 == kind)
        .map(|known| (known.0, known.2))
}

/// The everyday kind that was meant by one that there is not: of its name in another group, or of a name like it.
fn known_kind(api_version: &str, kind: &str) -> Option<String> {
    let same = KNOWN.iter().find(|known| known.1 == kind);
    if let Some((group, ..)) = same.filter(|known| known.0 != group(api_version)) {
        let version = match *group {
            "" => "v1".to_owned(),
            "autoscaling" => "autoscaling/v2".to_owned(),
            group => format!("{group}/v1"),
        };
        return Some(format!("`apiVersion: {version}`"));
    }
    let close = close_names(kind, KNOWN.iter().map(|known| known.1));
    close.first().map(|meant| format!("`kind: {meant}`"))
}

/// An object as kubectl names it in its change lines: `deployment.apps/web`.
pub fn reference(document: &Value) -> String {
    let group = group(text(document, "apiVersion"));
    format!(
        "{}{}{group}/{}",
        text(document, "kind").to_lowercase(),
        if group.is_empty() { "" } else { "." },
        name(document)
    )
}

/// The name of an object.
pub fn name(document: &Value) -> &str {
    text(&document["metadata"], "name")
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// Where an object is: what a request needs.
struct Place {
    route: Route,
    resource: String,
    noun: String,
    name: String,
    namespace: Option<String>,
}

impl Place {
    fn asked(&self, verb: &'static str) -> Request<'_> {
        Request {
            verb,
            resource: self.resource.clone(),
            noun: self.noun.clone(),
            name: &self.name,
            namespace: self.namespace.as_deref(),
        }
    }
}

impl Cluster {
    /// Finds the path of an object.
    async fn place(&self, document: &Value, namespace: &str) -> Result<Place> {
        let api_version = text(document, "apiVersion");
        let (kind, name) = (text(document, "kind"), name(document));
        for segment in [kind, name, namespace] {
            path_segment(segment)?;
        }
        for part in api_version.split('/') {
            path_segment(part)?;
        }
        let group = group(api_version);
        let known = KNOWN
            .iter()
            .find(|known| known.0 == group && known.1 == kind);
        let (resource, namespaced) = match known {
            Some(known) => (known.2.to_owned(), known.3),
            None => self.discover(api_version, kind).await?,
        };
        let root = if group.is_empty() { "api" } else { "apis" };
        let within = if namespaced {
            format!("/namespaces/{namespace}")
        } else {
            String::new()
        };
        Ok(Place {
            route: Route::new(format!("/{root}/{api_version}{within}/{resource}")),
            resource,
            noun: kind.to_lowercase(),
            name: name.to_owned(),
            namespace: namespaced.then(|| namespace.to_owned()),
        })
    }

    /// Asks for the resource of a kind, and whether it lives in a namespace.
    async fn discover(&self, api_version: &str, kind: &str) -> Result<(String, bool)> {
        let missing = || {
            Error::of(
                Kind::NotFound,
                format!(
                    "this cluster does not know `{}` of `{}`",
                    printable::short(kind, 80),
                    printable::short(api_version, 80)
                ),
            )
            .hint(match known_kind(api_version, kind) {
                Some(meant) => format!("did you mean {meant}?"),
                None => "see which it knows: `kubectl api-resources`".to_owned(),
            })
        };
        let root = if group(api_version).is_empty() {
            "api"
        } else {
            "apis"
        };
        let asked = Request {
            verb: "get",
            resource: format!("the kinds of {api_version}"),
            noun: "API group".into(),
            name: api_version,
            namespace: None,
        };
        let request = HttpRequest::get(format!("/{root}/{api_version}"))
            .body(Vec::new())
            .map_err(unsendable)?;
        // A group that is not there is answered with a bare page, which is no answer of an API to kube.
        let list = self
            .send(asked, async {
                match self.client.request::<Value>(request).await {
                    Err(kube::Error::Api(status)) if status.code == 404 => Ok(Value::Null),
                    answer => answer,
                }
            })
            .await?;
        list["resources"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|resource| {
                text(resource, "kind") == kind && !text(resource, "name").contains('/')
            })
            .map(|resource| {
                (
                    text(resource, "name").to_owned(),
                    resource["namespaced"].as_bool().unwrap_or(true),
                )
            })
            .ok_or_else(missing)
    }

    /// Sends a request that was put together by hand.
    async fn ask(
        &self,
        asked: Request<'_>,
        request: Result<HttpRequest<Vec<u8>>, impl std::error::Error + Send + Sync + 'static>,
    ) -> Result<Value> {
        let request = request.map_err(unsendable)?;
        self.send(asked, self.client.request::<Value>(request))
            .await
    }

    /// Reads the object that a document names; nothing where there is none.
    ///
    /// # Errors
    /// A kind that the cluster does not know; the rest of [`crate::error::explain`].
    pub async fn get_document(&self, document: &Value, namespace: &str) -> Result<Option<Value>> {
        let place = self.place(document, namespace).await?;
        let request = place.route.get(&place.name, &GetParams::default());
        match self.ask(place.asked("get"), request).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads all objects of a kind with these labels (empty for all).
    ///
    /// # Errors
    /// As [`Cluster::get_document`].
    pub async fn list_documents(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        labels: &str,
    ) -> Result<Vec<Value>> {
        let any = serde_json::json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "any"}});
        let mut place = self.place(&any, namespace).await?;
        place.name.clear();
        let request = place
            .route
            .list(&kube::api::ListParams::default().labels(labels));
        let mut list = self.ask(place.asked("list"), request).await?;
        match list["items"].take() {
            Value::Array(mut items) => {
                // Items of a list do not say what they are.
                for item in items.iter_mut().filter_map(Value::as_object_mut) {
                    item.insert("apiVersion".into(), api_version.into());
                    item.insert("kind".into(), kind.into());
                }
                Ok(items)
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Applies a document on the server's side under this plugin's name, and tells what became of it and how it is then;
    /// `before` is what [`Cluster::get_document`] has read. Fields of others stay as they are. Where there was nothing it is
    /// created: applying would silently join in with whoever was faster.
    ///
    /// # Errors
    /// [`Kind::AlreadyExists`] where there was nothing and is something now; [`Kind::Conflict`] naming the other managers and their fields, unless forced; a field that the kind does not have; the
    /// rest of [`crate::error::explain`].
    pub async fn apply_document(
        &self,
        document: &Value,
        namespace: &str,
        before: Option<&Value>,
        writing: Writing<'_>,
    ) -> Result<(Outcome, Value)> {
        let place = self.place(document, namespace).await?;
        let mut force = writing.force;
        if let Some(there) = before
            && let Some(fields) = taken_over(there, self.manager(), writing.takes_over)
        {
            if writing.dry_run {
                // Whose fields they would be cannot be tried out; taking them comes to the same but for what is removed.
                force |= !others_conflict(
                    &self.try_apply(&place, document, writing, false).await?,
                    writing.takes_over,
                );
            } else {
                self.take_over(&place, there, fields).await?;
            }
        }
        let tried = match before {
            Some(_) => self.try_apply(&place, document, writing, force).await?,
            None => self
                .try_apply(&place, &only_new(document), writing, force)
                .await
                .map_err(|error| explain_overtaken(error, &place))?,
        };
        match tried {
            Ok(after) => {
                let outcome = match before {
                    None => Outcome::Created,
                    Some(before) if same(before, &after) => Outcome::Unchanged,
                    Some(_) => Outcome::Configured,
                };
                Ok((outcome, after))
            }
            Err(conflicts) => Err(explain_conflicts(&place, &conflicts)),
        }
    }

    async fn try_apply(
        &self,
        place: &Place,
        document: &Value,
        writing: Writing<'_>,
        force: bool,
    ) -> Result<Result<Value, Vec<Conflict>>> {
        let params = PatchParams {
            dry_run: writing.dry_run,
            force,
            field_manager: Some(self.manager().into()),
            field_validation: Some(ValidationDirective::Strict),
        };
        let request = place
            .route
            .patch(&place.name, &params, &Patch::Apply(document))
            .map_err(unsendable)?;
        let work = async {
            match self.client.request::<Value>(request).await {
                Ok(after) => Ok(Ok(after)),
                Err(kube::Error::Api(status)) => match conflicts(&status) {
                    Some(conflicts) => Ok(Err(Refusal::Conflicts(conflicts))),
                    None => match schema_error(&status.message, document["kind"] == "Secret") {
                        Some(why) => Ok(Err(Refusal::Schema(why))),
                        None => Err(kube::Error::Api(status)),
                    },
                },
                Err(error) => Err(error),
            }
        };
        match self.send(place.asked("patch"), work).await? {
            Ok(after) => Ok(Ok(after)),
            Err(Refusal::Conflicts(conflicts)) => Ok(Err(conflicts)),
            Err(Refusal::Schema(why)) => Err(Error::new(format!(
                "{} `{}` is not written as the cluster knows it",
                place.noun,
                printable::line(&place.name)
            ))
            .caused_by(why)
            .hint(format!(
                "see which fields there are: `{}`",
                shell("kubectl explain")
                    .arg(&place.noun)
                    .then("--recursive")
            ))),
        }
    }

    /// Makes the fields of other managers ours, as `kubectl apply --server-side` does with those of `kubectl apply`.
    async fn take_over(&self, place: &Place, there: &Value, fields: Vec<Value>) -> Result<()> {
        let patch = serde_json::json!({"metadata": {"managedFields": fields, "resourceVersion": there["metadata"]["resourceVersion"]}});
        let params = PatchParams {
            field_manager: Some(self.manager().into()),
            ..PatchParams::default()
        };
        let request = place
            .route
            .patch(&place.name, &params, &Patch::Merge(patch));
        self.ask(place.asked("patch"), request).await.map(drop)
    }

    /// Deletes an object and what it owns; a UID in the document keeps a newer object of the same name safe. False where there
    /// was none.
    ///
    /// # Errors
    /// As [`Cluster::get_document`].
    pub async fn delete_document(
        &self,
        document: &Value,
        namespace: &str,
        dry_run: bool,
    ) -> Result<bool> {
        let place = self.place(document, namespace).await?;
        let uid = document["metadata"]["uid"].as_str();
        let params = DeleteParams {
            dry_run,
            propagation_policy: Some(PropagationPolicy::Background),
            preconditions: uid.map(|uid| Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let request = place.route.delete(&place.name, &params);
        match self.ask(place.asked("delete"), request).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == Kind::NotFound => Ok(false),
            Err(error) if error.kind() == Kind::Conflict && uid.is_some() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// A document that only creates: no object has this version, so the API server applies it where there is none and refuses it
/// where there is one.
fn only_new(document: &Value) -> Value {
    let mut document = document.clone();
    document["metadata"]["resourceVersion"] = "1".into();
    document
}

/// Somebody else has created the object between looking and writing.
fn explain_overtaken(error: Error, place: &Place) -> Error {
    if error.kind() != Kind::Conflict {
        return error;
    }
    Error::of(
        Kind::AlreadyExists,
        format!(
            "{} `{}` was just created by another client",
            place.noun,
            printable::line(&place.name)
        ),
    )
    .hint("look what it is, and run the command again if it is what you want to change")
}

fn unsendable(error: impl std::error::Error) -> Error {
    Error::new("cannot put a request together").caused_by(error.to_string())
}

/// Whether two readings of an object say the same, whoever wrote it.
fn same(before: &Value, after: &Value) -> bool {
    content(before) == content(after)
}

/// Whether an object says all that a document says already. What the server adds to a document is not looked at, nor what the
/// document no longer says.
pub fn says_already(object: &Value, document: &Value) -> bool {
    match (object, document) {
        (Value::Object(there), Value::Object(wanted)) => wanted.iter().all(|(field, wanted)| {
            there
                .get(field)
                .is_some_and(|there| says_already(there, wanted))
        }),
        (Value::Array(there), Value::Array(wanted)) => {
            there.len() == wanted.len()
                && there
                    .iter()
                    .zip(wanted)
                    .all(|(there, wanted)| says_already(there, wanted))
        }
        (there, wanted) => there == wanted,
    }
}

/// What people write of an object: without what the server and its controllers add while it lives.
fn content(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in ["managedFields", "resourceVersion", "generation"] {
            metadata.remove(field);
        }
        if let Some(annotations) = metadata
            .get_mut("annotations")
            .and_then(Value::as_object_mut)
        {
            annotations.remove("deployment.kubernetes.io/revision");
        }
    }
    object
}

/// Why a document was not applied, where it is not the API server's everyday answer.
enum Refusal {
    Conflicts(Vec<Conflict>),
    Schema(String),
}

/// A field that another manager has set to something else.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Conflict {
    /// `.spec.replicas`
    field: String,
    manager: String,
}

/// The conflicts of server-side apply, if that is what the API server answered.
fn conflicts(status: &kube::core::Status) -> Option<Vec<Conflict>> {
    if status.code != 409 || !status.message.starts_with("Apply failed with") {
        return None;
    }
    let causes = status.details.iter().flat_map(|details| &details.causes);
    Some(
        causes
            .map(|cause| Conflict {
                field: cause.field.trim_start_matches('.').to_owned(),
                manager: cause
                    .message
                    .split('"')
                    .nth(1)
                    .unwrap_or("another program")
                    .to_owned(),
            })
            .collect(),
    )
}

/// What is wrong with a document that is not of its kind's form; the API server says it with 500 when it applies, and with
/// 400 when it validates.
///
/// It may quote what stands there, which of a Secret nobody is to read.
fn schema_error(message: &str, is_secret: bool) -> Option<String> {
    let wrong = message.contains("failed to create typed patch object")
        || message.contains("unable to convert unstructured object")
        || message.contains("strict decoding error")
        || message.contains("error decoding from json");
    // `failed to create typed patch object (ns/web; apps/v1, Kind=Deployment): .spec.foo: field not declared in schema`
    wrong.then(|| {
        let why = message
            .split_once("): ")
            .filter(|(before, _)| before.contains("typed patch object"))
            .map_or(message, |(_, why)| why);
        if let Some(unknown) = unknown_field(why) {
            return unknown;
        }
        let words: Vec<&str> = why.split_whitespace().collect();
        let why = words.join(" ");
        let shown = match why.find(", got ") {
            Some(at) if is_secret => &why[..at],
            _ => &why,
        };
        printable::short(shown, 400)
    })
}

/// `.spec.containers[name="web"].ports[containerPort=0].containerPrt: field not declared in schema` in words.
fn unknown_field(why: &str) -> Option<String> {
    let (path, _) = why.split_once(": field not declared in schema")?;
    let mut plain = String::new();
    let mut rest = path.trim_start_matches('.');
    // Items of lists are told by their keys; a name is one to people, too.
    while let Some((before, keys)) = rest.split_once('[') {
        let (keys, after) = keys.split_once(']')?;
        let name = keys
            .strip_prefix("name=\"")
            .and_then(|name| name.split('"').next());
        plain = format!("{plain}{before}[{}]", name.unwrap_or_default());
        rest = after;
    }
    plain += rest;
    let plain = printable::short(&plain, 200);
    let (place, field) = plain.rsplit_once('.').unwrap_or(("", &plain));
    let place = if place.is_empty() {
        String::new()
    } else {
        format!(" in `{place}`")
    };
    let meant = close_names(
        field,
        FIELDS.iter().copied().filter(|known| *known != field),
    );
    Some(match meant.first() {
        Some(meant) => format!("there is no field `{field}`{place}; did you mean `{meant}`?"),
        None => format!("there is no field `{field}`{place}"),
    })
}

/// Fields that people write most, for those that are mistyped.
const FIELDS: [&str; 60] = [
    "annotations",
    "args",
    "automountServiceAccountToken",
    "backend",
    "claimName",
    "command",
    "configMap",
    "configMapKeyRef",
    "configMapRef",
    "containerPort",
    "containers",
    "data",
    "emptyDir",
    "env",
    "envFrom",
    "host",
    "hosts",
    "http",
    "httpGet",
    "image",
    "imagePullPolicy",
    "imagePullSecrets",
    "ingressClassName",
    "initContainers",
    "key",
    "labels",
    "limits",
    "livenessProbe",
    "matchLabels",
    "metadata",
    "mountPath",
    "name",
    "namespace",
    "path",
    "pathType",
    "paths",
    "persistentVolumeClaim",
    "port",
    "ports",
    "protocol",
    "readOnly",
    "readinessProbe",
    "replicas",
    "requests",
    "resources",
    "restartPolicy",
    "rules",
    "secretKeyRef",
    "secretName",
    "secretRef",
    "securityContext",
    "selector",
    "serviceAccountName",
    "startupProbe",
    "storageClassName",
    "stringData",
    "targetPort",
    "template",
    "volumeMounts",
    "volumes",
];

fn others_conflict(outcome: &Result<Value, Vec<Conflict>>, friends: &[&str]) -> bool {
    match outcome {
        Ok(_) => false,
        Err(conflicts) => conflicts
            .iter()
            .any(|conflict| !friends.contains(&conflict.manager.as_str())),
    }
}

fn explain_conflicts(place: &Place, conflicts: &[Conflict]) -> Error {
    let name = printable::line(&place.name);
    let mut error = Error::of(
        Kind::Conflict,
        format!(
            "{} `{name}` was changed by somebody else than this file",
            place.noun
        ),
    );
    for conflict in conflicts.iter().take(5) {
        error = error.caused_by(format!(
            "`{}` was set by `{}`{}",
            printable::short(&conflict.field, 200),
            printable::short(&conflict.manager, 100),
            who(&conflict.manager)
        ));
    }
    if conflicts.len() > 5 {
        error = error.caused_by(format!("and {} more fields", conflicts.len() - 5));
    }
    let look = shell("kubectl get")
        .arg(&place.noun)
        .arg(&place.name)
        .then("-o yaml")
        .option("-n", place.namespace.as_deref());
    error
        .hint(format!("see what is there now: `{look}`"))
        .hint(Hint::with_remedy(
            Remedy::Force,
            "to apply the file, force it",
        ))
        .hint("to keep what is there: remove those fields from the file")
}

/// What helps against a conflict; a plugin says it in its own flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// To apply the file all the same.
    Force,
}

/// What people know a field manager as.
fn who(manager: &str) -> &'static str {
    match manager {
        "kubectl" => ", that is `kubectl scale` or another command of kubectl",
        "kubectl-edit" => ", that is `kubectl edit`",
        "kubectl-set" => ", that is `kubectl set`",
        "kubectl-patch" => ", that is `kubectl patch`",
        "kubectl-create" => ", that is `kubectl create`",
        "kubectl-rollout" => ", that is `kubectl rollout`",
        "helm" | "Helm" => ": it belongs to a Helm release",
        _ => "",
    }
}

/// The managed fields as they are to be when those of `others` are ours; nothing where they have none.
fn taken_over(there: &Value, manager: &str, others: &[&str]) -> Option<Vec<Value>> {
    let entries = there["metadata"]["managedFields"].as_array()?;
    let theirs = |entry: &Value| {
        others.contains(&text(entry, "manager")) && entry.get("subresource").is_none()
    };
    let mut taken = Map::new();
    let mut first: Option<&Value> = None;
    for entry in entries.iter().filter(|entry| theirs(entry)) {
        first.get_or_insert(entry);
        unite(&mut taken, entry["fieldsV1"].as_object()?);
    }
    let like = first?;
    let ours = |entry: &Value| {
        text(entry, "manager") == manager
            && text(entry, "operation") == "Apply"
            && entry.get("subresource").is_none()
    };
    let mut fields: Vec<Value> = Vec::new();
    let mut api_version = like["apiVersion"].clone();
    for entry in entries {
        if ours(entry) {
            unite(&mut taken, entry["fieldsV1"].as_object()?);
            api_version = entry["apiVersion"].clone();
        } else if !theirs(entry) {
            fields.push(entry.clone());
        }
    }
    if let Some(metadata) = taken.get_mut("f:metadata").and_then(Value::as_object_mut)
        && let Some(annotations) = metadata
            .get_mut("f:annotations")
            .and_then(Value::as_object_mut)
    {
        // A Secret's holds its values as they were then: as ours it goes, since the document has none.
        if there["kind"] != "Secret" {
            annotations.remove(LAST_APPLIED);
        }
        // Whoever owns the map itself (`.`) and applies without annotations removes it, with that annotation in it.
        annotations.remove(".");
        if annotations.is_empty() {
            metadata.remove("f:annotations");
        }
    }
    fields.push(serde_json::json!({
        "manager": manager, "operation": "Apply", "apiVersion": api_version, "time": like["time"],
        "fieldsType": "FieldsV1", "fieldsV1": taken,
    }));
    Some(fields)
}

/// Adds the fields of one set to another.
fn unite(into: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (field, below) in from {
        match (into.get_mut(field), below) {
            (Some(Value::Object(present)), Value::Object(below)) => unite(present, below),
            (Some(_), _) => {}
            (None, below) => {
                into.insert(field.clone(), below.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn references_are_kubectls() {
        let web =
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}});
        assert_eq!(reference(&web), "deployment.apps/web");
        assert_eq!(known_resource(&web), Some(("apps", "deployments")));
        let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}});
        assert_eq!(reference(&config), "configmap/web");
        let other = json!({"apiVersion": "example.test/v1", "kind": "Deployment", "metadata": {"name": "x"}});
        assert_eq!(
            known_resource(&other),
            None,
            "the same kind of another group"
        );
    }

    #[test]
    fn a_kind_that_was_meant() {
        assert_eq!(
            known_kind("networking.k8s.io/v1", "Ingres").as_deref(),
            Some("`kind: Ingress`")
        );
        assert_eq!(
            known_kind("extensions/v1beta1", "Deployment").as_deref(),
            Some("`apiVersion: apps/v1`")
        );
        assert_eq!(known_kind("example.test/v1", "Xyz"), None);
    }

    #[test]
    fn what_is_new_joins_nothing() {
        let new = only_new(&json!({"metadata": {"name": "web"}}));
        assert_eq!(new["metadata"]["resourceVersion"], "1");
    }

    #[test]
    fn conflicts_are_read_with_field_and_manager() {
        let status: kube::core::Status = serde_json::from_value(json!({
            "code": 409, "reason": "Conflict", "message": "Apply failed with 1 conflict: conflict with \"kubectl\" with subresource \"scale\" using apps/v1: .spec.replicas",
            "details": {"causes": [{"reason": "FieldManagerConflict", "message": "conflict with \"kubectl\" with subresource \"scale\" using apps/v1", "field": ".spec.replicas"}]},
        }))
        .expect("a status");
        assert_eq!(
            conflicts(&status),
            Some(vec![Conflict {
                field: "spec.replicas".into(),
                manager: "kubectl".into()
            }])
        );
        let changed = kube::core::Status {
            message: "the object has been modified".into(),
            ..status
        };
        assert_eq!(conflicts(&changed), None, "another conflict");
    }

    #[test]
    fn a_field_that_there_is_not_is_named() {
        assert_eq!(
            schema_error("failed to create typed patch object (ns/web; apps/v1, Kind=Deployment): .spec.replica: field not declared in schema", false).as_deref(),
            Some("there is no field `replica` in `spec`; did you mean `replicas`?")
        );
        assert_eq!(schema_error("deployments.apps is forbidden", false), None);
        assert_eq!(
            unknown_field(r#".spec.template.spec.containers[name="web"].ports[containerPort=0,protocol="TCP"].containerPrt: field not declared in schema"#).as_deref(),
            Some("there is no field `containerPrt` in `spec.template.spec.containers[web].ports[]`; did you mean `containerPort`?")
        );
        assert_eq!(
            unknown_field(".zzzz: field not declared in schema").as_deref(),
            Some("there is no field `zzzz`")
        );
        let secret = "failed to create typed patch object (ns/s; /v1, Kind=Secret): .stringData: expected map, got &{hunter2}";
        assert_eq!(
            schema_error(secret, true).as_deref(),
            Some(".stringData: expected map")
        );
    }

    #[test]
    fn fields_of_kubectl_apply_become_ours_and_its_annotation_nobodys() {
        let there = json!({"metadata": {"managedFields": [
            {"manager": "kubectl-client-side-apply", "operation": "Update", "apiVersion": "v1", "time": "t", "fieldsType": "FieldsV1", "fieldsV1": {
                "f:metadata": {"f:annotations": {".": {}, "f:kubectl.kubernetes.io/last-applied-configuration": {}}},
                "f:data": {".": {}, "f:A": {}}}},
            {"manager": "us", "operation": "Apply", "apiVersion": "v1", "fieldsV1": {"f:data": {"f:B": {}}}},
            {"manager": "kubectl-client-side-apply", "operation": "Update", "subresource": "scale", "fieldsV1": {"f:spec": {}}},
            {"manager": "kubectl-edit", "operation": "Update", "apiVersion": "v1", "fieldsV1": {"f:data": {"f:C": {}}}},
        ]}});
        let fields = taken_over(&there, "us", &[CLIENT_SIDE_APPLY]).expect("fields to take");
        let managers: Vec<&str> = fields.iter().map(|entry| text(entry, "manager")).collect();
        assert_eq!(
            managers,
            ["kubectl-client-side-apply", "kubectl-edit", "us"],
            "a subresource's entry stays"
        );
        assert_eq!(
            fields[2]["fieldsV1"],
            json!({"f:metadata": {}, "f:data": {".": {}, "f:A": {}, "f:B": {}}})
        );
        assert_eq!(fields[2]["operation"], "Apply");
        assert_eq!(taken_over(&there, "us", &["helm"]), None);
        let mut secret = there;
        secret["kind"] = "Secret".into();
        let fields = taken_over(&secret, "us", &[CLIENT_SIDE_APPLY]).expect("fields to take");
        assert_eq!(
            fields[2]["fieldsV1"]["f:metadata"],
            json!({"f:annotations": {"f:kubectl.kubernetes.io/last-applied-configuration": {}}}),
            "the values of before do not stay there"
        );
    }

    #[test]
    fn what_controllers_write_is_no_change() {
        let before = json!({"metadata": {"name": "web", "resourceVersion": "1", "generation": 1, "annotations": {"a": "b"}}, "spec": {"replicas": 1}});
        let mut after = before.clone();
        after["metadata"]["resourceVersion"] = "2".into();
        after["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "1".into();
        after["status"] = json!({"readyReplicas": 1});
        assert!(same(&before, &after));
        after["spec"]["replicas"] = 2.into();
        assert!(!same(&before, &after));
    }

    #[test]
    fn defaults_of_the_server_are_no_difference() {
        let there = json!({"spec": {"replicas": 1, "containers": [{"name": "a", "image": "x", "terminationMessagePath": "/dev"}]}});
        assert!(says_already(
            &there,
            &json!({"spec": {"containers": [{"name": "a", "image": "x"}]}})
        ));
        assert!(!says_already(
            &there,
            &json!({"spec": {"containers": [{"name": "a", "image": "y"}]}})
        ));
        assert!(!says_already(&there, &json!({"spec": {"containers": []}})));
    }
}
