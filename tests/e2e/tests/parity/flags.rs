//! Flags that choose or replace what the kubeconfig says.

use crate::parity::attempt::Attempt;
use crate::parity::ground::indented;
use crate::parity::variant::Exception::FlagCounts;
use crate::parity::variant::{Variant, kinder, refused, stricter, works};

const CHOICE: &str = "flags: choice";
const TRUST: &str = "flags: trust";
const CREDENTIAL: &str = "flags: credential";

pub(super) fn variants() -> Vec<Variant> {
    let mut all = choice();
    all.extend(trust());
    all.extend(credentials());
    all
}

/// A context, a cluster, a user, a namespace of several.
fn choice() -> Vec<Variant> {
    vec![
        works(CHOICE, "--context", |a| {
            several(a).args(&["--context=good"])
        }),
        works(
            CHOICE,
            "--cluster and --user, over the current context",
            |a| several(a).args(&["--cluster", "here", "--user", "me"]),
        ),
        works(
            CHOICE,
            "--cluster, --user and --namespace without any context",
            |a| {
                let text = a.g.config(&a.g.cluster(), &a.g.token_user());
                let text = text.replace("current-context: way\n", "");
                a.kubeconfig(text)
                    .in_namespace()
                    .args(&["--cluster=here", "--user=me"])
            },
        ),
        works(CHOICE, "--namespace over the context's", |a| {
            let text = a.g.config(&a.g.cluster(), &a.g.token_user());
            let own = format!("namespace: {}", a.g.namespace);
            a.kubeconfig(text.replace(&own, "namespace: default"))
                .in_namespace()
        }),
        refused(CHOICE, "-n ns/NAME", |a| {
            let namespace = format!("NS/{}", a.g.namespace);
            let text = a.g.config(&a.g.cluster(), &a.g.token_user());
            let own = format!("namespace: {}", a.g.namespace);
            a.kubeconfig(text.replace(&own, "namespace: default"))
                .args(&["-n", &namespace])
        }),
        works(
            CHOICE,
            "--kubeconfig, --context and --server at once",
            |a| {
                let text =
                    a.g.config(&a.g.cluster_at("https://127.0.0.1:1"), &a.g.token_user());
                let server = a.g.server.clone();
                a.file("x", text)
                    .args(&["--kubeconfig=FOLDER/x", "--context=way", "-s", &server])
            },
        ),
        refused(CHOICE, "--context that there is not", |a| {
            several(a).args(&["--context=gone"])
        }),
        refused(CHOICE, "--cluster that there is not", |a| {
            a.usual().args(&["--cluster=gone"])
        }),
        refused(CHOICE, "--user that there is not", |a| {
            a.usual().args(&["--user=gone"])
        }),
        refused(CHOICE, "--cluster that there is not, with --server", |a| {
            let server = a.g.server.clone();
            a.usual().args(&["--cluster=gone", "--server", &server])
        }),
        refused(CHOICE, "--namespace in which one may nothing", |a| {
            a.usual().args(&["--namespace=default"])
        }),
    ]
}

fn trust() -> Vec<Variant> {
    vec![
        works(TRUST, "--certificate-authority over other data", |a| {
            let (ca, cluster) = (a.g.ca.clone(), other_ca(&a));
            a.file("ca.crt", ca)
                .cluster(&cluster)
                .args(&["--certificate-authority=FOLDER/ca.crt"])
        }),
        works(TRUST, "--certificate-authority over no checks", |a| {
            let cluster = format!("server: {}\ninsecure-skip-tls-verify: true", a.g.server);
            let ca = a.g.ca.clone();
            a.file("ca.crt", ca)
                .cluster(&cluster)
                .args(&["--certificate-authority=FOLDER/ca.crt"])
        }),
        works(
            TRUST,
            "--certificate-authority, relative to the folder that one is in",
            |a| {
                let (ca, server) = (a.g.ca.clone(), a.g.server.clone());
                a.file("x/ca.crt", ca)
                    .within("x")
                    .cluster(&format!("server: {server}"))
                    .args(&["--certificate-authority=ca.crt"])
            },
        ),
        works(
            TRUST,
            "--insecure-skip-tls-verify over another authority",
            |a| {
                let cluster = other_ca(&a);
                a.cluster(&cluster).args(&["--insecure-skip-tls-verify"])
            },
        ),
        stricter(
            TRUST,
            "--insecure-skip-tls-verify=false over no checks does not count",
            FlagCounts,
            |a| {
                let cluster = format!("server: {}\ninsecure-skip-tls-verify: true", a.g.server);
                a.cluster(&cluster)
                    .args(&["--insecure-skip-tls-verify=false"])
            },
        ),
        works(TRUST, "--insecure-skip-tls-verify=t", |a| {
            let cluster = other_ca(&a);
            a.cluster(&cluster).args(&["--insecure-skip-tls-verify=t"])
        }),
        works(TRUST, "--server without port, as a flag's flag", |a| {
            let server = a.g.server.clone();
            let cluster = a.g.cluster_at("https://127.0.0.1:1");
            a.cluster(&cluster).args(&["-s", &format!("{server}/")])
        }),
        refused(TRUST, "another --certificate-authority", |a| {
            let other = a.g.certificates.rsa.certificate.clone();
            a.usual()
                .file("ca.crt", other)
                .args(&["--certificate-authority=FOLDER/ca.crt"])
        }),
        refused(TRUST, "--certificate-authority that is missing", |a| {
            a.usual().args(&["--certificate-authority=gone.crt"])
        }),
        refused(
            TRUST,
            "--certificate-authority and --insecure-skip-tls-verify",
            |a| {
                let ca = a.g.ca.clone();
                a.usual().file("ca.crt", ca).args(&[
                    "--certificate-authority=FOLDER/ca.crt",
                    "--insecure-skip-tls-verify",
                ])
            },
        ),
        refused(TRUST, "--insecure-skip-tls-verify=maybe", |a| {
            a.usual().args(&["--insecure-skip-tls-verify=maybe"])
        }),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn credentials() -> Vec<Variant> {
    vec![
        works(CREDENTIAL, "certificate and key over another's data", |a| {
            let user = a.g.stranger.user();
            mine(a).user(&user).args(&[
                "--client-certificate=FOLDER/me.crt",
                "--client-key=FOLDER/me.key",
            ])
        }),
        works(
            CREDENTIAL,
            "certificate and key, relative to the folder that one is in",
            |a| {
                mine(a).user("{}").args(&[
                    "--client-certificate",
                    "me.crt",
                    "--client-key",
                    "me.key",
                ])
            },
        ),
        works(
            CREDENTIAL,
            "key over another's, beside the kubeconfig's certificate",
            |a| {
                let user = a.g.alice.user();
                let other = user.lines().next().unwrap().to_owned() + "\nclient-key-data: eHl6";
                mine(a).user(&other).args(&["--client-key=FOLDER/me.key"])
            },
        ),
        works(
            CREDENTIAL,
            "certificate over another's, beside the kubeconfig's key",
            |a| {
                let (other, me) = (a.g.stranger.user(), a.g.alice.user());
                let certificate = other.lines().next().unwrap();
                let user = format!("{certificate}\n{}", me.lines().last().unwrap());
                mine(a)
                    .user(&user)
                    .args(&["--client-certificate=FOLDER/me.crt"])
            },
        ),
        works(
            CREDENTIAL,
            "certificate and key over another's token",
            |a| {
                let user = a.g.stranger_user();
                mine(a).user(&user).args(&[
                    "--client-certificate=FOLDER/me.crt",
                    "--client-key=FOLDER/me.key",
                ])
            },
        ),
        works(CREDENTIAL, "--token over a certificate that may too", |a| {
            let (user, token) = (a.g.alice.user(), a.g.token.clone());
            a.user(&user).args(&["--token", &token])
        }),
        kinder(
            CREDENTIAL,
            "--token over another's certificate",
            FlagCounts,
            |a| {
                let (user, token) = (a.g.stranger.user(), a.g.token.clone());
                a.user(&user).args(&["--token", &token])
            },
        ),
        refused(CREDENTIAL, "certificate without key, over a token", |a| {
            mine(a)
                .usual()
                .args(&["--client-certificate=FOLDER/me.crt"])
        }),
        refused(
            CREDENTIAL,
            "certificate and key that are missing, over a token",
            |a| {
                a.usual()
                    .args(&["--client-certificate=gone.crt", "--client-key=gone.key"])
            },
        ),
        kinder(
            CREDENTIAL,
            "--token over user and password",
            FlagCounts,
            |a| {
                let token = a.g.token.clone();
                a.user("username: me\npassword: secret")
                    .args(&["--token", &token])
            },
        ),
        refused(CREDENTIAL, "--token with a line end", |a| {
            let token = format!("--token={}\n", a.g.token);
            a.usual().args(&[&token])
        }),
    ]
}

/// A kubeconfig whose current context leads nowhere, with a good one beside it.
fn several(a: Attempt) -> Attempt {
    let context = format!("- name: good\n  context:\n{}", indented(&a.g.context(), 4));
    let others = [
        context.as_str(),
        "- {name: there, cluster: {server: \"https://127.0.0.1:1\"}}",
        "- {name: you, user: {token: abc}}",
    ];
    let text = a.g.config_beside(&a.g.cluster(), &a.g.token_user(), others);
    // The last context is the current one.
    let (head, way) = text.split_once("- name: way").unwrap();
    let way =
        way.replacen("cluster: here", "cluster: there", 1)
            .replacen("user: me", "user: you", 1);
    a.kubeconfig(format!("{head}- name: way{way}"))
}

fn mine(a: Attempt) -> Attempt {
    let me = a.g.alice.clone();
    a.file("me.crt", me.certificate).file("me.key", me.key)
}

/// The API server with an authority that did not sign its certificate.
fn other_ca(a: &Attempt) -> String {
    format!(
        "server: {}\ncertificate-authority-data: {}",
        a.g.server,
        crate::parity::ground::base64(&a.g.certificates.rsa.certificate)
    )
}
