//! Which of the shares a command is about.

use commons::database::Typed;
use commons::error::name_hint;
use commons::shell::shell;
use commons::subject::{Subject, Typed as TypedSubject};
use commons::{Cluster, Error, Kind, Result, Ui};

use crate::listed::Share;
use crate::shares::Found;

/// What was typed to choose among them.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    pub database: Option<Typed>,
    pub with: Vec<TypedSubject>,
    pub all: bool,
}

impl Selection {
    /// The namespace that is meant.
    pub fn namespace<'a>(&'a self, cluster: &'a Cluster) -> &'a str {
        self.database
            .as_ref()
            .map_or(cluster.namespace(), |database| {
                database.namespace_in(cluster)
            })
    }

    /// The shares that were meant; on a terminal the user chooses where none was named.
    ///
    /// # Errors
    /// [`Kind::NotFound`] where there is no such share, with those that there are.
    pub fn among(
        &self,
        found: &Found,
        cluster: &Cluster,
        ui: &Ui,
        verb: &'static str,
    ) -> Result<Vec<Share>> {
        let shares = &found.shares;
        if shares.is_empty() {
            return Err(Error::of(
                Kind::NotFound,
                format!(
                    "nothing is shared from namespace `{}`",
                    self.namespace(cluster)
                ),
            )
            .hint(format!(
                "share something: `{}`",
                shell("kubectl share-db DATABASE --with USER")
            )));
        }
        match &self.database {
            Some(database) => self.of_database(database, shares),
            None if self.all => self.with_these(shares, "nothing"),
            None => choose(&self.with_these(shares, "nothing")?, cluster, ui, verb),
        }
    }

    fn of_database(&self, database: &Typed, shares: &[Share]) -> Result<Vec<Share>> {
        let is_meant = |share: &&Share| {
            share
                .database
                .parse()
                .is_ok_and(|shared| database.means(&shared))
        };
        let of_database: Vec<Share> = shares.iter().filter(is_meant).cloned().collect();
        if of_database.is_empty() {
            let error = Error::of(
                Kind::NotFound,
                format!("`{database}` is not shared with anybody"),
            );
            let names = shares.iter().map(|share| share.database.as_str());
            return Err(match name_hint(&database.name, names) {
                Some(hint) => error.hint(hint),
                None => error,
            });
        }
        self.with_these(&of_database, &format!("`{database}`"))
    }

    /// Those with the colleagues who were typed.
    ///
    /// # Errors
    /// When there is none with one of them: whoever is named is meant.
    fn with_these(&self, shares: &[Share], what: &str) -> Result<Vec<Share>> {
        for typed in &self.with {
            if !shares.iter().any(|share| is_with(share, typed)) {
                let with: Vec<&str> = shares.iter().map(|share| share.with.as_str()).collect();
                let (is_not, others) = match what {
                    "nothing" => ("is", "there are shares with"),
                    _ => ("is not", "it is shared with"),
                };
                return Err(Error::of(
                    Kind::NotFound,
                    format!("{what} {is_not} shared with {}", shown(typed)),
                )
                .hint(format!("{others} {}", with.join(", "))));
            }
        }
        let is_meant = |share: &&Share| {
            self.with.is_empty() || self.with.iter().any(|typed| is_with(share, typed))
        };
        Ok(shares.iter().filter(is_meant).cloned().collect())
    }
}

fn choose(shares: &[Share], cluster: &Cluster, ui: &Ui, verb: &'static str) -> Result<Vec<Share>> {
    let now = cluster.now();
    let items: Vec<String> = shares
        .iter()
        .map(|share| {
            format!(
                "{} with {}, {}",
                share.database,
                share.with,
                share.term(now, None)
            )
        })
        .collect();
    let instead = shell("kubectl share-db").then(verb).then("DATABASE");
    let chosen = ui.choose("DATABASE", &items, &format!("name it: `{instead}`"))?;
    Ok(shares.iter().skip(chosen).take(1).cloned().collect())
}

/// Whether a share is with this colleague.
fn is_with(share: &Share, typed: &TypedSubject) -> bool {
    match typed {
        TypedSubject::Bare(name) => {
            share.with == name.trim_start_matches('@')
                || matches!(&share.subject, Subject::User { name: user } if user == name)
        }
        TypedSubject::Exact(subject) => subject == &share.subject,
    }
}

/// A colleague as typed.
fn shown(typed: &TypedSubject) -> String {
    match typed {
        TypedSubject::Bare(name) => format!("`{name}`"),
        TypedSubject::Exact(subject) => format!("`{}`", subject.shown()),
    }
}
