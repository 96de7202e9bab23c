//! `--use DATABASE`: the database's login in the app's environment, by reference to where it stands.

use std::str::FromStr;

use commons::shell::shell;
use commons::{Cluster, Error, Result, printable};
use database::{
    self, Database, DatabaseRef, Field, Holder, Key, Location, Note, Outside, Protocol, References,
    Value as Login,
};
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
    Database(DatabaseRef),
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
pub struct FoundLogin {
    pub uses: Use,
    /// A password that stands openly in the database's pod: the app gets it from its own Secret.
    pub copied: Option<Hidden>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Finds a database of this namespace and where its login stands. Of variables that are given beside it nothing is missed.
///
/// # Errors
/// No such database; one of another namespace, one that is not PostgreSQL, one without a Service.
pub async fn find(
    cluster: &Cluster,
    app: &str,
    typed: &DatabaseRef,
    is_given: impl Fn(&str) -> bool,
) -> Result<FoundLogin> {
    let namespace = cluster.namespace();
    if typed.namespace_in(cluster) != namespace {
        return Err(Error::usage("`--use` takes a database of the app's own namespace")
            .caused_by("an app cannot refer to a Secret of another namespace")
            .hint("for a database that is shared with you, ask its owner for a login and give it with `--secret PGPASSWORD`"));
    }
    match database::locate(cluster, typed).await? {
        Location::Inside(database) => inside(cluster, app, &database, is_given).await,
        Location::Outside(outside) => of_outside(app, &typed.name, &outside, is_given),
    }
}

/// A database of the cluster, whose login is looked for.
async fn inside(
    cluster: &Cluster,
    app: &str,
    database: &Database,
    is_given: impl Fn(&str) -> bool,
) -> Result<FoundLogin> {
    let name = printable::line(&database.name).into_owned();
    refuse_others(&name, database.protocol)?;
    let Some(service) = database.service.clone() else {
        return Err(Error::new(format!(
            "`{name}` has no Service, so it has no lasting address"
        ))
        .hint(format!(
            "make one: `{}`",
            shell("kubectl expose pod")
                .arg(&database.name)
                .then("--port")
                .arg(database.port)
                .option("-n", cluster.named())
        )));
    };
    let (values, references) = database::login(cluster, database).await?;
    let mut warnings: Vec<String> = unknown(&name, &references, is_given)
        .chain(line_breaks(&values.notes))
        .collect();
    // A line break has its own note.
    let fits = |text: &str| fits_a_url(text.trim_end_matches(['\n', '\r']));
    let has_line_break = values
        .notes
        .iter()
        .any(|note| matches!(note, Note::LineBreak { .. }));
    let is_url_told = !matches!(references.uri, Login::Absent);
    let is_plain = [&values.username, &values.dbname]
        .into_iter()
        .flatten()
        .all(|text| fits(text))
        && values
            .password
            .as_ref()
            .is_none_or(|password| fits(password.expose_secret()));
    if has_line_break && !is_url_told {
        warnings.push("DATABASE_URL is not set: a URL cannot hold a line break".into());
    } else if !is_plain && !is_url_told {
        warnings.push(format!("DATABASE_URL is not set: the login of `{name}` has characters that must be quoted in a URL; the variables PGHOST, PGUSER, ... are set"));
    }
    let copied = match &references.password {
        Login::Plain(password) => {
            warnings.push(format!("the password of `{name}` is in plain text in its pod spec; the app gets a copy in its Secret, which does not follow when it changes"));
            Some(Hidden::new(password.expose_secret().as_bytes().to_vec()))
        }
        _ => None,
    };
    let quotable = is_plain && !has_line_break;
    Ok(FoundLogin {
        uses: Use {
            env: environment(app, &service, database.port, &references, quotable),
            database: name,
        },
        copied,
        warnings,
    })
}

/// A database outside the cluster: the Service is a lasting address for it, and nothing here knows its login.
fn of_outside(
    app: &str,
    typed: &str,
    outside: &Outside,
    is_given: impl Fn(&str) -> bool,
) -> Result<FoundLogin> {
    let name = printable::line(typed).into_owned();
    refuse_others(&name, outside.protocol)?;
    let references = References {
        username: Login::Unknown(None),
        dbname: Login::Unknown(None),
        password: Login::Unknown(None),
        uri: Login::Absent,
    };
    let port = outside.port.unwrap_or(5432);
    Ok(FoundLogin {
        warnings: unknown(&name, &references, is_given).collect(),
        uses: Use {
            env: environment(app, &outside.service, port, &references, false),
            database: name,
        },
        copied: None,
    })
}

fn refuse_others(name: &str, protocol: Protocol) -> Result<()> {
    if protocol == Protocol::Postgres {
        return Ok(());
    }
    Err(Error::new(format!(
        "`{name}` does not look like PostgreSQL, and `--use` knows no other database"
    ))
    .hint(format!(
        "give the app its address and login yourself: `--env HOST={name} --secret PASSWORD`"
    )))
}

/// What the app does not get, with the flag by which it does.
fn unknown(
    name: &str,
    login: &References,
    is_given: impl Fn(&str) -> bool,
) -> impl Iterator<Item = String> {
    let parts = [
        (Field::User, &login.username, "PGUSER", "--env PGUSER=USER"),
        (
            Field::Database,
            &login.dbname,
            "PGDATABASE",
            "--env PGDATABASE=DATABASE",
        ),
        (
            Field::Password,
            &login.password,
            "PGPASSWORD",
            "--secret PGPASSWORD",
        ),
    ];
    parts
        .into_iter()
        .filter_map(move |(field, value, variable, flag)| {
            let place = match value {
                Login::Unknown(Some(place)) => format!(" (it may be in {place})"),
                Login::Unknown(None) => String::new(),
                Login::Absent | Login::Plain(_) | Login::Key(_) => return None,
            };
            (!is_given(variable)).then(|| {
                format!("the {field} of `{name}` is not known{place}; give it with `{flag}`")
            })
        })
}

/// Line breaks that the app gets with a value, since it gets it by reference.
fn line_breaks(notes: &[Note]) -> impl Iterator<Item = String> {
    notes.iter().filter_map(|note| match note {
        Note::LineBreak {
            field,
            key,
            is_left_out,
        } => {
            let gets = format!("the value of {key} ends in a line break: the app gets it too");
            Some(if *is_left_out {
                format!(
                    "{gets}, and the server has the {field} without one; store the value without it (`printf` in place of `echo`)"
                )
            } else {
                format!("{gets}, as a part of the {field}")
            })
        }
        Note::Unknown { .. } => None,
    })
}

/// The entries of the environment; passwords by reference only.
fn environment(app: &str, host: &str, port: u16, login: &References, quotable: bool) -> Vec<Value> {
    let mut env = Vec::new();
    let plain = |name: &str, value: &str| json!({"name": name, "value": value});
    env.push(plain("PGHOST", host));
    env.push(plain("PGPORT", &port.to_string()));
    for (name, value) in [
        ("PGDATABASE", &login.dbname),
        ("PGUSER", &login.username),
        ("PGPASSWORD", &login.password),
    ] {
        match value {
            Login::Absent | Login::Unknown(_) => {}
            // A copy in the app's own Secret.
            Login::Plain(_) if name == "PGPASSWORD" => env.push(by_key(name, &own_key(app, name))),
            Login::Plain(value) => env.push(plain(name, &escaped(value.expose_secret()))),
            Login::Key(key) => env.push(by_key(name, key)),
        }
    }
    let is_known = |value: &Login| matches!(value, Login::Plain(_) | Login::Key(_));
    match &login.uri {
        Login::Key(key) => env.push(by_key("DATABASE_URL", key)),
        // A URL without the user would mean another one.
        _ if quotable && is_known(&login.username) => {
            let password = if is_known(&login.password) {
                ":$(PGPASSWORD)"
            } else {
                ""
            };
            let database = if is_known(&login.dbname) {
                "$(PGDATABASE)"
            } else {
                ""
            };
            env.push(plain(
                "DATABASE_URL",
                &format!("postgresql://$(PGUSER){password}@$(PGHOST):$(PGPORT)/{database}"),
            ));
        }
        _ => {}
    }
    env
}

fn own_key(app: &str, name: &str) -> Key {
    Key {
        holder: Holder::Secret(app.to_owned()),
        key: name.to_owned(),
        is_file: false,
    }
}

/// A variable whose value stands elsewhere.
fn by_key(name: &str, key: &Key) -> Value {
    let (field, holder) = match &key.holder {
        Holder::Secret(secret) => ("secretKeyRef", secret),
        Holder::ConfigMap(map) => ("configMapKeyRef", map),
    };
    json!({"name": name, "valueFrom": {field: {"name": holder, "key": key.key}}})
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
            password: Login::Key(own_key("pg", "password")),
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
    fn what_is_not_known_is_said_and_not_made_up() {
        let login = References {
            username: Login::Unknown(Some("configmap `settings`".into())),
            dbname: Login::Key(Key {
                holder: Holder::ConfigMap("settings".into()),
                ..own_key("", "database")
            }),
            password: Login::Unknown(None),
            uri: Login::Absent,
        };
        assert_eq!(
            environment("web", "pg", 5432, &login, true)[2..],
            [
                json!({"name": "PGDATABASE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "database"}}})
            ]
        );
        assert_eq!(
            unknown("pg", &login, |name| name == "PGDATABASE").collect::<Vec<_>>(),
            [
                "the user of `pg` is not known (it may be in configmap `settings`); give it with `--env PGUSER=USER`",
                "the password of `pg` is not known; give it with `--secret PGPASSWORD`",
            ]
        );
        assert_eq!(unknown("pg", &References::default(), |_| false).count(), 0);
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
