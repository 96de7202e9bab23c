//! K9: the name to expect in the server's certificate.

use crate::parity::attempt::Attempt;
use crate::parity::ground::Ground;
use crate::parity::relay::NAME;
use crate::parity::variant::{Variant, refused, works};

const CASE: &str = "K9 tls-server-name";

pub(super) fn variants() -> Vec<Variant> {
    vec![
        works(CASE, "right", |a| named(a, "tls-server-name: kubernetes")),
        works(CASE, "an address", |a| {
            let line = format!("tls-server-name: {}", a.g.api.ip());
            named(a, &line)
        }),
        works(CASE, "in capitals", |a| {
            named(a, "tls-server-name: Kubernetes.DEFAULT")
        }),
        works(CASE, "with a dot at its end", |a| {
            named(a, "tls-server-name: kubernetes.default.svc.")
        }),
        works(CASE, "wrong, without checks", |a| {
            let cluster = format!(
                "server: {}\ntls-server-name: elsewhere\ninsecure-skip-tls-verify: true",
                a.g.server
            );
            a.cluster(&cluster)
        }),
        works(CASE, "by flag", |a| {
            named(a, "").args(&["--tls-server-name=kubernetes"])
        }),
        works(CASE, "by flag over a wrong one", |a| {
            named(a, "tls-server-name: elsewhere").args(&["--tls-server-name", "localhost"])
        }),
        works(
            CASE,
            "a wrong one goes with the server that a flag replaces",
            |a| {
                let cluster =
                    a.g.cluster_at("https://127.0.0.1:1") + "\ntls-server-name: elsewhere";
                let server = a.g.server.clone();
                a.cluster(&cluster).args(&["--server", &server])
            },
        ),
        refused(
            CASE,
            "the right one goes with the server that a flag replaces",
            |a| {
                let server = server(&a);
                named(a, "tls-server-name: kubernetes").args(&["--server", &server])
            },
        ),
        refused(CASE, "none, and the certificate has another name", |a| {
            named(a, "")
        }),
        refused(CASE, "empty, and the certificate has another name", |a| {
            named(a, "tls-server-name: \"\"")
        }),
        refused(CASE, "wrong", |a| named(a, "tls-server-name: elsewhere")),
        refused(CASE, "with a port", |a| {
            let line = format!("tls-server-name: kubernetes:{}", a.g.api.port());
            named(a, &line)
        }),
        refused(CASE, "with blanks", |a| {
            named(a, "tls-server-name: \" kubernetes \"")
        }),
    ]
}

/// The API server under a name that its certificate does not have.
fn named<'g>(a: Attempt<'g>, line: &str) -> Attempt<'g> {
    let cluster = format!("{}\n{line}", a.g.cluster_at(&server(&a)));
    let hosts = Ground::hosts(&a.g.api.ip().to_string());
    a.mounts(&hosts).cluster(&cluster)
}

fn server(a: &Attempt) -> String {
    format!("https://{NAME}:{}", a.g.api.port())
}
