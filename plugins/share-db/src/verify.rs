//! Proof that a share does what it says: the API server is asked what the colleague may do now.

use std::time::Duration;

use commons::cluster::{Answer, Right};
use commons::subject::Subject;
use commons::{Cluster, Error, Result};
use futures::future::try_join_all;

/// How long the API server's authorizer may take to see a change; it takes milliseconds.
const SETTLE: Duration = Duration::from_secs(5);

/// How many of the groups that are bound in a namespace are asked about.
pub const MOST_GROUPS: usize = 8;

/// What a colleague may do, as the API server answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Whether both verbs on the pod's port-forward are allowed.
    pub may_forward: bool,
    /// What else of importance is allowed; a share gives none of it.
    pub more: Vec<Right>,
    /// What is neither allowed nor forbidden for certain.
    pub unclear: Vec<Right>,
    /// What members of groups may do besides. A user's groups are known only to who logs them in.
    pub in_groups: Vec<(String, Vec<Right>)>,
}

fn forwarding(pod: &str) -> [Right; 2] {
    [
        Right::core("get", "pods/portforward").on(pod),
        Right::core("create", "pods/portforward").on(pod),
    ]
}

/// What a share must not give.
fn beyond(pod: &str) -> [Right; 6] {
    [
        Right::core("get", "secrets"),
        Right::core("list", "secrets"),
        // Servers take an exec by WebSocket for either verb, as they do a port-forward.
        Right::core("get", "pods/exec").on(pod),
        Right::core("create", "pods/exec").on(pod),
        Right::core("list", "pods"),
        Right::core("delete", "pods").on(pod),
    ]
}

/// Those of the rights that got this answer.
fn answered(rights: &[Right], answers: &[Answer], wanted: Answer) -> Vec<Right> {
    rights
        .iter()
        .zip(answers)
        .filter(|(_, answer)| **answer == wanted)
        .map(|(right, _)| right.clone())
        .collect()
}

/// Asks what of importance is allowed besides the port-forward: by the name, and as a member of each of these groups.
async fn besides(
    cluster: &Cluster,
    namespace: &str,
    subject: &Subject,
    pod: &str,
    groups: &[String],
) -> Result<Verdict> {
    let rights = beyond(pod);
    let groups = match subject {
        Subject::User { .. } => groups,
        // A group is itself, and the groups of a ServiceAccount are known.
        _ => &[],
    };
    let by_name = cluster.allows(subject, None, namespace, &rights);
    let by_group = try_join_all(
        groups
            .iter()
            .map(|group| cluster.allows(subject, Some(group), namespace, &rights)),
    );
    let (by_name, by_group) = futures::try_join!(by_name, by_group)?;
    let more = answered(&rights, &by_name, Answer::Yes);
    let in_groups = groups
        .iter()
        .zip(by_group)
        .map(|(group, answers)| {
            let rights = answered(&rights, &answers, Answer::Yes);
            let only_there: Vec<Right> = rights
                .into_iter()
                .filter(|right| !more.contains(right))
                .collect();
            (group.clone(), only_there)
        })
        .filter(|(_, rights)| !rights.is_empty())
        .collect();
    Ok(Verdict {
        may_forward: false,
        unclear: answered(&rights, &by_name, Answer::Unclear),
        more,
        in_groups,
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
        .allows(subject, None, namespace, &forwarding(pod))
        .await?
        .iter()
        .all(|answer| *answer == Answer::Yes))
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
    groups: &[String],
) -> Result<Verdict> {
    let mut pause = Duration::from_millis(4);
    let asking = async {
        while !may_forward(cluster, namespace, subject, pod).await? {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(200));
        }
        Ok(())
    };
    let settled = tokio::time::timeout(SETTLE, asking);
    let (settled, besides) =
        futures::join!(settled, besides(cluster, namespace, subject, pod, groups));
    match settled {
        Ok(settled) => settled.and(besides).map(|verdict| Verdict {
            may_forward: true,
            ..verdict
        }),
        Err(_) => Err(Error::new(format!(
            "{} may not connect, though the rights were written",
            subject.shown()
        ))
        .caused_by("the API server answers no when it is asked as the colleague: another authorizer may forbid it")
        .hint("ask who runs the cluster")),
    }
}

/// Asks until the authorizer has seen the end of a share; false if the colleague may go on all the same, by one of the verbs
/// and at one of these pods (by other rights).
///
/// # Errors
/// Of the API server; whoever may end a share may not always ask.
pub async fn ended(
    cluster: &Cluster,
    namespace: &str,
    subject: &Subject,
    pods: &[String],
) -> Result<bool> {
    let rights: Vec<Right> = pods.iter().flat_map(|pod| forwarding(pod)).collect();
    let mut pause = Duration::from_millis(4);
    let asking = async {
        loop {
            let answers = cluster.allows(subject, None, namespace, &rights).await?;
            if answers.iter().all(|answer| *answer == Answer::No) {
                return Ok(true);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    };
    tokio::time::timeout(Duration::from_secs(2), asking)
        .await
        .unwrap_or(Ok(false))
}
