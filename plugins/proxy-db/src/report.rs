//! What `proxy-db` says when it is ready.

use std::net::SocketAddr;
use std::time::Duration;

use commons::duration::{moment, rough};
use commons::shell::Shell;
use commons::{Error, Result, shell};
use database::card::Card;
use database::{Credentials, Database, Protocol, login_name};
use jiff::Timestamp;
use serde::Serialize;
use tunnel::Endpoint;

/// The line for programs; times in RFC 3339.
#[derive(Debug, Serialize)]
pub struct Ready<'a> {
    /// Where to connect.
    pub address: String,
    /// And at which port.
    pub port: u16,
    /// The database's namespace.
    pub namespace: &'a str,
    /// Its name.
    pub database: &'a str,
    /// The pod that serves it now.
    pub pod: &'a str,
    /// When the share ends; null for one's own and for a share without an end, or with one that cannot be read.
    pub until: Option<Timestamp>,
}

impl Ready<'_> {
    /// As one line of JSON.
    ///
    /// # Errors
    /// None that is known of.
    pub fn line(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|error| Error::new("cannot write JSON").caused_by(error.to_string()))
    }
}

/// What is connected to what.
pub fn forwarding(
    addresses: &[SocketAddr],
    database: &Database,
    endpoint: &Endpoint,
    context: &str,
) -> String {
    let addresses: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
    let context = if context.is_empty() {
        String::new()
    } else {
        format!(", context {context}")
    };
    format!(
        "Forwarding {} -> {}/{} ({endpoint}){context}",
        addresses.join(" and "),
        database.namespace,
        database.name,
    )
}

/// Whose it is and until when.
pub fn shared(card: &Card, now: Timestamp) -> String {
    match card.until {
        None if card.until_is_unreadable => {
            format!("Shared by {}, until a time that cannot be read", card.owner)
        }
        None => format!("Shared by {}, until they revoke it", card.owner),
        Some(until) => {
            let left = Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO);
            format!(
                "Shared by {} until {} ({} left)",
                card.owner,
                moment(until, now),
                rough(left)
            )
        }
    }
}

/// Whose namespace it is, if one asked for it and is no administrator there.
pub fn among_others(namespace: &str) -> String {
    format!(
        "Namespace {namespace} is not yours: whoever administers it decides what answers here, and can read what you send"
    )
}

/// What the command is not passed on of the user's environment; nothing if that is nothing.
pub fn left_out(names: &[String]) -> Option<Error> {
    const SHOWN: usize = 5;
    let (last, first) = names.split_last()?;
    let (names, them) = match first.len() {
        0 => (last.clone(), "was not passed on: it"),
        more if more < SHOWN => (
            format!("{} and {last}", first.join(", ")),
            "were not passed on: they",
        ),
        more => (
            format!(
                "{} and {} more",
                first[..SHOWN].join(", "),
                more + 1 - SHOWN
            ),
            "were not passed on: they",
        ),
    };
    let warning = format!("{names} of your environment {them} may be for another database");
    Some(Error::new(warning).hint("`--keep-env` passes on what you have set"))
}

/// The command that connects to a database, where there is a usual one.
pub fn client(database: &Database, credentials: &Credentials, port: u16) -> Option<Shell> {
    (database.protocol == Protocol::Postgres).then(|| {
        shell("psql -h 127.0.0.1 -p")
            .arg(port)
            .option("-U", login_name(credentials.username.as_ref()))
            .option("-d", login_name(credentials.dbname.as_ref()))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn card(more: &[(&str, &str)]) -> Card {
        let mut data = BTreeMap::new();
        for (key, value) in [
            ("database", "pg"),
            ("protocol", "postgres"),
            ("service", "pg"),
            ("port", "5432"),
            ("owner", "alice"),
        ]
        .iter()
        .chain(more)
        {
            data.insert((*key).to_owned(), (*value).to_owned());
        }
        let map = serde_json::from_value(serde_json::json!({ "data": data })).expect("a ConfigMap");
        Card::read(&map).expect("a card")
    }

    fn known(username: &str, dbname: &str) -> Credentials {
        Credentials {
            username: Some(username.into()),
            dbname: Some(dbname.into()),
            ..Credentials::default()
        }
    }

    #[test]
    fn says_what_is_connected_to_what() {
        let addresses = [
            "127.0.0.1:5432".parse().expect("an address"),
            "[::1]:5432".parse().expect("an address"),
        ];
        let endpoint = Endpoint {
            namespace: "user-alice".into(),
            pod: "pg-0".into(),
            port: 5432,
        };
        let database = card(&[]).to_database("user-alice");
        assert_eq!(
            forwarding(&addresses, &database, &endpoint, "kube"),
            "Forwarding 127.0.0.1:5432 and [::1]:5432 -> user-alice/pg (pod pg-0, port 5432), context kube"
        );
        assert_eq!(
            forwarding(&addresses[..1], &database, &endpoint, ""),
            "Forwarding 127.0.0.1:5432 -> user-alice/pg (pod pg-0, port 5432)"
        );
    }

    #[test]
    fn says_until_when() {
        let now: Timestamp = "2026-01-01T10:00:30Z".parse().expect("a time");
        let text = shared(&card(&[("until", "2026-01-01T18:00:00Z")]), now);
        assert!(
            text.starts_with("Shared by alice until 2026-01-01 ") && text.ends_with("(7h59m left)"),
            "{text}"
        );
        assert_eq!(
            shared(&card(&[]), now),
            "Shared by alice, until they revoke it"
        );
        assert_eq!(
            shared(&card(&[("until", "soon")]), now),
            "Shared by alice, until a time that cannot be read"
        );
        let text = shared(&card(&[("until", "2025-01-01T18:00:00Z")]), now);
        assert!(text.ends_with("(0s left)"), "{text}");
    }

    #[test]
    fn names_what_was_left_out() {
        let said = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            left_out(&names).map(|warning| warning.message().to_owned())
        };
        assert_eq!(said(&[]), None);
        assert_eq!(
            said(&["PGPASSWORD"]).as_deref(),
            Some(
                "PGPASSWORD of your environment was not passed on: it may be for another database"
            )
        );
        assert_eq!(
            said(&["PGPASSWORD", "PGUSER"]).as_deref(),
            Some(
                "PGPASSWORD and PGUSER of your environment were not passed on: they may be for another database"
            )
        );
        let many = said(&["A", "B", "C", "D", "E", "F", "G"]).expect("a line");
        assert!(
            many.starts_with("A, B, C, D, E and 2 more of your"),
            "{many}"
        );
        let all = said(&["A", "B", "C", "D", "E"]).expect("a line");
        assert!(all.starts_with("A, B, C, D and E of your"), "{all}");
    }

    #[test]
    fn a_name_that_others_chose_stays_one_harmless_word() {
        let database = card(&[]).to_database("user-alice");
        let line = |username, dbname| {
            client(&database, &known(username, dbname), 5432).map(|line| line.to_string())
        };
        assert_eq!(
            line("shop", "shop").as_deref(),
            Some("psql -h 127.0.0.1 -p 5432 -U shop -d shop")
        );
        assert_eq!(
            line("a b", "x'; rm -rf ~; '").as_deref(),
            Some(r"psql -h 127.0.0.1 -p 5432 -U 'a b' -d 'x'\''; rm -rf ~; '\'''")
        );
        assert_eq!(
            line("$(id)", "host=evil.example").as_deref(),
            Some("psql -h 127.0.0.1 -p 5432 -U '$(id)'")
        );
        assert_eq!(
            line("-W", "postgres://evil.example/x").as_deref(),
            Some("psql -h 127.0.0.1 -p 5432 -U '-W'")
        );
        let redis = card(&[("protocol", "other")]).to_database("user-alice");
        assert_eq!(client(&redis, &Credentials::default(), 6379), None);
    }

    #[test]
    fn the_line_for_programs_is_one_line() {
        let ready = Ready {
            address: "127.0.0.1".into(),
            port: 5433,
            namespace: "user-alice",
            database: "pg",
            pod: "pg-0",
            until: None,
        };
        assert_eq!(
            ready.line().expect("JSON"),
            r#"{"address":"127.0.0.1","port":5433,"namespace":"user-alice","database":"pg","pod":"pg-0","until":null}"#
        );
    }
}
