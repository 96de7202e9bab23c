//! `share-db revoke --cut`: the end of tunnels that are open, with the pods to which they lead.

use std::collections::BTreeSet;

use commons::shell::shell;
use commons::{Cluster, Error, Kind, Result, Ui};
use futures::future::{join_all, try_join_all};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use crate::listed::Share;

#[derive(Clone, Copy, Debug, clap::Args)]
pub struct CutFlags {
    /// End open connections too: the database's pod is deleted, and made again by what controls it
    #[arg(long, conflicts_with = "dry_run")]
    cut: bool,
    /// With --cut: do not ask
    #[arg(short, long, requires = "cut")]
    yes: bool,
}

/// The pods whose tunnels are to end.
pub struct Cut(Vec<Pod>);

impl Cut {
    /// After a yes; nothing where it was not asked for.
    ///
    /// # Errors
    /// The answer was no, or nobody can be asked.
    pub async fn agreed(
        cluster: &Cluster,
        ui: &Ui,
        meant: &[Share],
        flags: CutFlags,
    ) -> Result<Option<Self>> {
        if !flags.cut {
            return Ok(None);
        }
        let pods = pods_of(cluster, meant).await?;
        if pods.is_empty() || flags.yes {
            return Ok(Some(Self(pods)));
        }
        if ui.confirm(
            &question(&pods),
            "say it on the command line: `--cut --yes`",
        )? {
            Ok(Some(Self(pods)))
        } else {
            Err(Error::of(Kind::Signal(2), "nothing was revoked"))
        }
    }

    /// Whether no pod is known whose tunnels could be ended.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Deletes them, or what is there under their names by now, and says which others came meanwhile.
    ///
    /// # Errors
    /// Of the API server.
    pub async fn make(&self, cluster: &Cluster, ui: &Ui, meant: &[Share]) -> Result<()> {
        let asked = |pod: &Pod| {
            let same = |asked: &Pod| {
                asked.name_any() == pod.name_any() && asked.namespace() == pod.namespace()
            };
            self.0.iter().any(same)
        };
        let (asked, new): (Vec<Pod>, Vec<Pod>) =
            pods_of(cluster, meant).await?.into_iter().partition(asked);
        let deleted = join_all(asked.iter().map(async |pod| {
            let namespace = pod.namespace().unwrap_or_default();
            cluster
                .delete::<Pod>(&namespace, &pod.name_any(), pod.uid().as_deref(), false)
                .await
        }))
        .await;
        for (pod, deleted) in asked.iter().zip(deleted) {
            if deleted? {
                ui.result(format!(
                    "Deleted pod {}: tunnels to it end with it.",
                    pod.name_any()
                ))?;
            } else {
                not_cut(ui, pod);
            }
        }
        for pod in &new {
            not_cut(ui, pod);
        }
        Ok(())
    }
}

/// Says that tunnels to a pod may be open still.
fn not_cut(ui: &Ui, pod: &Pod) {
    let name = pod.name_any();
    ui.warning(format!(
        "pod {name} was made a moment ago and is not deleted: tunnels to it stay open"
    ));
    let delete = shell("kubectl delete pod").arg(&name);
    ui.hint(format!(
        "to end them: `{}`",
        delete.in_namespace(pod.namespace().unwrap_or_default())
    ));
}

/// The pods of shares that are there.
async fn pods_of(cluster: &Cluster, shares: &[Share]) -> Result<Vec<Pod>> {
    let names: BTreeSet<(&str, &str)> = shares
        .iter()
        .flat_map(|share| {
            let namespace = share.namespace.as_str();
            share.pods.iter().map(move |pod| (namespace, pod.as_str()))
        })
        .collect();
    let pods = names
        .into_iter()
        .map(|(namespace, pod)| cluster.find::<Pod>(namespace, pod));
    Ok(try_join_all(pods).await?.into_iter().flatten().collect())
}

/// What is to be agreed to.
fn question(pods: &[Pod]) -> String {
    let names = |pods: &mut dyn Iterator<Item = &Pod>| {
        pods.map(ResourceExt::name_any)
            .collect::<Vec<String>>()
            .join(", ")
    };
    let all = names(&mut pods.iter());
    let for_good = names(&mut pods.iter().filter(|pod| pod.owner_references().is_empty()));
    if for_good.is_empty() {
        format!("Restart {all}? All connections to it end")
    } else {
        format!("Delete {all}? Nothing makes {for_good} again, and its data may go with it")
    }
}
