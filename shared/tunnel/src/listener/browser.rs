//! Keeps web pages away from a database that speaks HTTP.
//!
//! Any page that is open in a browser of this machine can send requests to 127.0.0.1: as another origin (it does not see the
//! answer, but what was asked for happens), or as the same one, after its own name was made to resolve to 127.0.0.1 ("DNS
//! rebinding"). `Host` tells the second, `Origin` and `Sec-Fetch-Site` the first, and a page can forge none of them.
//!
//! The first request of a connection is looked at, not those that follow. A browser keeps a connection for the scheme, name
//! and port that it was made for, so under another name comes another connection. It also keeps the connections of each site
//! apart, by the site that the window shows, so a page of others does not get one that a page of ours has opened. What is
//! left is a page that sends the whole window here, by a form, while a connection from our own looking around is idle.

use httparse::{EMPTY_HEADER, Header, Status};
use tokio::net::TcpStream;
use tokio::time::{Duration, sleep, timeout};

use commons::error::Error;
use commons::printable;

/// What a page is answered.
pub(super) const FORBIDDEN: &str = "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nThis address answers to localhost, 127.0.0.1 and [::1], and not to pages of other sites.\n";

/// Most bytes of a request before its body, and most headers in it.
const HEAD: usize = 32 * 1024;
const HEADERS: usize = 100;

/// How long a request may take to come, once it has begun, and how often it is looked at meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);

/// The names of this machine that lead here.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// What a connection begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// With nothing that a page sends.
    Fine,
    /// With what a page may have sent: why it is refused.
    Refused(String),
    /// With nothing: the client has gone.
    Gone,
}

/// Waits for the first request and judges it. All of it stays to be read.
pub(super) async fn first_request(local: &TcpStream) -> Request {
    let mut head = vec![0; HEAD];
    match local.peek(&mut head).await {
        Ok(read) if read > 0 => {}
        _ => return Request::Gone,
    }
    let coming = async {
        loop {
            let Ok(read) = local.peek(&mut head).await else {
                return Request::Gone;
            };
            if let Some(request) = judge(&head[..read]) {
                return request;
            }
            // It stays readable while it is incomplete.
            sleep(PAUSE).await;
        }
    };
    timeout(PATIENCE, coming)
        .await
        .unwrap_or_else(|_| Request::Refused("a request did not end".into()))
}

/// What is said of it here.
pub(super) fn refused(why: &str) -> Error {
    Error::new(format!(
        "a request that a web page may have sent was turned away: {why}"
    ))
    .hint("use the name `localhost`, from no page or from one of `localhost`")
}

/// Judges the beginning of a request; nothing while there is too little of it. What is no HTTP, such as TLS, can be no page:
/// browsers speak TLS to a page's own name, for which there is no certificate here.
fn judge(bytes: &[u8]) -> Option<Request> {
    let is_text = |first: &u8| first.is_ascii_alphabetic() || first.is_ascii_whitespace();
    if !bytes.first().is_some_and(is_text) {
        return Some(Request::Fine);
    }
    let mut headers = [EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(Status::Complete(_)) => {}
        Ok(Status::Partial) if bytes.len() < HEAD => return None,
        // Of HTTP/2, which browsers speak over TLS only.
        Err(_) if bytes.starts_with(b"PRI * HTTP/2.0\r\n") => return Some(Request::Fine),
        _ => return Some(Request::Refused("it cannot be read".into())),
    }
    Some(match of_page(request.headers) {
        Some(why) => Request::Refused(why),
        None => Request::Fine,
    })
}

/// Why these headers may be those of a page of others.
fn of_page(headers: &[Header<'_>]) -> Option<String> {
    let all = |name: &str| -> Vec<String> {
        let named = headers
            .iter()
            .filter(|header| header.name.eq_ignore_ascii_case(name));
        named
            .map(|header| printable::short(&String::from_utf8_lossy(header.value), 80))
            .collect()
    };
    match &all("host")[..] {
        [host] if is_local(host) => {}
        [host] => return Some(format!("it is for `{host}`")),
        _ => return Some("it does not name one host".into()),
    }
    let origins = all("origin");
    let of_others = origins.iter().find(|origin| {
        let host = ["http://", "https://"]
            .iter()
            .find_map(|scheme| origin.strip_prefix(scheme));
        !host.is_some_and(is_local)
    });
    if let Some(origin) = of_others {
        return Some(format!("it is of `{origin}`"));
    }
    let is_crossing = all("sec-fetch-site")
        .iter()
        .any(|site| site == "cross-site");
    (is_crossing && origins.is_empty()).then(|| "it is of another site".into())
}

/// Whether an authority is this machine by one of its names, whatever the port: it may be forwarded once more.
fn is_local(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    LOCAL.iter().any(|local| host.eq_ignore_ascii_case(local))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(headers: &str) -> Option<Request> {
        judge(format!("POST /_search HTTP/1.1\r\n{headers}\r\n\r\n{{}}").as_bytes())
    }

    #[test]
    fn a_client_of_this_machine_is_let_in() {
        for headers in [
            "Host: localhost",
            "host: LOCALHOST:9200",
            "Host: 127.0.0.1:9200",
            "Host: [::1]",
            "Host: [::1]:9200",
            "Host: localhost:9200\r\nOrigin: http://localhost:5601",
            "Host: localhost:9200\r\nOrigin: http://127.0.0.1:5601\r\nSec-Fetch-Site: cross-site",
            "Host: localhost:9200\r\nSec-Fetch-Site: none",
        ] {
            assert_eq!(judged(headers), Some(Request::Fine), "{headers}");
        }
    }

    #[test]
    fn a_page_is_turned_away() {
        for headers in [
            "Host: evil.example:9200",
            "Host: localhost.evil.example",
            "Host: 127.0.0.1.evil.example:9200",
            "Host: localhost\r\nHost: evil.example",
            "Accept: */*",
            "Host: ::1",
            "Host: localhost:9200\r\nOrigin: https://evil.example",
            "Host: localhost:9200\r\nOrigin: null",
            "Host: localhost:9200\r\nOrigin: http://localhost.evil.example",
            "Host: localhost:9200\r\nOrigin: http://localhost\r\nOrigin: https://evil.example",
            "Host: localhost:9200\r\nSec-Fetch-Site: cross-site",
            "Host : localhost",
        ] {
            let judged = judged(headers);
            assert!(
                matches!(judged, Some(Request::Refused(_))),
                "{headers} {judged:?}"
            );
        }
        let long = format!(
            "GET / HTTP/1.1\r\nHost: localhost\r\nX: {}",
            "x".repeat(HEAD)
        );
        assert!(matches!(
            judge(&long.as_bytes()[..HEAD]),
            Some(Request::Refused(_))
        ));
        let many = format!("Host: localhost\r\n{}", "X: y\r\n".repeat(HEADERS));
        assert!(matches!(judged(&many), Some(Request::Refused(_))));
    }

    #[test]
    fn what_is_no_request_of_http_1_is_no_page() {
        for bytes in [
            &b"\x16\x03\x01\x02\x00\x01"[..],
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"\0\0",
        ] {
            assert_eq!(judge(bytes), Some(Request::Fine), "{bytes:?}");
        }
    }

    #[test]
    fn half_a_request_is_waited_for() {
        let whole = b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n";
        for length in 1..whole.len() {
            assert_eq!(judge(&whole[..length]), None, "{length}");
        }
    }
}
