//! Proof that a share does what it says: the API server is asked what the colleague may do now.

use std::time::Duration;

use commons::cluster::{Answer, Right};
use commons::subject::Subject;
use commons::{Cluster, Error, Result};
use futures::future::{join_all, try_join_all};
use k8s_openapi::api::rbac::v1::RoleBinding;

use crate::listed::Share;

/// How long the API server's authorizer may take to see a change; it takes milliseconds.
const SETTLE: Duration = Duration::from_secs(5);

/// How many of the groups that are bound in a namespace are asked about.
const MOST_GROUPS: usize = 8;

/// What a colleague may do besides the port-forward, as the API server answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Besides {
    /// What else of importance is allowed; a share gives none of it.
    pub more: Vec<Right>,
    /// What is neither allowed nor forbidden for certain.
    pub unclear: Vec<Right>,
    /// What members of groups may do besides, those that may the same together. A user's groups are known only to who logs
    /// them in.
    pub in_groups: Vec<(Vec<String>, Vec<Right>)>,
    /// How many groups more are given something here, and were not asked about.
    pub groups_left: usize,
}

/// What is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub namespace: &'a str,
    pub subject: &'a Subject,
    /// The pod to forward to.
    pub pod: &'a str,
    /// The Secrets with the database's own password.
    pub secrets: &'a [String],
    /// The groups to which something is given in the namespace.
    pub groups: &'a [String],
}

/// The groups to which `RoleBindings` give something.
pub fn groups_bound(bindings: &[RoleBinding]) -> Vec<String> {
    let mut groups: Vec<String> = bindings
        .iter()
        .flat_map(|binding| binding.subjects.iter().flatten())
        .filter(|subject| subject.kind == "Group")
        // Those of everybody are asked about with each user; no user is in those of ServiceAccounts.
        .filter(|subject| !subject.name.starts_with("system:"))
        .map(|subject| subject.name.clone())
        .collect();
    groups.sort();
    groups.dedup();
    groups
}

/// Those of the groups that are asked about with a subject, and how many are left: a group is itself, and the groups of a
/// `ServiceAccount` are known.
fn groups_of<'a>(subject: &Subject, groups: &'a [String]) -> (&'a [String], usize) {
    match subject {
        Subject::User { .. } => {
            let asked = groups.len().min(MOST_GROUPS);
            (&groups[..asked], groups.len() - asked)
        }
        _ => (&[], 0),
    }
}

fn forwarding(pod: &str) -> [Right; 2] {
    [
        Right::core("get", "pods/portforward").on(pod),
        Right::core("create", "pods/portforward").on(pod),
    ]
}

/// What a share must not give.
fn beyond(pod: &str, secrets: &[String]) -> Vec<Right> {
    let mut rights = vec![
        Right::core("get", "secrets"),
        Right::core("list", "secrets"),
        Right::core("watch", "secrets"),
        // Servers take an exec by WebSocket for either verb, as they do a port-forward.
        Right::core("get", "pods/exec").on(pod),
        Right::core("create", "pods/exec").on(pod),
        Right::core("list", "pods"),
        Right::core("delete", "pods").on(pod),
    ];
    // A Role may give single ones by name.
    let by_name = |secret: &String| {
        ["get", "list", "watch"].map(|verb| Right::core(verb, "secrets").on(secret))
    };
    rights.extend(secrets.iter().flat_map(by_name));
    rights
}

/// Those of the rights that got this answer.
fn answered(rights: &[Right], answers: &[Answer], wanted: Answer) -> Vec<Right> {
    let answered: Vec<Right> = rights
        .iter()
        .zip(answers)
        .filter(|(_, answer)| **answer == wanted)
        .map(|(right, _)| right.clone())
        .collect();
    // Whoever may do it with every Secret may with each.
    let has_all = |right: &Right| answered.contains(&Right::core(right.verb, "secrets"));
    let told =
        |right: &&Right| right.resource != "secrets" || right.name.is_empty() || !has_all(right);
    answered.iter().filter(told).cloned().collect()
}

/// Asks what of importance is allowed besides the port-forward: by the name, and as a member of each of the groups.
///
/// # Errors
/// Of the API server.
pub async fn besides(cluster: &Cluster, asked: Asked<'_>) -> Result<Besides> {
    let Asked {
        namespace, subject, ..
    } = asked;
    let rights = beyond(asked.pod, asked.secrets);
    let (groups, groups_left) = groups_of(subject, asked.groups);
    let by_name = cluster.allows(subject, None, namespace, &rights);
    let by_group = try_join_all(
        groups
            .iter()
            .map(|group| cluster.allows(subject, Some(group), namespace, &rights)),
    );
    let (by_name, by_group) = futures::try_join!(by_name, by_group)?;
    let more = answered(&rights, &by_name, Answer::Yes);
    let mut in_groups: Vec<(Vec<String>, Vec<Right>)> = Vec::new();
    for (group, answers) in groups.iter().zip(by_group) {
        let mut only_there = answered(&rights, &answers, Answer::Yes);
        only_there.retain(|right| !more.contains(right));
        match in_groups
            .iter_mut()
            .find(|(_, rights)| *rights == only_there)
        {
            _ if only_there.is_empty() => {}
            Some((groups, _)) => groups.push(group.clone()),
            None => in_groups.push((vec![group.clone()], only_there)),
        }
    }
    Ok(Besides {
        unclear: answered(&rights, &by_name, Answer::Unclear),
        more,
        in_groups,
        groups_left,
    })
}

/// Whether the port-forward is allowed: by both verbs, by none, or by one of them alone, which some clients do not use.
async fn may_forward(
    cluster: &Cluster,
    namespace: &str,
    subject: &Subject,
    pod: &str,
) -> Result<Option<bool>> {
    let answers = cluster
        .allows(subject, None, namespace, &forwarding(pod))
        .await?;
    let all = |wanted| answers.iter().all(|answer| *answer == wanted);
    Ok(match (all(Answer::Yes), all(Answer::No)) {
        (false, false) => None,
        (may, _) => Some(may),
    })
}

/// Notes of each share whether it lets its colleague forward, all asked at once.
pub async fn all(cluster: &Cluster, shares: &mut [Share], complete: bool) {
    let asking = shares.iter_mut().map(async |share| {
        share.verified = of_share(cluster, share, complete).await;
    });
    join_all(asking).await;
}

/// Whether a share lets its colleague forward; None where that could not be asked, or is not clear. `complete` says whether its
/// Role could be read.
async fn of_share(cluster: &Cluster, share: &Share, complete: bool) -> Option<bool> {
    match share.pods.first() {
        // Whoever may read shares may not always ask as a colleague.
        Some(pod) => may_forward(cluster, &share.namespace, &share.subject, pod)
            .await
            .ok()
            .flatten(),
        // Without its Role a share gives nothing; one that was changed by hand may give anything.
        None => (complete && share.trace.role.is_none()).then_some(false),
    }
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
) -> Result<()> {
    let mut pause = Duration::from_millis(4);
    let asking = async {
        while may_forward(cluster, namespace, subject, pod).await? != Some(true) {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(200));
        }
        Ok(())
    };
    tokio::time::timeout(SETTLE, asking).await.unwrap_or_else(|_| {
        Err(Error::new(format!(
            "{} may not connect, though the rights were written",
            subject.shown()
        ))
        .caused_by("the API server answers no when it is asked as the colleague: another authorizer may forbid it")
        .hint("ask your cluster administrator"))
    })
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

/// Those of the groups whose members may forward to one of these pods, and how many groups were not asked about.
///
/// # Errors
/// Of the API server.
pub async fn groups_that_may(
    cluster: &Cluster,
    namespace: &str,
    subject: &Subject,
    pods: &[String],
    groups: &[String],
) -> Result<(Vec<String>, usize)> {
    let rights: Vec<Right> = pods.iter().flat_map(|pod| forwarding(pod)).collect();
    let (groups, left) = groups_of(subject, groups);
    let asking = groups.iter().map(async |group| {
        let answers = cluster
            .allows(subject, Some(group), namespace, &rights)
            .await?;
        let may = answers.iter().any(|answer| *answer != Answer::No);
        Ok::<_, Error>(may.then(|| group.clone()))
    });
    let may = try_join_all(asking).await?.into_iter().flatten().collect();
    Ok((may, left))
}
