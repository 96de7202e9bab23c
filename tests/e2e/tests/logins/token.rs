//! Tokens of an issuer, and when they end: the yardstick of these tests.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use e2e::eventually;
use serde_json::{Value, json};

/// How long the id-tokens of the realms for tests are valid.
pub(super) const LIFETIME: Duration = Duration::from_secs(30);

/// Longer than any of these tests waits for a token's end.
const PATIENCE: Duration = Duration::from_mins(2);

/// When a token ends.
pub(super) fn end(token: &str) -> SystemTime {
    let seconds = claims(token)["exp"].as_u64().expect("`exp`");
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// How long a token still lives; nothing once it has ended.
pub(super) fn left(token: &str) -> Duration {
    let left = end(token).duration_since(SystemTime::now());
    left.unwrap_or_default()
}

/// Waits until a token has this long to live.
#[track_caller]
pub(super) fn wait_until_left(token: &str, remaining: Duration) {
    eventually("the token ends", PATIENCE, || left(token) <= remaining);
}

/// The same token as if it had ended long ago; its signature is that of the other.
pub(super) fn ended(token: &str) -> String {
    let mut claims = claims(token);
    claims["exp"] = json!(1_000_000_000);
    let parts: Vec<&str> = token.split('.').collect();
    let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
    format!("{}.{payload}.{}", parts[0], parts[2])
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("a JWT");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}
