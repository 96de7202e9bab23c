//! What a token says of itself, if it is a JSON Web Token (RFC 7519). Nothing here decides whether to trust it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::Value;

fn claims(token: &str) -> Option<Value> {
    let [_, claims, _] = token.split('.').collect::<Vec<_>>()[..] else {
        return None;
    };
    let claims = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&claims).ok()
}

/// When it ends (claim `exp`, in seconds, which may have a fraction).
pub(super) fn ends(token: &str) -> Option<Timestamp> {
    let ends = claims(token)?["exp"].as_f64()?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a fraction of a second does not matter"
    )]
    Timestamp::from_second(ends as i64).ok()
}

/// Whether only who holds a certain key can use it (RFC 9449, `DPoP`).
pub(super) fn is_bound(token: &str) -> bool {
    claims(token).is_some_and(|claims| claims["cnf"]["jkt"].is_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_token_says() {
        let token = |claims: &str| format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims));
        let at = |claims: &str| ends(&token(claims)).map(|at| at.to_string());
        assert_eq!(
            at(r#"{"exp":1700000000}"#).as_deref(),
            Some("2023-11-14T22:13:20Z")
        );
        assert_eq!(
            at(r#"{"exp":1.7e9}"#).as_deref(),
            Some("2023-11-14T22:13:20Z")
        );
        assert_eq!(at("{}"), None);
        for none in ["opaque", "a.!!!.b", "a.b", "", "a.b.c.d"] {
            assert_eq!(ends(none), None);
        }
        assert!(is_bound(&token(r#"{"cnf":{"jkt":"abc"}}"#)));
        assert!(!is_bound(&token("{}")) && !is_bound("opaque"));
    }
}
