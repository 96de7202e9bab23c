//! What makes a server trusted: the authority, in all forms, or nothing.

use crate::parity::attempt::Attempt;
use crate::parity::ground::base64;
use crate::parity::variant::{Variant, refused, works};

const CASE: &str = "trust";

pub(super) fn variants() -> Vec<Variant> {
    let mut all = files();
    all.extend(contents());
    all.extend(others());
    all
}

fn files() -> Vec<Variant> {
    vec![
        works(CASE, "a file beside the kubeconfig", |a| {
            let ca = a.g.ca.clone();
            in_file(a, &ca)
        }),
        works(CASE, "a file with CRLF", |a| {
            let ca = a.g.ca.replace('\n', "\r\n");
            in_file(a, &ca)
        }),
        works(CASE, "a file with others and text between", |a| {
            let bundle = format!(
                "Root A\n======\n{}\n# ours\n{}",
                a.g.certificates.server, a.g.ca
            );
            in_file(a, &bundle)
        }),
        refused(CASE, "a file that is missing", |a| {
            let cluster = format!("server: {}\ncertificate-authority: gone.crt", a.g.server);
            a.cluster(&cluster)
        }),
        refused(CASE, "a file that is empty", |a| in_file(a, "\n")),
        refused(CASE, "a file and data", |a| {
            let (ca, cluster) = (a.g.ca.clone(), a.g.cluster());
            a.file("ca.crt", ca)
                .cluster(&(cluster + "\ncertificate-authority: ca.crt"))
        }),
    ]
}

fn contents() -> Vec<Variant> {
    vec![
        works(CASE, "a broken certificate before ours", |a| {
            let broken = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
            let bundle = format!("{broken}{}", a.g.ca);
            in_data(a, &bundle)
        }),
        works(CASE, "a private key before ours", |a| {
            let bundle = format!("{}{}", a.g.stranger.key, a.g.ca);
            in_data(a, &bundle)
        }),
        works(CASE, "something cut off before ours", |a| {
            let bundle = format!("-----BEGIN CERTIFICATE-----\nMIIB\n{}", a.g.ca);
            in_data(a, &bundle)
        }),
        works(CASE, "the server's own certificate", |a| {
            let certificate = a.g.certificates.server.clone();
            in_data(a, &certificate)
        }),
        works(CASE, "twice", |a| {
            let bundle = format!("{}{}", a.g.ca, a.g.ca);
            in_data(a, &bundle)
        }),
        refused(CASE, "another authority", |a| {
            let certificate = a.g.certificates.rsa.certificate.clone();
            in_data(a, &certificate)
        }),
        refused(CASE, "another name of the block", |a| {
            let certificate = a.g.ca.replace("CERTIFICATE", "TRUSTED CERTIFICATE");
            in_data(a, &certificate)
        }),
        refused(CASE, "headers in the block", |a| {
            let begin = "-----BEGIN CERTIFICATE-----\n";
            let certificate =
                a.g.ca
                    .replace(begin, &format!("{begin}friendlyName: x\n\n"));
            in_data(a, &certificate)
        }),
        refused(CASE, "no PEM", |a| in_data(a, "xyz")),
    ]
}

fn others() -> Vec<Variant> {
    vec![
        works(CASE, "no checks", |a| {
            let cluster = format!("server: {}\ninsecure-skip-tls-verify: true", a.g.server);
            a.cluster(&cluster)
        }),
        works(CASE, "explicitly checked", |a| {
            let cluster = a.g.cluster() + "\ninsecure-skip-tls-verify: false";
            a.cluster(&cluster)
        }),
        works(CASE, "none, and SSL_CERT_FILE has it", |a| {
            let (ca, server) = (a.g.ca.clone(), a.g.server.clone());
            a.file("trusted", ca)
                .cluster(&format!("server: {server}"))
                .env("SSL_CERT_FILE", "FOLDER/trusted")
        }),
        works(CASE, "none, and SSL_CERT_DIR has it", |a| {
            let (ca, server) = (a.g.ca.clone(), a.g.server.clone());
            a.file("trusted/x", ca)
                .cluster(&format!("server: {server}"))
                .env("SSL_CERT_DIR", "/missing:FOLDER/trusted")
        }),
        refused(CASE, "SSL_CERT_FILE has it, the kubeconfig another", |a| {
            let ca = a.g.ca.clone();
            let other = a.g.certificates.rsa.certificate.clone();
            in_data(a, &other)
                .file("trusted", ca)
                .env("SSL_CERT_FILE", "FOLDER/trusted")
        }),
        refused(CASE, "none", |a| {
            let cluster = format!("server: {}", a.g.server);
            a.cluster(&cluster)
        }),
        refused(CASE, "no checks, and an authority", |a| {
            let cluster = a.g.cluster() + "\ninsecure-skip-tls-verify: true";
            a.cluster(&cluster)
        }),
    ]
}

fn in_data<'g>(a: Attempt<'g>, pem: &str) -> Attempt<'g> {
    let data = base64(pem);
    let server = &a.g.server;
    let cluster = format!("server: {server}\ncertificate-authority-data: {data}");
    a.cluster(&cluster)
}

fn in_file<'g>(a: Attempt<'g>, pem: &str) -> Attempt<'g> {
    let cluster = format!("server: {}\ncertificate-authority: ca.crt", a.g.server);
    a.file("ca.crt", pem).cluster(&cluster)
}
