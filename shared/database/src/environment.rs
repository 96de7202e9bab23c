//! The environment of a command that runs beside a tunnel: with it a client reaches the tunnel or nothing.
//!
//! Client libraries read servers, logins and secrets from variables, and those that the user has are for another database: on
//! Onyxia every service has PGHOST, PGUSER and PGPASSWORD of the user's own. Mixed with the tunnel's they would send the
//! user's password to somebody else's server, or somebody else's commands to the user's own database.

use secrecy::{ExposeSecret, SecretString};

use super::{Credentials, Database, Protocol};
use commons::printable;

/// What libpq reads that names a server, a login, a secret, or a file that belongs to one of them (`PostgreSQL` 18,
/// "Environment Variables"). What says how to connect rather than where or as whom (PGSSLMODE, `PGCONNECT_TIMEOUT`) stays.
const LIBPQ: &[&str] = &[
    "PGDATABASE",
    "PGGSSDELEGATION",
    "PGHOST",
    "PGHOSTADDR",
    "PGKRBSRVNAME",
    "PGLOADBALANCEHOSTS",
    "PGOPTIONS",
    "PGPASSFILE",
    "PGPASSWORD",
    "PGPORT",
    "PGREQUIREAUTH",
    "PGREQUIREPEER",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGSSLCERT",
    "PGSSLCRL",
    "PGSSLCRLDIR",
    "PGSSLKEY",
    "PGSSLROOTCERT",
    "PGSYSCONFDIR",
    "PGTARGETSESSIONATTRS",
    "PGUSER",
];

/// Parts of a variable's name that tell that it is a server, a login or a secret.
const TELLING: &[&str] = &[
    "ADDR", "AUTH", "CERT", "CLUSTER", "DATABASE", "DB", "DSN", "HOST", "KEY", "LOGIN", "NODE",
    "PASS", "PORT", "PWD", "SECRET", "SENTINEL", "SOCKET", "TOKEN", "URI", "URL", "USER",
];

/// A file that cannot be there, and that nobody can put there: libpq and libmysqlclient go on without a word.
const NO_FILE: &str = if cfg!(windows) {
    r"NUL\none"
} else {
    "/dev/null/none"
};

/// What keeps the clients of somebody else's database from the secrets that lie in the user's home. Cleartext passwords and
/// those that MD5 hides badly are not for somebody else's server (libpq 16; older ones do not know that variable).
const GUARDS: &[(&str, &str)] = &[
    ("PGPASSFILE", NO_FILE),
    ("PGSSLCERT", NO_FILE),
    ("PGREQUIREAUTH", "scram-sha-256,md5,none"),
    ("MYSQL_TEST_LOGIN_FILE", NO_FILE),
];

/// The variables by which the clients of a protocol are told of a database.
struct Names {
    /// How those begin that belong to this protocol.
    prefixes: &'static [&'static str],
    host: &'static [&'static str],
    port: &'static [&'static str],
    dbname: &'static [&'static str],
    username: &'static [&'static str],
    password: &'static [&'static str],
    url: &'static [&'static str],
    scheme: &'static str,
}

const UNKNOWN: Names = Names {
    prefixes: &[],
    host: &[],
    port: &[],
    dbname: &[],
    username: &[],
    password: &[],
    url: &[],
    scheme: "",
};

impl Names {
    const fn of(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Postgres => Self {
                prefixes: &["POSTGRES_", "POSTGRESQL_"],
                dbname: &["PGDATABASE"],
                username: &["PGUSER"],
                password: &["PGPASSWORD"],
                url: &["DATABASE_URL"],
                scheme: "postgresql",
                ..UNKNOWN
            },
            Protocol::Mysql => Self {
                prefixes: &["MYSQL_", "MARIADB_", "LIBMYSQL_"],
                host: &["MYSQL_HOST"],
                port: &["MYSQL_TCP_PORT"],
                dbname: &["MYSQL_DATABASE"],
                username: &["MYSQL_USER"],
                password: &["MYSQL_PWD"],
                url: &["DATABASE_URL"],
                scheme: "mysql",
            },
            Protocol::Redis => Self {
                prefixes: &["REDIS_", "REDISCLI_", "VALKEY_", "VALKEYCLI_"],
                host: &["REDIS_HOST"],
                port: &["REDIS_PORT"],
                password: &["REDISCLI_AUTH"],
                url: &["REDIS_URL"],
                scheme: "redis",
                ..UNKNOWN
            },
            Protocol::Mongodb => Self {
                prefixes: &["MONGO_", "MONGODB_"],
                url: &["MONGODB_URI"],
                scheme: "mongodb",
                ..UNKNOWN
            },
            Protocol::Http => Self {
                prefixes: &[
                    "CLICKHOUSE_",
                    "ELASTIC_",
                    "ELASTICSEARCH_",
                    "ES_",
                    "OPENSEARCH_",
                ],
                url: &["ELASTICSEARCH_URL", "OPENSEARCH_URL", "CLICKHOUSE_URL"],
                scheme: "http",
                ..UNKNOWN
            },
            Protocol::Other => UNKNOWN,
        }
    }
}

/// What a command's environment gets and what it loses. What it gets is held as a secret, since some of it is.
#[derive(Debug)]
pub struct Environment {
    protocol: Protocol,
    known: Vec<(&'static str, SecretString)>,
    guards: &'static [(&'static str, &'static str)],
    keeps: bool,
}

/// The environment of a command that is to reach this database at a local address. `is_foreign` if it is somebody else's, who
/// decides what answers there.
pub fn environment(
    database: &Database,
    credentials: &Credentials,
    host: &str,
    port: u16,
    is_foreign: bool,
) -> Environment {
    let names = Names::of(database.protocol);
    let mut known: Vec<(&'static str, SecretString)> = Vec::new();
    let mut set = |names: &[&'static str], value: Option<&str>| {
        for (name, value) in names.iter().zip(value.into_iter().cycle()) {
            known.push((name, SecretString::from(value.to_owned())));
        }
    };
    let number = port.to_string();
    // Whatever the database is: a program of PostgreSQL's finds the tunnel or nothing.
    set(&["PGHOST"], Some(host));
    set(&["PGPORT"], Some(&number));
    set(names.host, Some(host));
    set(names.port, Some(&number));
    set(names.dbname, login_name(credentials.dbname.as_ref()));
    set(names.username, login_name(credentials.username.as_ref()));
    let password = credentials.password.as_ref();
    set(names.password, password.map(ExposeSecret::expose_secret));
    set(
        names.url,
        Some(&url(
            database.protocol,
            names.scheme,
            credentials,
            host,
            port,
        )),
    );
    Environment {
        protocol: database.protocol,
        known,
        guards: if is_foreign { GUARDS } else { &[] },
        keeps: false,
    }
}

impl Environment {
    /// For a user who means what his environment says: nothing of it is lost, though what is known comes before it.
    #[must_use]
    pub fn keeping_the_users(self) -> Self {
        Self {
            guards: &[],
            keeps: true,
            ..self
        }
    }

    /// What is set.
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let known = self.known.iter();
        known
            .map(|(name, value)| (*name, value.expose_secret()))
            .chain(self.guards.iter().copied())
    }

    /// Whether a variable of this name is not passed on. What the kubelet sets for each Service (`PG_SERVICE_HOST`,
    /// `PG_PORT_5432_TCP_ADDR`) is: no client takes that for a login.
    pub fn removes(&self, name: &str) -> bool {
        let name = if cfg!(windows) {
            name.to_ascii_uppercase()
        } else {
            name.to_owned()
        };
        let of_protocol = || {
            let rest = Names::of(self.protocol)
                .prefixes
                .iter()
                .find_map(|prefix| name.strip_prefix(prefix));
            rest.is_some_and(|rest| {
                TELLING.iter().any(|part| rest.contains(part))
                    && !name.contains("_SERVICE_")
                    && !name.contains("_TCP_")
                    && !name.ends_with("_TCP")
            })
        };
        !self.keeps && (LIBPQ.contains(&&*name) || name == "DATABASE_URL" || of_protocol())
    }

    /// The names of what a user has set and the command does not get, sorted; not of what is only replaced.
    pub fn left_out<'a>(&self, users: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<String> {
        let is_replaced = |name: &str| self.known.iter().any(|(known, _)| *known == name);
        let mut names: Vec<String> = users
            .into_iter()
            // An address of the kubelet's, as above.
            .filter(|(_, value)| !value.is_empty() && !value.starts_with("tcp://"))
            .map(|(name, _)| name)
            .filter(|name| self.removes(name) && !is_replaced(name))
            .map(|name| printable::short(name, 60))
            .collect();
        names.sort();
        names
    }
}

/// The name of a user or database, as far as it can be one: programs of `PostgreSQL`'s take a "database name" with `=` or
/// `://` for a whole connection string, which can name another server, and the server cuts names at 63 bytes.
pub fn login_name(name: Option<&String>) -> Option<&str> {
    let name = name?.as_str();
    let is_name = !name.is_empty()
        && name.len() <= 63
        && !name.contains('=')
        && !name.contains("://")
        && printable::line(name) == name;
    is_name.then_some(name)
}

/// The database as one URL.
fn url(
    protocol: Protocol,
    scheme: &str,
    credentials: &Credentials,
    host: &str,
    port: u16,
) -> String {
    let quoted = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let username = login_name(credentials.username.as_ref()).map(quoted);
    let password = credentials
        .password
        .as_ref()
        .map(|password| quoted(password.expose_secret()));
    let login_part = match (username, password) {
        (Some(user), Some(password)) => format!("{user}:{password}@"),
        // Clients of the others take a user without a password for a mistake.
        (Some(user), None) if matches!(protocol, Protocol::Postgres | Protocol::Mysql) => {
            format!("{user}@")
        }
        (None, Some(password)) if protocol == Protocol::Redis => format!(":{password}@"),
        _ => String::new(),
    };
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    let path = match protocol {
        Protocol::Http | Protocol::Redis => String::new(),
        _ => login_name(credentials.dbname.as_ref())
            .map(quoted)
            .unwrap_or_default(),
    };
    // A member of a replica set tells its clients where the others are, which is not through the tunnel.
    let query = if protocol == Protocol::Mongodb {
        "?directConnection=true"
    } else {
        ""
    };
    format!("{scheme}://{login_part}{host}:{port}/{path}{query}")
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    fn known() -> Credentials {
        Credentials {
            username: Some("al ice".into()),
            dbname: Some("a/b".into()),
            password: Some("p@ss:w/rd%".to_owned().into()),
            notes: Vec::new(),
        }
    }

    fn of(protocol: Protocol, credentials: &Credentials, is_foreign: bool) -> Environment {
        let database = Database {
            protocol,
            ..example()
        };
        environment(&database, credentials, "127.0.0.1", 15432, is_foreign)
    }

    fn shown(environment: &Environment) -> String {
        environment
            .variables()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn everything_that_is_known_is_set() {
        let tunnel = "PGHOST=127.0.0.1 PGPORT=15432";
        for (protocol, expected) in [
            (
                Protocol::Postgres,
                "PGDATABASE=a/b PGUSER=al ice PGPASSWORD=p@ss:w/rd% DATABASE_URL=postgresql://al%20ice:p%40ss%3Aw%2Frd%25@127.0.0.1:15432/a%2Fb",
            ),
            (
                Protocol::Mysql,
                "MYSQL_HOST=127.0.0.1 MYSQL_TCP_PORT=15432 MYSQL_DATABASE=a/b MYSQL_USER=al ice MYSQL_PWD=p@ss:w/rd% DATABASE_URL=mysql://al%20ice:p%40ss%3Aw%2Frd%25@127.0.0.1:15432/a%2Fb",
            ),
            (
                Protocol::Redis,
                "REDIS_HOST=127.0.0.1 REDIS_PORT=15432 REDISCLI_AUTH=p@ss:w/rd% REDIS_URL=redis://al%20ice:p%40ss%3Aw%2Frd%25@127.0.0.1:15432/",
            ),
            (
                Protocol::Mongodb,
                "MONGODB_URI=mongodb://al%20ice:p%40ss%3Aw%2Frd%25@127.0.0.1:15432/a%2Fb?directConnection=true",
            ),
            (
                Protocol::Http,
                "ELASTICSEARCH_URL=http://al%20ice:p%40ss%3Aw%2Frd%25@127.0.0.1:15432/ OPENSEARCH_URL=http://al%20ice:p%40ss%3Aw%2Frd%25@127.0.0.1:15432/ CLICKHOUSE_URL=http://al%20ice:p%40ss%3Aw%2Frd%25@127.0.0.1:15432/",
            ),
            (Protocol::Other, ""),
        ] {
            assert_eq!(
                shown(&of(protocol, &known(), false)),
                format!("{tunnel} {expected}").trim_end()
            );
        }
    }

    #[test]
    fn what_is_not_known_is_not_invented() {
        let nothing = Credentials::default();
        for (protocol, url) in [
            (
                Protocol::Postgres,
                "DATABASE_URL=postgresql://127.0.0.1:15432/",
            ),
            (Protocol::Redis, "REDIS_URL=redis://127.0.0.1:15432/"),
            (
                Protocol::Mongodb,
                "MONGODB_URI=mongodb://127.0.0.1:15432/?directConnection=true",
            ),
        ] {
            let shown = shown(&of(protocol, &nothing, false));
            assert!(shown.ends_with(url), "{shown}");
            assert!(!shown.contains("PASS") && !shown.contains("AUTH") && !shown.contains("USER"));
        }
        let user = Credentials {
            username: Some("bob".into()),
            ..nothing
        };
        assert!(
            shown(&of(Protocol::Postgres, &user, true)).contains("postgresql://bob@127.0.0.1:")
        );
        assert!(shown(&of(Protocol::Mongodb, &user, true)).contains("mongodb://127.0.0.1:"));
    }

    #[test]
    fn an_address_of_ipv6_stands_in_brackets() {
        let environment = environment(&example(), &known(), "::1", 5432, false);
        assert!(
            shown(&environment).contains("@[::1]:5432/"),
            "{environment:?}"
        );
    }

    #[test]
    fn a_name_that_is_a_connection_string_is_none() {
        let credentials = Credentials {
            username: Some("x".repeat(64)),
            dbname: Some("host=127.0.0.9 user=bob dbname=prod".into()),
            password: None,
            notes: Vec::new(),
        };
        let shown = shown(&of(Protocol::Postgres, &credentials, false));
        assert!(
            shown.ends_with("DATABASE_URL=postgresql://127.0.0.1:15432/")
                && !shown.contains("PGDATABASE")
                && !shown.contains("PGUSER"),
            "{shown}"
        );
        for name in ["postgresql://evil.example/x", "", "a\u{1b}b"] {
            assert_eq!(login_name(Some(&name.into())), None, "{name:?}");
        }
        assert_eq!(login_name(Some(&"shop".into())), Some("shop"));
    }

    #[test]
    fn a_server_a_login_and_a_secret_of_another_database_are_removed() {
        for protocol in [Protocol::Postgres, Protocol::Redis, Protocol::Other] {
            let environment = of(protocol, &Credentials::default(), false);
            for name in LIBPQ.iter().chain(&["DATABASE_URL"]) {
                assert!(environment.removes(name), "{name}");
            }
            for name in [
                "PATH",
                "HOME",
                "PGAPPNAME",
                "PGSSLMODE",
                "PGDATA",
                "PGTZ",
                "MYSQL_PWD",
            ] {
                assert!(!environment.removes(name), "{name}");
            }
        }
        for (protocol, removed, kept) in [
            (
                Protocol::Postgres,
                &["POSTGRES_PASSWORD", "POSTGRESQL_HOST"][..],
                &["POSTGRES_SERVICE_HOST", "POSTGRES_PORT_5432_TCP_ADDR"][..],
            ),
            (
                Protocol::Mysql,
                &[
                    "MYSQL_PWD",
                    "MYSQL_UNIX_PORT",
                    "MYSQL_ROOT_PASSWORD",
                    "MYSQL_TEST_LOGIN_FILE",
                    "MARIADB_USER",
                ],
                &["MYSQL_HISTFILE", "MYSQL_PS1"],
            ),
            (
                Protocol::Redis,
                &["REDISCLI_AUTH", "REDIS_PASSWORD", "REDIS_SENTINELS"],
                &["REDISCLI_HISTFILE", "REDIS_TIMEOUT"],
            ),
            (
                Protocol::Mongodb,
                &["MONGO_URL", "MONGODB_URI", "MONGODB_PASSWORD"],
                &["MONGODB_LOG"],
            ),
            (
                Protocol::Http,
                &["ES_HOST", "ELASTIC_PASSWORD", "CLICKHOUSE_USER"],
                &["ES_JAVA_HOME", "TES_HOST"],
            ),
        ] {
            let environment = of(protocol, &Credentials::default(), false);
            for name in removed {
                assert!(environment.removes(name), "{name}");
            }
            for name in kept {
                assert!(!environment.removes(name), "{name}");
            }
        }
    }

    #[test]
    fn what_is_left_out_is_told_and_what_is_replaced_is_not() {
        let users = [
            ("PGHOST", "db.example"),
            ("PGUSER", "bob"),
            ("PGPASSWORD", "s3cret"),
            ("PGSERVICE", ""),
            ("PGPASSFILE", "/home/bob/.pgpass"),
            ("POSTGRESQL_PORT", "tcp://10.0.0.1:5432"),
            ("PATH", "/bin"),
        ];
        let mut credentials = known();
        credentials.password = None;
        let foreign = of(Protocol::Postgres, &credentials, true);
        assert_eq!(foreign.left_out(users), ["PGPASSFILE", "PGPASSWORD"]);
        assert!(
            of(Protocol::Postgres, &known(), false)
                .left_out([users[0], users[1], users[2]])
                .is_empty()
        );
    }

    #[test]
    fn somebody_elses_server_gets_nothing_from_the_users_home() {
        let shown_foreign = shown(&of(Protocol::Postgres, &Credentials::default(), true));
        assert!(shown_foreign.contains("PGPASSFILE=/dev/null/none"));
        assert!(shown_foreign.contains("PGREQUIREAUTH=scram-sha-256,md5,none"));
        assert!(!shown(&of(Protocol::Postgres, &known(), false)).contains("PGPASSFILE"));
    }

    #[test]
    fn who_means_his_environment_keeps_it() {
        let kept = of(Protocol::Postgres, &Credentials::default(), true).keeping_the_users();
        assert!(!kept.removes("PGPASSWORD") && kept.left_out([("PGPASSWORD", "x")]).is_empty());
        assert_eq!(
            shown(&kept),
            "PGHOST=127.0.0.1 PGPORT=15432 DATABASE_URL=postgresql://127.0.0.1:15432/"
        );
    }
}
