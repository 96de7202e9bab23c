//! The proof: the name resolves, the certificate is valid, and the app's own pods answer.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::Ingress;
use kube::ResourceExt;
use tokio::time::{Instant, sleep};

use super::apply::Applied;
use super::claim::{Claim, Look, sight};
use super::existing::RouteKind;
use super::gateway::{HttpRoute, ListenerSet};
use super::issue::issued;
use super::judge::{Facts, RouteStatus, Verdict, describe, judge};
use super::plan::Plan;
use super::pods::{self, AppResponse, Beginning, Sends};
use super::remedy::{Setting, set};
use super::resolve::Resolved;
use super::tls::Tls;
use super::watcher::{Next, Observation, Watcher};
use commons::cluster::Cluster;
use commons::error::{Error, Kind, Result};
use commons::shell::shell;
use commons::ui::Ui;
use commons::web::HttpFailure;
use tunnel::Endpoint;

/// How often the app is asked again before somebody else is blamed.
pub(super) const DOUBTS: usize = 3;

/// How long an app that may be beginning to listen is left in peace.
pub(super) const PAUSE: Duration = Duration::from_millis(500);

/// What the app answers by itself, and which pod said so.
#[derive(Clone, Debug)]
pub struct AnsweringApp {
    pub(super) own: AppResponse,
    /// Where it was asked.
    pub endpoint: Endpoint,
}

impl AnsweringApp {
    /// Keeps of its likeness only what its answer has now too.
    pub(super) async fn ask_again(&mut self, cluster: &Cluster, resolved: &Resolved) {
        let plan = &resolved.plan;
        let again = pods::ask(
            cluster,
            [&self.endpoint, &self.endpoint],
            &plan.host,
            resolved.prober.path(),
            plan.tls != Tls::Off,
        )
        .await;
        let Ok(again) = again else { return };
        if again.fingerprint.status == self.own.fingerprint.status {
            self.own.fingerprint = self.own.fingerprint.clone().common(&again.fingerprint);
        } else {
            // It has become another one: an app that was starting, say.
            self.own = again;
        }
    }

    /// Its answer, for [`super::reason_against`].
    pub fn answer(&self) -> &commons::web::Answer {
        &self.own.answer
    }
}

/// That the address leads to the app.
#[derive(Clone, Debug)]
pub struct Proof {
    /// Until when the certificate is valid.
    pub certificate_until: Option<jiff::Timestamp>,
    /// What the app answers there: `200, "Shop"`.
    pub answer: String,
    /// Whether the answer tells that it is the app and nobody else.
    pub is_certain: bool,
    /// Whether it asks who one is (401 or 403).
    pub asks_for_login: bool,
    /// What should be known though it answers.
    pub warnings: Vec<Error>,
}

/// The pods that are ready, in their order.
pub fn ready_pods(pods: &[Pod]) -> impl Iterator<Item = &Pod> {
    pods.iter().filter(|pod| {
        let status = pod.status.as_ref();
        let ready = status
            .and_then(|status| status.conditions.as_ref())
            .is_some_and(|conditions| {
                conditions
                    .iter()
                    .any(|condition| condition.type_ == "Ready" && condition.status == "True")
            });
        ready && pod.metadata.deletion_timestamp.is_none()
    })
}

/// By which definition a controller has made a pod.
fn version(pod: &Pod) -> Option<&String> {
    let labels = pod.labels();
    labels
        .get("pod-template-hash")
        .or_else(|| labels.get("controller-revision-hash"))
}

/// Looks on which port the app listens, where nothing declares one.
///
/// # Errors
/// No pod that is ready; it listens on none of the usual ones.
pub async fn find_port(cluster: &Cluster, resolved: &mut Resolved, pods: &[Pod]) -> Result<()> {
    if resolved.unknown_ports.is_empty() {
        return Ok(());
    }
    let plan = &resolved.plan;
    let unknown = |why: &str| {
        Error::usage(format!(
            "which port is {}'s? It declares none, and {why}",
            plan.app
        ))
        .hint(set("give it", [Setting::Port(None)]))
    };
    let Some(pod) = ready_pods(pods).next() else {
        return Err(unknown("no pod is ready to be looked at"));
    };
    let endpoint = Endpoint {
        namespace: plan.namespace.clone(),
        pod: pod.name_any(),
        port: 0,
    };
    let beginning = Beginning::of(pod, cluster.now());
    let port = loop {
        let found = pods::listening(cluster, &endpoint, &resolved.unknown_ports).await;
        match found.first() {
            Some(port) => break port.to_owned(),
            None if beginning.is_over(&[]) => {
                return Err(unknown("listens on none of the usual ones"));
            }
            None => sleep(PAUSE).await,
        }
    };
    *resolved = resolved.clone().with_port(port);
    resolved
        .learned
        .push(format!("port {port} (it listens there)"));
    Ok(())
}

/// Asks the app itself, through the tunnel: whether it listens where the Service sends, and what it answers. One that may be
/// beginning to listen is asked again.
///
/// # Errors
/// No pod that is ready; nothing listens there, with the port that does; it does not speak HTTP.
pub async fn ask_app(
    cluster: &Cluster,
    resolved: &mut Resolved,
    pods: &[Pod],
) -> Result<AnsweringApp> {
    let plan = &resolved.plan;
    let mut ready = ready_pods(pods);
    let Some(pod) = ready.next() else {
        return Err(
            Error::of(Kind::NotFound, format!("no pod of {} is ready", plan.app)).hint(format!(
                "see them: `{}`",
                shell("kubectl get pods").in_namespace(&plan.namespace)
            )),
        );
    };
    // Of the same version: while an update goes on, older pods are ready too.
    let twin = ready
        .find(|other| version(other) == version(pod))
        .map(ResourceExt::name_any);
    let beginning = Beginning::of(pod, cluster.now());
    let pod = pod.name_any();
    find_port(cluster, resolved, pods).await?;
    let plan = &resolved.plan;
    let endpoint = Endpoint {
        namespace: plan.namespace.clone(),
        pod,
        port: plan.target,
    };
    let plan = &resolved.plan;
    let path = resolved.prober.path();
    // A page may name the pod: what two pods have in common counts.
    let second = twin.map_or_else(
        || endpoint.clone(),
        |pod| Endpoint {
            pod,
            ..endpoint.clone()
        },
    );
    loop {
        let asked = pods::ask(
            cluster,
            [&endpoint, &second],
            &plan.host,
            path,
            plan.tls != Tls::Off,
        );
        let silence = match asked.await {
            Ok(own) => return Ok(AnsweringApp { own, endpoint }),
            Err(silence) => silence,
        };
        let mut others = Vec::new();
        if matches!(silence, pods::Silence::NothingListens) {
            others = pods::elsewhere(cluster, &endpoint, resolved.containers()).await;
            if !beginning.is_over(&others) {
                sleep(PAUSE).await;
                continue;
            }
        }
        let field = resolved.target_field.as_deref().map(|field| Sends {
            service: &plan.service,
            field,
            deployed: resolved.deployed(),
        });
        return Err(pods::explain(
            &silence, &plan.app, &endpoint, &others, field,
        ));
    }
}

/// What came of proving.
#[derive(Debug)]
pub enum ProofOutcome {
    /// The address leads to the app.
    Proven(Proof),
    /// It does not, for this reason.
    Failed(Error),
    /// Somebody else answers there, or may have got the host unseen: what was made is to be taken back, and may be
    /// tried again.
    Lost(Error),
}

/// Waits until the address answers with the app, or until it is clear that it does not.
pub async fn prove(
    cluster: &Cluster,
    ui: &Ui,
    resolved: &Resolved,
    applied: &Applied,
    app: &AnsweringApp,
) -> ProofOutcome {
    let mut claim = applied.take_claim();
    if let Some(lost) = claim.as_ref().and_then(Claim::lost) {
        return ProofOutcome::Lost(lost.clone());
    }
    let new_certificate = match certificate(cluster, ui, resolved, claim.as_mut()).await {
        Ok(certificate) => certificate,
        Err(outcome) => return outcome,
    };
    let _progress = ui.progress(format!("Waiting for {}", resolved.plan.url()));
    let mut app = app.clone();
    let mut watcher = Watcher::new(resolved, applied, Instant::now());
    let mut status = RouteStatus::default();
    loop {
        let look = match &mut claim {
            Some(claim) => claim.look().await,
            None => Look {
                asked: Instant::now(),
                visit: resolved.prober.visit(&resolved.plan.host).await,
            },
        };
        let is_open = claim.as_ref().is_some_and(|claim| !claim.is_won());
        let doubts = if is_open { DOUBTS } else { 1 };
        let verdict = judged(cluster, resolved, &mut app, &status, &look, doubts).await;
        if let Some(claim) = &mut claim {
            let sight = sight(resolved, &look.visit, std::slice::from_ref(&app));
            claim.see(resolved, &look, sight);
            if claim.lost().is_some() {
                return match verdict {
                    Verdict::SomebodyElse(error) => ProofOutcome::Lost(error),
                    _ => lost(claim),
                };
            }
        }
        let seen = Observation {
            claim: claim.as_ref().map(Claim::is_won),
            is_silent: matches!(look.visit, Err(HttpFailure::Timeout)),
            is_old_certificate: new_certificate
                .as_ref()
                .is_some_and(|new| shown(&look) != Some(new)),
        };
        let is_ours = matches!(verdict, Verdict::Ours);
        match watcher.next(verdict, seen, Instant::now()) {
            Next::Again(pause) => {
                if !is_ours {
                    status = read_status(cluster, &resolved.plan).await;
                }
                sleep(pause).await;
            }
            Next::Proven => return ProofOutcome::Proven(proof(resolved, &app, look.visit.ok())),
            Next::Failed(error) => return ProofOutcome::Failed(error),
            Next::Lost(error) => return ProofOutcome::Lost(error),
        }
    }
}

/// The certificate that was issued for the address, if one was to be.
///
/// # Errors
/// What comes of proving without it.
async fn certificate(
    cluster: &Cluster,
    ui: &Ui,
    resolved: &Resolved,
    claim: Option<&mut Claim>,
) -> Result<Option<Vec<u8>>, ProofOutcome> {
    let Tls::Issuer { .. } = resolved.plan.tls else {
        return Ok(None);
    };
    let _progress = ui.progress(format!(
        "Waiting for the certificate of {}",
        resolved.plan.host
    ));
    let issued = issued(cluster, resolved);
    let issued = match claim {
        Some(claim) => match claim.beside(cluster, resolved, issued).await {
            Some(issued) => issued,
            None => return Err(lost(claim)),
        },
        None => issued.await,
    };
    issued.map_err(ProofOutcome::Failed)
}

/// The certificate that was shown.
fn shown(look: &Look) -> Option<&Vec<u8>> {
    let visit = look.visit.as_ref().ok()?;
    let certificate = visit.first.certificate.as_ref()?;
    Some(&certificate.der)
}

/// Whose answer it is. What an app answers may change with the time: it is asked again, so often, before somebody else is blamed.
async fn judged(
    cluster: &Cluster,
    resolved: &Resolved,
    app: &mut AnsweringApp,
    status: &RouteStatus,
    look: &Look,
    doubts: usize,
) -> Verdict {
    let object = resolved.object();
    let mut verdict = judge(&facts(resolved, app, &object, status), &look.visit);
    for _ in 0..doubts {
        if matches!(verdict, Verdict::SomebodyElse(_)) {
            app.ask_again(cluster, resolved).await;
            verdict = judge(&facts(resolved, app, &object, status), &look.visit);
        }
    }
    verdict
}

fn lost(claim: &Claim) -> ProofOutcome {
    match claim.lost() {
        Some(error) => ProofOutcome::Lost(error.clone()),
        None => ProofOutcome::Lost(Error::new("the host is not yours")),
    }
}

fn facts<'a>(
    resolved: &'a Resolved,
    app: &'a AnsweringApp,
    object: &'a str,
    route_status: &'a RouteStatus,
) -> Facts<'a> {
    let plan = &resolved.plan;
    Facts {
        host: &plan.host,
        app: &plan.app,
        secret: plan.secret(),
        namespace: &plan.namespace,
        object,
        tls: &plan.tls,
        service: (&plan.service, plan.service_port),
        target: plan.target,
        own: Some(&app.own),
        baseline: resolved
            .baseline
            .as_ref()
            .ok()
            .map(|baseline| &baseline.fingerprint),
        isolated_by: &resolved.isolated_by,
        let_in: plan.policy.is_some(),
        gateway: match &plan.route_kind {
            RouteKind::Route { parent } => Some(parent),
            RouteKind::Ingress { .. } => None,
        },
        route_status,
    }
}

fn proof(resolved: &Resolved, app: &AnsweringApp, visit: Option<super::judge::Visit>) -> Proof {
    let mut warnings = Vec::new();
    let mut is_certain = false;
    let own = &app.own;
    let plan = &resolved.plan;
    if own.fingerprint.says_nothing() {
        warnings.push(
            Error::new(
                "the app answers something else each time: whether it is the app cannot be told",
            )
            .hint(set(
                "name a page of it that stays the same",
                [Setting::Path],
            )),
        );
    } else if resolved
        .baseline
        .as_ref()
        .is_ok_and(|baseline| own.fingerprint.fits(&baseline.answer))
    {
        warnings.push(
            Error::new(format!(
                "the app answers {} there, and the controller answers the same for hosts without a route: whether it is the app cannot be told",
                describe(&own.answer)
            ))
            .hint(set("name a page that it has", [Setting::Path])),
        );
    } else if own.answer.status >= 400 && !matches!(own.answer.status, 401 | 403) {
        is_certain = true;
        warnings.push(
            Error::new(format!(
                "it is the app that answers, but with {}",
                describe(&own.answer)
            ))
            .hint(format!(
                "see why: `{}`",
                shell("kubectl logs")
                    .arg(&plan.app)
                    .in_namespace(&plan.namespace)
            )),
        );
    } else {
        is_certain = true;
    }
    Proof {
        certificate_until: visit
            .and_then(|visit| visit.first.certificate)
            .map(|certificate| certificate.not_after),
        answer: describe(&own.answer),
        is_certain,
        asks_for_login: matches!(own.answer.status, 401 | 403),
        warnings,
    }
}

/// What the controller or Gateway says of it.
async fn read_status(cluster: &Cluster, plan: &Plan) -> RouteStatus {
    let (namespace, name) = (plan.namespace.as_str(), plan.name.as_str());
    if plan.route(None).is_none() {
        let ingress = cluster
            .find::<Ingress>(namespace, name)
            .await
            .ok()
            .flatten();
        let status = ingress.as_ref().and_then(|ingress| {
            ingress
                .status
                .as_ref()?
                .load_balancer
                .as_ref()?
                .ingress
                .as_ref()
        });
        let has_address = status.is_some_and(|addresses| !addresses.is_empty());
        return RouteStatus {
            has_address,
            class: ingress.and_then(|ingress| ingress.spec?.ingress_class_name),
            refused: None,
        };
    }
    let set = async {
        if plan.own_listener {
            cluster
                .find::<ListenerSet>(namespace, name)
                .await
                .ok()
                .flatten()?
                .refusal()
        } else {
            None
        }
    };
    let route = async {
        cluster
            .find::<HttpRoute>(namespace, name)
            .await
            .ok()
            .flatten()?
            .refusal()
    };
    let (set, route) = futures::join!(set, route);
    RouteStatus {
        refused: set.or(route),
        ..RouteStatus::default()
    }
}
