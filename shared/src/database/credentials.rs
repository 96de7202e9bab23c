//! How one logs in to a database of one's own: learned from its pods' environment, read from the Secrets they name.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Secret};
use secrecy::SecretString;

use super::Database;
use crate::cluster::Cluster;
use crate::error::{Kind, Result};

/// How to log in, as far as it is known.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// The user.
    pub username: Option<String>,
    /// The database.
    pub dbname: Option<String>,
    /// The password.
    pub password: Option<SecretString>,
}

/// Where the credentials of a database are.
#[derive(Clone, Debug, Default)]
pub(crate) enum Source {
    /// Nowhere that is known.
    #[default]
    Unknown,
    /// In environment variables of its container, some of them read from Secrets.
    Environment {
        username: Value,
        dbname: Value,
        password: Value,
    },
    /// In the first of these Secrets that exists, under the keys that `CloudNativePG` uses (`username`, `dbname`, `password`).
    Secrets(Vec<String>),
}

/// The value of an environment variable, as a container declares it.
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// It is not set, or not in a way that can be followed.
    #[default]
    Absent,
    /// It stands in the pod's spec.
    Plain(SecretString),
    /// It is a key of a Secret.
    Key {
        /// The Secret's name.
        secret: String,
        /// The key.
        key: String,
    },
}

/// Where the credentials of a database stand, so that an app can be given them without a copy.
#[derive(Clone, Debug, Default)]
pub struct References {
    /// The user.
    pub username: Value,
    /// The database.
    pub dbname: Value,
    /// The password.
    pub password: Value,
    /// All of it as a URL, where somebody keeps one.
    pub uri: Value,
}

/// Where the credentials of a database of one's own stand; what only the database's finding tells (a default user) is plain.
///
/// # Errors
/// When the API server does not answer. Secrets that may not be read or do not exist are not referred to.
pub async fn references(cluster: &Cluster, database: &Database) -> Result<References> {
    let known = |text: &Option<String>| {
        text.as_ref()
            .map_or(Value::Absent, |text| Value::Plain(text.clone().into()))
    };
    let mut found = References {
        username: known(&database.username),
        dbname: known(&database.dbname),
        ..References::default()
    };
    match &database.source {
        Source::Unknown => {}
        Source::Environment {
            username,
            dbname,
            password,
        } => {
            for (to, from) in [
                (&mut found.username, username),
                (&mut found.dbname, dbname),
                (&mut found.password, password),
            ] {
                if !matches!(from, Value::Absent) {
                    *to = from.clone();
                }
            }
            // The images' own rule: the database is called like the user.
            if matches!(found.dbname, Value::Absent) {
                found.dbname = found.username.clone();
            }
        }
        Source::Secrets(names) => {
            for name in names {
                if let Some(secret) = readable(cluster, &database.namespace, name).await? {
                    let whole = text(&secret, "dbname").is_some_and(|dbname| dbname != "*");
                    for (to, key, usable) in [
                        (&mut found.username, "username", true),
                        (&mut found.dbname, "dbname", whole),
                        (&mut found.password, "password", true),
                        (&mut found.uri, "uri", whole),
                    ] {
                        if usable && text(&secret, key).is_some() {
                            *to = Value::Key {
                                secret: name.clone(),
                                key: key.into(),
                            };
                        }
                    }
                    break;
                }
            }
        }
    }
    Ok(found)
}

impl Value {
    /// The first of these variables that the container sets.
    fn of(container: &Container, names: &[&str]) -> Self {
        let variables = container.env.as_deref().unwrap_or_default();
        names
            .iter()
            .find_map(|name| variables.iter().find(|variable| variable.name == *name))
            .map(|variable| {
                match (
                    &variable.value,
                    variable
                        .value_from
                        .as_ref()
                        .and_then(|from| from.secret_key_ref.as_ref()),
                ) {
                    (Some(value), _) if !value.is_empty() => Self::Plain(value.clone().into()),
                    (_, Some(reference)) => Self::Key {
                        secret: reference.name.clone(),
                        key: reference.key.clone(),
                    },
                    _ => Self::Absent,
                }
            })
            .unwrap_or_default()
    }

    /// The value where it is no secret's.
    pub(crate) fn plain(&self) -> Option<String> {
        match self {
            Self::Plain(value) => Some(secrecy::ExposeSecret::expose_secret(value).to_owned()),
            _ => None,
        }
    }

    fn secret(&self) -> Option<&str> {
        match self {
            Self::Key { secret, .. } => Some(secret),
            _ => None,
        }
    }

    fn resolve(&self, secrets: &BTreeMap<String, Secret>) -> Option<SecretString> {
        match self {
            Self::Absent => None,
            Self::Plain(value) => Some(value.clone()),
            Self::Key { secret, key } => text(secrets.get(secret)?, key).map(Into::into),
        }
    }
}

/// What a container of a `PostgreSQL` image (the official one, or Bitnami's) says about logging in.
pub(super) fn from_container(container: &Container) -> Source {
    Source::Environment {
        username: Value::of(
            container,
            &[
                "POSTGRES_USER",
                "POSTGRESQL_USERNAME",
                "POSTGRESQL_USER",
                "PGUSER",
            ],
        ),
        dbname: Value::of(
            container,
            &[
                "POSTGRES_DB",
                "POSTGRES_DATABASE",
                "POSTGRESQL_DATABASE",
                "PGDATABASE",
            ],
        ),
        password: Value::of(
            container,
            &[
                "POSTGRES_PASSWORD",
                "POSTGRESQL_PASSWORD",
                "POSTGRESQL_POSTGRES_PASSWORD",
                "PGPASSWORD",
            ],
        ),
    }
}

/// The credentials of a database of one's own, read from Secrets where one may; for a shared one what its card says.
///
/// # Errors
/// When the API server does not answer. Secrets that may not be read or do not exist only leave the password out.
pub async fn credentials(cluster: &Cluster, database: &Database) -> Result<Credentials> {
    let mut found = Credentials {
        username: database.username.clone(),
        dbname: database.dbname.clone(),
        password: None,
    };
    match &database.source {
        Source::Unknown => {}
        Source::Environment {
            username,
            dbname,
            password,
        } => {
            let mut secrets = BTreeMap::new();
            for name in [username, dbname, password]
                .into_iter()
                .filter_map(Value::secret)
            {
                if !secrets.contains_key(name)
                    && let Some(secret) = readable(cluster, &database.namespace, name).await?
                {
                    secrets.insert(name.to_owned(), secret);
                }
            }
            let known = |value: &Value| {
                value
                    .resolve(&secrets)
                    .map(|text| secrecy::ExposeSecret::expose_secret(&text).to_owned())
            };
            found.password = password.resolve(&secrets);
            found.username = known(username).or(found.username);
            found.dbname = known(dbname).or(found.dbname);
        }
        Source::Secrets(names) => {
            for name in names {
                if let Some(secret) = readable(cluster, &database.namespace, name).await? {
                    found.password = text(&secret, "password").map(Into::into);
                    found.username = text(&secret, "username").or(found.username);
                    found.dbname = text(&secret, "dbname")
                        .filter(|dbname| dbname != "*")
                        .or(found.dbname);
                    break;
                }
            }
        }
    }
    Ok(found)
}

/// Fills in the user and the database of one's own database, where only a Secret tells them; the password is not kept.
///
/// # Errors
/// As [`credentials`].
pub async fn learn_names(cluster: &Cluster, database: &mut Database) -> Result<()> {
    if database.username.is_none() || database.dbname.is_none() {
        let found = credentials(cluster, database).await?;
        database.username = found.username;
        database.dbname = found.dbname;
    }
    Ok(())
}

/// A Secret, or nothing where there is none or it may not be read.
async fn readable(cluster: &Cluster, namespace: &str, name: &str) -> Result<Option<Secret>> {
    match cluster.find(namespace, name).await {
        Err(error) if error.kind() == Kind::Forbidden => Ok(None),
        other => other,
    }
}

/// A key of a Secret as text; nothing if it is no text or cannot be an environment variable.
fn text(secret: &Secret, key: &str) -> Option<String> {
    let bytes = &secret.data.as_ref()?.get(key)?.0;
    String::from_utf8(bytes.clone())
        .ok()
        .filter(|text| !text.is_empty() && !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_tells_where_its_password_is() {
        let container: Container = serde_json::from_value(serde_json::json!({"name": "pg", "env": [
            {"name": "POSTGRES_USER", "value": "shop"},
            {"name": "POSTGRES_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "pg-secret", "key": "password"}}},
        ]}))
        .expect("a container");
        let Source::Environment {
            username,
            dbname,
            password,
        } = from_container(&container)
        else {
            panic!("an environment")
        };
        assert_eq!(username.plain().as_deref(), Some("shop"));
        assert!(matches!(dbname, Value::Absent));
        assert!(
            matches!(password, Value::Key { secret, key } if secret == "pg-secret" && key == "password")
        );
    }
}
