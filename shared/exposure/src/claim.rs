//! Taking a host that is free, beside others who may want it at the same moment: looking at it all the while.

use std::cmp::Reverse;
use std::time::Duration;

use futures::StreamExt;
use futures::future::LocalBoxFuture;
use futures::stream::FuturesOrdered;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use tokio::time::{Instant, sleep, sleep_until};

use super::contest::{Contest, Sight, Standing, Tries};
use super::judge::{Visit, taken};
use super::probe::{Prober, is_taken, phrase, two_randoms};
use super::prove::{AnsweringApp, DOUBTS, ask_app, ready_pods};
use super::remedy::{Setting, set};
use super::resolve::{Resolved, another_host};
use commons::cluster::Cluster;
use commons::error::{Error, Result};
use commons::labels;
use commons::web::HttpFailure;

/// From the beginning of one look to that of the next: while it is waited for, and as soon as it is ours.
pub(super) const PACE: Duration = Duration::from_millis(120);
const PACE_WHEN_OWN: Duration = Duration::from_millis(50);

/// The same while an app starts, which may take minutes.
const PACE_BESIDE: Duration = Duration::from_millis(300);

/// When the next look begins although the last one is not answered: an app may be slow.
const OVERLAP: Duration = Duration::from_millis(400);

/// How many pods are asked at once.
const PODS: usize = 3;

/// How many looks may be under way.
const UNDER_WAY: usize = 6;

/// A look at the host: when it was asked, and what came back.
pub(super) struct Look {
    pub(super) asked: Instant,
    pub(super) visit: Result<Visit, HttpFailure>,
}

/// Looks at a host, one after another; where answers are slow, one beside another.
struct Looks {
    prober: Prober,
    host: String,
    under_way: FuturesOrdered<LocalBoxFuture<'static, Look>>,
    begun: Option<Instant>,
}

impl Looks {
    /// What the next look shows, in the order in which they were begun. What is under way stays so if this is dropped.
    async fn next(&mut self, pace: Duration) -> Look {
        loop {
            let pause = if self.under_way.is_empty() {
                pace
            } else {
                OVERLAP
            };
            let due = self.begun.map_or_else(Instant::now, |begun| begun + pause);
            tokio::select! {
                Some(look) = self.under_way.next(), if !self.under_way.is_empty() => return look,
                () = sleep_until(due), if self.under_way.len() < UNDER_WAY => {
                    self.begun = Some(Instant::now());
                    let (prober, host) = (self.prober.clone(), self.host.clone());
                    self.under_way.push_back(Box::pin(async move {
                        let begun = Instant::now();
                        let visit = prober.visit(&host).await;
                        let asked = visit.as_ref().map_or(begun, |visit| visit.first.asked);
                        Look { asked, visit }
                    }));
                }
            }
        }
    }
}

/// A claim to a host that nobody had.
pub(super) struct Claim {
    looks: Looks,
    contest: Contest,
    pace: Duration,
    /// What the own app answers, as far as that is known: each of its pods that was asked, older versions too.
    own: Vec<AnsweringApp>,
    /// Why to give way.
    lost: Option<Error>,
}

impl Claim {
    /// Looks whether the host is free still, just before it is written. If it is not, the claim is lost already. `app` is what
    /// the own app answers, where it runs.
    pub(super) async fn open(resolved: &Resolved, app: Option<&AnsweringApp>) -> Self {
        let mut looks = Looks {
            prober: resolved.prober.clone(),
            host: resolved.plan.host.clone(),
            under_way: FuturesOrdered::new(),
            begun: None,
        };
        let look = looks.next(PACE).await;
        let answer = look.visit.map(|visit| visit.first);
        let lost = is_taken(&answer, &resolved.baseline)
            .then(|| taken(&resolved.plan.host, &phrase(&answer)));
        Self {
            looks,
            contest: Contest::at_free_host(look.asked),
            pace: PACE,
            own: app.cloned().into_iter().collect(),
            lost,
        }
    }

    /// Why to give way; nothing while that is open, or when the host is won.
    pub(super) fn lost(&self) -> Option<&Error> {
        self.lost.as_ref()
    }

    /// Whether the host is ours.
    pub(super) fn is_won(&self) -> bool {
        self.contest.is_won()
    }

    /// The next look, which is to be given to [`Claim::see`].
    pub(super) async fn look(&mut self) -> Look {
        self.looks.next(self.pace).await
    }

    /// Takes in what a look showed; nothing where it showed nothing of who has the host.
    pub(super) fn see(&mut self, resolved: &Resolved, look: &Look, sight: Option<Sight>) {
        let Some(sight) = sight else { return };
        self.pace = if sight == Sight::Own {
            PACE_WHEN_OWN
        } else {
            PACE
        };
        let host = &resolved.plan.host;
        self.lost = match self.contest.see(look.asked, sight) {
            Standing::Open | Standing::Won => None,
            Standing::Taken => {
                let answer = look.visit.as_ref().map(|visit| visit.first.clone());
                Some(taken(host, &phrase(&answer.map_err(Clone::clone))))
            }
            Standing::Unseen => Some(
                Error::new(format!("it cannot be told whether {host} is yours alone"))
                    .caused_by(
                        "it answers too slowly: somebody else may have taken it between two looks",
                    )
                    .hint(set("if nobody else wants it", [Setting::Take])),
            ),
        };
    }

    /// Goes on looking, beside something that takes its time, until the claim is lost; otherwise it does not end.
    async fn watch(&mut self, cluster: &Cluster, resolved: &Resolved, pace: Duration) {
        while self.lost.is_none() && !self.is_won() {
            let look = self.looks.next(pace).await;
            let mut shown = sight(resolved, &look.visit, &self.own);
            for _ in 0..DOUBTS {
                if shown != Some(Sight::Other) {
                    break;
                }
                // Only the own app's answer tells whose it is; it may have begun to answer a moment ago, or changed.
                self.ask(cluster, resolved).await;
                shown = sight(resolved, &look.visit, &self.own);
            }
            self.see(resolved, &look, shown);
        }
        if self.lost.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// Asks the own app: the pods that were asked before, and those that are ready by now.
    async fn ask(&mut self, cluster: &Cluster, resolved: &Resolved) {
        for app in &mut self.own {
            app.ask_again(cluster, resolved).await;
        }
        // Without labels nothing tells which pods are the app's.
        if resolved.selector().is_empty() {
            return;
        }
        let pods = pods_of(cluster, resolved).await.unwrap_or_default();
        let is_known = |pod: &&Pod| {
            let known = self.own.iter().map(|app| &app.endpoint.pod);
            pod.metadata
                .name
                .as_ref()
                .is_some_and(|name| known.clone().any(|known| known == name))
        };
        let new: Vec<Pod> = ready_pods(&pods)
            .filter(|pod| !is_known(pod))
            .take(PODS)
            .cloned()
            .collect();
        for pod in new {
            if let Ok(app) = ask_app(cluster, &mut resolved.clone(), &[pod]).await {
                self.own.push(app);
            }
        }
    }

    /// Looks while `work` is done. `None` if the claim was lost before it was.
    pub(super) async fn beside<T>(
        &mut self,
        cluster: &Cluster,
        resolved: &Resolved,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.watch(cluster, resolved, PACE) => None,
        }
    }

    /// Looks now and then until the claim is lost; otherwise it does not end.
    pub(super) async fn until_lost(&mut self, cluster: &Cluster, resolved: &Resolved) {
        self.watch(cluster, resolved, PACE_BESIDE).await;
    }
}

/// What a look tells of who has the host; nothing where the request got nowhere.
pub(super) fn sight(
    resolved: &Resolved,
    visit: &Result<Visit, HttpFailure>,
    own: &[AnsweringApp],
) -> Option<Sight> {
    let answer = match visit {
        Ok(visit) => Ok(visit.first.clone()),
        Err(trouble) => Err(trouble.clone()),
    };
    if let Ok(answer) = &answer
        && own.iter().any(|app| app.own.fingerprint.fits(answer))
    {
        return Some(Sight::Own);
    }
    if !is_taken(&answer, &resolved.baseline) {
        // Without a way there at all, nothing was seen; unless no host of the domain has one.
        return (answer.is_ok() || resolved.baseline.is_err()).then_some(Sight::Free);
    }
    let is_isolated = !resolved.isolated_by.is_empty() || resolved.plan.policy.is_some();
    match answer {
        Ok(answer) => Some(match answer.status {
            500 if resolved.plan.route(None).is_some() && !answer.body.contains(&b'<') => {
                Sight::Mute
            }
            502..=504 => Sight::Mute,
            _ => Sight::Other,
        }),
        // So do policies answer that keep the controller out; otherwise it may be this machine that is slow.
        Err(HttpFailure::Timeout) => is_isolated.then_some(Sight::Mute),
        Err(_) => Some(Sight::Mute),
    }
}

/// The app's pods, newest first.
///
/// # Errors
/// The API server's refusals.
pub async fn pods_of(cluster: &Cluster, resolved: &Resolved) -> Result<Vec<Pod>> {
    let labels = labels::text(resolved.selector());
    let mut pods: Vec<Pod> = cluster.list(&resolved.plan.namespace, &labels).await?;
    pods.sort_by_key(|pod| Reverse(pod.creation_timestamp()));
    Ok(pods)
}

/// What is left for somebody who had to give way, all of whose objects are taken back.
///
/// Waits until the host is free again, and then for a random time.
///
/// # Errors
/// `lost`, after enough tries; that somebody else answers at the host and stays.
pub async fn again(
    cluster: &Cluster,
    resolved: &Resolved,
    tries: &mut Tries,
    lost: Error,
) -> Result<Resolved> {
    let Some(pause) = tries.next(two_randoms().0) else {
        return Err(lost.hint(another_host("NAME")));
    };
    let again = resolved.again(cluster).await?;
    sleep(pause).await;
    Ok(again)
}
