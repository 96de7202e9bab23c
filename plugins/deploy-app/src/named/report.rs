//! The end of a deployment: waited for, proven, and said in a few lines.

use commons::apply::Outcome;
use commons::cli::Context;
use commons::shell::{Shell, shell};
use commons::{Cluster, Error, Kind, Result, Ui, output, printable};
use workload::Rollout;

use super::changes::changes;
use super::resolve::ResolvedApp;
use super::rollback;
use crate::expose;
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
    let output = by_name.mode.output.output;
    let unchanged = written
        .iter()
        .all(|written| written.outcome == Outcome::Unchanged);
    tell_changes(ui, &resolved, unchanged);
    let mut app = App::of(written, cluster.namespace());
    let waits = by_name.mode.wait && resolved.plan.settings.replicas != 0;
    if waits {
        let ready = until_ready(context, by_name, &resolved).await?;
        if let Some(app) = &mut app {
            app.ready = ready;
        }
    }
    let url = match resolved.exposure.take() {
        Some(exposure) if waits => Some(exposure.prove(cluster, ui, &context.interrupt).await?),
        Some(exposure) => {
            exposure.warn_of_danger(cluster, ui);
            exposure.finish(ui).await?;
            Some(exposure.url())
        }
        None => None,
    };
    if let Some(mut app) = app.filter(|_| output.is_some()) {
        app.url = url;
        return output::list(ui, output, &[app], "");
    }
    let state = state(cluster, by_name, &resolved, unchanged);
    if resolved.plan.settings.replicas == 0 {
        ui.result(state)?;
        return url.map_or(Ok(()), |url| ui.result(url));
    }
    if let Some(url) = url {
        ui.status(state);
        return ui.result(url);
    }
    ui.result(state)?;
    addresses(cluster, ui, &resolved).await?;
    if let Some(hint) = next(cluster, by_name, &resolved, unchanged) {
        ui.hint(hint);
    }
    Ok(())
}

fn tell_changes(ui: &Ui, resolved: &ResolvedApp, unchanged: bool) {
    let Some(now) = &resolved.now else {
        return;
    };
    let mut what = changes(now, &resolved.plan.settings);
    if !unchanged && what.is_empty() {
        what.push("manual changes were reverted".into());
    }
    for change in &what {
        ui.status(change);
    }
}

/// Waits for the app; how many pods are ready then.
async fn until_ready(context: &Context, by_name: &ByName, resolved: &ResolvedApp) -> Result<i32> {
    let Context {
        cluster,
        ui,
        interrupt,
        ..
    } = context;
    let settings = &resolved.plan.settings;
    let selector = resolved.plan.selector_text();
    let listening = Listening {
        port: settings.port.filter(|_| settings.probes == Probes::Port),
        selector: &selector,
        has_host: settings.env.contains_key("HOST"),
    };
    let rollout = rollout(cluster, &by_name.name);
    let timeout = by_name.mode.timeout;
    let ready = wait::until_app_ready(cluster, ui, interrupt, &rollout, listening, timeout);
    let ready = match &resolved.exposure {
        Some(exposure) => exposure.0.watched(cluster, ready).await,
        None => ready.await,
    };
    match ready {
        Ok(ready) => Ok(ready.replicas),
        Err(error) => Err(stays(error, cluster, resolved).await),
    }
}

/// `web runs: web:1.`
fn state(cluster: &Cluster, by_name: &ByName, resolved: &ResolvedApp, unchanged: bool) -> String {
    let name = &by_name.name;
    let settings = &resolved.plan.settings;
    let image = printable::line(&settings.image);
    if settings.replicas == 0 {
        let start = shell("kubectl deploy-app").arg(name).then("--replicas 1");
        let start = start.option("-n", cluster.named());
        return format!("{name} is stopped: it has no pods. To start it: {start}");
    }
    let state = match (unchanged, by_name.mode.wait) {
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

/// Where an app with a port is reached that this run has given no address.
async fn addresses(cluster: &Cluster, ui: &Ui, resolved: &ResolvedApp) -> Result<()> {
    if resolved.plan.settings.port.is_none() {
        return Ok(());
    }
    let (name, namespace) = (&resolved.plan.name, cluster.namespace());
    ui.result(format!("Inside the cluster:  http://{name}.{namespace}"))?;
    match address(cluster, resolved).await {
        Some(url) => ui.result(format!("From outside:        {url}")),
        None => Ok(()),
    }
}

/// What to do next, if anything.
fn next(
    cluster: &Cluster,
    by_name: &ByName,
    resolved: &ResolvedApp,
    unchanged: bool,
) -> Option<String> {
    let (name, here) = (&by_name.name, cluster.named());
    let settings = &resolved.plan.settings;
    let before = resolved.now.as_ref();
    let kept_image = before.is_some_and(|now| now.image == settings.image);
    if unchanged && kept_image && !by_name.args.image.is_empty() {
        let image = printable::line(&settings.image);
        return Some(format!(
            "if `{image}` was pushed again, give it a new tag; a tag that runs already is not pulled again"
        ));
    }
    if !by_name.mode.wait {
        let status = rollout_status(cluster, name);
        return Some(format!("see how it goes: `{status}`"));
    }
    (settings.port.is_some() && before.is_none()).then(|| {
        format!(
            "for an HTTPS address: `{}`; on your own machine: `{}`",
            shell("kubectl deploy-app")
                .arg(name)
                .then("--expose")
                .option("-n", here),
            shell("kubectl port-forward")
                .arg(format!("svc/{name}"))
                .then("8000:80")
                .option("-n", here)
        )
    })
}

/// The command that shows how a roll-out goes on.
fn rollout_status(cluster: &Cluster, name: &str) -> Shell {
    shell("kubectl rollout status")
        .arg(format!("deployment/{name}"))
        .in_namespace(cluster.namespace())
}

fn rollout(cluster: &Cluster, name: &str) -> Rollout {
    Rollout {
        namespace: cluster.namespace().to_owned(),
        kind: workload::Kind::Deployment,
        name: name.to_owned(),
    }
}

/// The address that an app had before, and has still.
async fn address(cluster: &Cluster, resolved: &ResolvedApp) -> Option<String> {
    resolved.now.as_ref()?;
    let namespace = cluster.namespace();
    let urls = expose::urls(cluster, Some(namespace)).await.ok()?;
    urls.get(&(namespace.to_owned(), resolved.plan.name.clone()))
        .cloned()
}

/// What does not come up stays, so that it can be looked at.
async fn stays(error: Error, cluster: &Cluster, resolved: &ResolvedApp) -> Error {
    let (plan, here) = (&resolved.plan, cluster.named());
    let name = &plan.name;
    if matches!(error.kind(), Kind::Signal(_)) {
        return error.hint(format!(
            "see how it goes: `{}`",
            rollout_status(cluster, name)
        ));
    }
    let Some(now) = &resolved.now else {
        return error.hint(format!(
            "left in place for inspection; to delete it: `{}`",
            shell("kubectl deploy-app delete")
                .arg(name)
                .option("-n", here)
        ));
    };
    // The address still leads to this app, but its host may be new and is not proven.
    let error = match &resolved.exposure {
        Some(exposure) => exposure.0.restore(error).await.0,
        None => error,
    };
    // Whoever may not look is not told.
    let earlier = workload::serving(cluster, &rollout(cluster, name)).await;
    let earlier = earlier.ok().flatten();
    error.hints_from(
        earlier.map(|earlier| rollback::hint(&earlier, name, now, &plan.settings, here)),
    )
}
