//! What a share consists of, as plain data: no cluster is asked here.
//!
//! A share is one database with one colleague: a Job that is a timer, and owned by it a Role, a `RoleBinding` and a card. Each
//! colleague has a timer of their own, so that one share can end, be extended or be revoked without the others.

use std::collections::BTreeMap;

use commons::apply::MANAGED_BY;
use commons::grant::{FOR, Term, timer_job};
use commons::names;
use commons::shell::Shell;
use commons::subject::{Pattern, Subject};
use database::card::{Card, PREFIX};
use database::{Database, DatabaseRef};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::listed::{Said, command};

/// The field manager, and the value of the label `app.kubernetes.io/managed-by` of all that this plugin makes.
pub const MANAGER: &str = "kubectl-share-db";

/// Annotation with the database as it was typed: `pg`, `svc/pg`.
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
    pub fn new(
        database: &DatabaseRef,
        colleague: Colleague,
        term: Term,
        plain_kubectl: bool,
    ) -> Self {
        Self {
            name: share_name(database, &colleague),
            labels: BTreeMap::from([(MANAGED_BY.into(), MANAGER.into())]),
            annotations: BTreeMap::from([
                (DATABASE.into(), database.to_string()),
                (SUBJECT.into(), colleague.subject.to_string()),
                (WITH.into(), colleague.called.clone()),
                (FOR.into(), term.to_string()),
            ]),
            colleague,
            term,
            plain_kubectl,
        }
    }

    /// Keeps the end that there is: what was asked for when it was set stays written down.
    pub fn keep_term(&mut self, asked: &str) {
        self.annotations.insert(FOR.into(), asked.to_owned());
    }

    /// Whether these annotations are those of the same share; the names of two different ones could meet.
    pub fn is_of(&self, annotations: &BTreeMap<String, String>) -> bool {
        [DATABASE, SUBJECT]
            .iter()
            .all(|key| annotations.get(*key) == self.annotations.get(*key))
    }

    /// The database, as it was typed.
    pub fn database(&self) -> &str {
        &self.annotations[DATABASE]
    }

    /// What its annotations say.
    pub fn said(&self) -> Option<Said> {
        Said::of(&self.annotations)
    }

    /// A command about the share that is planned.
    pub fn command(&self, words: &'static str) -> Shell {
        let Colleague { subject, called } = &self.colleague;
        command(words, self.database(), called, subject)
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

/// The name of a share's objects: readable, and with a hash of kind, database and subject, so that no two shares have one.
pub fn share_name(database: &DatabaseRef, colleague: &Colleague) -> String {
    let prefix = PREFIX.trim_end_matches('-');
    names::join_exactly(
        &[prefix, &database.name, &colleague.called],
        &[&database.to_string(), &colleague.subject.to_string()],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colleague(subject: Subject, pattern: &str) -> Colleague {
        Colleague::new(
            subject,
            Some(&Pattern {
                prefix: pattern.into(),
                namespace_prefix: String::new(),
            }),
        )
    }

    fn user(name: &str) -> Subject {
        Subject::User { name: name.into() }
    }

    fn name(database: &str, subject: Subject) -> String {
        let database = database.parse().expect("a database");
        share_name(&database, &colleague(subject, "oidc-"))
    }

    #[test]
    fn names_can_be_read_and_never_meet() {
        let bob = name("pg", user("oidc-bob"));
        assert!(bob.starts_with("share-pg-bob-"), "{bob}");
        let others = [
            name("svc/pg", user("oidc-bob")),
            name("pod/pg", user("oidc-bob")),
            name("statefulset/pg", user("oidc-bob")),
            name("pg", user("bob")),
            name(
                "pg",
                Subject::Group {
                    name: "oidc-bob".into(),
                },
            ),
            name("pg-dev", user("oidc-bob")),
        ];
        for (position, other) in others.iter().enumerate() {
            assert_ne!(other, &bob);
            assert!(!others[..position].contains(other), "{other}");
        }
        assert_ne!(
            name("pg", user("oidc-dev-bob")),
            name("pg-dev", user("oidc-bob"))
        );
        assert!(name(&"x".repeat(100), user("oidc-bob")).len() <= 63);
    }

    #[test]
    fn a_share_is_known_by_what_it_says_not_by_its_name() {
        let plan = |database: &str| {
            Plan::new(
                &database.parse().expect("a database"),
                colleague(user("oidc-bob"), "oidc-"),
                Term::Forever,
                false,
            )
        };
        let theirs = plan("pg").job().metadata.annotations.unwrap_or_default();
        assert!(plan("pg").is_of(&theirs));
        assert!(!plan("svc/pg").is_of(&theirs));
        assert!(!plan("pg").is_of(&BTreeMap::new()));
    }
}
