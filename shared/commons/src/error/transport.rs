//! No answer, or none that makes sense: names, connections, TLS, proxies, time.

use std::error::Error as StdError;

use super::{Connection, Error, Kind};
use crate::printable;

const VIEW: &str = "check the address: `kubectl config view --minify`";

/// Whose words mean what, and what to do about it. The first row that matches holds; the words are those of rustls, hyper
/// and the operating system.
const CAUSES: &[(&[&str], &str, &str)] = &[
    (
        &[
            "UnknownIssuer",
            "BadSignature",
            "CaUsedAsEndEntity",
            "self-signed",
        ],
        "its certificate is not signed by the authority that the kubeconfig names",
        "get a new kubeconfig (the cluster may have been made anew); a proxy that inspects TLS also does this",
    ),
    (
        &["NotValidForName", "not valid for name"],
        "its certificate is for another host name",
        "check the server's address: `kubectl config view --minify`",
    ),
    (
        &[
            "peer certificate: Expired",
            "certificate expired",
            "peer certificate: certificate expired",
        ],
        "its certificate has expired",
        "check this machine's clock, then tell your cluster administrator",
    ),
    (
        &["dns error", "failed to lookup address"],
        "its name is not known to this machine's DNS",
        "check the network or VPN, then the address: `kubectl config view --minify`",
    ),
    (
        &["Connection refused"],
        "nothing listens there (connection refused)",
        VIEW,
    ),
    (
        &["Network is unreachable", "No route to host"],
        "there is no way there from this network",
        "check the network or VPN",
    ),
    (
        &["timed out", "deadline has elapsed"],
        "it did not answer in time",
        "check the network or VPN; `--request-timeout` waits longer",
    ),
    (
        &["InvalidMessage", "InvalidContentType", "corrupt message"],
        "what answers there does not speak TLS",
        "check the address (`http` or `https`, the port): `kubectl config view --minify`",
    ),
    (
        &[
            "Connection reset",
            "connection closed before message completed",
            "IncompleteMessage",
            "end of file before message length reached",
            "unexpected EOF",
            "UnexpectedEof",
            "handshake eof",
        ],
        "it closed the connection without an answer",
        "try again in a moment",
    ),
];

/// Puts a request that got no answer into words.
pub(super) fn explain(error: &dyn StdError, connection: &Connection) -> Error {
    let chain = chain(error);
    let all = chain.join(": ");
    let through = if connection.proxy.is_empty() {
        String::new()
    } else {
        format!(" through the proxy {}", connection.proxy)
    };
    let away = |cause: &str| {
        Error::of(
            Kind::Unreachable,
            format!(
                "cannot reach the API server at {}{through}",
                connection.server
            ),
        )
        .caused_by(cause)
    };
    if ["invalid HTTP", "Parse(", "error parsing"]
        .iter()
        .any(|words| all.contains(words))
    {
        return unintelligible(connection).caused_by("what answers there does not speak HTTP");
    }
    let found = CAUSES
        .iter()
        .find(|(words, ..)| words.iter().any(|words| all.contains(words)));
    let last = printable::short(chain.last().map_or("", String::as_str), 300);
    let (cause, hint) = found.map_or((last.as_str(), VIEW), |(_, cause, hint)| (*cause, *hint));
    if connection.proxy.is_empty() {
        away(cause).hint(hint)
    } else {
        let cause = if all.contains("Connection refused") {
            "nothing listens at the proxy's address (connection refused)"
        } else {
            cause
        };
        away(cause).hint("check `proxy-url` in the kubeconfig, HTTPS_PROXY and NO_PROXY")
    }
}

/// Why a server could not be spoken to, in one phrase.
pub(crate) fn why(error: &(dyn StdError + 'static)) -> String {
    let chain = chain(error);
    let all = chain.join(": ");
    let found = CAUSES
        .iter()
        .find(|(words, ..)| words.iter().any(|words| all.contains(words)));
    found.map_or_else(
        || printable::short(chain.last().map_or("", String::as_str), 300),
        |(_, cause, _)| (*cause).to_owned(),
    )
}

/// An answer that no API server gives.
pub(super) fn unintelligible(connection: &Connection) -> Error {
    Error::new(format!("the answer of {} is not one of a Kubernetes API server", connection.server))
        .hint("check the server's address: `kubectl config view --minify`; a proxy or a page to log in may stand in between")
}

/// An error and its sources, outermost first, as text.
fn chain(error: &dyn StdError) -> Vec<String> {
    let mut chain = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        chain.push(error.to_string());
        next = error.source();
    }
    chain
}
