//! The node's certificate authority and everything it signs. Every certificate is X.509 v3 with its names as extensions: rustls takes
//! nothing less.

use std::{fs, net::IpAddr, path::Path};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequest, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};

use crate::error::{Context as _, Result};

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
    /// Writes `NAME.crt` and `NAME.key`, the key for the owner alone.
    pub(crate) fn write(&self, directory: &Path, name: &str) -> Result<()> {
        write_private(&directory.join(format!("{name}.crt")), &self.certificate)?;
        write_private(&directory.join(format!("{name}.key")), &self.key)
    }
}

/// The authority that API server, components and users trust.
pub(crate) struct Authority {
    certificate: String,
    key: KeyPair,
}

impl Authority {
    /// A new authority.
    pub(crate) fn create() -> Result<Self> {
        let key = new_key()?;
        let certificate = Self::parameters()
            .self_signed(&key)
            .context("the authority's certificate cannot be made")?
            .pem();
        Ok(Self { certificate, key })
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

    /// Its name is all that a signature takes from these, so they are the same whenever the authority is read again.
    fn parameters() -> CertificateParams {
        let mut parameters = validity(CertificateParams::default());
        parameters.distinguished_name = name("kube-commons-node", &[]);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::CrlSign,
        ];
        parameters
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
        let parameters = Self::parameters();
        let issuer = Issuer::from_params(&parameters, &self.key);
        let mut parameters = validity(CertificateParams::default());
        parameters.distinguished_name = name(common_name, organizations);
        parameters.subject_alt_names = names.to_vec();
        parameters.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        parameters.extended_key_usages = usages.to_vec();
        parameters.use_authority_key_identifier_extension = true;
        let key = new_key()?;
        let certificate = parameters
            .signed_by(&key, &issuer)
            .with_context(|| format!("the certificate of {common_name} cannot be signed"))?;
        Ok(Identity {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

/// A certificate that nobody signed but itself, for the ingress's names.
pub(crate) fn self_signed(names: &[&str]) -> Result<Identity> {
    let mut parameters = validity(CertificateParams::default());
    parameters.distinguished_name = name(names.first().copied().unwrap_or_default(), &[]);
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
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = name(user, groups);
    let request: CertificateSigningRequest = parameters
        .serialize_request(&key)
        .with_context(|| format!("a certificate request for {user} cannot be made"))?;
    Ok((
        request
            .pem()
            .with_context(|| format!("a certificate request for {user} cannot be written"))?,
        key.serialize_pem(),
    ))
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

fn name(common_name: &str, organizations: &[&str]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    for (index, organization) in organizations.iter().enumerate() {
        name.push(organization_type(index), *organization);
    }
    name.push(DnType::CommonName, common_name);
    name
}

/// rcgen keeps one value per kind of name part; the same kind written as a number makes room for a second one.
fn organization_type(index: usize) -> DnType {
    if index == 0 {
        DnType::OrganizationName
    } else {
        DnType::CustomDnType(vec![2, 5, 4, 10])
    }
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
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let failed = || format!("{} cannot be written", path.display());
    let scratch = path.with_extension("new");
    // A scratch file of a killed run may have other permissions.
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
