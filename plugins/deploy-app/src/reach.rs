//! Whether what manifests deploy is reached: something listens where their Services send, and their Ingresses' addresses answer
//! with the app.

use commons::cli::Interrupt;
use commons::cluster::Right;
use commons::exposure::{self, Applied, Outcome as Proven, Present};
use commons::{Cluster, Error, Kind, Result, Ui, json, printable};
use k8s_openapi::api::networking::v1::Ingress;

use crate::words;
use crate::write::Written;
use commons::apply::Outcome;

/// How many addresses are proven; more are only told.
const MOST: usize = 10;

/// Looks at all of it. Warns of what is odd; the addresses, proven as far as they can be.
///
/// # Errors
/// Which step of the way to an address does not work; [`Kind::Signal`], after which all stays.
pub async fn look(
    cluster: &Cluster,
    ui: &Ui,
    interrupt: &Interrupt,
    written: &[Written],
) -> Result<Vec<String>> {
    let ingresses: Vec<(Ingress, bool)> = written
        .iter()
        .filter(|written| is(written, "networking.k8s.io/v1", "Ingress"))
        .filter_map(|written| {
            let ingress = json::from_value(&written.object).ok()?;
            Some((ingress, written.outcome == Outcome::Configured))
        })
        .collect();
    let services: Vec<&Written> = written
        .iter()
        .filter(|written| is(written, "v1", "Service"))
        .collect();
    if ingresses.is_empty() && services.is_empty() {
        return Ok(Vec::new());
    }
    let namespace = cluster.namespace();
    let tunnel = [Right::core("create", "pods/portforward")];
    if !cluster.lacks(namespace, &tunnel).await?.is_empty() {
        ui.status("Whether it answers was not looked at: you may not port-forward to its pods.");
        return Ok(Vec::new());
    }
    let shield = interrupt.shield();
    let looked = shield
        .race(async {
            let mut urls = Vec::new();
            let mut reached = Vec::new();
            for (ingress, has_changed) in &ingresses {
                for present in exposure::addresses(cluster, ingress)
                    .await?
                    .into_iter()
                    .take(MOST)
                {
                    reached.push(present.resolved.plan.service.clone());
                    urls.extend(prove(cluster, ui, ingress, present, *has_changed).await?);
                }
            }
            for service in services {
                let name = service.object["metadata"]["name"]
                    .as_str()
                    .unwrap_or_default();
                if !reached.iter().any(|reached| reached == name)
                    && let Some(unheard) = exposure::unheard(cluster, namespace, name).await?
                {
                    ui.warn(&unheard);
                }
            }
            Ok(urls)
        })
        .await;
    looked.map_err(|error| match error.kind() {
        Kind::Signal(_) => Error::of(
            error.kind(),
            "interrupted: all runs and stays; whether it answers was not looked at to the end",
        ),
        _ => error,
    })
}

fn is(written: &Written, version: &str, kind: &str) -> bool {
    written.object["apiVersion"] == version && written.object["kind"] == kind
}

/// Proves an address, and gives its URL; nothing where somebody else seems to answer.
async fn prove(
    cluster: &Cluster,
    ui: &Ui,
    ingress: &Ingress,
    mut present: Present,
    has_changed: bool,
) -> Result<Option<String>> {
    let url = present.resolved.plan.url();
    let name = ingress.metadata.name.as_deref().unwrap_or_default();
    let app = present.ask(cluster).await?;
    if !present.is_comparable {
        ui.status(format!(
            "Whether {} answers with the app cannot be told: annotations of ingress `{}` change what comes back.",
            printable::line(&url),
            printable::line(name)
        ));
        return Ok(Some(url));
    }
    let applied = Applied::by_others(has_changed);
    match exposure::prove(cluster, ui, &present.resolved, &applied, &app).await {
        Proven::Proven(proof) => {
            for warning in &proof.warnings {
                ui.warn(&words::of_files(warning.clone(), name));
            }
            Ok(Some(url))
        }
        Proven::Failed(error) => Err(words::of_files(error, name)),
        // What a page looks like may depend on more than is known here.
        Proven::Lost(error) => {
            ui.warn(&words::of_files(error, name));
            Ok(None)
        }
    }
}
