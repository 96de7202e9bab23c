//! Finding an app of one's own by whatever people call it: its controller, its Service, one of its pods, or its Helm release.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use kube::ResourceExt;

use super::{App, AppRef, Kind};
use commons::cluster::{Cluster, Namespaced};
use commons::error::{self, Error, Result, name_hint};
use commons::labels::{self, Labels};
use commons::printable;
use commons::shell::shell;

/// Helm charts put their release's name on everything they make.
const RELEASE: &str = "app.kubernetes.io/instance";
/// Labels by which people and charts name an app.
const APP_LABELS: [&str; 3] = ["app.kubernetes.io/name", "app", "k8s-app"];

/// A controller, as far as finding is concerned with it.
#[derive(Clone, Debug)]
struct FoundController {
    kind: Kind,
    metadata: ObjectMeta,
    selector: LabelSelector,
    template: PodTemplateSpec,
}

impl FoundController {
    fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    fn labels(&self) -> Labels {
        self.template
            .metadata
            .as_ref()
            .and_then(|metadata| metadata.labels.clone())
            .unwrap_or_default()
    }

    /// Whether it made a pod; a Deployment's pods belong to its `ReplicaSets`, which are called after it.
    fn made(&self, pod: &Pod) -> bool {
        controller_of(pod).is_some_and(|(kind, name)| kind == self.kind && name == self.name())
    }
}

/// What a type of controller is made of.
trait Controls: Namespaced {
    fn parts(self) -> FoundController;
}

macro_rules! controls {
    ($($kind:ident),*) => {$(
        impl Controls for $kind {
            fn parts(self) -> FoundController {
                let spec = self.spec.unwrap_or_default();
                FoundController { kind: Kind::$kind, metadata: self.metadata, selector: spec.selector, template: spec.template }
            }
        }
    )*};
}
controls!(Deployment, StatefulSet, DaemonSet);

/// Finds an app of one's own, with one round of requests or two.
///
/// # Errors
/// [`error::Kind::NotFound`] with close names; [`error::Kind::Usage`] where a name means several apps;
/// [`error::Kind::Forbidden`] for those who may not read Services and pods; others of the API server.
pub async fn find(cluster: &Cluster, namespace: &str, typed: &AppRef) -> Result<App> {
    let wanted = |kind| typed.kind.is_none_or(|typed| typed == kind);
    let (services, pods, deployment, stateful, daemon) = futures::join!(
        cluster.list::<Service>(namespace, ""),
        cluster.list::<Pod>(namespace, ""),
        read::<Deployment>(cluster, namespace, &typed.name, wanted(Kind::Deployment)),
        read::<StatefulSet>(cluster, namespace, &typed.name, wanted(Kind::StatefulSet)),
        read::<DaemonSet>(cluster, namespace, &typed.name, wanted(Kind::DaemonSet)),
    );
    let mut place = Surroundings {
        namespace,
        typed_service: None,
        services: services?,
        pods: pods?,
    };
    let mut named = Vec::new();
    for controller in [deployment, stateful, daemon] {
        match controller {
            Ok(controller) => named.extend(controller),
            // Whoever may not read one kind may still have typed the name of another.
            Err(error) if typed.kind.is_none() && error.kind() == error::Kind::Forbidden => {}
            Err(error) => return Err(error),
        }
    }
    if let Some(controller) = only_one(&typed.name, named, "name")? {
        return Ok(place.app(controller));
    }
    if wanted(Kind::Service)
        && let Some(service) = place.service(&typed.name)
    {
        place.typed_service = Some(service.clone());
        return behind(cluster, place, service).await;
    }
    if wanted(Kind::Pod)
        && let Some(pod) = place.pod(&typed.name)
    {
        return of_pod(cluster, place, pod).await;
    }
    let controllers = match typed.kind {
        None | Some(Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet) => {
            all(cluster, namespace).await?
        }
        Some(Kind::Service | Kind::Pod) => Vec::new(),
    };
    if typed.kind.is_none() {
        let of_release = controllers
            .iter()
            .filter(|controller| {
                controller
                    .metadata
                    .labels
                    .as_ref()
                    .and_then(|labels| labels.get(RELEASE))
                    == Some(&typed.name)
            })
            .cloned()
            .collect();
        if let Some(controller) = only_one(&typed.name, of_release, "release")? {
            return Ok(place.app(controller));
        }
        if let Some(pod) = place.pod_called(&typed.name) {
            return of_pod(cluster, place, pod).await;
        }
    }
    Err(not_found(&place, typed, &controllers))
}

/// One controller by its name, if it is asked for at all.
async fn read<K: Controls>(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    wanted: bool,
) -> Result<Option<FoundController>> {
    if !wanted {
        return Ok(None);
    }
    Ok(cluster.find::<K>(namespace, name).await?.map(K::parts))
}

/// All controllers that one may read.
async fn all(cluster: &Cluster, namespace: &str) -> Result<Vec<FoundController>> {
    async fn list<K: Controls>(cluster: &Cluster, namespace: &str) -> Result<Vec<FoundController>> {
        match cluster.list::<K>(namespace, "").await {
            Ok(list) => Ok(list.into_iter().map(K::parts).collect()),
            Err(error) if error.kind() == error::Kind::Forbidden => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
    let (deployments, stateful, daemons) = futures::try_join!(
        list::<Deployment>(cluster, namespace),
        list::<StatefulSet>(cluster, namespace),
        list::<DaemonSet>(cluster, namespace)
    )?;
    Ok([deployments, stateful, daemons].concat())
}

/// The controller that is meant, unless several could be.
fn only_one(
    typed: &str,
    mut found: Vec<FoundController>,
    what: &str,
) -> Result<Option<FoundController>> {
    if found.len() < 2 {
        return Ok(found.pop());
    }
    let names: Vec<String> = found
        .iter()
        .map(|controller| {
            format!(
                "`{}/{}`",
                controller.kind,
                printable::line(controller.name())
            )
        })
        .collect();
    Err(Error::usage(format!(
        "several apps have the {what} `{}`",
        printable::line(typed)
    ))
    .hint(format!("say which one: {}", names.join(", "))))
}

/// The app behind a Service: what made the pods that it selects or, where there are none, what would make such pods.
async fn behind(cluster: &Cluster, place: Surroundings<'_>, service: Service) -> Result<App> {
    let selects = |labels: &Labels| labels::leads_to(&service, labels);
    let mut selected: Vec<Pod> = place
        .pods
        .iter()
        .filter(|pod| selects(pod.labels()))
        .cloned()
        .collect();
    newest_first(&mut selected);
    // Pods that are going away tell less than those that stay.
    selected.sort_by_key(|pod| pod.metadata.deletion_timestamp.is_some());
    if let Some(pod) = selected.into_iter().next() {
        return of_pod(cluster, place, pod).await;
    }
    if service.spec.as_ref().is_some_and(|spec| {
        spec.selector
            .as_ref()
            .is_some_and(|selector| !selector.is_empty())
    }) {
        let mut matching: Vec<FoundController> = all(cluster, place.namespace)
            .await?
            .into_iter()
            .filter(|controller| selects(&controller.labels()))
            .collect();
        // Of several, the one that is called like the Service.
        let name = service.name_any();
        matching.sort_by_key(|controller| controller.name() != name);
        if let Some(controller) = matching.into_iter().next() {
            return Ok(place.app(controller));
        }
    }
    Ok(App {
        namespace: place.namespace.to_owned(),
        kind: Kind::Service,
        name: service.name_any(),
        template: None,
        pod_labels: Labels::new(),
        selector: service
            .spec
            .as_ref()
            .and_then(|spec| spec.selector.clone())
            .unwrap_or_default(),
        pods: Vec::new(),
        services: vec![service],
    })
}

/// The app that a pod is of: its controller, or the pod alone.
async fn of_pod(cluster: &Cluster, place: Surroundings<'_>, pod: Pod) -> Result<App> {
    let namespace = place.namespace;
    let controller = match controller_of(&pod) {
        Some((Kind::Deployment, name)) => read::<Deployment>(cluster, namespace, &name, true).await,
        Some((Kind::StatefulSet, name)) => {
            read::<StatefulSet>(cluster, namespace, &name, true).await
        }
        Some((Kind::DaemonSet, name)) => read::<DaemonSet>(cluster, namespace, &name, true).await,
        _ => Ok(None),
    };
    match controller {
        Ok(Some(controller)) => Ok(place.app(controller)),
        Ok(None) => Ok(place.lone(pod)),
        Err(error) if error.kind() == error::Kind::Forbidden => Ok(place.lone(pod)),
        Err(error) => Err(error),
    }
}

/// What a namespace holds besides controllers.
#[derive(Clone, Debug, Default)]
struct Surroundings<'a> {
    namespace: &'a str,
    /// The Service by which the app is called, if it is called by one.
    typed_service: Option<Service>,
    services: Vec<Service>,
    pods: Vec<Pod>,
}

impl Surroundings<'_> {
    fn service(&self, name: &str) -> Option<Service> {
        self.services
            .iter()
            .find(|service| service.metadata.name.as_deref() == Some(name))
            .cloned()
    }

    fn pod(&self, name: &str) -> Option<Pod> {
        self.pods
            .iter()
            .find(|pod| pod.metadata.name.as_deref() == Some(name))
            .cloned()
    }

    /// The newest pod of what is called so, though we know nothing of its kind: by the name of what controls it, or by a label.
    fn pod_called(&self, name: &str) -> Option<Pod> {
        let by_owner = |pod: &&Pod| {
            pod.owner_references()
                .iter()
                .any(|owner| owner.controller == Some(true) && owner.name == name)
        };
        let by_label = |pod: &&Pod| {
            APP_LABELS
                .iter()
                .any(|label| pod.labels().get(*label).is_some_and(|value| value == name))
        };
        let mut called: Vec<Pod> = self.pods.iter().filter(by_owner).cloned().collect();
        if called.is_empty() {
            called = self.pods.iter().filter(by_label).cloned().collect();
        }
        newest_first(&mut called);
        called.into_iter().next()
    }

    /// The app of a controller.
    fn app(self, controller: FoundController) -> App {
        let pod_labels = controller.labels();
        let mut pods: Vec<Pod> = self
            .pods
            .into_iter()
            .filter(|pod| controller.made(pod))
            .collect();
        newest_first(&mut pods);
        App {
            namespace: self.namespace.to_owned(),
            kind: controller.kind,
            name: controller.name().to_owned(),
            services: leading_to(self.typed_service, self.services, &pod_labels),
            // A Service selects by labels alone: where the controller does not, the pods' own labels serve.
            selector: match (
                controller.selector.match_labels,
                &controller.selector.match_expressions,
            ) {
                (Some(labels), None) if !labels.is_empty() => labels,
                _ => pod_labels.clone(),
            },
            template: Some(controller.template),
            pod_labels,
            pods,
        }
    }

    /// The app that is one pod.
    fn lone(self, pod: Pod) -> App {
        let labels = pod.labels().clone();
        App {
            namespace: self.namespace.to_owned(),
            kind: Kind::Pod,
            name: pod.name_any(),
            template: Some(PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels.clone()),
                    annotations: pod.metadata.annotations.clone(),
                    ..ObjectMeta::default()
                }),
                spec: pod.spec.clone(),
            }),
            services: leading_to(self.typed_service, self.services, &labels),
            selector: labels.clone(),
            pod_labels: labels,
            pods: vec![pod],
        }
    }
}

/// The Service that was typed, else those that lead to pods with these labels.
fn leading_to(typed: Option<Service>, services: Vec<Service>, labels: &Labels) -> Vec<Service> {
    if let Some(typed) = typed {
        return vec![typed];
    }
    services
        .into_iter()
        .filter(|service| labels::leads_to(service, labels))
        .collect()
}

fn newest_first(pods: &mut [Pod]) {
    pods.sort_by_key(|pod| {
        (
            std::cmp::Reverse(pod.metadata.creation_timestamp.as_ref().map(|time| time.0)),
            pod.name_any(),
        )
    });
}

/// The kind and name of the controller that we know how to read. A Deployment's `ReplicaSet` is called after the Deployment and
/// the hash that its pods carry.
fn controller_of(pod: &Pod) -> Option<(Kind, String)> {
    let owner = pod
        .owner_references()
        .iter()
        .find(|owner| owner.controller == Some(true))?;
    match owner.kind.as_str() {
        "StatefulSet" => Some((Kind::StatefulSet, owner.name.clone())),
        "DaemonSet" => Some((Kind::DaemonSet, owner.name.clone())),
        "ReplicaSet" => {
            let hash = pod.labels().get("pod-template-hash")?;
            let deployment = owner.name.strip_suffix(hash.as_str())?.strip_suffix('-')?;
            Some((Kind::Deployment, deployment.to_owned()))
        }
        _ => None,
    }
}

/// Nothing is called so: what is called nearly so, and how to see what there is.
fn not_found(place: &Surroundings<'_>, typed: &AppRef, controllers: &[FoundController]) -> Error {
    let mut names: BTreeSet<String> = controllers
        .iter()
        .filter(|controller| typed.kind.is_none_or(|kind| kind == controller.kind))
        .map(|controller| controller.name().to_owned())
        .collect();
    let services = || place.services.iter().map(ResourceExt::name_any);
    let pods = || place.pods.iter().map(ResourceExt::name_any);
    match typed.kind {
        None => {
            names.extend(services());
            names.extend(
                place
                    .pods
                    .iter()
                    .filter(|pod| controller_of(pod).is_none())
                    .map(ResourceExt::name_any),
            );
        }
        Some(Kind::Service) => names.extend(services()),
        Some(Kind::Pod) => names.extend(pods()),
        Some(_) => {}
    }
    let what = typed.kind.map_or("app", Kind::as_str);
    let missing = Error::of(
        error::Kind::NotFound,
        format!(
            "no {what} `{}` in namespace `{}`",
            typed.name, place.namespace
        ),
    );
    let listed = match typed.kind {
        None => "deployments,statefulsets,daemonsets,services,pods",
        Some(kind) => kind.plural(),
    };
    match name_hint(&typed.name, names.iter().map(String::as_str)) {
        Some(hint) => missing.hint(hint),
        None => missing,
    }
    .hint(format!(
        "see what there is: `{}`",
        shell("kubectl get")
            .then(listed)
            .in_namespace(place.namespace)
    ))
}

#[cfg(test)]
mod tests;
