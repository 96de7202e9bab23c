//! How the API server proves who it is.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};

use super::kubeconfig::Entry;
use super::pem;
use super::user::Pem;
use crate::error::{Error, Result};
use crate::flags::ConnectionFlags;
use crate::web::Certificate;

/// What is expected of the API server's certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tls {
    /// The certificate authorities; `None` for those that the machine trusts.
    pub(super) authority: Option<Vec<Vec<u8>>>,
    /// Their file, if it is replaced from time to time.
    pub(super) authority_file: Option<PathBuf>,
    pub(super) insecure: bool,
    pub(super) server_name: Option<String>,
}

impl Tls {
    /// What a kubeconfig's cluster says, overridden by the flags.
    ///
    /// # Errors
    /// Where kubectl refuses: two authorities, or one beside `insecure-skip-tls-verify`.
    pub(super) fn of(cluster: Option<&Entry<'_>>, flags: &ConnectionFlags) -> Result<Self> {
        // The kubeconfig's name was for the kubeconfig's address.
        let server_name = match (&flags.tls_server_name, &flags.server, cluster) {
            (None, None, Some(cluster)) => cluster.text("tls-server-name")?,
            (name, ..) => name.clone(),
        };
        let authority = match (&flags.certificate_authority, flags.insecure_skip_tls_verify) {
            (Some(file), _) => Some(Pem::File(file.into())),
            (None, Some(true)) => None,
            _ => authority_of(cluster)?,
        };
        let insecure = match (flags.insecure_skip_tls_verify, cluster) {
            (Some(insecure), _) => insecure,
            (None, Some(cluster)) if flags.certificate_authority.is_none() => {
                cluster.flag("insecure-skip-tls-verify")?
            }
            _ => false,
        };
        if insecure && authority.is_some() {
            return Err(Error::new(
                "`insecure-skip-tls-verify` cannot be combined with a certificate authority",
            )
            .hint("remove one of the two from the kubeconfig, or leave out the flag"));
        }
        let read = |pem: Pem| pem::certificates(&pem.read("certificate authority")?, "API server");
        Ok(Self {
            authority: authority.map(read).transpose()?,
            authority_file: None,
            insecure,
            server_name,
        })
    }
}

fn authority_of(cluster: Option<&Entry<'_>>) -> Result<Option<Pem>> {
    let Some(cluster) = cluster else {
        return Ok(None);
    };
    let data = cluster.data("certificate-authority-data")?;
    match (data, cluster.path("certificate-authority")?) {
        (Some(_), Some(_)) => Err(Error::new(
            "the kubeconfig's cluster has both `certificate-authority` and `certificate-authority-data`",
        )
        .hint("keep one of them: `kubectl config view`")),
        (data, file) => Ok(data.map(Pem::Data).or(file.map(Pem::File))),
    }
}

/// Trusts these certificate authorities and, as Go does, a server whose own certificate is among them.
///
/// # Errors
/// None of them can be used.
pub(super) fn verifier(authority: &[Vec<u8>]) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(
        authority
            .iter()
            .map(|der| CertificateDer::from(der.clone())),
    );
    let by_authority = WebPkiServerVerifier::builder(Arc::new(roots)).build();
    Ok(Arc::new(Verifier {
        by_authority: by_authority.map_err(|error| error.to_string())?,
        known: authority.to_vec(),
    }))
}

#[derive(Debug)]
struct Verifier {
    by_authority: Arc<WebPkiServerVerifier>,
    known: Vec<Vec<u8>>,
}

impl Verifier {
    /// Whether the very certificate is known, is for this name, and holds at this time.
    fn knows(
        &self,
        certificate: &CertificateDer<'_>,
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<bool, TlsError> {
        if !self.known.iter().any(|known| known == certificate.as_ref()) {
            return Ok(false);
        }
        let Some(certificate) = Certificate::read(certificate) else {
            return Ok(false);
        };
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if now < certificate.not_before.as_second() {
            return Err(CertificateError::NotValidYet.into());
        }
        if now > certificate.not_after.as_second() {
            return Err(CertificateError::Expired.into());
        }
        if !certificate.covers(&name.to_str()) {
            return Err(CertificateError::NotValidForName.into());
        }
        Ok(true)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        match self
            .by_authority
            .verify_server_cert(certificate, intermediates, name, ocsp, now)
        {
            Err(_) if self.knows(certificate, name, now)? => Ok(ServerCertVerified::assertion()),
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.by_authority
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.by_authority
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_authority.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    /// A server that nobody has signed but itself, whose certificate is named as authority.
    #[test]
    fn a_servers_own_certificate() {
        let own = |until: i32| {
            let key = KeyPair::generate().expect("a key");
            let mut params =
                CertificateParams::new(["kube.example.org".to_owned()]).expect("a name");
            params.not_after = date_time_ymd(until, 1, 1);
            params
                .self_signed(&key)
                .expect("a certificate")
                .der()
                .to_vec()
        };
        let judge = |known: &[u8], shown: &[u8], name: &str| {
            let verifier = verifier(&[known.to_vec()]).expect("a verifier");
            let name = ServerName::try_from(name.to_owned()).expect("a name");
            let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_900_000_000));
            verifier
                .verify_server_cert(&shown.to_vec().into(), &[], &name, &[], at)
                .is_ok()
        };
        let (good, over) = (own(2099), own(2020));
        assert!(judge(&good, &good, "kube.example.org"));
        assert!(!judge(&good, &good, "other.example.org"));
        assert!(!judge(&over, &over, "kube.example.org"));
        assert!(!judge(&good, &own(2098), "kube.example.org"));
    }
}
