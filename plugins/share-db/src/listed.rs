//! A share as it is in the cluster, and its row in a list.

use std::collections::BTreeMap;
use std::time::Duration;

use commons::grant::{self, Ending, FOR, Term, Timer};
use commons::names::is_name;
use commons::output::Listed;
use commons::shell::{Shell, shell};
use commons::subject::{self, Pattern, Subject, is_bare};
use commons::{Cluster, duration, printable};
use database::DatabaseRef;
use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::ResourceExt;
use serde::Serialize;

use crate::plan::{DATABASE, SUBJECT, WITH};

/// What a `RoleBinding` gives to one of its subjects.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Share {
    /// The database, as it was typed: `pg`, `svc/pg`.
    pub database: String,
    pub namespace: String,
    /// What people call the colleague.
    pub with: String,
    pub subject: Subject,
    pub since: Option<Timestamp>,
    /// What ends it.
    pub ending: Ends,
    /// Why nothing ends it, though an end was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'static str>,
    /// Nothing if it never ends.
    pub until: Option<Timestamp>,
    /// Seconds; nothing if it never ends.
    pub left_seconds: Option<u64>,
    /// Whether the API server says that the colleague may connect; nothing where it was not asked or may not be.
    pub verified: Option<bool>,
    /// The pods that the share reaches.
    pub pods: Vec<String>,
    /// Whether its Role was changed by hand, so that it may give something else.
    #[serde(skip)]
    pub may_give_more: bool,
    /// The name of its Role, its timer and its card.
    pub name: String,
    /// What it consists of.
    #[serde(skip)]
    pub trace: Trace,
    /// What owns the `RoleBinding`: it goes with the last of these.
    #[serde(skip)]
    owners: Vec<OwnerReference>,
    /// Whether its `RoleBinding` and its Role have finalizers: who set those decides when it ends. (It ends with either.)
    #[serde(skip)]
    pub is_held_back: bool,
    /// The term that was asked for, as it was written down.
    #[serde(skip)]
    pub asked: String,
}

/// What ends a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ends {
    /// A timer that runs.
    Timer,
    /// Its time is over, but the cluster has not removed it.
    Over,
    /// Nothing, as was asked for.
    Forever,
    /// Nothing, though an end was asked for.
    Never,
}

/// The objects that end with a share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    pub namespace: String,
    /// Whether a command about it has to name its namespace.
    pub elsewhere: bool,
    /// The name of Role, timer and card.
    pub name: String,
    /// The `RoleBinding`; nothing where there is none, or one that gives something else than our Role.
    pub binding: Option<Held>,
    /// The Role, if it is ours.
    pub role: Option<Held>,
    /// The timer of that name, if it is ours.
    pub timer: Option<Timer>,
    /// The timer with which the `RoleBinding` goes, whatever its name and whosever it is.
    pub clock: Option<Timer>,
}

/// An object, so that exactly this one is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub name: String,
    pub uid: String,
}

impl Held {
    pub fn of<K: kube::Resource>(object: &K) -> Self {
        Self {
            name: object.name_any(),
            uid: object.uid().unwrap_or_default(),
        }
    }
}

/// What a share's annotations say of it.
#[derive(Clone, Debug)]
pub struct Said {
    database: String,
    /// Whom the share was made for.
    subject: Option<Subject>,
    /// What people call them.
    called: Option<String>,
    asked: String,
}

impl Said {
    /// Nothing where they do not say what is shared.
    pub fn of(annotations: &BTreeMap<String, String>) -> Option<Self> {
        let exact = |text: &String| match text.parse() {
            Ok(subject::SubjectRef::Exact(subject)) => Some(subject),
            _ => None,
        };
        Some(Self {
            database: annotations
                .get(DATABASE)?
                .parse::<DatabaseRef>()
                .ok()?
                .to_string(),
            subject: annotations.get(SUBJECT).and_then(exact),
            called: annotations.get(WITH).filter(|with| is_bare(with)).cloned(),
            asked: annotations.get(FOR).cloned().unwrap_or_default(),
        })
    }

    /// The same without a short name that does not fit the subject: others can write annotations too.
    #[must_use]
    pub fn believed(mut self, pattern: Option<&Pattern>) -> Self {
        let fits = |called: &String| match (&self.subject, pattern) {
            (Some(subject), Some(pattern)) => pattern.bare(subject) == Some(called),
            (Some(Subject::User { name }), None) => name.ends_with(called.as_str()),
            _ => false,
        };
        self.called = self.called.take().filter(fits);
        self
    }

    /// Whom the share was made for.
    pub fn subject(&self) -> Option<&Subject> {
        self.subject.as_ref()
    }

    /// What people call a subject: the short name only for whom it was written down.
    fn name_of(&self, subject: &Subject) -> String {
        self.called
            .clone()
            .filter(|_| self.subject.as_ref() == Some(subject))
            .unwrap_or_else(|| subject.shown())
    }
}

/// Whether a command that is printed has to name this namespace, since it is not where the user's commands go by themselves.
pub fn is_elsewhere(cluster: &Cluster, namespace: &str) -> bool {
    cluster.named().is_some() || cluster.namespace() != namespace
}

/// A command about a share: of the database as it was typed, with a colleague by the short name or exactly.
pub fn command(words: &'static str, database: &str, called: &str, subject: &Subject) -> Shell {
    let exact = subject.to_string();
    let command = shell(words).arg(database);
    if is_bare(called) {
        command.then("--with").arg(called)
    } else if exact.parse::<subject::SubjectRef>().is_ok() {
        command.then("--with").arg(exact)
    } else {
        // Nobody can type such a name, and nobody is to be given anything under it.
        command
    }
}

impl Share {
    /// What a Role gives to a subject at `now`, by a `RoleBinding` with these owners.
    pub fn of(
        said: &Said,
        subject: Subject,
        trace: Trace,
        role: Option<&Role>,
        binding: &ObjectMeta,
        now: Timestamp,
    ) -> Self {
        let owners = binding.owner_references.as_deref().unwrap_or_default();
        let ending = Ending::of(owners, Some(&said.asked), trace.clock.as_ref(), now);
        Self {
            database: said.database.clone(),
            namespace: trace.namespace.clone(),
            with: said.name_of(&subject),
            subject,
            since: None,
            ending: Ends::Never,
            why: None,
            until: None,
            left_seconds: None,
            verified: None,
            pods: role.map(pods_of).unwrap_or_default(),
            may_give_more: role.is_some_and(gives_more),
            name: trace.name.clone(),
            trace,
            owners: owners.to_vec(),
            is_held_back: has_finalizer(binding)
                && role.is_some_and(|role| has_finalizer(&role.metadata)),
            asked: said.asked.clone(),
        }
        .ending(ending, now)
    }

    /// The same share with another end.
    #[must_use]
    fn ending(mut self, ending: Ending, now: Timestamp) -> Self {
        (self.ending, self.until, self.why) = match ending {
            Ending::At(_) | Ending::Over(_) if self.is_held_back => (
                Ends::Never,
                None,
                Some("its RoleBinding and its Role have finalizers"),
            ),
            Ending::At(until) => (Ends::Timer, Some(until), None),
            Ending::Over(until) => (Ends::Over, until, None),
            Ending::Forever => (Ends::Forever, None, None),
            Ending::Never(why) => (Ends::Never, None, Some(why)),
        };
        self.since = self.trace.clock.as_ref().and_then(|timer| timer.started);
        self.left_seconds = self.until.map(|until| grant::left(until, now).as_secs());
        self
    }

    /// Whether it is the very same right of the same subject.
    pub fn is_same(&self, other: &Self) -> bool {
        self.name == other.name
            && self.subject == other.subject
            && self.trace.binding == other.trace.binding
    }

    /// The UID of the `RoleBinding` that gives it.
    pub fn binding_uid(&self) -> Option<&str> {
        let binding = self.trace.binding.as_ref()?;
        Some(&binding.uid)
    }

    /// The UID of the timer with which it goes, and with nothing else.
    pub fn timer_uid(&self) -> Option<&str> {
        Some(&self.own_timer()?.uid)
    }

    /// The timer with which it goes, and with nothing else.
    pub fn own_timer(&self) -> Option<&Timer> {
        let timer = self.trace.clock.as_ref()?;
        matches!(&self.owners[..], [owner] if owner.uid == timer.uid).then_some(timer)
    }

    /// The same share with a timer that was just set for this term.
    #[must_use]
    pub fn timed_by(mut self, timer: Timer, term: Term, now: Timestamp) -> Self {
        self.asked = term.to_string();
        let ending = Ending::of(&self.owners, Some(&self.asked), Some(&timer), now);
        self.trace.clock = Some(timer);
        self.ending(ending, now)
    }

    /// `until 18:04 (7h59m left)`, or that it has no end. What was just asked for is said as it was asked, if it is so.
    pub fn term(&self, now: Timestamp, asked: Option<Duration>) -> String {
        let Some(until) = self.until else {
            return match self.why {
                Some(why) => format!("and nothing ends it: {why}"),
                None => "until you revoke it".into(),
            };
        };
        let left = grant::left(until, now);
        let moment = duration::moment(until, now);
        match asked.filter(|asked| left + Duration::from_secs(2) > *asked) {
            _ if self.ending == Ends::Over => format!("until {moment}, which is over"),
            Some(asked) => format!("for {}, until {moment}", duration::exact(asked)),
            None => format!("until {moment} ({} left)", duration::rough(left)),
        }
    }

    /// What lets its `RoleBinding` go, as a hint, where that has finalizers.
    pub fn without_finalizers(&self) -> Option<String> {
        let binding = self.trace.binding.as_ref()?;
        let patch = shell("kubectl patch rolebinding")
            .arg(&binding.name)
            .in_namespace(&self.namespace)
            .then("--type=merge -p")
            .arg(r#"{"metadata":{"finalizers":null}}"#);
        Some(format!("remove its finalizers: `{patch}`"))
    }

    /// A command about this share.
    pub fn command(&self, words: &'static str) -> Shell {
        let database = if self.trace.elsewhere {
            format!("{}/{}", self.namespace, self.database)
        } else {
            self.database.clone()
        };
        command(words, &database, &self.with, &self.subject)
    }
}

fn has_finalizer(metadata: &ObjectMeta) -> bool {
    metadata.finalizers.iter().flatten().next().is_some()
}

/// Whether a Role has a rule that no share has.
fn gives_more(role: &Role) -> bool {
    let rules = role.rules.iter().flatten();
    let mut pods = false;
    let is_of_share = |rule: &PolicyRule| {
        let verbs: &[&str] = match rule.resources.as_deref().unwrap_or_default() {
            [resource] => match resource.as_str() {
                "pods/portforward" => &["get", "create"],
                "endpoints" | "configmaps" | "pods" => &["get"],
                _ => &[],
            },
            _ => &[],
        };
        rule.verbs.iter().all(|verb| verbs.contains(&verb.as_str()))
            && rule.resource_names.iter().flatten().next().is_some()
            && rule.non_resource_urls.is_none()
    };
    for rule in rules {
        if !is_of_share(rule) {
            return true;
        }
        pods |= rule
            .resources
            .iter()
            .flatten()
            .any(|resource| resource == "pods/portforward");
    }
    !pods
}

/// The pods whose ports a Role lets forward.
fn pods_of(role: &Role) -> Vec<String> {
    role.rules
        .iter()
        .flatten()
        .filter(|rule| {
            rule.resources
                .iter()
                .flatten()
                .any(|resource| resource == "pods/portforward")
        })
        .flat_map(|rule| rule.resource_names.iter().flatten())
        .filter(|pod| is_name(pod))
        .cloned()
        .collect()
}

impl Listed for Share {
    const KIND: &'static str = "Share";

    const HEADERS: &'static [&'static str] = &["DATABASE", "WITH", "UNTIL", "LEFT", "VERIFIED"];
    const WIDE: &'static [&'static str] = &["SUBJECT", "PODS", "NAME"];

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn cells(&self) -> Vec<String> {
        let left = self.left_seconds.map(Duration::from_secs);
        let now = self
            .until
            .zip(left)
            .and_then(|(until, left)| until.checked_sub(left).ok());
        let until = match (self.ending, self.until, now) {
            (_, Some(until), Some(now)) => duration::moment(until, now),
            (Ends::Forever, ..) => "forever".into(),
            (Ends::Over, ..) => "over".into(),
            _ => "never ends".into(),
        };
        let left = match self.ending {
            Ends::Over => "over".into(),
            _ => left.map(duration::rough).unwrap_or_default(),
        };
        let verified = match self.verified {
            Some(true) => "yes",
            Some(false) => "no",
            None => "unknown",
        };
        vec![
            self.database.clone(),
            self.with.clone(),
            until,
            left,
            verified.into(),
            self.subject.shown(),
            self.pods.join(","),
            printable::short(&self.name, 253),
        ]
    }

    fn name(&self) -> String {
        let binding = self.trace.binding.as_ref();
        let name = binding.map_or(&self.name, |binding| &binding.name);
        format!("rolebinding.rbac.authorization.k8s.io/{name}")
    }
}
