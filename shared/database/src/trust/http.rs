//! A database that is asked over HTTP: Elasticsearch, `OpenSearch`, `ClickHouse`.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use super::{NotKnown, Trust};
use commons::web::{Client, HttpFailure};

/// What is asked for, each on a connection of its own. At `/` Elasticsearch tells its name to whoever may read anything;
/// `ClickHouse` answers there whoever asks, and shows with a query that reads nothing what it thinks of a login without one.
pub(super) const PATHS: [&str; 2] = ["/", "/?query=SELECT%201"];

/// What `ClickHouse` says at `/`, without a look at who asks.
const GREETING: &[u8] = b"Ok.\n";

/// Most bytes that are kept of an answer.
const BODY: usize = 4096;

/// Asks for one of [`PATHS`]. A database that speaks TLS closes the connection, or answers 400 in the clear: not known.
pub(super) async fn get(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    path: &str,
    patience: Duration,
) -> Result<Trust, NotKnown> {
    let client = Client::new(patience).keeping(BODY);
    let answer = client
        .exchange(stream, "localhost", path, &[])
        .await
        .map_err(|trouble| match trouble {
            HttpFailure::Timeout => NotKnown::Slow,
            HttpFailure::Closed => NotKnown::Closed,
            _ => NotKnown::NotUnderstood,
        })?;
    match answer.status {
        // What may be done without a login depends on settings that cannot be seen from here.
        200 if answer.body != GREETING => Ok(Trust::lets_in(None, false)),
        401 | 403 => Ok(Trust::asks(None)),
        _ => Err(NotKnown::NotUnderstood),
    }
}

#[cfg(test)]
mod tests {
    use super::super::scripted::Step::{Hears, Says};
    use super::super::scripted::{against, survives};
    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn lets_in_or_asks_or_is_not_known() {
        let with_body = |head: &str, body: &str| {
            format!(
                "HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        for (answer, expected) in [
            (
                with_body(
                    "200 OK",
                    r#"{"name": "es-0", "tagline": "You Know, for Search"}"#,
                ),
                Ok(Trust::lets_in(None, false)),
            ),
            (with_body("200 OK", "1\n"), Ok(Trust::lets_in(None, false))),
            (with_body("401 Unauthorized", "{}"), Ok(Trust::asks(None))),
            (
                with_body("403 Forbidden", "Code: 516"),
                Ok(Trust::asks(None)),
            ),
            // ClickHouse, to everybody.
            (with_body("200 OK", "Ok.\n"), Err(NotKnown::NotUnderstood)),
            (with_body("302 Found", ""), Err(NotKnown::NotUnderstood)),
            (
                with_body("400 Bad Request", ""),
                Err(NotKnown::NotUnderstood),
            ),
            (
                "\u{15}\u{3}\u{3}\0\u{2}\u{2}\n".into(),
                Err(NotKnown::NotUnderstood),
            ),
            (String::new(), Err(NotKnown::Closed)),
        ] {
            for path in PATHS {
                let (said, heard) = against(&[Hears, Says(answer.as_bytes())], |stream| {
                    get(stream, path, LONG)
                })
                .await;
                assert_eq!(said, expected, "{answer}");
                let heard = String::from_utf8_lossy(&heard).to_ascii_lowercase();
                assert!(heard.starts_with(&format!("get {} http/1.1\r\n", path.to_lowercase())));
                assert!(!heard.contains("authorization"), "{heard}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_comes_it_does_not_panic() {
        let real = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nOk.\n";
        survives(&[real], |stream| get(stream, PATHS[0], LONG)).await;
    }
}
