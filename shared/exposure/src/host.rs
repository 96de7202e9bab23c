//! Host names: which there can be, and which one an app gets.

use commons::error::{Error, Result};
use commons::names;
use commons::printable;

use super::remedy::{Setting, set};

/// The longest host name there can be (RFC 1035).
const LONGEST: usize = 253;

/// A host as typed: a whole name, or one label that the domain is to be added to.
///
/// # Errors
/// What about it cannot be a host name, in words.
pub fn parse(text: &str) -> Result<String, String> {
    let shown = || printable::short(text, 80);
    if text.contains("://") || text.contains('/') {
        return Err(format!(
            "`{}` is a URL; a host is only the name in it, such as `web.example.org`",
            shown()
        ));
    }
    if text.starts_with("*.") {
        return Err("a host here is one name; `*` stands for many".into());
    }
    if text.is_empty() {
        return Err("the host is missing".into());
    }
    let host = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if host
        .trim_matches(['[', ']'])
        .parse::<std::net::IpAddr>()
        .is_ok()
    {
        return Err(format!("`{}` is an address; a host is a name", shown()));
    }
    if let Some((name, port)) = host.rsplit_once(':')
        && port.chars().all(|c| c.is_ascii_digit())
    {
        return Err(format!(
            "`{}` has a port; a host is `{}` alone",
            shown(),
            printable::short(name, 80)
        ));
    }
    if !host.is_ascii() {
        return Err(format!(
            "`{}` has letters that DNS does not; write it in its ASCII form (`xn--...`)",
            shown()
        ));
    }
    if host.len() > LONGEST
        || !names::is_name(&host)
        || host.split('.').any(|label| !is_label(label))
    {
        return Err(format!(
            "`{}` cannot be a host (lower-case letters, digits and `-`, at most 63 between two dots)",
            shown()
        ));
    }
    Ok(host)
}

fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len()) && !text.starts_with('-') && !text.ends_with('-')
}

/// The domain that a host is one label under: what a wildcard certificate or DNS entry covers.
pub fn domain_of(host: &str) -> Option<&str> {
    let (_, domain) = host.split_once('.')?;
    domain.contains('.').then_some(domain)
}

/// The host of an app: what was typed, completed with the domain, or `<app>-<owner>.<domain>`.
///
/// # Errors
/// Where the domain is needed and unknown.
pub fn complete(
    typed: Option<&str>,
    app: &str,
    namespace: &str,
    domain: Option<&str>,
) -> Result<String> {
    if let Some(host) = typed.filter(|host| host.contains('.')) {
        return Ok(host.to_owned());
    }
    let Some(domain) = domain else {
        return Err(Error::usage(
            "the host's domain cannot be learned here: nothing in the namespace has an address yet",
        )
        .hint(set(
            "give the whole name, below the domain of your platform",
            [Setting::Host(Some(format!(
                "{}.DOMAIN",
                typed.map_or_else(|| label(app, namespace), str::to_owned)
            )))],
        )));
    };
    let label = typed.map_or_else(|| label(app, namespace), str::to_owned);
    Ok(format!("{label}.{domain}"))
}

/// One label that nobody else on the platform has: hosts are shared by all.
fn label(app: &str, namespace: &str) -> String {
    names::join(&[app, names::owner_of(namespace)])
}

/// A host of the same domain that nobody has, to see what is answered for hosts that are free.
pub fn sibling(host: &str, random: u64) -> Option<String> {
    domain_of(host).map(|domain| format!("nobody-{random:016x}.{domain}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_and_nothing_else() {
        assert_eq!(parse("Web.Example.ORG."), Ok("web.example.org".into()));
        assert_eq!(parse("web"), Ok("web".into()));
        for wrong in [
            "https://web.example.org",
            "web/path",
            "*.example.org",
            "web.example.org:8080",
            "10.0.0.1",
            "::1",
            "wéb.example.org",
            "web_1.example.org",
            "-web.example.org",
            "web-.example.org",
            "",
            ".",
            "a..b",
            "we b",
            &format!("{}.example.org", "x".repeat(64)),
            "web\u{1b}[2J.example.org",
        ] {
            let why = parse(wrong).expect_err(wrong);
            assert!(!why.contains('\u{1b}'), "{why:?}");
        }
    }

    #[test]
    fn hosts_are_completed_with_the_domain() {
        let domain = Some("kub.example.test");
        assert_eq!(
            complete(None, "web", "user-alice", domain).ok().as_deref(),
            Some("web-alice.kub.example.test")
        );
        assert_eq!(
            complete(Some("shop"), "web", "user-alice", domain)
                .ok()
                .as_deref(),
            Some("shop.kub.example.test")
        );
        assert_eq!(
            complete(Some("a.b.org"), "web", "user-alice", domain)
                .ok()
                .as_deref(),
            Some("a.b.org")
        );
        assert_eq!(
            complete(Some("a.b.org"), "web", "user-alice", None)
                .ok()
                .as_deref(),
            Some("a.b.org")
        );
        assert!(complete(None, "web", "user-alice", None).is_err());
        let long = complete(None, &"x".repeat(80), "user-alice", domain).unwrap_or_default();
        assert!(parse(&long).is_ok(), "{long}");
        assert_eq!(
            complete(None, "web.v2", "team", domain)
                .map(|host| parse(&host).is_ok())
                .ok(),
            Some(true)
        );
    }

    #[test]
    fn a_domain_is_what_one_label_is_under() {
        assert_eq!(domain_of("web.kub.example.test"), Some("kub.example.test"));
        assert_eq!(
            domain_of("web.test"),
            None,
            "a wildcard for a top-level domain there is none"
        );
        assert_eq!(
            sibling("web.kub.example.test", 7).as_deref(),
            Some("nobody-0000000000000007.kub.example.test")
        );
    }
}
