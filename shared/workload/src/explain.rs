//! Reading what makes a diagnosis better: the end of a log, and the names and keys that there are.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1 as core;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::diagnosis::{self, Report};
use super::seen::Meta;
use super::state::{More, State, Want};
use commons::cluster::{Cluster, Selection};

/// How long reading for a better explanation may take.
const EXPLAIN: Duration = Duration::from_secs(3);
/// How many of a log's last lines are shown.
const LINES: u32 = 10;

/// The diagnosis, after reading what makes it better: a log, the names that there are.
pub(super) async fn explained(cluster: &Cluster, state: &mut State) -> Report {
    let mut report = diagnosis::diagnose(state);
    // What is learned may raise one more question.
    for _ in 0..2 {
        if report.wants.is_empty() {
            break;
        }
        let _ = tokio::time::timeout(EXPLAIN, read(cluster, state, &report.wants)).await;
        let again = diagnosis::diagnose(state);
        if again.wants == report.wants {
            return again;
        }
        report = again;
    }
    report
}

/// Reads what is wanted; what may not be read stays unknown.
async fn read(cluster: &Cluster, state: &mut State, wants: &BTreeSet<Want>) {
    let namespace = state.rollout.namespace.clone();
    let answers = join_all(wants.iter().map(async |want| {
        let mut more = More::default();
        match want {
            Want::Log {
                pod,
                container,
                previous,
            } => {
                if let Ok(log) = cluster
                    .log(&namespace, pod, container, *previous, LINES)
                    .await
                {
                    more.logs.insert((pod.clone(), container.clone()), log);
                }
            }
            Want::ConfigMaps => {
                more.config_maps = cluster
                    .list_seen::<core::ConfigMap, Keyed>(&namespace, &Selection::default())
                    .await
                    .ok()
                    .map(|all| all.into_iter().map(Keyed::into_keys).collect());
            }
            Want::Secrets => {
                more.secrets = cluster
                    .list_names::<core::Secret>(&namespace)
                    .await
                    .ok()
                    .map(|names| names.into_iter().collect());
            }
            Want::SecretKeys(name) => {
                if let Ok(all) = cluster
                    .list_seen::<core::Secret, Keyed>(&namespace, &Selection::named(name))
                    .await
                {
                    more.secret_keys = all.into_iter().map(Keyed::into_keys).collect();
                }
            }
            Want::Claims => {
                more.claims = cluster
                    .list_seen::<core::PersistentVolumeClaim, VolumeClaim>(
                        &namespace,
                        &Selection::default(),
                    )
                    .await
                    .ok()
                    .map(|all| {
                        all.into_iter()
                            .map(|claim| (claim.metadata.name, claim.status.phase))
                            .collect()
                    });
            }
        }
        more
    }))
    .await;
    for more in answers {
        state.more.logs.extend(more.logs);
        state.more.secret_keys.extend(more.secret_keys);
        state.more.config_maps = more.config_maps.or(state.more.config_maps.take());
        state.more.secrets = more.secrets.or(state.more.secrets.take());
        state.more.claims = more.claims.or(state.more.claims.take());
    }
}

/// A `ConfigMap` or Secret: its keys, never its values.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Keyed {
    metadata: Meta,
    data: Keys,
    binary_data: Keys,
}

impl Keyed {
    fn into_keys(self) -> (String, BTreeSet<String>) {
        let mut keys = self.data.0;
        keys.extend(self.binary_data.0);
        (self.metadata.name, keys)
    }
}

/// The keys of a JSON object. What they stand for is skipped: it may be secret.
#[derive(Clone, Debug, Default)]
struct Keys(BTreeSet<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = BTreeSet::new();
                while let Some((key, IgnoredAny)) = map.next_entry()? {
                    keys.insert(key);
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct VolumeClaim {
    metadata: Meta,
    status: VolumeClaimStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct VolumeClaimStatus {
    phase: String,
}
