//! The shares that exist, read back from the cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use commons::apply::{MANAGED_BY, is_ours};
use commons::database::Typed;
use commons::error::name_hint;
use commons::grant::Timer;
use commons::names::is_name;
use commons::output::{Columns, Listed};
use commons::subject::{self, Subject};
use commons::{Cluster, Error, Kind, Result, Ui, duration, printable};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::rbac::v1::Role;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use serde::Serialize;

use crate::args::MANAGER;
use crate::plan::{DATABASE, SUBJECT, WITH};

/// A share as it is in the cluster.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Share {
    /// The database, as it was typed.
    pub database: String,
    pub namespace: String,
    /// What people call the colleague.
    pub with: String,
    pub subject: Subject,
    pub since: Option<Timestamp>,
    /// What its timer does.
    pub timer: TimerState,
    /// Nothing if it never ends.
    pub until: Option<Timestamp>,
    /// Seconds; nothing if it never ends.
    pub left_seconds: Option<u64>,
    /// Whether the API server says that the colleague may connect; nothing where it was not asked or may not be.
    pub verified: Option<bool>,
    /// The pods that the share reaches.
    pub pods: Vec<String>,
    /// The name of its objects.
    pub name: String,
    #[serde(skip)]
    pub clock: Timer,
}

/// What the timer of a share does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TimerState {
    /// It will end the share.
    Running,
    /// There is none, as was asked for.
    Endless,
    /// It was suspended or never started: the share does not end though it should.
    Stopped,
}

impl TimerState {
    fn of(timer: &Timer) -> Self {
        match (timer.deadline, timer.started, timer.suspended) {
            (None, ..) => Self::Endless,
            (Some(_), Some(_), false) => Self::Running,
            _ => Self::Stopped,
        }
    }
}

impl Share {
    /// From a timer that is ours; nothing if it was tampered with so far that it does not say whose it is.
    pub fn of(job: &Job, role: Option<&Role>, now: Timestamp) -> Option<Self> {
        let annotation = |key: &str| {
            job.annotations()
                .get(key)
                .map(|value| printable::short(value, 253))
        };
        let timer = Timer::of(job);
        let pods = role
            .into_iter()
            .flat_map(|role| role.rules.iter().flatten())
            .filter(|rule| {
                rule.resources
                    .iter()
                    .flatten()
                    .any(|resource| resource == "pods/portforward")
            });
        Some(
            Self {
                database: annotation(DATABASE).filter(|name| is_name(name))?,
                namespace: job.namespace().unwrap_or_default(),
                with: annotation(WITH).unwrap_or_default(),
                subject: match annotation(SUBJECT)?.parse() {
                    Ok(subject::Typed::Exact(subject)) => subject,
                    _ => return None,
                },
                since: None,
                timer: TimerState::of(&timer),
                until: None,
                left_seconds: None,
                verified: None,
                pods: pods
                    .flat_map(|rule| rule.resource_names.iter().flatten())
                    .filter(|pod| is_name(pod))
                    .cloned()
                    .collect(),
                name: job.name_any(),
                clock: timer.clone(),
            }
            .timed_by(timer, now),
        )
    }

    /// The same share with the times of this timer.
    #[must_use]
    pub fn timed_by(mut self, timer: Timer, now: Timestamp) -> Self {
        self.timer = TimerState::of(&timer);
        self.since = timer.started;
        self.until = timer.until().filter(|_| self.timer == TimerState::Running);
        self.left_seconds = timer
            .left(now)
            .filter(|_| self.until.is_some())
            .map(|left| left.as_secs());
        self.clock = timer;
        self
    }

    /// `until 18:04 (7h59m left)`, or that it has no end. What was just asked for is said as it was asked.
    pub fn term(&self, now: Timestamp, asked: Option<Duration>) -> String {
        match (self.until, self.clock.left(now), asked) {
            (Some(until), _, Some(asked)) => format!(
                "for {}, until {}",
                duration::exact(asked),
                duration::moment(until, now)
            ),
            (Some(until), Some(left), None) => format!(
                "until {} ({} left)",
                duration::moment(until, now),
                duration::rough(left)
            ),
            _ => "until you revoke it".into(),
        }
    }
}

impl Listed for Share {
    const KIND: &'static str = "Share";

    fn headers(columns: Columns) -> Vec<&'static str> {
        let namespace = columns.namespace.then_some("NAMESPACE");
        let wide: &[&str] = if columns.wide {
            &["SUBJECT", "PODS", "NAME"]
        } else {
            &[]
        };
        let always = ["DATABASE", "WITH", "UNTIL", "LEFT", "VERIFIED"];
        namespace
            .into_iter()
            .chain(always)
            .chain(wide.iter().copied())
            .collect()
    }

    fn cells(&self, columns: Columns) -> Vec<String> {
        let now = self.until.and_then(|until| {
            until
                .checked_sub(jiff::SignedDuration::from_secs(
                    i64::try_from(self.left_seconds?).ok()?,
                ))
                .ok()
        });
        let until = match (self.until, now) {
            (Some(until), Some(now)) => duration::moment(until, now),
            _ if self.timer == TimerState::Stopped => "never (its timer stands still)".into(),
            _ => "forever".into(),
        };
        let left = self
            .left_seconds
            .map(|left| duration::rough(Duration::from_secs(left)))
            .unwrap_or_default();
        let verified = match self.verified {
            Some(true) => "yes",
            Some(false) => "no",
            None => "unknown",
        };
        let mut cells = Vec::new();
        if columns.namespace {
            cells.push(self.namespace.clone());
        }
        cells.extend([
            self.database.clone(),
            self.with.clone(),
            until,
            left,
            verified.into(),
        ]);
        if columns.wide {
            cells.extend([
                self.subject.to_string(),
                self.pods.join(","),
                self.name.clone(),
            ]);
        }
        cells
    }

    fn name(&self) -> String {
        format!("job.batch/{}", self.name)
    }
}

/// The shares that there are.
#[derive(Debug, Default)]
pub struct Found {
    /// Those that have not ended, by database and colleague.
    pub shares: Vec<Share>,
    /// Jobs that carry our label but do not say whose share they are; whatever they own may still give rights.
    pub unreadable: Vec<Timer>,
    /// Whether the Roles could be read too; without them nothing can be said of pods.
    pub with_roles: bool,
}

/// All shares of a namespace (nothing: of every namespace).
pub async fn all(cluster: &Cluster, namespace: Option<&str>) -> Result<Found> {
    let ours = format!("{MANAGED_BY}={MANAGER}");
    let (jobs, roles) = futures::join!(
        cluster.list_in::<Job>(namespace, &ours),
        cluster.list_in::<Role>(namespace, &ours)
    );
    let jobs = jobs?;
    let roles = match roles {
        // Role `view` may read Jobs and no Roles.
        Err(error) if error.kind() == Kind::Forbidden => None,
        roles => Some(roles?),
    };
    let key = |metadata: &ObjectMeta| {
        (
            metadata.namespace.clone().unwrap_or_default(),
            metadata.name.clone().unwrap_or_default(),
        )
    };
    let by_name: BTreeMap<_, &Role> = roles
        .iter()
        .flatten()
        .map(|role| (key(&role.metadata), role))
        .collect();
    let now = cluster.now();
    let mut found = Found {
        with_roles: roles.is_some(),
        ..Found::default()
    };
    for job in jobs.iter().filter(|job| is_ours(&job.metadata, MANAGER)) {
        match Share::of(job, by_name.get(&key(&job.metadata)).copied(), now) {
            Some(share) if share.clock.over => {}
            Some(share) => found.shares.push(share),
            None => found.unreadable.push(Timer::of(job)),
        }
    }
    found.shares.sort_by(|a, b| {
        (&a.namespace, &a.database, &a.with).cmp(&(&b.namespace, &b.database, &b.with))
    });
    Ok(found)
}

/// Says that there are shares which cannot be read.
pub fn warn_of_unreadable(ui: &Ui, found: &Found) {
    if !found.unreadable.is_empty() {
        ui.warning(format!(
            "{} of the shares here cannot be read, though they may give rights: {}",
            found.unreadable.len(),
            printable::short(
                &found
                    .unreadable
                    .iter()
                    .map(|timer| timer.name.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
                300
            )
        ));
        ui.hint("end them with all others: `kubectl share-db revoke --all`");
    }
}

/// Which shares a command is about.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    pub database: Option<Typed>,
    pub with: Vec<subject::Typed>,
    pub all: bool,
}

/// The shares that were meant; on a terminal the user chooses where none was named.
///
/// # Errors
/// [`Kind::NotFound`] where there is no such share, with those that there are.
pub async fn select(
    cluster: &Cluster,
    ui: &Ui,
    selection: &Selection,
    verb: &str,
) -> Result<Vec<Share>> {
    let namespace = selection
        .database
        .as_ref()
        .map_or(cluster.namespace(), |database| {
            database.namespace_in(cluster)
        });
    let found = all(cluster, Some(namespace)).await?;
    warn_of_unreadable(ui, &found);
    let shares = found.shares;
    if shares.is_empty() {
        return Err(Error::of(
            Kind::NotFound,
            format!("nothing is shared from namespace `{namespace}`"),
        )
        .hint("share something: `kubectl share-db DATABASE --with USER`"));
    }
    let Some(database) = &selection.database else {
        if selection.all {
            return Ok(shares
                .into_iter()
                .filter(|share| is_with(share, &selection.with))
                .collect());
        }
        let now = cluster.now();
        let items: Vec<String> = shares
            .iter()
            .map(|share| {
                format!(
                    "{} with {}, {}",
                    share.database,
                    share.with,
                    share.term(now, None)
                )
            })
            .collect();
        let chosen = ui.choose(
            "DATABASE",
            &items,
            &format!("name it: `kubectl share-db {verb} DATABASE`"),
        )?;
        return Ok(shares.into_iter().skip(chosen).take(1).collect());
    };
    let of_database: Vec<Share> = shares
        .iter()
        .filter(|share| share.database == database.name)
        .cloned()
        .collect();
    if of_database.is_empty() {
        let error = Error::of(
            Kind::NotFound,
            format!("`{}` is not shared with anybody", database.name),
        );
        return Err(
            match name_hint(
                &database.name,
                shares.iter().map(|share| share.database.as_str()),
            ) {
                Some(hint) => error.hint(hint),
                None => error,
            },
        );
    }
    let meant: Vec<Share> = of_database
        .iter()
        .filter(|share| is_with(share, &selection.with))
        .cloned()
        .collect();
    if meant.is_empty() {
        let with: Vec<&str> = of_database
            .iter()
            .map(|share| share.with.as_str())
            .collect();
        return Err(Error::of(
            Kind::NotFound,
            format!(
                "`{}` is not shared with {}",
                database.name,
                typed(&selection.with)
            ),
        )
        .hint(format!("it is shared with {}", with.join(", "))));
    }
    Ok(meant)
}

/// Whether a share is with one of these colleagues; with no one named, it is.
fn is_with(share: &Share, with: &[subject::Typed]) -> bool {
    with.is_empty()
        || with.iter().any(|typed| match typed {
            subject::Typed::Bare(name) => {
                &share.with == name
                    || matches!(&share.subject, Subject::User { name: user } if user == name)
            }
            subject::Typed::Exact(subject) => subject == &share.subject,
        })
}

/// Colleagues as they were typed.
pub fn typed(with: &[subject::Typed]) -> String {
    let names: Vec<String> = with
        .iter()
        .map(|typed| match typed {
            subject::Typed::Bare(name) => format!("`{name}`"),
            subject::Typed::Exact(subject) => format!("`{subject}`"),
        })
        .collect();
    names.join(", ")
}
