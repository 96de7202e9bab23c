//! The few fields of a certificate that a person wants to know. Whether it may be trusted is decided by rustls; this only reads
//! what it says, so that it can be said why not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use crate::printable;

/// What a server's certificate says. Texts are safe for a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The DNS names (also `*.example.org`) and addresses that it is for.
    pub names: Vec<String>,
    /// Whom it describes, in short: a common name, an organisation.
    pub subject: String,
    /// Who signed it, in short: `R11 (Let's Encrypt)`.
    pub issuer: String,
    /// Not valid before.
    pub not_before: Timestamp,
    /// Not valid after.
    pub not_after: Timestamp,
    /// Whether it names itself as its issuer.
    pub self_signed: bool,
    /// Its public key, a `SubjectPublicKeyInfo`.
    pub public_key: Vec<u8>,
    /// The certificate itself.
    pub der: Vec<u8>,
}

impl Certificate {
    /// Reads a certificate (RFC 5280); `None` if it is none.
    pub fn read(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let names = certificate.subject_alternative_name().ok()?;
        let names = names.iter().flat_map(|names| &names.value.general_names);
        let (subject, issuer) = (certificate.subject(), certificate.issuer());
        Some(Self {
            names: names.filter_map(name).collect(),
            subject: person(subject),
            issuer: person(issuer),
            not_before: timestamp(certificate.validity().not_before)?,
            not_after: timestamp(certificate.validity().not_after)?,
            self_signed: issuer.as_raw() == subject.as_raw(),
            public_key: certificate.public_key().raw.to_vec(),
            der: der.to_vec(),
        })
    }

    /// Whether it is for this host name or address. A wildcard stands for exactly one label (RFC 6125).
    pub fn covers(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.');
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            return self.names.iter().any(|name| name.parse() == Ok(address));
        }
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(domain) => host.split_once('.').is_some_and(|(label, parent)| {
                !label.is_empty() && parent.eq_ignore_ascii_case(domain)
            }),
            None => host.eq_ignore_ascii_case(name),
        })
    }
}

/// "No well-defined end" (RFC 5280, 4.1.2.5) is the last second of year 9999, which is beyond the last [`Timestamp`].
fn timestamp(time: ASN1Time) -> Option<Timestamp> {
    let seconds = time.timestamp().min(Timestamp::MAX.as_second());
    Timestamp::from_second(seconds).ok()
}

/// A DNS name or an address.
fn name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(printable::short(name, 260)),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
        _ => None,
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(four).into());
    }
    let sixteen = <[u8; 16]>::try_from(bytes).ok()?;
    Some(Ipv6Addr::from(sixteen).into())
}

/// A distinguished name in short: its common name, with the organisation if that says more.
fn person(name: &X509Name) -> String {
    let common = name.iter_common_name().next().map(text);
    let organisation = name.iter_organization().next().map(text);
    match (common, organisation) {
        (Some(common), Some(organisation)) if !common.contains(&organisation) => {
            format!("{common} ({organisation})")
        }
        (Some(name), _) | (None, Some(name)) => name,
        (None, None) => String::new(),
    }
}

/// A string of any of ASN.1's kinds.
fn text(attribute: &AttributeTypeAndValue) -> String {
    let lossy = || String::from_utf8_lossy(attribute.attr_value().data).into_owned();
    let text = attribute.as_str().map_or_else(|_| lossy(), str::to_owned);
    printable::short(&text, 260)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(build: impl FnOnce(&mut rcgen::CertificateParams)) -> Certificate {
        let mut params = rcgen::CertificateParams::new(vec![
            "app.example.org".to_owned(),
            "*.apps.example.org".to_owned(),
            "192.0.2.7".to_owned(),
            "2001:db8::7".to_owned(),
        ])
        .unwrap();
        build(&mut params);
        let key = rcgen::KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Certificate::read(&der).unwrap()
    }

    #[test]
    fn reads_names_times_and_issuer() {
        let certificate = made(|params| {
            params.not_before = rcgen::date_time_ymd(2025, 2, 28);
            params.not_after = rcgen::date_time_ymd(2061, 12, 31);
            params.distinguished_name = rcgen::DistinguishedName::new();
            params
                .distinguished_name
                .push(rcgen::DnType::OrganizationName, "Let's Encrypt");
            params
                .distinguished_name
                .push(rcgen::DnType::CommonName, "R11\u{1b}[2J");
        });
        assert_eq!(
            certificate.names,
            [
                "app.example.org",
                "*.apps.example.org",
                "192.0.2.7",
                "2001:db8::7"
            ]
        );
        assert_eq!(certificate.issuer, "R11[2J (Let's Encrypt)");
        assert_eq!(certificate.subject, certificate.issuer);
        assert!(certificate.self_signed);
        // One is written with two digits of the year, the other with four.
        assert_eq!(certificate.not_before.to_string(), "2025-02-28T00:00:00Z");
        assert_eq!(certificate.not_after.to_string(), "2061-12-31T00:00:00Z");
    }

    #[test]
    fn one_without_an_end_ends_late() {
        let certificate = made(|params| params.not_after = rcgen::date_time_ymd(9999, 12, 31));
        assert_eq!(
            certificate.not_after.to_string(),
            Timestamp::MAX.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
        );
    }

    #[test]
    fn one_that_somebody_else_signed_says_who() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
        authority
            .distinguished_name
            .push(rcgen::DnType::CommonName, "the authority");
        let issuer = rcgen::Issuer::new(authority, key);
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let leaf = params
            .signed_by(&rcgen::KeyPair::generate().unwrap(), &issuer)
            .unwrap();
        let certificate = Certificate::read(leaf.der()).unwrap();
        assert_eq!(certificate.issuer, "the authority");
        assert_eq!(
            (certificate.subject.as_str(), certificate.self_signed),
            ("", false)
        );
        assert!(certificate.names.is_empty());
    }

    #[test]
    fn a_wildcard_is_one_label() {
        let certificate = made(|_| {});
        for host in [
            "app.example.org",
            "APP.example.org.",
            "a.apps.example.org",
            "192.0.2.7",
            "[2001:db8:0::7]",
        ] {
            assert!(certificate.covers(host), "{host}");
        }
        for host in [
            "example.org",
            "apps.example.org",
            ".apps.example.org",
            "a.b.apps.example.org",
            "192.0.2.8",
            "app.example.org.evil.org",
        ] {
            assert!(!certificate.covers(host), "{host}");
        }
    }

    /// Whatever a server sends in place of a certificate is refused or read, never a panic or a loop.
    #[test]
    fn survives_what_is_no_certificate() {
        let whole = made(|_| {}).der;
        for end in 0..whole.len() {
            assert_eq!(Certificate::read(&whole[..end]), None, "cut at {end}");
        }
        for position in 0..whole.len() {
            for byte in [0, 0x30, 0x7f, 0x80, 0x84, 0xff] {
                let mut broken = whole.clone();
                broken[position] = byte;
                let _ = Certificate::read(&broken);
            }
        }
        assert_eq!(Certificate::read(b""), None);
        assert_eq!(
            Certificate::read(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]),
            None
        );
    }
}
