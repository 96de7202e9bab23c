//! What a share consists of, as plain data: no cluster is asked here.
//!
//! A share is one database with one colleague: a Job that is a timer, and owned by it a Role, a `RoleBinding` and a card. Each
//! colleague has a timer of their own, so that one share can end, be extended or be revoked without the others.

use std::collections::BTreeMap;

use commons::apply::MANAGED_BY;
use commons::card::{Card, PREFIX};
use commons::database::Database;
use commons::grant::{Term, Timer, timer_job};
use commons::names;
use commons::subject::{Pattern, Subject};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::args::MANAGER;

/// Annotation with the database's name as it was typed.
pub const DATABASE: &str = "kube-commons/database";
/// Annotation with the subject: `user:oidc-bob`.
pub const SUBJECT: &str = "kube-commons/subject";
/// Annotation with what people call the colleague: `bob`.
pub const WITH: &str = "kube-commons/with";

const RBAC: &str = "rbac.authorization.k8s.io";

/// A colleague, as the cluster names them and as people do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Colleague {
    pub subject: Subject,
    /// `bob`, or `group:team` where the cluster's pattern does not tell.
    pub called: String,
}

impl Colleague {
    pub fn new(subject: Subject, pattern: Option<&Pattern>) -> Self {
        let called = pattern
            .and_then(|pattern| pattern.bare(&subject))
            .map_or_else(|| subject.to_string(), str::to_owned);
        Self { subject, called }
    }
}

/// One database for one colleague.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The name of all objects of this share.
    pub name: String,
    pub colleague: Colleague,
    pub term: Term,
    /// Whether the colleague may also read the pod, which `kubectl port-forward` wants.
    pub plain_kubectl: bool,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

impl Plan {
    pub fn new(database: &str, colleague: Colleague, term: Term, plain_kubectl: bool) -> Self {
        Self {
            name: share_name(database, &colleague),
            labels: BTreeMap::from([(MANAGED_BY.into(), MANAGER.into())]),
            annotations: BTreeMap::from([
                (DATABASE.into(), database.to_owned()),
                (SUBJECT.into(), colleague.subject.to_string()),
                (WITH.into(), colleague.called.clone()),
            ]),
            colleague,
            term,
            plain_kubectl,
        }
    }

    fn metadata(&self, owner: Option<&OwnerReference>) -> ObjectMeta {
        ObjectMeta {
            name: Some(self.name.clone()),
            labels: Some(self.labels.clone()),
            annotations: Some(self.annotations.clone()),
            owner_references: owner.map(|owner| vec![owner.clone()]),
            ..Default::default()
        }
    }

    /// The timer.
    pub fn job(&self) -> Job {
        timer_job(&self.name, self.term, &self.labels, &self.annotations)
    }

    /// The least that works: forward to the database's pods, learn by one read which of them serves, and read the card. Not
    /// the pod itself, whose spec may hold passwords.
    pub fn role(&self, database: &Database, owner: Option<&OwnerReference>) -> Role {
        let rule = |resource: &str, verbs: &[&str], names: Vec<String>| PolicyRule {
            api_groups: Some(vec![String::new()]),
            resources: Some(vec![resource.into()]),
            verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
            resource_names: Some(names),
            ..Default::default()
        };
        // Older API servers take the tunnel's WebSocket for a `get`, newer ones for a `create`.
        let mut rules = vec![rule(
            "pods/portforward",
            &["get", "create"],
            database.pods.clone(),
        )];
        if let Some(service) = &database.service {
            rules.push(rule("endpoints", &["get"], vec![service.clone()]));
        }
        rules.push(rule("configmaps", &["get"], vec![self.name.clone()]));
        if self.plain_kubectl {
            rules.push(rule("pods", &["get"], database.pods.clone()));
        }
        Role {
            metadata: self.metadata(owner),
            rules: Some(rules),
        }
    }

    pub fn role_binding(&self, owner: Option<&OwnerReference>) -> RoleBinding {
        RoleBinding {
            metadata: self.metadata(owner),
            role_ref: RoleRef {
                api_group: RBAC.into(),
                kind: "Role".into(),
                name: self.name.clone(),
            },
            subjects: Some(vec![self.colleague.subject.as_rbac()]),
        }
    }

    /// What the colleague's `proxy-db` reads.
    pub fn card(
        &self,
        database: &Database,
        owner_called: &str,
        until: Option<Timestamp>,
        owner: Option<&OwnerReference>,
    ) -> ConfigMap {
        ConfigMap {
            metadata: self.metadata(owner),
            data: Some(Card::of(database, owner_called, &self.colleague.called, until).to_data()),
            ..Default::default()
        }
    }
}

/// The name of a share's objects. A colleague typed in full gets a hash, so that `user:bob` never meets `bob`.
pub fn share_name(database: &str, colleague: &Colleague) -> String {
    let prefix = PREFIX.trim_end_matches('-');
    match &colleague.subject {
        Subject::User { name } if name.ends_with(&colleague.called) => {
            names::join(&[prefix, database, &colleague.called])
        }
        subject => {
            names::join_exactly(&[prefix, database, &colleague.called], &subject.to_string())
        }
    }
}

/// What is to be done with a share that exists or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is none: make it.
    Create,
    /// It ends earlier than asked: extend it.
    Extend,
    /// It lasts as long as asked or longer: leave its end alone.
    Keep,
}

/// Decides from the timer that there is and the term asked for.
pub fn step(present: Option<&Timer>, term: Term, now: Timestamp) -> Step {
    let Some(timer) = present else {
        return Step::Create;
    };
    match (timer.until(), term) {
        (None, _) => Step::Keep,
        (Some(_), Term::Forever) => Step::Extend,
        // A hundredth of the time more or less is no reason to write: the same command typed again changes nothing.
        (Some(until), Term::For(duration)) => {
            let more = now
                .checked_add(duration)
                .map_or(i64::MAX, |asked| asked.duration_since(until).as_secs());
            let matters = i64::try_from(duration.as_secs() / 100)
                .unwrap_or(i64::MAX)
                .max(1);
            if more > matters {
                Step::Extend
            } else {
                Step::Keep
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use k8s_openapi::api::batch::v1::JobStatus;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn colleague(subject: Subject, pattern: &str) -> Colleague {
        Colleague::new(
            subject,
            Some(&Pattern {
                prefix: pattern.into(),
            }),
        )
    }

    fn user(name: &str) -> Subject {
        Subject::User { name: name.into() }
    }

    #[test]
    fn names_are_plain_for_people_and_hashed_for_what_is_typed_in_full() {
        assert_eq!(
            share_name("pg", &colleague(user("oidc-bob"), "oidc-")),
            "share-pg-bob"
        );
        let exact = share_name("pg", &colleague(user("bob"), "oidc-"));
        assert!(exact.starts_with("share-pg-user-bob-"), "{exact}");
        let group = share_name("pg", &colleague(Subject::Group { name: "bob".into() }, ""));
        assert_ne!(group, share_name("pg", &colleague(user("bob"), "")));
        assert!(share_name(&"x".repeat(100), &colleague(user("oidc-bob"), "oidc-")).len() <= 63);
    }

    #[test]
    fn a_share_is_extended_never_shortened() {
        let now: Timestamp = "2026-01-01T10:00:00Z".parse().expect("a time");
        let hour = Term::For(Duration::from_hours(1));
        let started_now = |term| {
            let mut job = timer_job("share-pg-bob", term, &BTreeMap::new(), &BTreeMap::new());
            job.status = Some(JobStatus {
                start_time: Some(Time(now)),
                ..Default::default()
            });
            Timer::of(&job)
        };
        let lasts = |seconds| started_now(Term::For(Duration::from_secs(seconds)));
        assert_eq!(step(None, hour, now), Step::Create);
        assert_eq!(step(Some(&lasts(1800)), hour, now), Step::Extend);
        assert_eq!(step(Some(&lasts(7200)), hour, now), Step::Keep);
        assert_eq!(
            step(Some(&lasts(3570)), hour, now),
            Step::Keep,
            "typed again half a minute later"
        );
        assert_eq!(
            step(Some(&started_now(Term::Forever)), hour, now),
            Step::Keep
        );
        assert_eq!(step(Some(&lasts(1)), Term::Forever, now), Step::Extend);
    }
}
