//! The pods that serve a database now, and the names of those that will.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Endpoints, Pod, PodSpec};
use kube::ResourceExt;

use commons::printable;

/// `CloudNativePG` puts its cluster's name on everything it makes.
pub(super) const CNPG_CLUSTER: &str = "cnpg.io/cluster";
/// How many pods after the newest one a `CloudNativePG` cluster may go through while a share lasts: it numbers them upwards.
const CNPG_AHEAD: u32 = 5;

/// The pods behind a Service, ready ones first.
pub(super) fn of_endpoints(endpoints: &Endpoints) -> Vec<String> {
    let subsets = endpoints.subsets.iter().flatten();
    let ready = subsets
        .clone()
        .flat_map(|subset| subset.addresses.iter().flatten());
    let starting = subsets.flat_map(|subset| subset.not_ready_addresses.iter().flatten());
    let mut pods: Vec<String> = Vec::new();
    for target in ready
        .chain(starting)
        .filter_map(|address| address.target_ref.as_ref())
        .filter(|target| target.kind.as_deref() == Some("Pod"))
    {
        if let Some(name) = target.name.clone().filter(|name| !pods.contains(name)) {
            pods.push(name);
        }
    }
    pods
}

/// The kind and name of what controls a pod.
pub(super) fn controller(pod: &Pod) -> Option<(String, String)> {
    pod.owner_references()
        .iter()
        .find(|owner| owner.controller == Some(true))
        .map(|owner| (owner.kind.clone(), owner.name.clone()))
}

/// Whether a pod takes connections.
pub(super) fn is_ready(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|conditions| {
        conditions
            .iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
    })
}

/// That nothing makes a pod again, where it is so.
pub(super) fn of_nobody(pod: &Pod) -> Option<String> {
    controller(pod).is_none().then(|| {
        let name = pod.name_any();
        let name = printable::line(&name);
        format!("pod `{name}` has no controller: it is not made again when it is deleted")
    })
}

/// That a pod has no network of its own, where it is so: a tunnel enters a pod by its loopback.
pub(super) fn on_the_node(spec: &PodSpec) -> Option<String> {
    (spec.host_network == Some(true)).then(|| {
        "its pod uses the node's network: a tunnel to it reaches whatever listens at 127.0.0.1 of the node".into()
    })
}

/// The names that a `StatefulSet`'s pods have and will have again.
pub(super) fn of_set(set: &StatefulSet) -> Vec<String> {
    let spec = set.spec.as_ref();
    let first = spec
        .and_then(|spec| spec.ordinals.as_ref())
        .and_then(|ordinals| ordinals.start)
        .unwrap_or(0);
    let replicas = spec.and_then(|spec| spec.replicas).unwrap_or(1).max(1);
    (first..first + replicas.min(32))
        .map(|ordinal| format!("{}-{ordinal}", set.name_any()))
        .collect()
}

/// The labels that a `StatefulSet`'s pods have.
pub(super) fn labels_of_set(set: &StatefulSet) -> BTreeMap<String, String> {
    let template = set
        .spec
        .as_ref()
        .and_then(|spec| spec.template.metadata.as_ref());
    template
        .and_then(|metadata| metadata.labels.clone())
        .unwrap_or_default()
}

/// The pods of a `CloudNativePG` cluster that a share may name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CnpgPods {
    /// Those that there are and those that come next.
    pub names: BTreeSet<String>,
    /// Whether those that come next are among them.
    pub is_lasting: bool,
    /// What was left out, and why.
    pub warning: Option<String>,
}

/// The names that a `CloudNativePG` cluster's pods have and will have next: it counts upwards and never uses one again. A name
/// that something else has, or will have, is not the database's.
pub(super) fn of_cnpg(
    cluster: &str,
    seen: &[String],
    pods: &[Pod],
    set: Option<&StatefulSet>,
) -> CnpgPods {
    let is_its = |pod: &&Pod| {
        pod.labels()
            .get(CNPG_CLUSTER)
            .is_some_and(|of| of == cluster)
    };
    let own: BTreeSet<String> = pods.iter().filter(is_its).map(Pod::name_any).collect();
    let present: BTreeSet<String> = seen.iter().cloned().chain(own.iter().cloned()).collect();
    if set.is_some() {
        return CnpgPods {
            names: present,
            is_lasting: false,
            warning: Some(format!(
                "statefulset `{cluster}` and cluster `{cluster}` may give new pods the same names: only the current pods are shared"
            )),
        };
    }
    let others: BTreeSet<String> = pods
        .iter()
        .map(Pod::name_any)
        .filter(|name| !present.contains(name))
        .collect();
    let (left_out, mut names): (BTreeSet<String>, BTreeSet<String>) = next(cluster, &present)
        .into_iter()
        .partition(|name| others.contains(name));
    names.extend(present);
    CnpgPods {
        names,
        is_lasting: true,
        warning: left_out_of(cluster, &left_out),
    }
}

fn left_out_of(cluster: &str, left_out: &BTreeSet<String>) -> Option<String> {
    let names: Vec<String> = left_out.iter().map(|name| format!("`{name}`")).collect();
    match &names[..] {
        [] => None,
        [one] => Some(format!(
            "pod {one} does not belong to cluster `{cluster}` and is left out"
        )),
        several => Some(format!(
            "pods {} do not belong to cluster `{cluster}` and are left out",
            several.join(", ")
        )),
    }
}

fn next(cluster: &str, seen: &BTreeSet<String>) -> Vec<String> {
    let newest = seen
        .iter()
        .filter_map(|pod| {
            pod.strip_prefix(cluster)?
                .strip_prefix('-')?
                .parse::<u32>()
                .ok()
        })
        .max()
        .unwrap_or(0);
    (1..=newest.saturating_add(CNPG_AHEAD).min(64))
        .map(|serial| format!("{cluster}-{serial}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, cluster: &str) -> Pod {
        let labels = json!({CNPG_CLUSTER: cluster});
        serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}}))
            .expect("a pod")
    }

    fn set(name: &str) -> StatefulSet {
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"replicas": 2, "selector": {}, "serviceName": "pg", "template": {}}})).expect("a set")
    }

    fn names(pods: &CnpgPods) -> Vec<&str> {
        pods.names.iter().map(String::as_str).collect()
    }

    #[test]
    fn names_of_a_statefulset_last() {
        assert_eq!(of_set(&set("pg")), ["pg-0", "pg-1"]);
    }

    #[test]
    fn cnpg_counts_upwards() {
        let eight = [
            "pg1-1", "pg1-2", "pg1-3", "pg1-4", "pg1-5", "pg1-6", "pg1-7", "pg1-8",
        ];
        let found = of_cnpg("pg1", &["pg1-3".into()], &[pod("pg1-3", "pg1")], None);
        assert_eq!(names(&found), eight);
        assert_eq!((found.is_lasting, found.warning), (true, None));
        // Where the pods may not be listed, what the Service tells is enough.
        assert_eq!(names(&of_cnpg("pg1", &["pg1-3".into()], &[], None)), eight);
        assert_eq!(of_cnpg("pg1", &[], &[], None).names.len(), 5);
    }

    #[test]
    fn names_of_others_are_left_out() {
        let pods = [
            pod("h3c-3", "h3c"),
            pod("h3c-1", ""),
            pod("h3c-4", "other"),
            pod("web-1", ""),
        ];
        let found = of_cnpg("h3c", &["h3c-3".into()], &pods, None);
        assert_eq!(
            names(&found),
            ["h3c-2", "h3c-3", "h3c-5", "h3c-6", "h3c-7", "h3c-8"]
        );
        assert_eq!(
            found.warning.as_deref(),
            Some("pods `h3c-1`, `h3c-4` do not belong to cluster `h3c` and are left out")
        );
        let found = of_cnpg("h3c", &["h3c-3".into()], &pods, Some(&set("h3c")));
        assert_eq!(names(&found), ["h3c-3"]);
        assert!(!found.is_lasting && found.warning.is_some());
    }
}
