//! K4 and client certificates in data and in files.

use crate::parity::attempt::Attempt;
use crate::parity::ground::{Pair, base64};
use crate::parity::variant::{Variant, refused, works};

const V1: &str = "K4 version 1";
const DATA: &str = "certificate data";
const FILES: &str = "certificate files";

pub(super) fn variants() -> Vec<Variant> {
    let mut all = version_1();
    all.extend(data());
    all.extend(files());
    all
}

/// Certificates without extensions, as `openssl x509 -req` makes them.
fn version_1() -> Vec<Variant> {
    vec![
        works(V1, "RSA, in data", |a| {
            let user = a.g.certificates.v1_rsa.user();
            a.user(&user)
        }),
        works(V1, "EC, in files", |a| {
            let pair = a.g.certificates.v1_ec.clone();
            in_files(a, &pair)
        }),
        works(V1, "EC, by flags", |a| {
            let pair = a.g.certificates.v1_ec.clone();
            a.user("{}")
                .file("me.crt", pair.certificate)
                .file("me.key", pair.key)
                .args(&[
                    "--client-certificate=FOLDER/me.crt",
                    "--client-key=FOLDER/me.key",
                ])
        }),
        works(V1, "RSA with a PKCS#1 key and the CA behind it", |a| {
            let made = &a.g.certificates;
            let pair = Pair {
                certificate: format!("{}{}", made.v1_rsa.certificate, a.g.ca),
                key: made.rsa_pkcs1.clone(),
            };
            a.user(&pair.user())
        }),
        works(V1, "without checking the server's certificate", |a| {
            let cluster = format!("server: {}\ninsecure-skip-tls-verify: true", a.g.server);
            let user = a.g.certificates.v1_ec.user();
            a.config(&cluster, &user)
        }),
        refused(V1, "with the key of another", |a| {
            let pair = Pair {
                key: a.g.certificates.v1_ec.key.clone(),
                ..a.g.certificates.v1_rsa.clone()
            };
            a.user(&pair.user())
        }),
    ]
}

fn data() -> Vec<Variant> {
    vec![
        works(DATA, "EC, PKCS#8", |a| {
            let user = a.g.alice.user();
            a.user(&user)
        }),
        works(DATA, "the CA behind the certificate", |a| {
            let pair = Pair {
                certificate: format!("{}{}", a.g.alice.certificate, a.g.ca),
                ..a.g.alice.clone()
            };
            a.user(&pair.user())
        }),
        refused(DATA, "the CA before the certificate", |a| {
            let pair = Pair {
                certificate: format!("{}{}", a.g.ca, a.g.alice.certificate),
                ..a.g.alice.clone()
            };
            a.user(&pair.user())
        }),
        works(DATA, "key and certificate in both", |a| {
            let both = format!("{}{}", a.g.alice.key, a.g.alice.certificate);
            let pair = Pair {
                certificate: both.clone(),
                key: both,
            };
            a.user(&pair.user())
        }),
        works(DATA, "certificate in data, key in a file", |a| {
            let data = base64(&a.g.alice.certificate);
            let key = a.g.alice.key.clone();
            a.file("me.key", key).user(&format!(
                "client-certificate-data: {data}\nclient-key: me.key"
            ))
        }),
        works(DATA, "a key without certificate beside a token", |a| {
            let user = format!("{}\nclient-key-data: eHl6", a.g.token_user());
            a.user(&user)
        }),
        works(
            DATA,
            "certificate beside a token, which is another's",
            |a| {
                let user = format!("{}\n{}", a.g.alice.user(), a.g.stranger_user());
                a.user(&user)
            },
        ),
        refused(DATA, "another's certificate beside a token", |a| {
            let user = format!("{}\n{}", a.g.stranger.user(), a.g.token_user());
            a.user(&user)
        }),
        refused(DATA, "in data and in files", |a| {
            let user = format!(
                "{}\nclient-certificate: me.crt\nclient-key: me.key",
                a.g.alice.user()
            );
            let me = a.g.alice.clone();
            a.file("me.crt", me.certificate)
                .file("me.key", me.key)
                .user(&user)
        }),
        refused(DATA, "certificate without key", |a| {
            let user = format!(
                "client-certificate-data: {}",
                base64(&a.g.alice.certificate)
            );
            a.user(&user)
        }),
        refused(DATA, "certificate without key beside a token", |a| {
            let user = format!(
                "{}\nclient-certificate-data: {}",
                a.g.token_user(),
                base64(&a.g.alice.certificate)
            );
            a.user(&user)
        }),
        refused(DATA, "expired", |a| {
            let user = a.g.certificates.expired.user();
            a.user(&user)
        }),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn files() -> Vec<Variant> {
    vec![
        works(FILES, "beside the kubeconfig", |a| {
            let pair = a.g.alice.clone();
            in_files(a, &pair)
        }),
        works(FILES, "absolute", |a| {
            let user = format!(
                "client-certificate: {}\nclient-key: {}",
                a.path("me.crt"),
                a.path("me.key")
            );
            let me = a.g.alice.clone();
            a.file("me.crt", me.certificate)
                .file("me.key", me.key)
                .user(&user)
        }),
        works(FILES, "key and certificate in one file", |a| {
            let both = format!("{}{}", a.g.alice.certificate, a.g.alice.key);
            a.file("me.pem", both)
                .user("client-certificate: me.pem\nclient-key: me.pem")
        }),
        works(FILES, "with CRLF and without line end", |a| {
            let pair = Pair {
                certificate: a.g.alice.certificate.replace('\n', "\r\n"),
                key: a.g.alice.key.trim_end().to_owned(),
            };
            in_files(a, &pair)
        }),
        works(
            FILES,
            "with text before, as `openssl x509 -text` writes",
            |a| {
                let pair = Pair {
                    certificate: format!(
                        "Certificate:\n    Data:\n        Version: 3 (0x2)\n{}",
                        a.g.alice.certificate
                    ),
                    key: format!("# mine\n\n{}", a.g.alice.key),
                };
                in_files(a, &pair)
            },
        ),
        works(FILES, "certificate in a file, key in data", |a| {
            let user = format!(
                "client-certificate: me.crt\nclient-key-data: {}",
                base64(&a.g.alice.key)
            );
            let certificate = a.g.alice.certificate.clone();
            a.file("me.crt", certificate).user(&user)
        }),
        works(
            FILES,
            "links, with blanks and umlauts in their names",
            |a| {
                let me = a.g.alice.clone();
                a.file("data/1", me.certificate)
                .file("data/2", me.key)
                .link("mein schlüssel/me.crt", "../data/1")
                .link("mein schlüssel/me.key", "../data/2")
                .user("client-certificate: mein schlüssel/me.crt\nclient-key: \"mein schl\\u00fcssel/me.key\"")
            },
        ),
        refused(FILES, "relative to the folder that one is in", |a| {
            let pair = a.g.alice.clone();
            a.file("elsewhere/me.crt", pair.certificate)
                .file("elsewhere/me.key", pair.key)
                .user("client-certificate: me.crt\nclient-key: me.key")
                .within("elsewhere")
        }),
        refused(FILES, "certificate is missing beside a token", |a| {
            let user = format!(
                "{}\nclient-certificate: gone.crt\nclient-key: gone.key",
                a.g.token_user()
            );
            a.user(&user)
        }),
        refused(FILES, "~ is no folder", |a| {
            let pair = a.g.alice.clone();
            a.file("home/me.crt", pair.certificate)
                .file("home/me.key", pair.key)
                .user("client-certificate: ~/me.crt\nclient-key: ~/me.key")
        }),
        refused(FILES, "empty files", |a| {
            in_files(
                a,
                &Pair {
                    certificate: String::new(),
                    key: String::new(),
                },
            )
        }),
    ]
}

/// A user whose certificate and key are files beside the kubeconfig.
fn in_files<'g>(a: Attempt<'g>, pair: &Pair) -> Attempt<'g> {
    a.file("me.crt", &pair.certificate)
        .file("me.key", &pair.key)
        .user("client-certificate: me.crt\nclient-key: me.key")
}
