//! What the user of a login should know about it.

use std::fmt;

use super::variables::Key;
use commons::printable;

/// A part of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Whom one logs in as.
    User,
    /// The database in the server.
    Database,
    /// The password.
    Password,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Database => "name of the database",
            Self::Password => "password",
        })
    }
}

/// Something about a login that its user should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// It is not known, and nothing is put in its place.
    Unknown {
        /// What.
        field: Field,
        /// Of which database.
        database: String,
        /// Where it may be.
        place: Option<String>,
    },
    /// Its value ends in a line break, which is seldom meant (`echo VALUE | base64` makes one).
    LineBreak {
        /// What.
        field: Field,
        /// Where it stands.
        key: Key,
        /// Whether the server has it without, so that it is left out.
        is_left_out: bool,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown {
                field,
                database,
                place,
            } => {
                let database = printable::line(database);
                write!(f, "the {field} of `{database}` is not known")?;
                if *field == Field::Password {
                    write!(f, ": it is asked for")?;
                }
                match place {
                    Some(place) => write!(f, " (it may be in {place})"),
                    None => Ok(()),
                }
            }
            Self::LineBreak {
                field,
                key,
                is_left_out,
            } => {
                write!(f, "the value of {key} ends in a line break: ")?;
                if *is_left_out {
                    write!(
                        f,
                        "the server has the {field} without it, so it is left out"
                    )
                } else {
                    write!(f, "it is taken as a part of the {field}")
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Holder;

    #[test]
    fn what_is_said_of_a_login() {
        let unknown = |field, place: Option<&str>| Note::Unknown {
            field,
            database: "vault".into(),
            place: place.map(Into::into),
        };
        let line_break = |is_left_out| Note::LineBreak {
            field: Field::Password,
            key: Key {
                holder: Holder::Secret("tail".into()),
                key: "password".into(),
                is_file: false,
            },
            is_left_out,
        };
        for (note, said) in [
            (
                unknown(Field::Password, None),
                "the password of `vault` is not known: it is asked for",
            ),
            (
                unknown(Field::User, Some("configmap `settings`")),
                "the user of `vault` is not known (it may be in configmap `settings`)",
            ),
            (
                line_break(true),
                "the value of key `password` in secret `tail` ends in a line break: the server has the password without it, so it is left out",
            ),
            (
                line_break(false),
                "the value of key `password` in secret `tail` ends in a line break: it is taken as a part of the password",
            ),
        ] {
            assert_eq!(note.to_string(), said);
        }
    }
}
