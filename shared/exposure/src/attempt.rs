//! An address that is written but not proven yet: proves it, and tries again if somebody else got the host first.

use commons::apply::DryRun;
use commons::cli::Shield;
use commons::{Cluster, Error, Kind, Result, Ui};

use super::apply::{Applied, back_to_before, write};
use super::claim::{again, pods_of};
use super::contest::Tries;
use super::prove::{AnsweringApp, Proof, ProofOutcome, ask_app, prove};
use super::resolve::Resolved;

/// An address that is written, and the app that it is to lead to.
pub struct Attempt {
    /// The address as planned.
    pub resolved: Resolved,
    /// What was written.
    pub applied: Applied,
    /// The app, as it answers without the address.
    pub answering: AnsweringApp,
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
    /// A failure; an address that was there before is restored.
    pub async fn failed(resolved: &Resolved, applied: &Applied, error: Error) -> Self {
        let restored = back_to_before(resolved, applied, error).await;
        let is_kept = restored.is_err();
        let error = restored.unwrap_or_else(|error| error);
        Self::Failed { error, is_kept }
    }

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
            let Self {
                resolved,
                applied,
                answering,
            } = &self;
            let outcome = shield
                .race(async { Ok(prove(cluster, ui, resolved, applied, answering).await) })
                .await
                .map_err(|error| Unproven::Interrupted {
                    signal: error.kind(),
                    is_there: true,
                    left: Vec::new(),
                })?;
            let lost = match outcome {
                ProofOutcome::Proven(proof) => return Ok((self, proof)),
                ProofOutcome::Failed(error) => {
                    return Err(Unproven::failed(resolved, applied, error).await);
                }
                ProofOutcome::Lost(error) => error,
            };
            let left = applied.take_back().await;
            if !left.is_empty() || resolved.takes() {
                return Err(Unproven::Lost { error: lost, left });
            }
            let _progress = ui.progress(format!(
                "Somebody else is claiming {}: trying again",
                resolved.plan.host
            ));
            self = self.retry(cluster, shield, &mut tries, lost).await?;
        }
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
        let mut resolved = match shield.race(again).await {
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
        let asked = async {
            let pods = pods_of(cluster, &resolved).await?;
            ask_app(cluster, &mut resolved, &pods).await
        };
        let answering = shield
            .race(asked)
            .await
            .map_err(|error| Unproven::taken_back(error, Vec::new()))?;
        let applied = Applied::new(cluster, &resolved.plan.namespace, DryRun::None);
        let writing = write(cluster, &resolved, &applied, Some(&answering));
        if let Err(error) = shield.race(writing).await {
            return Err(Unproven::taken_back(error, applied.take_back().await));
        }
        Ok(Self {
            resolved,
            applied,
            answering,
        })
    }
}
