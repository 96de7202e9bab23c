//! Which proxy a request goes through: the rules of Go's `golang.org/x/net/http/httpproxy` (as of v0.61.0), which are kubectl's.
//!
//! hyper-util's own matcher follows curl instead: it knows `ALL_PROXY`, takes no ports in `NO_PROXY` and no exception for
//! loopback addresses, so that a plugin would take another way than the kubectl beside it.

use std::net::IpAddr;

use base64::Engine;
use http::{HeaderValue, Uri};
use ipnet::IpNet;
use percent_encoding::percent_decode_str;

/// The proxies that the environment names.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    direct: Vec<Direct>,
}

/// A proxy and the login that its URL holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    uri: Uri,
    login: Option<(String, String)>,
}

/// An item of `NO_PROXY`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Direct {
    Everything,
    Network(IpNet),
    Address(IpAddr, Option<u16>),
    /// `.example.org`, and `example.org` itself unless it was written with a dot or `*.` in front.
    Domain {
        suffix: String,
        itself: bool,
        port: Option<u16>,
    },
}

impl Proxies {
    /// What `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` say, in capitals or, where these are empty, in small letters.
    pub fn from_env() -> Self {
        let variable = |names: [&str; 2]| {
            names
                .into_iter()
                .filter_map(|name| std::env::var(name).ok())
                .find(|value| !value.is_empty())
                .unwrap_or_default()
        };
        // A web server hands a request's header `Proxy` to a CGI program as HTTP_PROXY (CVE-2016-5386).
        let cgi = std::env::var_os("REQUEST_METHOD").is_some_and(|method| !method.is_empty());
        let http = variable(["HTTP_PROXY", "http_proxy"]);
        Self::new(
            if cgi { "" } else { &http },
            &variable(["HTTPS_PROXY", "https_proxy"]),
            &variable(["NO_PROXY", "no_proxy"]),
        )
    }

    /// The same from the variables' values; an address that is none counts as empty, an odd item of `no` is passed over.
    pub fn new(http: &str, https: &str, no: &str) -> Self {
        Self {
            http: Proxy::of_variable(http),
            https: Proxy::of_variable(https),
            direct: no.split(',').filter_map(Direct::parse).collect(),
        }
    }

    /// The proxy for a request to `url`; `None` if it goes there directly, as it always does to this machine.
    pub fn for_url(&self, url: &Uri) -> Option<&Proxy> {
        let (proxy, default_port) = match url.scheme_str() {
            Some("https") => (self.https.as_ref()?, 443),
            Some("http") => (self.http.as_ref()?, 80),
            _ => return None,
        };
        let host = url.host()?.trim_start_matches('[').trim_end_matches(']');
        let host = host.to_ascii_lowercase();
        let port = url.port_u16().unwrap_or(default_port);
        let address = host.parse::<IpAddr>().ok();
        if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
            return None;
        }
        let direct = self
            .direct
            .iter()
            .any(|item| item.matches(&host, address, port));
        (!direct).then_some(proxy)
    }
}

impl std::fmt::Debug for Proxy {
    /// Without its password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

impl Proxy {
    /// The address of a variable, for which the scheme may be missing.
    fn of_variable(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        Self::parse(text)
            .filter(|proxy| proxy.uri.scheme().is_some())
            .or_else(|| Self::parse(&format!("http://{text}")))
    }

    /// A proxy's URL; `None` if it is not a URL with a scheme and a host.
    pub fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        uri.scheme()?;
        let authority = uri.authority()?;
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let login = authority.as_str().rsplit_once('@').map(|(login, _)| {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            (decoded(user), decoded(password))
        });
        Some(Self { uri, login })
    }

    /// The URL, with the login if it has one: not to be shown.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Whether it speaks SOCKS version 5 (`socks5`, or `socks5h`, which is the same: names are resolved by the proxy).
    pub fn is_socks(&self) -> bool {
        self.uri
            .scheme_str()
            .is_some_and(|scheme| scheme.starts_with("socks5"))
    }

    /// The user and password, percent-decoded.
    pub fn login(&self) -> Option<(String, String)> {
        self.login.clone()
    }

    /// The value of `Proxy-Authorization`.
    pub fn authorization(&self) -> Option<HeaderValue> {
        let (user, password) = self.login.as_ref()?;
        basic(user, password)
    }

    /// The proxy as `scheme://host:port`, to be shown.
    pub fn name(&self) -> String {
        let authority = self.uri.authority().map_or("", |part| part.as_str());
        let host = authority.rsplit('@').next().unwrap_or_default();
        format!("{}://{host}", self.uri.scheme_str().unwrap_or("http"))
    }
}

/// A header for a user and a password (RFC 7617), kept out of logs; `None` where they cannot be in one.
pub fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    let plain = format!("{user}:{password}");
    let encoded = base64::engine::general_purpose::STANDARD.encode(plain);
    let mut value = HeaderValue::try_from(format!("Basic {encoded}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl Direct {
    fn parse(item: &str) -> Option<Self> {
        let item = item.trim().to_ascii_lowercase();
        if item == "*" {
            return Some(Self::Everything);
        }
        if let Ok(network) = item.parse() {
            return Some(Self::Network(network));
        }
        let (host, port) = host_and_port(&item);
        if let Ok(address) = host.parse() {
            return Some(Self::Address(address, port));
        }
        let host = host
            .strip_prefix('*')
            .filter(|rest| rest.starts_with('.'))
            .unwrap_or(host);
        match host.strip_prefix('.') {
            _ if host.is_empty() => None,
            Some(_) => Some(Self::Domain {
                suffix: host.to_owned(),
                itself: false,
                port,
            }),
            None => Some(Self::Domain {
                suffix: format!(".{host}"),
                itself: true,
                port,
            }),
        }
    }

    fn matches(&self, host: &str, address: Option<IpAddr>, port: u16) -> bool {
        let fits = |wanted: &Option<u16>| wanted.is_none_or(|wanted| wanted == port);
        match (self, address) {
            (Self::Everything, _) => true,
            (Self::Network(network), Some(address)) => network.contains(&address),
            (Self::Address(wanted, port), Some(address)) => *wanted == address && fits(port),
            (
                Self::Domain {
                    suffix,
                    itself,
                    port,
                },
                None,
            ) => {
                let of_domain =
                    host.ends_with(suffix.as_str()) || (*itself && host == &suffix[1..]);
                of_domain && fits(port)
            }
            _ => false,
        }
    }
}

/// `host:port` or `[address]:port` apart; an item without a port, or with another colon in it, is all host.
fn host_and_port(item: &str) -> (&str, Option<u16>) {
    let Some((host, port)) = item.rsplit_once(':') else {
        return (item, None);
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    match (bare, port.parse()) {
        (Some(host), Ok(port)) => (host, Some(port)),
        (None, Ok(port)) if !host.contains(':') => (host, Some(port)),
        _ => (item, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goes(no: &str, url: &str) -> bool {
        let proxies = Proxies::new("http://p:1", "http://p:2", no);
        proxies.for_url(&url.parse().expect("a URL")).is_some()
    }

    /// `NO_PROXY`, a URL, whether the proxy is used.
    #[test]
    fn decides_as_go_does() {
        for (no, url, through) in [
            ("", "https://192.0.2.1:6443", true),
            ("", "https://localhost:6443", false),
            ("", "https://127.8.9.1:6443", false),
            ("", "https://[::1]:6443", false),
            ("", "https://localhost.example.org", true),
            ("*", "https://example.org", false),
            (" * ,x", "https://192.0.2.1", false),
            ("192.0.2.1", "https://192.0.2.1:6443", false),
            ("192.0.2.1", "https://192.0.2.10:6443", true),
            ("192.0.2.1:6443", "https://192.0.2.1:6443", false),
            ("192.0.2.1:443", "https://192.0.2.1", false),
            ("192.0.2.1:6444", "https://192.0.2.1:6443", true),
            ("192.0.0.0/16", "https://192.0.2.1:6443", false),
            ("192.0.2.77/24", "https://192.0.2.1:6443", false),
            ("192.1.0.0/16", "https://192.0.2.1:6443", true),
            ("2001:db8::/32", "https://[2001:db8::1]:6443", false),
            ("2001:db8::1", "https://[2001:db8::1]:6443", false),
            ("[2001:db8::1]:6443", "https://[2001:db8::1]:6443", false),
            ("[2001:db8::1]:6444", "https://[2001:db8::1]:6443", true),
            ("example.org", "https://example.org", false),
            ("example.org", "https://api.EXAMPLE.org", false),
            ("EXAMPLE.ORG", "https://api.example.org", false),
            ("example.org", "https://badexample.org", true),
            (".example.org", "https://api.example.org", false),
            (".example.org", "https://example.org", true),
            ("*.example.org", "https://api.example.org", false),
            ("*.example.org", "https://example.org", true),
            ("example.org:8443", "https://example.org:8443", false),
            ("example.org:8443", "https://example.org", true),
            ("example.*", "https://example.org", true),
            ("localhost, 192.0.2.0/24", "https://192.0.2.1", false),
            ("[ocalhost,192.0.2.1", "https://192.0.2.1", false),
            (":8080,,", "https://192.0.2.1", true),
            ("192.0.2.0/99", "https://192.0.2.1", true),
            ("org", "https://example.org", false),
        ] {
            assert_eq!(goes(no, url), through, "NO_PROXY={no} {url}");
        }
    }

    #[test]
    fn the_scheme_of_the_url_chooses() {
        let proxies = Proxies::new("http://plain:1", "tls:2", "");
        let name = |url: &str| {
            let url = url.parse().expect("a URL");
            proxies.for_url(&url).map(Proxy::name)
        };
        assert_eq!(name("http://x.org").as_deref(), Some("http://plain:1"));
        assert_eq!(name("https://x.org").as_deref(), Some("http://tls:2"));
        assert_eq!(name("ftp://x.org"), None);
    }

    #[test]
    fn addresses_with_and_without_a_scheme() {
        let proxy = |text: &str| Proxy::of_variable(text).map(|proxy| proxy.name());
        assert_eq!(
            proxy("10.0.0.1:3128").as_deref(),
            Some("http://10.0.0.1:3128")
        );
        assert_eq!(proxy("proxy").as_deref(), Some("http://proxy"));
        assert_eq!(proxy("socks5://p:1").as_deref(), Some("socks5://p:1"));
        assert_eq!(proxy(""), None);
    }

    #[test]
    fn a_login_is_decoded_and_never_shown() {
        let proxy = Proxy::parse("http://me:p%40ss@p:1").expect("a proxy");
        assert_eq!(proxy.login(), Some(("me".into(), "p@ss".into())));
        assert_eq!(proxy.name(), "http://p:1");
        let value = proxy.authorization().expect("a header");
        assert!(value.is_sensitive());
        assert_eq!(value.to_str().ok(), Some("Basic bWU6cEBzcw=="));
    }
}
