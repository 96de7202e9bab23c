//! The exposures that there are, and their removal.

use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Endpoints, Secret, Service};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use serde::Serialize;

use super::gateway::{HttpRoute, ListenerSet};
use super::plan::{HOST, TLS, app_of};
use super::probe::{Prober, two_randoms};
use super::remedy;
use super::tls::{CLUSTER_ISSUER, ISSUER, Tls};
use super::{MANAGER, certificate};
use commons::apply::{DryRun, MANAGED_BY, Outcome, change_line, is_ours};
use commons::cluster::{Cluster, if_allowed};
use commons::duration;
use commons::error::{Error, Result};
use commons::grant::{self, Ending, FOR, Term, Timer};
use commons::output::Listed;
use commons::printable;
use commons::web::HttpFailure;

/// Whether an address answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// True if something answers there that is not the controller's refusal.
    pub answers: bool,
    /// What: a status, or why there is no answer.
    pub detail: String,
    /// Until when the certificate is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_until: Option<Timestamp>,
}

/// One exposure.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Exposure {
    /// The address.
    pub url: String,
    /// The app, as kubectl names it.
    pub app: String,
    /// The namespace.
    pub namespace: String,
    /// The name of its objects.
    pub object: String,
    /// `ingresses.networking.k8s.io` or `httproutes.gateway.networking.k8s.io`.
    pub resource: String,
    /// The class, of an Ingress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// How its certificate is had, as `--tls` has it.
    pub tls: String,
    /// When it ends by itself; never where there is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The time for which it was asked: `8h`; nothing where no end was asked for.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasts: Option<String>,
    /// Why it is open though it was to end: nothing ends it, or its time is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outlives: Option<&'static str>,
    /// What was found when it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// When it ends.
    #[serde(skip)]
    pub ending: Ending,
    /// What is left of its time, in words.
    #[serde(skip)]
    pub left: Option<String>,
    #[serde(skip)]
    service: Option<String>,
    #[serde(skip)]
    host: String,
    #[serde(skip)]
    scheme: &'static str,
}

impl Exposure {
    fn of(
        metadata: &ObjectMeta,
        host: Option<String>,
        service: Option<String>,
        resource: &str,
        class: Option<String>,
        jobs: &[Job],
        now: Timestamp,
    ) -> Option<Self> {
        if !is_ours(metadata, MANAGER) || metadata.deletion_timestamp.is_some() {
            return None;
        }
        let annotation = |name: &str| {
            metadata
                .annotations
                .as_ref()
                .and_then(|annotations| annotations.get(name))
                .cloned()
        };
        let host = host.or_else(|| annotation(HOST))?;
        let tls = annotation(TLS).unwrap_or_else(|| "wildcard".into());
        let scheme = tls.parse::<Tls>().map_or("https", |tls| tls.scheme());
        let object = metadata.name.clone()?;
        let ending = ending_of(metadata, jobs, now);
        let until = ending.until();
        Some(Self {
            url: format!("{scheme}://{host}"),
            app: app_of(metadata).unwrap_or_default().to_owned(),
            namespace: metadata.namespace.clone().unwrap_or_default(),
            object,
            resource: resource.to_owned(),
            class,
            tls,
            until,
            lasts: asked(metadata).map(|lasts| printable::short(lasts, 20)),
            outlives: match ending {
                Ending::Never(why) => Some(why),
                Ending::Over(_) => Some("its time is over"),
                Ending::At(_) | Ending::Forever => None,
            },
            left: until.map(|until| duration::rough(grant::left(until, now))),
            ending,
            state: None,
            service,
            host,
            scheme,
        })
    }

    /// Whether it is meant by what was typed: the app, bare or as kubectl names it, its host, or its URL.
    pub fn is_called(&self, typed: &str) -> bool {
        let app = self.app.rsplit('/').next().unwrap_or_default();
        let typed = typed.trim_end_matches('/');
        let same_kind = || {
            let (kind, name) = typed.split_once('/').unwrap_or_default();
            name == app
                && typed
                    .parse::<workload::AppRef>()
                    .ok()
                    .and_then(|typed| typed.kind)
                    .is_some_and(|kind| self.app == format!("{}/{name}", kind.as_str()))
                && !kind.is_empty()
        };
        [self.app.as_str(), app, &self.host, &self.url, &self.object].contains(&typed)
            || same_kind()
    }

    /// By what it is named in a command: its app, or where that is unknown its host.
    fn called(&self) -> &str {
        if self.app.is_empty() {
            &self.host
        } else {
            &self.app
        }
    }

    /// Asks whether it answers; where it does not, whether there is a pod to answer.
    async fn look(&mut self, cluster: &Cluster) {
        let prober = Prober::new(cluster, self.scheme, "/");
        let (answer, baseline) = futures::join!(
            prober.answer(&self.host),
            prober.baseline(&self.host, two_randoms())
        );
        self.state = Some(match answer {
            Ok(answer) => {
                let unknown = baseline.is_ok_and(|baseline| baseline.fingerprint.fits(&answer));
                let broken = matches!(answer.status, 502..=504);
                State {
                    answers: !unknown && !broken,
                    detail: if unknown {
                        "controller does not know it".into()
                    } else {
                        answer.status.to_string()
                    },
                    certificate_until: answer.certificate.map(|certificate| certificate.not_after),
                }
            }
            Err(trouble) => State {
                answers: false,
                detail: match trouble {
                    HttpFailure::Name { .. } => "no such name".into(),
                    HttpFailure::Tls { .. } => "certificate not valid".into(),
                    HttpFailure::Timeout => "no answer in time".into(),
                    HttpFailure::Local { .. } => "not asked: this machine".into(),
                    _ => "no connection".into(),
                },
                certificate_until: None,
            },
        });
        if let (Some(state), Some(service)) = (&mut self.state, &self.service)
            && !state.answers
            && let Ok(endpoints) = cluster.find::<Endpoints>(&self.namespace, service).await
        {
            let ready = endpoints
                .iter()
                .flat_map(|endpoints| endpoints.subsets.iter().flatten())
                .any(|subset| {
                    subset
                        .addresses
                        .as_ref()
                        .is_some_and(|addresses| !addresses.is_empty())
                });
            if !ready {
                "no pod is ready".clone_into(&mut state.detail);
            }
        }
    }
}

impl Listed for Exposure {
    const KIND: &'static str = "Exposure";

    const HEADERS: &'static [&'static str] =
        &["URL", "APP", "ANSWERS", "CERTIFICATE UNTIL", "ENDS IN"];
    const WIDE: &'static [&'static str] = &["CLASS", "TLS", "OBJECT"];

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn cells(&self) -> Vec<String> {
        let answers = match &self.state {
            None => "<unknown>".into(),
            Some(state) => format!(
                "{} ({})",
                if state.answers { "yes" } else { "no" },
                state.detail
            ),
        };
        let until = self
            .state
            .as_ref()
            .and_then(|state| state.certificate_until);
        vec![
            self.url.clone(),
            self.app.clone(),
            answers,
            until
                .map(|until| until.strftime("%Y-%m-%d").to_string())
                .unwrap_or_default(),
            match (&self.ending, &self.left) {
                (Ending::Over(_), _) => "over".into(),
                (Ending::Never(_), _) => "never ends".into(),
                (_, Some(left)) => left.clone(),
                (_, None) => "never".into(),
            },
            self.class.clone().unwrap_or_default(),
            self.tls.clone(),
            self.name(),
        ]
    }

    fn name(&self) -> String {
        let (resource, group) = self
            .resource
            .split_once('.')
            .unwrap_or((&self.resource, ""));
        let kind = if resource == "ingresses" {
            "ingress"
        } else {
            "httproute"
        };
        format!("{kind}.{group}/{}", self.object)
    }
}

/// All exposures of a namespace, or of all.
///
/// # Errors
/// Those of listing Ingresses and Jobs.
pub async fn all(cluster: &Cluster, namespace: Option<&str>) -> Result<Vec<Exposure>> {
    let ours = format!("{MANAGED_BY}={MANAGER}");
    let (ingresses, routes, jobs) = futures::join!(
        cluster.list_in::<Ingress>(namespace, &ours),
        cluster.list_in::<HttpRoute>(namespace, &ours),
        cluster.list_in::<Job>(namespace, &ours)
    );
    let routes = if_allowed(routes)?.unwrap_or_default();
    let (ingresses, jobs, now) = (ingresses?, jobs?, cluster.now());
    let of_ingresses = ingresses.iter().filter_map(|ingress| {
        let spec = ingress.spec.as_ref();
        let rule = spec.and_then(|spec| spec.rules.as_ref()?.first());
        let host = rule.and_then(|rule| rule.host.clone());
        let service = rule.and_then(|rule| {
            Some(
                rule.http
                    .as_ref()?
                    .paths
                    .first()?
                    .backend
                    .service
                    .as_ref()?
                    .name
                    .clone(),
            )
        });
        Exposure::of(
            &ingress.metadata,
            host,
            service,
            "ingresses.networking.k8s.io",
            spec.and_then(|spec| spec.ingress_class_name.clone()),
            &jobs,
            now,
        )
    });
    let of_routes = routes.iter().filter_map(|route| {
        let service = route
            .spec
            .rules
            .first()
            .and_then(|rule| Some(rule.backend_refs.first()?.name.clone()));
        Exposure::of(
            &route.metadata,
            route.spec.hostnames.first().cloned(),
            service,
            "httproutes.gateway.networking.k8s.io",
            None,
            &jobs,
            now,
        )
    });
    let mut all: Vec<Exposure> = of_ingresses.chain(of_routes).collect();
    all.sort_by(|a, b| (&a.namespace, &a.url).cmp(&(&b.namespace, &b.url)));
    Ok(all)
}

/// When an address ends, by the metadata of what opens it and the timers of its namespace. Without the annotation no end was
/// asked for.
fn ending_of(metadata: &ObjectMeta, jobs: &[Job], now: Timestamp) -> Ending {
    let owners = metadata.owner_references.as_deref().unwrap_or_default();
    let timer = jobs
        .iter()
        .find(|job| {
            owners
                .iter()
                .any(|owner| Some(&owner.uid) == job.metadata.uid.as_ref())
        })
        .map(Timer::of);
    let asked = asked(metadata).map_or_else(|| Term::Forever.to_string(), str::to_owned);
    Ending::of(owners, Some(&asked), timer.as_ref(), now)
}

/// The time for which an address was asked, if an end was.
pub(super) fn asked(metadata: &ObjectMeta) -> Option<&str> {
    let asked = metadata.annotations.as_ref()?.get(FOR)?;
    (!asked.is_empty()).then_some(asked.as_str())
}

/// The warnings of addresses that are open though they were to end, with what helps.
pub fn endless<'a>(exposures: impl IntoIterator<Item = &'a Exposure>) -> Vec<Error> {
    let warning = |exposure: &Exposure| {
        let why = exposure.outlives?;
        let Exposure { url, lasts, .. } = exposure;
        let what = match (&exposure.ending, lasts) {
            (Ending::Over(_), _) => format!("{url} has ended, and is still there"),
            (_, Some(lasts)) => format!("{url} should end after {lasts}, but never will"),
            (_, None) => format!("{url} was to end, and never ends"),
        };
        let hint = remedy::remove("remove it", exposure.called(), &exposure.namespace);
        Some(Error::new(what).caused_by(why).hint(hint))
    };
    exposures.into_iter().filter_map(warning).collect()
}

/// Removes what an exposure of this object name consists of, if it is ours: a line for each object, as kubectl prints them.
///
/// # Errors
/// The API server's refusals.
pub async fn remove(
    cluster: &Cluster,
    namespace: &str,
    object: &str,
    dry_run: DryRun,
) -> Result<Vec<String>> {
    let cluster = &cluster.under(MANAGER);
    // What leads to the app first, so that it is closed at once.
    let (ingress, route, policy) = futures::join!(
        remove_one::<Ingress>(cluster, namespace, object, dry_run),
        remove_one::<HttpRoute>(cluster, namespace, object, dry_run),
        remove_one::<NetworkPolicy>(cluster, namespace, object, dry_run),
    );
    let (listeners, service, job) = futures::join!(
        remove_one::<ListenerSet>(cluster, namespace, object, dry_run),
        remove_one::<Service>(cluster, namespace, object, dry_run),
        remove_one::<Job>(cluster, namespace, object, dry_run),
    );
    let (ingress, listeners) = (ingress?, unserved(listeners)?);
    let secret = remove_certificate(
        cluster,
        namespace,
        object,
        ingress.as_ref().map(|(ingress, _)| &ingress.metadata),
        listeners.as_ref().map(|(listeners, _)| &listeners.metadata),
        dry_run,
    )
    .await;
    let lines = [
        ingress.map(|(_, line)| line),
        unserved(route)?.map(|(_, line)| line),
        policy?.map(|(_, line)| line),
        listeners.map(|(_, line)| line),
        service?.map(|(_, line)| line),
        job?.map(|(_, line)| line),
        secret?,
    ];
    Ok(lines.into_iter().flatten().collect())
}

/// A kind that the cluster does not serve, or not to us, has no object of ours.
fn unserved<T>(outcome: Result<Option<T>>) -> Result<Option<T>> {
    Ok(if_allowed(outcome)?.flatten())
}

async fn remove_one<K: commons::cluster::Namespaced>(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    dry_run: DryRun,
) -> Result<Option<(K, String)>> {
    let Some(object) = cluster
        .find::<K>(namespace, name)
        .await?
        .filter(|object| is_ours(object.meta(), MANAGER))
    else {
        return Ok(None);
    };
    if dry_run != DryRun::Client {
        cluster
            .delete::<K>(
                namespace,
                name,
                object.uid().as_deref(),
                dry_run == DryRun::Server,
            )
            .await?;
    }
    let line = change_line::<K>(name, Outcome::Deleted, dry_run);
    Ok(Some((object, line)))
}

/// The Secret that cert-manager filled for the Ingress or the listeners of an exposure.
async fn remove_certificate(
    cluster: &Cluster,
    namespace: &str,
    object: &str,
    ingress: Option<&ObjectMeta>,
    listeners: Option<&ObjectMeta>,
    dry_run: DryRun,
) -> Result<Option<String>> {
    let name = format!("{object}-tls");
    // Who may not read Secrets cannot have had one made either.
    let Ok(Some(secret)) = cluster.find::<Secret>(namespace, &name).await else {
        return Ok(None);
    };
    // A namesake may be somebody's own: it must belong to what is removed, or have been asked for by it.
    let asked = ingress.into_iter().chain(listeners).any(|metadata| {
        let annotations = metadata.annotations.as_ref();
        [CLUSTER_ISSUER, ISSUER]
            .iter()
            .any(|issuer| annotations.is_some_and(|present| present.contains_key(*issuer)))
    });
    let belongs = secret.owner_references().iter().any(|owner| {
        owner.name == object && matches!(owner.kind.as_str(), "Ingress" | "ListenerSet")
    });
    if !certificate::is_issued(&secret) || !(asked || belongs) {
        return Ok(None);
    }
    if dry_run != DryRun::Client {
        // First what would have it issued again.
        certificate::withdraw(cluster, namespace, &name, dry_run == DryRun::Server).await;
        cluster
            .delete::<Secret>(
                namespace,
                &name,
                secret.uid().as_deref(),
                dry_run == DryRun::Server,
            )
            .await?;
    }
    Ok(Some(change_line::<Secret>(
        &name,
        Outcome::Deleted,
        dry_run,
    )))
}

/// Asks all of them at once whether they answer.
pub async fn look_at(cluster: &Cluster, exposures: &mut [Exposure]) {
    join_all(exposures.iter_mut().map(|exposure| exposure.look(cluster))).await;
}
