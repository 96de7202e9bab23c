//! Whether what manifests deploy is reached: something listens where their Services send, and their Ingresses' addresses answer
//! with the app.

use commons::apply::Outcome;
use commons::cli::Interrupt;
use commons::cluster::Right;
use commons::{Cluster, Error, Kind, Result, Ui, printable};
use exposure::{Applied, Place, ProofOutcome};
use k8s_openapi::api::networking::v1::Ingress;

use crate::remedy;
use crate::write::Written;

/// How many addresses are proven; more are only named.
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
    let of = |version: &str, kind: &str| -> Vec<&Written> {
        let is = |written: &&Written| {
            written.object["apiVersion"] == version && written.object["kind"] == kind
        };
        written.iter().filter(is).collect()
    };
    let services = of("v1", "Service");
    let ingresses: Vec<(Ingress, bool)> = of("networking.k8s.io/v1", "Ingress")
        .into_iter()
        .filter_map(|written| {
            let ingress = serde_json::from_value(written.object.clone()).ok()?;
            Some((ingress, written.outcome == Outcome::Configured))
        })
        .collect();
    if ingresses.is_empty() && services.is_empty() {
        return Ok(Vec::new());
    }
    let tunnel = [Right::core("create", "pods/portforward")];
    if !cluster
        .lacks(cluster.namespace(), &tunnel)
        .await?
        .is_empty()
    {
        ui.status("Whether it answers was not looked at: you may not port-forward to its pods.");
        return Ok(Vec::new());
    }
    let looked = interrupt
        .shield()
        .race(all(cluster, ui, &ingresses, &services))
        .await;
    match looked {
        Err(error) if matches!(error.kind(), Kind::Signal(_)) => Err(Error::of(
            error.kind(),
            "interrupted: all runs and stays; whether it answers was not looked at to the end",
        )),
        // Whoever may deploy need not be allowed to read all of it.
        Err(error) if error.kind() == Kind::Forbidden => {
            ui.status(format!(
                "Whether it answers was not looked at: {}.",
                error.message()
            ));
            Ok(Vec::new())
        }
        looked => looked,
    }
}

async fn all(
    cluster: &Cluster,
    ui: &Ui,
    ingresses: &[(Ingress, bool)],
    services: &[&Written],
) -> Result<Vec<String>> {
    let addresses = ingresses.iter().flat_map(|(ingress, has_changed)| {
        let urls = exposure::urls(ingress).into_iter();
        urls.map(move |url| (ingress, *has_changed, url))
    });
    let mut place = None;
    let mut urls = Vec::new();
    let mut reached = Vec::new();
    for (position, (ingress, has_changed, url)) in addresses.enumerate() {
        let shown = printable::line(&url).into_owned();
        if position >= MOST {
            ui.status(format!("{shown} skipped: more than 10 addresses."));
            continue;
        }
        let name = ingress.metadata.name.as_deref().unwrap_or_default();
        if !exposure::is_comparable(ingress) {
            ui.status(format!(
                "{shown} was not looked at: annotations of ingress `{}` change what comes back.",
                printable::line(name)
            ));
            urls.push(url);
            continue;
        }
        let in_files = |error: Error| remedy::of_files(error, name);
        let place = match &mut place {
            Some(place) => place,
            None => place.insert(Place::read(cluster).await?),
        };
        let Some(mut present) = place
            .address(cluster, ingress, &url)
            .await
            .map_err(in_files)?
        else {
            ui.status(format!(
                "{shown} was not looked at: it leads to no pod that is ready."
            ));
            continue;
        };
        reached.push(present.resolved.plan.service.clone());
        let app = present.ask(cluster).await.map_err(in_files)?;
        let applied = Applied::by_others(cluster, cluster.namespace(), has_changed);
        match exposure::prove(cluster, ui, &present.resolved, &applied, &app).await {
            ProofOutcome::Proven(proof) => {
                for warning in proof.warnings {
                    ui.warn(&in_files(warning));
                }
                urls.push(url);
            }
            ProofOutcome::Failed(error) => return Err(in_files(error)),
            // What a page looks like may depend on more than is known here.
            ProofOutcome::Lost(error) => ui.warn(&in_files(error)),
        }
    }
    for service in services {
        let name = service.object["metadata"]["name"]
            .as_str()
            .unwrap_or_default();
        if reached.iter().any(|reached| reached == name) {
            continue;
        }
        if let Some(unheard) = exposure::unheard(cluster, name).await? {
            ui.warn(&remedy::of_files(unheard, name));
        }
    }
    Ok(urls)
}
