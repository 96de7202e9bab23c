//! What went wrong, why, and what to do about it: the one form in which every failure reaches the user.
//!
//! An error is a phrase (`error: ...`), the causes below it and hints, each one action. Everything that a cluster, a
//! kubeconfig or the network can answer is put into words here and nowhere else, so that no raw client error is ever shown.

mod hint;
mod login;
mod refusal;
mod transport;

use crate::printable;

pub use hint::Hint;
pub(crate) use login::{Failed, over};
pub use refusal::{explain, rights_hints};
pub(crate) use transport::why as why_unreachable;

/// A result whose error is for the user.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure it is, for code that goes on differently (and for the exit code).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The command was typed wrongly: exit code 2.
    Usage,
    /// Stopped by the signal of this number: exit code 128 + number.
    Signal(i32),
    /// A child command ended with this code, which becomes ours; nothing is printed.
    Child(i32),
    /// Whoever read our output has closed it: nothing is printed, exit code 0.
    ClosedPipe,
    /// The API server could not be reached, or did not answer in time.
    Unreachable,
    /// The API server does not know who asks (401).
    Unauthorized,
    /// The API server knows who asks and refuses (403).
    Forbidden,
    /// What was asked for does not exist (404).
    NotFound,
    /// The API has no such kind (404 without a `Status`).
    NotServed,
    /// It exists already (409, `AlreadyExists`).
    AlreadyExists,
    /// It was changed by somebody else at the same time, or another field manager owns the field (409).
    Conflict,
    /// Every other failure: exit code 1.
    Failed,
}

/// A line below the causes.
#[derive(Clone, Debug)]
enum After {
    /// Somebody else's words.
    Quoted(String),
    /// What became of the rest.
    Note(String),
}

/// A failure as the user will read it.
#[derive(Clone, Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    causes: Vec<String>,
    after: Vec<After>,
    hints: Vec<Hint>,
}

impl Error {
    /// A failure said in one lower-case phrase without a full stop.
    pub fn new(message: impl Into<String>) -> Self {
        Self::of(Kind::Failed, message)
    }

    /// A failure of a certain kind.
    pub fn of(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            causes: Vec::new(),
            after: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// The command was typed wrongly.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::of(Kind::Usage, message)
    }

    /// Hints, one action each.
    #[must_use]
    pub fn hints_from<H: Into<Hint>>(mut self, hints: impl IntoIterator<Item = H>) -> Self {
        self.hints.extend(hints.into_iter().map(Into::into));
        self
    }

    /// The same failure as one of another kind.
    #[must_use]
    pub fn as_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// What it was caused by, one phrase; the first added is shown first.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// What became of the rest, one phrase: `nothing was changed`.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.after.push(After::Note(note.into()));
        self
    }

    /// Lines of somebody else's words that the last cause announces, such as the end of a log.
    #[must_use]
    pub fn quoting<'a>(mut self, lines: impl IntoIterator<Item = &'a str>) -> Self {
        let lines = lines.into_iter().map(|line| printable::short(line, 300));
        self.after.extend(lines.map(After::Quoted));
        self
    }

    /// One thing to do about it, commands in backticks.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Hint>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same failure seen from a step higher: `message` takes the place of the phrase, which becomes its first cause.
    #[must_use]
    pub fn context(mut self, message: impl Into<String>) -> Self {
        let inner = std::mem::replace(&mut self.message, message.into());
        self.causes.insert(0, inner);
        self
    }

    /// The same failure without hints, for when the caller knows better ones.
    #[must_use]
    pub fn without_hints(mut self) -> Self {
        self.hints.clear();
        self
    }

    /// The same failure with the remedies of its hints in a plugin's own words: `say` gives the hints that take the place of one,
    /// `None` where it stays. No hint is there twice.
    #[must_use]
    pub fn phrased(mut self, say: impl Fn(&Hint) -> Option<Vec<String>>) -> Self {
        let mut hints: Vec<Hint> = Vec::new();
        for hint in std::mem::take(&mut self.hints) {
            let said = match say(&hint) {
                Some(said) => said.into_iter().map(Into::into).collect(),
                None => vec![hint],
            };
            for hint in said {
                if !hints.contains(&hint) {
                    hints.push(hint);
                }
            }
        }
        self.hints = hints;
        self
    }

    /// What sort of failure it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The phrase.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The causes, outermost first.
    pub fn causes(&self) -> &[String] {
        &self.causes
    }

    /// What became of the rest.
    pub fn notes(&self) -> impl Iterator<Item = &str> {
        self.after.iter().filter_map(|after| match after {
            After::Note(note) => Some(note.as_str()),
            After::Quoted(_) => None,
        })
    }

    /// The lines quoted.
    pub fn quoted(&self) -> impl Iterator<Item = &str> {
        self.after.iter().filter_map(|after| match after {
            After::Quoted(line) => Some(line.as_str()),
            After::Note(_) => None,
        })
    }

    /// The hints.
    pub fn hints(&self) -> &[Hint] {
        &self.hints
    }

    /// The process's exit code for this failure.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Usage => 2,
            Kind::Signal(number) => u8::try_from(128 + number).unwrap_or(1),
            Kind::Child(code) => u8::try_from(code).unwrap_or(1),
            Kind::ClosedPipe => 0,
            _ => 1,
        }
    }
}

impl From<std::io::Error> for Error {
    /// For writes to standard output, the one place where an I/O error needs no words of its own.
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            Self::of(Kind::ClosedPipe, "closed pipe")
        } else {
            Self::new("cannot write the output").caused_by(error.to_string())
        }
    }
}

/// What was asked of the API server, to be named when it fails.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The verb as RBAC names it.
    pub verb: &'static str,
    /// The resource as RBAC names it, with its subresource: `pods/portforward`.
    pub resource: String,
    /// What the user calls one of these: `job`, `role binding`.
    pub noun: String,
    /// The object's name, empty for lists.
    pub name: &'a str,
    /// The namespace, if it has one.
    pub namespace: Option<&'a str>,
}

impl Request<'_> {
    fn object(&self) -> String {
        if self.name.is_empty() {
            format!("{}s", self.noun)
        } else {
            format!("{} `{}`", self.noun, printable::line(self.name))
        }
    }

    fn place(&self) -> String {
        self.namespace
            .map(|namespace| format!(" in namespace `{}`", printable::line(namespace)))
            .unwrap_or_default()
    }
}

/// Where a request was sent, as far as it is needed to explain its failure.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// The API server's address.
    pub server: String,
    /// The kubeconfig's context, empty inside a cluster.
    pub context: String,
    /// The words for how one is known there: `user "alice"`.
    pub credential: String,
    /// The proxy in between, without its password; empty if none.
    pub proxy: String,
    /// When the credential ends, if it tells.
    pub expires: Option<jiff::Timestamp>,
}

/// The names closest to what was typed, best first, for a hint.
pub fn close_names<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut close: Vec<(f64, &str)> = names
        .into_iter()
        .map(|name| {
            let contains = !typed.is_empty() && (name.contains(typed) || typed.contains(name));
            (
                strsim::jaro_winkler(typed, name).max(if contains { 0.85 } else { 0.0 }),
                name,
            )
        })
        .filter(|(score, _)| *score >= 0.8)
        .collect();
    close.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    close.dedup_by(|a, b| a.1 == b.1);
    close.into_iter().take(3).map(|(_, name)| name).collect()
}

/// "did you mean" for names that are close, or the names there are, or nothing.
pub fn name_hint<'a>(
    typed: &str,
    names: impl IntoIterator<Item = &'a str> + Clone,
) -> Option<String> {
    let quoted = |names: &[&str]| {
        names
            .iter()
            .map(|name| format!("`{}`", printable::line(name)))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let close = close_names(typed, names.clone());
    if !close.is_empty() {
        return Some(format!("did you mean {}?", quoted(&close)));
    }
    let mut all: Vec<&str> = names.into_iter().collect();
    all.sort_unstable();
    all.dedup();
    match all.len() {
        0 => None,
        1..=8 => Some(format!("there are: {}", quoted(&all))),
        n => Some(format!("there are {n}, among them {}", quoted(&all[..8]))),
    }
}
