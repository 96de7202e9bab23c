//! The proof: the name resolves, the certificate is valid, and the app's own pods answer.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, Patch, PatchParams};
use kube::{Resource, ResourceExt};
use tokio::time::{Instant, sleep, timeout};

use super::apply::Applied;
use super::certificate::{self, Progress};
use super::claim::{Claim, Look, sight};
use super::existing::RouteKind;
use super::gateway::{HttpRoute, ListenerSet};
use super::judge::{Facts, RouteStatus, Verdict, describe, judge};
use super::plan::Plan;
use super::pods::{self, AppResponse, Sends};
use super::remedy::{Setting, set};
use super::resolve::Resolved;
use super::tls::Tls;
use commons::cluster::Cluster;
use commons::error::{Error, Kind, Request, Result};
use commons::shell::shell;
use commons::ui::Ui;
use commons::web::HttpFailure;
use tunnel::Endpoint;

/// How long a controller may take to take over what was written. They take well under a second; Traefik gathers changes for two.
const CONTROLLER: Duration = Duration::from_secs(7);

/// How long somebody else's answer may last where it is to be replaced.
const TAKING_OVER: Duration = Duration::from_secs(4);

/// How long the address may fail in the same way: longer than any controller takes to do what it was told last.
const STANDSTILL: Duration = Duration::from_secs(5);

/// The same of an address that was written before its app was waited for: controllers gather changes for two seconds.
const PRESENT: Duration = Duration::from_millis(2500);

/// How long an issuer may take to issue a certificate: Let's Encrypt takes up to a minute.
const ISSUER: Duration = Duration::from_secs(90);

/// How long an issuer may stand still with the same complaint.
const COMPLAINT: Duration = Duration::from_secs(7);

/// How long a controller may go on with what an address was before: they gather changes for two seconds.
const CHANGE: Duration = Duration::from_secs(3);

/// How often the app is asked again before somebody else is blamed.
pub(super) const DOUBTS: usize = 3;

/// What the app answers by itself, and which pod said so.
#[derive(Clone, Debug)]
pub struct App {
    pub(super) own: AppResponse,
    /// Where it was asked.
    pub endpoint: Endpoint,
}

impl App {
    /// Keeps of its likeness only what its answer has now too.
    pub(super) async fn ask_again(&mut self, cluster: &Cluster, resolved: &Resolved) {
        let plan = &resolved.plan;
        let again = pods::ask(
            cluster,
            [&self.endpoint, &self.endpoint],
            &plan.host,
            resolved.visitor.path(),
            plan.tls != Tls::Off,
        )
        .await;
        let Ok(again) = again else { return };
        if again.likeness.status == self.own.likeness.status {
            self.own.likeness = self.own.likeness.clone().common(&again.likeness);
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
    let found = pods::listening(cluster, &endpoint, &resolved.unknown_ports).await;
    let Some(port) = found.first() else {
        return Err(unknown("listens on none of the usual ones"));
    };
    *resolved = resolved.clone().with_port(*port);
    resolved
        .learned
        .push(format!("port {port} (it listens there)"));
    Ok(())
}

/// Asks the app itself, through the tunnel: whether it listens where the Service sends, and what it answers.
///
/// # Errors
/// No pod that is ready; nothing listens there, with the port that does; it does not speak HTTP.
pub async fn ask_app(cluster: &Cluster, resolved: &mut Resolved, pods: &[Pod]) -> Result<App> {
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
    let pod = pod.name_any();
    find_port(cluster, resolved, pods).await?;
    let plan = &resolved.plan;
    let endpoint = Endpoint {
        namespace: plan.namespace.clone(),
        pod,
        port: plan.target,
    };
    let plan = &resolved.plan;
    let path = resolved.visitor.path();
    // A page may name the pod: what two pods have in common counts.
    let second = twin.map_or_else(
        || endpoint.clone(),
        |pod| Endpoint {
            pod,
            ..endpoint.clone()
        },
    );
    match pods::ask(
        cluster,
        [&endpoint, &second],
        &plan.host,
        path,
        plan.tls != Tls::Off,
    )
    .await
    {
        Ok(own) => Ok(App { own, endpoint }),
        Err(silence) => {
            let others = if matches!(silence, pods::Silence::NothingListens) {
                pods::elsewhere(cluster, &endpoint, resolved.containers()).await
            } else {
                Vec::new()
            };
            let field = resolved.target_field.as_deref().map(|field| Sends {
                service: &plan.service,
                field,
                deployed: resolved.deployed(),
            });
            Err(pods::explain(
                &silence, &plan.app, &endpoint, &others, field,
            ))
        }
    }
}

/// What came of proving.
#[derive(Debug)]
pub enum Outcome {
    /// The address leads to the app.
    Proven(Proof),
    /// It does not, for this reason.
    Failed(Error),
    /// Somebody else answers there, or may have got the host unseen: what was made is to be taken back ([`Applied::take_back`]),
    /// and may be tried again ([`super::again`]).
    Lost(Error),
}

/// Waits until the address answers with the app, or until it is clear that it does not.
pub async fn prove(
    cluster: &Cluster,
    ui: &Ui,
    resolved: &Resolved,
    applied: &Applied,
    app: &App,
) -> Outcome {
    let plan = &resolved.plan;
    let progress = ui.progress(format!("Waiting for {}", plan.url()));
    let mut claim = applied.take_claim();
    if let Some(lost) = claim.as_ref().and_then(Claim::lost) {
        return Outcome::Lost(lost.clone());
    }
    let mut new_certificate = None;
    if let Tls::Issuer { .. } = plan.tls {
        progress.say(format!("Waiting for the certificate of {}", plan.host));
        let issued = issued(cluster, resolved);
        let issued = match &mut claim {
            Some(claim) => match claim.beside(cluster, resolved, issued).await {
                Some(issued) => issued,
                None => return lost(claim),
            },
            None => issued.await,
        };
        match issued {
            Ok(der) => new_certificate = der,
            Err(error) => return Outcome::Failed(error),
        }
        progress.say(format!("Waiting for {}", plan.url()));
    }
    let mut app = app.clone();
    let started = Instant::now();
    let written = applied.at().unwrap_or(started);
    let mut pause = Duration::from_millis(40);
    let (mut in_a_row, mut others_in_a_row) = (0, 0);
    let mut others_since = None;
    let mut standing = RouteStatus::default();
    let mut complaint: Option<(String, Instant)> = None;
    let object = resolved.object();
    loop {
        let look = match &mut claim {
            Some(claim) => claim.look().await,
            None => Look {
                asked: Instant::now(),
                visit: resolved.visitor.visit(&plan.host).await,
            },
        };
        let visit = &look.visit;
        let is_open = claim.as_ref().is_some_and(|claim| !claim.is_won());
        let mut verdict = judge(&facts(resolved, &app, &object, &standing), visit);
        // What an app answers may change with the time: it is asked again before somebody else is blamed.
        for _ in 0..if is_open { DOUBTS } else { 1 } {
            if matches!(verdict, Verdict::SomebodyElse(_)) {
                app.ask_again(cluster, resolved).await;
                verdict = judge(&facts(resolved, &app, &object, &standing), visit);
            }
        }
        if let Some(claim) = &mut claim {
            claim.see(
                resolved,
                &look,
                sight(resolved, visit, std::slice::from_ref(&app)),
            );
            if claim.lost().is_some() {
                return match verdict {
                    Verdict::SomebodyElse(error) => Outcome::Lost(error),
                    _ => lost(claim),
                };
            }
        }
        if matches!(verdict, Verdict::SomebodyElse(_)) {
            others_in_a_row += 1;
            others_since.get_or_insert_with(Instant::now);
        } else {
            others_in_a_row = 0;
            others_since = None;
        }
        if !matches!(verdict, Verdict::Ours) {
            in_a_row = 0;
        }
        match verdict {
            Verdict::Ours => {
                // After an update a controller may still take turns between new pods and old ones.
                in_a_row += 1;
                if claim.as_ref().is_some_and(|claim| !claim.is_won()) {
                    continue;
                }
                if in_a_row < 3 {
                    sleep(Duration::from_millis(30)).await;
                    continue;
                }
                // The controller may have another certificate for the domain, and show that for a moment.
                let shown = visit
                    .as_ref()
                    .ok()
                    .and_then(|visit| visit.first.certificate.as_ref())
                    .map(|certificate| &certificate.der);
                if new_certificate
                    .as_ref()
                    .is_some_and(|new| shown != Some(new))
                    && started.elapsed() < TAKING_OVER
                {
                    sleep(pause).await;
                    continue;
                }
                if applied.has_changed() && written.elapsed() < CHANGE {
                    sleep(CHANGE.saturating_sub(written.elapsed())).await;
                    in_a_row = 0;
                    continue;
                }
                return Outcome::Proven(proof(resolved, &app, look.visit.ok()));
            }
            Verdict::Wrong(error) => return Outcome::Failed(error),
            // At a host that is ours, or was taken on purpose, an older configuration of the controller may still answer for a
            // while: of what was there before, or of somebody who has given way.
            Verdict::SomebodyElse(error)
                if others_in_a_row >= 3
                    && written.elapsed() > TAKING_OVER
                    && (claim.is_none()
                        || others_since.is_some_and(|since| since.elapsed() > TAKING_OVER)) =>
            {
                return Outcome::Lost(error);
            }
            Verdict::NotYet(error) | Verdict::SomebodyElse(error) => {
                // Silence is what policies make; otherwise a controller may still ask a pod that has just gone.
                let kept_out = !resolved.isolated_by.is_empty() && plan.policy.is_none();
                let standstill = if kept_out && matches!(look.visit, Err(HttpFailure::Timeout)) {
                    Duration::ZERO
                } else if resolved.is_present() {
                    PRESENT
                } else {
                    STANDSTILL
                };
                match &complaint {
                    Some((same, since)) if *same == error.message() => {
                        if since.elapsed() > standstill {
                            return Outcome::Failed(error);
                        }
                    }
                    _ => complaint = Some((error.message().to_owned(), Instant::now())),
                }
                if started.elapsed() > CONTROLLER {
                    return Outcome::Failed(error);
                }
            }
        }
        standing = read_status(cluster, plan).await;
        if !is_open {
            sleep(pause).await;
            pause = (pause * 3 / 2).min(Duration::from_millis(400));
        }
    }
}

fn lost(claim: &Claim) -> Outcome {
    match claim.lost() {
        Some(error) => Outcome::Lost(error.clone()),
        None => Outcome::Lost(Error::new("the host is not yours")),
    }
}

fn facts<'a>(
    resolved: &'a Resolved,
    app: &'a App,
    object: &'a str,
    standing: &'a RouteStatus,
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
        nobody: resolved.nobody.as_ref().ok().map(|nobody| &nobody.likeness),
        isolated_by: &resolved.isolated_by,
        let_in: plan.policy.is_some(),
        gateway: match &plan.way {
            RouteKind::Route { parent } => Some(parent),
            RouteKind::Ingress { .. } => None,
        },
        standing,
    }
}

fn proof(resolved: &Resolved, app: &App, visit: Option<super::judge::Visit>) -> Proof {
    let mut warnings = Vec::new();
    let mut is_certain = false;
    let own = &app.own;
    let plan = &resolved.plan;
    if own.likeness.says_nothing() {
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
        .nobody
        .as_ref()
        .is_ok_and(|nobody| own.likeness.fits(&nobody.answer))
    {
        warnings.push(
            Error::new(format!(
                "the app answers {} there, just as the controller does for hosts that nobody has: whether it is the app cannot be told",
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

/// Waits until cert-manager has issued the certificate.
async fn issued(cluster: &Cluster, resolved: &Resolved) -> Result<Option<Vec<u8>>> {
    let plan = &resolved.plan;
    let (Some(secret), Tls::Issuer { name: issuer, .. }) = (plan.secret(), &plan.tls) else {
        return Ok(None);
    };
    let started = Instant::now();
    let mut complaint: Option<(String, Instant)> = None;
    let mut pause = Duration::from_millis(150);
    let waited = timeout(ISSUER, async {
        loop {
            match certificate::progress(cluster, &plan.namespace, &plan.host, issuer, &secret).await
            {
                Progress::Issued(der) => return Ok(der),
                Progress::Failed(error) => return Err(error),
                Progress::Waiting(error) => {
                    let text = error.causes().first().cloned().unwrap_or_default();
                    match &complaint {
                        Some((same, since)) if *same == text => {
                            // Orders and challenges take their time; an issuer that is not ready, or nobody at all, does not.
                            let acme = text.starts_with("challenge") || text.contains("order");
                            if !acme && since.elapsed() > COMPLAINT {
                                return Err(error);
                            }
                        }
                        _ => complaint = Some((text, Instant::now())),
                    }
                    if started.elapsed() + Duration::from_secs(2) > ISSUER {
                        return Err(error);
                    }
                }
            }
            sleep(pause).await;
            pause = (pause * 5 / 4).min(Duration::from_secs(2));
        }
    })
    .await;
    let der = match waited {
        Ok(outcome) => outcome?,
        Err(_) => {
            return Err(Error::new(format!(
                "no certificate for {} was issued in time",
                plan.host
            ))
            .hint(format!(
                "see how far it is: `{}`",
                shell("kubectl get certificate").in_namespace(&plan.namespace)
            )));
        }
    };
    // What somebody else has named is theirs.
    if plan.secret_name.is_none() {
        adopt(cluster, plan, &secret).await;
    }
    Ok(Some(der))
}

/// Lets the certificate's Secret go with the object that it was issued for; cert-manager leaves it behind.
async fn adopt(cluster: &Cluster, plan: &Plan, secret: &str) {
    let namespace = plan.namespace.as_str();
    let owner = if plan.own_listener {
        cluster
            .find::<ListenerSet>(namespace, &plan.name)
            .await
            .ok()
            .flatten()
            .and_then(|set| owner(&set))
    } else {
        cluster
            .find::<Ingress>(namespace, &plan.name)
            .await
            .ok()
            .flatten()
            .and_then(|ingress| owner(&ingress))
    };
    let (Some(owner), Ok(Some(present))) = (owner, cluster.find::<Secret>(namespace, secret).await)
    else {
        return;
    };
    if !certificate::is_issued(&present) {
        return;
    }
    let mut owners = present
        .metadata
        .owner_references
        .clone()
        .unwrap_or_default();
    if owners.iter().any(|other| other.uid == owner.uid) {
        return;
    }
    owners.push(owner);
    let patch = serde_json::json!({"metadata": {"ownerReferences": owners, "resourceVersion": present.resource_version()}});
    let api: Api<Secret> = Api::namespaced(cluster.client().clone(), namespace);
    let request = Request {
        verb: "patch",
        resource: "secrets".into(),
        noun: "secret".into(),
        name: secret,
        namespace: Some(namespace),
    };
    let params = PatchParams {
        field_manager: Some(super::MANAGER.into()),
        ..PatchParams::default()
    };
    // `remove` deletes it by name, so nothing is lost if this fails.
    let _ = cluster
        .send(request, api.patch(secret, &params, &Patch::Merge(&patch)))
        .await;
}

fn owner<K: Resource<DynamicType = ()>>(object: &K) -> Option<OwnerReference> {
    Some(OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name: object.meta().name.clone()?,
        uid: object.meta().uid.clone()?,
        controller: Some(false),
        block_owner_deletion: None,
    })
}
