//! How the images of database servers are told user, password and database: by which variables, and what they do without.
//!
//! Sources: the entrypoints of the official images (docker-library) and `lib*.sh` of Bitnami's, and what their READMEs promise.

use std::path::Path;

use k8s_openapi::api::core::v1::{Container, PodSpec};

use super::Protocol;
use super::variables::{Known, Lookup, Value, Variables};

/// The variables of one protocol's images, in the order in which they win.
struct Names {
    user: &'static [&'static str],
    password: &'static [&'static str],
    dbname: &'static [&'static str],
    /// The user that there is where no other one is made, and the variables with its name and its password.
    admin: &'static str,
    admin_user: &'static [&'static str],
    admin_password: &'static [&'static str],
    /// Variables with the values by which a server wants no password.
    open: &'static [(&'static str, &'static [&'static str])],
}

const YES: &[&str] = &["yes", "true", "1"];

const POSTGRES: Names = Names {
    user: &["POSTGRES_USER", "POSTGRESQL_USERNAME", "POSTGRESQL_USER"],
    password: &["POSTGRES_PASSWORD", "POSTGRESQL_PASSWORD"],
    dbname: &["POSTGRES_DB", "POSTGRES_DATABASE", "POSTGRESQL_DATABASE"],
    admin: "postgres",
    admin_user: &[],
    admin_password: &[
        "POSTGRES_PASSWORD",
        "POSTGRESQL_PASSWORD",
        "POSTGRESQL_POSTGRES_PASSWORD",
        "POSTGRES_POSTGRES_PASSWORD",
    ],
    open: &[
        ("POSTGRES_HOST_AUTH_METHOD", &["trust"]),
        ("ALLOW_EMPTY_PASSWORD", YES),
    ],
};

/// What other images of `PostgreSQL` read: Crunchy's, Zalando's and those that use libpq's own variables.
const OTHER_POSTGRES: Names = Names {
    user: &[
        "POSTGRES_USER",
        "POSTGRESQL_USERNAME",
        "POSTGRESQL_USER",
        "PGUSER",
        "PGUSER_SUPERUSER",
    ],
    password: &[
        "POSTGRES_PASSWORD",
        "POSTGRESQL_PASSWORD",
        "PGPASSWORD",
        "PGPASSWORD_SUPERUSER",
    ],
    dbname: &[
        "POSTGRES_DB",
        "POSTGRES_DATABASE",
        "POSTGRESQL_DATABASE",
        "PGDATABASE",
    ],
    ..POSTGRES
};

const MYSQL: Names = Names {
    user: &["MARIADB_USER", "MYSQL_USER"],
    password: &["MARIADB_PASSWORD", "MYSQL_PASSWORD"],
    dbname: &["MARIADB_DATABASE", "MYSQL_DATABASE"],
    admin: "root",
    admin_user: &["MARIADB_ROOT_USER", "MYSQL_ROOT_USER"],
    admin_password: &["MARIADB_ROOT_PASSWORD", "MYSQL_ROOT_PASSWORD"],
    open: &[
        ("MARIADB_ALLOW_EMPTY_ROOT_PASSWORD", YES),
        ("MYSQL_ALLOW_EMPTY_PASSWORD", YES),
        ("ALLOW_EMPTY_PASSWORD", YES),
    ],
};

const MONGODB: Names = Names {
    user: &["MONGO_INITDB_ROOT_USERNAME", "MONGODB_USERNAME"],
    password: &["MONGO_INITDB_ROOT_PASSWORD", "MONGODB_PASSWORD"],
    dbname: &["MONGO_INITDB_DATABASE", "MONGODB_DATABASE"],
    admin: "root",
    admin_user: &["MONGODB_ROOT_USER"],
    admin_password: &["MONGODB_ROOT_PASSWORD"],
    open: &[],
};

const REDIS: Names = Names {
    user: &[],
    password: &["REDIS_PASSWORD", "VALKEY_PASSWORD"],
    dbname: &[],
    admin: "",
    admin_user: &[],
    admin_password: &["REDIS_PASSWORD", "VALKEY_PASSWORD"],
    open: &[],
};

/// Whose image it is, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Maker {
    Official,
    Bitnami,
    /// What it sets itself is not known, so neither is what it does without a variable.
    Other,
}

/// A container of a database, as its image reads it.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    variables: Variables,
    protocol: Protocol,
    maker: Maker,
}

impl Image {
    /// Nothing for protocols whose images are not known.
    pub(super) fn new(
        container: &Container,
        pod: Option<&PodSpec>,
        protocol: Protocol,
    ) -> Option<Self> {
        let image = container.image.as_deref().unwrap_or_default();
        let is_bitnami = image.contains("bitnami")
            || container
                .env
                .iter()
                .flatten()
                .any(|variable| variable.name == "BITNAMI_DEBUG");
        let maker = match Protocol::of_image(image) {
            Some(of_image) if of_image == protocol && is_bitnami => Maker::Bitnami,
            Some(of_image) if of_image == protocol => Maker::Official,
            _ => Maker::Other,
        };
        let image = Self {
            variables: Variables::of(container, pod),
            protocol,
            maker,
        };
        image.names().map(|_| image)
    }

    pub(super) fn variables(&self) -> &Variables {
        &self.variables
    }

    fn names(&self) -> Option<&'static Names> {
        match (self.protocol, self.maker) {
            (Protocol::Postgres, Maker::Other) => Some(&OTHER_POSTGRES),
            (Protocol::Postgres, _) => Some(&POSTGRES),
            (Protocol::Mysql, _) => Some(&MYSQL),
            (Protocol::Mongodb, _) => Some(&MONGODB),
            (Protocol::Redis, _) => Some(&REDIS),
            (Protocol::Http | Protocol::Other, _) => None,
        }
    }

    /// The user to log in as.
    pub(super) fn username(&self, known: &Known) -> Lookup {
        let Some(names) = self.names().filter(|names| !names.admin.is_empty()) else {
            return Ok(Value::Absent);
        };
        match self.variables.first(names.user, known)? {
            Value::Absent => self.admin(names, known),
            set => Ok(set),
        }
    }

    /// The user that there is without any variable.
    fn admin(&self, names: &Names, known: &Known) -> Lookup {
        let set = self.variables.first(names.admin_user, known)?;
        if !matches!(set, Value::Absent) {
            return Ok(set);
        }
        if self.maker == Maker::Other {
            return Ok(Value::Unknown(None));
        }
        // MongoDB has users only where they are asked for.
        if self.protocol == Protocol::Mongodb {
            return Ok(match self.variables.first(names.admin_password, known)? {
                Value::Absent => Value::Absent,
                Value::Unknown(place) => Value::Unknown(place),
                Value::Plain(_) | Value::Key(_) => Value::of(names.admin),
            });
        }
        Ok(Value::of(names.admin))
    }

    /// The database that is made for that user.
    pub(super) fn dbname(&self, known: &Known) -> Lookup {
        let Some(names) = self.names() else {
            return Ok(Value::Absent);
        };
        let set = self.variables.first(names.dbname, known)?;
        match (&set, self.protocol, self.maker) {
            (Value::Absent, Protocol::Postgres, Maker::Official) => self.username(known),
            (Value::Absent, Protocol::Postgres, Maker::Bitnami) => Ok(Value::of("postgres")),
            (Value::Absent, Protocol::Postgres | Protocol::Mysql, Maker::Other) => {
                Ok(Value::Unknown(None))
            }
            _ => Ok(set),
        }
    }

    /// That user's password; absent where surely none is wanted.
    pub(super) fn password(&self, known: &Known) -> Lookup {
        let Some(names) = self.names() else {
            return Ok(Value::Absent);
        };
        if self.protocol == Protocol::Redis {
            return self.redis_password(names, known);
        }
        let of_user = match self.variables.first(names.user, known)? {
            Value::Absent => names.admin_password,
            _ => names.password,
        };
        let password = self.variables.first(of_user, known)?;
        if !matches!(password, Value::Absent) {
            return Ok(password);
        }
        for (name, values) in names.open {
            let value = self.variables.value(name, known)?.text(known);
            let is_open = |value: &str| values.iter().any(|open| open.eq_ignore_ascii_case(value));
            if value.is_some_and(|value| is_open(secrecy::ExposeSecret::expose_secret(&value))) {
                return Ok(Value::Absent);
            }
        }
        let is_open = self.protocol == Protocol::Mongodb && self.maker != Maker::Other;
        Ok(if is_open {
            Value::Absent
        } else {
            Value::Unknown(None)
        })
    }

    /// `--requirepass` of the command, else Bitnami's variables. A file of settings may hold anything.
    fn redis_password(&self, names: &Names, known: &Known) -> Lookup {
        let container = &self.variables.container;
        let words = container
            .command
            .iter()
            .chain(&container.args)
            .flatten()
            // A script for a shell is one argument.
            .flat_map(|argument| argument.split_whitespace());
        let words: Vec<&str> = words.map(|word| word.trim_matches(['"', '\''])).collect();
        if let Some(position) = words.iter().position(|word| *word == "--requirepass") {
            return match words.get(position + 1) {
                Some(word) => self.redis_word(word, known),
                None => Ok(Value::Unknown(None)),
            };
        }
        let password = self.variables.first(names.password, known)?;
        let has_settings = words.iter().any(|word| is_settings(word));
        Ok(match password {
            Value::Absent if has_settings || self.maker == Maker::Other => Value::Unknown(None),
            password => password,
        })
    }

    /// A word of a command: itself, or a variable in Kubernetes' or a shell's spelling.
    fn redis_word(&self, word: &str, known: &Known) -> Lookup {
        let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let variable = word
            .strip_prefix('$')
            .map(|word| word.trim_matches(['{', '}']))
            .filter(|word| !word.is_empty() && word.chars().all(name));
        match variable {
            // What is not set here, the script may have set before.
            Some(variable) => Ok(match self.variables.first(&[variable], known)? {
                Value::Absent => Value::Unknown(None),
                set => set,
            }),
            None if word.contains(['`', ';', '&', '|']) || word.contains("$(cat") => {
                Ok(Value::Unknown(None))
            }
            None => self.variables.argument(word, known),
        }
    }

    /// Whether the server's password has no line break though the variable's value ends in one: the official image gives it to
    /// `initdb --pwfile`, which reads one line.
    pub(super) fn drops_line_break(&self) -> bool {
        self.protocol == Protocol::Postgres && self.maker == Maker::Official
    }
}

/// Whether a word of a command is a file of settings: `/etc/redis/redis.conf`.
fn is_settings(word: &str) -> bool {
    Path::new(word)
        .extension()
        .is_some_and(|extension| extension == "conf")
}
