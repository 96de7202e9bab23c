//! What the API server stores, and how it is read, written and watched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Sender, channel};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::admission::Policies;
use crate::api::JobController;
use crate::controllers::World;
use crate::defaults;
use crate::fixtures;
use crate::http::{Request, Response};
use crate::managed_fields::{self, Writer};
use crate::merge_patch::merge;
use crate::rbac::User;
use crate::selector::Selection;
use crate::target::{Addon, TYPES, Target};
use crate::validation;

/// The answer to a request that is refused, or not: both are answers.
pub type Answer = Result<Response, Response>;

/// Namespace, plural, name.
pub type Key = (String, String, String);

struct Watch {
    namespace: String,
    plural: String,
    selection: Selection,
    events: Sender<String>,
}

/// What has become of an object.
struct Change {
    version: u64,
    key: Key,
    before: Option<Value>,
    after: Option<Value>,
}

impl Change {
    /// The event for somebody who sees a part of all objects.
    fn event(&self, selection: &Selection) -> Option<String> {
        let seen = |object: &Option<Value>| {
            object
                .as_ref()
                .is_some_and(|object| selection.admits(object))
        };
        let (kind, object) = match (seen(&self.before), seen(&self.after)) {
            (false, true) => ("ADDED", self.after.clone()),
            (true, true) => ("MODIFIED", self.after.clone()),
            (true, false) => ("DELETED", self.after.clone().or(self.before.clone())),
            (false, false) => return None,
        };
        let mut object = object?;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        Some(json!({"type": kind, "object": object}).to_string())
    }

    fn is_of(&self, namespace: &str, plural: &str) -> bool {
        self.key.1 == plural && (namespace.is_empty() || self.key.0 == namespace)
    }
}

/// Something that is to be stored.
pub struct Write<'a> {
    pub user: &'a User,
    pub target: &'a Target,
    pub name: &'a str,
    pub object: Value,
    pub stored: Option<Value>,
    /// The configuration, if it was applied.
    pub applied: Option<&'a Value>,
    pub manager: &'a str,
    pub dry_run: bool,
}

pub struct State {
    pub now: Timestamp,
    version: u64,
    pub objects: BTreeMap<Key, Value>,
    /// What came in by a request, for which the cluster's controllers care; the rest is as a test put it.
    pub live: BTreeSet<Key>,
    /// How often an object of this key was made, for its UID.
    made: BTreeMap<Key, u64>,
    history: Vec<Change>,
    /// Watches from before this version are answered that it is too old.
    pub oldest: u64,
    watches: Vec<Watch>,
    pub users: BTreeMap<&'static str, User>,
    pub jobs: JobController,
    /// Whether what a deleted object owned is left lying.
    pub keeps_garbage: bool,
    pub addons: BTreeSet<Addon>,
    pub policies: Policies,
    pub world: World,
}

impl State {
    /// With Alice's namespace and her database.
    pub fn new(now: Timestamp) -> Self {
        let ide = "system:serviceaccount:user-alice:vscode";
        let mut state = Self {
            now,
            version: 100,
            objects: BTreeMap::new(),
            live: BTreeSet::new(),
            made: BTreeMap::new(),
            history: Vec::new(),
            oldest: 0,
            watches: Vec::new(),
            users: BTreeMap::from([
                ("alice-token", User::new("oidc-alice", &[])),
                ("bob-token", User::new("oidc-bob", &[])),
                ("ide-token", User::new(ide, &["system:serviceaccounts"])),
                (
                    "root-token",
                    User::new("kubernetes-admin", &["system:masters"]),
                ),
            ]),
            jobs: JobController::Starts,
            keeps_garbage: false,
            addons: BTreeSet::new(),
            policies: Policies::default(),
            world: World::default(),
        };
        let alice = fixtures::user("oidc-alice");
        let ide = json!({"kind": "ServiceAccount", "namespace": "user-alice", "name": "vscode"});
        state.put(fixtures::namespace("user-alice"));
        state.put(fixtures::role_binding(
            "user-alice",
            "full_control_namespace",
            "admin",
            &alice,
        ));
        state.put(fixtures::role_binding("user-alice", "vscode", "view", &ide));
        for object in fixtures::postgres("user-alice", "pg") {
            state.put(object);
        }
        state
    }

    /// The version of the latest change.
    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn find(&self, target: &Target) -> Result<&Value, Response> {
        self.objects
            .get(&target.key(&target.name))
            .ok_or_else(|| not_found(target))
    }

    /// All objects of a type in a namespace.
    pub fn in_namespace<'a>(
        &'a self,
        plural: &'a str,
        namespace: &'a str,
    ) -> impl Iterator<Item = &'a Value> {
        self.objects
            .iter()
            .filter(move |((of, kind, _), _)| of == namespace && kind == plural)
            .map(|(_, stored)| stored)
    }

    pub fn list(&self, target: &Target, request: &Request) -> Answer {
        let selection = Selection::of(request, target)?;
        let items: Vec<&Value> = self
            .objects
            .iter()
            .filter(|((namespace, plural, _), _)| {
                *plural == target.plural
                    && (target.namespace.is_empty() || *namespace == target.namespace)
            })
            .map(|(_, stored)| stored)
            .filter(|object| selection.admits(object))
            .collect();
        Ok(Response::json(
            200,
            &json!({
                "apiVersion": target.api_version(), "kind": format!("{}List", target.kind),
                "metadata": {"resourceVersion": self.version.to_string()}, "items": items,
            }),
        ))
    }

    /// Tells what changed since the version asked for (all that is there, if none was), and then every change.
    pub fn watch(&mut self, target: &Target, request: &Request) -> Answer {
        let mut selection = Selection::of(request, target)?;
        if !target.name.is_empty() {
            selection = Selection::named(&target.name);
        }
        let (events, lines) = channel();
        let since: u64 = request
            .query("resourceVersion")
            .and_then(|version| version.parse().ok())
            .unwrap_or_default();
        let version = self.version;
        let bookmark = |annotations: Option<Value>| {
            let mut metadata = json!({"resourceVersion": version.to_string()});
            if let Some(annotations) = annotations {
                metadata["annotations"] = annotations;
            }
            let object = json!({"apiVersion": target.api_version(), "kind": target.kind, "metadata": metadata});
            json!({"type": "BOOKMARK", "object": object}).to_string()
        };
        let initial = request.query("sendInitialEvents") == Some("true");
        if since != 0 && since < self.oldest {
            let message = format!("too old resource version: {since} ({})", self.oldest);
            let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": "Expired", "code": 410});
            let _ = events.send(json!({"type": "ERROR", "object": status}).to_string());
            return Ok(Response::lines(lines));
        }
        if since == 0 || initial {
            for ((namespace, plural, _), stored) in &self.objects {
                let there = *plural == target.plural
                    && (target.namespace.is_empty() || *namespace == target.namespace);
                if there && selection.admits(stored) {
                    let _ = events.send(json!({"type": "ADDED", "object": stored}).to_string());
                }
            }
            if initial {
                let _ = events.send(bookmark(Some(json!({"k8s.io/initial-events-end": "true"}))));
            }
        } else {
            let later = self.history.iter().filter(|change| change.version > since);
            for event in later
                .filter(|change| change.is_of(&target.namespace, &target.plural))
                .filter_map(|change| change.event(&selection))
            {
                let _ = events.send(event);
            }
        }
        if request.query("allowWatchBookmarks") == Some("true") {
            let _ = events.send(bookmark(None));
        }
        self.watches.push(Watch {
            namespace: target.namespace.clone(),
            plural: target.plural.clone(),
            selection,
            events,
        });
        Ok(Response::lines(lines))
    }

    /// Ends all watches, as an API server that restarts does; what was before is forgotten.
    pub fn compact(&mut self) {
        self.version += 1;
        self.oldest = self.version;
        self.history.clear();
        self.watches.clear();
    }

    fn notify(&mut self, change: Change) {
        self.watches.retain(|watch| {
            let event = change
                .is_of(&watch.namespace, &watch.plural)
                .then(|| change.event(&watch.selection))
                .flatten();
            event.is_none_or(|event| watch.events.send(event).is_ok())
        });
        self.history.push(change);
    }

    /// Stores an object as it is, under a new version, and tells who watches.
    pub fn store(&mut self, key: &Key, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let before = self.objects.get(key).cloned();
        if before.is_none() {
            let made = self.made.entry(key.clone()).or_default();
            *made += 1;
            let uid = format!("{}-{}-{}-{made}", key.0, key.1, key.2);
            let metadata = &mut object["metadata"];
            if metadata["uid"].is_null() {
                metadata["uid"] = json!(uid);
            }
            metadata["creationTimestamp"] = json!(self.now.to_string());
        }
        self.objects.insert(key.clone(), object.clone());
        self.notify(Change {
            version: self.version,
            key: key.clone(),
            before,
            after: Some(object.clone()),
        });
        object
    }

    /// Stores an object as a test wants it to be; controllers leave it as it is.
    pub fn put(&mut self, mut object: Value) {
        let target = target_of(&object);
        let key = target.key(&target.name);
        let writer = Writer {
            manager: "kubectl-create",
            time: self.now,
        };
        let before = self.objects.get(&key).cloned();
        let managed = managed_fields::managed(before.as_ref(), &object, None, writer);
        object["metadata"]["managedFields"] = managed;
        self.store(&key, object);
    }

    /// Creates or replaces an object by a request of the cluster's own, with all that comes with it.
    pub fn submit(&mut self, user: &User, manager: &str, object: Value) -> Answer {
        let mut target = target_of(&object);
        if target.name.is_empty() {
            target.name = self.generate_name(&object);
        }
        let stored = self.objects.get(&target.key(&target.name)).cloned();
        self.write(Write {
            user,
            target: &target,
            name: &target.name,
            object,
            stored,
            applied: None,
            manager,
            dry_run: false,
        })
    }

    fn generate_name(&mut self, object: &Value) -> String {
        let Some(prefix) = object["metadata"]["generateName"].as_str() else {
            return String::new();
        };
        let key = (String::new(), "generated".to_owned(), prefix.to_owned());
        let count = self.made.entry(key).or_default();
        *count += 1;
        format!("{prefix}{}", letters(&format!("{prefix}{count}"), 5))
    }

    pub fn create(&mut self, user: &User, target: &Target, request: &Request) -> Answer {
        let mut object = request.json();
        let name = match object["metadata"]["name"].as_str() {
            Some(name) => name.to_owned(),
            None => self.generate_name(&object),
        };
        object["metadata"]["name"] = json!(name);
        if self.objects.contains_key(&target.key(&name)) {
            let message = format!("{} {name:?} already exists", target.qualified());
            return Err(target.refusal(409, "AlreadyExists", &name, message));
        }
        self.write(Write {
            user,
            target,
            name: &name,
            object,
            stored: None,
            applied: None,
            manager: request.query("fieldManager").unwrap_or("unknown"),
            dry_run: request.is_dry_run(),
        })
    }

    /// Puts another object in the place of the one that was read.
    pub fn update(&mut self, user: &User, target: &Target, request: &Request) -> Answer {
        let stored = self.find(target)?.clone();
        let object = request.json();
        self.write(Write {
            user,
            target,
            name: &target.name,
            object,
            stored: Some(stored),
            applied: None,
            manager: request.query("fieldManager").unwrap_or("unknown"),
            dry_run: request.is_dry_run(),
        })
    }

    /// A merge patch (RFC 7386), or server-side apply.
    pub fn patch(&mut self, user: &User, target: &Target, request: &Request) -> Answer {
        match request.header("content-type") {
            Some("application/apply-patch+yaml") => return self.apply(user, target, request),
            Some("application/merge-patch+json") => {}
            _ => {
                let message = "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml, application/apply-patch+cbor";
                return Err(Response::status(
                    415,
                    "UnsupportedMediaType",
                    message,
                    &json!({}),
                ));
            }
        }
        let stored = self.find(target)?.clone();
        let mut object = stored.clone();
        merge(&mut object, &request.json());
        if target.subresource == "status" {
            object = stored.clone();
            object["status"] = request.json()["status"].clone();
        }
        self.write(Write {
            user,
            target,
            name: &target.name,
            object,
            stored: Some(stored),
            applied: None,
            manager: request.query("fieldManager").unwrap_or("unknown"),
            dry_run: request.is_dry_run(),
        })
    }

    fn apply(&mut self, user: &User, target: &Target, request: &Request) -> Answer {
        let applied = request.json();
        let refused = |message: String| Response::status(400, "BadRequest", message, &Value::Null);
        let Some(manager) = request
            .query("fieldManager")
            .filter(|manager| !manager.is_empty())
        else {
            let message = "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch";
            return Err(Response::status(422, "Invalid", message, &Value::Null));
        };
        if applied["apiVersion"] != target.api_version() || applied["kind"] != target.kind {
            return Err(refused(format!(
                "invalid object type: {}, Kind={}",
                applied["apiVersion"], applied["kind"]
            )));
        }
        if !applied["metadata"]["managedFields"].is_null() {
            return Err(refused("metadata.managedFields must be nil".into()));
        }
        let named = &applied["metadata"]["name"];
        if !named.is_null() && *named != target.name {
            return Err(refused(format!(
                "the name of the object ({}) does not match the name on the URL ({})",
                named.as_str().unwrap_or_default(),
                target.name
            )));
        }
        let stored = self.objects.get(&target.key(&target.name)).cloned();
        let empty = json!({"apiVersion": target.api_version(), "kind": target.kind, "metadata": {"name": target.name}});
        let force = request.query("force") == Some("true");
        let writer = Writer {
            manager,
            time: self.now,
        };
        let version = applied["metadata"]["resourceVersion"].clone();
        let merged =
            managed_fields::apply(stored.as_ref().unwrap_or(&empty), &applied, writer, force);
        let mut object = merged.map_err(|conflicts| {
            let details = json!({"causes": managed_fields::causes(&conflicts)});
            Response::status(
                409,
                "Conflict",
                managed_fields::explain(&conflicts),
                &details,
            )
        })?;
        object["metadata"]["resourceVersion"] = version;
        self.write(Write {
            user,
            target,
            name: &target.name,
            object,
            stored,
            applied: Some(&applied),
            manager,
            dry_run: request.is_dry_run(),
        })
    }

    /// The way of everything that is stored by a request.
    fn write(&mut self, write: Write<'_>) -> Answer {
        let Write {
            user,
            target,
            name,
            mut object,
            stored,
            applied,
            manager,
            dry_run,
        } = write;
        let key = target.key(name);
        let version = &object["metadata"]["resourceVersion"];
        if let Some(stored) = &stored
            && !version.is_null()
            && *version != stored["metadata"]["resourceVersion"]
        {
            return Err(modified(target));
        }
        object["apiVersion"] = json!(target.api_version());
        object["kind"] = json!(target.kind);
        object["metadata"]["name"] = json!(name);
        if !key.0.is_empty() {
            object["metadata"]["namespace"] = json!(target.namespace);
        }
        let address = self.world.next_service_address();
        defaults::fill_in(&target.plural, &mut object, || address);
        match &stored {
            None => {
                if let Some(fields) = object.as_object_mut() {
                    fields.remove("status");
                }
                for field in [
                    "uid",
                    "creationTimestamp",
                    "resourceVersion",
                    "managedFields",
                    "generation",
                ] {
                    merge(&mut object["metadata"], &json!({field: null}));
                }
            }
            // What is the server's own stays as it was, whatever was sent.
            Some(stored) => {
                for field in ["uid", "creationTimestamp", "resourceVersion", "generation"] {
                    keep(&mut object["metadata"], &stored["metadata"], field);
                }
                if target.subresource != "status" {
                    keep(&mut object, stored, "status");
                }
                if target.plural == "services" && object["spec"]["type"] != "ExternalName" {
                    for field in ["clusterIP", "clusterIPs"] {
                        keep(&mut object["spec"], &stored["spec"], field);
                    }
                }
            }
        }
        let warnings = self.admit(user, target, name, &mut object, stored.as_ref())?;
        validation::check(target, name, &object, stored.as_ref())?;
        let has_generation =
            object["spec"].is_object() && !["pods", "services"].contains(&target.plural.as_str());
        if has_generation {
            let before = stored
                .as_ref()
                .map(|stored| (&stored["spec"], stored["metadata"]["generation"].as_u64()));
            let generation = match before {
                Some((spec, generation)) if *spec == object["spec"] => generation.unwrap_or(1),
                Some((_, generation)) => generation.unwrap_or(1) + 1,
                None => 1,
            };
            object["metadata"]["generation"] = json!(generation);
        }
        let writer = Writer {
            manager,
            time: self.now,
        };
        let managed = managed_fields::managed(stored.as_ref(), &object, applied, writer);
        object["metadata"]["managedFields"] = managed;
        let respond = |code: u16, object: &Value| {
            let response = Response::json(code, object);
            warnings.iter().fold(response, |response, warning| {
                response.header("warning", format!("299 - {warning:?}"))
            })
        };
        if let Some(stored) = &stored {
            if object == *stored || dry_run {
                return Ok(respond(200, &object));
            }
            return Ok(respond(200, &self.store(&key, object)));
        }
        if dry_run {
            object["metadata"]["uid"] = json!("a-uid-of-a-dry-run");
            object["metadata"]["creationTimestamp"] = json!(self.now.to_string());
            return Ok(respond(201, &object));
        }
        self.charge(target, &object, 1);
        self.live.insert(key.clone());
        let answer = respond(201, &self.store(&key, object));
        if self.is_garbage(&key) && !self.keeps_garbage {
            self.discard(&key);
        }
        Ok(answer)
    }

    pub fn delete(&mut self, target: &Target, request: &Request) -> Answer {
        let stored = self.find(target)?;
        let expected = &request.json()["preconditions"];
        for (field, called) in [("uid", "UID"), ("resourceVersion", "ResourceVersion")] {
            let there = &stored["metadata"][field];
            let expected = &expected[field];
            if !expected.is_null() && expected != there {
                let message = format!(
                    "Operation cannot be fulfilled on {} {:?}: Precondition failed: {called} in precondition: {}, {called} in object meta: {}",
                    target.qualified(),
                    target.name,
                    expected.as_str().unwrap_or_default(),
                    there.as_str().unwrap_or_default()
                );
                return Err(target.refusal(409, "Conflict", &target.name, message));
            }
        }
        let details =
            json!({"name": target.name, "kind": target.plural, "uid": stored["metadata"]["uid"]});
        if !request.is_dry_run() {
            self.discard(&target.key(&target.name));
        }
        Ok(Response::json(
            200,
            &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}),
        ))
    }

    /// Whether the owners of an object are all gone.
    fn is_garbage(&self, key: &Key) -> bool {
        let owners = self.objects[key]["metadata"]["ownerReferences"].as_array();
        let exists = |owner: &Value| {
            let mut objects = self.objects.values();
            objects.any(|object| object["metadata"]["uid"] == owner["uid"])
        };
        owners.is_some_and(|owners| !owners.is_empty() && !owners.iter().any(exists))
    }

    /// Removes an object and, as the garbage collector does, what it owned.
    pub fn discard(&mut self, key: &Key) {
        let Some(stored) = self.objects.remove(key) else {
            return;
        };
        self.version += 1;
        self.live.remove(key);
        self.charge(&target_of(&stored), &stored, -1);
        self.notify(Change {
            version: self.version,
            key: key.clone(),
            before: Some(stored),
            after: None,
        });
        if self.keeps_garbage {
            return;
        }
        loop {
            let garbage = self
                .objects
                .keys()
                .find(|key| self.is_garbage(key))
                .cloned();
            match garbage {
                Some(key) => self.discard(&key),
                None => break,
            }
        }
    }

    pub fn advance(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
        let now = self.now;
        let over = |job: &Value| {
            let started: Timestamp = job["status"]["startTime"].as_str()?.parse().ok()?;
            let deadline = job["spec"]["activeDeadlineSeconds"].as_i64()?;
            Some(now >= started + SignedDuration::from_secs(deadline))
        };
        let ended: Vec<Key> = self
            .objects
            .iter()
            .filter(|((_, plural, _), stored)| plural == "jobs" && over(stored) == Some(true))
            .map(|(key, _)| key.clone())
            .collect();
        for key in ended {
            self.discard(&key);
        }
    }
}

/// Makes a field what it was, or absent if it was.
fn keep(object: &mut Value, stored: &Value, field: &str) {
    object[field] = stored[field].clone();
    if stored[field].is_null()
        && let Some(fields) = object.as_object_mut()
    {
        fields.remove(field);
    }
}

fn not_found(target: &Target) -> Response {
    let message = format!("{} {:?} not found", target.qualified(), target.name);
    target.refusal(404, "NotFound", &target.name, message)
}

fn modified(target: &Target) -> Response {
    let message = format!(
        "Operation cannot be fulfilled on {} {:?}: the object has been modified; please apply your changes to the latest version and try again",
        target.qualified(),
        target.name
    );
    target.refusal(409, "Conflict", &target.name, message)
}

/// Where an object belongs.
fn target_of(object: &Value) -> Target {
    let kind = TYPES
        .iter()
        .find(|kind| object["apiVersion"] == kind.api_version() && object["kind"] == kind.kind)
        .unwrap_or_else(|| {
            panic!(
                "a type that is known: {} {}",
                object["apiVersion"], object["kind"]
            )
        });
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    Target::object(kind.plural, text("namespace"), text("name"))
}

/// Letters as Kubernetes makes names with, always the same for the same text.
pub fn letters(of: &str, count: usize) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut text = String::new();
    for byte in of.bytes().chain((0..count).map(|_| 0)) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        if byte == 0 {
            let index = (hash >> 32) % ALPHABET.len() as u64;
            text.push(char::from(
                ALPHABET[usize::try_from(index).unwrap_or_default()],
            ));
        }
    }
    text
}
