//! K8: `proxy-url` of the kubeconfig.

use crate::parity::attempt::Attempt;
use crate::parity::relay::{NAME, Relay};
use crate::parity::variant::Exception::Readable;
use crate::parity::variant::{Variant, kinder, refused, works};

const CASE: &str = "K8 proxy-url";

pub(super) fn variants() -> Vec<Variant> {
    vec![
        works(CASE, "http", |a| {
            let relay = Relay::http(a.g.api);
            with(a, &format!("http://127.0.0.1:{}", relay.port())).through(relay)
        }),
        works(CASE, "http, with slash and in capitals", |a| {
            let relay = Relay::http(a.g.api);
            with(a, &format!("HTTP://LOCALHOST:{}/", relay.port())).through(relay)
        }),
        works(CASE, "socks5", |a| {
            let relay = Relay::socks5(a.g.api);
            with(a, &format!("socks5://localhost:{}", relay.port())).through(relay)
        }),
        works(CASE, "http, with user and password", |a| {
            let relay = Relay::http_with_password(a.g.api);
            with(a, &format!("http://user:secret@127.0.0.1:{}", relay.port())).through(relay)
        }),
        works(CASE, "http, with an encoded password", |a| {
            let relay = Relay::http_with_password(a.g.api);
            with(
                a,
                &format!("http://user:%73ecret@127.0.0.1:{}", relay.port()),
            )
            .through(relay)
        }),
        works(CASE, "NO_PROXY does not count", |a| {
            let relay = Relay::http(a.g.api);
            with(a, &format!("http://127.0.0.1:{}", relay.port()))
                .env("NO_PROXY", "*")
                .env("no_proxy", "127.0.0.1,10.0.0.0/8")
                .through(relay)
        }),
        works(CASE, "over HTTPS_PROXY", |a| {
            let relay = Relay::http(a.g.api);
            with(a, &format!("http://127.0.0.1:{}", relay.port()))
                .env("HTTPS_PROXY", "http://127.0.0.1:9")
                .through(relay)
        }),
        works(CASE, "a server on the loopback", |a| {
            let relay = Relay::http(a.g.api);
            let cluster = format!(
                "server: {}\nproxy-url: http://127.0.0.1:{}",
                a.g.plain(),
                relay.port()
            );
            a.config(&cluster, "{}").through(relay)
        }),
        works(CASE, "the proxy finds the name: http", |a| {
            let relay = Relay::http(a.g.api);
            named(a, &format!("http://127.0.0.1:{}", relay.port())).through(relay)
        }),
        works(CASE, "the proxy finds the name: socks5", |a| {
            let relay = Relay::socks5(a.g.api);
            named(a, &format!("socks5://127.0.0.1:{}", relay.port())).through(relay)
        }),
        kinder(CASE, "socks5h", Readable, |a| {
            let relay = Relay::socks5(a.g.api);
            with(a, &format!("socks5h://127.0.0.1:{}", relay.port())).through(relay)
        }),
        refused(CASE, "without scheme", |a| {
            let relay = Relay::http(a.g.api);
            with(a, &format!("\"127.0.0.1:{}\"", relay.port())).past(relay)
        }),
        refused(CASE, "another scheme", |a| with(a, "ftp://127.0.0.1:9")),
        refused(CASE, "nobody listens", |a| with(a, "http://127.0.0.1:9")),
        refused(CASE, "a password is asked for", |a| {
            let relay = Relay::http_with_password(a.g.api);
            with(a, &format!("http://127.0.0.1:{}", relay.port())).past(relay)
        }),
        refused(CASE, "a wrong password", |a| {
            let relay = Relay::http_with_password(a.g.api);
            with(a, &format!("http://user:guess@127.0.0.1:{}", relay.port())).past(relay)
        }),
        refused(CASE, "it speaks something else", |a| {
            let relay = Relay::forward(a.g.api);
            with(a, &format!("http://127.0.0.1:{}", relay.port())).through(relay)
        }),
    ]
}

/// The usual kubeconfig with this proxy.
fn with<'g>(a: Attempt<'g>, proxy: &str) -> Attempt<'g> {
    let cluster = format!("{}\nproxy-url: {proxy}", a.g.cluster());
    a.cluster(&cluster)
}

/// The API server under a name that only the proxy knows.
fn named<'g>(a: Attempt<'g>, proxy: &str) -> Attempt<'g> {
    let cluster =
        a.g.cluster_at(&format!("https://{NAME}:{}", a.g.api.port()));
    a.cluster(&format!(
        "{cluster}\ntls-server-name: kubernetes\nproxy-url: {proxy}"
    ))
}
