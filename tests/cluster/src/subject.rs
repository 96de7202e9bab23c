//! The subject of a certificate with any number of organizations, which Kubernetes reads as groups: rcgen keeps only one value of a kind,
//! so the subject is written here, put in its place in the DER, and the whole is signed again.

use rcgen::{KeyPair, SigningKey as _};

use crate::error::{Context as _, Error, Result};

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const BIT_STRING: u8 = 0x03;

/// 2.5.4.3 and 2.5.4.10, encoded.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];

/// What a subject stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Document {
    /// A certificate (RFC 5280, section 4.1).
    Certificate,
    /// A certificate request (RFC 2986, section 4).
    Request,
}

impl Document {
    /// Which element of the signed part the subject is: after version, serial, algorithm, issuer and validity; or after the version.
    fn subject_index(self) -> usize {
        match self {
            Self::Certificate => 5,
            Self::Request => 1,
        }
    }
}

/// A common name and organizations as a distinguished name.
pub(crate) fn encode(common_name: &str, organizations: &[&str]) -> Vec<u8> {
    let part = |kind: &[u8], value: &str| {
        let pair = [
            element(OBJECT_IDENTIFIER, kind),
            element(UTF8_STRING, value.as_bytes()),
        ]
        .concat();
        element(SET, &element(SEQUENCE, &pair))
    };
    let mut parts: Vec<u8> = organizations
        .iter()
        .flat_map(|organization| part(ORGANIZATION, organization))
        .collect();
    parts.extend(part(COMMON_NAME, common_name));
    element(SEQUENCE, &parts)
}

/// The same document with another subject, signed by `key`.
pub(crate) fn replace(
    document: Document,
    der: &[u8],
    subject: &[u8],
    key: &KeyPair,
) -> Result<Vec<u8>> {
    let outer = children(der)?;
    let [signed, algorithm, _signature] = outer[..] else {
        return Err(malformed());
    };
    let mut inner = children(signed)?;
    *inner
        .get_mut(document.subject_index())
        .ok_or_else(malformed)? = subject;
    let signed = element(SEQUENCE, &inner.concat());
    let mut signature = vec![0];
    signature.extend(
        key.sign(&signed)
            .context("the certificate cannot be signed")?,
    );
    Ok(element(
        SEQUENCE,
        &[&signed, algorithm, &element(BIT_STRING, &signature)].concat(),
    ))
}

fn malformed() -> Error {
    Error::new("the certificate is not built as expected")
}

/// A tag, a length and a content.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut der = vec![tag];
    let length = content.len().to_be_bytes();
    let digits = &length[length.iter().take_while(|&&byte| byte == 0).count()..];
    match digits {
        [] => der.push(0),
        [short @ 0..=0x7f] => der.push(*short),
        long => {
            der.push(0x80 | u8::try_from(long.len()).unwrap_or(u8::MAX));
            der.extend(long);
        }
    }
    der.extend(content);
    der
}

/// The elements inside an element, each with its tag and length.
fn children(der: &[u8]) -> Result<Vec<&[u8]>> {
    let (start, end) = extent(der).ok_or_else(malformed)?;
    let mut rest = der.get(start..end).ok_or_else(malformed)?;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (_, end) = extent(rest).ok_or_else(malformed)?;
        if end > rest.len() {
            return Err(malformed());
        }
        let (first, after) = rest.split_at(end);
        found.push(first);
        rest = after;
    }
    Ok(found)
}

/// Where the content of the first element begins and ends.
fn extent(der: &[u8]) -> Option<(usize, usize)> {
    let first = usize::from(*der.get(1)?);
    if first < 0x80 {
        return Some((2, 2 + first));
    }
    let digits = first & 0x7f;
    if digits > 4 {
        return None;
    }
    let length = der
        .get(2..2 + digits)?
        .iter()
        .fold(0, |length, &byte| length << 8 | usize::from(byte));
    Some((2 + digits, 2 + digits + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_as_many_bytes_as_they_need() {
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let der = element(SEQUENCE, &vec![0; length]);
            let (start, end) = extent(&der).unwrap();
            assert_eq!((end - start, end), (length, der.len()));
        }
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let key = KeyPair::generate().unwrap();
        for wrong in [
            &[][..],
            &[0x30],
            &[0x30, 0x05, 0x01],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[0x30, 0x02, 0x30, 0x7f],
        ] {
            assert!(
                replace(Document::Certificate, wrong, &encode("a", &[]), &key).is_err(),
                "{wrong:x?}"
            );
        }
    }
}
