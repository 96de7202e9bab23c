//! From what the user wants, and what there is, to a plan.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy, NetworkPolicyPeer};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt;

use super::existing::{Controller, ExistingRoutes, RouteKind, certificate_in, covers};
use super::gateway::{HttpRoute, ListenerSet, ParentRef};
use super::host;
use super::judge::taken;
use super::plan::{Plan, TLS, app_of, object_name};
use super::port::{self, Choice};
use super::probe::{Baseline, Prober, is_taken, phrase, two_randoms};
use super::remedy;
use super::remedy::{Setting, Source, set};
use super::tls::Tls;
use super::{Backend, Options, Probing};
use super::{certificate, listed};
use crate::network;
use commons::apply::{is_ours, refuse_foreign};
use commons::cluster::{Cluster, Right, refuse_lacking};
use commons::duration;
use commons::error::{Error, Hint, Kind, Result};
use commons::grant::{Term, Timer};
use commons::printable;
use commons::shell::shell;
use commons::web::{Certificate, HttpFailure, Lookup};

/// How long a controller may serve what is gone already: Traefik gathers changes for two seconds.
const LETTING_GO: Duration = Duration::from_millis(2500);

/// The same after somebody else wanted the host too: they may have given way a moment later than we.
const LETTING_BOTH_GO: Duration = Duration::from_millis(4500);

/// The objects that there are under an exposure's name.
#[derive(Clone, Debug, Default)]
pub struct Found {
    pub(super) ingress: Option<Ingress>,
    pub(super) route: Option<HttpRoute>,
    pub(super) listener_set: Option<ListenerSet>,
    pub(super) policy: Option<NetworkPolicy>,
    pub(super) service: Option<Service>,
    pub(super) job: Option<Job>,
}

impl Found {
    /// An Ingress that somebody has made.
    pub(super) fn of_ingress(ingress: &Ingress) -> Self {
        Self {
            ingress: Some(ingress.clone()),
            ..Self::default()
        }
    }

    /// The host that it has already.
    fn host(&self) -> Option<String> {
        let of_ingress = || {
            self.ingress
                .as_ref()?
                .spec
                .as_ref()?
                .rules
                .as_ref()?
                .first()?
                .host
                .clone()
        };
        let of_route = || self.route.as_ref()?.spec.hostnames.first().cloned();
        of_ingress().or_else(of_route)
    }
}

/// Everything that is known before anything is written.
#[derive(Clone)]
pub struct Resolved {
    /// What is to be.
    pub plan: Plan,
    /// What was learned, a phrase each, for the report.
    pub learned: Vec<String>,
    /// What should be known though it goes on.
    pub warnings: Vec<Error>,
    pub(super) found: Found,
    /// Policies that keep the controller out, as far as is known.
    pub(super) isolated_by: Vec<String>,
    /// Whether a policy of ours would let in nobody who is not let in anyway.
    pub(super) policy_unneeded: bool,
    pub(super) visitor: Prober,
    /// What is answered for hosts that nobody has, or why there is no such answer.
    pub(super) nobody: Result<Baseline, HttpFailure>,
    /// The port that nothing declares: to be looked for in the pods.
    pub unknown_ports: Vec<u16>,
    /// The Service's field that says where its port arrives.
    pub(super) target_field: Option<String>,
    /// Whether the host is new, so that somebody else may want it at the same moment.
    pub(super) fresh: bool,
    backend: Backend,
    options: Options,
}

/// Reads what is needed, all that is independent at once, and decides. Nothing is written.
///
/// # Errors
/// Missing rights; what is not ours; a host that cannot be completed; a port that there is not; a host that is taken.
pub async fn resolve(cluster: &Cluster, backend: &Backend, options: &Options) -> Result<Resolved> {
    resolve_within(cluster, backend, options, LETTING_GO).await
}

/// The same; `patience` is how long a host that seems taken is looked at.
async fn resolve_within(
    cluster: &Cluster,
    backend: &Backend,
    options: &Options,
    patience: Duration,
) -> Result<Resolved> {
    let cluster = &cluster.under(super::MANAGER);
    let namespace = backend.namespace.as_str();
    let name = object_name(&backend.name);
    let asked = rights();
    let (neighbours, job, rights) = futures::join!(
        read_neighbours(cluster, namespace),
        cluster.find::<Job>(namespace, &name),
        cluster.lacks(namespace, &asked),
    );
    let (neighbours, lacking) = (neighbours?, rights?);
    let mut found = found(&neighbours, &name);
    found.job = job?;
    refuse_foreign(found.ingress.as_ref(), super::MANAGER)?;
    refuse_foreign(found.route.as_ref(), super::MANAGER)?;
    refuse_foreign(found.policy.as_ref(), super::MANAGER)?;
    refuse_foreign(found.service.as_ref(), super::MANAGER)?;
    refuse_foreign(found.job.as_ref(), super::MANAGER)?;
    refuse_another_apps(&found, backend)?;
    if found.job.as_ref().is_some_and(|job| Timer::of(job).over) {
        return Err(Error::of(
            Kind::Conflict,
            format!(
                "the address of {} is closing at this moment",
                backend.reference
            ),
        )
        .hint("run the command again"));
    }

    let mut learned = Vec::new();
    let mut warnings = Vec::new();
    let (host, way) = host_and_way(backend, options, &neighbours, &found, &mut learned)?;
    let tls = certificate_source(cluster, backend, options, &neighbours, &found, &host, &way).await;
    if options.tls.is_none()
        && found.ingress.is_none()
        && matches!(tls, Tls::Issuer { .. } | Tls::Secret(_))
    {
        learned.push(format!("{} (as your other addresses)", tls.describe()));
    }
    let own_listener = matches!(way, RouteKind::Route { .. })
        && matches!(tls, Tls::Issuer { .. } | Tls::Secret(_));
    if own_listener || found.route.is_some() {
        found.listener_set = match cluster.get(namespace, &name).await {
            Ok(set) => Some(set),
            Err(error) => match (error.kind(), own_listener) {
                (Kind::NotFound, true) if serves_listener_sets(cluster, namespace).await => None,
                (Kind::Forbidden | Kind::NotFound, true) => {
                    return Err(Error::of(
                        Kind::NotFound,
                        "this cluster serves no ListenerSets (Gateway API 1.5), or not to you",
                    )
                    .caused_by("without one, a route has the certificate that its Gateway has")
                    .hint(set(
                        "use the Gateway's own certificate",
                        [Setting::Certificate(Source::Unsaid)],
                    )));
                }
                (Kind::Forbidden | Kind::NotFound, false) => None,
                _ => return Err(error),
            },
        };
        refuse_foreign(found.listener_set.as_ref(), super::MANAGER)?;
    }
    if let (Tls::Secret(secret), Some(_)) = (&tls, &options.tls) {
        match cluster.get::<Secret>(namespace, secret).await {
            Err(error) if error.kind() == Kind::NotFound => {
                return Err(error.hint(format!(
                    "make it from a certificate and its key: `{}`",
                    shell("kubectl create secret tls")
                        .arg(secret)
                        .then("--cert=FILE --key=FILE")
                        .in_namespace(namespace)
                )));
            }
            // Whoever may not read it may use it all the same.
            _ => {}
        }
    }
    let mut unknown_ports = Vec::new();
    let mut target_field = None;
    // The Service that an earlier run has made leads to the app too; it is ours to keep as it has to be.
    let others: Vec<Service> = backend
        .services
        .iter()
        .filter(|service| !is_ours(&service.metadata, super::MANAGER))
        .cloned()
        .collect();
    if let Some(service) = neighbours
        .services
        .iter()
        .find(|service| service.name_any() == backend.name)
        && !backend
            .services
            .iter()
            .any(|other| other.name_any() == backend.name)
    {
        warnings.push(Error::new(leads_elsewhere(service, backend)));
    }
    let (service, service_port, target, new_service) = match port::choose(
        &backend.name,
        &others,
        &backend.containers,
        options.port.as_ref(),
    )? {
        Choice::Existing(port) => {
            target_field = Some(port.field);
            (port.service, port.number, port.target, None)
        }
        Choice::New(port) => (name.clone(), 80, port, Some(backend.selector.clone())),
        Choice::Unknown(ports) => {
            let present = found.service.as_ref().and_then(target_of);
            if present.is_none() {
                unknown_ports = ports;
            }
            (
                name.clone(),
                80,
                present.unwrap_or_default(),
                Some(backend.selector.clone()),
            )
        }
    };
    let Policing {
        policy,
        isolated_by,
        unneeded: policy_unneeded,
    } = policy(
        backend,
        options,
        &neighbours,
        &name,
        target,
        &mut learned,
        &mut warnings,
    );
    let mut plan = Plan {
        namespace: namespace.to_owned(),
        name,
        app: backend.reference.clone(),
        host,
        way,
        tls,
        own_listener,
        service,
        service_port,
        target,
        new_service,
        policy,
        term: options.term,
        lasts: lasts(options.term, &found),
        secret_name: None,
    };
    if backend.selector.is_empty() && (plan.new_service.is_some() || plan.policy.is_some()) {
        return Err(Error::new(format!(
            "the pods of {} have no labels, so nothing can lead to them alone",
            backend.reference
        ))
        .hint(format!(
            "give them one: `{}`",
            shell("kubectl label")
                .arg(&backend.reference)
                .arg(format!("app={}", backend.name))
                .in_namespace(namespace)
        )));
    }
    let lacking: Vec<Right> = lacking
        .into_iter()
        .filter(|right| needed(&plan, right))
        .collect();
    refuse_lacking(&plan.namespace, &lacking, "exposing", "`edit` or `admin`")?;
    if let Some(other) = neighbours.serving(&plan.host, &plan.name)
        && !options.take
    {
        return Err(Error::new(format!(
            "{} is the host of another address of yours already",
            plan.host
        ))
        .caused_by(format!(
            "{} leads there to service `{}`",
            other.of,
            other
                .services
                .first()
                .map(String::as_str)
                .unwrap_or_default()
        ))
        .hint(another_host("NAME"))
        .hint(format!(
            "or delete that one: `{}`",
            shell("kubectl delete")
                .args(other.of.split('/'))
                .in_namespace(namespace)
        )));
    }
    let fresh = found.host().as_ref() != Some(&plan.host);
    let path = options.path.as_deref().unwrap_or("/");
    let visitor = Prober::new(cluster, plan.tls.scheme(), path);
    let is_dry = options.probing == Probing::Never;
    let (admitted, nobody, present) = futures::join!(
        admit(cluster, &plan, &found, &mut warnings),
        async {
            if is_dry {
                return Err(HttpFailure::Protocol("it was not asked".into()));
            }
            visitor.nobody(&plan.host, two_randoms()).await
        },
        async {
            if fresh && !is_dry {
                Some(visitor.answer(&plan.host).await)
            } else {
                None
            }
        },
    );
    let class = admitted?;
    if let (RouteKind::Ingress { class: planned }, Some(class)) = (&mut plan.way, class)
        && planned.is_none()
    {
        learned.push(format!("class {class} (the cluster's default)"));
        *planned = Some(class);
    }
    if is_dry && fresh {
        learned.push(format!(
            "not checked in a dry run: whether {} is free",
            plan.host
        ));
    }
    if let Some(Err(HttpFailure::Name {
        why: Lookup::NoSuchName,
        ..
    })) = &present
        && neighbours.domain(None).as_deref() != host::domain_of(&plan.host)
    {
        return Err(Error::new(format!("the name {} does not exist", plan.host))
            .caused_by("DNS knows no address for it")
            .hint(set("take a host below your platform's domain (its documentation tells, and the addresses of services that it started for you)", [Setting::Host(None)])));
    }
    let mut present = present;
    let looked = tokio::time::Instant::now();
    // A controller may still serve what was removed a moment ago, perhaps by ourselves.
    while present
        .as_ref()
        .is_some_and(|present| is_taken(present, &nobody))
        && looked.elapsed() < patience
        && !options.take
    {
        tokio::time::sleep(Duration::from_millis(300)).await;
        present = Some(visitor.answer(&plan.host).await);
    }
    if let Some(present) = present.filter(|present| is_taken(present, &nobody))
        && !options.take
    {
        return Err(is_taken_by(&plan.host, &phrase(&present)));
    }
    Ok(Resolved {
        plan,
        learned,
        warnings,
        found,
        isolated_by,
        policy_unneeded,
        visitor,
        nobody,
        unknown_ports,
        target_field,
        fresh,
        backend: backend.clone(),
        options: options.clone(),
    })
}

/// The hint to take another host: its name.
pub fn another_host(name: &str) -> Hint {
    set("take another host", [Setting::Host(Some(name.to_owned()))])
}

/// The refusal of a host at which somebody else answers: `how`, a phrase.
fn is_taken_by(host: &str, how: &str) -> Error {
    taken(host, how)
        .hint(another_host(&format!(
            "{}-2",
            host.split('.').next().unwrap_or_default()
        )))
        .hint(set(
            "if it is yours in another namespace, and this address is to win",
            [Setting::Take],
        ))
}

impl Resolved {
    /// An address that is there as it is to be, and is only to be proven.
    pub(super) fn of_present(
        plan: Plan,
        found: Found,
        isolated_by: Vec<String>,
        visitor: Prober,
        nobody: Result<Baseline, HttpFailure>,
        target_field: String,
        backend: Backend,
    ) -> Self {
        Self {
            plan,
            learned: Vec::new(),
            warnings: Vec::new(),
            found,
            isolated_by,
            policy_unneeded: false,
            visitor,
            nobody,
            unknown_ports: Vec::new(),
            target_field: Some(target_field),
            fresh: false,
            backend,
            options: Options::default(),
        }
    }

    /// The same, read and decided anew, once nobody answers at the host any more.
    ///
    /// # Errors
    /// As [`resolve`]'s.
    pub(super) async fn again(&self, cluster: &Cluster) -> Result<Self> {
        resolve_within(cluster, &self.backend, &self.options, LETTING_BOTH_GO).await
    }

    /// The same with a port of the pods that was found by looking.
    #[must_use]
    pub fn with_port(mut self, port: u16) -> Self {
        self.plan.target = port;
        self.unknown_ports.clear();
        self
    }

    /// The containers of the app.
    pub fn containers(&self) -> &[k8s_openapi::api::core::v1::Container] {
        &self.backend.containers
    }

    /// By what the app's pods are selected.
    pub fn selector(&self) -> &std::collections::BTreeMap<String, String> {
        &self.backend.selector
    }

    /// The address that the app has already.
    pub(super) fn address_before(&self) -> Option<String> {
        let Found { ingress, route, .. } = &self.found;
        let metadata = ingress
            .as_ref()
            .map(|ingress| &ingress.metadata)
            .or(route.as_ref().map(|route| &route.metadata))?;
        let tls = metadata.annotations.as_ref().and_then(|all| all.get(TLS));
        let scheme = tls
            .and_then(|tls| tls.parse::<Tls>().ok())
            .map_or("https", |tls| tls.scheme());
        Some(format!("{scheme}://{}", self.found.host()?))
    }

    /// Whether it is an address that somebody else has made.
    pub(super) fn is_present(&self) -> bool {
        let ingress = self.found.ingress.as_ref();
        ingress.is_some_and(|ingress| !is_ours(&ingress.metadata, super::MANAGER))
    }

    /// Whether the app has an address at another host. Where that is another object, it answers until the new one does.
    pub(super) fn moves(&self) -> bool {
        self.found.host().is_some_and(|host| host != self.plan.host)
    }

    /// The app's name, if `deploy-app` has made its Service.
    pub(super) fn deployed(&self) -> Option<&str> {
        self.backend
            .services
            .iter()
            .find(|service| service.name_any() == self.plan.service)
            .filter(|service| is_ours(&service.metadata, super::DEPLOY_APP))
            .map(|_| self.backend.name.as_str())
    }

    /// Whether the host was free and others may want it at the same moment, so that it has to be won; see
    /// [`super::contest`].
    pub(super) fn is_contested(&self) -> bool {
        self.fresh && !self.options.take && self.options.probing == Probing::UntilProven
    }

    /// The timer that it has already.
    pub(super) fn timer(&self) -> Option<Timer> {
        self.found.job.as_ref().map(Timer::of)
    }

    /// The kind and name of what leads to the app: `ingress/expose-web`.
    pub fn object(&self) -> String {
        match self.plan.way {
            RouteKind::Ingress { .. } => format!("ingress/{}", self.plan.name),
            RouteKind::Route { .. } => format!("httproute/{}", self.plan.name),
        }
    }
}

fn rights() -> Vec<Right> {
    vec![
        Right::of("create", "networking.k8s.io", "ingresses"),
        Right::core("create", "services"),
        Right::of("create", "networking.k8s.io", "networkpolicies"),
        Right::of("create", "batch", "jobs"),
        Right::of("create", super::gateway::GROUP, "httproutes"),
        Right::of("create", super::gateway::GROUP, "listenersets"),
    ]
}

/// Those that this plan needs.
fn needed(plan: &Plan, right: &Right) -> bool {
    match right.resource {
        "ingresses" => matches!(plan.way, RouteKind::Ingress { .. }),
        "httproutes" => matches!(plan.way, RouteKind::Route { .. }),
        "listenersets" => plan.own_listener,
        "services" => plan.new_service.is_some(),
        "networkpolicies" => plan.policy.is_some(),
        _ => plan.term.is_some(),
    }
}

/// Reads the namespace's Ingresses, routes, policies and Services at once.
pub(super) async fn read_neighbours(cluster: &Cluster, namespace: &str) -> Result<ExistingRoutes> {
    let (ingresses, routes, policies, services) = futures::join!(
        cluster.list(namespace, ""),
        cluster.list(namespace, ""),
        cluster.list(namespace, ""),
        cluster.list(namespace, "")
    );
    Ok(ExistingRoutes {
        ingresses: ingresses?,
        // Not served, or not for us: then there are none to learn from.
        routes: match routes {
            Ok(routes) => Some(routes),
            Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Forbidden) => None,
            Err(error) => return Err(error),
        },
        policies: policies?,
        services: services?,
    })
}

fn found(neighbours: &ExistingRoutes, name: &str) -> Found {
    Found {
        ingress: neighbours
            .ingresses
            .iter()
            .find(|object| object.name_any() == name)
            .cloned(),
        route: neighbours
            .routes
            .iter()
            .flatten()
            .find(|object| object.name_any() == name)
            .cloned(),
        policy: neighbours
            .policies
            .iter()
            .find(|object| object.name_any() == name)
            .cloned(),
        service: neighbours
            .services
            .iter()
            .find(|object| object.name_any() == name)
            .cloned(),
        ..Found::default()
    }
}

/// A Service that is called like the app and does not lead to it: most likely its selector is mistyped.
fn leads_elsewhere(service: &Service, backend: &Backend) -> String {
    let list = |labels: &std::collections::BTreeMap<String, String>| {
        let labels: Vec<String> = labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        printable::short(&labels.join(","), 120)
    };
    let selector = service
        .spec
        .as_ref()
        .and_then(|spec| spec.selector.clone())
        .unwrap_or_default();
    format!(
        "service `{}` does not lead to {}: its `spec.selector` is {}, and the pods carry {}",
        backend.name,
        backend.reference,
        if selector.is_empty() {
            "empty".to_owned()
        } else {
            list(&selector)
        },
        list(&backend.pod_labels)
    )
}

/// Refuses to lead an address of one app to another one of the same name.
fn refuse_another_apps(found: &Found, backend: &Backend) -> Result<()> {
    let metadata = found
        .ingress
        .as_ref()
        .map(|object| &object.metadata)
        .or(found.route.as_ref().map(|object| &object.metadata));
    let app = metadata.and_then(app_of);
    match app {
        Some(app) if app != backend.reference => Err(Error::new(format!(
            "the address of that name leads to {app}, not to {}",
            backend.reference
        ))
        .hint(remedy::remove("remove it first", app, &backend.namespace))),
        _ => Ok(()),
    }
}

/// Whether the API has `ListenerSets`, and we may see them; one that is not there is answered like a kind that is not there.
async fn serves_listener_sets(cluster: &Cluster, namespace: &str) -> bool {
    cluster.list::<ListenerSet>(namespace, "").await.is_ok()
}

/// The time for which an address is asked: what is said now, or else what was said before.
fn lasts(term: Option<Term>, found: &Found) -> Option<String> {
    match term {
        Some(Term::For(duration)) => Some(duration::exact(duration)),
        Some(Term::Forever) => None,
        None => {
            let of_ingress = found.ingress.as_ref().map(|ingress| &ingress.metadata);
            let of_route = found.route.as_ref().map(|route| &route.metadata);
            listed::asked(of_ingress.or(of_route)?).map(str::to_owned)
        }
    }
}

fn target_of(service: &Service) -> Option<u16> {
    use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
    match service
        .spec
        .as_ref()?
        .ports
        .as_ref()?
        .first()?
        .target_port
        .as_ref()?
    {
        IntOrString::Int(port) => u16::try_from(*port).ok(),
        IntOrString::String(_) => None,
    }
}

/// Where it is to be, and through what it is served.
fn host_and_way(
    backend: &Backend,
    options: &Options,
    neighbours: &ExistingRoutes,
    found: &Found,
    learned: &mut Vec<String>,
) -> Result<(String, RouteKind)> {
    let typed = options.host.as_deref();
    let gateway = options.gateway || options.parent.is_some();
    let asked = match (&options.class, &options.parent) {
        (Some(class), _) => Some(RouteKind::Ingress {
            class: Some(class.clone()),
        }),
        (None, Some(parent)) => Some(RouteKind::Route {
            parent: parent.clone(),
        }),
        (None, None) if options.gateway => Some(RouteKind::Route {
            parent: ParentRef::default(),
        }),
        (None, None) => None,
    };
    // What it has already stays, unless something else is asked for.
    let present = found.host().filter(|_| typed.is_none());
    let domain = match typed {
        Some(host) if host.contains('.') => host::domain_of(host).map(str::to_owned),
        _ => neighbours
            .domain(asked.as_ref())
            .or_else(|| neighbours.domain(None)),
    };
    let host = match present {
        Some(host) => host,
        None => host::complete(typed, &backend.name, &backend.namespace, domain.as_deref())?,
    };
    let domain = host::domain_of(&host);
    let way = match (asked, &found.ingress, &found.route) {
        (Some(RouteKind::Route { parent }), _, _) if parent.name.is_empty() => {
            match neighbours.way(domain, Some(true)) {
                Some(way) => way,
                None if neighbours.routes.is_none() => {
                    return Err(Error::of(
                        Kind::NotFound,
                        "this cluster does not serve the Gateway API, or not to you",
                    )
                    .hint(set("use an Ingress instead", [Setting::NoGateway])));
                }
                None => {
                    return Err(Error::usage(
                        "which Gateway? No other route of the namespace shows one",
                    )
                    .hint(set(
                        "name the one that the platform's documentation tells",
                        [Setting::Parent],
                    )));
                }
            }
        }
        (Some(RouteKind::Route { .. }), _, _) if neighbours.routes.is_none() => {
            return Err(Error::of(
                Kind::NotFound,
                "this cluster does not serve the Gateway API, or not to you",
            )
            .hint(set("use an Ingress instead", [Setting::NoGateway])));
        }
        (Some(way), _, _) => way,
        (None, Some(ingress), _) => RouteKind::Ingress {
            class: ingress
                .spec
                .as_ref()
                .and_then(|spec| spec.ingress_class_name.clone()),
        },
        (None, None, Some(route)) if !gateway => match route
            .spec
            .parent_refs
            .first()
            .filter(|parent| parent.kind.as_deref() != Some("ListenerSet"))
        {
            Some(parent) => RouteKind::Route {
                parent: parent.clone(),
            },
            None => neighbours
                .way(domain, Some(true))
                .unwrap_or(RouteKind::Ingress { class: None }),
        },
        _ => neighbours
            .way(domain, None)
            .unwrap_or(RouteKind::Ingress { class: None }),
    };
    // Whoever may write an Ingress here may teach a domain: it is told whose it is.
    let as_others = match neighbours.teacher(domain) {
        Some(teacher) => format!(
            "as your other addresses, such as {}",
            printable::line(&teacher)
        ),
        None => "as your other addresses".to_owned(),
    };
    learned.insert(
        0,
        match (typed, found.host()) {
            (None, None) => format!("host {host} ({as_others})"),
            (Some(typed), _) if typed != host => format!("host {host} (completed {as_others})"),
            _ => format!("host {host}"),
        },
    );
    match &way {
        RouteKind::Ingress { class: Some(class) }
            if options.class.is_none() && found.ingress.is_none() =>
        {
            learned.push(format!(
                "class {} (as your other addresses)",
                printable::line(class)
            ));
        }
        RouteKind::Route { parent } if options.parent.is_none() => {
            learned.push(format!("gateway {parent} (as your other addresses)"));
        }
        _ => {}
    }
    Ok((host, way))
}

/// How the certificate is had: as asked, as it is, or as the neighbours do.
async fn certificate_source(
    cluster: &Cluster,
    backend: &Backend,
    options: &Options,
    neighbours: &ExistingRoutes,
    found: &Found,
    host: &str,
    way: &RouteKind,
) -> Tls {
    let present = || {
        let metadata = found
            .ingress
            .as_ref()
            .map(|object| &object.metadata)
            .or(found.route.as_ref().map(|object| &object.metadata))?;
        metadata.annotations.as_ref()?.get(TLS)?.parse::<Tls>().ok()
    };
    let class = match way {
        RouteKind::Ingress { class } => class.as_deref(),
        RouteKind::Route { .. } => None,
    };
    let chosen = options.tls.clone().or_else(present);
    let chosen = match (chosen, way) {
        (Some(tls), _) => tls,
        // A Gateway has its certificate, or gets one by a listener of ours if `--tls` asks for it.
        (None, RouteKind::Route { .. }) => Tls::Wildcard,
        (None, RouteKind::Ingress { .. }) => match neighbours.tls(class, host) {
            // A neighbour's own Secret is of use only if its certificate is for this host too.
            Some(Tls::Secret(secret))
                if !is_for(cluster, &backend.namespace, &secret, host).await =>
            {
                Tls::Wildcard
            }
            Some(tls) => tls,
            None => Tls::Wildcard,
        },
    };
    match chosen {
        Tls::Issuer {
            name,
            of_namespace: None,
        } => {
            let of_namespace =
                certificate::is_of_namespace(cluster, &backend.namespace, &name).await;
            Tls::Issuer {
                name,
                of_namespace: Some(of_namespace),
            }
        }
        tls => tls,
    }
}

/// Whether the certificate in a Secret is for a host.
async fn is_for(cluster: &Cluster, namespace: &str, secret: &str, host: &str) -> bool {
    let Ok(Some(secret)) = cluster.find::<Secret>(namespace, secret).await else {
        return false;
    };
    let Some(Ok(first)) = certificate_in(&secret).map(pem::parse) else {
        return false;
    };
    Certificate::read(first.contents())
        .is_some_and(|certificate| certificate.names.iter().any(|name| covers(name, host)))
}

/// What the network policies ask for.
pub(super) struct Policing {
    /// By what ours selects the pods, and whom it lets in.
    policy: Option<(
        std::collections::BTreeMap<String, String>,
        Vec<NetworkPolicyPeer>,
    )>,
    /// The policies that keep the controller out.
    pub(super) isolated_by: Vec<String>,
    /// Whether ours is of no use.
    unneeded: bool,
}

/// Whom a policy has to let in, where the pods are isolated; and the names of the policies that isolate them.
pub(super) fn policy(
    backend: &Backend,
    options: &Options,
    neighbours: &ExistingRoutes,
    own: &str,
    target: u16,
    learned: &mut Vec<String>,
    warnings: &mut Vec<Error>,
) -> Policing {
    let others: Vec<NetworkPolicy> = neighbours
        .policies
        .iter()
        .filter(|policy| policy.name_any() != own)
        .cloned()
        .collect();
    let isolating = network::isolating(&others, &backend.pod_labels);
    let port_names: Vec<String> = port::declared(&backend.containers)
        .filter(|(number, _)| *number == target)
        .filter_map(|(_, name)| name.map(str::to_owned))
        .collect();
    let lets_in = |peer: &NetworkPolicyPeer| {
        target > 0 && network::lets_in(&others, &backend.pod_labels, peer, target, &port_names)
    };
    let nobody_in_particular = NetworkPolicyPeer::default();
    if isolating.is_empty() || lets_in(&nobody_in_particular) {
        return Policing {
            policy: None,
            isolated_by: Vec::new(),
            unneeded: true,
        };
    }
    let names: Vec<String> = isolating
        .iter()
        .map(|policy| format!("`{}`", printable::line(&policy.name_any())))
        .collect();
    let controller = match &options.controller {
        Some(namespace) => Controller::Peers(vec![NetworkPolicyPeer {
            namespace_selector: Some(LabelSelector {
                match_labels: Some(network::labels_of_namespace(namespace)),
                ..Default::default()
            }),
            ..Default::default()
        }]),
        None => neighbours.controller(),
    };
    let unknown = |why: &str| {
        Error::new(format!(
            "the pods of {} are isolated by {}, and {why}",
            backend.reference,
            names.join(", ")
        ))
        .hint(set(
            "if it cannot reach them, name its namespace",
            [Setting::Controller],
        ))
    };
    let peers = match controller {
        Controller::Peers(peers) => Ok(peers),
        Controller::OneOf(peers) => {
            let described: Vec<String> = peers.iter().map(network::describe_peer).collect();
            Err(unknown(
                "which of those whom other policies let in is the ingress controller, is not clear",
            )
            .caused_by(described.join(", ")))
        }
        Controller::Unknown => Err(unknown(
            "nothing here tells where the ingress controller runs",
        )),
    };
    let peers = match peers {
        Ok(peers) => peers,
        Err(warning) => {
            warnings.push(warning);
            return Policing {
                policy: None,
                isolated_by: names,
                unneeded: false,
            };
        }
    };
    if peers.iter().all(lets_in) {
        return Policing {
            policy: None,
            isolated_by: Vec::new(),
            unneeded: true,
        };
    }
    let described: Vec<String> = peers.iter().map(network::describe_peer).collect();
    learned.push(format!(
        "let in past the network policies: {}{}",
        described.join(", "),
        if options.controller.is_none() {
            " (as for your other addresses)"
        } else {
            ""
        }
    ));
    Policing {
        policy: Some((backend.selector.clone(), peers)),
        isolated_by: names,
        unneeded: false,
    }
}

/// Lets the API server look at the Ingress without storing it: its class is filled in, and what checks hosts says no. The
/// class that it would get.
async fn admit(
    cluster: &Cluster,
    plan: &Plan,
    found: &Found,
    warnings: &mut Vec<Error>,
) -> Result<Option<String>> {
    let Some(mut ingress) = plan.ingress(None) else {
        return Ok(None);
    };
    ingress.metadata.owner_references = None;
    let admitted = match &found.ingress {
        None => cluster.create(&plan.namespace, &ingress, true).await,
        Some(present) => {
            ingress.metadata.resource_version = present.resource_version();
            cluster.replace(&plan.namespace, &ingress, true).await
        }
    };
    match admitted {
        Ok(admitted) => {
            let class = admitted.spec.and_then(|spec| spec.ingress_class_name);
            if class.is_none() {
                warnings.push(
                    Error::new("the cluster has no default ingress class").hint(set(
                        "if nothing answers at the address, name the class",
                        [Setting::Class],
                    )),
                );
            }
            Ok(class)
        }
        Err(error) => Err(match claimed_by(&error) {
            Some(other) => Error::new(format!("somebody else has the host {}", plan.host))
                .caused_by(format!(
                    "the ingress controller knows it from ingress {other}"
                ))
                .hint(another_host("NAME")),
            None => error,
        }),
    }
}

/// The other Ingress in the words of ingress-nginx's webhook: `host "H" and path "/" is already defined in ingress NS/NAME`.
fn claimed_by(error: &Error) -> Option<String> {
    let mut texts =
        std::iter::once(error.message()).chain(error.causes().iter().map(String::as_str));
    texts
        .find_map(|text| text.split_once("already defined in ingress "))
        .map(|(_, rest)| {
            let name: String = rest
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '/'))
                .collect();
            format!("`{}`", printable::short(&name, 130))
        })
}
