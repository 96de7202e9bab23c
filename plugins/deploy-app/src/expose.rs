//! `--expose`: the app's HTTPS address, checked before anything is written, made with the app, proven when it runs.

use std::collections::BTreeMap;

use commons::apply::{DryRun, PlannedObject};
use commons::cli::Interrupt;
use commons::shell::{Shell, shell};
use commons::{Cluster, Error, Kind, Result, Ui};
use exposure::{Attempt, Backend, MANAGER, Options, Probing, Unproven};

use crate::flags::Mode;
use crate::remedy;

/// An address that was found free and is to be made.
pub struct Exposure(pub Attempt);

/// Chooses and checks the address of an app, before anything is written.
///
/// # Errors
/// A host that is taken; a cluster that cannot be learned from.
pub async fn resolve(
    cluster: &Cluster,
    host: Option<&str>,
    backend: &Backend,
    probing: Probing,
    dry_run: DryRun,
) -> Result<Exposure> {
    let options = Options {
        host: host.map(str::to_owned),
        probing,
        ..Options::default()
    };
    let resolved = exposure::resolve(cluster, backend, &options)
        .await
        .map_err(|error| remedy::before_app(error, &backend.name, cluster.named()))?;
    Ok(Exposure(Attempt::new(cluster, resolved, dry_run)))
}

impl Exposure {
    /// What is to be made, as `--dry-run` prints it.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn objects(&self, ui: &Ui, mode: &Mode) -> Result<Vec<PlannedObject>> {
        exposure::objects(ui, &self.0.resolved, mode.output.output, mode.dry_run)
    }

    /// Deletes what the address takes the place of.
    ///
    /// # Errors
    /// The API server's refusals.
    pub async fn finish(&self, ui: &Ui) -> Result<()> {
        if let Some(closed) = self.0.finish().await? {
            ui.status(format!("{closed} is no longer exposed."));
        }
        Ok(())
    }

    /// What was learned and done, for standard error.
    pub fn tell(&self, cluster: &Cluster, ui: &Ui) {
        for learned in &self.0.resolved.learned {
            ui.status(learned);
        }
        self.warn(cluster, ui, &self.0.resolved.warnings);
    }

    fn warn(&self, cluster: &Cluster, ui: &Ui, warnings: &[Error]) {
        for warning in warnings {
            ui.warn(&remedy::of_app(
                warning.clone(),
                self.app(),
                cluster.named(),
            ));
        }
    }

    fn app(&self) -> &str {
        let app = self.0.resolved.plan.app.rsplit('/');
        app.into_iter().next().unwrap_or_default()
    }

    /// Warns of an app that gives strangers too much, as far as its definition or its answer tells.
    pub fn warn_of_danger(&self, cluster: &Cluster, ui: &Ui) {
        let containers = self.0.resolved.containers();
        let Some(reason) = exposure::reason_against(containers, self.0.answer()) else {
            return;
        };
        ui.warning(format!(
            "everybody can open this address, without an account of the cluster: {reason}"
        ));
        ui.hint(format!("to close it: `{}`", self.close(cluster)));
    }

    /// The command that closes it.
    fn close(&self, cluster: &Cluster) -> Shell {
        shell("kubectl expose-app remove")
            .arg(self.app())
            .option("-n", cluster.named())
    }

    /// The URL, as it will be.
    pub fn url(&self) -> String {
        self.0.resolved.plan.url()
    }

    /// The URL, proven to answer with the app, whose pods are ready.
    ///
    /// # Errors
    /// Which step of the way does not work; [`Kind::Signal`], after which all stays.
    pub async fn prove(
        mut self,
        cluster: &Cluster,
        ui: &Ui,
        interrupt: &Interrupt,
    ) -> Result<String> {
        let shield = interrupt.shield();
        let (app, close) = (self.app().to_owned(), self.close(cluster));
        let told = |unproven| explain(unproven, &app, &close, cluster.named());
        if let Err(error) = self.0.ask(cluster, None).await {
            return Err(told(self.0.failed(error).await));
        }
        self.warn_of_danger(cluster, ui);
        let (proven, proof) = self.0.prove(cluster, ui, &shield).await.map_err(told)?;
        let proven = Self(proven);
        proven.warn(cluster, ui, &proof.warnings);
        proven.finish(ui).await?;
        Ok(proven.url())
    }
}

/// What became of the address of an app that runs, if it is not proven; `close` removes it.
fn explain(unproven: Unproven, app: &str, close: &Shell, here: Option<&str>) -> Error {
    let without = format!("{app} runs, but its address was taken back");
    match unproven {
        Unproven::Interrupted {
            signal,
            is_there,
            left,
        } => Error::of(
            signal,
            if is_there {
                format!("interrupted: {app} runs, its address is there, but not proven")
            } else {
                format!("interrupted: {without}")
            },
        )
        .hints_from(left),
        Unproven::Failed { error, is_kept } => remedy::of_app(error, app, here).hints_from(is_kept.then(|| {
            format!("{app} runs, and its Ingress was kept and will work once this is fixed; to remove it: `{close}`")
        })),
        Unproven::TakenBack { error, left } => remedy::of_app(error, app, here)
            .context(without)
            .hints_from(left),
        Unproven::Lost { error, left } if !left.is_empty() => {
            error.context(without).hints_from(left)
        }
        Unproven::Lost { error, .. } => error.context(without).without_hints().hint(format!(
            "take another host: `{}`",
            shell("kubectl deploy-app")
                .arg(app)
                .then("--expose NAME")
                .option("-n", here)
        )),
    }
}

/// The addresses there are, by namespace and app.
///
/// # Errors
/// When the API server does not answer.
pub async fn urls(
    cluster: &Cluster,
    namespace: Option<&str>,
) -> Result<BTreeMap<(String, String), String>> {
    Ok(by_app(&exposure::all(cluster, namespace).await?))
}

/// Addresses by namespace and app.
pub fn by_app(all: &[exposure::Exposure]) -> BTreeMap<(String, String), String> {
    let of_deployments = all.iter().filter_map(|exposure| {
        let app = exposure.app.strip_prefix("deployment/")?.to_owned();
        Some(((exposure.namespace.clone(), app), exposure.url.clone()))
    });
    of_deployments.collect()
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
    fn an_address_that_is_not_proven_is_said_to_be_there_or_not() {
        let close = shell("kubectl expose-app remove web");
        let silent = || Error::new("no pod is ready").hint("see them");
        let signal = Kind::Signal(2);
        let left = || vec!["delete it".to_owned()];
        for (unproven, message, hint) in [
            (
                Unproven::Interrupted {
                    signal,
                    is_there: true,
                    left: Vec::new(),
                },
                "interrupted: web runs, its address is there, but not proven",
                None,
            ),
            (
                Unproven::Interrupted {
                    signal,
                    is_there: false,
                    left: left(),
                },
                "interrupted: web runs, but its address was taken back",
                Some("delete it"),
            ),
            (
                Unproven::Failed {
                    error: silent(),
                    is_kept: false,
                },
                "no pod is ready",
                Some("see them"),
            ),
            (
                Unproven::TakenBack {
                    error: silent(),
                    left: Vec::new(),
                },
                "web runs, but its address was taken back",
                Some("see them"),
            ),
            (
                Unproven::Lost {
                    error: silent(),
                    left: Vec::new(),
                },
                "web runs, but its address was taken back",
                Some("take another host: `kubectl deploy-app web --expose NAME`"),
            ),
            (
                Unproven::Lost {
                    error: Error::new("taken"),
                    left: left(),
                },
                "web runs, but its address was taken back",
                Some("delete it"),
            ),
        ] {
            let error = explain(unproven, "web", &close, None);
            assert_eq!(error.message(), message);
            assert_eq!(
                error.hints().first().map(ToString::to_string).as_deref(),
                hint,
                "{message}"
            );
        }
    }
}
