//! K5: empty strings and nulls where a field could be left out.

use crate::parity::ground::base64;
use crate::parity::variant::Exception::Harmless;
use crate::parity::variant::{Variant, kinder, refused, works};

const CASE: &str = "K5 empties";

pub(super) fn variants() -> Vec<Variant> {
    let mut all = clusters();
    all.extend(users());
    all.extend(contexts());
    all
}

fn clusters() -> Vec<Variant> {
    vec![
        works(CASE, "tls-server-name", |a| {
            let cluster = a.g.cluster() + "\ntls-server-name: \"\"";
            a.cluster(&cluster)
        }),
        works(CASE, "proxy-url", |a| {
            let cluster = a.g.cluster() + "\nproxy-url: ''";
            a.cluster(&cluster)
        }),
        works(CASE, "certificate-authority-data beside a file", |a| {
            let (ca, server) = (a.g.ca.clone(), &a.g.server);
            let cluster = format!(
                "server: {server}\ncertificate-authority: ca.crt\ncertificate-authority-data: \"\""
            );
            a.file("ca.crt", ca).cluster(&cluster)
        }),
        works(CASE, "certificate-authority beside data", |a| {
            let cluster = a.g.cluster() + "\ncertificate-authority: \"\"";
            a.cluster(&cluster)
        }),
        works(CASE, "certificate-authority-data without checks", |a| {
            let cluster = format!(
                "server: {}\ncertificate-authority-data: \"\"\ninsecure-skip-tls-verify: true",
                a.g.server
            );
            a.cluster(&cluster)
        }),
        works(CASE, "everything that a cluster may have is null", |a| {
            let cluster = a.g.cluster()
                + "\ntls-server-name: null\nproxy-url: ~\ncertificate-authority:\ninsecure-skip-tls-verify:\ndisable-compression: null\nextensions:";
            a.cluster(&cluster)
        }),
        refused(CASE, "server", |a| {
            let cluster = a.g.cluster_at("\"\"");
            a.cluster(&cluster)
        }),
    ]
}

fn users() -> Vec<Variant> {
    vec![
        works(CASE, "tokenFile beside a token", |a| {
            let user = a.g.token_user() + "\ntokenFile: \"\"";
            a.user(&user)
        }),
        works(
            CASE,
            "certificate and key, data and files, beside a token",
            |a| {
                let user = a.g.token_user()
                    + "\nclient-certificate-data: \"\"\nclient-key-data: ''\nclient-certificate: \"\"\nclient-key: \"\"";
                a.user(&user)
            },
        ),
        works(CASE, "client-certificate-data beside a token", |a| {
            let user = a.g.token_user() + "\nclient-certificate-data: \"\"";
            a.user(&user)
        }),
        works(CASE, "client-certificate beside a token", |a| {
            let user = a.g.token_user() + "\nclient-certificate: \"\"";
            a.user(&user)
        }),
        works(
            CASE,
            "token, tokenFile, username and password beside a certificate",
            |a| {
                let user =
                    a.g.alice.user() + "\ntoken: \"\"\ntokenFile: \"\"\nusername: ''\npassword: ''";
                a.user(&user)
            },
        ),
        works(CASE, "data beside files", |a| {
            let me = a.g.alice.clone();
            a.file("me.crt", me.certificate).file("me.key", me.key).user(
                "client-certificate: me.crt\nclient-key: me.key\nclient-certificate-data: \"\"\nclient-key-data: \"\"",
            )
        }),
        works(CASE, "as, as-uid, as-groups, as-user-extra", |a| {
            let user =
                a.g.token_user() + "\nas: \"\"\nas-uid: \"\"\nas-groups: []\nas-user-extra: {}";
            a.user(&user)
        }),
        works(CASE, "exec and auth-provider are null", |a| {
            let user = a.g.token_user() + "\nexec: null\nauth-provider:";
            a.user(&user)
        }),
        works(CASE, "everything that a user may have is null", |a| {
            let user = a.g.token_user()
                + "\ntokenFile:\nclient-certificate: null\nclient-certificate-data: ~\nclient-key:\nclient-key-data: null\nusername:\npassword:\nas: null\nas-uid:\nas-groups:\nas-user-extra:\nextensions:";
            a.user(&user)
        }),
        refused(CASE, "exec without anything beside a token", |a| {
            let user = a.g.token_user() + "\nexec: {}";
            a.user(&user)
        }),
        kinder(
            CASE,
            "auth-provider without anything beside a token",
            Harmless,
            |a| {
                let user = a.g.token_user() + "\nauth-provider: {}";
                a.user(&user)
            },
        ),
        refused(CASE, "everything", |a| {
            a.user("token: \"\"\ntokenFile: \"\"\nclient-certificate-data: \"\"\nusername: \"\"")
        }),
        refused(CASE, "client-key-data beside a certificate", |a| {
            let user = format!(
                "client-certificate-data: {}\nclient-key-data: \"\"",
                base64(&a.g.alice.certificate)
            );
            a.user(&user)
        }),
    ]
}

fn contexts() -> Vec<Variant> {
    vec![
        works(CASE, "namespace", |a| {
            // The default namespace, in which only the admin may look.
            let text = a.g.config(&a.g.cluster(), &a.g.admin.user());
            let namespace = format!("namespace: {}", a.g.namespace);
            a.kubeconfig(text.replace(&namespace, "namespace: \"\""))
        }),
        refused(
            CASE,
            "namespace, of somebody who may nothing in `default`",
            |a| {
                let text = a.g.config(&a.g.cluster(), &a.g.token_user());
                let namespace = format!("namespace: {}", a.g.namespace);
                a.kubeconfig(text.replace(&namespace, "namespace: \"\""))
            },
        ),
        works(CASE, "user, where none is needed", |a| {
            let text = a.g.config(&format!("server: {}", a.g.plain()), "{}");
            a.kubeconfig(text.replace("user: me\n", "user: \"\"\n"))
        }),
        refused(CASE, "user, where one is needed", |a| {
            let text = a.g.config(&a.g.cluster(), &a.g.token_user());
            a.kubeconfig(text.replace("user: me\n", "user: \"\"\n"))
        }),
        refused(CASE, "cluster", |a| {
            let text = a.g.config(&a.g.cluster(), &a.g.token_user());
            a.kubeconfig(text.replace("cluster: here\n", "cluster: \"\"\n"))
        }),
        refused(CASE, "current-context", |a| {
            let text = a.g.config(&a.g.cluster(), &a.g.token_user());
            a.kubeconfig(text.replace("current-context: way", "current-context: \"\""))
        }),
        works(CASE, "names that are empty", |a| {
            let text = a.g.config(&a.g.cluster(), &a.g.token_user());
            let text = text
                .replace("name: here", "name: \"\"")
                .replace("name: me", "name: \"\"");
            let text = text.replace("cluster: here\n", "cluster: \"\"\n");
            a.kubeconfig(text.replace("user: me\n", "user: \"\"\n"))
        }),
        works(CASE, "flags", |a| {
            a.usual().args(&[
                "--context=",
                "--cluster=",
                "--user=",
                "--server=",
                "--token=",
                "--as=",
                "--namespace=",
                "--certificate-authority=",
                "--client-certificate=",
                "--client-key=",
                "--tls-server-name=",
            ])
        }),
    ]
}
