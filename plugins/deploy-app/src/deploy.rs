//! `deploy-app NAME --image IMAGE`: makes an app or changes it, waits until it runs, and says how to reach it.

use std::collections::{BTreeMap, BTreeSet};

use commons::apply::{self, DryRun, Outcome, PlannedObject, line};
use commons::change::Change;
use commons::cli::{Context, blocking};
use commons::cluster::Right;
use commons::cluster::documents::{self, CLIENT_SIDE_APPLY, Writing};
use commons::output::Format;
use commons::{Cluster, Error, Kind, Result, Ui, printable};
use exposure::{Backend, Probing};
use k8s_openapi::api::apps::v1::Deployment;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::expose::{self, Exposure};
use crate::flags::{ByName, DeployArgs, Mode};
use crate::inputs::Inputs;
use crate::lint::context::look_up;
use crate::lint::{self, Finding, ImageFacts};
use crate::objects::{MANAGER_OF_FILES, ROLES, is_from_files};
use crate::plan::{Keep, Plan, files_name};
use crate::print;
use crate::report::report;
use crate::resources::{self, Asked, Proposal, Resources, Rules, TooMuch};
use crate::settings::{Edit, Present, Settings, Wanted};
use crate::uses::{self, Use, UseInput};
use crate::write::{self, Write, Written};
use commons::shell::shell;

/// What was read and decided before anything is written.
pub struct Resolved {
    pub plan: Plan,
    /// What was there.
    documents: Documents,
    pub now: Option<Settings>,
    pub exposure: Option<Exposure>,
    /// What should be known of it, for standard error.
    notes: Vec<String>,
    findings: Vec<Finding>,
}

/// What was read, the image's registry included.
struct Read {
    documents: Documents,
    rules: Rules,
    uses: Option<uses::Found>,
    image: ImageFacts,
}

/// The objects of an app as they are, by name of their place in it.
#[derive(Default)]
struct Documents {
    deployment: Option<Value>,
    service: Option<Value>,
    config: Option<Value>,
    files: Option<Value>,
    secret: Option<Value>,
}

pub async fn run(context: &Context, by_name: ByName) -> Result<()> {
    let Context {
        cluster,
        ui,
        interrupt,
        ..
    } = context;
    let inputs = {
        let (flags, ui) = (by_name.args.inputs.clone(), ui.clone());
        blocking(move || flags.read(&ui)).await?
    };
    let progress = ui.progress(format!("Looking at {}", by_name.name));
    let resolved = resolve(context, &by_name, inputs).await?;
    drop(progress);
    resolved.notes.iter().for_each(|note| ui.status(note));
    lint::tell(ui, &resolved.findings, by_name.mode.strict)?;
    let mode = by_name.mode;
    let exposure = resolved.exposure.as_ref();
    let tell = || {
        if let Some(exposure) = exposure {
            exposure.tell(cluster, ui);
        }
    };
    if mode.dry_run == DryRun::Client {
        tell();
        return print_plan(ui, &mode, &resolved);
    }
    let change = Change::new(cluster, cluster.namespace(), mode.dry_run);
    let shield = interrupt.shield();
    let written = match shield.race(apply(cluster, &change, &resolved)).await {
        Err(failure) if !change.is_dry() => {
            let address = async {
                match exposure {
                    Some(exposure) => exposure.take_back().await,
                    None => Vec::new(),
                }
            };
            let (undone, left) = futures::join!(change.undo(), address);
            return Err(undone.and(left).explain(failure));
        }
        written => written?,
    };
    drop(shield);
    tell();
    if mode.dry_run == DryRun::Server {
        let address = exposure.map(|exposure| exposure.objects(ui, &mode));
        return print::written(ui, &mode, &written, address.transpose()?);
    }
    report(context, &by_name, &resolved, &written).await
}

/// Reads what is needed, decides what is to be, and refuses what cannot be.
async fn resolve(context: &Context, by_name: &ByName, mut inputs: Inputs) -> Result<Resolved> {
    let cluster = &context.cluster;
    let ByName { name, args, mode } = by_name;
    let Read {
        documents,
        rules,
        uses,
        image,
    } = read(cluster, by_name, &inputs).await?;
    let present = present(&documents)?;
    refuse_foreign(cluster, name, &present)?;
    let now = Settings::of(&present);
    let mut notes = Vec::new();
    if mode.dry_run != DryRun::None {
        notes.extend(unchecked(args, now.as_ref())?);
    }
    let mut warnings = Vec::new();
    let uses = match (uses, &args.uses) {
        (Some(found), _) => {
            warnings.extend(found.notes);
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
    let wanted = wanted(args, now.as_ref(), inputs, uses, &image)?;
    let mut settings =
        Settings::wanted(name, now.clone(), wanted).map_err(|error| {
            match context.command_meant(name) {
                Some(command) if now.is_none() && args.image.is_empty() => error
                    .without_hints()
                    .hint(format!("did you mean `{command}`?")),
                _ => error,
            }
        })?;
    let asked = Asked {
        cpu: args.cpu,
        memory: args.memory,
    };
    let fitted = fit(
        &mut settings,
        now.as_ref(),
        asked,
        &rules,
        cluster.namespace(),
    )?;
    notes.extend(fitted.notes);
    warnings.extend(fitted.too_few);
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
    Ok(Resolved {
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
            Some(image) if mode.dry_run == DryRun::None => look_up(cluster, image).await,
            _ => ImageFacts::default(),
        }
    };
    let (documents, rules, uses, image) = futures::join!(
        documents_of(cluster, name),
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
fn unchecked(args: &DeployArgs, now: Option<&Settings>) -> Result<Option<String>> {
    let Some(image) = args.image.first() else {
        return Ok(None);
    };
    if now.is_none() && args.port.is_none() {
        return Err(port_unknown());
    }
    Ok(Some(format!(
        "not checked in a dry run: what the registry says of {}",
        printable::line(image)
    )))
}

/// What is asked for, with what its image tells of it.
fn wanted(
    args: &DeployArgs,
    now: Option<&Settings>,
    inputs: Inputs,
    uses: Edit<Use>,
    image: &ImageFacts,
) -> Result<Wanted> {
    if args.command && args.words.is_empty() && now.is_none() {
        return Err(Error::usage("what is it to run? nothing stands after `--`")
            .hint("for example: `--command -- python app.py`"));
    }
    let command = (args.command || !args.words.is_empty()).then(|| {
        if args.command {
            (args.words.clone(), Vec::new())
        } else {
            let now = now.map(|now| now.command.clone());
            (now.unwrap_or_default(), args.words.clone())
        }
    });
    let port = args.port.clone();
    Ok(Wanted {
        image: args.image.first().cloned(),
        port: port.unwrap_or_else(|| told_port(image, now)),
        replicas: args.replicas,
        command,
        inputs,
        uses,
        allow_root: args.allow_root,
        run_as: args.run_as,
    })
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

/// A new app without a port, whose image is not asked for one.
fn port_unknown() -> Error {
    Error::usage("missing `--port`")
        .caused_by("a dry run asks no registry what the image says")
        .hint("name it, for example `--port 8000`; for an app that listens on none: `--port none`")
}

/// The port of a new app, where its image names exactly one.
fn told_port(image: &ImageFacts, now: Option<&Settings>) -> Edit<u16> {
    match (now, &image.ports[..]) {
        (None, [port]) => Edit::Set(*port),
        _ => Edit::Keep,
    }
}

/// Too much is asked for: of what, and how much there is.
fn no_room(too_much: &[TooMuch], namespace: &str) -> Error {
    let whys: BTreeSet<&str> = too_much.iter().map(|one| one.why.as_str()).collect();
    let is_range = too_much.iter().all(|one| one.is_range);
    let error = Error::new(if is_range {
        "the app is outside the namespace's LimitRange"
    } else {
        "the namespace has no room for the app"
    });
    let error = whys.into_iter().fold(error, Error::caused_by);
    let error = match resources::flags_instead(too_much) {
        Some(flags) => error.hint(format!("ask for what one may have: `{flags}`")),
        None => error,
    };
    error.hint(if is_range {
        format!(
            "see the bounds: `{}`",
            shell("kubectl describe limitrange").in_namespace(namespace)
        )
    } else {
        format!(
            "see what takes it, and end something: `{}`, `{}`",
            shell("kubectl describe resourcequota").in_namespace(namespace),
            shell("kubectl get pods").in_namespace(namespace)
        )
    })
}

/// Fits the app into what the namespace has left. Without a change there is nothing to decide anew.
fn fit(
    settings: &mut Settings,
    now: Option<&Settings>,
    asked: Asked,
    rules: &Rules,
    namespace: &str,
) -> Result<Proposal> {
    let has: Option<(&Resources, i32)> = now.map(|now| (&now.resources, now.replicas));
    let mut proposal = resources::propose(rules, asked, has, settings.replicas);
    settings.resources = std::mem::take(&mut proposal.resources);
    if now.is_some_and(|now| now == settings) {
        return Ok(Proposal::default());
    }
    if !proposal.too_much.is_empty() {
        return Err(no_room(&proposal.too_much, namespace));
    }
    // Where it replaces in place it goes on so while there is no room, and back when there is.
    settings.surge = proposal.surge;
    Ok(proposal)
}

async fn documents_of(cluster: &Cluster, name: &str) -> Result<Documents> {
    let get = async |api_version: &str, kind: &str, name: &str| {
        let document = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}});
        cluster.get_document(&document, cluster.namespace()).await
    };
    let files = files_name(name);
    let (deployment, service, config, files, secret) = futures::try_join!(
        get("apps/v1", "Deployment", name),
        get("v1", "Service", name),
        get("v1", "ConfigMap", name),
        get("v1", "ConfigMap", &files),
        get("v1", "Secret", name)
    )?;
    Ok(Documents {
        deployment,
        service,
        config,
        files,
        secret,
    })
}

fn present(documents: &Documents) -> Result<Present> {
    Ok(Present {
        deployment: typed(documents.deployment.as_ref())?,
        service: typed(documents.service.as_ref())?,
        config: typed(documents.config.as_ref())?,
        files: typed(documents.files.as_ref())?,
        secret: typed(documents.secret.as_ref())?,
    })
}

fn typed<K: DeserializeOwned>(document: Option<&Value>) -> Result<Option<K>> {
    document
        .map(|document| serde_json::from_value(document.clone()))
        .transpose()
        .map_err(|error| {
            Error::new("the API server answers with an object that cannot be read")
                .caused_by(printable::short(&error.to_string(), 200))
        })
}

/// What others have made under the names of the app's objects is left alone.
fn refuse_foreign(cluster: &Cluster, name: &str, present: &Present) -> Result<()> {
    refuse_foreign_app(cluster, name, present)?;
    let manager = cluster.manager();
    apply::refuse_foreign(present.service.as_ref(), manager)?;
    apply::refuse_foreign(present.config.as_ref(), manager)?;
    apply::refuse_foreign(present.files.as_ref(), manager)?;
    apply::refuse_foreign(present.secret.as_ref(), manager)
}

/// A Deployment that somebody has made in another way is left alone, with the way to go on.
fn refuse_foreign_app(cluster: &Cluster, name: &str, present: &Present) -> Result<()> {
    let deployment: Option<&Deployment> = present.deployment.as_ref();
    apply::refuse_foreign(deployment, cluster.manager()).map_err(|error| {
        let from_files =
            shell("kubectl deploy-app -f FILE --image IMAGE").option("-n", cluster.named());
        if deployment.is_some_and(is_from_files) {
            return Error::of(error.kind(), format!("{name} was deployed from files"))
                .hint(format!("deploy them again: `{from_files}`"));
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

/// Refuses to take away a database that the app does not use.
fn refuse_not_used(name: &str, now: Option<&Settings>, typed: &str) -> Result<()> {
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

async fn refuse_without_rights(cluster: &Cluster, plan: &Plan) -> Result<()> {
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

/// An address leads to a port; without it, or at another, it would answer no more.
async fn refuse_to_cut_off(cluster: &Cluster, plan: &Plan, before: u16) -> Result<()> {
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

/// Writes first what the pods read, then what runs them. The Deployment waits for the Secret, whose UID salts its hash.
async fn apply(cluster: &Cluster, change: &Change, resolved: &Resolved) -> Result<Vec<Written>> {
    let Resolved {
        plan, documents, ..
    } = resolved;
    // What an app's ConfigMaps, Secret and Service hold is known whole, whoever wrote it; its Deployment may have more in it.
    let whole = Writing {
        force: true,
        takes_over: &[CLIENT_SIDE_APPLY, MANAGER_OF_FILES],
        dry_run: false,
    };
    let mut first = Vec::new();
    for (document, before) in [
        (plan.config(), &documents.config),
        (plan.files(), &documents.files),
        (plan.secret(true), &documents.secret),
        (plan.service(), &documents.service),
    ] {
        first.extend(document.map(|document| Write {
            document,
            before: before.as_ref(),
            writing: whole,
        }));
    }
    let last = |hash: Option<&str>| Write {
        document: plan.deployment(hash),
        before: documents.deployment.as_ref(),
        writing: Writing {
            takes_over: &[],
            ..whole
        },
    };
    // Nothing of an app that is there is changed if its Deployment will be refused.
    let changes = first.iter().any(|write| {
        write
            .before
            .is_none_or(|before| !documents::says_already(before, &write.document))
    });
    if documents.deployment.is_some() && !change.is_dry() && changes {
        match write::try_out(cluster, cluster.namespace(), &last(None)).await {
            Err(error) if write::matters_when_tried(&error) => {
                return Err(error.context("nothing was changed"));
            }
            _ => {}
        }
    }
    let mut written = write::write(change, first).await?;
    let salt = written
        .iter()
        .find(|written| written.object["kind"] == "Secret")
        .and_then(|written| written.object["metadata"]["uid"].as_str())
        .unwrap_or_default();
    let hash = plan.hash(salt);
    let last = vec![last(hash.as_deref())];
    // The controller learns the address while the pods start.
    let address = async {
        match &resolved.exposure {
            Some(exposure) => exposure.write(cluster).await,
            None => Ok(()),
        }
    };
    let (last, address) = futures::join!(write::write(change, last), address);
    written.extend(last?);
    address?;
    if let Some(service) = documents
        .service
        .as_ref()
        .filter(|_| plan.settings.port.is_none())
    {
        change.delete_document(service).await?;
        written.push(Written {
            outcome: Outcome::Deleted,
            object: service.clone(),
        });
    }
    Ok(written)
}

/// The objects as they would be written, without asking the server.
fn print_plan(ui: &Ui, mode: &Mode, resolved: &Resolved) -> Result<()> {
    let Resolved {
        plan,
        documents,
        now,
        exposure,
        ..
    } = resolved;
    let same = now.as_ref() == Some(&plan.settings);
    let mut objects: Vec<PlannedObject> = Vec::new();
    let mut add = |document: Value, before: Option<&Value>| {
        let outcome = match before {
            None => Outcome::Created,
            Some(_) if same => Outcome::Unchanged,
            Some(_) => Outcome::Configured,
        };
        objects.push(PlannedObject {
            line: line(&documents::reference(&document), outcome, mode.dry_run),
            document,
        });
    };
    for document in plan.manifests() {
        let before = match (document["kind"].as_str(), documents::name(&document)) {
            (Some("Deployment"), _) => &documents.deployment,
            (Some("Service"), _) => &documents.service,
            (Some("Secret"), _) => &documents.secret,
            (_, name) if name == plan.name => &documents.config,
            _ => &documents.files,
        };
        add(document, before.as_ref());
    }
    if let Some(exposure) = exposure {
        objects.extend(exposure.objects(ui, mode)?);
    }
    if let Some(secret) = plan
        .secret(false)
        .filter(|secret| secret.get("data").is_some())
        && matches!(mode.output.output, Some(Format::Yaml | Format::Json))
    {
        ui.warning(format!(
            "the values of secret `{}` are not shown; put them in before you apply it, or remove that document",
            documents::name(&secret)
        ));
    }
    print::objects(ui, mode, &objects)
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
