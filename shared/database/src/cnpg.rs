//! The login of a `CloudNativePG` cluster: of the database that is used, which need not be the one that the operator made.
//!
//! The operator makes a database `app` with a Secret `CLUSTER-app`. INSEE's chart leaves that one alone and adds a `Database`
//! (often `defaultdb`) whose owner's login is in `CLUSTER-user`; Onyxia finds all of it in `discoverable-CLUSTER`.

use std::collections::BTreeSet;

use kube::core::ObjectMeta;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::credentials::References;
use super::read::read;
use super::variables::{Contents, Holder, Key, Known, Value, at};
use commons::cluster::{Cluster, if_allowed};
use commons::error::Result;

/// A database that the operator is told to make (postgresql.cnpg.io/v1), as far as it matters.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct DatabaseObject {
    #[serde(default)]
    metadata: ObjectMeta,
    #[serde(default)]
    spec: DatabaseSpec,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct DatabaseSpec {
    #[serde(default)]
    name: String,
    #[serde(default)]
    owner: String,
    #[serde(default)]
    cluster: ClusterRef,
    /// `present` where it says nothing.
    #[serde(default)]
    ensure: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct ClusterRef {
    #[serde(default)]
    name: String,
}

commons::resource!(
    DatabaseObject,
    "postgresql.cnpg.io",
    "v1",
    "Database",
    "databases"
);

/// Reads, all at once, what tells the login of a cluster.
///
/// # Errors
/// When the API server does not answer. What may not be read is known to be so then; `Database` objects, which the owners of a
/// namespace often may not see, are then as if there were none.
pub(super) async fn login(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
) -> Result<(References, Known)> {
    let mut known = Known::new();
    let secrets = BTreeSet::from(secrets(name));
    let (databases, read) = futures::join!(
        cluster.list::<DatabaseObject>(namespace, ""),
        read(cluster, namespace, secrets, &mut known)
    );
    read?;
    let databases: Vec<DatabaseSpec> = if_allowed(databases)?
        .into_iter()
        .flatten()
        .map(|database: DatabaseObject| database.spec)
        .collect();
    Ok((choose(name, &databases, &known), known))
}

/// The Secrets with a cluster's logins that are looked at: Onyxia's, INSEE's and the operator's.
pub(super) fn secrets(cluster: &str) -> [Holder; 3] {
    [
        format!("discoverable-{cluster}"),
        format!("{cluster}-user"),
        format!("{cluster}-app"),
    ]
    .map(Holder::Secret)
}

/// Whose login it is, by what was read.
fn choose(cluster: &str, databases: &[DatabaseSpec], known: &Known) -> References {
    let secrets = secrets(cluster);
    let [discoverable, user, app] = &secrets;
    let of_cluster: Vec<&DatabaseSpec> = databases
        .iter()
        .filter(|database| {
            database.cluster.name == cluster && database.ensure.as_deref() != Some("absent")
        })
        .collect();
    let is_there = |holder: &Holder| matches!(known.get(holder), Some(Contents::Data(_)));
    let hidden = secrets
        .iter()
        .find(|holder| matches!(known.get(*holder), Some(Contents::Unreadable)));
    if is_there(user) || is_there(discoverable) {
        return of_chart(discoverable, user, &of_cluster, known);
    }
    // One that may not be read may tell of another database.
    if is_there(app) && hidden.is_none() {
        return of_operator(app, known);
    }
    let unknown = || Value::Unknown(hidden.map(Holder::to_string));
    let (username, dbname) = match of_cluster[..] {
        [database] => (Value::of(&database.owner), Value::of(&database.name)),
        _ => (unknown(), unknown()),
    };
    References {
        username,
        dbname,
        password: unknown(),
        uri: Value::Absent,
    }
}

/// A key of a Secret, absent where there is none.
fn value(holder: &Holder, key: &str, known: &Known) -> Value {
    let key = Key {
        holder: holder.clone(),
        key: key.into(),
        is_file: false,
    };
    at(key, true, known).unwrap_or_default()
}

/// The login of the owner whom INSEE's chart makes, and the database that is this owner's.
fn of_chart(
    discoverable: &Holder,
    user: &Holder,
    databases: &[&DatabaseSpec],
    known: &Known,
) -> References {
    let is_key = |value: &Value| matches!(value, Value::Key(_));
    let of_user = ["username", "password"].map(|key| value(user, key, known));
    let [username, password] = if is_key(&of_user[0]) {
        of_user
    } else {
        ["postgres-username", "postgres-password"].map(|key| value(discoverable, key, known))
    };
    let login = username.text(known);
    let is_owner = |owner: &str| {
        login
            .as_ref()
            .is_some_and(|login| login.expose_secret() == owner)
    };
    let names: Vec<&str> = databases
        .iter()
        .filter(|database| is_owner(&database.owner))
        .map(|database| database.name.as_str())
        .collect();
    let told = [
        value(discoverable, "postgres-database", known),
        value(user, "dbname", known),
    ];
    let dbname = match names[..] {
        [name] => Value::of(name),
        _ => told
            .into_iter()
            .find(is_key)
            .unwrap_or(Value::Unknown(None)),
    };
    References {
        username: or_unknown(username),
        dbname,
        password: or_unknown(password),
        uri: Value::Absent,
    }
}

/// The login of the operator's own database, which is in use where nobody has made another one.
fn of_operator(app: &Holder, known: &Known) -> References {
    let told = |key: &str| value(app, key, known);
    References {
        username: or_unknown(told("username")),
        dbname: or_unknown(told("dbname")),
        password: or_unknown(told("password")),
        uri: told("uri"),
    }
}

/// A login has all of it, so what is not there is somewhere else.
fn or_unknown(value: Value) -> Value {
    match value {
        Value::Absent => Value::Unknown(None),
        value => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(entries: &[(&str, &str)]) -> Contents {
        let bytes = |(key, value): &(&str, &str)| ((*key).to_owned(), value.as_bytes().to_vec());
        Contents::Data(entries.iter().map(bytes).collect())
    }

    fn database(name: &str, owner: &str, cluster: &str) -> DatabaseSpec {
        DatabaseSpec {
            name: name.into(),
            owner: owner.into(),
            cluster: ClusterRef {
                name: cluster.into(),
            },
            ensure: None,
        }
    }

    const ALICE: &[(&str, &str)] = &[("username", "alice"), ("password", "tulip7")];
    const APP: &[(&str, &str)] = &[
        ("username", "app"),
        ("password", "rose5"),
        ("dbname", "app"),
        ("uri", "postgresql://app:rose5@rel-rw.ns:5432/app"),
    ];
    const FOUND: &[(&str, &str)] = &[
        ("postgres-username", "alice"),
        ("postgres-password", "tulip7"),
        ("postgres-database", "defaultdb"),
        // As the chart writes it: without base64, so these are the bytes that come out.
        ("postgres-port", "\u{e7}"),
    ];

    /// User, database, password and whether there is a URL.
    fn told(databases: &[DatabaseSpec], secrets: &[(&str, Contents)]) -> [String; 4] {
        let mut known = Known::new();
        for holder in super::secrets("rel") {
            known.insert(holder, Contents::Missing);
        }
        for (name, contents) in secrets {
            let contents = match contents {
                Contents::Data(data) => Contents::Data(data.clone()),
                Contents::Missing => Contents::Missing,
                Contents::Unreadable => Contents::Unreadable,
            };
            known.insert(Holder::Secret((*name).into()), contents);
        }
        let found = choose("rel", databases, &known);
        [&found.username, &found.dbname, &found.password, &found.uri].map(|value| {
            match (value, value.text(&known)) {
                (_, Some(text)) => text.expose_secret().to_owned(),
                (Value::Absent, _) => String::new(),
                _ => "?".to_owned(),
            }
        })
    }

    #[test]
    fn the_login_of_the_database_that_is_used() {
        let defaultdb = [database("defaultdb", "alice", "rel")];
        let both = [
            database("defaultdb", "alice", "rel"),
            database("other", "alice", "other"),
        ];
        let (user, app) = (("rel-user", data(ALICE)), ("rel-app", data(APP)));
        let found = ("discoverable-rel", data(FOUND));
        let chart = ["alice", "defaultdb", "tulip7", ""];
        // INSEE's chart, with what may be read of it.
        let all = [user, app, found];
        assert_eq!(told(&both, &all), chart);
        assert_eq!(told(&[], &all), chart);
        assert_eq!(told(&defaultdb, &all[..2]), chart);
        assert_eq!(told(&[], &all[1..]), chart);
        assert_eq!(told(&[], &all[..2]), ["alice", "?", "tulip7", ""]);
        // The operator alone.
        let uri = "postgresql://app:rose5@rel-rw.ns:5432/app";
        assert_eq!(told(&[], &all[1..2]), ["app", "app", "rose5", uri]);
        // Nothing that tells a password.
        assert_eq!(told(&defaultdb, &[]), ["alice", "defaultdb", "?", ""]);
        assert_eq!(told(&[], &[]), ["?", "?", "?", ""]);
        let hidden =
            ["discoverable-rel", "rel-user", "rel-app"].map(|name| (name, Contents::Unreadable));
        assert_eq!(told(&defaultdb, &hidden), ["alice", "defaultdb", "?", ""]);
        assert_eq!(told(&[], &hidden), ["?", "?", "?", ""]);
        let app_alone = [("rel-user", Contents::Unreadable), ("rel-app", data(APP))];
        assert_eq!(told(&[], &app_alone), ["?", "?", "?", ""]);
    }
}
