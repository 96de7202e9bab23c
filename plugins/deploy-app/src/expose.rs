//! `--expose`: the app's HTTPS address, checked before anything is written, made with the app, proven when it runs.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use commons::apply::{DryRun, PlannedObject};
use commons::cli::Interrupt;
use commons::exposure::{self, Applied, Backend, MANAGER, Options, Outcome, Resolved};
use commons::web::Answer;
use commons::{Cluster, Error, Kind, Result, Ui};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use crate::words;

/// An address that was found free and is to be made.
pub struct Exposure {
    resolved: Resolved,
    applied: Applied,
}

/// Chooses and checks the address of an app, before anything is written.
///
/// # Errors
/// A host that is taken; a cluster that cannot be learned from.
pub async fn resolve(cluster: &Cluster, host: Option<&str>, backend: &Backend) -> Result<Exposure> {
    let options = Options {
        host: host.map(str::to_owned),
        ..Options::default()
    };
    let resolved = exposure::resolve(cluster, backend, &options)
        .await
        .map_err(|error| words::before_app(error, &backend.name, &cluster.here()))?;
    Ok(Exposure {
        resolved,
        applied: Applied::default(),
    })
}

impl Exposure {
    /// What is to be made, as `--dry-run` prints it.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn objects(&self, dry_run: DryRun) -> Result<Vec<PlannedObject>> {
        exposure::objects(&self.resolved, dry_run)
    }

    /// Makes it.
    ///
    /// # Errors
    /// The API server's refusals; then [`Exposure::take_back`] removes what was made.
    pub async fn write(&self, cluster: &Cluster, dry_run: DryRun) -> Result<()> {
        exposure::write(cluster, &self.resolved, &self.applied, dry_run).await
    }

    /// Puts an address that was there before back to what it was; see [`exposure::back_to_before`].
    ///
    /// # Errors
    /// The failure itself, where nothing was to be put back.
    pub async fn back_to_before(&self, cluster: &Cluster, error: Error) -> Result<Error> {
        exposure::back_to_before(cluster, &self.resolved, &self.applied, error).await
    }

    /// Deletes what the address takes the place of.
    ///
    /// # Errors
    /// The API server's refusals.
    pub async fn finish(&self, cluster: &Cluster, ui: &Ui) -> Result<()> {
        let closed = exposure::finish(cluster, &self.resolved, &self.applied, DryRun::None).await?;
        if let Some(closed) = closed {
            ui.status(format!("{closed} is closed."));
        }
        Ok(())
    }

    /// Removes what this run has made of it; a hint for what could not be removed.
    pub async fn take_back(&self, cluster: &Cluster) -> Option<String> {
        exposure::take_back(cluster, &self.resolved, &self.applied).await
    }

    /// What was learned and done, for standard error.
    pub fn tell(&self, cluster: &Cluster, ui: &Ui) {
        for learned in &self.resolved.learned {
            ui.status(learned);
        }
        self.warn(cluster, ui, &self.resolved.warnings);
    }

    fn warn(&self, cluster: &Cluster, ui: &Ui, warnings: &[Error]) {
        for warning in warnings {
            ui.warn(&words::of_app(warning.clone(), self.app(), &cluster.here()));
        }
    }

    fn app(&self) -> &str {
        self.resolved
            .plan
            .app
            .rsplit('/')
            .next()
            .unwrap_or_default()
    }

    /// Warns of an app that gives strangers too much, as far as its definition or its answer tells.
    pub fn warn_of_danger(&self, cluster: &Cluster, ui: &Ui, answer: Option<&Answer>) {
        let Some(reason) = exposure::reason_against(self.resolved.containers(), answer) else {
            return;
        };
        ui.warning(format!(
            "everybody can open this address, without an account of the cluster: {reason}"
        ));
        ui.hint(format!(
            "to close it: `kubectl expose-app remove {}{}`",
            self.app(),
            cluster.here()
        ));
    }

    /// The URL, as it will be.
    pub fn url(&self) -> String {
        self.resolved.plan.url()
    }

    /// The URL, proven to answer with the app, whose pods are ready.
    ///
    /// # Errors
    /// Which step of the way does not work; [`Kind::Signal`], after which all stays.
    pub async fn prove(&self, cluster: &Cluster, ui: &Ui, interrupt: &Interrupt) -> Result<String> {
        let plan = &self.resolved.plan;
        let app = self.app();
        let here = cluster.here();
        let failed = async |error: Error| {
            let error = words::of_app(error, app, &here);
            self.back_to_before(cluster, error).await.unwrap_or_else(|error| {
                error.hint(format!("{app} runs, and its address stays: right as soon as this is mended; to close it: `kubectl expose-app remove {app}{here}`"))
            })
        };
        let mut resolved = self.resolved.clone();
        let pods = pods(cluster, &resolved).await?;
        let answering = match exposure::ask_app(cluster, &mut resolved, &pods).await {
            Ok(answering) => answering,
            Err(error) => return Err(failed(error).await),
        };
        self.warn_of_danger(cluster, ui, Some(answering.answer()));
        let shield = interrupt.shield();
        let outcome = shield
            .race(async {
                Ok(exposure::prove(cluster, ui, &resolved, &self.applied, &answering).await)
            })
            .await;
        match outcome {
            Err(error) if matches!(error.kind(), Kind::Signal(_)) => Err(Error::of(
                error.kind(),
                format!("interrupted: {app} runs, its address is there, but not proven"),
            )),
            Err(error) => Err(error),
            Ok(Outcome::Proven(proof)) => {
                self.warn(cluster, ui, &proof.warnings);
                self.finish(cluster, ui).await?;
                Ok(plan.url())
            }
            Ok(Outcome::Failed(error)) => Err(failed(error).await),
            Ok(Outcome::Lost(error)) => {
                let left = self.take_back(cluster).await;
                let error = error
                    .context(format!("{app} runs, but its address was taken back"))
                    .hint(format!(
                        "take another host: `kubectl deploy-app {app} --expose NAME{here}`"
                    ));
                Err(match left {
                    Some(left) => error.hint(left),
                    None => error,
                })
            }
        }
    }
}

/// The app's pods, newest first.
async fn pods(cluster: &Cluster, resolved: &Resolved) -> Result<Vec<Pod>> {
    let labels: Vec<String> = resolved
        .selector()
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let mut pods: Vec<Pod> = cluster
        .list(&resolved.plan.namespace, &labels.join(","))
        .await?;
    pods.sort_by_key(|pod| Reverse(pod.creation_timestamp()));
    Ok(pods)
}

/// The addresses there are, by namespace and app.
///
/// # Errors
/// When the API server does not answer.
pub async fn urls(
    cluster: &Cluster,
    namespace: Option<&str>,
) -> Result<BTreeMap<(String, String), String>> {
    let all = exposure::all(cluster, namespace).await?;
    let of_deployments = all.into_iter().filter_map(|exposure| {
        let app = exposure.app.strip_prefix("deployment/")?.to_owned();
        Some(((exposure.namespace, app), exposure.url))
    });
    Ok(of_deployments.collect())
}

/// Removes the address of an app, if it has one of ours; a change line for each object.
///
/// # Errors
/// The API server's refusals.
pub async fn remove(
    cluster: &Cluster,
    namespace: &str,
    app: &str,
    dry_run: DryRun,
) -> Result<Vec<String>> {
    let all = match exposure::all(&cluster.under(MANAGER), Some(namespace)).await {
        Ok(all) => all,
        // Whoever may not see addresses has none of their own.
        Err(error) if error.kind() == Kind::Forbidden => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut lines = Vec::new();
    for exposure in all
        .iter()
        .filter(|exposure| exposure.app == format!("deployment/{app}"))
    {
        lines.extend(exposure::remove(cluster, namespace, &exposure.object, dry_run).await?);
    }
    Ok(lines)
}
