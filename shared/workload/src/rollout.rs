//! Waiting for a roll-out: everything that it is about is watched at once, and each change decides anew whether it is done,
//! goes on, or cannot succeed.

use std::time::Duration;

use futures::stream::{self, BoxStream, Stream, StreamExt};
use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::core::v1 as core;
use tokio::time::Instant;

use super::diagnosis;
use super::explain::explained;
use super::seen::{Controller, Event, Meta, Pod};
use super::state::{Progress, State};
use super::{Earlier, Finding, Kind, Ready, Rollout};
use commons::cluster::{Cluster, Delta, Selection, Versioned};
use commons::error::{self, Error, Result};
use commons::labels;
use commons::shell::shell;
use commons::ui::Ui;

/// How often what is known is looked at again though nothing changed: some findings are final only after a time.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// When to ask again after what seemed hopeless was not.
const SECOND_THOUGHT: Duration = Duration::from_secs(1);

/// One change of what a roll-out is about.
enum Update {
    Workload(Delta<Controller>),
    ReplicaSet(Delta<Controller>),
    Pod(Delta<Pod>),
    Event(Delta<Event>),
    /// This part may not be read; it is done without.
    Without(ReadPart),
    /// Time has passed.
    Tick,
}

/// A part of what is read. Those who have few rights do without the last three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReadPart {
    Workload,
    ReplicaSets,
    Pods,
    Events,
}

/// Waits until an app runs as its definition says, and explains why it does not.
///
/// It returns when all pods of the present definition are ready and the older ones are gone or told to go. Dropping the future
/// ends all watches and leaves nothing.
///
/// # Errors
/// The cause, as soon as it is certain that waiting is of no use; at the `timeout` the best explanation there is;
/// [`error::Kind::NotFound`] where there is no such object; the API server's refusals to read it.
pub async fn wait(
    cluster: &Cluster,
    ui: &Ui,
    rollout: &Rollout,
    timeout: Duration,
) -> Result<Ready> {
    let start = Instant::now();
    let progress = ui.progress(format!("{}/{}", rollout.kind, rollout.name));
    let mut state = State::new(rollout, cluster.now());
    let mut updates = updates(cluster, rollout).await?;
    let mut ticks = std::pin::pin!(ticks());
    let mut unknown = Unknown::all();
    let mut look = start;
    let mut shown = String::new();
    let deadline = tokio::time::sleep(timeout);
    let mut deadline = std::pin::pin!(deadline);
    loop {
        let update = tokio::select! {
            biased;
            Some(update) = updates.next() => update?,
            Some(update) = ticks.next() => update,
            () = &mut deadline => return Err(timed_out(cluster, state, timeout).await),
        };
        unknown.learn(&update);
        apply(&mut state, update);
        if !unknown.is_empty() {
            continue;
        }
        state.now = cluster.now();
        let text = match state.progress() {
            Progress::Ready(ready) if state.is_steady() => return Ok(ready),
            Progress::Ready(_) => "started, watching whether it stays up".to_owned(),
            Progress::Gone => return Err(gone(rollout)),
            Progress::Underway(text) => text,
        };
        if Instant::now() >= look && diagnosis::diagnose(&state).is_final() {
            if let Some(error) = hopeless(cluster, &state).await {
                return Err(error);
            }
            look = Instant::now() + SECOND_THOUGHT;
        }
        let elapsed = start.elapsed();
        let line = if elapsed.as_secs() == 0 {
            format!("{}: {text}", state.reference())
        } else {
            format!(
                "{}: {text} ({})",
                state.reference(),
                commons::duration::rough(elapsed)
            )
        };
        if line != shown {
            progress.say(&line);
            shown = line;
        }
    }
}

/// What is wrong with an app now, most important first; nothing when all is well or merely under way.
///
/// # Errors
/// [`error::Kind::NotFound`] where there is no such object; the API server's refusals to read it.
pub async fn diagnose(cluster: &Cluster, rollout: &Rollout) -> Result<Vec<Finding>> {
    let mut state = look(cluster, rollout).await?;
    if state.progress() == Progress::Gone {
        return Err(gone(rollout));
    }
    Ok(explained(cluster, &mut state).await.findings)
}

/// The newest earlier version of a Deployment that still serves while the present one does not come up.
///
/// # Errors
/// The API server's refusals to read it.
pub async fn serving(cluster: &Cluster, rollout: &Rollout) -> Result<Option<Earlier>> {
    Ok(look(cluster, rollout).await?.serving())
}

/// All that a roll-out is about, as it is now.
async fn look(cluster: &Cluster, rollout: &Rollout) -> Result<State> {
    let mut state = State::new(rollout, cluster.now());
    let mut updates = updates(cluster, rollout).await?;
    let mut unknown = Unknown::all();
    while !unknown.is_empty() {
        let Some(update) = updates.next().await else {
            break;
        };
        let update = update?;
        unknown.learn(&update);
        apply(&mut state, update);
    }
    state.now = cluster.now();
    Ok(state)
}

/// The error to end with, if waiting is still of no use when more is known.
async fn hopeless(cluster: &Cluster, state: &State) -> Option<Error> {
    // What is read now may show that it is not so bad; later it is read anew.
    let mut state = state.clone();
    let findings = explained(cluster, &mut state).await.findings;
    let (certain, others): (Vec<_>, Vec<_>) =
        findings.into_iter().partition(|finding| finding.is_final);
    let mut certain = certain.into_iter();
    let first = certain.next()?;
    Some(with_the_rest(first, certain.chain(others)))
}

/// The first finding, with the others named.
fn with_the_rest(first: Finding, others: impl Iterator<Item = Finding>) -> Error {
    let mut error = first.error;
    for other in others.filter(|other| other.is_final).take(3) {
        error = error.hint(format!(
            "then there is still this: {}",
            other.error.message()
        ));
    }
    error
}

/// The best explanation of a roll-out that took too long.
async fn timed_out(cluster: &Cluster, mut state: State, timeout: Duration) -> Error {
    let report = explained(cluster, &mut state).await;
    let late = format!(
        "{} is not ready after {}",
        state.reference(),
        commons::duration::rough(timeout)
    );
    let mut findings = report.findings.into_iter();
    if let Some(first) = findings.next() {
        return with_the_rest(first, findings).context(late);
    }
    let error = Error::new(late);
    let error = match state.progress() {
        Progress::Underway(text) => error.caused_by(text),
        _ => error,
    };
    error.hint(format!(
        "see what happens to it: `{}`",
        shell("kubectl get events")
            .in_namespace(&state.rollout.namespace)
            .then("--sort-by=.lastTimestamp")
    ))
}

fn gone(rollout: &Rollout) -> Error {
    Error::of(
        error::Kind::NotFound,
        format!(
            "{} `{}` is not there in namespace `{}`",
            rollout.kind, rollout.name, rollout.namespace
        ),
    )
    .hint(format!(
        "see what there is: `{}`",
        shell("kubectl get")
            .then(rollout.kind.plural())
            .in_namespace(&rollout.namespace)
    ))
}

/// Which parts have not been read yet.
struct Unknown(Vec<ReadPart>);

impl Unknown {
    fn all() -> Self {
        Self(vec![
            ReadPart::Workload,
            ReadPart::ReplicaSets,
            ReadPart::Pods,
            ReadPart::Events,
        ])
    }

    fn learn(&mut self, update: &Update) {
        let part = match update {
            Update::Workload(_) => ReadPart::Workload,
            Update::ReplicaSet(_) => ReadPart::ReplicaSets,
            Update::Pod(_) => ReadPart::Pods,
            Update::Event(_) => ReadPart::Events,
            Update::Without(part) => *part,
            Update::Tick => return,
        };
        self.0.retain(|unknown| *unknown != part);
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn ticks() -> impl Stream<Item = Update> {
    stream::unfold((), async |()| {
        tokio::time::sleep(LOOK_AGAIN).await;
        Some((Update::Tick, ()))
    })
}

/// Everything that a roll-out is about, as it changes.
async fn updates(
    cluster: &Cluster,
    rollout: &Rollout,
) -> Result<BoxStream<'static, Result<Update>>> {
    let namespace = rollout.namespace.as_str();
    let named = Selection::named(&rollout.name);
    let events = part(
        cluster.follow::<core::Event, Event>(namespace, &Selection::default())?,
        ReadPart::Events,
        Update::Event,
    );
    let nothing = |part| stream::iter([Ok(Update::Without(part))]).boxed();
    if rollout.kind == Kind::Pod {
        let pod = cluster
            .follow::<core::Pod, Pod>(namespace, &named)?
            .map(|change| change.map(Update::Pod))
            .boxed();
        let no_workload = stream::iter([Ok(Update::Workload(Delta::All(Vec::new())))]).boxed();
        return Ok(
            stream::select_all([pod, events, no_workload, nothing(ReadPart::ReplicaSets)]).boxed(),
        );
    }
    let workload = match rollout.kind {
        Kind::Deployment => cluster.follow::<apps::Deployment, _>(namespace, &named)?,
        Kind::StatefulSet => cluster.follow::<apps::StatefulSet, _>(namespace, &named)?,
        Kind::DaemonSet => cluster.follow::<apps::DaemonSet, _>(namespace, &named)?,
        Kind::Service | Kind::Pod => {
            return Err(Error::usage(format!(
                "a {} is not rolled out",
                rollout.kind
            )));
        }
    };
    let (workload, definition) = definition(workload).await?;
    let Some(definition) = definition else {
        return Err(gone(rollout));
    };
    // Its own pods and ReplicaSets carry these labels; others may too.
    let selection = Selection::labelled(labels::text(&definition.spec.selector.match_labels));
    let replica_sets = if rollout.kind == Kind::Deployment {
        part(
            cluster.follow::<apps::ReplicaSet, Controller>(namespace, &selection)?,
            ReadPart::ReplicaSets,
            Update::ReplicaSet,
        )
    } else {
        nothing(ReadPart::ReplicaSets)
    };
    let pods = part(
        cluster.follow::<core::Pod, Pod>(namespace, &selection)?,
        ReadPart::Pods,
        Update::Pod,
    );
    Ok(stream::select_all([workload, replica_sets, pods, events]).boxed())
}

/// The workload as it changes, and as it is at first.
async fn definition(
    mut changes: BoxStream<'static, Result<Delta<Controller>>>,
) -> Result<(BoxStream<'static, Result<Update>>, Option<Controller>)> {
    let first = match changes.next().await {
        Some(first) => first?,
        None => Delta::All(Vec::new()),
    };
    let definition = match &first {
        Delta::All(all) => all.first().cloned(),
        _ => None,
    };
    let changes = stream::iter([Ok(first)])
        .chain(changes)
        .map(|change| change.map(Update::Workload));
    Ok((changes.boxed(), definition))
}

/// A part that one may not be allowed to read.
fn part<T: Versioned>(
    changes: BoxStream<'static, Result<Delta<T>>>,
    part: ReadPart,
    update: fn(Delta<T>) -> Update,
) -> BoxStream<'static, Result<Update>> {
    changes
        .map(move |change| match change {
            Ok(change) => Ok(update(change)),
            Err(error) if error.kind() == error::Kind::Forbidden => Ok(Update::Without(part)),
            Err(error) => Err(error),
        })
        .boxed()
}

fn apply(state: &mut State, update: Update) {
    match update {
        Update::Workload(Delta::All(all)) => state.workload = all.into_iter().next(),
        Update::Workload(Delta::Put(one)) => state.workload = Some(one),
        Update::Workload(Delta::Gone(_)) => state.workload = None,
        Update::ReplicaSet(change) => {
            let sets = state.replica_sets.get_or_insert_default();
            change_list(sets, change, |set| &set.metadata);
        }
        Update::Pod(change) => change_list(&mut state.pods, change, |pod| &pod.metadata),
        Update::Event(change) => change_list(&mut state.events, change, |event| &event.metadata),
        Update::Without(_) | Update::Tick => {}
    }
}

/// One of each UID.
fn change_list<T>(list: &mut Vec<T>, change: Delta<T>, meta: impl Fn(&T) -> &Meta) {
    match change {
        Delta::All(all) => *list = all,
        Delta::Put(one) => {
            match list
                .iter_mut()
                .find(|other| meta(other).uid == meta(&one).uid)
            {
                Some(other) => *other = one,
                None => list.push(one),
            }
        }
        Delta::Gone(one) => list.retain(|other| meta(other).uid != meta(&one).uid),
    }
}
