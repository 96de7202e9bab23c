//! Certificates in PEM.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::error::{Error, Result};

/// The certificates in a text, in DER; other things between them are passed over.
///
/// # Errors
/// There is none, or one that is broken.
pub(super) fn certificates(text: &[u8]) -> Result<Vec<Vec<u8>>> {
    let found: Result<Vec<Vec<u8>>, _> = CertificateDer::pem_slice_iter(text)
        .map(|found| found.map(|certificate| certificate.to_vec()))
        .collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(
            Error::new("the certificate authority is not a certificate in PEM")
                .hint("see where it comes from: `kubectl config view`"),
        ),
    }
}
