//! Things to do about a failure, and what they change: a command that has a flag for it says it in its own words.

use std::fmt;
use std::ops::Deref;

use crate::shell::Shell;

/// One thing to do about a failure, commands in backticks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    text: String,
    change: Option<Change>,
}

/// What a hint says is to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The image.
    Image,
    /// What it runs.
    Command,
    /// A variable of its environment.
    Environment,
    /// The port on which it is to listen.
    Port,
    /// As whom it runs.
    User,
    /// What it may do on its node, in the terms of Pod Security.
    Privileges,
    /// How long it may take to start.
    Patience,
    /// More memory than its limit, a quantity; empty where it has none of its own.
    MoreMemory(String),
    /// How much it asks for: less of these, of which it asks for so much, if that is known.
    Less(Vec<(Amount, Option<String>)>),
    /// How much it asks for: these are out of bounds.
    Bounds(Vec<Amount>),
    /// A field of an object that is written down somewhere, said in one phrase.
    Field(String),
    /// Nothing, but to look again: what is said before.
    LookAgain(String),
    /// An address, by one of these flags of `expose-app`: `--host NAME`.
    Address {
        /// What the flag is for: `take another host`.
        why: String,
        /// The flags with their values.
        flags: Vec<Shell>,
    },
}

/// What an app asks for an amount of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// Processor time.
    Cpu,
    /// Memory.
    Memory,
    /// Pods.
    Replicas,
}

impl Hint {
    /// Something to do that is said in full.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            change: None,
        }
    }

    /// Something to change, said for whoever edits manifests.
    pub fn to_change(change: Change, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            change: Some(change),
        }
    }

    /// Something to change of an address, by one of these flags of `expose-app`.
    pub fn flags(
        why: impl Into<String>,
        flags: impl IntoIterator<Item = impl Into<Shell>>,
    ) -> Self {
        let why = why.into();
        let flags: Vec<Shell> = flags.into_iter().map(Into::into).collect();
        let shown: Vec<String> = flags.iter().map(|flag| format!("`{flag}`")).collect();
        Self {
            text: format!("{why}: {}", shown.join(", ")),
            change: Some(Change::Address { why, flags }),
        }
    }

    /// What it changes, if that is known.
    pub fn change(&self) -> Option<&Change> {
        self.change.as_ref()
    }
}

impl Deref for Hint {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl AsRef<str> for Hint {
    fn as_ref(&self) -> &str {
        self
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl From<String> for Hint {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for Hint {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<&String> for Hint {
    fn from(text: &String) -> Self {
        Self::new(text)
    }
}

impl PartialEq<&str> for Hint {
    fn eq(&self, other: &&str) -> bool {
        self.text == *other
    }
}
