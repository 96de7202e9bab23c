//! The rest of the cluster: controllers and a kubelet, as far as the plugins see what they do.
//!
//! They care for what came in by requests, and leave alone what a test has put there.

mod certificates;
mod kubelet;
mod routing;
mod workloads;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::authority::Authority;
use crate::http::{Request, Response};
use crate::rbac::User;
use crate::store::{Key, State, letters};

pub use certificates::Issuing;
pub use kubelet::Fate;
pub use routing::Destination;

/// What a program in a pod answers.
pub type Answers = Arc<dyn Fn(&Request) -> Response + Send + Sync>;

/// What happens in the cluster beside the API server.
#[derive(Default)]
pub struct World {
    /// Whether nothing happens at all.
    pub is_down: bool,
    /// What becomes of the pods of an app (whose names begin with its), the latest first asked.
    pub fates: Vec<(String, Fate)>,
    /// What is in the logs, by the pod's app: of the present and of the previous container.
    pub logs: BTreeMap<String, (String, String)>,
    /// What listens in pods: the app, the port, and what it answers.
    pub programs: Vec<(String, u16, Answers)>,
    /// Where the ingress controller is reached from outside.
    pub entrance: Option<IpAddr>,
    /// The class that the ingress controller serves; any if there is none.
    pub class: Option<String>,
    /// What cert-manager does.
    pub issuing: Option<(Issuing, Arc<Authority>)>,
    services: u8,
    pods: u8,
}

impl World {
    pub fn next_service_address(&mut self) -> String {
        self.services = self.services.wrapping_add(1);
        format!("10.43.1.{}", self.services)
    }

    fn next_pod_address(&mut self) -> String {
        self.pods = self.pods.wrapping_add(1);
        format!("10.42.1.{}", self.pods)
    }

    pub fn fate(&self, pod: &str) -> Fate {
        let fate = self.fates.iter().rev().find(|(app, _)| is_of(pod, app));
        fate.map_or(Fate::Ready, |(_, fate)| fate.clone())
    }

    /// What listens on a port of a pod.
    pub fn program(&self, pod: &str, port: u16) -> Option<Answers> {
        let program = self
            .programs
            .iter()
            .rev()
            .find(|(app, of, _)| *of == port && is_of(pod, app));
        program.map(|(_, _, answers)| answers.clone())
    }
}

/// Whether a pod is one of an app's.
pub fn is_of(pod: &str, app: &str) -> bool {
    pod.strip_prefix(app)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// Lets the controllers do what is to be done now.
pub fn reconcile(state: &mut State) {
    if state.world.is_down {
        return;
    }
    // Each reacts to what the others did; a chain is never longer than this.
    for _ in 0..8 {
        let before = state.version();
        workloads::reconcile(state);
        kubelet::reconcile(state);
        routing::reconcile(state);
        certificates::reconcile(state);
        if state.version() == before {
            break;
        }
    }
}

/// The cluster's own user.
fn controller(name: &str) -> User {
    User::new(
        &format!("system:serviceaccount:kube-system:{name}"),
        &["system:masters"],
    )
}

impl State {
    /// The keys of all objects of a type that controllers care for.
    fn cared_for(&self, plural: &str) -> Vec<Key> {
        let live = self.live.iter().filter(|key| key.1 == plural);
        live.filter(|key| self.objects.contains_key(*key))
            .cloned()
            .collect()
    }

    /// Objects of a type in a namespace that have this object as their controller.
    fn owned(&self, plural: &str, namespace: &str, owner: &Value) -> Vec<Value> {
        let uid = &owner["metadata"]["uid"];
        let is_its = |object: &&Value| {
            let owners = object["metadata"]["ownerReferences"].as_array();
            owners.is_some_and(|owners| owners.iter().any(|owner| owner["uid"] == *uid))
        };
        self.in_namespace(plural, namespace)
            .filter(is_its)
            .cloned()
            .collect()
    }

    /// Changes an object as a controller does, if there is something to change.
    fn change(&mut self, key: &Key, change: impl FnOnce(&mut Value)) {
        let Some(stored) = self.objects.get(key) else {
            return;
        };
        let mut object = stored.clone();
        change(&mut object);
        if object != *stored {
            self.store(key, object);
        }
    }

    /// Reports an event of a pod's first container, as the kubelet does, once.
    pub fn container_event(&mut self, pod: &Value, kind: &str, reason: &str, message: &str) {
        let container = pod["spec"]["containers"][0]["name"].as_str();
        let path = format!("spec.containers{{{}}}", container.unwrap_or_default());
        self.event_at(pod, &path, kind, reason, message, "kubelet");
    }

    /// Reports an event, once.
    pub fn event(&mut self, of: &Value, kind: &str, reason: &str, message: &str, component: &str) {
        self.event_at(of, "", kind, reason, message, component);
    }

    fn event_at(
        &mut self,
        of: &Value,
        path: &str,
        kind: &str,
        reason: &str,
        message: &str,
        component: &str,
    ) {
        let metadata = &of["metadata"];
        let namespace = metadata["namespace"].as_str().unwrap_or_default();
        let known = self.in_namespace("events", namespace).any(|event| {
            event["involvedObject"]["uid"] == metadata["uid"]
                && event["reason"] == reason
                && event["message"] == message
        });
        if known {
            return;
        }
        let name = metadata["name"].as_str().unwrap_or_default();
        let name = format!(
            "{name}.{}",
            letters(&format!("{name}{reason}{message}"), 16)
        );
        let now = self.now.to_string();
        let key = (namespace.to_owned(), "events".to_owned(), name.clone());
        let mut event = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"namespace": namespace, "name": name},
            "involvedObject": {
                "apiVersion": of["apiVersion"], "kind": of["kind"], "namespace": namespace,
                "name": metadata["name"], "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"],
            },
            "type": kind, "reason": reason, "message": message, "count": 1,
            "firstTimestamp": now, "lastTimestamp": now, "eventTime": null,
            "source": {"component": component}, "reportingComponent": component, "reportingInstance": "",
        });
        if !path.is_empty() {
            event["involvedObject"]["fieldPath"] = json!(path);
        }
        self.store(&key, event);
    }
}

/// The reference to an owner that a controller writes.
fn owner(object: &Value) -> Value {
    json!([{
        "apiVersion": object["apiVersion"], "kind": object["kind"], "name": object["metadata"]["name"],
        "uid": object["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true,
    }])
}

fn key_of(plural: &str, object: &Value) -> Key {
    let text = |field: &str| {
        object["metadata"][field]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    (text("namespace"), plural.to_owned(), text("name"))
}
