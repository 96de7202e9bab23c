//! What is refused before anything of an app is written.

use commons::cluster::Right;
use commons::shell::shell;
use commons::{Cluster, Error, Kind, Result, apply, printable};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};

use crate::expose;
use crate::flags::DeployArgs;
use crate::objects::{Documents, ROLES, is_from_files, typed};
use crate::plan::Plan;
use crate::settings::Settings;

/// Refuses to change objects of the app's names that others have made.
pub fn refuse_foreign(cluster: &Cluster, name: &str, documents: &Documents) -> Result<()> {
    refuse_foreign_app(
        cluster,
        name,
        typed(documents.deployment.as_ref())?.as_ref(),
    )?;
    let manager = cluster.manager();
    let service: Option<Service> = typed(documents.service.as_ref())?;
    apply::refuse_foreign(service.as_ref(), manager)?;
    for config in [&documents.config, &documents.files] {
        let config: Option<ConfigMap> = typed(config.as_ref())?;
        apply::refuse_foreign(config.as_ref(), manager)?;
    }
    let secret: Option<Secret> = typed(documents.secret.as_ref())?;
    apply::refuse_foreign(secret.as_ref(), manager)
}

/// A Deployment that somebody has made in another way is left alone, with the way to go on.
fn refuse_foreign_app(
    cluster: &Cluster,
    name: &str,
    deployment: Option<&Deployment>,
) -> Result<()> {
    apply::refuse_foreign(deployment, cluster.manager()).map_err(|error| {
        let from_files =
            shell("kubectl deploy-app -f FILE --image IMAGE").option("-n", cluster.named());
        if deployment.is_some_and(is_from_files) {
            return Error::of(error.kind(), format!("{name} was deployed from files")).hint(
                format!(
                    "change the files, then: `{}`",
                    shell("kubectl deploy-app -f FILE").option("-n", cluster.named())
                ),
            );
        }
        error
            .without_hints()
            .hint(format!(
                "to change its image: `{}`",
                shell("kubectl set image")
                    .arg(format!("deployment/{name}"))
                    .then("'*=IMAGE'")
                    .in_namespace(cluster.namespace())
            ))
            .hint(format!("if you have its manifests: `{from_files}`"))
            .hint(format!(
                "to make another app: `{}`",
                shell("kubectl deploy-app")
                    .arg(format!("{name}-2"))
                    .then("--image IMAGE")
                    .option("-n", cluster.named())
            ))
    })
}

/// Refuses a new app without a command after `--command --`, or in a dry run without `--port`.
pub fn refuse_incomplete(args: &DeployArgs, now: Option<&Settings>, is_dry: bool) -> Result<()> {
    if now.is_some() {
        return Ok(());
    }
    if args.command && args.words.is_empty() {
        return Err(Error::usage("what is it to run? nothing stands after `--`")
            .hint("for example: `--command -- python app.py`"));
    }
    if is_dry && !args.image.is_empty() && args.port.is_none() {
        return Err(Error::usage("missing `--port`")
            .caused_by("a dry run asks no registry what the image says")
            .hint("name it, for example `--port 8000`; for an app that listens on none: `--port none`"));
    }
    Ok(())
}

/// Refuses `--use DATABASE-` for a database that the app does not use.
pub fn refuse_not_used(name: &str, now: Option<&Settings>, typed: &str) -> Result<()> {
    let used = now.and_then(|now| now.uses.as_ref());
    let bare = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    match used {
        Some(used) if bare(&used.database) == bare(typed) => Ok(()),
        Some(used) => Err(Error::usage(format!(
            "{name} does not use `{}`",
            printable::short(typed, 80)
        ))
        .hint(format!(
            "it uses `{}`: `{}`",
            printable::line(&used.database),
            shell("--use").arg(format!("{}-", used.database))
        ))),
        None => Err(Error::usage(format!("{name} uses no database"))),
    }
}

pub async fn refuse_without_rights(cluster: &Cluster, plan: &Plan) -> Result<()> {
    let namespace = cluster.namespace();
    let mut needed = Vec::new();
    let mut need = |group, resource| {
        needed.extend([
            Right::of("create", group, resource),
            Right::of("patch", group, resource),
        ]);
    };
    need("apps", "deployments");
    if plan.service().is_some() {
        need("", "services");
    }
    if plan.config().is_some() || plan.files().is_some() {
        need("", "configmaps");
    }
    if plan.secret(false).is_some() {
        need("", "secrets");
    }
    cluster
        .require(namespace, &needed, "deploying", ROLES)
        .await
}

/// Refuses to remove or change the port that an address leads to.
pub async fn refuse_to_cut_off(cluster: &Cluster, plan: &Plan, before: u16) -> Result<()> {
    let urls = expose::urls(cluster, Some(cluster.namespace())).await;
    let urls = match urls {
        // Whoever may not see addresses has none of their own.
        Err(error) if error.kind() == Kind::Forbidden => return Ok(()),
        urls => urls?,
    };
    match urls.get(&(cluster.namespace().to_owned(), plan.name.clone())) {
        Some(url) => Err(cut_off(
            url,
            &plan.name,
            before,
            plan.settings.port,
            cluster.named(),
        )),
        None => Ok(()),
    }
}

fn cut_off(url: &str, name: &str, before: u16, port: Option<u16>, here: Option<&str>) -> Error {
    let error = Error::new(format!(
        "{} leads to port {before} of {name}, and would answer no more",
        printable::short(url, 200)
    ));
    let close = shell("kubectl expose-app remove")
        .arg(name)
        .option("-n", here);
    match port {
        Some(port) => error
            .hint(format!(
                "to move the address along: `{}`",
                shell("kubectl deploy-app")
                    .arg(name)
                    .then("--port")
                    .arg(port)
                    .then("--expose")
                    .option("-n", here)
            ))
            .hint(format!("to close it: `{close}`")),
        None => error.hint(format!("close the address first: `{close}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_not_cut_off() {
        let error = cut_off("https://web.kub.test", "web", 8000, Some(9000), Some("a"));
        assert_eq!(
            error.message(),
            "https://web.kub.test leads to port 8000 of web, and would answer no more"
        );
        assert_eq!(
            error.hints(),
            [
                "to move the address along: `kubectl deploy-app web --port 9000 --expose -n a`",
                "to close it: `kubectl expose-app remove web -n a`"
            ]
        );
        let error = cut_off("https://web.kub.test", "web", 8000, None, None);
        assert_eq!(
            error.hints(),
            ["close the address first: `kubectl expose-app remove web`"]
        );
    }
}
