//! A client certificate with its key.

use std::sync::Arc;

use rustls::Error as TlsError;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::{hints, pem};
use crate::error::{Error, Kind, Result};
use crate::printable;
use crate::web::Certificate;

/// Reads a certificate (and those above it) and its key from PEM. The certificate itself is not judged: that is for the API
/// server, and rustls would refuse certificates of X.509 version 1, which API servers take.
///
/// # Errors
/// One of both is missing, of a kind that cannot be used, or for another one.
pub(super) fn read(certificate: &[u8], key: &[u8]) -> Result<Arc<CertifiedKey>> {
    let chain: Vec<CertificateDer<'static>> = pem::chain(certificate)
        .into_iter()
        .map(CertificateDer::from)
        .collect();
    if chain.is_empty() {
        return Err(unusable("it holds no certificate in PEM"));
    }
    let key = first_key(key).ok_or_else(|| {
        unusable("its key is not a private key in PEM, or one that asks for a passphrase")
    })?;
    let key = rustls::crypto::ring::sign::any_supported_type(&key).map_err(|error| match error {
        TlsError::General(_) => unusable("its key is of a kind that is not supported (RSA of 2048 to 8192 bits, ECDSA P-256 and P-384, and Ed25519 are)"),
        other => unusable(&other.to_string()),
    })?;
    let of_certificate = chain.first().and_then(|first| Certificate::read(first));
    if let (Some(certificate), Some(public)) = (of_certificate, key.public_key())
        && *public != *certificate.public_key
    {
        return Err(unusable("its key does not match the certificate"));
    }
    Ok(Arc::new(CertifiedKey::new(chain, key)))
}

/// The first key of a text, whatever its label says of its form: programs disagree on that.
fn first_key(text: &[u8]) -> Option<PrivateKeyDer<'static>> {
    let mut sections = pem::sections(text).into_iter();
    let key = sections.find(|section| section.tag().ends_with("PRIVATE KEY"))?;
    PrivateKeyDer::try_from(key.into_contents()).ok()
}

fn unusable(why: &str) -> Error {
    Error::of(Kind::Unauthorized, "the client certificate cannot be used")
        .caused_by(printable::short(why, 200))
        .hint(hints::RENEW)
}
