//! `--expose`: the app's HTTPS address, checked before anything is written, made with the app, proven when it runs.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use commons::apply::{DryRun, PlannedObject};
use commons::cli::Interrupt;
use commons::exposure::{self, Applied, Backend, MANAGER, Options, Outcome, Resolved};
use commons::{Cluster, Error, Kind, Result, Ui};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

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
        .map_err(|error| in_words_of_deploy(error, &backend.name, false, &cluster.here()))?;
    Ok(Exposure {
        resolved,
        applied: Applied::default(),
    })
}

/// Hints name `--host`, which here is `--expose`'s value. What has no flag here is a flag of `expose-app`: of the address
/// that `is_there` already, or of one that it makes when the app is deployed.
fn in_words_of_deploy(error: Error, app: &str, is_there: bool, here: &str) -> Error {
    let mut flags: Vec<String> = Vec::new();
    let mut hints: Vec<String> = Vec::new();
    for hint in error.hints() {
        let flag = OF_EXPOSE.iter().find_map(|flag| written(hint, flag));
        match flag {
            Some(flag) if is_there => hints.push(format!(
                "{}: `kubectl expose-app {app} {flag}{here}`",
                hint.split_once(": `").map_or("then", |(why, _)| why)
            )),
            flag => {
                flags.extend(flag);
                hints.push(hint.replace("--host ", "--expose "));
            }
        }
    }
    let error = error.without_hints().hints_from(hints);
    match flags.first() {
        Some(flag) => error.hint(format!("`{flag}` is a flag of `expose-app`: deploy without `--expose`, then `kubectl expose-app {app} {flag}{here}`")),
        None => error,
    }
}

/// Flags of `expose-app` that this command has not.
const OF_EXPOSE: [&str; 5] = ["--take", "--tls", "--class", "--parent", "--controller"];

/// A flag as it is written in a hint, its value included.
fn written(hint: &str, flag: &str) -> Option<String> {
    let command = hint.split('`').find(|part| part.contains(flag))?;
    let from = command.get(command.find(flag)?..)?;
    let mut words = from.split_whitespace();
    let name = words.next()?;
    Some(match words.next().filter(|word| !word.starts_with('-')) {
        Some(value) => format!("{name} {value}"),
        None => name.to_owned(),
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

    /// Removes what this run has made of it; a hint for what could not be removed.
    pub async fn take_back(&self, cluster: &Cluster) -> Option<String> {
        exposure::take_back(cluster, &self.resolved, &self.applied).await
    }

    /// What was learned and done, for standard error.
    pub fn tell(&self, ui: &Ui) {
        for learned in &self.resolved.learned {
            ui.status(learned);
        }
        for warning in &self.resolved.warnings {
            ui.warning(warning);
        }
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
        let app = plan.app.rsplit('/').next().unwrap_or_default();
        let here = cluster.here();
        let stays = |error: Error| {
            in_words_of_deploy(error, app, true, &here).hint(format!("{app} runs, and its address stays: right as soon as this is mended; to close it: `kubectl expose-app remove {app}{here}`"))
        };
        let mut resolved = self.resolved.clone();
        let pods = pods(cluster, &resolved).await?;
        let answering = exposure::ask_app(cluster, &mut resolved, &pods)
            .await
            .map_err(stays)?;
        if let Some(reason) =
            exposure::reason_against(resolved.containers(), Some(answering.answer()))
        {
            ui.warning(format!(
                "everybody can open this address, without an account of the cluster: {reason}"
            ));
            ui.hint(format!(
                "to close it: `kubectl expose-app remove {app}{here}`"
            ));
        }
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
                for warning in &proof.warnings {
                    ui.warning(warning);
                }
                Ok(plan.url())
            }
            Ok(Outcome::Failed(error)) => Err(stays(error)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_expose_app_are_given_with_their_command() {
        let error = Error::new("x")
            .hint("meanwhile: `--tls off`")
            .hint("take another host: `--host NAME`");
        assert_eq!(
            in_words_of_deploy(error.clone(), "web", true, " -n a").hints(),
            [
                "meanwhile: `kubectl expose-app web --tls off -n a`",
                "take another host: `--expose NAME`"
            ]
        );
        assert_eq!(
            in_words_of_deploy(error, "web", false, "").hints()[2],
            "`--tls off` is a flag of `expose-app`: deploy without `--expose`, then `kubectl expose-app web --tls off`"
        );
    }

    #[test]
    fn a_flag_is_read_with_its_value() {
        let hint = "if it is yours: `kubectl expose-app web --take -n a`";
        assert_eq!(written(hint, "--take").as_deref(), Some("--take"));
        assert_eq!(
            written("`--controller NAMESPACE`", "--controller").as_deref(),
            Some("--controller NAMESPACE")
        );
        assert_eq!(written("`kubectl get x`", "--tls"), None);
    }
}
