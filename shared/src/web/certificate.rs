//! The few fields of a certificate that a person wants to know.
//!
//! Whether a certificate may be trusted is decided by rustls; this only reads what it says, so that it can be said why not. A
//! whole X.509 parser would be a thirtieth of a plugin for that.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;
use jiff::civil::date;
use jiff::tz::Offset;

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
    /// Its public key, as `SubjectPublicKeyInfo` without the header.
    pub public_key: Vec<u8>,
    /// The certificate itself.
    pub der: Vec<u8>,
}

impl Certificate {
    /// Reads a certificate (RFC 5280); nothing if it is none.
    pub fn read(der: &[u8]) -> Option<Self> {
        let mut fields = Der(Der(Der(der).expect(SEQUENCE)?).expect(SEQUENCE)?);
        let _version = fields.optional(VERSION);
        let _serial = fields.expect(INTEGER)?;
        let _signature = fields.expect(SEQUENCE)?;
        let issuer = fields.expect(SEQUENCE)?;
        let mut validity = Der(fields.expect(SEQUENCE)?);
        let (not_before, not_after) = (validity.time()?, validity.time()?);
        let subject = fields.expect(SEQUENCE)?;
        let key = fields.expect(SEQUENCE)?;
        let _ids = (fields.optional(ISSUER_ID), fields.optional(SUBJECT_ID));
        let names = match fields.optional(EXTENSIONS) {
            Some(extensions) => names(Der(Der(extensions).expect(SEQUENCE)?))?,
            None => Vec::new(),
        };
        Some(Self {
            names,
            subject: person(subject),
            issuer: person(issuer),
            not_before,
            not_after,
            self_signed: issuer == subject,
            public_key: key.to_vec(),
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

const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OID: u8 = 0x06;
const BOOLEAN: u8 = 0x01;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0]` to `[3]` of `TBSCertificate`.
const VERSION: u8 = 0xa0;
const ISSUER_ID: u8 = 0x81;
const SUBJECT_ID: u8 = 0x82;
const EXTENSIONS: u8 = 0xa3;
/// Two of the choices in `GeneralName`.
const DNS_NAME: u8 = 0x82;
const ADDRESS: u8 = 0x87;

/// id-ce-subjectAltName, 2.5.29.17.
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
/// id-at-commonName, 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// id-at-organizationName, 2.5.4.10.
const ORGANISATION: &[u8] = &[0x55, 0x04, 0x0a];

/// Values of DER (X.690) that have not been read yet.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The tag and the content of the next value.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let length = if first < 0x80 {
            usize::from(first)
        } else {
            // A certificate in a TLS message is shorter than 2^24 bytes.
            let (bytes, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
            if bytes.is_empty() || bytes.len() > 3 {
                return None;
            }
            rest = after;
            bytes
                .iter()
                .fold(0, |length, byte| length << 8 | usize::from(*byte))
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next()
            .filter(|(found, _)| *found == tag)
            .map(|(_, content)| content)
    }

    fn optional(&mut self, tag: u8) -> Option<&'a [u8]> {
        if self.0.first() == Some(&tag) {
            self.expect(tag)
        } else {
            None
        }
    }

    /// A `Time`: two digits of the year until 2049, four from then on; always UTC, always with seconds.
    fn time(&mut self) -> Option<Timestamp> {
        let (tag, content) = self.next()?;
        let digits = content.strip_suffix(b"Z")?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let number = |from: usize, to: usize| {
            digits.get(from..to).map(|digits| {
                digits
                    .iter()
                    .fold(0_i16, |number, digit| number * 10 + i16::from(digit - b'0'))
            })
        };
        let small = |from| number(from, from + 2).and_then(|number| i8::try_from(number).ok());
        let (year, at) = match tag {
            UTC_TIME if digits.len() == 12 => {
                let year = number(0, 2)?;
                (year + if year < 50 { 2000 } else { 1900 }, 2)
            }
            GENERALIZED_TIME if digits.len() == 14 => (number(0, 4)?, 4),
            _ => return None,
        };
        // Checked by hand: the constructor panics on a date that does not exist.
        let day = jiff::civil::Date::new(year, small(at)?, small(at + 2)?).ok()?;
        let time =
            jiff::civil::Time::new(small(at + 4)?, small(at + 6)?, small(at + 8)?, 0).ok()?;
        // "No well-defined end" (RFC 5280, 4.1.2.5) is the last second of year 9999, which jiff's calendar has, but not its time line.
        let latest = date(9999, 12, 30);
        let moment = if day > latest {
            latest.to_datetime(time)
        } else {
            day.to_datetime(time)
        };
        Offset::UTC.to_timestamp(moment).ok()
    }
}

/// The alternative names among the extensions; nothing if they cannot be read.
fn names(mut extensions: Der) -> Option<Vec<String>> {
    let mut names = Vec::new();
    while !extensions.0.is_empty() {
        let mut extension = Der(extensions.expect(SEQUENCE)?);
        if extension.expect(OID)? != ALTERNATIVE_NAMES {
            continue;
        }
        let _critical = extension.optional(BOOLEAN);
        let mut list = Der(Der(extension.expect(OCTETS)?).expect(SEQUENCE)?);
        while let Some((tag, content)) = list.next() {
            match tag {
                DNS_NAME => names.push(text(content)),
                ADDRESS => names.extend(address(content).map(|address| address.to_string())),
                _ => {}
            }
        }
    }
    Some(names)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(four).into());
    }
    let sixteen = <[u8; 16]>::try_from(bytes).ok()?;
    Some(Ipv6Addr::from(sixteen).into())
}

/// A distinguished name in short: its common name, with the organisation if that says more.
fn person(name: &[u8]) -> String {
    let (mut common, mut organisation) = (None, None);
    let mut parts = Der(name);
    while let Some(part) = parts.expect(SET) {
        let mut pairs = Der(part);
        while let Some(pair) = pairs.expect(SEQUENCE) {
            let mut pair = Der(pair);
            let (kind, value) = (pair.expect(OID), pair.next());
            let value = value.map(|(tag, content)| string(tag, content));
            match kind {
                Some(COMMON_NAME) => common = value.or(common),
                Some(ORGANISATION) => organisation = value.or(organisation),
                _ => {}
            }
        }
    }
    match (common, organisation) {
        (Some(common), Some(organisation)) if !common.contains(&organisation) => {
            format!("{common} ({organisation})")
        }
        (Some(name), _) | (None, Some(name)) => name,
        (None, None) => String::new(),
    }
}

/// A string of any of ASN.1's kinds: two bytes a character in a `BMPString`, else UTF-8 or what is a part of it.
fn string(tag: u8, content: &[u8]) -> String {
    const BMP_STRING: u8 = 0x1e;
    if tag == BMP_STRING {
        let units = content
            .chunks_exact(2)
            .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
        let text: String = char::decode_utf16(units)
            .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect();
        return printable::short(&text, 100);
    }
    text(content)
}

fn text(content: &[u8]) -> String {
    printable::short(&String::from_utf8_lossy(content), 260)
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
        assert_eq!(certificate.not_after.to_string(), "9999-12-30T00:00:00Z");
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
