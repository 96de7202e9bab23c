//! Somebody's terminal.

use cli_tests::Terminal;

use crate::person::Person;

impl Person {
    /// Types this line at a terminal of its own, one that knows no colours and moves no cursor.
    ///
    /// # Panics
    /// When there is no `script` of util-linux, which makes the terminal.
    pub fn at_terminal(&self, line: &str) -> Terminal {
        let mut script = self.command("script");
        script.env("TERM", "dumb");
        Terminal::start(script, line)
    }
}
