//! K11: no user, and user and password, where the API server is reached without TLS or without them.

use crate::parity::attempt::Attempt;
use crate::parity::variant::Exception::Harmless;
use crate::parity::variant::{Variant, kinder, refused, works};

const CASE: &str = "K11 nobody";
const BASIC: &str = "user and password";

pub(super) fn variants() -> Vec<Variant> {
    let mut all = nobody();
    all.extend(basic());
    all
}

fn nobody() -> Vec<Variant> {
    vec![
        works(CASE, "user without credential", |a| plain(a, "{}")),
        works(CASE, "context without user", |a| {
            let text = a.g.config(&format!("server: {}", a.g.plain()), "{}");
            a.kubeconfig(text.replace("    user: me\n", ""))
        }),
        works(CASE, "no list of users", |a| {
            let text = a.g.config(&format!("server: {}", a.g.plain()), "{}");
            let (text, _) = text.split_once("users:").unwrap();
            a.kubeconfig(text.replace("    user: me\n", "") + "users: null\n")
        }),
        works(CASE, "context with a user that there is not", |a| {
            let text = a.g.config(&format!("server: {}", a.g.plain()), "{}");
            a.kubeconfig(text.replace("user: me\n", "user: gone\n"))
        }),
        works(CASE, "no kubeconfig, --server only", |a| {
            let server = a.g.plain();
            a.in_namespace().args(&["--server", &server])
        }),
        works(CASE, "--server over a context without cluster", |a| {
            let server = a.g.plain();
            let text = a.g.config("{}", "{}").replace("    cluster: here\n", "");
            a.kubeconfig(text).args(&["-s", &server])
        }),
        works(CASE, "a token file that is missing", |a| {
            plain(a, "tokenFile: gone")
        }),
        works(CASE, "a CA that is no certificate", |a| {
            let cluster = format!("server: {}\ncertificate-authority-data: eHl6", a.g.plain());
            a.config(&cluster, "{}")
        }),
        kinder(CASE, "a certificate file that is missing", Harmless, |a| {
            plain(a, "client-certificate: gone.crt\nclient-key: gone.key")
        }),
        kinder(CASE, "a CA file that is missing", Harmless, |a| {
            let cluster = format!("server: {}\ncertificate-authority: gone.crt", a.g.plain());
            a.config(&cluster, "{}")
        }),
        refused(CASE, "--user that there is not", |a| {
            plain(a, "{}").args(&["--user=gone"])
        }),
        refused(CASE, "a cluster that there is not", |a| {
            let text = a.g.config(&format!("server: {}", a.g.plain()), "{}");
            a.kubeconfig(text.replace("cluster: here\n", "cluster: gone\n"))
        }),
        refused(CASE, "a context that there is not", |a| {
            let text = a.g.config(&format!("server: {}", a.g.plain()), "{}");
            a.kubeconfig(text.replace("current-context: way", "current-context: gone"))
        }),
        refused(CASE, "with TLS", |a| a.user("{}")),
        refused(CASE, "with TLS, the context's user is missing", |a| {
            let text = a.g.config(&a.g.cluster(), &a.g.token_user());
            a.kubeconfig(text.replace("user: me\n", "user: gone\n"))
        }),
    ]
}

fn basic() -> Vec<Variant> {
    vec![
        works(BASIC, "without TLS", |a| {
            plain(a, "username: me\npassword: secret")
        }),
        works(BASIC, "a password of signs", |a| {
            plain(a, "username: \"a:b\"\npassword: \"ü: #'\\n\"")
        }),
        works(BASIC, "user only", |a| plain(a, "username: me")),
        works(BASIC, "password only", |a| plain(a, "password: me")),
        works(BASIC, "beside a client certificate", |a| {
            let user = a.g.alice.user() + "\nusername: me\npassword: secret";
            a.user(&user)
        }),
        works(BASIC, "empty password beside a client certificate", |a| {
            let user = a.g.alice.user() + "\nusername: me\npassword: \"\"";
            a.user(&user)
        }),
        refused(BASIC, "beside a token", |a| {
            let user = a.g.token_user() + "\nusername: me\npassword: secret";
            a.user(&user)
        }),
        kinder(BASIC, "beside a token, without TLS", Harmless, |a| {
            plain(a, "token: abc\nusername: me")
        }),
        refused(BASIC, "alone with TLS", |a| {
            a.user("username: me\npassword: secret")
        }),
        kinder(BASIC, "a number as password", Harmless, |a| {
            plain(a, "username: me\npassword: 1234")
        }),
    ]
}

/// The API server without TLS, with this user.
fn plain<'g>(a: Attempt<'g>, user: &str) -> Attempt<'g> {
    let server = format!("server: {}", a.g.plain());
    a.config(&server, user)
}
