//! TLS as this machine trusts it, with the server's certificate kept also when it is refused.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::connect::Stream;
use super::{Certificate, HttpFailure, TlsFailure};
use crate::printable;

/// Whom this machine trusts: what its operating system says, or the files that `SSL_CERT_FILE` and `SSL_CERT_DIR` name. Read
/// at the first use.
#[derive(Clone, Default)]
pub(super) struct Trust(Arc<OnceLock<Result<Arc<dyn ServerCertVerifier>, Error>>>);

impl Trust {
    /// Trusts by `verifier`, whatever the machine says.
    #[cfg(test)]
    pub(super) fn by(verifier: Arc<dyn ServerCertVerifier>) -> Self {
        Self(Arc::new(OnceLock::from(Ok(verifier))))
    }

    fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, Error> {
        self.0
            .get_or_init(|| {
                let verifier = rustls_platform_verifier::Verifier::new(provider.clone())?;
                Ok(Arc::new(verifier))
            })
            .clone()
    }

    /// Agrees on TLS with what answers at the other end of `stream`, which must be `host`.
    pub(super) async fn handshake(
        &self,
        stream: Stream,
        host: &str,
        deadline: Instant,
    ) -> Result<(Stream, Certificate), HttpFailure> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            HttpFailure::Protocol(format!("`{}` cannot be a host name", printable::line(host)))
        })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let witness = Arc::new(Witness {
            judge: self.verifier(&provider).map_err(|_| {
                failed("this machine has no list of trusted certificate authorities")
            })?,
            seen: Mutex::default(),
        });
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(witness.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let outcome = timeout_at(
            deadline,
            TlsConnector::from(Arc::new(config)).connect(name, stream),
        )
        .await
        .map_err(|_| HttpFailure::Timeout)?;
        let certificate = witness.certificate();
        match (outcome, certificate) {
            (Ok(stream), Some(certificate)) => Ok((Box::new(stream), certificate)),
            (Ok(_), None) => Err(failed("its certificate cannot be read")),
            (Err(error), certificate) => Err(HttpFailure::Tls {
                why: distrust(&error),
                certificate: certificate.map(Box::new),
            }),
        }
    }
}

fn failed(text: impl Into<String>) -> HttpFailure {
    HttpFailure::Tls {
        why: TlsFailure::Handshake(text.into()),
        certificate: None,
    }
}

/// Lets another decide, and remembers the certificate that was shown.
struct Witness {
    judge: Arc<dyn ServerCertVerifier>,
    seen: Mutex<Option<Vec<u8>>>,
}

impl Witness {
    fn certificate(&self) -> Option<Certificate> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        Certificate::read(seen.as_ref()?)
    }
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.judge.fmt(f)
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(end_entity.to_vec());
        self.judge
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}

/// What a failed handshake means.
fn distrust(error: &io::Error) -> TlsFailure {
    let Some(error) = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>())
    else {
        return TlsFailure::Handshake(match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => {
                "it closed the connection during the TLS handshake".to_owned()
            }
            _ => format!(
                "the TLS handshake failed ({})",
                printable::short(&error.to_string(), 200)
            ),
        });
    };
    match error {
        Error::InvalidCertificate(why) => match why {
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                TlsFailure::NotForThisName
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                TlsFailure::Expired
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                TlsFailure::NotYetValid
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                TlsFailure::UnknownIssuer
            }
            // A certificate that signs itself and says that it is an authority.
            CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
                TlsFailure::UnknownIssuer
            }
            why => TlsFailure::Handshake(format!(
                "its certificate cannot be accepted ({})",
                printable::short(&why.to_string(), 200)
            )),
        },
        Error::InvalidMessage(_) => {
            TlsFailure::Handshake("what answers there does not speak TLS".to_owned())
        }
        Error::AlertReceived(AlertDescription::UnrecognisedName) => {
            TlsFailure::Handshake("it has no certificate for this host name".to_owned())
        }
        error => TlsFailure::Handshake(format!(
            "the TLS handshake failed ({})",
            printable::short(&error.to_string(), 200)
        )),
    }
}
