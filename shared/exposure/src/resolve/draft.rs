//! The plan of an address, from what there is and what is asked for. Pure: no cluster is asked here.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;

use commons::apply::{is_ours, refuse_foreign};
use commons::cluster::{Right, refuse_lacking};
use commons::duration;
use commons::error::{Error, Kind, Result};
use commons::grant::{Term, Timer};
use commons::labels::{self, Labels};
use commons::printable;
use commons::shell::shell;

use super::another_host;
use super::location::Location;
use super::policing::{Policing, policing};
use super::read::{CertificateFacts, ExistingObjects, Snapshot};
use crate::existing::{ExistingRoutes, RouteKind, covers};
use crate::plan::{Plan, TLS, app_of, object_name};
use crate::port::{self, Choice};
use crate::remedy::{self, CertificateSource, Setting, set};
use crate::tls::Tls;
use crate::{Backend, MANAGER, Options, host, listed};

/// A plan that the API server and the host itself have not been asked about.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) plan: Plan,
    pub(super) found: ExistingObjects,
    /// What was learned, a phrase each.
    pub(super) learned: Vec<String>,
    pub(super) warnings: Vec<Error>,
    pub(super) isolated_by: Vec<String>,
    pub(super) policy_unneeded: bool,
    /// The ports of which one is the app's, where nothing tells which.
    pub(super) unknown_ports: Vec<u16>,
    /// The Service's field that says where its port arrives.
    pub(super) target_field: Option<String>,
    /// Whether the address has not had this host before.
    pub(super) fresh: bool,
    /// Whether the domain of the host is that of the other addresses.
    pub(super) is_known_domain: bool,
}

/// Refuses what stands in the way before anything is decided.
///
/// # Errors
/// Objects of these names that are not ours, that lead to another app, or that are just being removed.
pub(super) fn refuse_what_is_there(found: &ExistingObjects, backend: &Backend) -> Result<()> {
    refuse_foreign(found.ingress.as_ref(), MANAGER)?;
    refuse_foreign(found.route.as_ref(), MANAGER)?;
    refuse_foreign(found.policy.as_ref(), MANAGER)?;
    refuse_foreign(found.service.as_ref(), MANAGER)?;
    refuse_foreign(found.job.as_ref(), MANAGER)?;
    refuse_another_apps(found, backend)?;
    if found.job.as_ref().is_some_and(|job| Timer::of(job).over) {
        let closing = format!(
            "the address of {} is closing at this moment",
            backend.reference
        );
        return Err(Error::of(Kind::Conflict, closing).hint("run the command again"));
    }
    Ok(())
}

/// Refuses to lead an address of one app to another one of the same name.
fn refuse_another_apps(found: &ExistingObjects, backend: &Backend) -> Result<()> {
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

/// Where the TLS certificate is to come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) tls: Tls,
    origin: SaidBy,
}

/// Who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SaidBy {
    /// The user, now.
    Asked,
    /// The address, which has it already.
    Present,
    /// The other addresses of the namespace.
    Taught,
}

impl Wanted {
    /// Whether it matters what its Secret holds. One that the address has already stays, whatever has become of it.
    pub(super) fn needs_secret(&self) -> bool {
        self.origin != SaidBy::Present
    }

    /// Whether a listener of ours on a Gateway has to have it.
    pub(super) fn own_listener(&self, route: &RouteKind) -> bool {
        matches!(route, RouteKind::Route { .. })
            && matches!(self.tls, Tls::Issuer { .. } | Tls::Secret(_))
    }
}

/// As asked for, as it is, or as the other addresses have it.
pub(super) fn wanted_certificate(
    seen: &Snapshot,
    location: &Location,
    options: &Options,
) -> Wanted {
    let present = || {
        let of_ingress = seen.found.ingress.as_ref().map(|object| &object.metadata);
        let of_route = seen.found.route.as_ref().map(|object| &object.metadata);
        let annotations = of_ingress.or(of_route)?.annotations.as_ref()?;
        annotations.get(TLS)?.parse::<Tls>().ok()
    };
    let asked = options.tls.clone().map(|tls| (tls, SaidBy::Asked));
    if let Some((tls, origin)) = asked.or_else(|| Some((present()?, SaidBy::Present))) {
        return Wanted { tls, origin };
    }
    let taught = match &location.route {
        RouteKind::Ingress { class } => seen.routes.tls(class.as_deref(), &location.host),
        // A Gateway has its certificate, or gets one by a listener of ours if that is asked for.
        RouteKind::Route { .. } => None,
    };
    Wanted {
        tls: taught.unwrap_or(Tls::Wildcard),
        origin: SaidBy::Taught,
    }
}

/// What is wanted, with what is known of it.
///
/// # Errors
/// A Secret that is not there; a cluster that has no listeners for a route.
fn certificate(
    wanted: Wanted,
    facts: &CertificateFacts,
    location: &Location,
    backend: &Backend,
) -> Result<Tls> {
    if facts.no_listener_sets && wanted.own_listener(&location.route) {
        return Err(Error::of(
            Kind::NotFound,
            "this cluster serves no ListenerSets (Gateway API 1.5), or not to you",
        )
        .caused_by("without one, a route has the certificate that its Gateway has")
        .hint(set(
            "use the Gateway's own certificate",
            [Setting::Certificate(CertificateSource::Unsaid)],
        )));
    }
    match wanted.tls {
        Tls::Issuer {
            name,
            of_namespace: None,
        } => Ok(Tls::Issuer {
            name,
            of_namespace: Some(facts.issuer_of_namespace),
        }),
        // Another address's Secret is of use only if its certificate is for this host too.
        Tls::Secret(_) if wanted.origin == SaidBy::Taught => {
            let names = facts.names.iter().flatten();
            let is_for_host = names.into_iter().any(|name| covers(name, &location.host));
            Ok(if is_for_host {
                wanted.tls
            } else {
                Tls::Wildcard
            })
        }
        Tls::Secret(secret) if wanted.origin == SaidBy::Asked && facts.no_secret => {
            Err(no_secret(&secret, backend))
        }
        tls => Ok(tls),
    }
}

fn no_secret(secret: &str, backend: &Backend) -> Error {
    let create = shell("kubectl create secret tls")
        .arg(secret)
        .then("--cert=FILE --key=FILE")
        .in_namespace(&backend.namespace);
    let name = printable::line(secret);
    Error::of(
        Kind::NotFound,
        format!(
            "secret `{name}` not found in namespace `{}`",
            backend.namespace
        ),
    )
    .hint(format!(
        "make it from a certificate and its key: `{create}`"
    ))
}

/// The Service and the ports that lead to the app.
struct RouteTarget {
    service: String,
    service_port: i32,
    port: u16,
    /// By what a Service that is made selects the pods.
    new_service: Option<BTreeMap<String, String>>,
    unknown_ports: Vec<u16>,
    field: Option<String>,
}

/// The app's Service and its port, or a Service of ours.
///
/// # Errors
/// Those of [`port::choose`].
fn target(found: &ExistingObjects, backend: &Backend, options: &Options) -> Result<RouteTarget> {
    // The Service that an earlier run has made leads to the app too; it is ours to keep as it has to be.
    let others: Vec<Service> = backend
        .services
        .iter()
        .filter(|service| !is_ours(&service.metadata, MANAGER))
        .cloned()
        .collect();
    let choice = port::choose(
        &backend.name,
        &others,
        &backend.containers,
        options.port.as_ref(),
    )?;
    let own = |port, unknown_ports| RouteTarget {
        service: object_name(&backend.name),
        service_port: 80,
        port,
        new_service: Some(backend.selector.clone()),
        unknown_ports,
        field: None,
    };
    Ok(match choice {
        Choice::Existing(port) => RouteTarget {
            service: port.service,
            service_port: port.number,
            port: port.target,
            new_service: None,
            unknown_ports: Vec::new(),
            field: Some(port.field),
        },
        Choice::New(port) => own(port, Vec::new()),
        Choice::Unknown(ports) => match found.service.as_ref().and_then(target_of) {
            Some(present) => own(present, Vec::new()),
            None => own(0, ports),
        },
    })
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

/// Puts the plan together.
///
/// # Errors
/// Missing rights; a port that there is not; a host that another address of the namespace has.
pub(super) fn draft(
    seen: Snapshot,
    location: Location,
    wanted: Wanted,
    facts: CertificateFacts,
    backend: &Backend,
    options: &Options,
) -> Result<Draft> {
    refuse_foreign(facts.listener_set.as_ref(), MANAGER)?;
    let Snapshot {
        routes,
        mut found,
        lacking,
    } = seen;
    let own_listener = wanted.own_listener(&location.route);
    let tls = certificate(wanted, &facts, &location, backend)?;
    found.listener_set = facts.listener_set;
    let mut learned = location.learned;
    if options.tls.is_none()
        && found.ingress.is_none()
        && matches!(tls, Tls::Issuer { .. } | Tls::Secret(_))
    {
        learned.push(format!("{} (as your other addresses)", tls.describe()));
    }
    let name = object_name(&backend.name);
    let target = target(&found, backend, options)?;
    let Policing {
        policy,
        isolated_by,
        unneeded: policy_unneeded,
        learned: let_in,
        warning,
    } = policing(backend, options, &routes, &name, target.port);
    learned.extend(let_in);
    let mislead = routes
        .services
        .iter()
        .find(|service| service.name_any() == backend.name);
    let mislead = mislead.filter(|service| {
        let mut known = backend.services.iter();
        !known.any(|known| known.name_any() == service.name_any())
    });
    let mislead = mislead.map(|service| Error::new(leads_elsewhere(service, backend)));
    let plan = Plan {
        namespace: backend.namespace.clone(),
        name,
        app: backend.reference.clone(),
        host: location.host,
        route_kind: location.route,
        tls,
        own_listener,
        service: target.service,
        service_port: target.service_port,
        target: target.port,
        new_service: target.new_service,
        policy,
        term: options.term,
        lasts: lasts(options.term, &found),
        secret_name: None,
    };
    refuse_unlabelled(&plan, backend)?;
    let lacking: Vec<Right> = lacking
        .into_iter()
        .filter(|right| is_needed(&plan, right))
        .collect();
    refuse_lacking(&plan.namespace, &lacking, "exposing", "`edit` or `admin`")?;
    if !options.take {
        refuse_own_host(&plan, &routes)?;
    }
    Ok(Draft {
        fresh: found.host().as_ref() != Some(&plan.host),
        is_known_domain: routes.domain(None).as_deref() == host::domain_of(&plan.host),
        plan,
        found,
        learned,
        warnings: mislead.into_iter().chain(warning).collect(),
        isolated_by,
        policy_unneeded,
        unknown_ports: target.unknown_ports,
        target_field: target.field,
    })
}

/// What is made here selects pods by their labels.
fn refuse_unlabelled(plan: &Plan, backend: &Backend) -> Result<()> {
    let is_made = plan.new_service.is_some() || plan.policy.is_some();
    if !backend.selector.is_empty() || !is_made {
        return Ok(());
    }
    let label = shell("kubectl label")
        .arg(&backend.reference)
        .arg(format!("app={}", backend.name))
        .in_namespace(&plan.namespace);
    Err(Error::new(format!(
        "the pods of {} have no labels, so nothing can lead to them alone",
        backend.reference
    ))
    .hint(format!("give them one: `{label}`")))
}

/// Two addresses of one namespace do not share a host.
fn refuse_own_host(plan: &Plan, routes: &ExistingRoutes) -> Result<()> {
    let Some(other) = routes.serving(&plan.host, &plan.name) else {
        return Ok(());
    };
    let service = other.services.first().map(String::as_str);
    let delete = shell("kubectl delete")
        .args(other.of.split('/'))
        .in_namespace(&plan.namespace);
    Err(Error::new(format!(
        "{} is the host of another address of yours already",
        plan.host
    ))
    .caused_by(format!(
        "{} leads there to service `{}`",
        other.of,
        service.unwrap_or_default()
    ))
    .hint(another_host("NAME"))
    .hint(format!("or delete that one: `{delete}`")))
}

/// A Service that is called like the app and does not lead to it: most likely its selector is mistyped.
fn leads_elsewhere(service: &Service, backend: &Backend) -> String {
    let list = |labels: &Labels| printable::short(&labels::text(labels), 120);
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

/// The time for which an address is asked: what is said now, or else what was said before.
fn lasts(term: Option<Term>, found: &ExistingObjects) -> Option<String> {
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

/// Whether this plan needs a right.
fn is_needed(plan: &Plan, right: &Right) -> bool {
    match right.resource {
        "ingresses" => matches!(plan.route_kind, RouteKind::Ingress { .. }),
        "httproutes" => matches!(plan.route_kind, RouteKind::Route { .. }),
        "listenersets" => plan.own_listener,
        "services" => plan.new_service.is_some(),
        "networkpolicies" => plan.policy.is_some(),
        _ => plan.term.is_some(),
    }
}

#[cfg(test)]
pub(super) mod tests;
