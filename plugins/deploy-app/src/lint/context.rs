//! What there is around the manifests: the objects they name and those that name the same things.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use commons::cluster::if_allowed;
use commons::labels::selects;
use commons::{Cluster, Kind, Result};
use futures::future::{join_all, try_join_all};
use registry::ImageFacts;
use serde_json::{Value, json};

use super::references::wanted;
use super::{is, name};

/// What is known of an object that is named.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Known<'a> {
    There(&'a Value),
    Absent,
    /// It was not read, or may not be.
    Unknown,
}

/// What was read of the cluster.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// Objects that manifests refer to and that are not among them, by kind and name, as far as they may be read: nothing for
    /// one that does not exist.
    pub objects: BTreeMap<(String, String), Option<Value>>,
    /// Deployments and `StatefulSets` that Services may lead to.
    pub workloads: Vec<Value>,
    /// The rules of Ingresses that are not among the manifests, each with its Ingress's name.
    pub ingress_rules: Vec<(String, Value)>,
    /// New hosts at which somebody answers already, and what.
    pub taken: BTreeMap<String, String>,
    /// By the image's name.
    pub images: BTreeMap<String, ImageFacts>,
}

impl Around {
    /// Reads what these manifests refer to, all at once. What may not be read is not complained about. In a dry run registries and
    /// hosts are not asked.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn read(
        cluster: &Cluster,
        namespace: &str,
        objects: &[Value],
        is_dry: bool,
    ) -> Result<Self> {
        let named: BTreeSet<(String, String)> = objects
            .iter()
            .flat_map(wanted)
            .map(|wanted| (wanted.kind.to_owned(), wanted.name))
            .filter(|(kind, wanted)| {
                !objects
                    .iter()
                    .any(|object| is(object, kind) && name(object) == wanted)
            })
            .collect();
        let found = async {
            let found = try_join_all(named.into_iter().map(async |(kind, name)| {
                let document =
                    json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
                Ok::<_, commons::Error>(match cluster.get_document(&document, namespace).await {
                    Ok(object) => Some(((kind, name), object)),
                    Err(error) if error.kind() == Kind::Unreachable => return Err(error),
                    Err(_) => None,
                })
            }))
            .await?;
            Ok::<_, commons::Error>(found.into_iter().flatten().collect())
        };
        let images: BTreeSet<&str> = objects
            .iter()
            .flat_map(|object| super::containers(object))
            .filter_map(|(container, _)| container["image"].as_str())
            .filter(|_| !is_dry)
            .collect();
        let images = join_all(
            images
                .into_iter()
                .map(async |image| (image.to_owned(), registry::look_up(cluster, image).await)),
        );
        let (found, workloads, hosts, images) = futures::join!(
            found,
            workloads(cluster, namespace, objects),
            hosts(cluster, namespace, objects, is_dry),
            images
        );
        let (ingress_rules, taken) = hosts?;
        Ok(Self {
            objects: found?,
            workloads: workloads?,
            ingress_rules,
            taken,
            images: images.into_iter().collect(),
        })
    }

    /// An object that the manifests name: among them, or in the cluster.
    pub fn object<'a>(&'a self, objects: &'a [Value], kind: &str, wanted: &str) -> Known<'a> {
        let among = objects
            .iter()
            .find(|object| is(object, kind) && name(object) == wanted);
        let around = || self.objects.get(&(kind.to_owned(), wanted.to_owned()));
        match among.map(Some).or_else(|| around().map(Option::as_ref)) {
            Some(Some(object)) => Known::There(object),
            Some(None) => Known::Absent,
            None => Known::Unknown,
        }
    }
}

/// What runs in the namespace, where a Service of these manifests leads to none of them.
async fn workloads(cluster: &Cluster, namespace: &str, objects: &[Value]) -> Result<Vec<Value>> {
    let leads_elsewhere = |service: &&Value| {
        is(service, "Service")
            && !objects.iter().any(|object| {
                super::pod_labels(object).is_some_and(|labels| {
                    selects(&super::labels(&service["spec"]["selector"]), &labels)
                })
            })
    };
    if !objects.iter().any(|object| leads_elsewhere(&object)) {
        return Ok(Vec::new());
    }
    let (deployments, sets) = futures::join!(
        cluster.list_documents("apps/v1", "Deployment", namespace, ""),
        cluster.list_documents("apps/v1", "StatefulSet", namespace, "")
    );
    let mut all = if_allowed(deployments)?.unwrap_or_default();
    all.extend(if_allowed(sets)?.unwrap_or_default());
    Ok(all)
}

/// More new hosts than this are not looked at.
const HOSTS: usize = 8;
/// How long one look may take.
const LOOK: Duration = Duration::from_secs(4);

/// The rules of the namespace's other Ingresses, and who answers at hosts that are new with these manifests. Nothing where
/// there are no Ingresses in them, or where those that there are may not be read.
async fn hosts(
    cluster: &Cluster,
    namespace: &str,
    objects: &[Value],
    is_dry: bool,
) -> Result<(Vec<(String, Value)>, BTreeMap<String, String>)> {
    let nothing = (Vec::new(), BTreeMap::new());
    if !objects.iter().any(|object| is(object, "Ingress")) {
        return Ok(nothing);
    }
    let list = cluster.list_documents("networking.k8s.io/v1", "Ingress", namespace, "");
    let there = match list.await {
        Err(error) if error.kind() == Kind::Unreachable => return Err(error),
        Err(_) => return Ok(nothing),
        Ok(there) => there,
    };
    let looks = new_hosts(objects, &there)
        .into_iter()
        .take(if is_dry { 0 } else { HOSTS });
    let taken = join_all(looks.map(async |(host, https)| {
        let who = tokio::time::timeout(LOOK, exposure::who_answers(cluster, &host, https)).await;
        Some((host, who.ok()??))
    }))
    .await;
    let others = there.iter().filter(|ingress| {
        !objects
            .iter()
            .any(|object| is(object, "Ingress") && name(object) == name(ingress))
    });
    let rules = others.flat_map(|ingress| {
        super::items(&ingress["spec"], "rules").map(|rule| (name(ingress).to_owned(), rule.clone()))
    });
    Ok((rules.collect(), taken.into_iter().flatten().collect()))
}

/// The hosts of these manifests that no Ingress of the namespace has, and whether they are reached by HTTPS.
fn new_hosts(objects: &[Value], there: &[Value]) -> BTreeMap<String, bool> {
    let of = |ingress: &'_ Value| -> Vec<String> {
        super::items(&ingress["spec"], "rules")
            .filter_map(|rule| rule["host"].as_str().map(str::to_owned))
            .collect()
    };
    let known: BTreeSet<String> = there.iter().flat_map(of).collect();
    objects
        .iter()
        .filter(|object| is(object, "Ingress"))
        .flat_map(|ingress| {
            let https = ingress["spec"]["tls"].is_array();
            of(ingress).into_iter().map(move |host| (host, https))
        })
        .filter(|(host, _)| !host.starts_with('*') && !known.contains(host))
        .collect()
}

#[cfg(test)]
impl Around {
    /// An empty namespace, as these manifests see it.
    pub fn nothing(objects: &[Value]) -> Self {
        let named = objects.iter().flat_map(wanted);
        Self {
            objects: named
                .map(|wanted| ((wanted.kind.to_owned(), wanted.name), None))
                .collect(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hosts_that_are_new_are_looked_at() {
        let ingress = |name: &str, host: &str, tls: Value| json!({"kind": "Ingress", "metadata": {"name": name}, "spec": {"rules": [{"host": host}], "tls": tls}});
        let files = [
            ingress("a", "a.test", json!([{"hosts": ["a.test"]}])),
            ingress("b", "b.test", Value::Null),
            ingress("c", "*.c.test", Value::Null),
            ingress("d", "d.test", Value::Null),
        ];
        let there = [ingress("d", "d.test", Value::Null)];
        assert_eq!(
            new_hosts(&files, &there),
            BTreeMap::from([("a.test".to_owned(), true), ("b.test".to_owned(), false)])
        );
    }
}
