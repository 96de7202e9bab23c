//! One line typed on the terminal, without being shown.
//!
//! Not by a crate: those leave the terminal without echo when Ctrl-C ends the process. While this waits, nobody else runs who
//! could see a signal, so Ctrl-C is read as a character that ends the line.

use std::io::{self, Write};

/// Asks; `None` when the user leaves with Ctrl-C or Ctrl-D.
///
/// # Errors
/// When the terminal cannot be read, or what was typed is not UTF-8.
pub(super) fn ask(question: &str) -> io::Result<Option<String>> {
    let mut stderr = io::stderr().lock();
    write!(stderr, "{question}: ")?;
    stderr.flush()?;
    drop(stderr);
    hidden_line()
}

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
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

#[cfg(not(unix))]
fn hidden_line() -> io::Result<Option<String>> {
    dialoguer::console::Term::stderr()
        .read_secure_line()
        .map(Some)
}
