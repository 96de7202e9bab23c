//! Namespaces of a test's own: what it calls `user-alice` is `user-alice-17z` at the API server, and nobody sees that.

use std::collections::BTreeSet;

/// The names that are a test's own.
pub struct Names {
    suffix: String,
    /// As the test calls them.
    own: BTreeSet<String>,
}

impl Names {
    /// Those of the test with this number, of this run.
    pub fn new(number: u32) -> Self {
        // The last letter ends the number: no suffix begins another one.
        Self {
            suffix: format!("-{:x}-{number}z", std::process::id()),
            own: BTreeSet::new(),
        }
    }

    /// From now on this name is the test's own; whether it was not before.
    pub fn add(&mut self, name: &str) -> bool {
        self.own.insert(name.to_owned())
    }

    /// Whether a name is the test's own.
    pub fn has(&self, name: &str) -> bool {
        self.own.contains(name)
    }

    /// What the API server knows it by.
    pub fn real(&self, name: &str) -> String {
        if self.own.contains(name) {
            format!("{name}{}", self.suffix)
        } else {
            name.to_owned()
        }
    }

    /// All of them, as the API server knows them.
    pub fn all_real(&self) -> impl Iterator<Item = String> {
        self.own.iter().map(|name| format!("{name}{}", self.suffix))
    }

    /// Text of the test's side as the API server is to get it: own names wherever they are whole words.
    pub fn hide(&self, text: &str) -> String {
        let is_word = |c: char| c.is_ascii_alphanumeric();
        let mut hidden = String::with_capacity(text.len());
        let mut rest = text;
        let mut before = None;
        while let Some(first) = rest.chars().next() {
            let name = self
                .own
                .iter()
                .filter(|_| before.is_none_or(|c| !is_word(c)))
                .filter(|name| {
                    rest.strip_prefix(name.as_str())
                        .is_some_and(|after| !after.starts_with(is_word))
                })
                .max_by_key(|name| name.len());
            let length = name.map_or(first.len_utf8(), String::len);
            let (taken, after) = rest.split_at(length);
            hidden += taken;
            if name.is_some() {
                hidden += &self.suffix;
            }
            before = taken.chars().next_back();
            rest = after;
        }
        hidden
    }

    /// Text of the API server as the test is to see it.
    pub fn show(&self, text: &str) -> String {
        text.replace(&self.suffix, "")
    }

    /// Whether the API server's name is the test's own.
    pub fn is_own(&self, real: &str) -> bool {
        real.strip_suffix(&self.suffix)
            .is_some_and(|name| self.own.contains(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_are_replaced_and_come_back() {
        let mut names = Names::new(17);
        assert!(names.add("user-alice") && names.add("infra") && names.add("user-alice-2"));
        assert!(!names.add("infra"));
        let text = r#"{"namespace":"user-alice","for":["system:serviceaccount:user-alice:x","user-alice-2","infrastructure","é infra"]}"#;
        let hidden = names.hide(text);
        let real = names.real("user-alice");
        assert!(
            hidden.contains(&format!("serviceaccount:{real}:x")),
            "{hidden}"
        );
        assert!(hidden.contains(&names.real("user-alice-2")), "{hidden}");
        assert!(hidden.contains("infrastructure"), "{hidden}");
        assert!(names.is_own(&real) && !names.is_own("user-alice"));
        assert_eq!(names.show(&hidden), text);
    }
}
