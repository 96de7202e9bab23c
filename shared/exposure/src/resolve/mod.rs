//! From what the user wants, and what there is, to a plan: read (requests only), decide (pure), probe (requests only), admit
//! (pure).

mod admission;
mod draft;
mod location;
mod policing;
mod read;

use std::time::Duration;

use kube::ResourceExt;

use super::existing::RouteKind;
use super::judge::taken;
use super::plan::{Plan, TLS};
use super::probe::{Baseline, Prober};
use super::remedy::{Setting, set};
use super::tls::Tls;
use super::{Backend, Options, Probing};
use admission::{admit, probe};
use commons::apply::is_ours;
use commons::cluster::Cluster;
use commons::error::{Error, Hint, Result};
use commons::grant::Timer;
use commons::web::HttpFailure;
use draft::{draft, refuse_what_is_there, wanted_certificate};
use location::location;
use read::{Listener, certificate_facts, snapshot};

pub(crate) use policing::policing;
pub use read::ExistingObjects;
pub(crate) use read::existing_routes;

/// How long a controller may serve what is gone already: Traefik gathers changes for two seconds.
const LETTING_GO: Duration = Duration::from_millis(2500);

/// The same after somebody else wanted the host too: they may have given way a moment later than we.
const LETTING_BOTH_GO: Duration = Duration::from_millis(4500);

/// Everything that is known before anything is written.
#[derive(Clone)]
pub struct Resolved {
    /// What is to be.
    pub plan: Plan,
    /// What was learned, a phrase each, for the report.
    pub learned: Vec<String>,
    /// What should be known though it goes on.
    pub warnings: Vec<Error>,
    pub(crate) found: ExistingObjects,
    /// Policies that keep the controller out, as far as is known.
    pub(crate) isolated_by: Vec<String>,
    /// Whether a policy of ours would let in nobody who is not let in anyway.
    pub(crate) policy_unneeded: bool,
    pub(crate) prober: Prober,
    /// What is answered for hosts that nobody has, or why there is no such answer.
    pub(crate) baseline: Result<Baseline, HttpFailure>,
    /// The port that nothing declares: to be looked for in the pods.
    pub unknown_ports: Vec<u16>,
    /// The Service's field that says where its port arrives.
    pub(crate) target_field: Option<String>,
    /// Whether the host is new, so that somebody else may want it at the same moment.
    pub(crate) fresh: bool,
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
    let seen = snapshot(cluster, backend).await?;
    refuse_what_is_there(&seen.found, backend)?;
    let location = location(&seen, backend, options)?;
    let wanted = wanted_certificate(&seen, &location, options);
    let listener = match &seen.found.route {
        _ if wanted.own_listener(&location.route) => Listener::Own,
        Some(_) => Listener::Earlier,
        None => Listener::None,
    };
    let needs_secret = wanted.needs_secret();
    let facts = certificate_facts(cluster, backend, &wanted.tls, needs_secret, listener).await?;
    let draft = draft(seen, location, wanted, facts, backend, options)?;
    let path = options.path.as_deref().unwrap_or("/");
    let prober = Prober::new(cluster, draft.plan.tls.scheme(), path);
    let answers = probe(cluster, &draft, &prober, options, patience).await;
    let draft = admit(draft, &answers, options)?;
    Ok(Resolved {
        plan: draft.plan,
        learned: draft.learned,
        warnings: draft.warnings,
        found: draft.found,
        isolated_by: draft.isolated_by,
        policy_unneeded: draft.policy_unneeded,
        prober,
        baseline: answers.baseline,
        unknown_ports: draft.unknown_ports,
        target_field: draft.target_field,
        fresh: draft.fresh,
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
            "if the host is yours in another namespace, and is to lead here",
            [Setting::Take],
        ))
}

impl Resolved {
    /// An address that is there as it is to be, and is only to be proven.
    pub(crate) fn of_present(
        plan: Plan,
        found: ExistingObjects,
        isolated_by: Vec<String>,
        prober: Prober,
        baseline: Result<Baseline, HttpFailure>,
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
            prober,
            baseline,
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
    pub(crate) async fn again(&self, cluster: &Cluster) -> Result<Self> {
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
    pub(crate) fn address_before(&self) -> Option<String> {
        let ExistingObjects { ingress, route, .. } = &self.found;
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
    pub(crate) fn is_present(&self) -> bool {
        let ingress = self.found.ingress.as_ref();
        ingress.is_some_and(|ingress| !is_ours(&ingress.metadata, super::MANAGER))
    }

    /// Whether the app has an address at another host. Where that is another object, it answers until the new one does.
    pub(crate) fn moves(&self) -> bool {
        self.found.host().is_some_and(|host| host != self.plan.host)
    }

    /// The app's name, if `deploy-app` has made its Service.
    pub(crate) fn deployed(&self) -> Option<&str> {
        self.backend
            .services
            .iter()
            .find(|service| service.name_any() == self.plan.service)
            .filter(|service| is_ours(&service.metadata, super::DEPLOY_APP))
            .map(|_| self.backend.name.as_str())
    }

    /// Whether the host is had even where something else answers: `--take`.
    pub fn takes(&self) -> bool {
        self.options.take
    }

    /// Whether the host was free and others may want it at the same moment, so that it has to be won; see
    /// [`super::contest`].
    pub(crate) fn is_contested(&self) -> bool {
        self.fresh && !self.options.take && self.options.probing == Probing::UntilProven
    }

    /// The timer that it has already.
    pub(crate) fn timer(&self) -> Option<Timer> {
        self.found.job.as_ref().map(Timer::of)
    }

    /// The kind and name of what leads to the app: `ingress/expose-web`.
    pub fn object(&self) -> String {
        match self.plan.route_kind {
            RouteKind::Ingress { .. } => format!("ingress/{}", self.plan.name),
            RouteKind::Route { .. } => format!("httproute/{}", self.plan.name),
        }
    }
}
