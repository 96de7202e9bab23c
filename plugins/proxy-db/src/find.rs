//! Finding the database that was typed: one's own, or one that somebody shares.

use commons::card::{self, Card};
use commons::database::{self, Credentials, Database, Typed};
use commons::{Cluster, Error, Kind, Result};

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// The database.
    pub database: Database,
    /// How to log in, as far as one may know.
    pub credentials: Credentials,
    /// What its owner wrote about it, if it is somebody else's.
    pub card: Option<Card>,
}

/// Looks among what one may see oneself first, then among what is shared: whoever owns a database needs no card.
///
/// # Errors
/// Neither is there; what one may not see and what is not shared look the same, and the hint says whom to ask.
pub async fn find(cluster: &Cluster, typed: &Typed) -> Result<Found> {
    let (own, shared) = if typed.namespace.is_some() {
        let (own, shared) =
            futures::join!(database::find(cluster, typed), card::find(cluster, typed));
        (own, Some(shared))
    } else {
        (database::find(cluster, typed).await, None)
    };
    let missing = match own {
        Ok(database) => {
            let credentials = database::credentials(cluster, &database).await?;
            return Ok(Found {
                database,
                credentials,
                card: None,
            });
        }
        Err(error) if matches!(error.kind(), Kind::Forbidden | Kind::NotFound) => error,
        Err(error) => return Err(error),
    };
    let shared = match shared {
        Some(shared) => shared,
        None => card::find(cluster, typed).await,
    };
    // Who cannot ask what is shared gets the first answer.
    let Ok((card, others)) = shared else {
        return Err(missing);
    };
    match card {
        Some(card) => {
            let database = card.to_database(typed.namespace_in(cluster));
            let credentials = database::credentials(cluster, &database).await?;
            Ok(Found {
                database,
                credentials,
                card: Some(card),
            })
        }
        None => Err(not_shared(cluster, typed, missing, &others).await),
    }
}

/// Why nothing was found in a namespace.
async fn not_shared(cluster: &Cluster, typed: &Typed, missing: Error, others: &[Card]) -> Error {
    let namespace = typed.namespace_in(cluster);
    if missing.kind() == Kind::NotFound && others.is_empty() {
        return missing;
    }
    let error = Error::of(
        missing.kind(),
        format!(
            "no database `{}` of namespace `{namespace}` is yours or shared with you",
            typed.name
        ),
    );
    if !others.is_empty() {
        let names: Vec<String> = others
            .iter()
            .map(|card| format!("`{namespace}/{}`", card.database))
            .collect();
        return error.hint(format!("shared with you there: {}", names.join(", ")));
    }
    let own_name = match cluster.identity().await {
        Ok(Some(identity)) => format!("user:{}", identity.username),
        _ => String::new(),
    };
    let with = asked_with(&own_name);
    error.hint(format!(
        "ask its owner: `kubectl share-db {} --with {with}`",
        typed.name
    ))
}

/// A colleague's name as it can stand on the owner's command line, or a placeholder: a command that is made to be pasted
/// holds nothing that a shell would run.
pub fn asked_with(name: &str) -> &str {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "-._@+:/".contains(c);
    let is_name = name.parse::<commons::subject::Typed>().is_ok();
    if is_name && !name.starts_with('-') && name.chars().all(harmless) {
        name
    } else {
        "USER"
    }
}

#[cfg(test)]
mod tests {
    use super::asked_with;

    #[test]
    fn nothing_that_a_shell_would_run_is_put_in_a_hint() {
        for name in [
            "bob",
            "user:oidc-bob",
            "bob.b@example.org",
            "group:/team/a",
            "serviceaccount:user-bob/default",
        ] {
            assert_eq!(asked_with(name), name);
        }
        for name in [
            "",
            "user:",
            "bob; rm -rf ~",
            "$(id)",
            "-x-yz-",
            "a`b`cdef",
            "bob carol",
            "user:\u{1b}[31m",
        ] {
            assert_eq!(asked_with(name), "USER", "{name}");
        }
    }
}
