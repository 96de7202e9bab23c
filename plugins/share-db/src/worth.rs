//! What a share is worth to whoever gets it: everything in the database, or a connection that asks for a password.
//!
//! It is tried through the owner's own tunnel, because a database cannot tell it from the colleague's: to it, both come from
//! its own pod.

use commons::{printable, shell};
use database::{Entry, Protocol, Trust};

/// What is to be said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Worth {
    /// Nothing that surprises.
    Checked(String),
    /// More than a connection is given away.
    Warning(String),
}

/// What to say to the owner, in a sentence about a colleague.
pub fn worth(database: &str, protocol: Protocol, trust: &Trust, with: &str) -> Worth {
    let database = printable::short(database, 80);
    let who = printable::short(with, 80);
    match trust {
        Trust::Asks { tried, not_known } => {
            let how = match (listed(tried), listed(not_known)) {
                (tried, _) if tried.is_empty() => "tried without TLS".into(),
                (tried, open) if open.is_empty() => format!("tried as {tried}, without TLS"),
                (tried, open) => format!("tried as {tried}, without TLS; not known for {open}"),
            };
            Worth::Checked(format!(
                "Checked: {database} asks for a password, also through a tunnel ({how}); {who} needs a login of their own there."
            ))
        }
        Trust::LetsIn(entry) => Worth::Warning(format!(
            "{database} asks for no password through a tunnel: {who} {}",
            powers(protocol, entry)
        )),
        Trust::NotKnown(why) => Worth::Checked(format!(
            "Not checked: whether {database} asks for a password through a tunnel ({why})."
        )),
    }
}

/// `shop and postgres`.
fn listed(users: &[String]) -> String {
    let users: Vec<String> = users
        .iter()
        .map(|user| printable::short(user, 80))
        .collect();
    users.join(" and ")
}

/// What somebody can do who is let in so, after their name.
fn powers(protocol: Protocol, entry: &Entry) -> String {
    match (protocol, &entry.user) {
        (Protocol::Postgres, _) if entry.is_administrator => "is its superuser, can run programs in its pod, read the passwords in its environment, and may leave logins behind that stay after the share".into(),
        (Protocol::Postgres, None) => {
            "can log in as users whose names they know, perhaps as its superuser".into()
        }
        (Protocol::Mysql, Some(user)) if entry.is_administrator => format!(
            "is its administrator `{}`, can read and write files in its pod where its setting `secure_file_priv` allows it, and may leave accounts behind that stay after the share",
            printable::short(user, 80)
        ),
        (Protocol::Redis, _) if entry.is_administrator => "can read and change everything in it, write files in its pod by `CONFIG SET` where that is allowed, and may leave users behind that stay after the share".into(),
        (Protocol::Mongodb, _) => {
            "can read and change everything in it, and may leave users behind that stay after the share".into()
        }
        (_, Some(user)) => format!(
            "can do in it whatever its user `{}` can",
            printable::short(user, 80)
        ),
        (_, None) => "can do in it whatever it allows without a login".into(),
    }
}

/// How the owner finds out whether somebody has left logins behind, as a hint; nothing where there are none to leave, or no way
/// to look is known.
pub fn left_behind(namespace: &str, database: &str, protocol: Protocol) -> Option<String> {
    let connect = shell("kubectl proxy-db").arg(format!("{namespace}/{database}"));
    let (what, how) = match protocol {
        Protocol::Postgres => {
            let psql = connect
                .then("-- psql -c")
                .arg("select rolname from pg_roles where rolcanlogin");
            ("logins", format!("`{psql}`"))
        }
        Protocol::Mysql => (
            "accounts",
            format!("`{connect}`, then there `select user, host from mysql.user`"),
        ),
        Protocol::Redis => ("users", format!("`{connect}`, then there `ACL LIST`")),
        Protocol::Mongodb => (
            "users",
            format!("`{connect}`, then there `db.getUsers()` in each database"),
        ),
        Protocol::Http | Protocol::Other => return None,
    };
    Some(format!("see whether {what} were left behind: {how}"))
}

#[cfg(test)]
mod tests {
    use database::NotKnown;

    use super::*;

    const BOB: &str = "bob";

    fn let_in(user: Option<&str>, is_administrator: bool) -> Trust {
        Trust::LetsIn(Entry {
            user: user.map(Into::into),
            is_administrator,
        })
    }

    fn warning(protocol: Protocol, trust: &Trust, with: &str) -> String {
        match worth("db", protocol, trust, with) {
            Worth::Warning(line) => line,
            Worth::Checked(line) => panic!("{line}"),
        }
    }

    #[test]
    fn a_superuser_is_called_one() {
        assert_eq!(
            warning(Protocol::Postgres, &let_in(Some("shop"), true), BOB),
            "db asks for no password through a tunnel: bob is its superuser, can run programs in its pod, read the passwords in its environment, and may leave logins behind that stay after the share"
        );
    }

    #[test]
    fn each_protocol_says_what_is_true_there() {
        for (protocol, user, is_administrator, says) in [
            (
                Protocol::Postgres,
                Some("shop"),
                false,
                "bob can do in it whatever its user `shop` can",
            ),
            (Protocol::Postgres, None, false, "perhaps as its superuser"),
            (
                Protocol::Mysql,
                Some("root"),
                true,
                "`root`, can read and write files in its pod where",
            ),
            (
                Protocol::Mysql,
                Some("shop"),
                false,
                "whatever its user `shop` can",
            ),
            (
                Protocol::Redis,
                Some("default"),
                true,
                "write files in its pod by `CONFIG SET` where",
            ),
            (
                Protocol::Redis,
                Some("default"),
                false,
                "whatever its user `default` can",
            ),
            (Protocol::Mongodb, None, true, "may leave users behind"),
            (
                Protocol::Http,
                None,
                false,
                "whatever it allows without a login",
            ),
        ] {
            let said = warning(protocol, &let_in(user, is_administrator), BOB);
            assert!(said.contains(says), "{said}");
        }
    }

    #[test]
    fn what_asks_and_what_is_not_known_is_no_warning() {
        let names = |users: &[&str]| users.iter().map(|user| (*user).to_owned()).collect();
        let asks = |tried: &[&str], not_known: &[&str]| Trust::Asks {
            tried: names(tried),
            not_known: names(not_known),
        };
        for (trust, line) in [
            (
                asks(&["shop", "postgres"], &[]),
                "Checked: db asks for a password, also through a tunnel (tried as shop and postgres, without TLS); bob needs a login of their own there.",
            ),
            (
                asks(&["shop"], &["postgres"]),
                "Checked: db asks for a password, also through a tunnel (tried as shop, without TLS; not known for postgres); bob needs a login of their own there.",
            ),
            (
                asks(&[], &[]),
                "Checked: db asks for a password, also through a tunnel (tried without TLS); bob needs a login of their own there.",
            ),
            (
                Trust::NotKnown(NotKnown::NoPod),
                "Not checked: whether db asks for a password through a tunnel (no pod of it is ready).",
            ),
        ] {
            assert_eq!(
                worth("db", Protocol::Postgres, &trust, BOB),
                Worth::Checked(line.into())
            );
        }
    }

    #[test]
    fn what_may_be_left_behind_can_be_looked_for() {
        let hint = |protocol| left_behind("user-alice", "db", protocol);
        assert_eq!(
            hint(Protocol::Postgres).as_deref(),
            Some(
                "see whether logins were left behind: `kubectl proxy-db user-alice/db -- psql -c 'select rolname from pg_roles where rolcanlogin'`"
            )
        );
        assert_eq!(
            hint(Protocol::Mysql).as_deref(),
            Some(
                "see whether accounts were left behind: `kubectl proxy-db user-alice/db`, then there `select user, host from mysql.user`"
            )
        );
        for (protocol, says) in [
            (Protocol::Redis, "then there `ACL LIST`"),
            (
                Protocol::Mongodb,
                "then there `db.getUsers()` in each database",
            ),
        ] {
            assert!(hint(protocol).is_some_and(|hint| hint.ends_with(says)));
        }
        assert_eq!(hint(Protocol::Http), None);
    }

    #[test]
    fn names_of_others_cannot_mislead() {
        let hostile = "\u{1b}[2Jbob\nhint: run this";
        let said = warning(Protocol::Postgres, &let_in(Some(hostile), false), hostile);
        assert!(!said.contains(['\u{1b}', '\n']), "{said}");
    }
}
