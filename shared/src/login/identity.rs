//! A client certificate with its key.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error as TlsError, InconsistentKeys};

use crate::error::{Error, Kind, Result};
use crate::printable;

/// Reads a certificate (and those above it) and its key from PEM. The certificate itself is not judged: that is for the API
/// server, and rustls would refuse certificates of X.509 version 1, which API servers take.
///
/// # Errors
/// One of both is missing, of a kind that cannot be used, or for another one.
pub(super) fn read(certificate: &[u8], key: &[u8]) -> Result<Arc<CertifiedKey>> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificate)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(&error.to_string()))?;
    if chain.is_empty() {
        return Err(unusable("it holds no certificate in PEM"));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
        unusable("its key is not a private key in PEM, or one that asks for a passphrase")
    })?;
    let key = rustls::crypto::ring::sign::any_supported_type(&key).map_err(|error| match error {
        TlsError::General(_) => unusable("its key is of a kind that is not supported (RSA of 2048 to 8192 bits, ECDSA P-256 and P-384, and Ed25519 are)"),
        other => unusable(&other.to_string()),
    })?;
    let identity = CertifiedKey::new(chain, key);
    match identity.keys_match() {
        Err(TlsError::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(unusable("its key is for another certificate"))
        }
        _ => Ok(Arc::new(identity)),
    }
}

fn unusable(why: &str) -> Error {
    Error::of(Kind::Unauthorized, "the client certificate cannot be used")
        .caused_by(printable::short(why, 200))
        .hint("get a new kubeconfig (on Onyxia: My account, Kubernetes)")
}
