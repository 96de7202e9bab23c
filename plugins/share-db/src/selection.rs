//! Which of the shares a command is about.

use std::collections::BTreeSet;

use commons::error::name_hint;
use commons::shell::{Shell, shell};
use commons::subject::{Several, Subject, SubjectRef};
use commons::{Cluster, Error, Kind, Result, Ui, printable};
use database::DatabaseRef;

use crate::listed::Share;
use crate::shares::FoundShares;

/// What was typed to choose among them.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    pub database: Option<DatabaseRef>,
    pub with: Vec<SubjectRef>,
    pub all: bool,
}

impl Selection {
    pub fn new(database: Option<&DatabaseRef>, with: &[Several], all: bool) -> Self {
        Self {
            database: database.cloned(),
            with: with.iter().flat_map(|several| several.0.clone()).collect(),
            all,
        }
    }

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
        found: &FoundShares,
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

    fn of_database(&self, database: &DatabaseRef, shares: &[Share]) -> Result<Vec<Share>> {
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
    /// When one of those who were typed has no share.
    fn with_these(&self, shares: &[Share], what: &str) -> Result<Vec<Share>> {
        let mut meant: Vec<Share> = Vec::new();
        for typed in &self.with {
            let with_them = those_with(shares, typed);
            if with_them.is_empty() {
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
            let is_new = |share: &&Share| meant.iter().all(|meant| !meant.is_same(share));
            let new: Vec<Share> = with_them.into_iter().filter(is_new).cloned().collect();
            meant.extend(new);
        }
        if self.with.is_empty() {
            meant.extend_from_slice(shares);
        }
        Ok(meant)
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

/// The shares with this colleague. A short name is first what people call somebody, and a user's name in the cluster only where
/// nobody is called so.
fn those_with<'a>(shares: &'a [Share], typed: &SubjectRef) -> Vec<&'a Share> {
    let those = |is_meant: &dyn Fn(&Share) -> bool| -> Vec<&'a Share> {
        shares.iter().filter(|share| is_meant(share)).collect()
    };
    match typed {
        SubjectRef::Exact(subject) => those(&|share| &share.subject == subject),
        SubjectRef::Bare(name) => {
            let called = those(&|share| share.with == name.trim_start_matches('@'));
            if !called.is_empty() {
                return called;
            }
            those(&|share| matches!(&share.subject, Subject::User { name: user } if user == name))
        }
    }
}

/// The other shares that have the same as one of these: the UID of their `RoleBinding` or of their timer.
pub fn others_with_the_same(
    meant: &[Share],
    found: &FoundShares,
    uid: fn(&Share) -> Option<&str>,
) -> Vec<Share> {
    let is_other = |share: &&Share| {
        meant.iter().all(|meant| !meant.is_same(share))
            && uid(share).is_some()
            && meant.iter().any(|meant| uid(meant) == uid(share))
    };
    found.shares.iter().filter(is_other).cloned().collect()
}

/// Refuses to give more time to somebody who was not named, since they have theirs by the same timer (a Job); `bindings` are the
/// `RoleBindings` that give it to them alone.
pub fn more_time_for_others(
    with: BTreeSet<String>,
    timer: &str,
    bindings: BTreeSet<String>,
    namespace: &str,
    revoke: &Shell,
) -> Error {
    let with: Vec<String> = with.into_iter().collect();
    let error = Error::new(format!(
        "this would give more time to {} too",
        printable::short(&with.join(", "), 300)
    ))
    .caused_by(format!(
        "what they have ends with the same timer (job `{}`): somebody has changed it by hand",
        printable::line(timer)
    ));
    if bindings.is_empty() {
        return error.hint(format!(
            "end it for all of them, then share again: `{revoke}`"
        ));
    }
    let delete = shell("kubectl delete rolebinding").args(bindings);
    error.hint(format!(
        "take it from them first: `{}`",
        delete.in_namespace(namespace)
    ))
}

/// A colleague as typed.
fn shown(typed: &SubjectRef) -> String {
    match typed {
        SubjectRef::Bare(name) => format!("`{name}`"),
        SubjectRef::Exact(subject) => format!("`{}`", subject.shown()),
    }
}
