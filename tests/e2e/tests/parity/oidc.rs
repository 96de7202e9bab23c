//! `auth-provider: oidc`, as Onyxia's account page writes it, with tokens of an issuer that the API server trusts.

use crate::parity::attempt::Attempt;
use crate::parity::ground::{base64, indented};
use crate::parity::variant::Exception::{Harmless, Readable};
use crate::parity::variant::{Variant, kinder, refused, works};

const CASE: &str = "auth-provider";

/// An id-token that ended in 2001: `{"alg":"none"}`, `{"exp":1000000000}`.
const OVER: &str = "eyJhbGciOiJub25lIn0.eyJleHAiOjEwMDAwMDAwMDB9.x";

pub(super) fn variants() -> Vec<Variant> {
    let mut all = valid();
    all.extend(renewed());
    all.extend(ended());
    all
}

fn valid() -> Vec<Variant> {
    vec![
        works(CASE, "an id-token that is valid", |a| login(a, &[])),
        works(CASE, "without a refresh token", |a| {
            login(a, &["-refresh-token"])
        }),
        works(CASE, "with a refresh token that is none", |a| {
            login(a, &["refresh-token: x"])
        }),
        works(CASE, "an issuer that nobody reaches", |a| {
            login(a, &["idp-issuer-url: https://192.0.2.1"])
        }),
        works(CASE, "fields that are empty", |a| {
            login(
                a,
                &[
                    "client-secret: ''",
                    "extra-scopes: ''",
                    "idp-certificate-authority-data: ''",
                ],
            )
        }),
        works(CASE, "fields that nobody knows", |a| {
            login(a, &["colour: red"])
        }),
        works(CASE, "a token beside it counts", |a| {
            let user = format!(
                "{}\n{}",
                a.g.token_user(),
                provider(&a, &["-refresh-token", "id-token: x"])
            );
            a.user(&user)
        }),
        works(CASE, "a client certificate beside it", |a| {
            let user = format!("{}\n{}", a.g.alice.user(), provider(&a, &[]));
            a.user(&user)
        }),
        refused(CASE, "no client", |a| login(a, &["-client-id"])),
        refused(CASE, "no issuer", |a| login(a, &["-idp-issuer-url"])),
        refused(CASE, "a provider that has gone", |a| {
            let user = provider(&a, &[]).replace("name: oidc", "name: gcp");
            a.user(&user)
        }),
        refused(CASE, "a plugin beside it", |a| {
            let user = format!(
                "{}\nexec: {{apiVersion: client.authentication.k8s.io/v1, command: sh, interactiveMode: Never}}",
                provider(&a, &[])
            );
            a.user(&user)
        }),
    ]
}

fn renewed() -> Vec<Variant> {
    vec![
        works(CASE, "an id-token that has ended", |a| over(a, &[])),
        works(CASE, "no id-token", |a| over(a, &["-id-token"])),
        works(CASE, "an id-token that is empty", |a| {
            over(a, &["id-token: ''"])
        }),
        works(CASE, "an issuer with a slash at the end", |a| {
            let issuer = format!("idp-issuer-url: {}/", a.g.login.issuer);
            over(a, &[&issuer])
        }),
        works(CASE, "the issuer's authority as data", |a| {
            let authority = format!(
                "idp-certificate-authority-data: {}",
                base64(&a.g.login.authority)
            );
            over(a, &[&authority]).without("SSL_CERT_FILE")
        }),
        works(CASE, "the issuer's authority as a file", |a| {
            let authority = format!("idp-certificate-authority: {}", a.path("issuer.crt"));
            let pem = a.g.login.authority.clone();
            over(a.file("issuer.crt", pem), &[&authority]).without("SSL_CERT_FILE")
        }),
        works(CASE, "in the second file", |a| {
            let user = provider(&a, &[&format!("id-token: {OVER}")]);
            let text = a.g.config(&a.g.cluster(), &user);
            a.file("original", text)
                .file(
                    "first",
                    "apiVersion: v1\nkind: Config\ncurrent-context: \"\"\n",
                )
                .mounts("cp FOLDER/original FOLDER/second")
                .files(&["first", "second"])
                .resolving()
        }),
        works(CASE, "by a symbolic link", |a| {
            let user = provider(&a, &[&format!("id-token: {OVER}")]);
            let text = a.g.config(&a.g.cluster(), &user);
            a.file("original", text)
                .mounts("cp FOLDER/original FOLDER/real")
                .link("config", "real")
                .files(&["config"])
                .resolving()
        }),
        works(CASE, "insecure, as Onyxia writes the cluster", |a| {
            let cluster = format!("server: {}\ninsecure-skip-tls-verify: true", a.g.server);
            let user = provider(&a, &[&format!("id-token: {OVER}")]);
            let text = a.g.config(&cluster, &user);
            restored(a, text)
        }),
        kinder(CASE, "an id-token that is none", Readable, |a| {
            over(a, &["id-token: abc"])
        }),
    ]
}

fn ended() -> Vec<Variant> {
    vec![
        refused(CASE, "ended and without a refresh token", |a| {
            over(a, &["-refresh-token"])
        }),
        refused(CASE, "ended, with a refresh token that is none", |a| {
            over(a, &["refresh-token: x"])
        }),
        refused(CASE, "ended, with another client", |a| {
            over(a, &["client-id: nobody"])
        }),
        refused(CASE, "ended, at an issuer that is none", |a| {
            let issuer = format!("idp-issuer-url: {}/gone", a.g.login.issuer);
            over(a, &[&issuer])
        }),
        refused(CASE, "ended, at an issuer that is not trusted", |a| {
            over(a, &[]).without("SSL_CERT_FILE")
        }),
        refused(CASE, "an authority of the issuer that is none", |a| {
            over(a, &["idp-certificate-authority-data: aGVsbG8="])
        }),
        refused(CASE, "ended, and the file is locked", |a| {
            over(a, &[]).file("config.lock", "")
        }),
        kinder(
            CASE,
            "an authority of the issuer that is none and not needed",
            Harmless,
            |a| login(a, &["idp-certificate-authority-data: aGVsbG8="]),
        ),
    ]
}

/// A user who logs in so; `changes` are fields to add or replace (`KEY: VALUE`) or to take away (`-KEY`).
fn provider(a: &Attempt<'_>, changes: &[&str]) -> String {
    let login = &a.g.login;
    let mut fields = vec![
        "client-id: onyxia-k8s-apiserver".to_owned(),
        format!("idp-issuer-url: {}", login.issuer),
        format!("id-token: {}", login.id_token),
        format!("refresh-token: {}", login.refresh_token),
    ];
    for change in changes {
        let key = change
            .trim_start_matches('-')
            .split(':')
            .next()
            .unwrap_or_default();
        fields.retain(|field| !field.starts_with(&format!("{key}:")));
        if !change.starts_with('-') {
            fields.push((*change).to_owned());
        }
    }
    let fields = indented(&fields.join("\n"), 4);
    format!("auth-provider:\n  name: oidc\n  config:\n{fields}")
}

fn login<'g>(a: Attempt<'g>, changes: &[&str]) -> Attempt<'g> {
    let user = provider(&a, changes);
    let text = a.g.config(&a.g.cluster(), &user);
    restored(a, text)
}

/// The same with an id-token that has ended, unless another one is given.
fn over<'g>(a: Attempt<'g>, changes: &[&str]) -> Attempt<'g> {
    let ended = format!("id-token: {OVER}");
    let changes: Vec<&str> = [ended.as_str()]
        .into_iter()
        .chain(changes.iter().copied())
        .collect();
    login(a, &changes)
}

/// Both programs find this kubeconfig, whatever the other one has written, on a machine that finds and trusts the issuer.
fn restored(a: Attempt<'_>, kubeconfig: String) -> Attempt<'_> {
    a.file("original", kubeconfig)
        .mounts("cp FOLDER/original FOLDER/config")
        .files(&["config"])
        .resolving()
}
