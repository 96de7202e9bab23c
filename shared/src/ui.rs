//! Everything that is printed or asked.
//!
//! Standard output carries results only, standard error all else, so that output can be piped. Quiet, verbose, colour and
//! the absence of a terminal are handled here once. Whatever is printed is stripped of control characters first.

use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};

use crate::error::{Error, Kind, Result};
use crate::printable;

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

/// The one place that prints and asks.
#[derive(Clone, Debug)]
pub struct Ui {
    verbosity: Verbosity,
    color: Color,
}

impl Ui {
    /// For these settings; what standard input, output and error are is looked up when it matters.
    pub fn new(verbosity: Verbosity, color: Color) -> Self {
        color.choice().write_global();
        Self { verbosity, color }
    }

    /// A line of the result, to standard output.
    ///
    /// # Errors
    /// When it cannot be written; [`Kind::ClosedPipe`] if the reader has gone.
    pub fn result(&self, text: impl AsRef<str>) -> Result<()> {
        Ok(writeln!(
            anstream::stdout(),
            "{}",
            printable::lines(text.as_ref())
        )?)
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
        let mut stderr = anstream::AutoStream::new(io::stderr().lock(), self.color.choice());
        let text = printable::line(text);
        let _ = match label {
            Some((label, style)) => writeln!(stderr, "{style}{label}:{style:#} {text}"),
            None => writeln!(stderr, "{text}"),
        };
    }

    /// What is being done, on a terminal while it takes its time; nothing elsewhere. It goes away when dropped.
    pub fn progress(&self, text: impl AsRef<str>) -> Progress {
        if self.verbosity != Verbosity::Normal
            || !io::stderr().is_terminal()
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb")
        {
            return Progress(None);
        }
        let progress = Progress(Some(dialoguer::console::Term::stderr()));
        progress.say(text);
        progress
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
        let chosen = dialoguer::Select::with_theme(theme)
            .with_prompt(question)
            .items(&shown)
            .default(0)
            .interact_opt();
        answered(chosen)
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
        let confirmed = dialoguer::Confirm::new()
            .with_prompt(printable::line(question))
            .default(false)
            .interact_opt();
        answered(confirmed)
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
        let mut stderr = io::stderr().lock();
        let typed = write!(stderr, "{question}: ")
            .and_then(|()| stderr.flush())
            .and_then(|()| hidden_line());
        answered(typed.map_err(dialoguer::Error::IO)).map(Into::into)
    }
}

/// One line from the terminal, not shown while it is typed; nothing when the user leaves with Ctrl-C or Ctrl-D. While this
/// waits nobody else runs who could see a signal, so Ctrl-C is read as a character that ends the line.
#[cfg(unix)]
fn hidden_line() -> io::Result<Option<String>> {
    use io::Read;
    use rustix::termios::{
        LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
    };

    const CTRL_C: u8 = 3;

    struct Restore(Termios);
    impl Drop for Restore {
        fn drop(&mut self) {
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
        }
    }

    let mut mode = tcgetattr(io::stdin())?;
    let restore = Restore(mode.clone());
    mode.local_modes -= LocalModes::ECHO | LocalModes::ISIG;
    mode.special_codes[SpecialCodeIndex::VEOL] = CTRL_C;
    tcsetattr(io::stdin(), OptionalActions::Flush, &mode)?;
    let mut line = Vec::new();
    let mut buffer = [0; 1024];
    let mut stdin = io::stdin().lock();
    while !line.ends_with(b"\n") && !line.ends_with(&[CTRL_C]) {
        match stdin.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => line.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    drop(restore);
    writeln!(io::stderr())?;
    if !line.ends_with(b"\n") {
        return Ok(None);
    }
    line.pop();
    String::from_utf8(line)
        .map(Some)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is no text"))
}

#[cfg(not(unix))]
fn hidden_line() -> io::Result<Option<String>> {
    dialoguer::console::Term::stderr()
        .read_secure_line()
        .map(Some)
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

/// A line that tells what is being done; it is removed when this is dropped.
#[derive(Debug)]
pub struct Progress(Option<dialoguer::console::Term>);

impl Progress {
    /// Replaces its text.
    pub fn say(&self, text: impl AsRef<str>) {
        if let Some(term) = &self.0 {
            let width = usize::from(term.size().1).saturating_sub(2);
            let _ = term.clear_line();
            let _ = term.write_str(&format!("{}…", printable::short(text.as_ref(), width)));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(term) = &self.0 {
            let _ = term.clear_line();
        }
    }
}
