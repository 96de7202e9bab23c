//! Apps: what runs behind a name, and whether it comes up.

mod app_ref;
mod diagnosis;
mod explain;
mod find;
mod references;
mod remedy;
mod rollout;
mod seen;
mod state;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec, Service};

use commons::error::Error;

pub use app_ref::{AppRef, Kind};
pub use find::find;
pub use references::{Reference, references};
pub use remedy::{Amount, Remedy};
pub use rollout::{diagnose, serving, wait};

/// An app as it is in the cluster.
#[derive(Clone, Debug)]
pub struct App {
    /// Its namespace.
    pub namespace: String,
    /// What it is: the controller of its pods where there is one, else the lone pod; a Service only if nothing is behind it.
    pub kind: Kind,
    /// The name of that object.
    pub name: String,
    /// What the pods are made from; a lone pod's own spec; nothing behind an empty Service.
    pub template: Option<PodTemplateSpec>,
    /// Labels that its pods carry (of the template, or of the lone pod).
    pub pod_labels: BTreeMap<String, String>,
    /// By what the controller selects its pods; the lone pod's labels.
    pub selector: BTreeMap<String, String>,
    /// The pods there are now, newest first; those of older `ReplicaSets` and those being deleted too.
    pub pods: Vec<Pod>,
    /// The Services that select these labels; if a Service was typed, that one alone.
    pub services: Vec<Service>,
}

/// A roll-out to wait for: a Deployment, `StatefulSet`, `DaemonSet` or Pod.
#[derive(Clone, Debug)]
pub struct Rollout {
    /// Namespace.
    pub namespace: String,
    /// Kind.
    pub kind: Kind,
    /// Name.
    pub name: String,
}

/// Something that keeps an app from running.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Whether waiting is of no use: it stays so until somebody changes something.
    pub is_final: bool,
    /// What is wrong with which object, why, and what to change.
    pub error: Error,
}

/// An earlier version of a Deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// Its number, as `kubectl rollout undo --to-revision` takes it.
    pub revision: u64,
    /// The image of the app's own container.
    pub image: String,
}

/// What a finished roll-out looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// How many pods are ready.
    pub replicas: i32,
    /// Their names.
    pub pods: Vec<String>,
    /// Pods of before that are still ending; they get no new connections.
    pub leaving: Vec<String>,
}
