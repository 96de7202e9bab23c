//! Credentials that stand where everybody can read them.

use serde_json::Value;

use super::{Finding, called, containers, is, items, shown};

/// Words at the end of a name that mean a credential.
const ENDS: [&str; 12] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "token",
    "secret",
    "apikey",
    "secretkey",
    "privatekey",
    "accesskey",
    "credentials",
    "pgpass",
];
/// Tokens by which issuers make them known.
const PREFIXES: [(&str, usize, &str); 11] = [
    ("AKIA", 20, "an AWS access key"),
    ("ASIA", 20, "an AWS access key"),
    ("ghp_", 30, "a GitHub token"),
    ("gho_", 30, "a GitHub token"),
    ("ghs_", 30, "a GitHub token"),
    ("github_pat_", 30, "a GitHub token"),
    ("glpat-", 20, "a GitLab token"),
    ("xoxb-", 20, "a Slack token"),
    ("sk-", 30, "an API key"),
    ("hf_", 30, "a Hugging Face token"),
    ("hvs.", 20, "a Vault token"),
];

/// Why a variable looks like a credential: `looks like a password`. Neither name nor value are enough where the value can be
/// nothing that is worth hiding.
pub fn suspicion(name: &str, value: &str) -> Option<String> {
    let value = value.trim();
    if value.is_empty() {
        return None;
    }
    if let Some(kind) = in_value(value) {
        return Some(format!("holds {kind}"));
    }
    let word = names_a_credential(name)?;
    let harmless = value.starts_with("$(")
        || value.starts_with('/')
        || matches!(
            value.to_ascii_lowercase().as_str(),
            "true" | "false" | "yes" | "no" | "on" | "off" | "none" | "null"
        );
    (!harmless).then(|| format!("looks like a {word}"))
}

fn names_a_credential(name: &str) -> Option<&'static str> {
    let joined: String = name
        .to_ascii_lowercase()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    let word = ENDS.iter().find(|end| joined.ends_with(*end))?;
    Some(match *word {
        "token" => "token",
        "apikey" | "secretkey" | "privatekey" | "accesskey" => "key",
        "secret" | "credentials" => "secret",
        _ => "password",
    })
}

/// A credential that a value holds, whatever it is called.
fn in_value(value: &str) -> Option<&'static str> {
    if value.contains("PRIVATE KEY-----") {
        return Some("a private key");
    }
    if url_with_password(value) {
        return Some("a URL with a password");
    }
    value
        .split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';' | '='))
        .find_map(|word| {
            PREFIXES
                .iter()
                .find(|(prefix, length, _)| {
                    word.starts_with(prefix)
                        && word.len() >= *length
                        && word
                            .chars()
                            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
                })
                .map(|(_, _, kind)| *kind)
        })
}

/// `scheme://user:password@host`, where the password is no reference.
fn url_with_password(text: &str) -> bool {
    text.match_indices("://").any(|(position, sign)| {
        let authority = text[position + sign.len()..]
            .split(|c: char| matches!(c, '/' | '?' | '#' | '"' | '\'') || c.is_whitespace())
            .next()
            .unwrap_or_default();
        let Some((login, host)) = authority.rsplit_once('@') else {
            return false;
        };
        let Some((_, password)) = login.split_once(':') else {
            return false;
        };
        // `$(VAR)` and `${VAR}` are references, `<password>` and stars are for people.
        !host.is_empty()
            && !password.is_empty()
            && !password.starts_with(['$', '<', '{'])
            && password.chars().any(|c| c != '*')
    })
}

/// The first line of a file that holds a credential, and which.
pub fn in_text(text: &str) -> Option<(usize, String)> {
    text.lines().enumerate().find_map(|(position, line)| {
        let line = line.trim();
        if line.starts_with(['#', ';']) || line.starts_with("//") {
            return None;
        }
        let said = |kind: String| Some((position + 1, kind));
        if let Some(kind) = in_value(line) {
            return said(format!("holds {kind}"));
        }
        let (name, value) = line.split_once(['=', ':'])?;
        let name = name.trim().trim_matches(['"', '\'']);
        let value = value.trim().trim_end_matches(',').trim_matches(['"', '\'']);
        if name.contains(char::is_whitespace) {
            return None;
        }
        said(suspicion(name, value)?)
    })
}

/// Credentials in ConfigMaps and in variables that are written out.
pub fn findings(objects: &[Value]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |object: &Value, field: &str, kind: &str| {
        findings.push(Finding::new(
            format!(
                "{}: `{}` {kind}, and whoever may look at the namespace can read it",
                called(object),
                shown(field)
            ),
            "move it to a Secret, and name that with `secretRef` or `secretKeyRef`",
        ));
    };
    for object in objects {
        if is(object, "ConfigMap") {
            for (key, value) in object["data"].as_object().into_iter().flatten() {
                let value = value.as_str().unwrap_or_default();
                let found = if value.trim_end().contains('\n') {
                    in_text(value).map(|(line, kind)| format!("in line {line} {kind}"))
                } else {
                    suspicion(key, value)
                };
                if let Some(kind) = found {
                    add(object, &format!("data.{key}"), &kind);
                }
            }
        }
        for (container, path) in containers(object) {
            for (position, variable) in items(container, "env").enumerate() {
                let text = |field: &str| variable[field].as_str().unwrap_or_default();
                if let Some(kind) = suspicion(text("name"), text("value")) {
                    add(
                        object,
                        &format!("{path}.env[{position}]"),
                        &format!("({}) {kind}", shown(text("name"))),
                    );
                }
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mean_a_credential() {
        for name in [
            "PASSWORD",
            "DB_PASSWORD",
            "dbPassword",
            "API_KEY",
            "apiKey",
            "ACCESS_TOKEN",
            "CLIENT_SECRET",
            "AWS_SECRET_ACCESS_KEY",
            "MYSQL_PWD",
            "private-key",
        ] {
            assert!(suspicion(name, "hunter2").is_some(), "{name}");
        }
    }

    #[test]
    fn names_that_only_look_so() {
        for name in [
            "TOKEN_URL",
            "PASSWORD_FILE",
            "SECRET_NAME",
            "MAX_TOKENS",
            "PRIMARY_KEY",
            "MONKEY",
            "PUBLIC_KEY_ID",
            "KEYCLOAK_REALM",
            "TOKENIZER",
            "AWS_ACCESS_KEY_ID_NAME",
        ] {
            assert_eq!(suspicion(name, "hunter2"), None, "{name}");
        }
        for value in ["", " ", "true", "/run/secrets/pw", "$(PGPASSWORD)"] {
            assert_eq!(suspicion("PASSWORD", value), None, "{value}");
        }
    }

    #[test]
    fn values_that_are_credentials_whatever_their_name() {
        for (value, kind) in [
            (
                "postgresql://shop:hunter2@pg:5432/shop",
                "holds a URL with a password",
            ),
            ("jdbc:x://a:b@c", "holds a URL with a password"),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nabc",
                "holds a private key",
            ),
            ("AKIAIOSFODNN7EXAMPLE", "holds an AWS access key"),
            ("glpat-aaaaaaaaaaaaaaaaaaaa", "holds a GitLab token"),
        ] {
            assert_eq!(suspicion("X", value).as_deref(), Some(kind), "{value}");
        }
        for value in [
            "postgresql://shop@pg/shop",
            "postgresql://$(PGUSER):$(PGPASSWORD)@pg/shop",
            "https://example.test:8443/a@b",
            "http://user:****@h",
            "mailto:a@b",
            "sk-learn",
            "ghp_short",
        ] {
            assert_eq!(suspicion("X", value), None, "{value}");
        }
    }

    #[test]
    fn lines_of_files() {
        assert_eq!(
            in_text("[db]\nhost = pg\npassword = \"hunter2\"\n"),
            Some((3, "looks like a password".into()))
        );
        assert_eq!(
            in_text("{\n \"apiKey\": \"abc\",\n}"),
            Some((2, "looks like a key".into()))
        );
        for text in [
            "# password = x",
            "password =\n",
            "Enter your password: now",
            "password_file = /x",
            "a password: b",
        ] {
            assert_eq!(in_text(text), None, "{text}");
        }
    }
}
