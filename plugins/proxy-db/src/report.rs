//! What `proxy-db` says when it is ready.

use std::net::SocketAddr;
use std::time::Duration;

use commons::card::Card;
use commons::database::{Credentials, Database, Protocol};
use commons::duration::{moment, rough};
use commons::tunnel::Endpoint;
use commons::{Error, Result};
use jiff::Timestamp;
use serde::Serialize;

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
    /// When the share ends; null for one's own and for a share without an end.
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

/// The command that connects to a database, where there is a usual one.
pub fn client(database: &Database, credentials: &Credentials, port: u16) -> Option<String> {
    if database.protocol != Protocol::Postgres {
        return None;
    }
    let option = |flag: &str, value: &Option<String>| match value {
        // psql takes a database name with one of these for a whole connection string, which can name another host; and what is
        // printed holds no control characters, so it would be another name.
        Some(value)
            if !value.contains('=')
                && !value.contains("://")
                && !value.contains(char::is_control) =>
        {
            format!(" {flag} {}", word(value))
        }
        _ => String::new(),
    };
    let (user, dbname) = (
        option("-U", &credentials.username),
        option("-d", &credentials.dbname),
    );
    Some(format!("psql -h 127.0.0.1 -p {port}{user}{dbname}"))
}

/// One word for a shell to read, whatever is in it: these names may have been chosen by somebody else.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./@:+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
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

    fn login(username: &str, dbname: &str) -> Credentials {
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
        let text = shared(&card(&[("until", "2025-01-01T18:00:00Z")]), now);
        assert!(text.ends_with("(0s left)"), "{text}");
    }

    #[test]
    fn a_name_that_others_chose_stays_one_harmless_word() {
        let database = card(&[]).to_database("user-alice");
        let line = |username, dbname| client(&database, &login(username, dbname), 5432);
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
