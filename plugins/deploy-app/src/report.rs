//! The end of a deployment: waited for, proven, and said in a few lines.

use commons::apply::Outcome;
use commons::cli::Interrupt;
use commons::shell::{Shell, shell};
use commons::{Cluster, Error, Kind, Result, Ui, output, printable};
use workload::Rollout;

use crate::changes::changes;
use crate::deploy::Resolved;
use crate::expose;
use crate::flags::ByName;
use crate::list::App;
use crate::rollback;
use crate::settings::Probes;
use crate::wait::{self, Listening};
use crate::write::Written;

/// Waits, proves, and says in a few lines what runs and how to reach it.
pub async fn report(
    cluster: &Cluster,
    ui: &Ui,
    interrupt: &Interrupt,
    by_name: &ByName,
    resolved: &Resolved,
    written: &[Written],
) -> Result<()> {
    let ByName { name, mode, args } = by_name;
    let settings = &resolved.plan.settings;
    let unchanged = written
        .iter()
        .all(|written| written.outcome == Outcome::Unchanged);
    let mut what = resolved
        .now
        .as_ref()
        .map(|now| changes(now, settings))
        .unwrap_or_default();
    if resolved.now.is_some() && !unchanged && what.is_empty() {
        what.push("manual changes were reverted".into());
    }
    for change in &what {
        ui.status(change);
    }
    let namespace = cluster.namespace();
    let mut app = App::of(written, namespace);
    let is_stopped = settings.replicas == 0;
    let waits = mode.wait && !is_stopped;
    if waits {
        let rollout = rollout(cluster, name);
        let selector = resolved.plan.selector_text();
        let listening = Listening {
            port: settings.port.filter(|_| settings.probes == Probes::Port),
            selector: &selector,
            has_host: settings.env.contains_key("HOST"),
        };
        let ready =
            wait::until_app_ready(cluster, ui, interrupt, &rollout, listening, mode.timeout);
        let ready = match &resolved.exposure {
            Some(exposure) => exposure.watched(cluster, ready).await,
            None => ready.await,
        };
        let ready = match ready {
            Ok(ready) => ready,
            Err(error) => return Err(stays(error, cluster, resolved).await),
        };
        if let Some(app) = &mut app {
            app.ready = ready.replicas;
        }
    }
    let url = match &resolved.exposure {
        Some(exposure) if waits => Some(exposure.prove(cluster, ui, interrupt).await?),
        Some(exposure) => {
            exposure.warn_of_danger(cluster, ui, None);
            exposure.finish(ui).await?;
            Some(exposure.url())
        }
        None => None,
    };
    if let Some(mut app) = app.filter(|_| mode.output.output.is_some()) {
        app.url = url;
        return output::list(ui, mode.output.output, &[app], "");
    }
    let here = cluster.named();
    let image = printable::line(&settings.image);
    if is_stopped {
        ui.result(format!(
            "{name} is stopped: it has no pods. To start it: {}",
            shell("kubectl deploy-app")
                .arg(name)
                .then("--replicas 1")
                .option("-n", here)
        ))?;
        return url.map_or(Ok(()), |url| ui.result(url));
    }
    let state = match (unchanged, mode.wait) {
        (true, true) => format!("{name} is unchanged: {image} runs"),
        (true, false) => format!("{name} is unchanged: {image}"),
        (false, true) => format!("{name} runs: {image}"),
        (false, false) => format!("{name} is deployed, not waited for: {image}"),
    };
    let state = if settings.replicas == 1 {
        format!("{state}.")
    } else {
        format!("{state}, {} pods.", settings.replicas)
    };
    if let Some(url) = url {
        ui.status(state);
        return ui.result(url);
    }
    ui.result(state)?;
    if settings.port.is_some() {
        ui.result(format!("Inside the cluster:  http://{name}.{namespace}"))?;
        if let Some(url) = address(cluster, resolved).await {
            ui.result(format!("From outside:        {url}"))?;
        }
    }
    let kept_image = resolved
        .now
        .as_ref()
        .is_some_and(|now| now.image == settings.image);
    if unchanged && kept_image && !args.image.is_empty() {
        ui.hint(format!("if `{image}` was pushed again, give it a new tag; a tag that runs already is not pulled again"));
    } else if !mode.wait {
        ui.hint(format!(
            "see how it goes: `{}`",
            rollout_status(cluster, name)
        ));
    } else if settings.port.is_some() && resolved.now.is_none() {
        ui.hint(format!(
            "for an HTTPS address: `{}`; on your own machine: `{}`",
            shell("kubectl deploy-app")
                .arg(name)
                .then("--expose")
                .option("-n", here),
            shell("kubectl port-forward")
                .arg(format!("svc/{name}"))
                .then("8000:80")
                .option("-n", here)
        ));
    }
    Ok(())
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
async fn address(cluster: &Cluster, resolved: &Resolved) -> Option<String> {
    resolved.now.as_ref()?;
    let namespace = cluster.namespace();
    let urls = expose::urls(cluster, Some(namespace)).await.ok()?;
    urls.get(&(namespace.to_owned(), resolved.plan.name.clone()))
        .cloned()
}

/// What does not come up stays, so that it can be looked at.
async fn stays(error: Error, cluster: &Cluster, resolved: &Resolved) -> Error {
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
    // The address leads to this app still, but perhaps at another host, which nobody has seen answer.
    let error = match &resolved.exposure {
        Some(exposure) => exposure
            .back_to_before(error)
            .await
            .unwrap_or_else(|error| error),
        None => error,
    };
    // Whoever may not look is not told.
    let earlier = workload::serving(cluster, &rollout(cluster, name)).await;
    let earlier = earlier.ok().flatten();
    error.hints_from(
        earlier.map(|earlier| rollback::hint(&earlier, name, now, &plan.settings, here)),
    )
}
