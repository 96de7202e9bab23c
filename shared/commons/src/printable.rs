//! Text that came from outside, made safe for a terminal.
//!
//! Names, annotations and error messages come from a cluster that other people write to. A control character in one of
//! them can recolour, erase or forge what the user reads, so none may reach a terminal.

use std::borrow::Cow;

/// Whether a character may change how the text around it is shown: C0 and C1 controls, line separators, and the
/// bidirectional overrides of Unicode ("Trojan Source", CVE-2021-42574) and other invisible formatting characters.
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{00ad}'
                | '\u{061c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// One line: line breaks and tabs become spaces, everything that misleads is removed.
pub fn line(text: &str) -> Cow<'_, str> {
    if text.chars().any(misleads) {
        Cow::Owned(
            text.chars()
                .filter_map(|c| match c {
                    '\n' | '\t' | '\r' => Some(' '),
                    c if misleads(c) => None,
                    c => Some(c),
                })
                .collect(),
        )
    } else {
        Cow::Borrowed(text)
    }
}

/// Several lines: as [`line`], but line breaks stay.
pub fn lines(text: &str) -> Cow<'_, str> {
    if text.chars().any(|c| c != '\n' && misleads(c)) {
        Cow::Owned(text.split('\n').map(line).collect::<Vec<_>>().join("\n"))
    } else {
        Cow::Borrowed(text)
    }
}

/// As ASCII: all other characters, and those that mislead, as `\u{...}`.
pub fn ascii(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_ascii() && !misleads(c) {
                c.to_string()
            } else {
                c.escape_unicode().to_string()
            }
        })
        .collect()
}

/// At most `max` characters of one line, the last one an ellipsis if anything was cut.
pub fn short(text: &str, max: usize) -> String {
    let text = line(text);
    if text.chars().count() <= max {
        return text.into_owned();
    }
    let mut cut: String = text.chars().take(max.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Text of others as one word of a command that is to be typed: a shell takes it for nothing else.
pub fn word(text: &str) -> Cow<'_, str> {
    let text = line(text);
    let is_plain = !text.is_empty()
        && !text.starts_with(['-', '=', '%'])
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._:/@=,+-%".contains(c));
    if is_plain {
        text
    } else {
        Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_what_a_terminal_would_obey() {
        assert_eq!(line("a\u{1b}[31mred\u{7}\r\nb"), "a[31mred  b");
        assert_eq!(line("user\u{202e}nimda"), "usernimda");
        assert_eq!(
            line("\u{9b}31m"),
            "31m",
            "a C1 control starts a sequence too"
        );
        assert_eq!(line("é ü 名"), "é ü 名");
    }

    #[test]
    fn a_word_is_one_word_to_a_shell() {
        assert_eq!(
            word("registry.example/web:1.2@sha256:ab"),
            "registry.example/web:1.2@sha256:ab"
        );
        for (text, quoted) in [
            ("web:1; rm -rf #", "'web:1; rm -rf #'"),
            ("a'b`c`", r"'a'\''b`c`'"),
            ("$(id)\nx", "'$(id) x'"),
            ("--flag", "'--flag'"),
            ("", "''"),
        ] {
            assert_eq!(word(text), quoted);
        }
    }

    #[test]
    fn letters_outside_ascii_can_be_told_apart() {
        assert_eq!(ascii("bob"), "bob");
        assert_eq!(ascii("b\u{43e}b\u{202e}\n"), r"b\u{43e}b\u{202e}\u{a}");
    }

    #[test]
    fn keeps_line_breaks_where_asked() {
        assert_eq!(lines("a\nb\u{1b}c"), "a\nbc");
    }

    #[test]
    fn shortens_by_characters() {
        assert_eq!(short("éééé", 3), "éé…");
        assert_eq!(short("abc", 3), "abc");
    }
}
