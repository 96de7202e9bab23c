//! Everything that is printed or asked.
//!
//! Standard output carries results only, standard error all else, so that output can be piped. Quiet, verbose, colour and
//! the absence of a terminal are handled here once. Whatever is printed is stripped of control characters first. Lines that
//! show progress are taken off the terminal while anything else is printed or asked, so that no two are ever glued together.

mod progress;
mod secret;

use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressDrawTarget};

use crate::error::{Error, Kind, Result};
use crate::printable;

pub use progress::Progress;

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set or TERM is `dumb`.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    fn choice(self) -> anstream::ColorChoice {
        match self {
            Self::Auto => anstream::AutoStream::choice(&io::stderr()),
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        }
    }
}

/// How much is said on standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors and warnings only.
    Quiet,
    /// Status and hints too.
    #[default]
    Normal,
    /// Every request to the API server too.
    Verbose,
}

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default();

/// The one place that prints and asks. Clones share the lines of progress on the terminal.
#[derive(Clone, Debug)]
pub struct Ui {
    verbosity: Verbosity,
    color: Color,
    progress: MultiProgress,
}

impl Ui {
    /// For these settings; what standard input, output and error are is looked up when it matters.
    pub fn new(verbosity: Verbosity, color: Color) -> Self {
        color.choice().write_global();
        let shows_progress = verbosity == Verbosity::Normal
            && io::stderr().is_terminal()
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let target = if shows_progress {
            progress::terminal()
        } else {
            ProgressDrawTarget::hidden()
        };
        Self {
            verbosity,
            color,
            progress: MultiProgress::with_draw_target(target),
        }
    }

    /// A line of the result, to standard output.
    ///
    /// # Errors
    /// When it cannot be written; [`Kind::ClosedPipe`] if the reader has gone.
    pub fn result(&self, text: impl AsRef<str>) -> Result<()> {
        let text = printable::lines(text.as_ref());
        Ok(self
            .progress
            .suspend(|| writeln!(anstream::stdout(), "{text}"))?)
    }

    /// What is being done or was done, to standard error, unless quiet.
    pub fn status(&self, text: impl AsRef<str>) {
        if self.verbosity > Verbosity::Quiet {
            self.say(None, text.as_ref());
        }
    }

    /// Something that the user should know though the command goes on.
    pub fn warning(&self, text: impl AsRef<str>) {
        self.say(Some(("warning", WARNING)), text.as_ref());
    }

    /// A warning with its causes and hints.
    pub fn warn(&self, warning: &Error) {
        self.warning(warning.message());
        for cause in warning.causes() {
            self.say(None, &format!("caused by: {cause}"));
        }
        for hint in warning.hints() {
            self.hint(hint);
        }
    }

    /// One thing that the user may want to do next.
    pub fn hint(&self, text: impl AsRef<str>) {
        if self.verbosity > Verbosity::Quiet {
            self.say(Some(("hint", HINT)), text.as_ref());
        }
    }

    /// A failure, with its causes and hints.
    pub fn error(&self, error: &Error) {
        if matches!(error.kind(), Kind::Child(_) | Kind::ClosedPipe) || error.message().is_empty() {
            return;
        }
        self.say(Some(("error", ERROR)), error.message());
        for cause in error.causes() {
            self.say(None, &format!("caused by: {cause}"));
        }
        for line in error.quoted() {
            self.say(None, &format!("  {line}"));
        }
        for note in error.notes() {
            self.say(None, &format!("note: {note}"));
        }
        if !error.hints().is_empty() {
            self.say(None, "");
        }
        for hint in error.hints() {
            self.say(Some(("hint", HINT)), hint);
        }
    }

    /// One line: a name with a line break in it must not forge another. Standard error may be closed; there is nobody left to
    /// tell then.
    fn say(&self, label: Option<(&str, Style)>, text: &str) {
        let text = printable::line(text);
        let _ = self.progress.suspend(|| {
            let mut stderr = anstream::AutoStream::new(io::stderr().lock(), self.color.choice());
            match label {
                Some((label, style)) => writeln!(stderr, "{style}{label}:{style:#} {text}"),
                None => writeln!(stderr, "{text}"),
            }
        });
    }

    /// Shows on a terminal what is being done, until it is dropped; nothing elsewhere. Several are shown below each other.
    pub fn progress(&self, text: impl AsRef<str>) -> Progress {
        Progress::begin(&self.progress, text.as_ref())
    }

    /// Asks something on a terminal that shows no progress meanwhile.
    fn ask<T>(&self, question: impl FnOnce() -> dialoguer::Result<Option<T>>) -> Result<T> {
        self.progress.suspend(|| answered(question()))
    }

    /// Lets the user choose one of `items` with the arrow keys; the position of the chosen one.
    ///
    /// # Errors
    /// [`Kind::Usage`] naming `instead` where nobody can be asked; [`Kind::Signal`] when the user leaves with Ctrl-C or Esc.
    pub fn choose(&self, question: &str, items: &[String], instead: &str) -> Result<usize> {
        if !can_ask() {
            return Err(Error::usage(format!(
                "{} is missing and there is no terminal to ask on",
                printable::line(question)
            ))
            .hint(instead));
        }
        let shown: Vec<String> = items
            .iter()
            .map(|item| printable::line(item).into_owned())
            .collect();
        let theme: &dyn dialoguer::theme::Theme =
            if self.color == Color::Never || std::env::var_os("NO_COLOR").is_some() {
                &dialoguer::theme::SimpleTheme
            } else {
                &dialoguer::theme::ColorfulTheme::default()
            };
        self.ask(|| {
            dialoguer::Select::with_theme(theme)
                .with_prompt(question)
                .items(&shown)
                .default(0)
                .interact_opt()
        })
    }

    /// Asks whether to go on; no is the answer of whoever only presses Enter.
    ///
    /// # Errors
    /// [`Kind::Usage`] naming `instead` where nobody can be asked; [`Kind::Signal`] when the user leaves with Ctrl-C or Esc.
    pub fn confirm(&self, question: &str, instead: &str) -> Result<bool> {
        if !can_ask() {
            return Err(
                Error::usage("this needs a yes and there is no terminal to ask on").hint(instead),
            );
        }
        self.ask(|| {
            dialoguer::Confirm::new()
                .with_prompt(printable::line(question))
                .default(false)
                .interact_opt()
        })
    }

    /// Lets the user type a secret, which is not shown.
    ///
    /// # Errors
    /// [`Kind::Usage`] naming `instead` where nobody can be asked; [`Kind::Signal`] when the user leaves with Ctrl-C.
    pub fn secret(&self, question: &str, instead: &str) -> Result<secrecy::SecretString> {
        let question = printable::line(question);
        if !can_ask() {
            return Err(Error::usage(format!(
                "the value of {question} is missing and there is no terminal to ask on"
            ))
            .hint(instead));
        }
        let typed = self.ask(|| secret::ask(&question).map_err(dialoguer::Error::IO));
        typed.map(Into::into)
    }
}

/// Whether a question can be asked at all: somebody types and reads.
fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// The answer, or the user's wish to leave; the cursor is shown again in any case.
fn answered<T>(answer: dialoguer::Result<Option<T>>) -> Result<T> {
    let _ = dialoguer::console::Term::stderr().show_cursor();
    match answer {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err(Error::of(Kind::Signal(2), "")),
        Err(dialoguer::Error::IO(error)) if error.kind() == io::ErrorKind::Interrupted => {
            Err(Error::of(Kind::Signal(2), ""))
        }
        Err(error) => Err(Error::new("cannot read the answer").caused_by(error.to_string())),
    }
}
