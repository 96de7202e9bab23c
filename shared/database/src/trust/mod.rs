//! Whether a database lets local connections in without a password, found out by trying it.
//!
//! A port-forward enters a pod by its loopback, so the database sees a connection from 127.0.0.1. Many images trust those:
//! the official `postgres` takes whoever comes for whatever user they name, its superuser included. What a share is worth
//! depends on it, so it is tried before it is told.
//!
//! Nothing is changed in the database and no password is sent: what is tried is a login without one, as a client would do
//! it, and at most a question about the login's own rights. A server may be anybody's program: what it says is read in
//! bounded pieces and bounded time, and believed only as far as its protocol goes. It could claim to let people in, or not
//! to; both are its own affair.

mod http;
mod mongodb;
mod mysql;
mod postgres;
mod redis;
#[cfg(test)]
mod scripted;
mod through;

use std::fmt;
use std::io;
use std::time::Duration;

use futures::future::join_all;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::Instant;

use super::{Database, Protocol};
use commons::cluster::Cluster;
use commons::printable;
use tunnel::{Endpoint, Engine, WebSocketPerConnection};

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Longest message that is read: servers' greetings, refusals and rights are much shorter.
const MESSAGE: usize = 64 * 1024;

/// Whether a database lets local connections in without a password, as those of a tunnel are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It asks for a password or another proof, or refuses logins without one.
    Asks {
        /// The users whose login was tried, without TLS; none where the protocol has a connection without a user.
        tried: Vec<String>,
        /// The users for whom it is not known, because a login of theirs got no answer.
        not_known: Vec<String>,
    },
    /// It lets whoever comes in.
    LetsIn(Entry),
    /// It could not be found out.
    NotKnown(NotKnown),
}

/// As whom one is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The user; none where the protocol has connections without a user, or where every name was accepted and the one that was
    /// tried does not exist.
    pub user: Option<String>,
    /// Whether that is an administrator: a superuser of `PostgreSQL`; who has all privileges or SUPER in `MySQL`; who may
    /// give Redis every command; everybody in a `MongoDB` without authentication. False where it is not known.
    pub is_administrator: bool,
}

/// Why it could not be found out. Displayed as a phrase: `no pod of it is ready`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotKnown {
    /// There is nothing to connect to.
    NoPod,
    /// The time was up.
    Slow,
    /// It closed the connection in place of an answer; servers that speak only TLS may.
    Closed,
    /// It refuses the login without asking for anything; over TLS, which is not tried, it could do otherwise.
    WantsTls,
    /// What came is not what its protocol says.
    NotUnderstood,
    /// How this database is spoken to is not known here.
    Protocol,
    /// It gave another reason, in its own words.
    Said(String),
    /// It was not reached; in words.
    Unreached(String),
}

impl fmt::Display for NotKnown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPod => f.write_str("no pod of it is ready"),
            Self::Slow => write!(f, "it does not answer within {} s", PATIENCE.as_secs()),
            Self::Closed => f.write_str("it closed the connection without an answer"),
            Self::WantsTls => f.write_str("it refuses the login, at least without TLS"),
            Self::NotUnderstood => f.write_str("it answers something else than was expected"),
            Self::Protocol => f.write_str("its protocol is not known"),
            Self::Said(words) => write!(f, "it says `{}`", printable::short(words, 200)),
            Self::Unreached(why) => f.write_str(&printable::short(why, 200)),
        }
    }
}

impl From<io::Error> for NotKnown {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => Self::NotUnderstood,
            _ => Self::Closed,
        }
    }
}

/// What is tried on one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LoginAttempt<'a> {
    Postgres { user: &'a str, database: &'a str },
    Mysql { user: &'a str },
    Redis,
    Mongodb,
    Http { path: &'static str },
}

impl<'a> LoginAttempt<'a> {
    /// As whom; nothing where the protocol has a connection without a user.
    fn user(self) -> Option<&'a str> {
        match self {
            Self::Postgres { user, .. } | Self::Mysql { user } => Some(user),
            Self::Redis => Some(redis::USER),
            Self::Mongodb | Self::Http { .. } => None,
        }
    }
}

/// Tries whether a database lets local connections in without a password, through the tunnel to the pod that serves it: as the
/// user that it is known to have, and as the administrator whom its protocol usually has, in the databases of their names and
/// the one that is known. Takes 3 seconds at most, and changes
/// nothing in the database; its log may tell of refused logins.
///
/// Not covered: TLS is not spoken, so what a server does only over TLS (`hostssl` lines of `pg_hba.conf`, `REQUIRE SSL` accounts
/// of `MySQL`) is not seen; nor are other users than these two, and `MongoDB`'s localhost exception, by which the first
/// user can be made without a login.
pub async fn trusts_local(cluster: &Cluster, database: &Database) -> Trust {
    let Some(endpoint) = &database.serving else {
        return Trust::NotKnown(NotKnown::NoPod);
    };
    let engine = WebSocketPerConnection::new(cluster.clone());
    let names = (database.username.as_deref(), database.dbname.as_deref());
    try_all(&engine, endpoint, database.protocol, names).await
}

/// Tries what is worth trying, the likeliest first: whoever is let in as an administrator can have no more. The answer that
/// tells most.
async fn try_all(
    engine: &impl Engine,
    endpoint: &Endpoint,
    protocol: Protocol,
    (username, dbname): (Option<&str>, Option<&str>),
) -> Trust {
    let deadline = Instant::now() + PATIENCE;
    let trying = async |attempt| {
        let talk = async |stream| try_one(stream, attempt).await;
        through::talk(engine, endpoint, deadline, talk)
            .await
            .unwrap_or_else(Trust::NotKnown)
    };
    let mut attempts = attempts(protocol, username, dbname).into_iter();
    let Some(likeliest) = attempts.next() else {
        return Trust::NotKnown(NotKnown::Protocol);
    };
    match trying(likeliest).await {
        Trust::LetsIn(entry) if entry.is_administrator => Trust::LetsIn(entry),
        // Nothing else would be heard either.
        Trust::NotKnown(NotKnown::Slow) => Trust::NotKnown(NotKnown::Slow),
        first => {
            let users: Vec<Option<&str>> = attempts.clone().map(LoginAttempt::user).collect();
            let others = join_all(attempts.map(trying)).await;
            let mut answers = vec![(likeliest.user(), first)];
            answers.extend(users.into_iter().zip(others));
            summary(answers)
        }
    }
}

/// Of several answers, each about a user, what can be said of all: the login that was let in and may most; else that a password
/// is asked for, of the users whose every login was refused.
fn summary(answers: Vec<(Option<&str>, Trust)>) -> Trust {
    let (mut entries, mut refused, mut unheard, mut why) = (vec![], vec![], vec![], None);
    for (user, trust) in answers {
        match trust {
            Trust::LetsIn(entry) => entries.push(entry),
            Trust::Asks { .. } => refused.push(user),
            Trust::NotKnown(reason) => {
                unheard.push(user);
                why.get_or_insert(reason);
            }
        }
    }
    let powers = |entry: &Entry| (entry.is_administrator, entry.user.is_some());
    let most = |one: Entry, other: Entry| {
        if powers(&other) > powers(&one) {
            other
        } else {
            one
        }
    };
    if let Some(entry) = entries.into_iter().reduce(most) {
        return Trust::LetsIn(entry);
    }
    refused.retain(|user| !unheard.contains(user));
    match why {
        Some(why) if refused.is_empty() || unheard.contains(&None) => Trust::NotKnown(why),
        _ => Trust::Asks {
            tried: names(refused),
            not_known: names(unheard),
        },
    }
}

/// Each of these users once.
fn names(users: Vec<Option<&str>>) -> Vec<String> {
    let mut names: Vec<String> = users.into_iter().flatten().map(str::to_owned).collect();
    names.dedup();
    names
}

/// What is worth trying.
fn attempts<'a>(
    protocol: Protocol,
    username: Option<&'a str>,
    dbname: Option<&'a str>,
) -> Vec<LoginAttempt<'a>> {
    let known = |administrator| username.filter(move |user| *user != administrator);
    match protocol {
        // pg_hba.conf goes by database too, and a user's own often has their name.
        Protocol::Postgres => {
            let own = known(postgres::ADMINISTRATOR);
            let mut tried: Vec<(&str, &str)> = Vec::new();
            let of_user = own.into_iter().flat_map(|user| {
                [Some(user), dbname, Some(postgres::DATABASE)].map(|database| (user, database))
            });
            let of_administrator = [Some(postgres::DATABASE), dbname]
                .map(|database| (postgres::ADMINISTRATOR, database));
            for (user, database) in of_user.chain(of_administrator) {
                let pair = database.map(|database| (user, database));
                tried.extend(pair.filter(|pair| !tried.contains(pair)));
            }
            let attempt = |(user, database)| LoginAttempt::Postgres { user, database };
            tried.into_iter().map(attempt).collect()
        }
        Protocol::Mysql => known(mysql::ADMINISTRATOR)
            .into_iter()
            .chain([mysql::ADMINISTRATOR])
            .map(|user| LoginAttempt::Mysql { user })
            .collect(),
        Protocol::Redis => vec![LoginAttempt::Redis],
        Protocol::Mongodb => vec![LoginAttempt::Mongodb],
        Protocol::Http => http::PATHS.map(|path| LoginAttempt::Http { path }).to_vec(),
        Protocol::Other => Vec::new(),
    }
}

async fn try_one(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    attempt: LoginAttempt<'_>,
) -> Result<Trust, NotKnown> {
    match attempt {
        LoginAttempt::Postgres { user, database } => postgres::login(stream, user, database).await,
        LoginAttempt::Mysql { user } => mysql::login(stream, user).await,
        LoginAttempt::Redis => redis::login(stream).await,
        LoginAttempt::Mongodb => mongodb::login(stream).await,
        LoginAttempt::Http { path } => http::get(stream, path, PATIENCE).await,
    }
}

impl Trust {
    /// Let in, as this user.
    fn lets_in(user: Option<&str>, is_administrator: bool) -> Self {
        Self::LetsIn(Entry {
            user: user.map(str::to_owned),
            is_administrator,
        })
    }

    /// Not let in, as this user.
    fn asks(user: Option<&str>) -> Self {
        Self::Asks {
            tried: names(vec![user]),
            not_known: Vec::new(),
        }
    }
}

/// Reads so many bytes, unless they are more than anybody needs.
async fn read(stream: &mut (impl AsyncRead + Unpin), length: usize) -> Result<Vec<u8>, NotKnown> {
    if length > MESSAGE {
        return Err(NotKnown::NotUnderstood);
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
