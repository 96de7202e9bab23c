//! Certificates and keys in PEM.

use super::hints;
use crate::error::{Error, Result};
use crate::web::Certificate;

/// The sections of a text; as in Go, what is cut off, broken or something else is passed over.
pub(super) fn sections(text: &[u8]) -> Vec<::pem::Pem> {
    let text = String::from_utf8_lossy(text);
    let sections = text.split("-----BEGIN ").skip(1);
    sections
        .filter_map(|section| ::pem::parse(format!("-----BEGIN {section}")).ok())
        .collect()
}

/// The certificates in a text, in DER.
pub(super) fn chain(text: &[u8]) -> Vec<Vec<u8>> {
    let sections = sections(text).into_iter();
    sections
        .filter(|section| section.tag() == "CERTIFICATE" && section.headers().iter().count() == 0)
        .map(::pem::Pem::into_contents)
        .filter(|certificate| Certificate::read(certificate).is_some())
        .collect()
}

/// The certificates of somebody's authority, in DER.
///
/// # Errors
/// There is none that can be used.
pub(super) fn certificates(text: &[u8], whose: &str) -> Result<Vec<Vec<u8>>> {
    let found = chain(text);
    if found.is_empty() {
        return Err(Error::new(format!(
            "the certificate authority of the {whose} is not a certificate in PEM"
        ))
        .hint(hints::VIEW));
    }
    Ok(found)
}
