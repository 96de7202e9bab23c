//! The objects of an app, as plain data: no cluster is asked here.

use std::fmt::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use commons::apply::MANAGED_BY;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::inputs::CONFIG_DIRECTORY;
use crate::objects::{MANAGER, NAME, PLACEHOLDER, files_name};
use crate::settings::{PORT, Probes, Settings, VOLUME};
use crate::uses::USES;

/// The annotation of the pods that changes with their configuration, so that they are replaced when it does.
pub const CONFIG_HASH: &str = "kube-commons/config-hash";

/// The objects of one app.
#[derive(Clone, Debug)]
pub struct Plan {
    pub name: String,
    pub settings: Settings,
    /// Whether there are ConfigMaps and a Secret already: they stay, if empty, so that no pod waits for one that is gone.
    pub keep: Keep,
}

/// Which objects exist already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    pub config: bool,
    pub files: bool,
    pub secret: bool,
}

impl Plan {
    fn metadata(&self, name: &str) -> Value {
        json!({"name": name, "labels": {NAME: self.name, MANAGED_BY: MANAGER}})
    }

    /// By what the Deployment and the Service know the pods. It never changes, and no chart has the same.
    pub fn selector(&self) -> Value {
        json!({NAME: self.name, MANAGED_BY: MANAGER})
    }

    /// The same, as kubectl's `-l` takes it.
    pub fn selector_text(&self) -> String {
        format!("{NAME}={},{MANAGED_BY}={MANAGER}", self.name)
    }

    /// The open variables.
    pub fn config(&self) -> Option<Value> {
        let env = &self.settings.env;
        (self.keep.config || !env.is_empty()).then(|| {
            clean(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": self.metadata(&self.name), "data": env}))
        })
    }

    /// The files.
    pub fn files(&self) -> Option<Value> {
        if !self.keep.files && self.settings.files.is_empty() {
            return None;
        }
        let (mut data, mut binary) = (Map::new(), Map::new());
        for (name, file) in &self.settings.files {
            match std::str::from_utf8(&file.content) {
                Ok(text) => data.insert(name.clone(), text.into()),
                Err(_) => binary.insert(name.clone(), BASE64_STANDARD.encode(&file.content).into()),
            };
        }
        Some(clean(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": self.metadata(&files_name(&self.name)), "data": data, "binaryData": binary}),
        ))
    }

    /// The secrets; with their values, or a placeholder in each one's place.
    pub fn secret(&self, with_values: bool) -> Option<Value> {
        let secrets = &self.settings.secrets;
        (self.keep.secret || !secrets.is_empty()).then(|| {
            let data: Map<String, Value> = secrets
                .iter()
                .map(|(name, value)| {
                    let value = if with_values {
                        BASE64_STANDARD.encode(value.expose())
                    } else {
                        PLACEHOLDER.to_owned()
                    };
                    (name.clone(), value.into())
                })
                .collect();
            clean(json!({"apiVersion": "v1", "kind": "Secret", "metadata": self.metadata(&self.name), "type": "Opaque", "data": data}))
        })
    }

    /// The address inside of the cluster.
    pub fn service(&self) -> Option<Value> {
        self.settings.port.map(|_| {
            json!({
                "apiVersion": "v1", "kind": "Service", "metadata": self.metadata(&self.name),
                "spec": {"selector": self.selector(), "ports": [{"name": PORT, "port": 80, "targetPort": PORT}]},
            })
        })
    }

    /// What runs; `hash` as [`Plan::hash`] made it, or nothing where it is only to be read.
    pub fn deployment(&self, hash: Option<&str>) -> Value {
        let settings = &self.settings;
        let mut metadata = self.metadata(&self.name);
        if let Some(uses) = &settings.uses {
            metadata["annotations"] = json!({USES: uses.database});
        }
        let in_place =
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}});
        clean(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
            "spec": {
                "replicas": settings.replicas,
                "strategy": if settings.surge { Value::Null } else { in_place },
                "selector": {"matchLabels": self.selector()},
                "template": {
                    "metadata": {"labels": self.selector(), "annotations": {CONFIG_HASH: hash}},
                    "spec": {
                        // Variables for every Service of the namespace surprise apps (`REDIS_PORT=tcp://...`).
                        "enableServiceLinks": false,
                        "automountServiceAccountToken": false,
                        "securityContext": {
                            "runAsNonRoot": (!settings.run_as.image_decides).then_some(true),
                            "runAsUser": settings.run_as.user,
                            "seccompProfile": {"type": "RuntimeDefault"},
                        },
                        "containers": [self.container()],
                        "volumes": self.volumes(),
                    },
                },
            },
        }))
    }

    fn container(&self) -> Value {
        let settings = &self.settings;
        let mut from = Vec::new();
        if self.config().is_some() {
            from.push(json!({"configMapRef": {"name": self.name}}));
        }
        if self.secret(false).is_some() {
            from.push(json!({"secretRef": {"name": self.name}}));
        }
        let (startup, readiness) = self.probes();
        let drop = json!({"drop": ["ALL"]});
        json!({
            "name": self.name,
            "image": settings.image,
            "command": settings.command,
            "args": settings.args,
            "ports": settings.port.map(|port| json!([{"name": PORT, "containerPort": port}])),
            "env": settings.uses.as_ref().map(|uses| &uses.env),
            "envFrom": from,
            "resources": {"requests": settings.resources.requests, "limits": settings.resources.limits},
            "startupProbe": startup,
            "readinessProbe": readiness,
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "capabilities": if settings.run_as.image_decides { Value::Null } else { drop },
            },
            "volumeMounts": self.mounts(),
        })
    }

    /// Asked every second until the port first answers, for ten minutes, then every five.
    fn probes(&self) -> (Value, Value) {
        match &self.settings.probes {
            _ if self.settings.port.is_none() => (Value::Null, Value::Null),
            Probes::Port => (
                json!({"tcpSocket": {"port": PORT}, "periodSeconds": 1, "failureThreshold": 600}),
                json!({"tcpSocket": {"port": PORT}, "periodSeconds": 5}),
            ),
            Probes::Kept { startup, readiness } => (
                startup.clone().unwrap_or_default(),
                readiness.clone().unwrap_or_default(),
            ),
        }
    }

    fn volumes(&self) -> Value {
        if self.files().is_none() {
            return Value::Null;
        }
        json!([{"name": VOLUME, "configMap": {"name": files_name(&self.name)}}])
    }

    fn mounts(&self) -> Value {
        if self.files().is_none() {
            return Value::Null;
        }
        let files = &self.settings.files;
        let mut mounts = Vec::new();
        if files.is_empty() || files.values().any(|file| file.path.is_none()) {
            mounts.push(json!({"name": VOLUME, "mountPath": CONFIG_DIRECTORY, "readOnly": true}));
        }
        for (name, file) in files {
            if let Some(path) = &file.path {
                mounts.push(
                    json!({"name": VOLUME, "mountPath": path, "subPath": name, "readOnly": true}),
                );
            }
        }
        mounts.into()
    }

    /// A fingerprint of the configuration. `salt` is what only readers of the Secret know (its UID): without it a short secret
    /// could be guessed from the Deployment, which more people may read.
    pub fn hash(&self, salt: &str) -> Option<String> {
        let settings = &self.settings;
        if settings.env.is_empty() && settings.secrets.is_empty() && settings.files.is_empty() {
            return None;
        }
        let mut digest = Sha256::new();
        let mut add = |bytes: &[u8]| {
            digest.update((bytes.len() as u64).to_be_bytes());
            digest.update(bytes);
        };
        for (name, value) in &settings.env {
            add(b"env");
            add(name.as_bytes());
            add(value.as_bytes());
        }
        for (name, file) in &settings.files {
            add(b"file");
            add(name.as_bytes());
            add(&file.content);
        }
        for (name, value) in &settings.secrets {
            add(b"secret");
            add(salt.as_bytes());
            add(name.as_bytes());
            add(value.expose());
        }
        let mut text = String::new();
        for byte in digest.finalize().iter().take(8) {
            let _ = write!(text, "{byte:02x}");
        }
        Some(text)
    }

    /// The manifests, in the order in which they are to be made; secrets without their values.
    pub fn manifests(&self) -> Vec<Value> {
        [
            self.config(),
            self.files(),
            self.secret(false),
            self.service(),
        ]
        .into_iter()
        .flatten()
        .chain([self.deployment(None)])
        .collect()
    }
}

/// Without fields that say nothing: null, and lists and maps with nothing in them.
fn clean(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(name, value)| (name, clean(value)))
                .filter(|(_, value)| !says_nothing(value))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(clean).collect()),
        scalar => scalar,
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::{ConfigFile, Hidden};
    use crate::settings::tests::example;

    fn plan() -> Plan {
        Plan {
            name: "web".into(),
            settings: example(),
            keep: Keep::default(),
        }
    }

    #[test]
    fn only_what_is_needed_is_made() {
        let kinds = |plan: &Plan| -> Vec<String> {
            plan.manifests()
                .iter()
                .map(|object| object["kind"].as_str().unwrap_or_default().to_owned())
                .collect()
        };
        assert_eq!(kinds(&plan()), ["ConfigMap", "Service", "Deployment"]);
        let mut alone = plan();
        alone.settings.env.clear();
        alone.settings.port = None;
        assert_eq!(kinds(&alone), ["Deployment"]);
        alone.keep.config = true;
        assert_eq!(
            kinds(&alone),
            ["ConfigMap", "Deployment"],
            "pods may still read it"
        );
    }

    #[test]
    fn pods_are_as_the_restricted_profile_wants_them() {
        let deployment = plan().deployment(None);
        let pod = &deployment["spec"]["template"]["spec"];
        assert_eq!(
            pod["securityContext"],
            json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}})
        );
        let container = &pod["containers"][0];
        assert_eq!(
            container["securityContext"],
            json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}})
        );
        let mut root = plan();
        root.settings.run_as.image_decides = true;
        let pod = &root.deployment(None)["spec"]["template"]["spec"];
        assert!(pod["securityContext"].get("runAsNonRoot").is_none());
        assert!(
            pod["containers"][0]["securityContext"]
                .get("capabilities")
                .is_none()
        );
    }

    #[test]
    fn service_and_deployment_know_the_same_pods() {
        let (service, deployment) = (
            plan().service().expect("a service"),
            plan().deployment(None),
        );
        assert_eq!(
            service["spec"]["selector"],
            deployment["spec"]["selector"]["matchLabels"]
        );
        assert_eq!(
            service["spec"]["selector"],
            deployment["spec"]["template"]["metadata"]["labels"]
        );
    }

    #[test]
    fn secrets_are_never_in_manifests() {
        let mut plan = plan();
        plan.settings
            .secrets
            .insert("PW".into(), Hidden::new(b"hunter2".to_vec()));
        let text = commons::manifest::write(&plan.manifests()).expect("manifests");
        assert!(
            text.contains(PLACEHOLDER) && !text.contains("hunter2") && !text.contains("aHVudGVyMg")
        );
        assert!(
            BASE64_STANDARD.decode(PLACEHOLDER).is_err(),
            "nobody applies it by mistake"
        );
        assert_eq!(
            plan.secret(true).expect("a secret")["data"]["PW"],
            "aHVudGVyMg=="
        );
    }

    #[test]
    fn manifests_say_nothing_that_says_nothing() {
        let text = commons::manifest::write(&plan().manifests()).expect("manifests");
        for empty in ["null", "{}", "[]"] {
            assert!(!text.contains(empty), "{text}");
        }
    }

    #[test]
    fn the_hash_changes_with_all_that_is_read_and_with_nothing_else() {
        let plan = plan();
        let hash = |plan: &Plan| plan.hash("salt");
        let mut other = plan.clone();
        other.settings.image = "web:2".into();
        assert_eq!(hash(&other), hash(&plan));
        other.settings.env.insert("A".into(), "2".into());
        assert_ne!(hash(&other), hash(&plan));
        let mut secret = plan.clone();
        secret
            .settings
            .secrets
            .insert("A".into(), Hidden::new(b"1".to_vec()));
        assert_ne!(hash(&secret), hash(&plan));
        assert_ne!(
            secret.hash("other salt"),
            hash(&secret),
            "it cannot be guessed without the salt"
        );
        let mut empty = plan.clone();
        empty.settings.env.clear();
        assert_eq!(hash(&empty), None);
    }

    #[test]
    fn files_are_mounted_where_they_are_wanted() {
        let mut plan = plan();
        let file = |path: Option<&str>| ConfigFile {
            content: b"x".to_vec(),
            path: path.map(Into::into),
        };
        plan.settings
            .files
            .insert("nginx.conf".into(), file(Some("/etc/nginx/nginx.conf")));
        let mounts = |plan: &Plan| {
            plan.deployment(None)["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
                .clone()
        };
        assert_eq!(
            mounts(&plan),
            json!([{"name": "config", "mountPath": "/etc/nginx/nginx.conf", "subPath": "nginx.conf", "readOnly": true}])
        );
        plan.settings.files.insert("app.toml".into(), file(None));
        assert_eq!(mounts(&plan)[0]["mountPath"], "/config");
    }
}
