//! A terminal with a command: what is typed, and what is shown.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::Stopwatch;

/// No command at a terminal takes longer for what a test waits for.
const PATIENCE: Duration = Duration::from_mins(1);
/// Lines and columns.
const SIZE: (u16, u16) = (40, 200);

/// A terminal with a command; the command is ended when this goes.
pub struct Terminal {
    child: Child,
    keyboard: ChildStdin,
    /// Ends when all of it has been shown.
    reader: JoinHandle<()>,
    output: Arc<Mutex<Output>>,
}

/// What has been written to it.
struct Output {
    /// As it came.
    text: String,
    screen: vt100::Parser,
}

impl Terminal {
    /// Types a line at a terminal of its own; `script`, the program of util-linux that makes the terminal, is run by this
    /// command's environment.
    pub fn start(mut script: Command, line: &str) -> Self {
        let (lines, columns) = SIZE;
        let line = format!("stty rows {lines} cols {columns}; {line}");
        let mut child = script
            .args(["-q", "-e", "-c", &line, "/dev/null"])
            .env("SHELL", "/bin/sh")
            // A runner of CI is taken for a terminal with colours.
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("`script` of util-linux");
        let keyboard = child.stdin.take().expect("its input");
        let mut stdout = child.stdout.take().expect("its output");
        let output = Arc::new(Mutex::new(Output {
            text: String::new(),
            screen: vt100::Parser::new(lines, columns, 0),
        }));
        let written = output.clone();
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = stdout.read(&mut bytes) {
                let mut output = written.lock().expect("the output");
                output
                    .text
                    .push_str(&String::from_utf8_lossy(&bytes[..count]));
                output.screen.process(&bytes[..count]);
            }
        });
        Self {
            child,
            keyboard,
            reader,
            output,
        }
    }

    /// Presses these keys: `\n` is Return, `\x03` Ctrl-C.
    pub fn presses(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("typed");
        self.keyboard.flush().expect("typed");
    }

    /// Everything that was written to it so far, also what is no longer to be seen.
    pub fn shown(&self) -> String {
        self.output.lock().expect("the output").text.clone()
    }

    /// What is to be seen on it, without empty lines at its end.
    pub fn screen(&self) -> String {
        let output = self.output.lock().expect("the output");
        let screen = output.screen.screen();
        let rows: Vec<String> = screen
            .rows(0, SIZE.1)
            .map(|row| row.trim_end().to_owned())
            .collect();
        rows.join("\n").trim_end().to_owned()
    }

    /// Whether the cursor is to be seen.
    pub fn has_cursor(&self) -> bool {
        !self
            .output
            .lock()
            .expect("the output")
            .screen
            .screen()
            .hide_cursor()
    }

    /// Waits until this was written to it.
    #[track_caller]
    pub fn shows(&self, text: &str) {
        self.waits(text, |terminal| terminal.shown().contains(text));
    }

    /// Waits until something is to be seen on it.
    #[track_caller]
    pub fn waits(&self, what: &str, is_seen: impl Fn(&Self) -> bool) {
        let stopwatch = Stopwatch::start();
        while !is_seen(self) {
            assert!(
                !stopwatch.is_over(PATIENCE),
                "the terminal does not show {what:?} but:\n{}\n",
                self.screen()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for the end of the command, and until all that it said is shown; the exit code.
    #[track_caller]
    pub fn end(&mut self) -> i32 {
        let status = crate::run::wait(&mut self.child, "a command at a terminal");
        let stopwatch = Stopwatch::start();
        while !self.reader.is_finished() {
            assert!(!stopwatch.is_over(PATIENCE), "the terminal is still in use");
            std::thread::sleep(Duration::from_millis(10));
        }
        status.code().expect("`script` ends by itself")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
