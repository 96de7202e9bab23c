//! Proof that a share does what it says: the API server is asked what the colleague may do now.

use std::time::Duration;

use commons::cluster::Right;
use commons::subject::Subject;
use commons::{Cluster, Error, Result};

/// How long the API server's authorizer may take to see a change; it takes milliseconds.
const SETTLE: Duration = Duration::from_secs(5);

/// What a colleague may do, as the API server answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Whether both verbs on the pod's port-forward are allowed.
    pub may_forward: bool,
    /// What else of importance is allowed; a share gives none of it.
    pub more: Vec<Right>,
}

fn forwarding(pod: &str) -> [Right; 2] {
    [
        Right::core("get", "pods/portforward").on(pod),
        Right::core("create", "pods/portforward").on(pod),
    ]
}

/// What a share must not give.
fn beyond(pod: &str) -> [Right; 4] {
    [
        Right::core("get", "secrets"),
        Right::core("create", "pods/exec").on(pod),
        Right::core("list", "pods"),
        Right::core("delete", "pods").on(pod),
    ]
}

/// Asks once.
pub async fn verdict(
    cluster: &Cluster,
    namespace: &str,
    subject: &Subject,
    pod: &str,
) -> Result<Verdict> {
    let rights: Vec<Right> = forwarding(pod).into_iter().chain(beyond(pod)).collect();
    let answers = cluster.allows(subject, namespace, &rights).await?;
    let more = rights
        .iter()
        .zip(&answers)
        .skip(2)
        .filter(|(_, allowed)| **allowed)
        .map(|(right, _)| right.clone())
        .collect();
    Ok(Verdict {
        may_forward: answers[..2].iter().all(|allowed| *allowed),
        more,
    })
}

/// Asks only whether both verbs of the port-forward are allowed.
pub async fn may_forward(
    cluster: &Cluster,
    namespace: &str,
    subject: &Subject,
    pod: &str,
) -> Result<bool> {
    Ok(cluster
        .allows(subject, namespace, &forwarding(pod))
        .await?
        .iter()
        .all(|allowed| *allowed))
}

/// Asks until the authorizer has seen a new share.
///
/// # Errors
/// When the colleague still may not after some seconds.
pub async fn settled(
    cluster: &Cluster,
    namespace: &str,
    subject: &Subject,
    pod: &str,
) -> Result<Verdict> {
    let mut pause = Duration::from_millis(4);
    let asking = async {
        loop {
            let verdict = verdict(cluster, namespace, subject, pod).await?;
            if verdict.may_forward {
                return Ok(verdict);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    };
    match tokio::time::timeout(SETTLE, asking).await {
        Ok(verdict) => verdict,
        Err(_) => Err(Error::new(format!("{subject} may not connect, though the rights were written"))
            .caused_by("the API server answers no when it is asked as the colleague: another authorizer may forbid it")
            .hint("ask who runs the cluster")),
    }
}

/// Asks until the authorizer has seen the end of a share; false if the colleague may go on all the same (by other rights).
pub async fn ended(
    cluster: &Cluster,
    namespace: &str,
    subject: &Subject,
    pod: &str,
) -> Result<bool> {
    let mut pause = Duration::from_millis(4);
    let asking = async {
        while may_forward(cluster, namespace, subject, pod).await? {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(200));
        }
        Ok(true)
    };
    tokio::time::timeout(Duration::from_secs(2), asking)
        .await
        .unwrap_or(Ok(false))
}
