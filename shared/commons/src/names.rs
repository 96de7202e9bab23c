//! Names of objects: which there can be, and those we give.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::printable;

/// The longest name that fits a label's value and a Job's name.
const MAX: usize = 63;

/// Whether a text is a name as most objects have it: an RFC 1123 subdomain.
pub fn is_name(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    !text.is_empty()
        && text.len() <= 253
        && text
            .chars()
            .all(|c| alphanumeric(c) || c == '-' || c == '.')
        && text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
        && !text.contains("..")
}

/// A name of a command line.
///
/// # Errors
/// Why it is none, as clap shows it.
pub fn parse(text: &str) -> Result<String, String> {
    if is_name(text) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "`{}` cannot be a name in Kubernetes (lower-case letters, digits, `-` and `.`)",
        printable::short(text, 60)
    ))
}

/// What people call the owner of a namespace: Onyxia's are `user-<name>` and `projet-<group>`.
pub fn owner_of(namespace: &str) -> &str {
    ["user-", "projet-"]
        .iter()
        .find_map(|prefix| namespace.strip_prefix(prefix))
        .filter(|owner| !owner.is_empty())
        .unwrap_or(namespace)
}

/// Joins parts to a name that Kubernetes accepts. Parts that have to be changed for it (other characters, too long) get a
/// hash of what they were. `a-b`+`c` and `a`+`b-c` meet in one name: where that matters, use [`join_exactly`].
pub fn join(parts: &[&str]) -> String {
    let original = parts.join("-");
    let name = plain(parts);
    if name == original && name.len() <= MAX {
        return name;
    }
    with_hash(&name, &parts.join("\0"))
}

/// The parts joined, in the characters that every name may have.
fn plain(parts: &[&str]) -> String {
    let original = parts.join("-");
    let name: String = original
        .to_lowercase()
        .chars()
        .map(|c| {
            if c.is_ascii_lowercase() || c.is_ascii_digit() {
                c
            } else {
                '-'
            }
        })
        .collect();
    name.trim_matches('-').to_owned()
}

/// As [`join`], always with a hash of what makes it this one, whatever of that can be read in the name.
pub fn join_exactly(parts: &[&str], exact: &[&str]) -> String {
    with_hash(&plain(parts), &exact.join("\0"))
}

fn with_hash(name: &str, hashed: &str) -> String {
    let digest = Sha256::digest(hashed.as_bytes());
    let mut hash = String::new();
    for byte in digest.iter().take(4) {
        let _ = write!(hash, "{byte:02x}");
    }
    let kept: String = name.chars().take(MAX - hash.len() - 1).collect();
    format!("{}-{hash}", kept.trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_fits() {
        assert_eq!(join(&["share", "pg", "bob"]), "share-pg-bob");
    }

    #[test]
    fn what_is_changed_gets_a_hash() {
        let dotted = join(&["share", "pg", "bob.b"]);
        assert!(
            dotted.starts_with("share-pg-bob-b-") && dotted.len() == "share-pg-bob-b-".len() + 8,
            "{dotted}"
        );
        assert_ne!(
            join(&["share", "pg", "bob@a"]),
            join(&["share", "pg", "bob@b"])
        );
        assert_ne!(join(&["share", "pg", "Bob"]), join(&["share", "pg", "bob"]));
    }

    #[test]
    fn parts_that_join_to_the_same_words_do_not_meet() {
        let name = |database: &str, user: &str| {
            join_exactly(&["share", database, user], &[database, user])
        };
        assert_ne!(name("pg", "dev-bob"), name("pg-dev", "bob"));
        assert_eq!(name("pg", "bob"), name("pg", "bob"));
        assert_ne!(name("pg", "bob"), name("svc/pg", "bob"));
    }

    #[test]
    fn fits_sixty_three_characters() {
        let long = "x".repeat(200);
        let name = join(&["share", &long, "bob"]);
        assert_eq!(name.len(), 63);
        assert_ne!(name, join(&["share", &long, "eve"]));
        assert!(
            join(&["share", "pg", "名前"])
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-')
        );
    }

    #[test]
    fn the_owner_of_a_namespace() {
        assert_eq!(owner_of("user-alice"), "alice");
        assert_eq!(owner_of("projet-shop"), "shop");
        assert_eq!(owner_of("user-"), "user-");
    }
}
