//! What commands do, in bounded time.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cli_tests::Stopwatch;

/// How long any command of a test may take, undisturbed.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// What a command did.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The exit code; 128 + n for a signal.
    pub code: i32,
    /// How long it took.
    pub took: Duration,
    /// The part of it in which nobody had to wait for the machine: by this, promises are measured.
    pub undisturbed: Duration,
}

impl Outcome {
    /// The same, if it succeeded.
    ///
    /// # Panics
    /// With all output otherwise.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(
            self.code == 0,
            "failed with {}:\n{}{}",
            self.code,
            self.stdout,
            self.stderr
        );
        self
    }

    /// The first line on standard error that says what went wrong.
    pub fn error(&self) -> &str {
        self.stderr
            .lines()
            .find(|line| line.starts_with("error: "))
            .unwrap_or_default()
    }

    /// The command of the first hint, to be typed as it is.
    pub fn hinted(&self) -> Option<&str> {
        let hint = self
            .stderr
            .lines()
            .find(|line| line.starts_with("hint: "))?;
        hint.split('`').find(|part| part.starts_with("kubectl "))
    }

    /// The same, if it said this on standard error.
    ///
    /// # Panics
    /// With all output otherwise.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(
            self.stderr.contains(text),
            "expected {text:?}, got:\n{}{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// The same, if it took at most this long, undisturbed.
    ///
    /// # Panics
    /// With all output otherwise.
    #[track_caller]
    pub fn within(self, limit: Duration) -> Self {
        assert!(
            self.undisturbed <= limit,
            "took {:?} instead of at most {limit:?}, and {:?} in all:\n{}{}",
            self.undisturbed,
            self.took,
            self.stdout,
            self.stderr
        );
        self
    }

    /// The same, if it failed with this code and said this on standard error.
    ///
    /// # Panics
    /// With all output otherwise.
    #[track_caller]
    pub fn fails(self, code: i32, saying: &str) -> Self {
        assert!(
            self.code == code && self.stderr.contains(saying),
            "expected {code} and {saying:?}, got {}:\n{}{}",
            self.code,
            self.stdout,
            self.stderr
        );
        self
    }
}

/// Runs a command to its end, in bounded time.
///
/// # Panics
/// When it cannot be started or takes more than a minute.
#[track_caller]
pub fn run(command: &mut Command) -> Outcome {
    run_with(command, None)
}

/// The same with this on its standard input.
#[track_caller]
pub(crate) fn run_with(command: &mut Command, input: Option<&str>) -> Outcome {
    let stopwatch = Stopwatch::start();
    if input.is_some() {
        command.stdin(Stdio::piped());
    }
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        // A command that does not want it all says itself why.
        let _ = stdin.write_all(input.as_bytes());
    }
    let mut stdout = child.stdout.take().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let read = |stream: &mut dyn Read| {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    };
    std::thread::scope(|scope| {
        let out = scope.spawn(move || read(&mut stdout));
        let err = scope.spawn(move || read(&mut stderr));
        let Some(code) = ends(&mut child, PATIENCE) else {
            let doing = doing(child.id());
            let _ = child.kill();
            let _ = child.wait();
            let (out, err) = (out.join().unwrap(), err.join().unwrap());
            panic!(
                "{command:?} did not end within {PATIENCE:?}\n{doing}\nstdout: {out}\nstderr: {err}"
            );
        };
        Outcome {
            stdout: out.join().unwrap(),
            stderr: err.join().unwrap(),
            code,
            took: stopwatch.elapsed(),
            undisturbed: stopwatch.undisturbed(),
        }
    })
}

/// A child's exit code; a child that does not end is killed.
#[track_caller]
pub(crate) fn exit_code(child: &mut Child, patience: Duration) -> i32 {
    ends(child, patience).unwrap_or_else(|| {
        let doing = doing(child.id());
        let _ = child.kill();
        panic!("a command did not end within {patience:?}\n{doing}");
    })
}

/// A child's exit code, if it ends in time.
fn ends(child: &mut Child, patience: Duration) -> Option<i32> {
    use std::os::unix::process::ExitStatusExt;
    let stopwatch = Stopwatch::start();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            let signal = || 128 + status.signal().unwrap_or(0);
            return Some(status.code().unwrap_or_else(signal));
        }
        if stopwatch.is_over(patience) {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What a process that should have ended is doing: each thread's system call, and its open files.
fn doing(process: u32) -> String {
    let process = std::path::PathBuf::from(format!("/proc/{process}"));
    let entries = |folder: &str| {
        std::fs::read_dir(process.join(folder))
            .into_iter()
            .flatten()
    };
    let mut text = String::new();
    for task in entries("task").flatten() {
        let read = |name| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
        for name in ["comm", "wchan", "syscall"] {
            let _ = write!(text, "{name}: {} ", read(name).trim());
        }
        text.push('\n');
    }
    for file in entries("fd").flatten() {
        if let Ok(to) = std::fs::read_link(file.path()) {
            let _ = write!(text, "{} ", to.display());
        }
    }
    text
}

/// Waits for a condition, for at most this long, undisturbed.
///
/// # Panics
/// When it does not come true in time.
#[track_caller]
pub fn eventually(what: &str, patience: Duration, mut holds: impl FnMut() -> bool) {
    let stopwatch = Stopwatch::start();
    while !holds() {
        assert!(
            !stopwatch.is_over(patience),
            "not within {patience:?}: {what}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}
