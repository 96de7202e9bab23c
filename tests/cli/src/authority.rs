//! Certificates: a certificate authority of one's own, and what it signs.

use std::sync::{Arc, LazyLock};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// The authority of every API server here, which the kubeconfigs name.
pub static TRUSTED: LazyLock<Authority> = LazyLock::new(Authority::default);

/// A certificate authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Default for Authority {
    fn default() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
            .distinguished_name
            .push(DnType::CommonName, "cluster-ca");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }
}

impl Authority {
    /// Its certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// TLS settings of a server that has this name.
    pub fn server(&self, name: &str) -> Arc<rustls::ServerConfig> {
        self.sign(&CertificateParams::new([name.to_owned()]).unwrap())
    }

    /// The same with a certificate that ended long ago.
    pub fn expired_server(&self, name: &str) -> Arc<rustls::ServerConfig> {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        self.sign(&params)
    }

    /// A certificate for these names and its key, as PEM; of this authority.
    pub fn issue(&self, names: &[String]) -> (String, String) {
        let mut params = CertificateParams::new(names.to_vec()).unwrap();
        params.not_after = rcgen::date_time_ymd(2099, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// The same, ended long ago.
    pub fn issue_expired(&self, name: &str) -> (String, String) {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn sign(&self, params: &CertificateParams) -> Arc<rustls::ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let config = builder().with_single_cert(chain, key).unwrap();
        Arc::new(config)
    }
}

/// Settings of a server that lack only its certificate.
pub fn builder() -> rustls::ConfigBuilder<rustls::ServerConfig, rustls::server::WantsServerCert> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
}

/// A certificate with its key, from PEM.
pub fn certified(certificate: &str, key: &str) -> Option<Arc<CertifiedKey>> {
    let chain = CertificateDer::pem_slice_iter(certificate.as_bytes());
    let chain = chain.collect::<Result<Vec<_>, _>>().ok()?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).ok()?;
    let key = rustls::crypto::ring::sign::any_supported_type(&key).ok()?;
    Some(Arc::new(CertifiedKey::new(chain, key)))
}

/// A certificate that nobody has signed but itself, as ingress controllers have one to begin with.
pub fn self_signed(name: &str) -> Arc<CertifiedKey> {
    let mut params = CertificateParams::new([format!("*.{name}")]).unwrap();
    params
        .distinguished_name
        .push(DnType::CommonName, "TRAEFIK DEFAULT CERT");
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    certified(&certificate.pem(), &key.serialize_pem()).unwrap()
}
