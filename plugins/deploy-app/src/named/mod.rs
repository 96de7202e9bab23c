//! `deploy-app NAME --image IMAGE`: makes an app or changes it, waits until it runs, and says how to reach it.

mod changes;
mod refusals;
mod report;
mod resolve;
mod rollback;

use commons::apply::{DryRun, Outcome};
use commons::change::Change;
use commons::cli::{Context, blocking};
use commons::cluster::documents::{self, CLIENT_SIDE_APPLY, Writing};
use commons::output::Format;
use commons::{Cluster, Result, Ui};

use self::report::report;
use self::resolve::{ResolvedApp, resolve};
use crate::flags::{ByName, Mode};
use crate::objects::MANAGER_OF_FILES;
use crate::write::{self, Write, Written};
use crate::{lint, print};

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
                    Some(exposure) => exposure.0.take_back().await,
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
    report(context, &by_name, resolved, &written).await
}

/// Writes first what the pods read, then what runs them. The Deployment waits for the Secret, whose UID salts its hash.
async fn apply(cluster: &Cluster, change: &Change, resolved: &ResolvedApp) -> Result<Vec<Written>> {
    let ResolvedApp {
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
                return Err(error.note("nothing was changed"));
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
            Some(exposure) => exposure.0.write(cluster).await,
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
fn print_plan(ui: &Ui, mode: &Mode, resolved: &ResolvedApp) -> Result<()> {
    let ResolvedApp {
        plan,
        documents,
        now,
        exposure,
        ..
    } = resolved;
    let same = now.as_ref() == Some(&plan.settings);
    let planned = plan.manifests().into_iter().map(|object| {
        let outcome = match documents.like(&object) {
            None => Outcome::Created,
            Some(_) if same => Outcome::Unchanged,
            Some(_) => Outcome::Configured,
        };
        Written { outcome, object }
    });
    let planned: Vec<Written> = planned.collect();
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
    let address = exposure.as_ref().map(|exposure| exposure.objects(ui, mode));
    print::written(ui, mode, &planned, address.transpose()?)
}
