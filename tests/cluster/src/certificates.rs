//! The node's certificate authority and everything it signs. Every certificate is X.509 v3 with its names as extensions: rustls takes
//! nothing less.

use std::{fs, net::IpAddr, path::Path};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequest, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};

use crate::{
    error::{Context as _, Result},
    subject::{self, Document},
};

/// How long certificates last: longer than any node.
const LIFETIME: Duration = Duration::days(365);
/// Clocks may differ a little between machines that share a state directory.
const BACKDATED: Duration = Duration::hours(1);

/// A certificate and its private key, both in PEM.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Identity {
    /// What was written as `NAME` earlier, if it was.
    pub(crate) fn read(directory: &Path, name: &str) -> Option<Self> {
        let read = |kind| fs::read_to_string(directory.join(format!("{name}.{kind}"))).ok();
        Some(Self {
            certificate: read("crt")?,
            key: read("key")?,
        })
    }

    /// Writes `NAME.crt` and `NAME.key`, the key for the owner alone.
    pub(crate) fn write(&self, directory: &Path, name: &str) -> Result<()> {
        write_private(&directory.join(format!("{name}.crt")), &self.certificate)?;
        write_private(&directory.join(format!("{name}.key")), &self.key)
    }
}

/// The authority that API server, components and users trust.
pub(crate) struct Authority {
    name: &'static str,
    certificate: String,
    key: KeyPair,
}

impl Authority {
    /// The authority of the node.
    const NODE: &str = "kube-commons-node";

    /// A new authority for the node.
    pub(crate) fn create() -> Result<Self> {
        Self::named(Self::NODE)
    }

    /// A new authority of another name, for what the node's authority is not trusted for.
    pub(crate) fn named(name: &'static str) -> Result<Self> {
        let key = new_key()?;
        let certificate = self_signed_root(&root_parameters(name), &key)?;
        Ok(Self {
            name,
            certificate,
            key,
        })
    }

    /// The authority written to this directory earlier.
    pub(crate) fn read(directory: &Path) -> Result<Self> {
        let read = |name: &str| {
            fs::read_to_string(directory.join(name))
                .with_context(|| format!("{name} of the node cannot be read"))
        };
        let key = KeyPair::from_pem(&read("ca.key")?)
            .context("the authority's key cannot be understood")?;
        Ok(Self {
            name: Self::NODE,
            certificate: read("ca.crt")?,
            key,
        })
    }

    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        Identity {
            certificate: self.certificate.clone(),
            key: self.key.serialize_pem(),
        }
        .write(directory, "ca")
    }

    /// Its certificate in PEM.
    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A certificate for a client: user name and groups as Kubernetes reads them (CN and O).
    pub(crate) fn client(&self, user: &str, groups: &[&str]) -> Result<Identity> {
        self.sign(user, groups, &[], &[ExtendedKeyUsagePurpose::ClientAuth])
    }

    /// A certificate for a server that answers under these names and addresses.
    pub(crate) fn server(
        &self,
        common_name: &str,
        names: &[&str],
        addresses: &[IpAddr],
    ) -> Result<Identity> {
        self.sign(
            common_name,
            &[],
            &alternatives(names, addresses)?,
            &[ExtendedKeyUsagePurpose::ServerAuth],
        )
    }

    fn sign(
        &self,
        common_name: &str,
        organizations: &[&str],
        names: &[SanType],
        usages: &[ExtendedKeyUsagePurpose],
    ) -> Result<Identity> {
        // Its name is all that a signature takes from these, so they are the same whenever the authority is read again.
        let parameters = root_parameters(self.name);
        let issuer = Issuer::from_params(&parameters, &self.key);
        let mut parameters = validity(CertificateParams::default());
        parameters.subject_alt_names = names.to_vec();
        parameters.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        parameters.extended_key_usages = usages.to_vec();
        parameters.use_authority_key_identifier_extension = true;
        let key = new_key()?;
        let unsigned = || format!("the certificate of {common_name} cannot be signed");
        let template = parameters.signed_by(&key, &issuer).with_context(unsigned)?;
        let subject = subject::encode(common_name, organizations);
        let certificate =
            subject::replace(Document::Certificate, template.der(), &subject, &self.key)
                .with_context(unsigned)?;
        Ok(Identity {
            certificate: encode_pem("CERTIFICATE", certificate),
            key: key.serialize_pem(),
        })
    }
}

/// A root of its own, for an issuer inside the cluster to sign with.
pub(crate) fn root(common_name: &str) -> Result<Identity> {
    let key = new_key()?;
    Ok(Identity {
        certificate: self_signed_root(&root_parameters(common_name), &key)?,
        key: key.serialize_pem(),
    })
}

fn root_parameters(common_name: &str) -> CertificateParams {
    let mut parameters = validity(CertificateParams::default());
    parameters.distinguished_name = name(common_name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::CrlSign,
    ];
    parameters
}

fn self_signed_root(parameters: &CertificateParams, key: &KeyPair) -> Result<String> {
    Ok(parameters
        .self_signed(key)
        .context("the authority's certificate cannot be made")?
        .pem())
}

/// A certificate that nobody signed but itself, for the ingress's names.
pub(crate) fn self_signed(names: &[&str]) -> Result<Identity> {
    let mut parameters = validity(CertificateParams::default());
    parameters.distinguished_name = name(names.first().copied().unwrap_or_default());
    parameters.subject_alt_names = alternatives(names, &[])?;
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = new_key()?;
    let certificate = parameters
        .self_signed(&key)
        .context("the ingress certificate cannot be made")?
        .pem();
    Ok(Identity {
        certificate,
        key: key.serialize_pem(),
    })
}

/// The key pair that service account tokens are signed with: private part, public part.
pub(crate) fn token_keys() -> Result<(String, String)> {
    let key = new_key()?;
    Ok((key.serialize_pem(), key.public_key_pem()))
}

/// A request for a client certificate, for clusters whose authority is not ours: the request in PEM, the private key in PEM.
pub(crate) fn request(user: &str, groups: &[&str]) -> Result<(String, String)> {
    let key = new_key()?;
    let unmade = || format!("a certificate request for {user} cannot be made");
    let template: CertificateSigningRequest = CertificateParams::default()
        .serialize_request(&key)
        .with_context(unmade)?;
    let subject = subject::encode(user, groups);
    let request =
        subject::replace(Document::Request, template.der(), &subject, &key).with_context(unmade)?;
    Ok((
        encode_pem("CERTIFICATE REQUEST", request),
        key.serialize_pem(),
    ))
}

fn encode_pem(label: &str, der: Vec<u8>) -> String {
    pem::encode_config(
        &pem::Pem::new(label, der),
        pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF),
    )
}

fn new_key() -> Result<KeyPair> {
    KeyPair::generate().context("a private key cannot be made")
}

fn validity(mut parameters: CertificateParams) -> CertificateParams {
    let now = OffsetDateTime::now_utc();
    parameters.not_before = now - BACKDATED;
    parameters.not_after = now + LIFETIME;
    parameters
}

fn name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn alternatives(names: &[&str], addresses: &[IpAddr]) -> Result<Vec<SanType>> {
    let mut all = Vec::new();
    for &name in names {
        all.push(SanType::DnsName(name.try_into().with_context(|| {
            format!("{name} cannot stand in a certificate")
        })?));
    }
    all.extend(addresses.iter().map(|&address| SanType::IpAddress(address)));
    Ok(all)
}

/// Writes a file that only its owner reads.
pub(crate) fn write_private(path: &Path, content: &str) -> Result<()> {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    // Tests side by side write the same file: each has a scratch file of its own.
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let failed = || format!("{} cannot be written", path.display());
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let scratch = path.with_extension(format!("{}-{count}.new", std::process::id()));
    // One of a killed run may have other permissions.
    let _ = fs::remove_file(&scratch);
    let mut file = fs::File::options()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&scratch)
        .with_context(failed)?;
    file.write_all(content.as_bytes()).with_context(failed)?;
    fs::rename(&scratch, path).with_context(failed)
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::{
        FromDer as _, GeneralName, ParsedExtension, X509Certificate, X509CertificationRequest,
        X509Version,
    };

    use super::*;

    fn der(pem: &str) -> Vec<u8> {
        pem::parse(pem).unwrap().into_contents()
    }

    fn subject(name: &x509_parser::x509::X509Name) -> (String, Vec<String>) {
        let common_name = name
            .iter_common_name()
            .next()
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned();
        (
            common_name,
            name.iter_organization()
                .map(|part| part.as_str().unwrap().to_owned())
                .collect(),
        )
    }

    #[test]
    fn a_client_certificate_carries_user_and_groups() {
        let authority = Authority::create().unwrap();
        for groups in [&[][..], &["one"], &["one", "two", "three"]] {
            let der = der(&authority.client("oidc-alice", groups).unwrap().certificate);
            let (_, certificate) = X509Certificate::from_der(&der).unwrap();
            assert_eq!(certificate.version(), X509Version::V3);
            assert_eq!(
                subject(certificate.subject()),
                (
                    "oidc-alice".to_owned(),
                    groups.iter().map(ToString::to_string).collect()
                )
            );
            assert_eq!(subject(certificate.issuer()).0, "kube-commons-node");
            assert!(
                certificate
                    .extended_key_usage()
                    .unwrap()
                    .unwrap()
                    .value
                    .client_auth
            );
            assert!(certificate.validity().is_valid());
        }
    }

    #[test]
    fn a_server_certificate_carries_every_name_and_address() {
        let authority = Authority::create().unwrap();
        let address: IpAddr = "10.96.0.1".parse().unwrap();
        let der = der(&authority
            .server("kube-apiserver", &["kubernetes"], &[address])
            .unwrap()
            .certificate);
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        assert_eq!(certificate.version(), X509Version::V3);
        let names = &certificate
            .subject_alternative_name()
            .unwrap()
            .unwrap()
            .value
            .general_names;
        assert!(names.contains(&GeneralName::DNSName("kubernetes")));
        assert!(names.contains(&GeneralName::IPAddress(&[10, 96, 0, 1])));
        let has = |wanted: fn(&ParsedExtension) -> bool| {
            certificate
                .extensions()
                .iter()
                .any(|found| wanted(found.parsed_extension()))
        };
        assert!(has(|extension| matches!(
            extension,
            ParsedExtension::AuthorityKeyIdentifier(_)
        )));
    }

    #[test]
    fn the_authority_signs_the_same_after_it_was_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let made = Authority::create().unwrap();
        made.write(directory.path()).unwrap();
        let read = Authority::read(directory.path()).unwrap();
        let issuer = |authority: &Authority| {
            let der = der(&authority.client("a", &[]).unwrap().certificate);
            X509Certificate::from_der(&der)
                .unwrap()
                .1
                .issuer()
                .as_raw()
                .to_vec()
        };
        let own = der(made.certificate());
        assert_eq!(
            X509Certificate::from_der(&own)
                .unwrap()
                .1
                .subject()
                .as_raw(),
            issuer(&made)
        );
        assert_eq!(issuer(&made), issuer(&read));
        assert_eq!(made.certificate(), read.certificate());
    }

    #[test]
    fn a_request_carries_user_and_groups() {
        let (request, _) = request("oidc-bob", &["one", "two"]).unwrap();
        let der = der(&request);
        let (_, request) = X509CertificationRequest::from_der(&der).unwrap();
        let expected = (
            "oidc-bob".to_owned(),
            vec!["one".to_owned(), "two".to_owned()],
        );
        assert_eq!(
            subject(&request.certification_request_info.subject),
            expected
        );
    }

    #[test]
    fn keys_are_for_the_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        fs::write(&path, "older").unwrap();
        write_private(&path, "secret").unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "secret");
    }
}
