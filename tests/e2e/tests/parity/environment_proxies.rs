//! K8: proxies of the environment and what is excepted from them, by the rules of Go's `net/http`.

use crate::parity::attempt::Attempt;
use crate::parity::ground::Ground;
use crate::parity::relay::{NAME, Relay};
use crate::parity::variant::Exception::Harmless;
use crate::parity::variant::{Variant, kinder, refused, works};

const PROXY: &str = "K8 HTTPS_PROXY";
const EXCEPT: &str = "K8 NO_PROXY";

pub(super) fn variants() -> Vec<Variant> {
    let mut all = proxies();
    all.extend(addresses());
    all.extend(names());
    all
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn proxies() -> Vec<Variant> {
    vec![
        works(PROXY, "HTTPS_PROXY", |a| {
            let relay = Relay::http(a.g.api);
            let url = format!("http://127.0.0.1:{}", relay.port());
            a.usual().env("HTTPS_PROXY", &url).through(relay)
        }),
        works(PROXY, "HTTPS_PROXY over https_proxy", |a| {
            let relay = Relay::http(a.g.api);
            let url = format!("http://127.0.0.1:{}/", relay.port());
            a.usual()
                .env("HTTPS_PROXY", &url)
                .env("https_proxy", "http://127.0.0.1:9")
                .through(relay)
        }),
        works(PROXY, "HTTPS_PROXY is empty", |a| {
            let relay = Relay::http(a.g.api);
            let url = format!("http://127.0.0.1:{}", relay.port());
            a.usual()
                .env("HTTPS_PROXY", "")
                .env("https_proxy", &url)
                .through(relay)
        }),
        works(PROXY, "without scheme", |a| {
            let relay = Relay::http(a.g.api);
            let url = format!("127.0.0.1:{}", relay.port());
            a.usual().env("HTTPS_PROXY", &url).through(relay)
        }),
        works(PROXY, "without scheme, a name", |a| {
            let relay = Relay::http(a.g.api);
            let url = format!("localhost:{}", relay.port());
            a.usual().env("https_proxy", &url).through(relay)
        }),
        works(PROXY, "socks5", |a| {
            let relay = Relay::socks5(a.g.api);
            let url = format!("socks5://127.0.0.1:{}", relay.port());
            a.usual().env("HTTPS_PROXY", &url).through(relay)
        }),
        works(PROXY, "socks5h", |a| {
            let relay = Relay::socks5(a.g.api);
            let url = format!("socks5h://127.0.0.1:{}", relay.port());
            a.usual().env("HTTPS_PROXY", &url).through(relay)
        }),
        works(PROXY, "with user and password", |a| {
            let relay = Relay::http_with_password(a.g.api);
            let url = format!("http://user:secret@127.0.0.1:{}", relay.port());
            a.usual().env("HTTPS_PROXY", &url).through(relay)
        }),
        works(PROXY, "ALL_PROXY does not count", |a| {
            a.usual()
                .env("ALL_PROXY", "http://127.0.0.1:9")
                .env("all_proxy", "socks5://127.0.0.1:9")
        }),
        works(PROXY, "HTTP_PROXY does not count for https", |a| {
            a.usual()
                .env("HTTP_PROXY", "http://127.0.0.1:9")
                .env("http_proxy", "http://127.0.0.1:9")
        }),
        works(PROXY, "HTTP_PROXY counts for http", |a| {
            let relay = Relay::http(a.g.api);
            let url = format!("http://127.0.0.1:{}", relay.port());
            let server = format!("server: http://{NAME}:{}", a.g.plain_port);
            a.config(&server, "{}")
                .env("HTTP_PROXY", &url)
                .through(relay)
        }),
        works(PROXY, "HTTPS_PROXY does not count for http", |a| {
            let hosts = Ground::hosts("127.0.0.1");
            let server = format!("server: http://{NAME}:{}", a.g.plain_port);
            a.mounts(&hosts)
                .config(&server, "{}")
                .env("HTTPS_PROXY", "http://127.0.0.1:9")
        }),
        works(PROXY, "a server on the loopback is excepted", |a| {
            let relay = Relay::forward(a.g.api);
            let server = format!("https://127.0.0.1:{}", relay.port());
            let cluster = a.g.cluster_at(&server);
            a.cluster(&cluster)
                .env("HTTPS_PROXY", "http://127.0.0.1:9")
                .through(relay)
        }),
        works(PROXY, "localhost is excepted", |a| {
            let server = format!("server: http://localhost:{}", a.g.plain_port);
            a.config(&server, "{}")
                .env("HTTP_PROXY", "http://127.0.0.1:9")
        }),
        refused(
            PROXY,
            "a name that leads to the loopback is not excepted",
            |a| {
                let hosts = Ground::hosts("127.0.0.1");
                let server = format!("server: http://{NAME}:{}", a.g.plain_port);
                a.mounts(&hosts)
                    .config(&server, "{}")
                    .env("HTTP_PROXY", "http://127.0.0.1:9")
            },
        ),
        refused(PROXY, "nobody listens", |a| {
            a.usual().env("HTTPS_PROXY", "http://127.0.0.1:9")
        }),
        works(PROXY, "an unknown scheme is taken for http", |a| {
            let relay = Relay::http(a.g.api);
            let url = format!("ftp://127.0.0.1:{}", relay.port());
            a.usual().env("HTTPS_PROXY", &url).through(relay)
        }),
        kinder(
            PROXY,
            "LOCALHOST in capitals is not excepted",
            Harmless,
            |a| {
                let server = format!("server: http://LOCALHOST:{}", a.g.plain_port);
                a.config(&server, "{}")
                    .env("HTTP_PROXY", "http://127.0.0.1:9")
            },
        ),
    ]
}

/// What excepts an address.
fn addresses() -> Vec<Variant> {
    vec![
        works(EXCEPT, "the address", |a| {
            let value = a.g.api.ip().to_string();
            except(a, &value)
        }),
        works(EXCEPT, "address and port", |a| {
            let value = a.g.api.to_string();
            except(a, &value)
        }),
        works(EXCEPT, "its network, in small letters", |a| {
            let value = network(&a, "0/24");
            let relay = Relay::http(a.g.api);
            let url = format!("http://127.0.0.1:{}", relay.port());
            a.usual()
                .env("HTTPS_PROXY", &url)
                .env("no_proxy", &value)
                .past(relay)
        }),
        works(EXCEPT, "NO_PROXY over no_proxy", |a| {
            let value = a.g.api.ip().to_string();
            except(a, &value).env("no_proxy", "elsewhere")
        }),
        works(
            EXCEPT,
            "a list with blanks, empty items and odd ones",
            |a| {
                let value = network(&a, "0/16");
                except(
                    a,
                    &format!(" localhost ,, [ocalhost, :80, 10.0.0.0/99 ,\t{value} "),
                )
            },
        ),
        works(EXCEPT, "a star among others", |a| {
            except(a, "localhost, * ,x")
        }),
        works(EXCEPT, "another port", |a| {
            let value = format!("{}:1", a.g.api.ip());
            no_exception(a, &value)
        }),
        works(EXCEPT, "the beginning of the address", |a| {
            let value = network(&a, "");
            no_exception(a, &value)
        }),
        works(EXCEPT, "a star in the address", |a| {
            let value = network(&a, "*");
            no_exception(a, &value)
        }),
        works(EXCEPT, "the proxy's own address", |a| {
            no_exception(a, "127.0.0.1,localhost")
        }),
        works(EXCEPT, "with scheme", |a| {
            let value = a.g.server.clone();
            no_exception(a, &value)
        }),
        works(EXCEPT, "divided by blanks only", |a| {
            let value = format!("localhost {}", a.g.api.ip());
            no_exception(a, &value)
        }),
        works(EXCEPT, "network and port", |a| {
            let value = network(&a, &format!("0/24:{}", a.g.api.port()));
            no_exception(a, &value)
        }),
    ]
}

/// What excepts a name.
fn names() -> Vec<Variant> {
    vec![
        works(EXCEPT, "the name", |a| except_name(a, NAME)),
        works(EXCEPT, "the name in capitals, with port", |a| {
            let value = format!("API.Cluster.TEST:{}", a.g.api.port());
            except_name(a, &value)
        }),
        works(EXCEPT, "its domain", |a| except_name(a, "cluster.test")),
        works(EXCEPT, "its domain with a dot", |a| {
            except_name(a, ".cluster.test")
        }),
        works(EXCEPT, "its domain with a star", |a| {
            except_name(a, "*.cluster.test")
        }),
        works(EXCEPT, "the name with a dot before it", |a| {
            no_exception_for_name(a, ".api.cluster.test")
        }),
        works(EXCEPT, "the end of a label", |a| {
            no_exception_for_name(a, "luster.test")
        }),
        works(EXCEPT, "the address of the name", |a| {
            let value = a.g.api.ip().to_string();
            no_exception_for_name(a, &value)
        }),
        works(EXCEPT, "the name with a dot after it", |a| {
            no_exception_for_name(a, "api.cluster.test.")
        }),
    ]
}

/// The first three numbers of the API server's address, and this.
fn network(a: &Attempt, rest: &str) -> String {
    let address = a.g.api.ip().to_string();
    let (network, _) = address.rsplit_once('.').unwrap();
    format!("{network}.{rest}")
}

/// The API server is reached past the proxy.
fn except<'g>(a: Attempt<'g>, value: &str) -> Attempt<'g> {
    let relay = Relay::http(a.g.api);
    let url = format!("http://127.0.0.1:{}", relay.port());
    a.usual()
        .env("HTTPS_PROXY", &url)
        .env("NO_PROXY", value)
        .past(relay)
}

/// The API server is reached through the proxy all the same.
fn no_exception<'g>(a: Attempt<'g>, value: &str) -> Attempt<'g> {
    let relay = Relay::http(a.g.api);
    let url = format!("http://127.0.0.1:{}", relay.port());
    a.usual()
        .env("HTTPS_PROXY", &url)
        .env("NO_PROXY", value)
        .through(relay)
}

fn except_name<'g>(a: Attempt<'g>, value: &str) -> Attempt<'g> {
    by_name(except(a, value))
}

fn no_exception_for_name<'g>(a: Attempt<'g>, value: &str) -> Attempt<'g> {
    by_name(no_exception(a, value))
}

/// The API server by a name of `/etc/hosts`.
fn by_name(a: Attempt) -> Attempt {
    let hosts = Ground::hosts(&a.g.api.ip().to_string());
    let cluster =
        a.g.cluster_at(&format!("https://{NAME}:{}", a.g.api.port()));
    a.mounts(&hosts)
        .cluster(&(cluster + "\ntls-server-name: kubernetes"))
}
