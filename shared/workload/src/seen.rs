//! What of the cluster's objects a roll-out and its failures are about: a Deployment, a `StatefulSet`, a `DaemonSet`, a
//! `ReplicaSet`, a pod and an event, each in the fields that are looked at and no others.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use commons::cluster::Versioned;

/// Declares structs that are read from the API server's JSON: every field may be absent.
macro_rules! seen {
    ($($(#[$meta:meta])* struct $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub(super) struct $name {
            $($(#[$field_meta])* pub(super) $field: $type,)*
        }
    )*};
}

seen! {
    struct Meta {
        name: String,
        uid: String,
        resource_version: String,
        generation: i64,
        labels: BTreeMap<String, String>,
        annotations: BTreeMap<String, String>,
        creation_timestamp: Option<Timestamp>,
        deletion_timestamp: Option<Timestamp>,
        finalizers: Vec<String>,
        owner_references: Vec<Owner>,
        managed_fields: Vec<Managed>,
    }

    struct Owner {
        kind: String,
        name: String,
        uid: String,
        controller: bool,
    }

    struct Managed {
        time: Option<Timestamp>,
        /// `status` for the controllers' own writes.
        subresource: String,
    }

    /// A Deployment, `StatefulSet`, `DaemonSet` or `ReplicaSet`.
    struct Controller {
        metadata: Meta,
        spec: ControllerSpec,
        status: ControllerStatus,
    }

    struct ControllerSpec {
        replicas: Option<i64>,
        paused: bool,
        min_ready_seconds: i64,
        template: Template,
        selector: LabelSelector,
        /// Of a `StatefulSet` or `DaemonSet`.
        update_strategy: UpdateStrategy,
        pod_management_policy: String,
    }

    struct Template {
        spec: PodSpec,
    }

    struct LabelSelector {
        match_labels: BTreeMap<String, String>,
    }

    struct UpdateStrategy {
        #[serde(rename = "type")]
        type_: String,
        rolling_update: RollingUpdate,
    }

    struct RollingUpdate {
        partition: i64,
    }

    struct ControllerStatus {
        observed_generation: i64,
        replicas: i64,
        updated_replicas: i64,
        available_replicas: i64,
        current_revision: String,
        update_revision: String,
        desired_number_scheduled: i64,
        updated_number_scheduled: i64,
        number_available: i64,
        conditions: Vec<Condition>,
    }

    struct Condition {
        #[serde(rename = "type")]
        type_: String,
        status: String,
        reason: String,
        message: String,
        last_transition_time: Option<Timestamp>,
    }

    struct Pod {
        metadata: Meta,
        spec: PodSpec,
        status: PodStatus,
    }

    struct PodSpec {
        containers: Vec<Container>,
        init_containers: Vec<Container>,
        volumes: Vec<Volume>,
        node_selector: BTreeMap<String, String>,
        service_account_name: String,
        image_pull_secrets: Vec<Reference>,
        restart_policy: String,
    }

    struct Container {
        name: String,
        image: String,
        command: Vec<String>,
        args: Vec<String>,
        ports: Vec<Port>,
        env: Vec<Variable>,
        env_from: Vec<EnvFrom>,
        resources: Resources,
        readiness_probe: Option<Probe>,
        liveness_probe: Option<Probe>,
        startup_probe: Option<Probe>,
        /// `Always` for a sidecar among the init containers.
        restart_policy: String,
    }

    struct Port {
        name: String,
        container_port: i64,
    }

    struct Variable {
        name: String,
        value_from: VariableSource,
    }

    struct VariableSource {
        config_map_key_ref: Option<KeyReference>,
        secret_key_ref: Option<KeyReference>,
    }

    struct KeyReference {
        name: String,
        key: String,
        optional: bool,
    }

    struct EnvFrom {
        config_map_ref: Option<Reference>,
        secret_ref: Option<Reference>,
    }

    struct Reference {
        name: String,
        optional: bool,
    }

    struct Resources {
        requests: BTreeMap<String, String>,
        limits: BTreeMap<String, String>,
    }

    struct Probe {
        http_get: Option<HttpGet>,
        tcp_socket: Option<Socket>,
        exec: Option<Exec>,
        grpc: Option<Socket>,
    }

    struct HttpGet {
        path: String,
        port: serde_json::Value,
    }

    struct Socket {
        port: serde_json::Value,
    }

    struct Exec {
        command: Vec<String>,
    }

    struct Volume {
        name: String,
        config_map: Option<ConfigMapVolume>,
        secret: Option<SecretVolume>,
        persistent_volume_claim: Option<ClaimVolume>,
        projected: Option<Projected>,
    }

    struct ConfigMapVolume {
        name: String,
        items: Vec<Item>,
        optional: bool,
    }

    struct SecretVolume {
        secret_name: String,
        /// Of a projected source.
        name: String,
        items: Vec<Item>,
        optional: bool,
    }

    struct ClaimVolume {
        claim_name: String,
    }

    struct Projected {
        sources: Vec<ProjectedSource>,
    }

    struct ProjectedSource {
        config_map: Option<ConfigMapVolume>,
        secret: Option<SecretVolume>,
    }

    struct Item {
        key: String,
    }

    struct PodStatus {
        phase: String,
        reason: String,
        message: String,
        conditions: Vec<Condition>,
        start_time: Option<Timestamp>,
        container_statuses: Vec<ContainerStatus>,
        init_container_statuses: Vec<ContainerStatus>,
    }

    struct ContainerStatus {
        name: String,
        ready: bool,
        restart_count: i64,
        state: ContainerState,
        last_state: ContainerState,
    }

    struct ContainerState {
        waiting: Option<Waiting>,
        running: Option<Running>,
        terminated: Option<Terminated>,
    }

    struct Waiting {
        reason: String,
        message: String,
    }

    struct Running {
        started_at: Option<Timestamp>,
    }

    struct Terminated {
        exit_code: i64,
        reason: String,
        message: String,
        finished_at: Option<Timestamp>,
    }

    struct Event {
        metadata: Meta,
        involved_object: Involved,
        reason: String,
        message: String,
        #[serde(rename = "type")]
        type_: String,
        count: i64,
        first_timestamp: Option<Timestamp>,
        last_timestamp: Option<Timestamp>,
        /// Where newer reporters say when it happened.
        #[serde(rename = "eventTime")]
        moment: Option<Timestamp>,
        series: Option<Series>,
    }

    struct Involved {
        kind: String,
        name: String,
        uid: String,
        /// `spec.containers{web}`
        field_path: String,
    }

    struct Series {
        count: i64,
        last_observed_time: Option<Timestamp>,
    }
}

impl Versioned for Controller {
    fn version(&self) -> &str {
        &self.metadata.resource_version
    }
}

impl Versioned for Pod {
    fn version(&self) -> &str {
        &self.metadata.resource_version
    }
}

impl Versioned for Event {
    fn version(&self) -> &str {
        &self.metadata.resource_version
    }
}

impl Meta {
    /// What controls the object.
    pub(super) fn controller(&self) -> Option<&Owner> {
        self.owner_references.iter().find(|owner| owner.controller)
    }

    /// Whether it is being deleted.
    pub(super) fn is_leaving(&self) -> bool {
        self.deletion_timestamp.is_some()
    }
}

impl Pod {
    /// A condition that is so.
    pub(super) fn condition(&self, type_: &str) -> Option<&Condition> {
        self.status
            .conditions
            .iter()
            .find(|condition| condition.type_ == type_)
    }

    pub(super) fn is_ready(&self) -> bool {
        !self.metadata.is_leaving()
            && self
                .condition("Ready")
                .is_some_and(|condition| condition.status == "True")
    }

    /// What is said of its containers, the init containers first.
    pub(super) fn containers(&self) -> impl Iterator<Item = (&Container, &ContainerStatus)> {
        let init = self.status.init_container_statuses.iter();
        let main = self.status.container_statuses.iter();
        init.chain(main)
            .filter_map(|status| Some((self.spec.container(&status.name)?, status)))
    }
}

impl PodSpec {
    pub(super) fn container(&self, name: &str) -> Option<&Container> {
        self.all_containers()
            .find(|container| container.name == name)
    }

    pub(super) fn all_containers(&self) -> impl Iterator<Item = &Container> {
        self.init_containers.iter().chain(&self.containers)
    }
}

impl Event {
    /// When it happened last.
    pub(super) fn last(&self) -> Option<Timestamp> {
        self.series
            .as_ref()
            .and_then(|series| series.last_observed_time)
            .or(self.last_timestamp)
            .or(self.moment)
            .or(self.metadata.creation_timestamp)
    }

    /// How often it happened.
    pub(super) fn times(&self) -> i64 {
        self.series
            .as_ref()
            .map_or(self.count, |series| series.count)
            .max(1)
    }

    /// Of which container it tells.
    pub(super) fn container(&self) -> Option<&str> {
        self.involved_object
            .field_path
            .split_once('{')?
            .1
            .strip_suffix('}')
    }
}
