//! K6 and K7: how the server's address is written.

use crate::parity::attempt::Attempt;
use crate::parity::ground::{Ground, PREFIX};
use crate::parity::relay::{NAME, Relay};
use crate::parity::variant::Exception::Harmless;
use crate::parity::variant::{Variant, kinder, refused, works};

const ADDRESS: &str = "K6 address";
const PATH: &str = "K7 path";

pub(super) fn variants() -> Vec<Variant> {
    let mut all = addresses();
    all.extend(paths());
    all
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn addresses() -> Vec<Variant> {
    vec![
        works(ADDRESS, "slash at the end", |a| {
            at(a, |server| format!("{server}/"))
        }),
        works(ADDRESS, "several slashes at the end", |a| {
            at(a, |server| format!("{server}///"))
        }),
        works(ADDRESS, "scheme in capitals", |a| {
            at(a, |server| server.replace("https", "HTTPS"))
        }),
        works(ADDRESS, "name in capitals", |a| {
            let relay = Relay::forward(a.g.api);
            let server = format!("https://LocalHost:{}", relay.port());
            let cluster = a.g.cluster_at(&server);
            a.cluster(&cluster).through(relay)
        }),
        works(ADDRESS, "a question and a fragment behind it", |a| {
            at(a, |server| format!("{server}?a=b#c"))
        }),
        works(ADDRESS, "user and password in it, without TLS", |a| {
            let server = a.g.plain().replace("http://", "http://x:y@");
            a.config(&format!("server: {server}"), "{}")
        }),
        works(
            ADDRESS,
            "user and password in it, beside a certificate",
            |a| {
                let server = a.g.server.replace("https://", "https://x:y@");
                let (cluster, user) = (a.g.cluster_at(&server), a.g.alice.user());
                a.config(&cluster, &user)
            },
        ),
        kinder(
            ADDRESS,
            "user and password in it count over a token",
            Harmless,
            |a| at(a, |server| server.replace("https://", "https://x:y@")),
        ),
        works(ADDRESS, "a name of /etc/hosts", |a| {
            let hosts = Ground::hosts(&a.g.api.ip().to_string());
            let cluster =
                a.g.cluster_at(&format!("https://{NAME}:{}", a.g.api.port()));
            a.mounts(&hosts)
                .cluster(&(cluster + "\ntls-server-name: kubernetes"))
        }),
        works(ADDRESS, "http without scheme: address and port", |a| {
            let server = format!("server: 127.0.0.1:{}", a.g.plain_port);
            a.config(&server, "{}")
        }),
        works(ADDRESS, "http without scheme: name and port", |a| {
            let server = format!("server: localhost:{}", a.g.plain_port);
            a.config(&server, "{}")
        }),
        works(ADDRESS, "http without scheme: by flag", |a| {
            let server = format!("--server=localhost:{}/", a.g.plain_port);
            a.in_namespace().args(&[&server])
        }),
        works(ADDRESS, "KUBERNETES_MASTER and no kubeconfig", |a| {
            let server = a.g.plain();
            a.env("KUBERNETES_MASTER", &server).in_namespace()
        }),
        refused(ADDRESS, "https without scheme", |a| {
            at(a, |server| server.replace("https://", ""))
        }),
        refused(ADDRESS, "a blank at the end", |a| {
            at(a, |server| format!("\"{server} \""))
        }),
        refused(ADDRESS, "a blank before it", |a| {
            at(a, |server| format!("\" {server}\""))
        }),
        refused(ADDRESS, "http where https is spoken", |a| {
            at(a, |server| server.replace("https", "http"))
        }),
        refused(ADDRESS, "https where http is spoken", |a| {
            let cluster = a.g.cluster_at(&a.g.plain().replace("http", "https"));
            a.cluster(&cluster)
        }),
        refused(ADDRESS, "one slash only", |a| {
            at(a, |server| server.replace("//", "/"))
        }),
        refused(ADDRESS, "another scheme", |a| {
            at(a, |server| server.replace("https", "wss"))
        }),
        refused(ADDRESS, "a port that is none", |a| {
            at(a, |server| format!("{server}3"))
        }),
    ]
}

fn paths() -> Vec<Variant> {
    vec![
        works(PATH, "without slash at the end", |a| below(a, PREFIX)),
        works(PATH, "with slash at the end", |a| {
            below(a, &format!("{PREFIX}/"))
        }),
        works(PATH, "a question and a fragment behind it", |a| {
            below(a, &format!("{PREFIX}?a=b#c"))
        }),
        works(PATH, "through a proxy", |a| {
            let relay = Relay::http(a.g.api);
            let cluster = format!(
                "server: http://127.0.0.1:{}{PREFIX}\nproxy-url: http://127.0.0.1:{}",
                a.g.prefixed_port,
                relay.port()
            );
            a.config(&cluster, "{}").through(relay)
        }),
        works(PATH, "by flag, over the kubeconfig's address", |a| {
            let server = format!("http://127.0.0.1:{}{PREFIX}", a.g.prefixed_port);
            a.config("server: http://127.0.0.1:1", "{}")
                .args(&["--server", &server])
        }),
        works(PATH, "a letter of it encoded", |a| {
            below(a, &PREFIX.replace("/k8s", "/%6B8s"))
        }),
        refused(PATH, "without scheme", |a| {
            let server = format!("server: localhost:{}{PREFIX}", a.g.prefixed_port);
            a.config(&server, "{}")
        }),
        refused(PATH, "another one", |a| below(a, "/k8s/clusters/c-other")),
        refused(PATH, "none where one is needed", |a| below(a, "")),
    ]
}

/// The usual kubeconfig with the server written in another way.
fn at(a: Attempt, written: impl Fn(&str) -> String) -> Attempt {
    let cluster = a.g.cluster_at(&written(&a.g.server));
    a.cluster(&cluster)
}

/// A kubeconfig for the API server below this path.
fn below<'g>(a: Attempt<'g>, path: &str) -> Attempt<'g> {
    let server = format!("server: http://127.0.0.1:{}{path}", a.g.prefixed_port);
    a.config(&server, "{}")
}
