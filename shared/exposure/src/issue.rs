//! A certificate of cert-manager, waited for and bound to what it was issued for.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Patch, PatchParams};
use kube::{Api, Resource, ResourceExt};
use tokio::time::{Instant, sleep, timeout};

use commons::cluster::Cluster;
use commons::error::{Error, Request, Result};
use commons::shell::shell;

use super::certificate::{self, IssueProgress};
use super::gateway::ListenerSet;
use super::plan::Plan;
use super::resolve::Resolved;
use super::tls::Tls;

/// How long an issuer may take to issue a certificate: Let's Encrypt takes up to a minute.
const ISSUER: Duration = Duration::from_secs(90);

/// How long an issuer may stand still with the same complaint.
const COMPLAINT: Duration = Duration::from_secs(7);

/// Waits until cert-manager has issued the certificate; `None` where it is not to.
///
/// # Errors
/// Why it issues none.
pub(super) async fn issued(cluster: &Cluster, resolved: &Resolved) -> Result<Option<Vec<u8>>> {
    let plan = &resolved.plan;
    let (Some(secret), Tls::Issuer { name: issuer, .. }) = (plan.secret(), &plan.tls) else {
        return Ok(None);
    };
    let started = Instant::now();
    let mut complaint: Option<(String, Instant)> = None;
    let mut pause = Duration::from_millis(150);
    let waited = timeout(ISSUER, async {
        loop {
            match certificate::progress(cluster, &plan.namespace, &plan.host, issuer, &secret).await
            {
                IssueProgress::Issued(der) => return Ok(der),
                IssueProgress::Failed(error) => return Err(error),
                IssueProgress::Waiting(error) => {
                    let text = error.causes().first().cloned().unwrap_or_default();
                    match &complaint {
                        Some((same, since)) if *same == text => {
                            // Orders and challenges take their time; an issuer that is not ready, or nobody at all, does not.
                            let acme = text.starts_with("challenge") || text.contains("order");
                            if !acme && since.elapsed() > COMPLAINT {
                                return Err(error);
                            }
                        }
                        _ => complaint = Some((text, Instant::now())),
                    }
                    if started.elapsed() + Duration::from_secs(2) > ISSUER {
                        return Err(error);
                    }
                }
            }
            sleep(pause).await;
            pause = (pause * 5 / 4).min(Duration::from_secs(2));
        }
    })
    .await;
    let der = match waited {
        Ok(outcome) => outcome?,
        Err(_) => {
            return Err(Error::new(format!(
                "no certificate for {} was issued in time",
                plan.host
            ))
            .hint(format!(
                "see how far it is: `{}`",
                shell("kubectl get certificate").in_namespace(&plan.namespace)
            )));
        }
    };
    // What somebody else has named is theirs.
    if plan.secret_name.is_none() {
        adopt(cluster, plan, &secret).await;
    }
    Ok(Some(der))
}

/// Lets the certificate's Secret go with the object that it was issued for; cert-manager leaves it behind.
async fn adopt(cluster: &Cluster, plan: &Plan, secret: &str) {
    let namespace = plan.namespace.as_str();
    let owner = if plan.own_listener {
        cluster
            .find::<ListenerSet>(namespace, &plan.name)
            .await
            .ok()
            .flatten()
            .and_then(|set| owner(&set))
    } else {
        cluster
            .find::<Ingress>(namespace, &plan.name)
            .await
            .ok()
            .flatten()
            .and_then(|ingress| owner(&ingress))
    };
    let (Some(owner), Ok(Some(present))) = (owner, cluster.find::<Secret>(namespace, secret).await)
    else {
        return;
    };
    if !certificate::is_issued(&present) {
        return;
    }
    let mut owners = present
        .metadata
        .owner_references
        .clone()
        .unwrap_or_default();
    if owners.iter().any(|other| other.uid == owner.uid) {
        return;
    }
    owners.push(owner);
    let patch = serde_json::json!({"metadata": {"ownerReferences": owners, "resourceVersion": present.resource_version()}});
    let api: Api<Secret> = Api::namespaced(cluster.client().clone(), namespace);
    let request = Request {
        verb: "patch",
        resource: "secrets".into(),
        noun: "secret".into(),
        name: secret,
        namespace: Some(namespace),
    };
    let params = PatchParams {
        field_manager: Some(super::MANAGER.into()),
        ..PatchParams::default()
    };
    // `remove` deletes it by name, so nothing is lost if this fails.
    let _ = cluster
        .send(request, api.patch(secret, &params, &Patch::Merge(&patch)))
        .await;
}

fn owner<K: Resource<DynamicType = ()>>(object: &K) -> Option<OwnerReference> {
    Some(OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name: object.meta().name.clone()?,
        uid: object.meta().uid.clone()?,
        controller: Some(false),
        block_owner_deletion: None,
    })
}
