//! What a test has the administrator do with objects, by the names and times that the test knows.

use std::sync::Arc;

use serde_json::{Value, json};

use super::server::Shared;
use super::{Kind, Plane, comes_true, items, kubelet, plane, text, wait_until};
use crate::fixtures;

/// The namespace of most tests.
pub const ALICE: &str = "user-alice";

/// What the API server fills in by itself, and takes from nobody.
const OF_THE_SERVER: [&str; 6] = [
    "resourceVersion",
    "uid",
    "creationTimestamp",
    "managedFields",
    "generation",
    "selfLink",
];

/// The kinds of which plugins make objects.
const MADE: [&str; 14] = [
    "configmaps",
    "secrets",
    "services",
    "persistentvolumeclaims",
    "deployments",
    "statefulsets",
    "jobs",
    "ingresses",
    "networkpolicies",
    "poddisruptionbudgets",
    "roles",
    "rolebindings",
    "httproutes",
    "listenersets",
];

impl Shared {
    /// Alice's namespace with her rights, those of her IDE, and the database `pg`; once.
    pub(super) fn prepare(self: &Arc<Self>) {
        self.prepared.call_once(|| {
            self.make_namespace(ALICE, &json!({}));
            let ide = json!({"kind": "ServiceAccount", "namespace": ALICE, "name": "vscode"});
            let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"namespace": ALICE, "name": "vscode"}});
            let alice = fixtures::user("oidc-alice");
            self.write_all(&[
                account,
                fixtures::role_binding(ALICE, "full_control_namespace", "admin", &alice),
                fixtures::role_binding(ALICE, "vscode", "view", &ide),
            ]);
            self.write_all(&fixtures::postgres(ALICE, "pg"));
            let endpoints = format!("/api/v1/namespaces/{}/endpoints/pg", self.names().real(ALICE));
            wait_until("the database is ready", || {
                let (_, endpoints) = plane().root("GET", &endpoints, None);
                items(&endpoints, "subsets").any(|subset| subset["addresses"].is_array())
            });
        });
    }

    /// Waits until the controllers have done what they have to do.
    pub(super) fn settle(self: &Arc<Self>) {
        let mut last = Value::Null;
        let is_done = || match kubelet::unsettled(self) {
            None => true,
            Some(object) => {
                last = object;
                false
            }
        };
        let is_settled = comes_true(is_done);
        assert!(is_settled, "the controllers are never done with {last}");
    }

    fn write_all(self: &Arc<Self>, objects: &[Value]) {
        for object in objects {
            self.write(object, "kubectl-create");
        }
    }

    /// Makes a namespace, unless it is there.
    fn make_namespace(self: &Arc<Self>, name: &str, labels: &Value) {
        let is_new = self.names().add(name);
        let real = self.names().real(name);
        let path = format!("/api/v1/namespaces/{real}");
        if !is_new {
            let change = json!({"metadata": {"labels": labels}});
            let change = Some(("application/merge-patch+json", &change));
            let (code, answer) = plane().root("PATCH", &path, change);
            assert_eq!(code, 200, "{answer}");
            return;
        }
        plane().register(&real, self);
        let object = json!({"metadata": {"name": real, "labels": labels}});
        let (code, answer) = plane().root(
            "POST",
            "/api/v1/namespaces",
            Some(("application/json", &object)),
        );
        assert_eq!(code, 201, "{answer}");
        // Pods are made as somebody.
        let account = format!("{path}/serviceaccounts/default");
        wait_until("a namespace is ready", || {
            plane().root("GET", &account, None).0 == 200
        });
    }

    /// Creates an object, or puts it in the place of the one that is there; also its status, of one that was not read before.
    pub(super) fn write(self: &Arc<Self>, object: &Value, manager: &str) {
        let kind = plane().kind_of(object);
        let name = text(&object["metadata"]["name"]);
        if kind.plural == "namespaces" {
            return self.make_namespace(&name, &object["metadata"]["labels"]);
        }
        if kind.is_namespaced {
            let namespace = object["metadata"]["namespace"].as_str().unwrap_or(ALICE);
            if !self.names().has(namespace) {
                self.make_namespace(namespace, &json!({}));
            }
        } else {
            self.names().add(&name);
        }
        let mut object: Value = serde_json::from_str(&self.hide(&object.to_string())).unwrap();
        let namespace = text(&object["metadata"]["namespace"]);
        let is_new = object["metadata"]["uid"].is_null();
        let status = object.as_object_mut().and_then(|all| all.remove("status"));
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.retain(|field, _| !OF_THE_SERVER.contains(&field.as_str()));
            if !is_new {
                metadata.insert("resourceVersion".to_owned(), json!(""));
            }
        }
        let name = text(&object["metadata"]["name"]);
        let stored = plane().store(kind, &namespace, &name, object, manager);
        if let Some(status) = status.filter(|status| is_new && !status.is_null()) {
            let path = kind.path(&namespace, &text(&stored["metadata"]["name"])) + "/status";
            wait_until("a status is written", || {
                let (_, mut present) = plane().root("GET", &path, None);
                present["status"] = status.clone();
                let (code, answer) =
                    plane().root("PUT", &path, Some(("application/json", &present)));
                assert!(code < 400 || code == 409 || code == 404, "{answer}");
                code != 409
            });
        }
        match kind.plural.as_str() {
            "roles" | "rolebindings" => plane().wait_for_rights(),
            _ => {}
        }
    }

    /// Removes an object and nothing else, by the names that the test knows.
    pub(super) fn remove(&self, plural: &str, namespace: &str, name: &str) {
        let namespace = self.names().real(namespace);
        let name = self.hide(name);
        plane().discard(plane().kind_of_plural(plural), &namespace, &name);
    }

    /// An object as the test sees it; null where there is none.
    pub(super) fn object(&self, plural: &str, namespace: &str, name: &str) -> Value {
        let namespace = self.names().real(namespace);
        let name = self.hide(name);
        let path = plane().kind_of_plural(plural).path(&namespace, &name);
        match plane().root("GET", &path, None) {
            (200, object) => self.shown(&object),
            _ => Value::Null,
        }
    }

    /// All objects of a kind in a namespace, as the test sees them.
    pub(super) fn objects(&self, plural: &str, namespace: &str) -> Vec<Value> {
        let objects = plane().objects(plural, namespace);
        objects.iter().map(|object| self.shown(object)).collect()
    }

    /// What plugins can have made, in all namespaces of the test: each as `jobs/share-pg-bob`.
    pub(super) fn made(&self) -> Vec<(String, Value)> {
        let namespaces: Vec<String> = self.names().all_real().collect();
        let places = namespaces
            .iter()
            .flat_map(|namespace| MADE.map(|plural| (plural, namespace)));
        let all = places.flat_map(|(plural, namespace)| {
            let objects = self.objects(plural, namespace).into_iter();
            objects.map(move |object| {
                let name = text(&object["metadata"]["name"]);
                (format!("{plural}/{name}"), object)
            })
        });
        let mut all: Vec<_> = all.collect();
        all.sort_by(|one, other| one.0.cmp(&other.0));
        all
    }

    /// The names of all objects that a plugin of the suite has made, when what deleted objects owned is gone too.
    pub(super) fn ours(&self) -> Vec<String> {
        let mut ours = Vec::new();
        wait_until("the garbage is collected", || {
            let made = self.made();
            let there: Vec<&Value> = made
                .iter()
                .map(|(_, object)| &object["metadata"]["uid"])
                .collect();
            let is_garbage = made.iter().any(|(_, object)| {
                let mut owners = items(&object["metadata"], "ownerReferences").peekable();
                owners.peek().is_some()
                    && owners.all(|owner| owner["kind"] == "Job" && !there.contains(&&owner["uid"]))
            });
            ours = made
                .iter()
                .filter(|(_, object)| {
                    let by = &object["metadata"]["labels"]["app.kubernetes.io/managed-by"];
                    by.as_str().is_some_and(|by| by.starts_with("kubectl-"))
                })
                .map(|(name, _)| name.clone())
                .collect();
            !is_garbage
        });
        ours
    }

    /// Lets every timer end whose time is over, as the Job controller would by then; it counts from when it started a Job.
    pub(super) fn end_timers(&self) {
        let namespace = self.names().real(ALICE);
        let now = self.clock().now();
        for job in self.objects("jobs", &namespace) {
            let started: Option<jiff::Timestamp> = job["status"]["startTime"]
                .as_str()
                .and_then(|time| time.parse().ok());
            let (Some(started), Some(deadline)) =
                (started, job["spec"]["activeDeadlineSeconds"].as_i64())
            else {
                continue;
            };
            if now.duration_since(started).as_secs() < deadline {
                continue;
            }
            let name = text(&job["metadata"]["name"]);
            let path = plane().kind_of_plural("jobs").path(&namespace, &name);
            let change = json!({"spec": {"activeDeadlineSeconds": 1}});
            let change = Some(("application/merge-patch+json", &change));
            let (code, answer) = plane().root("PATCH", &path, change);
            assert_eq!(code, 200, "{answer}");
            let is_removed = job["spec"]["ttlSecondsAfterFinished"] == 0;
            wait_until("a Job ends", || {
                let (code, job) = plane().root("GET", &path, None);
                code == 404 || !is_removed && items(&job["status"], "conditions").next().is_some()
            });
        }
    }
}

impl Plane {
    fn store(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        mut object: Value,
        manager: &str,
    ) -> Value {
        let (one, all) = (kind.path(namespace, name), kind.path(namespace, ""));
        // Most are new.
        let mut is_there = !object["metadata"]["resourceVersion"].is_null();
        for _ in 0..8 {
            let (method, target) = if is_there {
                let (_, mut present) = self.root("GET", &one, None);
                object["metadata"]["resourceVersion"] =
                    present["metadata"]["resourceVersion"].take();
                ("PUT", &one)
            } else {
                as_new(&mut object);
                ("POST", &all)
            };
            let target = format!("{target}?fieldManager={manager}");
            let (code, answer) = self.root(method, &target, Some(("application/json", &object)));
            match code {
                200 | 201 => return answer,
                404 => is_there = false,
                409 => is_there = true,
                // Some fields never change.
                422 if is_there => {
                    self.discard(kind, namespace, name);
                    is_there = false;
                }
                _ => panic!("{method} {target}: {answer}"),
            }
        }
        panic!("{one} cannot be written");
    }

    /// Removes an object and nothing else.
    fn discard(&self, kind: &Kind, namespace: &str, name: &str) {
        let path = kind.path(namespace, name);
        let (code, answer) = self.root(
            "DELETE",
            &format!("{path}?propagationPolicy=Orphan&gracePeriodSeconds=0"),
            None,
        );
        assert!(code < 300, "{answer}");
        wait_until("an object is gone", || {
            self.root("GET", &path, None).0 == 404
        });
        if kind.group == "rbac.authorization.k8s.io" {
            self.wait_for_rights();
        }
    }

    /// All objects of a kind in a namespace, as the API server has them.
    pub(super) fn objects(&self, plural: &str, namespace: &str) -> Vec<Value> {
        let kind = self.kind_of_plural(plural);
        let (_, mut list) = self.root("GET", &kind.path(namespace, ""), None);
        let api_version = if kind.group.is_empty() {
            kind.version.clone()
        } else {
            format!("{}/{}", kind.group, kind.version)
        };
        let mut objects = match list["items"].take() {
            Value::Array(objects) => objects,
            _ => Vec::new(),
        };
        for object in &mut objects {
            object["apiVersion"] = json!(api_version);
            object["kind"] = json!(kind.name);
        }
        objects
    }
}

/// Takes out of an object what it had when it was another one.
fn as_new(object: &mut Value) {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
    }
    if object["kind"] == "Job" {
        let spec = object["spec"].as_object_mut().expect("a Job's spec");
        spec.remove("selector");
        spec["template"]["metadata"]["labels"] = Value::Null;
    }
}
