//! Keys of client certificates: algorithms and how they are written down.

use crate::parity::ground::Pair;
use crate::parity::variant::Exception::Library;
use crate::parity::variant::{Variant, refused, stricter, works};

const CASE: &str = "key formats";

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn variants() -> Vec<Variant> {
    vec![
        works(CASE, "RSA, PKCS#8", |a| {
            let user = a.g.certificates.rsa.user();
            a.user(&user)
        }),
        works(CASE, "RSA, PKCS#1", |a| {
            let pair = Pair {
                key: a.g.certificates.rsa_pkcs1.clone(),
                ..a.g.certificates.rsa.clone()
            };
            a.user(&pair.user())
        }),
        works(CASE, "P-384, PKCS#8", |a| {
            let user = a.g.certificates.p384.user();
            a.user(&user)
        }),
        works(CASE, "P-384, SEC1 behind its parameters", |a| {
            let pair = Pair {
                key: a.g.certificates.p384_sec1.clone(),
                ..a.g.certificates.p384.clone()
            };
            a.user(&pair.user())
        }),
        stricter(CASE, "P-521", Library, |a| {
            let user = a.g.certificates.p521.user();
            a.user(&user)
        }),
        works(CASE, "Ed25519", |a| {
            let user = a.g.certificates.ed25519.user();
            a.user(&user)
        }),
        works(CASE, "PKCS#1 under the name of PKCS#8", |a| {
            let key = a.g.certificates.rsa_pkcs1.replace("RSA PRIVATE", "PRIVATE");
            let pair = Pair {
                key,
                ..a.g.certificates.rsa.clone()
            };
            a.user(&pair.user())
        }),
        works(CASE, "two keys, the first counts", |a| {
            let pair = Pair {
                key: format!("{}{}", a.g.alice.key, a.g.stranger.key),
                ..a.g.alice.clone()
            };
            a.user(&pair.user())
        }),
        works(CASE, "lines of 40 letters", |a| {
            let body: String =
                a.g.alice
                    .key
                    .lines()
                    .filter(|line| !line.starts_with('-'))
                    .collect();
            let body = crate::parity::ground::wrapped(&body, 40, "\n");
            let key = format!("-----BEGIN PRIVATE KEY-----\n{body}-----END PRIVATE KEY-----\n");
            let pair = Pair {
                key,
                ..a.g.alice.clone()
            };
            a.user(&pair.user())
        }),
        refused(CASE, "two keys, the second counts", |a| {
            let pair = Pair {
                key: format!("{}{}", a.g.stranger.key, a.g.alice.key),
                ..a.g.alice.clone()
            };
            a.user(&pair.user())
        }),
        refused(CASE, "encrypted", |a| {
            let pair = Pair {
                key: a.g.certificates.rsa_encrypted.clone(),
                ..a.g.certificates.rsa.clone()
            };
            a.user(&pair.user())
        }),
        refused(CASE, "a certificate where the key belongs", |a| {
            let pair = Pair {
                key: a.g.alice.certificate.clone(),
                ..a.g.alice.clone()
            };
            a.user(&pair.user())
        }),
        refused(CASE, "cut off", |a| {
            let pair = Pair {
                key: a.g.alice.key.chars().take(120).collect(),
                ..a.g.alice.clone()
            };
            a.user(&pair.user())
        }),
    ]
}
