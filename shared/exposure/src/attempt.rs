//! An address on its way: written, watched, proven, and tried again if somebody else got the host first.

use std::pin::pin;

use commons::apply::DryRun;
use commons::cli::Shield;
use commons::grant::Term;
use commons::web::Answer;
use commons::{Cluster, Error, Kind, Result, Ui};
use k8s_openapi::api::core::v1::Pod;

use super::apply::{Applied, timer};
use super::claim::{Claim, again, pods_of};
use super::contest::Tries;
use super::prove::{AnsweringApp, Proof, ProofOutcome, ask_app, prove};
use super::resolve::Resolved;

/// An address from when it is planned until it is proven, or taken back.
pub struct Attempt {
    /// The address as planned.
    pub resolved: Resolved,
    pub(super) applied: Applied,
    /// The app, as it answers without the address, once it was asked.
    pub(super) answering: Option<AnsweringApp>,
}

/// Why an address is not proven.
pub enum Unproven {
    /// A signal came.
    Interrupted {
        /// [`Kind::Signal`], with its number.
        signal: Kind,
        /// Whether what was written is still there.
        is_there: bool,
        /// Hints for what could not be taken back, otherwise.
        left: Vec<String>,
    },
    /// The address does not lead to the app.
    Failed {
        /// Why not, and what became of what was written, unless it stays.
        error: Error,
        /// Whether what was written stays, and will work once the reason is gone.
        is_kept: bool,
    },
    /// Somebody else has the host. The objects written are deleted or restored.
    Lost {
        /// What answers at the host.
        error: Error,
        /// Hints for what could not be taken back.
        left: Vec<String>,
    },
    /// Somebody else had the host, and trying again failed. The objects written are deleted or restored.
    TakenBack {
        /// Why trying again failed.
        error: Error,
        /// Hints for what could not be taken back.
        left: Vec<String>,
    },
}

impl Unproven {
    /// A failure or a signal after which nothing is left but what `left` tells.
    fn taken_back(error: Error, left: Vec<String>) -> Self {
        match error.kind() {
            signal @ Kind::Signal(_) => Self::Interrupted {
                signal,
                is_there: false,
                left,
            },
            _ => Self::TakenBack { error, left },
        }
    }
}

impl Attempt {
    /// Nothing is written yet.
    pub fn new(cluster: &Cluster, resolved: Resolved, dry_run: DryRun) -> Self {
        Self {
            applied: Applied::new(cluster, &resolved.plan.namespace, dry_run),
            resolved,
            answering: None,
        }
    }

    /// A line for each object that was written so far, as kubectl prints them.
    pub fn lines(&self) -> Vec<String> {
        self.applied.lines()
    }

    /// What the app answers without the address, once it was asked.
    pub fn answer(&self) -> Option<&Answer> {
        self.answering.as_ref().map(AnsweringApp::answer)
    }

    /// Asks the app, without the address; its pods are looked up if they are not given.
    ///
    /// # Errors
    /// As [`ask_app`].
    pub async fn ask(&mut self, cluster: &Cluster, pods: Option<&[Pod]>) -> Result<&AnsweringApp> {
        let found;
        let pods = if let Some(pods) = pods {
            pods
        } else {
            found = pods_of(cluster, &self.resolved).await?;
            &found
        };
        let asked = ask_app(cluster, &mut self.resolved, pods).await?;
        Ok(self.answering.insert(asked))
    }

    /// Writes what the plan says, or, sent dry, lets the API server check it. When it fails or is interrupted, what was made is
    /// taken back.
    ///
    /// # Errors
    /// What is not ours; the API server's refusals; [`Kind::Signal`].
    pub async fn apply(&self, cluster: &Cluster, shield: &Shield) -> Result<()> {
        let change = &self.applied.change;
        let work = async {
            self.write(cluster).await?;
            if change.is_dry() {
                self.finish().await?;
            }
            Ok(())
        };
        change.all_or_nothing(shield, work).await
    }

    /// Writes what the plan says. A host that others may want too is looked at meanwhile; what came of that is told by
    /// [`Attempt::prove`].
    ///
    /// # Errors
    /// What is not ours; the API server's refusals; then [`Attempt::take_back`] undoes what was made.
    pub async fn write(&self, cluster: &Cluster) -> Result<()> {
        let Self {
            resolved,
            applied,
            answering,
        } = self;
        let cluster = &cluster.under(super::MANAGER);
        let Resolved { plan, found, .. } = resolved;
        let owner = timer(cluster, &applied.change, resolved).await?;
        let owner = owner.as_ref();
        let (service, policy, listener_set) = (
            plan.service(owner),
            plan.policy(owner),
            plan.listener_set(owner),
        );
        let first = futures::join!(
            applied.put(service.as_ref(), found.service.as_ref()),
            applied.put(policy.as_ref(), found.policy.as_ref()),
            applied.put(listener_set.as_ref(), found.listener_set.as_ref()),
        );
        first.0.and(first.1).and(first.2)?;
        let (ingress, route) = (plan.ingress(owner), plan.route(owner));
        let mut writing = pin!(async {
            applied
                .put(ingress.as_ref(), found.ingress.as_ref())
                .await?;
            applied.put(route.as_ref(), found.route.as_ref()).await
        });
        if resolved.is_contested() && !applied.change.is_dry() {
            let mut claim = Claim::open(resolved, answering.as_ref()).await;
            if claim.lost().is_some() {
                applied.claim.set(Some(claim));
                return Ok(());
            }
            match claim.beside(cluster, resolved, writing.as_mut()).await {
                Some(written) => written?,
                None => writing.await?,
            }
            applied.claim.set(Some(claim));
        } else {
            writing.await?;
        }
        applied.at.set(Some(tokio::time::Instant::now()));
        if resolved.moves() {
            // The address of before answers until the new one is proven.
            return Ok(());
        }
        applied.drop_rest(resolved).await
    }

    /// Does `work`, such as waiting for an app, and looks meanwhile at its host, where others may want that too. If they have it,
    /// what was made is taken back at once, and [`Attempt::prove`] says so.
    pub async fn watched<T>(&self, cluster: &Cluster, work: impl Future<Output = T>) -> T {
        let applied = &self.applied;
        let Some(mut claim) = applied.claim.take() else {
            return work.await;
        };
        let mut work = pin!(work);
        let done = tokio::select! {
            biased;
            done = work.as_mut() => Some(done),
            () = claim.until_lost(cluster, &self.resolved) => None,
        };
        applied.claim.set(Some(claim));
        if let Some(done) = done {
            return done;
        }
        let (left, done) = futures::join!(applied.take_back(), work);
        applied.left.replace(left);
        done
    }

    /// Deletes what is better there until the new address is proven: the way to the old one, and a timer that is not to be any more,
    /// which cannot be put back with the time that was left. The address that answers no more, if there is one.
    ///
    /// # Errors
    /// The API server's refusals.
    pub async fn finish(&self) -> Result<Option<String>> {
        let Self {
            resolved, applied, ..
        } = self;
        let drop_all = async {
            if resolved.moves() {
                applied.drop_rest(resolved).await?;
            }
            let endless = resolved.plan.term == Some(Term::Forever);
            applied
                .drop_unneeded(endless, resolved.found.job.as_ref())
                .await
        };
        drop_all.await.map_err(|error| {
            error.context(format!(
                "{} is made, but what it takes the place of could not be deleted",
                resolved.plan.url()
            ))
        })?;
        let before = resolved.address_before();
        Ok(before.filter(|before| *before != resolved.plan.url()))
    }

    /// Undoes what was written; hints for what could not be undone.
    pub async fn take_back(&self) -> Vec<String> {
        self.applied.take_back().await
    }

    /// After a failure, puts an address that was there before back to what it was. The failure, with what became of that, and whether
    /// there was such an address and this run had changed it.
    pub async fn restore(&self, error: Error) -> (Error, bool) {
        match self.resolved.address_before() {
            Some(before) if self.applied.change.has_written() => {
                let left = self.take_back().await;
                let error = if left.is_empty() {
                    error.note(format!("restored the previous address: {before}"))
                } else {
                    error.hints_from(left)
                };
                (error, true)
            }
            _ => (error, false),
        }
    }

    /// What becomes of it when it does not work: an address that was there before is restored.
    pub async fn failed(&self, error: Error) -> Unproven {
        let (error, is_restored) = self.restore(error).await;
        Unproven::Failed {
            error,
            is_kept: !is_restored,
        }
    }

    /// Proves the address, and tries again if somebody else got the host first. Returns the attempt that succeeded, with its proof.
    ///
    /// # Errors
    /// Why it is not proven.
    pub async fn prove(
        mut self,
        cluster: &Cluster,
        ui: &Ui,
        shield: &Shield,
    ) -> Result<(Self, Proof), Unproven> {
        let mut tries = Tries::default();
        loop {
            let lost = match shield.race(self.proven(cluster, ui)).await {
                Ok(ProofOutcome::Proven(proof)) => return Ok((self, proof)),
                Ok(ProofOutcome::Lost(error)) => error,
                Ok(ProofOutcome::Failed(error)) => return Err(self.failed(error).await),
                Err(error) => {
                    return Err(match error.kind() {
                        signal @ Kind::Signal(_) => Unproven::Interrupted {
                            signal,
                            is_there: true,
                            left: Vec::new(),
                        },
                        _ => self.failed(error).await,
                    });
                }
            };
            let left = self.take_back().await;
            if !left.is_empty() || self.resolved.takes() {
                return Err(Unproven::Lost { error: lost, left });
            }
            let _progress = ui.progress(format!(
                "Somebody else is claiming {}: trying again",
                self.resolved.plan.host
            ));
            self = self.retry(cluster, shield, &mut tries, lost).await?;
        }
    }

    /// Proves it as it is; the app is asked if it was not.
    async fn proven(&mut self, cluster: &Cluster, ui: &Ui) -> Result<ProofOutcome> {
        let app = match &self.answering {
            Some(app) => app.clone(),
            None => self.ask(cluster, None).await?.clone(),
        };
        Ok(prove(cluster, ui, &self.resolved, &self.applied, &app).await)
    }

    /// Writes it once more.
    async fn retry(
        self,
        cluster: &Cluster,
        shield: &Shield,
        tries: &mut Tries,
        lost: Error,
    ) -> Result<Self, Unproven> {
        let again = again(cluster, &self.resolved, tries, lost);
        let resolved = match shield.race(again).await {
            Ok(resolved) => resolved,
            Err(error) if matches!(error.kind(), Kind::Signal(_)) => {
                return Err(Unproven::taken_back(error, Vec::new()));
            }
            Err(error) => {
                return Err(Unproven::Lost {
                    error,
                    left: Vec::new(),
                });
            }
        };
        let mut attempt = Self::new(cluster, resolved, DryRun::None);
        if let Err(error) = shield.race(attempt.ask(cluster, None)).await {
            return Err(Unproven::taken_back(error, Vec::new()));
        }
        if let Err(error) = shield.race(attempt.write(cluster)).await {
            return Err(Unproven::taken_back(error, attempt.take_back().await));
        }
        Ok(attempt)
    }
}
