//! Running a command beside the tunnel, as a shell would: its terminal, its signals, its exit code.

use std::ffi::OsString;
use std::process::ExitStatus;

use commons::cli::Interrupt;
use commons::{Error, Kind, Result, Ui};
use database::Environment;
use tokio::process::{Child, Command};

/// Runs a command in this environment until it ends. Ctrl-C reaches it by the terminal and is left to it (psql cancels its
/// query and goes on); SIGTERM and SIGHUP are passed on.
///
/// # Errors
/// [`Kind::Child`] with the command's exit code where it is not 0: 128 + n when signal n ended it, 127 when there is no such
/// command, 126 when it cannot be run.
pub async fn run(
    command: &[OsString],
    environment: &Environment,
    ui: &Ui,
    interrupt: &Interrupt,
) -> Result<()> {
    let Some((program, arguments)) = command.split_first() else {
        return Ok(());
    };
    let _shield = interrupt.shield();
    let mut signals = Signals::listen()?;
    let mut command = Command::new(program);
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        if environment.removes(&name.to_string_lossy()) {
            command.env_remove(name);
        }
    }
    command.envs(environment.variables());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Err(not_run(&program.to_string_lossy(), &error, ui)),
    };
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            signal = signals.next() => pass_on(&child, signal),
        }
    };
    let status = status
        .map_err(|error| Error::new("cannot wait for the command").caused_by(error.to_string()))?;
    match exit_code(status) {
        0 => Ok(()),
        code => Err(Error::of(Kind::Child(code), "")),
    }
}

/// What the command is not passed on of the user's environment, by name.
pub fn left_out(environment: &Environment) -> Vec<String> {
    let users: Vec<(String, String)> = std::env::vars_os()
        .map(|(name, value)| {
            let text = |text: OsString| text.to_string_lossy().into_owned();
            (text(name), text(value))
        })
        .collect();
    environment.left_out(users.iter().map(|(name, value)| (&**name, &**value)))
}

/// Says why a command did not start; the exit code is the shells'.
fn not_run(program: &str, error: &std::io::Error, ui: &Ui) -> Error {
    let (code, said) = if error.kind() == std::io::ErrorKind::NotFound {
        let said = Error::new(format!("there is no command `{program}` on this machine"));
        let said = if program == "psql" {
            said.hint("install it: package `postgresql-client`, or `libpq` with Homebrew")
        } else {
            said
        };
        (127, said)
    } else {
        (
            126,
            Error::new(format!("`{program}` cannot be run")).caused_by(error.to_string()),
        )
    };
    ui.error(&said);
    Error::of(Kind::Child(code), "")
}

#[cfg(unix)]
fn exit_code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1)
}

#[cfg(not(unix))]
fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or(1)
}

/// The signals that are passed on. The common part of the suite knows only the first signal; here each one counts.
#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let failed = |error: std::io::Error| {
            Error::new("cannot listen for signals").caused_by(error.to_string())
        };
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
            hang_up: signal(SignalKind::hangup()).map_err(failed)?,
        })
    }

    async fn next(&mut self) -> rustix::process::Signal {
        tokio::select! {
            _ = self.terminate.recv() => rustix::process::Signal::TERM,
            _ = self.hang_up.recv() => rustix::process::Signal::HUP,
        }
    }
}

#[cfg(unix)]
fn pass_on(child: &Child, signal: rustix::process::Signal) {
    let pid = child
        .id()
        .and_then(|pid| rustix::process::Pid::from_raw(i32::try_from(pid).ok()?));
    if let Some(pid) = pid {
        // It may have ended just now; then there is nobody to tell.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        std::future::pending().await
    }
}

#[cfg(not(unix))]
fn pass_on(_: &Child, (): ()) {}
