//! Somebody's terminal: what is typed, and what is shown.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::outcome::{PATIENCE, exit_code};
use crate::person::Person;

impl Person {
    /// Types this line at a terminal of its own.
    ///
    /// # Panics
    /// When there is no `script` of util-linux, which makes the terminal.
    pub fn at_terminal(&self, line: &str) -> Terminal {
        let mut child = self
            .command("script")
            .args(["-q", "-e", "-c", line, "/dev/null"])
            .env("SHELL", "/bin/sh")
            .env("TERM", "dumb")
            // A runner of CI is taken for a terminal with colours.
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("`script` of util-linux");
        let keyboard = child.stdin.take().expect("its input");
        let mut output = child.stdout.take().expect("its output");
        let shown = Arc::new(Mutex::new(String::new()));
        let written = shown.clone();
        let screen = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..count]);
                written.lock().expect("the text").push_str(&text);
            }
        });
        Terminal {
            child,
            keyboard,
            screen,
            shown,
        }
    }
}

/// A terminal with a command; the command is ended when this goes.
pub struct Terminal {
    child: Child,
    keyboard: ChildStdin,
    /// Ends when all of it has been shown.
    screen: JoinHandle<()>,
    shown: Arc<Mutex<String>>,
}

impl Terminal {
    /// Presses these keys: `\n` is Return, `\x03` Ctrl-C.
    ///
    /// # Panics
    /// When the command has ended.
    pub fn presses(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("typed");
        self.keyboard.flush().expect("typed");
    }

    /// Everything that it has shown so far.
    ///
    /// # Panics
    /// Never.
    pub fn shown(&self) -> String {
        self.shown.lock().expect("the text").clone()
    }

    /// Waits until it has shown this.
    ///
    /// # Panics
    /// When it does not, with what it has shown.
    #[track_caller]
    pub fn shows(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.shown().contains(text) {
            assert!(
                Instant::now() < deadline,
                "the terminal does not show {text:?} but:\n{}",
                self.shown()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for the end of the command, and until all that it said is shown.
    ///
    /// # Panics
    /// When something that it has started still holds the terminal.
    pub fn end(&mut self) -> i32 {
        let code = exit_code(&mut self.child, PATIENCE);
        let deadline = Instant::now() + PATIENCE;
        while !self.screen.is_finished() {
            assert!(Instant::now() < deadline, "the terminal is still in use");
            std::thread::sleep(Duration::from_millis(20));
        }
        code
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
