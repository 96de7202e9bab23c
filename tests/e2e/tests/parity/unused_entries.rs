//! K3: entries that are not used, odd or broken.

use crate::parity::attempt::Attempt;
use crate::parity::variant::Exception::{Readable, Unused};
use crate::parity::variant::{Variant, kinder, refused, works};

const CASE: &str = "K3 unused entries";

pub(super) fn variants() -> Vec<Variant> {
    let mut all = odd();
    all.extend(broken());
    all.extend(whole_file());
    all
}

/// What kubectl passes over.
#[expect(clippy::too_many_lines, reason = "a table")]
fn odd() -> Vec<Variant> {
    vec![
        works(CASE, "context without cluster", |a| {
            beside(a, ["- {name: old, context: {user: old}}", "", ""])
        }),
        works(CASE, "context without its fields", |a| {
            beside(a, ["- name: old", "", ""])
        }),
        works(CASE, "context, cluster and user are null", |a| {
            beside(
                a,
                [
                    "- {name: old, context: null}",
                    "- {name: old, cluster: }",
                    "- {name: old, user: ~}",
                ],
            )
        }),
        works(CASE, "null in the lists", |a| {
            beside(a, ["- null", "- ~", "-"])
        }),
        works(CASE, "user without name", |a| {
            beside(a, ["", "", "- user: {token: abc}"])
        }),
        works(CASE, "cluster without name and server", |a| {
            beside(a, ["", "- cluster: {insecure-skip-tls-verify: true}", ""])
        }),
        works(CASE, "extension without extension", |a| {
            beside(
                a,
                [
                    "- {name: old, context: {cluster: a, user: b, extensions: [{name: x}]}}",
                    "- {name: old, cluster: {extensions: [{name: z, extension: null}]}}",
                    "- {name: old, user: {extensions: null}}",
                ],
            )
        }),
        works(
            CASE,
            "exec: env with null, no command, no apiVersion",
            |a| {
                beside(
                    a,
                    [
                        "",
                        "",
                        "- {name: old, user: {exec: {env: [{name: A, value: null}, null], args: null}}}",
                    ],
                )
            },
        ),
        works(CASE, "auth-provider without config or name", |a| {
            beside(
                a,
                [
                    "",
                    "",
                    "- {name: old, user: {auth-provider: {config: null}}}\n- {name: older, user: {auth-provider: {name: gcp}}}",
                ],
            )
        }),
        works(CASE, "a key twice in a context", |a| {
            beside(a, ["- {name: old, context: {user: a, user: b}}", "", ""])
        }),
        works(CASE, "unknown fields", |a| {
            beside(
                a,
                [
                    "- {name: old, color: red, context: {cluster: a, role: b}}",
                    "- {name: old, cluster: {Server: 7, region: {a: [1]}}}",
                    "- {name: old, user: {Token: 7, sso: {url: x}}}",
                ],
            )
        }),
        works(CASE, "cluster with a proxy of unknown kind", |a| {
            beside(
                a,
                ["", "- {name: old, cluster: {proxy-url: \"ftp://x\"}}", ""],
            )
        }),
        works(
            CASE,
            "cluster with a CA that is no certificate or not there",
            |a| {
                beside(
                    a,
                    [
                        "",
                        "- {name: old, cluster: {certificate-authority-data: eHl6}}\n- {name: older, cluster: {certificate-authority: /missing}}",
                        "",
                    ],
                )
            },
        ),
        works(
            CASE,
            "user with a missing certificate and a missing token file",
            |a| {
                beside(
                    a,
                    [
                        "",
                        "",
                        "- {name: old, user: {client-certificate: /missing, tokenFile: /missing}}",
                    ],
                )
            },
        ),
        works(CASE, "user with several credentials", |a| {
            beside(
                a,
                [
                    "",
                    "",
                    "- {name: old, user: {token: a, username: b, exec: {}, auth-provider: {}}}",
                ],
            )
        }),
    ]
}

/// What makes kubectl refuse the file.
fn broken() -> Vec<Variant> {
    vec![
        kinder(CASE, "two users without name", Unused, |a| {
            beside(a, ["", "", "- user: {token: abc}\n- user: {token: def}"])
        }),
        kinder(CASE, "two contexts of a name", Unused, |a| {
            beside(a, ["- {name: old}\n- {name: old}", "", ""])
        }),
        kinder(CASE, "cluster with a flag in quotes", Unused, |a| {
            beside(
                a,
                [
                    "",
                    "- {name: old, cluster: {insecure-skip-tls-verify: \"true\"}}",
                    "",
                ],
            )
        }),
        kinder(CASE, "cluster with a CA that is not base64", Unused, |a| {
            beside(
                a,
                [
                    "",
                    "- {name: old, cluster: {certificate-authority-data: REDACTED.}}",
                    "",
                ],
            )
        }),
        kinder(CASE, "user whose token is a number", Unused, |a| {
            beside(a, ["", "", "- {name: old, user: {token: 12345}}"])
        }),
        kinder(CASE, "context whose name is a number", Unused, |a| {
            beside(
                a,
                ["- {name: 2024, context: {cluster: a, user: b}}", "", ""],
            )
        }),
        kinder(
            CASE,
            "context whose name is y, which is true",
            Unused,
            |a| beside(a, ["- {name: y, context: {cluster: a, user: b}}", "", ""]),
        ),
        kinder(CASE, "context that is a text", Unused, |a| {
            beside(a, ["- {name: old, context: gone}", "", ""])
        }),
        kinder(CASE, "exec: a number among the args", Unused, |a| {
            beside(
                a,
                [
                    "",
                    "",
                    "- {name: old, user: {exec: {command: x, args: [--port, 8080]}}}",
                ],
            )
        }),
    ]
}

/// Oddities of the file itself.
fn whole_file() -> Vec<Variant> {
    vec![
        works(CASE, "preferences and extensions of the file", |a| {
            after(
                a,
                "preferences: {colors: true, extensions: []}\nextensions: [{name: x, extension: {a: 1}}]\n",
            )
        }),
        works(CASE, "preferences null, extensions null", |a| {
            after(a, "preferences:\nextensions: ~\n")
        }),
        works(CASE, "current-context twice, the last counts", |a| {
            let text = a.g.config(&a.g.cluster(), &a.g.token_user());
            a.kubeconfig(format!("current-context: other\n{text}"))
        }),
        works(CASE, "a user's token twice, the last counts", |a| {
            let user = format!("{}\n{}", a.g.stranger_user(), a.g.token_user());
            a.user(&user)
        }),
        works(CASE, "no kind and no apiVersion", |a| {
            let text = a.g.config(&a.g.cluster(), &a.g.token_user());
            a.kubeconfig(text.replace("apiVersion: v1\nkind: Config\n", ""))
        }),
        works(CASE, "kind and apiVersion empty", |a| {
            let text = a.g.config(&a.g.cluster(), &a.g.token_user());
            let text = text.replace("apiVersion: v1\n", "apiVersion: \"\"\n");
            a.kubeconfig(text.replace("kind: Config\n", "kind:\n"))
        }),
        kinder(CASE, "kind in small letters", Readable, |a| {
            let text = a.g.config(&a.g.cluster(), &a.g.token_user());
            a.kubeconfig(text.replace("kind: Config", "kind: config"))
        }),
        refused(CASE, "users as a map", |a| {
            let text = a.g.config(&a.g.cluster(), "");
            let (head, _) = text.split_once("users:").unwrap();
            let token = &a.g.token;
            let text = format!("{head}users: {{me: {{token: {token}}}}}\n");
            a.kubeconfig(text)
        }),
        refused(CASE, "the user's own list holds it twice", |a| {
            let token = a.g.token.clone();
            beside(
                a,
                ["", "", &format!("- {{name: me, user: {{token: {token}}}}}")],
            )
        }),
    ]
}

/// The usual kubeconfig with other contexts, clusters and users before the used ones.
fn beside<'g>(a: Attempt<'g>, others: [&str; 3]) -> Attempt<'g> {
    let text = a.g.config_beside(&a.g.cluster(), &a.g.token_user(), others);
    a.kubeconfig(text)
}

/// The usual kubeconfig with more lines at its end.
fn after<'g>(a: Attempt<'g>, more: &str) -> Attempt<'g> {
    let text = a.g.config(&a.g.cluster(), &a.g.token_user());
    a.kubeconfig(text + more)
}
