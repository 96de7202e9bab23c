//! K1: `*-data` fields as people and programs write them.

use crate::parity::attempt::Attempt;
use crate::parity::ground::{base64, indented, wrapped};
use crate::parity::variant::Exception::Readable;
use crate::parity::variant::{Variant, kinder, refused, works};

const CASE: &str = "K1 base64";

pub(super) fn variants() -> Vec<Variant> {
    vec![
        works(CASE, "CA as a block of 64 letters", |a| {
            ca(a, |data| block("|", &wrapped(data, 64, "\n")))
        }),
        works(
            CASE,
            "CA as a block of 76 letters, all line ends kept",
            |a| ca(a, |data| block("|+", &wrapped(data, 76, "\n\n"))),
        ),
        works(CASE, "CA as a block in a file with CRLF", |a| {
            let cluster = format!(
                "server: {}\ncertificate-authority-data: {}",
                a.g.server,
                block("|", &wrapped(&base64(&a.g.ca), 64, "\n"))
            );
            let text = a.g.config(&cluster, &a.g.token_user());
            a.kubeconfig(text.replace('\n', "\r\n"))
        }),
        works(CASE, "CA in quotes with \\n", |a| {
            ca(a, |data| format!("\"{}\"", wrapped(data, 64, "\\n")))
        }),
        works(CASE, "CA in quotes with \\r\\n", |a| {
            ca(a, |data| format!("\"{}\"", wrapped(data, 76, "\\r\\n")))
        }),
        works(CASE, "CA in quotes with lines joined by a backslash", |a| {
            ca(a, |data| format!("\"{}\"", wrapped(data, 64, "\\\n    ")))
        }),
        works(CASE, "client certificate and key as blocks", |a| {
            let [certificate, key] = [&a.g.alice.certificate, &a.g.alice.key]
                .map(|pem| block("|-", &wrapped(&base64(pem), 64, "\n")));
            a.user(&format!(
                "client-certificate-data: {certificate}\nclient-key-data: {key}"
            ))
        }),
        works(CASE, "client key alone as a block", |a| {
            let key = block("|", &wrapped(&base64(&a.g.alice.key), 76, "\n"));
            let certificate = base64(&a.g.alice.certificate);
            a.user(&format!(
                "client-certificate-data: {certificate}\nclient-key-data: {key}"
            ))
        }),
        works(CASE, "!!binary around base64 of base64", |a| {
            ca(a, |data| format!("!!binary {}", base64(data)))
        }),
        kinder(CASE, "!!binary around base64", Readable, |a| {
            ca(a, |data| format!("!!binary {data}"))
        }),
        kinder(CASE, "!!binary around a block", Readable, |a| {
            ca(a, |data| block("!!binary |", &wrapped(data, 64, "\n")))
        }),
        refused(CASE, "CA folded, with blanks where lines ended", |a| {
            ca(a, |data| block(">-", &wrapped(data, 64, "\n")))
        }),
        refused(CASE, "CA on several plain lines", |a| {
            ca(a, |data| block("", &wrapped(data, 76, "\n")))
        }),
        refused(CASE, "CA with a blank before it", |a| {
            ca(a, |data| format!("\" {data}\""))
        }),
        refused(CASE, "CA in the alphabet for URLs, without padding", |a| {
            // Three bytes that have other letters there, and one that needs padding.
            let pem = format!("\u{3ff}\u{3ff}?>>\n{}", a.g.ca);
            let data = base64(if pem.len() % 3 == 0 { pem + "\n" } else { pem });
            let data = data.replace('+', "-").replace('/', "_");
            let data = data.trim_end_matches('=').to_owned();
            let server = a.g.server.clone();
            a.cluster(&format!(
                "server: {server}\ncertificate-authority-data: {data}"
            ))
        }),
        refused(CASE, "CA in PEM where base64 belongs", |a| {
            let pem = a.g.ca.clone();
            ca(a, |_| block("|", &pem))
        }),
    ]
}

/// The usual kubeconfig with the CA's data written in another way.
fn ca(a: Attempt, written: impl Fn(&str) -> String) -> Attempt {
    let data = written(&base64(&a.g.ca));
    let server = &a.g.server;
    let cluster = format!("server: {server}\ncertificate-authority-data: {data}");
    a.cluster(&cluster)
}

/// A value on lines of its own.
fn block(head: &str, lines: &str) -> String {
    format!("{head}\n{}", indented(lines, 2))
}
