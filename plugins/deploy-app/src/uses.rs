//! `--use DATABASE`: the database's login in the app's environment, by reference to where it stands.

use std::str::FromStr;

use commons::database::{self, Protocol, References, Typed, Value as Login};
use commons::{Cluster, Error, Result, printable};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::inputs::Hidden;

/// The annotation that says which database an app uses.
pub const USES: &str = "kube-commons/uses";

/// The variables that are set, in this order: those that others refer to first.
pub const VARIABLES: [&str; 6] = [
    "PGHOST",
    "PGPORT",
    "PGDATABASE",
    "PGUSER",
    "PGPASSWORD",
    "DATABASE_URL",
];

/// `DATABASE`, or `DATABASE-` to use it no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UseInput {
    Database(Typed),
    NoMore(String),
}

impl FromStr for UseInput {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_suffix('-') {
            Some(name) => Ok(Self::NoMore(name.to_owned())),
            None => text.parse().map(Self::Database),
        }
    }
}

/// A database that an app uses.
#[derive(Clone, Debug, PartialEq)]
pub struct Use {
    /// As it is found again: `pg`.
    pub database: String,
    /// Entries of the container's environment.
    pub env: Vec<Value>,
}

/// What `--use` found.
#[derive(Debug)]
pub struct Found {
    pub uses: Use,
    /// A password that stands openly in the database's pod: the app gets it from its own Secret.
    pub copied: Option<Hidden>,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// Finds a database of this namespace and where its login stands.
///
/// # Errors
/// No such database; one of another namespace, one that is not PostgreSQL, one without a Service.
pub async fn find(cluster: &Cluster, app: &str, typed: &Typed) -> Result<Found> {
    let namespace = cluster.namespace();
    if typed.namespace_in(cluster) != namespace {
        return Err(Error::usage("`--use` takes a database of the app's own namespace")
            .caused_by("an app cannot refer to a Secret of another namespace")
            .hint("for a database that is shared with you, ask its owner for a login and give it with `--secret PGPASSWORD`"));
    }
    let database = database::find(cluster, typed).await?;
    let name = printable::line(&database.name).into_owned();
    if database.protocol != Protocol::Postgres {
        return Err(Error::new(format!(
            "`{name}` does not look like PostgreSQL, and `--use` knows no other database"
        ))
        .hint(format!(
            "give the app its address and login yourself: `--env HOST={name} --secret PASSWORD`"
        )));
    }
    let Some(service) = database.service.clone() else {
        return Err(Error::new(format!(
            "`{name}` has no Service, so it has no lasting address"
        ))
        .hint(format!(
            "make one: `kubectl expose pod {name} --port {}{}`",
            database.port,
            cluster.here()
        )));
    };
    let references = database::references(cluster, &database).await?;
    let values = database::credentials(cluster, &database).await?;
    let mut notes = Vec::new();
    if matches!(references.password, Login::Absent) {
        notes.push(format!(
            "where the password of `{name}` stands is not known; give it with `--secret PGPASSWORD`"
        ));
    }
    let quotable = [&values.username, &values.dbname]
        .into_iter()
        .flatten()
        .all(|text| fits_a_url(text))
        && values
            .password
            .as_ref()
            .is_none_or(|password| fits_a_url(password.expose_secret()));
    if !quotable && matches!(references.uri, Login::Absent) {
        notes.push(format!("DATABASE_URL is not set: the login of `{name}` has characters that must be quoted in a URL; the variables PGHOST, PGUSER, ... are set"));
    }
    let copied = match &references.password {
        Login::Plain(password) => {
            notes.push(format!("the password of `{name}` stands openly in its pod; the app gets a copy in its Secret, which does not follow when it changes"));
            Some(Hidden::new(password.expose_secret().as_bytes().to_vec()))
        }
        _ => None,
    };
    Ok(Found {
        uses: Use {
            env: environment(app, &service, database.port, &references, quotable),
            database: name,
        },
        copied,
        notes,
    })
}

/// The entries of the environment; passwords by reference only.
fn environment(app: &str, host: &str, port: u16, login: &References, quotable: bool) -> Vec<Value> {
    let mut env = Vec::new();
    let plain = |name: &str, value: &str| json!({"name": name, "value": value});
    let by_key = |name: &str, secret: &str, key: &str| json!({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}});
    env.push(plain("PGHOST", host));
    env.push(plain("PGPORT", &port.to_string()));
    for (name, value) in [
        ("PGDATABASE", &login.dbname),
        ("PGUSER", &login.username),
        ("PGPASSWORD", &login.password),
    ] {
        match value {
            Login::Absent => {}
            // A copy in the app's own Secret.
            Login::Plain(_) if name == "PGPASSWORD" => env.push(by_key(name, app, name)),
            Login::Plain(value) => env.push(plain(name, &escaped(value.expose_secret()))),
            Login::Key { secret, key } => env.push(by_key(name, secret, key)),
        }
    }
    match &login.uri {
        Login::Key { secret, key } => env.push(by_key("DATABASE_URL", secret, key)),
        _ if quotable => {
            let user = match (&login.username, &login.password) {
                (Login::Absent, _) => "",
                (_, Login::Absent) => "$(PGUSER)@",
                _ => "$(PGUSER):$(PGPASSWORD)@",
            };
            let database = if matches!(login.dbname, Login::Absent) {
                ""
            } else {
                "$(PGDATABASE)"
            };
            env.push(plain(
                "DATABASE_URL",
                &format!("postgresql://{user}$(PGHOST):$(PGPORT)/{database}"),
            ));
        }
        _ => {}
    }
    env
}

/// `$(` in a value would be taken for a reference.
fn escaped(value: &str) -> String {
    value.replace("$(", "$$(")
}

/// Whether a text may stand in a URL as it is.
fn fits_a_url(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_login_is_referred_to_and_never_written() {
        let login = References {
            username: Login::Plain("shop".to_owned().into()),
            dbname: Login::Plain("shop".to_owned().into()),
            password: Login::Key {
                secret: "pg".into(),
                key: "password".into(),
            },
            uri: Login::Absent,
        };
        let env = environment("web", "pg", 5432, &login, true);
        assert_eq!(
            env,
            [
                json!({"name": "PGHOST", "value": "pg"}),
                json!({"name": "PGPORT", "value": "5432"}),
                json!({"name": "PGDATABASE", "value": "shop"}),
                json!({"name": "PGUSER", "value": "shop"}),
                json!({"name": "PGPASSWORD", "valueFrom": {"secretKeyRef": {"name": "pg", "key": "password"}}}),
                json!({"name": "DATABASE_URL", "value": "postgresql://$(PGUSER):$(PGPASSWORD)@$(PGHOST):$(PGPORT)/$(PGDATABASE)"}),
            ]
        );
        let names: Vec<&str> = env
            .iter()
            .filter_map(|entry| entry["name"].as_str())
            .collect();
        assert_eq!(names, VARIABLES, "what is set is what is taken away again");
    }

    #[test]
    fn an_open_password_is_not_written_again() {
        let login = References {
            password: Login::Plain("p@ss".to_owned().into()),
            ..References::default()
        };
        let env = environment("web", "pg", 5432, &login, false);
        assert_eq!(env.len(), 3, "{env:?}");
        assert_eq!(env[2]["valueFrom"]["secretKeyRef"]["name"], "web");
        assert!(!format!("{env:?}").contains("p@ss"));
    }

    #[test]
    fn what_a_url_cannot_carry() {
        assert!(fits_a_url("aZ9-_.~"));
        for text in ["p@ss", "a:b", "a/b", "a%20", "é", "a b"] {
            assert!(!fits_a_url(text), "{text}");
        }
        assert_eq!(escaped("a$(b)"), "a$$(b)");
    }
}
