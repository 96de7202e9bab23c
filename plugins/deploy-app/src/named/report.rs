//! The end of a deployment: waited for, proven, and said in a few lines.

use commons::apply::Outcome;
use commons::cli::Context;
use commons::shell::{Shell, shell};
use commons::{Error, Kind, Result, output, printable};
use workload::Rollout;

use super::changes::changes;
use super::resolve::ResolvedApp;
use super::rollback;
use crate::expose::{self, Exposure};
use crate::flags::ByName;
use crate::list::App;
use crate::settings::Probes;
use crate::wait::{self, Listening};
use crate::write::Written;

/// Waits, proves, and says in a few lines what runs and how to reach it.
pub async fn report(
    context: &Context,
    by_name: &ByName,
    mut resolved: ResolvedApp,
    written: &[Written],
) -> Result<()> {
    let Context { cluster, ui, .. } = context;
    let exposure = resolved.exposure.take();
    let report = Ending {
        context,
        by_name,
        resolved: &resolved,
        unchanged: written
            .iter()
            .all(|written| written.outcome == Outcome::Unchanged),
    };
    report.tell_changes();
    let mut app = App::of(written, cluster.namespace());
    let replicas = resolved.plan.settings.replicas;
    let waits = by_name.mode.wait && replicas != 0;
    if waits {
        let ready = report.until_ready(exposure.as_ref()).await?;
        if let Some(app) = &mut app {
            app.ready = ready;
        }
    }
    let url = match exposure {
        Some(exposure) if waits => Some(exposure.prove(cluster, ui, &context.interrupt).await?),
        Some(exposure) => {
            exposure.warn_of_danger(cluster, ui);
            exposure.finish(ui).await?;
            Some(exposure.url())
        }
        None => None,
    };
    let output = by_name.mode.output.output;
    if let Some(mut app) = app.filter(|_| output.is_some()) {
        app.url = url;
        return output::list(ui, output, &[app], "");
    }
    match url {
        Some(url) if replicas != 0 => {
            ui.status(report.state());
            ui.result(url)
        }
        None if replicas != 0 => {
            ui.result(report.state())?;
            report.addresses().await?;
            report.next().into_iter().for_each(|hint| ui.hint(hint));
            Ok(())
        }
        url => {
            ui.result(report.state())?;
            url.map_or(Ok(()), |url| ui.result(url))
        }
    }
}

/// What is to be said of an app that was written.
struct Ending<'a> {
    context: &'a Context,
    by_name: &'a ByName,
    resolved: &'a ResolvedApp,
    unchanged: bool,
}

impl Ending<'_> {
    fn tell_changes(&self) {
        let Some(now) = &self.resolved.now else {
            return;
        };
        let mut what = changes(now, &self.resolved.plan.settings);
        if !self.unchanged && what.is_empty() {
            what.push("manual changes were reverted".into());
        }
        for change in what {
            self.context.ui.status(change);
        }
    }

    /// Waits for the app; how many pods are ready then.
    async fn until_ready(&self, exposure: Option<&Exposure>) -> Result<i32> {
        let Context {
            cluster,
            ui,
            interrupt,
            ..
        } = self.context;
        let settings = &self.resolved.plan.settings;
        let selector = self.resolved.plan.selector_text();
        let listening = Listening {
            port: settings.port.filter(|_| settings.probes == Probes::Port),
            selector: &selector,
            has_host: settings.env.contains_key("HOST"),
        };
        let rollout = self.rollout();
        let timeout = self.by_name.mode.timeout;
        let ready = wait::until_app_ready(cluster, ui, interrupt, &rollout, listening, timeout);
        let ready = match exposure {
            Some(exposure) => exposure.0.watched(cluster, ready).await,
            None => ready.await,
        };
        match ready {
            Ok(ready) => Ok(ready.replicas),
            Err(error) => Err(self.stays(error, exposure).await),
        }
    }

    /// This command, for this app.
    fn deploy(&self) -> Shell {
        shell("kubectl deploy-app").arg(&self.by_name.name)
    }

    /// A command in the namespace that was named.
    fn here(&self, command: Shell) -> Shell {
        command.option("-n", self.context.cluster.named())
    }

    /// `web runs: web:1.`
    fn state(&self) -> String {
        let name = &self.by_name.name;
        let settings = &self.resolved.plan.settings;
        let image = printable::line(&settings.image);
        if settings.replicas == 0 {
            let start = self.here(self.deploy().then("--replicas 1"));
            return format!("{name} is stopped: it has no pods. To start it: {start}");
        }
        let state = match (self.unchanged, self.by_name.mode.wait) {
            (true, true) => format!("{name} is unchanged: {image} runs"),
            (true, false) => format!("{name} is unchanged: {image}"),
            (false, true) => format!("{name} runs: {image}"),
            (false, false) => format!("{name} is deployed, not waited for: {image}"),
        };
        match settings.replicas {
            1 => format!("{state}."),
            replicas => format!("{state}, {replicas} pods."),
        }
    }

    /// Where an app with a port is reached that this run has given no address: the one that it had before, and has still.
    async fn addresses(&self) -> Result<()> {
        let (cluster, ui) = (&self.context.cluster, &self.context.ui);
        if self.resolved.plan.settings.port.is_none() {
            return Ok(());
        }
        let (name, namespace) = (&self.resolved.plan.name, cluster.namespace());
        ui.result(format!("Inside the cluster:  http://{name}.{namespace}"))?;
        if self.resolved.now.is_none() {
            return Ok(());
        }
        let urls = expose::urls(cluster, Some(namespace))
            .await
            .unwrap_or_default();
        match urls.get(&(namespace.to_owned(), name.clone())) {
            Some(url) => ui.result(format!("From outside:        {url}")),
            None => Ok(()),
        }
    }

    /// What to do next, if anything.
    fn next(&self) -> Option<String> {
        let settings = &self.resolved.plan.settings;
        let before = self.resolved.now.as_ref();
        let kept_image = before.is_some_and(|now| now.image == settings.image);
        if self.unchanged && kept_image && !self.by_name.args.image.is_empty() {
            let image = printable::line(&settings.image);
            return Some(format!(
                "if `{image}` was pushed again, give it a new tag; a tag that runs already is not pulled again"
            ));
        }
        if !self.by_name.mode.wait {
            return Some(format!("see how it goes: `{}`", self.rollout_status()));
        }
        let forward = shell("kubectl port-forward")
            .arg(format!("svc/{}", self.by_name.name))
            .then("8000:80");
        (settings.port.is_some() && before.is_none()).then(|| {
            format!(
                "for an HTTPS address: `{}`; on your own machine: `{}`",
                self.here(self.deploy().then("--expose")),
                self.here(forward)
            )
        })
    }

    /// The command that shows how a roll-out goes on.
    fn rollout_status(&self) -> Shell {
        shell("kubectl rollout status")
            .arg(format!("deployment/{}", self.by_name.name))
            .in_namespace(self.context.cluster.namespace())
    }

    fn rollout(&self) -> Rollout {
        Rollout {
            namespace: self.context.cluster.namespace().to_owned(),
            kind: workload::Kind::Deployment,
            name: self.by_name.name.clone(),
        }
    }

    /// What does not come up stays, so that it can be looked at.
    async fn stays(&self, error: Error, exposure: Option<&Exposure>) -> Error {
        if matches!(error.kind(), Kind::Signal(_)) {
            return error.hint(format!("see how it goes: `{}`", self.rollout_status()));
        }
        let Some(now) = &self.resolved.now else {
            let delete = shell("kubectl deploy-app delete").arg(&self.by_name.name);
            return error.hint(format!(
                "left in place for inspection; to delete it: `{}`",
                self.here(delete)
            ));
        };
        // The address still leads to this app, but its host may be new and is not proven.
        let error = match exposure {
            Some(exposure) => exposure.0.restore(error).await.0,
            None => error,
        };
        // Whoever may not look is not told.
        let cluster = &self.context.cluster;
        let earlier = workload::serving(cluster, &self.rollout()).await;
        let hint = earlier.ok().flatten().map(|earlier| {
            let (name, then) = (&self.by_name.name, &self.resolved.plan.settings);
            rollback::hint(&earlier, name, now, then, cluster.named())
        });
        error.hints_from(hint)
    }
}
