//! What the API server stores, whom it knows, and what it checks before it stores.

use std::collections::BTreeMap;
use std::sync::mpsc::{Sender, channel};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::api::JobController;
use crate::fixtures;
use crate::http::{Request, Response};
use crate::merge_patch::merge;
use crate::rbac::{self, Action, User};
use crate::target::{RBAC, SERVED, Target};

/// The answer to a request that is refused, or not: both are answers.
pub type Answer = Result<Response, Response>;

/// Namespace, plural, name.
pub type Key = (String, String, String);

pub struct Watch {
    namespace: String,
    plural: String,
    name: Option<String>,
    events: Sender<String>,
}

pub struct State {
    pub now: Timestamp,
    version: u64,
    pub objects: BTreeMap<Key, Value>,
    /// How often an object of this key was made, for its UID.
    made: BTreeMap<Key, u64>,
    watches: Vec<Watch>,
    users: BTreeMap<&'static str, User>,
    pub jobs: JobController,
    /// Whether what a deleted object owned is left lying.
    pub keeps_garbage: bool,
}

impl State {
    /// With Alice's namespace and her database.
    pub fn new(now: Timestamp) -> Self {
        let ide = "system:serviceaccount:user-alice:vscode";
        let mut state = Self {
            now,
            version: 100,
            objects: BTreeMap::new(),
            made: BTreeMap::new(),
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
        };
        let alice = fixtures::user("oidc-alice");
        let ide = json!({"kind": "ServiceAccount", "namespace": "user-alice", "name": "vscode"});
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

    pub fn authenticate(&self, request: &Request) -> Result<User, Response> {
        let token = request
            .header("authorization")
            .and_then(|value| value.strip_prefix("Bearer "));
        let user = token
            .and_then(|token| self.users.get(token))
            .ok_or_else(|| Response::status(401, "Unauthorized", "Unauthorized", &Value::Null))?;
        let Some(other) = request.header("impersonate-user") else {
            return Ok(user.clone());
        };
        self.authorize(
            user,
            &Action {
                verb: "impersonate".into(),
                resource: "users".into(),
                name: other.into(),
                ..Action::default()
            },
        )?;
        Ok(User::new(
            other,
            &request.header_values("impersonate-group"),
        ))
    }

    pub fn authorize(&self, user: &User, action: &Action) -> Result<(), Response> {
        if rbac::allow(&self.rules(user, &action.namespace), action) {
            return Ok(());
        }
        let mut details = json!({"name": action.name, "kind": action.resource});
        if !action.group.is_empty() {
            details["group"] = json!(action.group);
        }
        Err(Response::status(
            403,
            "Forbidden",
            action.forbidden(user),
            &details,
        ))
    }

    /// The rules that apply to a user in a namespace.
    fn rules(&self, user: &User, namespace: &str) -> Vec<Value> {
        let mut rules = rbac::cluster_role("system:basic-user");
        if user.groups.iter().any(|group| group == "system:masters") {
            rules.extend(rbac::cluster_role("cluster-admin"));
        }
        for ((of, plural, _), stored) in &self.objects {
            let subjects = stored["subjects"].as_array().into_iter().flatten();
            if of == namespace
                && plural == "rolebindings"
                && subjects.into_iter().any(|subject| user.is(subject))
            {
                rules.extend(self.role(namespace, &stored["roleRef"]).unwrap_or_default());
            }
        }
        rules
    }

    /// The rules of the role that a binding refers to, if it exists.
    fn role(&self, namespace: &str, role_ref: &Value) -> Option<Vec<Value>> {
        let name = role_ref["name"].as_str().unwrap_or_default();
        if role_ref["kind"] == "ClusterRole" {
            return Some(rbac::cluster_role(name));
        }
        let key = (namespace.to_owned(), "roles".to_owned(), name.to_owned());
        let rules = self.objects.get(&key)?["rules"].as_array().cloned();
        Some(rules.unwrap_or_default())
    }

    pub fn review(&self, user: &User, target: &Target, review: &Value) -> Answer {
        self.authorize(user, &target.action("create"))?;
        let spec = &review["spec"];
        let action = Action::reviewed(&spec["resourceAttributes"]);
        let status = match target.plural.as_str() {
            "selfsubjectreviews" => {
                json!({"userInfo": {"username": user.name, "groups": user.groups}})
            }
            "selfsubjectaccessreviews" => {
                json!({"allowed": rbac::allow(&self.rules(user, &action.namespace), &action)})
            }
            "selfsubjectrulesreviews" => {
                let namespace = spec["namespace"].as_str().unwrap_or_default();
                json!({"resourceRules": self.rules(user, namespace), "nonResourceRules": [], "incomplete": false})
            }
            _ => {
                let groups = spec["groups"].as_array().into_iter().flatten();
                let asked = User {
                    name: spec["user"].as_str().unwrap_or_default().into(),
                    groups: groups
                        .filter_map(Value::as_str)
                        .map(str::to_owned)
                        .collect(),
                };
                json!({"allowed": rbac::allow(&self.rules(&asked, &action.namespace), &action)})
            }
        };
        let mut answer = review.clone();
        answer["status"] = status;
        Ok(Response::json(201, &answer))
    }

    pub fn find(&self, target: &Target) -> Result<&Value, Response> {
        self.objects
            .get(&target.key(&target.name))
            .ok_or_else(|| self.not_found(target))
    }

    #[expect(clippy::unused_self, reason = "reads as the others")]
    fn not_found(&self, target: &Target) -> Response {
        let message = format!("{} {:?} not found", target.qualified(), target.name);
        target.refusal(404, "NotFound", &target.name, message)
    }

    pub fn list(&self, target: &Target, request: &Request) -> Value {
        let selected = |object: &Value| {
            let labels = request.query("labelSelector").unwrap_or_default();
            labels
                .split(',')
                .filter(|term| !term.is_empty())
                .all(|term| {
                    let (key, value) = term.split_once('=').unwrap_or((term, ""));
                    object["metadata"]["labels"][key] == value.trim_start_matches('=')
                })
        };
        let items: Vec<&Value> = self
            .objects
            .iter()
            .filter(|((namespace, plural, _), _)| {
                *plural == target.plural
                    && (target.namespace.is_empty() || *namespace == target.namespace)
            })
            .map(|(_, stored)| stored)
            .filter(|object| selected(object))
            .collect();
        json!({
            "apiVersion": target.api_version(), "kind": format!("{}List", target.kind),
            "metadata": {"resourceVersion": self.version.to_string()}, "items": items,
        })
    }

    /// Tells what changed since the version asked for, and then every change.
    pub fn watch(&mut self, target: &Target, request: &Request) -> Response {
        let (events, lines) = channel();
        let name = request
            .query("fieldSelector")
            .and_then(|selector| selector.strip_prefix("metadata.name="));
        let since: u64 = request
            .query("resourceVersion")
            .and_then(|version| version.parse().ok())
            .unwrap_or_default();
        for ((namespace, plural, of), stored) in &self.objects {
            let version: u64 = stored["metadata"]["resourceVersion"]
                .as_str()
                .and_then(|version| version.parse().ok())
                .unwrap_or_default();
            if (namespace, plural) == (&target.namespace, &target.plural)
                && name.is_none_or(|name| name == of)
                && version > since
            {
                let event = json!({"type": "MODIFIED", "object": stored});
                let _ = events.send(event.to_string());
            }
        }
        self.watches.push(Watch {
            namespace: target.namespace.clone(),
            plural: target.plural.clone(),
            name: name.map(str::to_owned),
            events,
        });
        Response::lines(lines)
    }

    fn notify(&mut self, key: &Key, event: &str, object: &Value) {
        let line = json!({"type": event, "object": object}).to_string();
        self.watches.retain(|watch| {
            let fits = (&watch.namespace, &watch.plural) == (&key.0, &key.1)
                && watch.name.as_ref().is_none_or(|name| *name == key.2);
            !fits || watch.events.send(line.clone()).is_ok()
        });
    }

    /// Stores an object as it is, under a new version, and tells who watches.
    pub fn store(&mut self, key: &Key, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let new = !self.objects.contains_key(key);
        if new {
            let made = self.made.entry(key.clone()).or_default();
            *made += 1;
            let uid = format!("{}-{}-{}-{made}", key.0, key.1, key.2);
            let metadata = &mut object["metadata"];
            if metadata["uid"].is_null() {
                metadata["uid"] = json!(uid);
            }
            metadata["creationTimestamp"] = json!(self.now.to_string());
        }
        self.notify(key, if new { "ADDED" } else { "MODIFIED" }, &object);
        self.objects.insert(key.clone(), object.clone());
        object
    }

    pub fn put(&mut self, mut object: Value) {
        let (group, version) = object["apiVersion"]
            .as_str()
            .map(|text| text.split_once('/').unwrap_or(("", text)))
            .expect("an apiVersion");
        let served = SERVED
            .iter()
            .find(|served| (served.0, served.1) == (group, version) && object["kind"] == served.3)
            .expect("a type that is served");
        let text = |key: &str| {
            object["metadata"][key]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let key = (text("namespace"), served.2.to_owned(), text("name"));
        self.claim("kubectl-create", &mut object);
        self.store(&key, object);
    }

    /// Writes into an object who manages it, beside those who do so already.
    fn claim(&self, manager: &str, object: &mut Value) {
        let fields = &mut object["metadata"]["managedFields"];
        let mut entries = fields.as_array().cloned().unwrap_or_default();
        if !entries.iter().any(|entry| entry["manager"] == manager) {
            let time = self.now.to_string();
            entries.push(json!({"manager": manager, "operation": "Update", "time": time}));
        }
        *fields = json!(entries);
    }

    pub fn create(&mut self, user: &User, target: &Target, request: &Request) -> Answer {
        let mut object = request.json();
        let name = object["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let key = target.key(&name);
        if self.objects.contains_key(&key) {
            let message = format!("{} {name:?} already exists", target.qualified());
            return Err(target.refusal(409, "AlreadyExists", &name, message));
        }
        self.admit(user, target, &name, &mut object)?;
        let manager = request.query("fieldManager").unwrap_or("unknown");
        self.claim(manager, &mut object);
        if request.is_dry_run() {
            object["metadata"]["uid"] = json!("a-uid-of-a-dry-run");
            return Ok(Response::json(201, &object));
        }
        let answer = Response::json(201, &self.store(&key, object));
        if self.is_garbage(&key) && !self.keeps_garbage {
            self.discard(&key);
        }
        Ok(answer)
    }

    /// Puts another object in the place of the one that was read.
    pub fn update(&mut self, user: &User, target: &Target, request: &Request) -> Answer {
        let stored = self.find(target)?.clone();
        let mut object = request.json();
        let version = &object["metadata"]["resourceVersion"];
        if !version.is_null() && *version != stored["metadata"]["resourceVersion"] {
            return Err(Self::modified(target));
        }
        self.admit(user, target, &target.name, &mut object)?;
        // What is the server's own stays as it was, whatever was sent.
        let mut of_server = json!({"metadata": {}});
        for field in [
            "uid",
            "creationTimestamp",
            "resourceVersion",
            "managedFields",
        ] {
            of_server["metadata"][field] = stored["metadata"][field].clone();
        }
        of_server["status"] = stored["status"].clone();
        merge(&mut object, &of_server);
        if object == stored {
            return Ok(Response::json(200, &object));
        }
        let key = target.key(&target.name);
        let manager = request.query("fieldManager").unwrap_or("unknown");
        self.claim(manager, &mut object);
        if request.is_dry_run() {
            return Ok(Response::json(200, &object));
        }
        Ok(Response::json(200, &self.store(&key, object)))
    }

    fn modified(target: &Target) -> Response {
        let message = format!(
            "Operation cannot be fulfilled on {} {:?}: the object has been modified; please apply your changes to the latest version and try again",
            target.qualified(),
            target.name
        );
        target.refusal(409, "Conflict", &target.name, message)
    }

    /// A merge patch (RFC 7386).
    pub fn merge(&mut self, target: &Target, request: &Request) -> Answer {
        let stored = self.find(target)?;
        let patch = request.json();
        let version = &patch["metadata"]["resourceVersion"];
        let mut object = stored.clone();
        if !version.is_null() && *version != object["metadata"]["resourceVersion"] {
            return Err(Self::modified(target));
        }
        merge(&mut object, &patch);
        if request.is_dry_run() || object == *stored {
            return Ok(Response::json(200, &object));
        }
        let key = target.key(&target.name);
        Ok(Response::json(200, &self.store(&key, object)))
    }

    pub fn delete(&mut self, target: &Target, request: &Request) -> Answer {
        let stored = self.find(target)?;
        let uid = &stored["metadata"]["uid"];
        let expected = &request.json()["preconditions"]["uid"];
        if !expected.is_null() && expected != uid {
            let message = format!(
                "Operation cannot be fulfilled on {} {:?}: Precondition failed: UID in precondition: {}, UID in object meta: {}",
                target.qualified(),
                target.name,
                expected.as_str().unwrap_or_default(),
                uid.as_str().unwrap_or_default()
            );
            return Err(target.refusal(409, "Conflict", &target.name, message));
        }
        let details = json!({"name": target.name, "kind": target.plural, "uid": uid});
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
    fn discard(&mut self, key: &Key) {
        let Some(stored) = self.objects.remove(key) else {
            return;
        };
        self.notify(key, "DELETED", &stored);
        if self.keeps_garbage {
            return;
        }
        let keys = self.objects.keys().cloned();
        let owned: Vec<Key> = keys.filter(|key| self.is_garbage(key)).collect();
        for key in owned {
            self.discard(&key);
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

    /// What an API server checks and fills in before it stores an object.
    fn admit(
        &self,
        user: &User,
        target: &Target,
        name: &str,
        object: &mut Value,
    ) -> Result<(), Response> {
        object["apiVersion"] = json!(target.api_version());
        object["kind"] = json!(target.kind);
        object["metadata"]["namespace"] = json!(target.namespace);
        let longest = if target.plural == "jobs" { 63 } else { 253 };
        let invalid = |field: &str, value: &str, why: &str| {
            let message = format!(
                "{}{}{} {name:?} is invalid: {field}: Invalid value: {value:?}: {why}",
                target.kind,
                if target.group.is_empty() { "" } else { "." },
                target.group
            );
            target.refusal(422, "Invalid", name, message)
        };
        if !is_name(name, longest) {
            return Err(invalid(
                "metadata.name",
                name,
                "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'",
            ));
        }
        let labels = object["metadata"]["labels"].as_object().cloned();
        for (key, value) in labels.into_iter().flatten() {
            let value = value.as_str().unwrap_or_default();
            if !is_label(value) {
                return Err(invalid(
                    "metadata.labels",
                    value,
                    &format!("the value of {key} is no label's"),
                ));
            }
        }
        match target.plural.as_str() {
            "jobs" => {
                let spec = &mut object["spec"];
                spec["suspend"] = json!(self.jobs == JobController::Suspends);
                spec["completionMode"] = json!("NonIndexed");
                if self.jobs == JobController::StripsTtl {
                    merge(spec, &json!({"ttlSecondsAfterFinished": null}));
                }
                object["status"] = json!({});
            }
            "roles" => {
                let wanted = object["rules"].as_array().cloned().unwrap_or_default();
                self.refuse_escalation(user, target, name, &wanted)?;
            }
            "rolebindings" => {
                let role_ref = &object["roleRef"];
                let stored = self.objects.get(&target.key(name));
                if stored.is_some_and(|stored| stored["roleRef"] != *role_ref) {
                    return Err(invalid(
                        "roleRef",
                        &role_ref.to_string(),
                        "cannot change roleRef",
                    ));
                }
                let Some(wanted) = self.role(&target.namespace, role_ref) else {
                    let role = role_ref["name"].as_str().unwrap_or_default();
                    return Err(Response::status(
                        404,
                        "NotFound",
                        format!("roles.{RBAC} {role:?} not found"),
                        &json!({"name": role, "group": RBAC, "kind": "roles"}),
                    ));
                };
                self.refuse_escalation(user, target, name, &wanted)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Nobody gives rights that they do not have.
    fn refuse_escalation(
        &self,
        user: &User,
        target: &Target,
        name: &str,
        wanted: &[Value],
    ) -> Result<(), Response> {
        let Some(rule) = rbac::beyond(&self.rules(user, &target.namespace), wanted) else {
            return Ok(());
        };
        let message = format!(
            "{} {name:?} is forbidden: user {:?} (groups={:?}) is attempting to grant RBAC permissions not currently held:\n{{APIGroups:{}, Resources:{}, ResourceNames:{}, Verbs:{}}}",
            target.qualified(),
            user.name,
            user.groups,
            rule["apiGroups"],
            rule["resources"],
            rule["resourceNames"],
            rule["verbs"],
        );
        Err(target.refusal(403, "Forbidden", name, message))
    }
}

fn is_name(text: &str, longest: usize) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let in_rbac = |c: char| alphanumeric(c) || "-._:".contains(c);
    text.len() <= longest
        && text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
        && text.chars().all(in_rbac)
}

fn is_label(text: &str) -> bool {
    text.len() <= 63
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
}
