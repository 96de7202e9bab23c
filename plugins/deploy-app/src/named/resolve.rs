//! What an app is to be: all that is needed is read, what is asked for is decided, and what cannot be is refused.

use std::collections::BTreeMap;

use commons::apply::DryRun;
use commons::cli::Context;
use commons::cluster::Right;
use commons::{Cluster, Error, Kind, Result, printable};
use exposure::{Backend, Probing};
use k8s_openapi::api::apps::v1::Deployment;
use registry::ImageFacts;

use super::refusals::{
    refuse_foreign, refuse_incomplete, refuse_not_used, refuse_to_cut_off, refuse_without_rights,
};
use crate::expose::{self, Exposure};
use crate::flags::{ByName, DeployArgs};
use crate::inputs::Inputs;
use crate::lint::{self, Finding};
use crate::objects::{Documents, ROLES, typed};
use crate::plan::{Keep, Plan};
use crate::resources::{self, Asked, Rules};
use crate::settings::{Edit, Settings, WantedSettings};
use crate::uses::{self, Use, UseInput};

/// What was read and decided before anything is written.
pub struct ResolvedApp {
    pub plan: Plan,
    /// What was there.
    pub documents: Documents,
    pub now: Option<Settings>,
    pub exposure: Option<Exposure>,
    /// What should be known of it, for standard error.
    pub notes: Vec<String>,
    pub findings: Vec<Finding>,
}

/// What was read, the image's registry included.
struct Read {
    documents: Documents,
    rules: Rules,
    uses: Option<uses::FoundLogin>,
    image: ImageFacts,
}

/// Reads what is needed, decides what is to be, and refuses what cannot be.
pub async fn resolve(
    context: &Context,
    by_name: &ByName,
    mut inputs: Inputs,
) -> Result<ResolvedApp> {
    let cluster = &context.cluster;
    let ByName { name, args, mode } = by_name;
    let Read {
        documents,
        rules,
        uses,
        image,
    } = read(cluster, by_name, &inputs).await?;
    refuse_foreign(cluster, name, &documents)?;
    let now = Settings::of(&documents)?;
    let is_dry = mode.dry_run != DryRun::None;
    refuse_incomplete(args, now.as_ref(), is_dry)?;
    let image_unchecked = args.image.first().filter(|_| is_dry);
    let notes: Vec<String> = image_unchecked
        .map(|image| unchecked(image))
        .into_iter()
        .collect();
    let mut warnings = Vec::new();
    let uses = match (uses, &args.uses) {
        (Some(found), _) => {
            warnings.extend(found.warnings);
            if let Some(password) = found.copied {
                let own = inputs.secrets.entry("PGPASSWORD".into());
                own.or_insert(password);
            }
            Edit::Set(found.uses)
        }
        (None, Some(UseInput::NoMore(database))) => {
            refuse_not_used(name, now.as_ref(), database)?;
            Edit::Remove
        }
        (None, _) => Edit::Keep,
    };
    let wanted = wanted(args, now.as_ref(), inputs, uses, &image);
    let mut settings =
        Settings::wanted(name, now.clone(), wanted).map_err(|error| {
            match context.command_meant(name) {
                Some(command) if now.is_none() && args.image.is_empty() => error
                    .without_hints()
                    .hint(format!("did you mean `{command}`?")),
                _ => error,
            }
        })?;
    let (cpu, memory) = (args.cpu, args.memory);
    fit(&mut settings, now.as_ref(), Asked { cpu, memory }, &rules);
    let plan = Plan {
        name: name.clone(),
        settings,
        keep: Keep {
            config: documents.config.is_some(),
            files: documents.files.is_some(),
            secret: documents.secret.is_some(),
        },
    };
    refuse_without_rights(cluster, &plan).await?;
    let before = now.as_ref().and_then(|now| now.port);
    if let Some(before) = before.filter(|before| plan.settings.port != Some(*before))
        && (args.expose.is_none() || plan.settings.port.is_none())
    {
        refuse_to_cut_off(cluster, &plan, before).await?;
    }
    Ok(ResolvedApp {
        exposure: address(cluster, by_name, &plan).await?,
        findings: lint::of_plan(&plan, warnings, &image),
        plan,
        documents,
        now,
        notes,
    })
}

/// Reads all that is independent at once.
async fn read(cluster: &Cluster, by_name: &ByName, inputs: &Inputs) -> Result<Read> {
    let ByName { name, args, mode } = by_name;
    let namespace = cluster.namespace();
    let uses = async {
        match &args.uses {
            Some(UseInput::Database(typed)) => {
                let is_given =
                    |name: &str| inputs.env.contains_key(name) || inputs.secrets.contains_key(name);
                uses::find(cluster, name, typed, is_given).await.map(Some)
            }
            _ => Ok(None),
        }
    };
    let image = async {
        match args.image.first() {
            Some(image) if mode.dry_run == DryRun::None => registry::look_up(cluster, image).await,
            _ => ImageFacts::default(),
        }
    };
    let (documents, rules, uses, image) = futures::join!(
        Documents::read(cluster, name),
        resources::rules(cluster, namespace),
        uses,
        image
    );
    // Whoever may look and not write (`view`) may not even see Secrets; that is the lesser matter.
    if documents
        .as_ref()
        .is_err_and(|error| error.kind() == Kind::Forbidden)
    {
        let deployments = [Right::of("create", "apps", "deployments")];
        cluster
            .require(namespace, &deployments, "deploying", ROLES)
            .await?;
    }
    Ok(Read {
        documents: documents?,
        uses: uses?,
        rules: rules?,
        image,
    })
}

/// What a dry run does not find out of the image, which is asked of its registry.
fn unchecked(image: &str) -> String {
    let image = printable::line(image);
    format!("not checked in a dry run: whether image {image} exists")
}

/// What is asked for, with what its image tells of it.
fn wanted(
    args: &DeployArgs,
    now: Option<&Settings>,
    inputs: Inputs,
    uses: Edit<Use>,
    image: &ImageFacts,
) -> WantedSettings {
    let command = (args.command || !args.words.is_empty()).then(|| {
        if args.command {
            (args.words.clone(), Vec::new())
        } else {
            let now = now.map(|now| now.command.clone());
            (now.unwrap_or_default(), args.words.clone())
        }
    });
    let port = args.port.clone();
    WantedSettings {
        image: args.image.first().cloned(),
        port: port.unwrap_or_else(|| told_port(image, now)),
        replicas: args.replicas,
        command,
        inputs,
        uses,
        allow_root: args.allow_root,
        run_as: args.run_as,
    }
}

/// The address that the app is to have, if it is to have one.
async fn address(cluster: &Cluster, by_name: &ByName, plan: &Plan) -> Result<Option<Exposure>> {
    let ByName { args, mode, .. } = by_name;
    let Some(host) = &args.expose else {
        return Ok(None);
    };
    let probing = if mode.dry_run != DryRun::None {
        Probing::Never
    } else if mode.wait && plan.settings.replicas != 0 {
        Probing::UntilProven
    } else {
        Probing::Once
    };
    let host = Some(host.as_str()).filter(|host| !host.is_empty());
    let backend = backend(cluster.namespace(), plan)?;
    expose::resolve(cluster, host, &backend, probing, mode.dry_run)
        .await
        .map(Some)
}

/// The port of a new app, where its image names exactly one.
fn told_port(image: &ImageFacts, now: Option<&Settings>) -> Edit<u16> {
    match (now, &image.ports[..]) {
        (None, [port]) => Edit::Set(*port),
        _ => Edit::Keep,
    }
}

/// Sets what the app asks for, and how it is replaced. Without a change there is nothing to decide anew.
fn fit(settings: &mut Settings, now: Option<&Settings>, asked: Asked, rules: &Rules) {
    settings.resources = resources::propose(rules, asked, now.map(|now| &now.resources));
    let Some(now) = now.filter(|now| *now != settings) else {
        return;
    };
    // Where it replaces in place it goes on so while there is no room, and back when there is.
    let then = &settings.resources;
    settings.surge = resources::may_surge(rules, &now.resources, then, settings.replicas);
}

/// The app as `expose-app` sees it; it need not exist yet.
fn backend(namespace: &str, plan: &Plan) -> Result<Backend> {
    let deployment: Option<Deployment> = typed(Some(&plan.deployment(None)))?;
    let template = deployment
        .and_then(|deployment| deployment.spec)
        .map(|spec| spec.template)
        .unwrap_or_default();
    let labels: BTreeMap<String, String> = template
        .metadata
        .and_then(|metadata| metadata.labels)
        .unwrap_or_default();
    if plan.settings.port.is_none() {
        return Err(Error::usage("an app without a port cannot have an address")
            .hint("name the port that it listens on: `--port 8000`"));
    }
    Ok(Backend {
        namespace: namespace.to_owned(),
        reference: format!("deployment/{}", plan.name),
        name: plan.name.clone(),
        pod_labels: labels.clone(),
        containers: template
            .spec
            .map(|spec| spec.containers)
            .unwrap_or_default(),
        services: typed(plan.service().as_ref())?.into_iter().collect(),
        selector: labels,
    })
}
