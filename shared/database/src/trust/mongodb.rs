//! A `MongoDB` without authentication: a command that needs a right, from a connection that did not log in
//! ("`MongoDB` Wire Protocol", `OP_MSG`, since 3.6; BSON 1.1, bsonspec.org).
//!
//! The bytes are written and read here: one command and two numbers of its answer, for which the crate `bson` would bring
//! a dozen others.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{NotKnown, Trust, read};

/// The opcode of `OP_MSG`.
const OP_MSG: i32 = 2013;

/// Error codes of who has not logged in: `Unauthorized`, `AuthenticationFailed`.
const NOT_LOGGED_IN: [i64; 2] = [13, 18];

/// Asks which databases there are, one of them by its name so that the answer is short.
pub(super) async fn login(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
) -> Result<Trust, NotKnown> {
    stream.write_all(&question()).await?;
    let mut head = [0; 16];
    stream.read_exact(&mut head).await?;
    let [l0, l1, l2, l3, _, _, _, _, _, _, _, _, o0, o1, o2, o3] = head;
    let rest = i32::from_le_bytes([l0, l1, l2, l3])
        .checked_sub(16)
        .and_then(|rest| usize::try_from(rest).ok())
        .filter(|_| i32::from_le_bytes([o0, o1, o2, o3]) == OP_MSG)
        .ok_or(NotKnown::NotUnderstood)?;
    let body = read(&mut stream, rest).await?;
    // Flags of four bytes, then a section of kind 0: the document.
    let Some([0, document @ ..]) = body.get(4..) else {
        return Err(NotKnown::NotUnderstood);
    };
    let number = |name| number(document, name);
    match (number("ok"), number("code")) {
        // Without authentication everybody has every right.
        (Some(1), _) => Ok(Trust::lets_in(None, true)),
        (Some(0), Some(code)) if NOT_LOGGED_IN.contains(&code) => Ok(Trust::asks(None)),
        (Some(0), Some(code)) => Err(NotKnown::Said(format!("error {code}"))),
        _ => Err(NotKnown::NotUnderstood),
    }
}

/// `{listDatabases: 1, nameOnly: true, filter: {name: "admin"}, $readPreference: {mode: "secondaryPreferred"}, $db: "admin"}`
/// as a message. A member of a replica set that is not its first answers only who prefers it.
fn question() -> Vec<u8> {
    let element =
        |kind: u8, name: &str, value: &[u8]| [&[kind][..], name.as_bytes(), &[0], value].concat();
    let text = |name, text: &str| {
        let value = [&length(text.len() + 1)[..], text.as_bytes(), &[0]].concat();
        element(2, name, &value)
    };
    let command = document(&[
        element(0x10, "listDatabases", &1_i32.to_le_bytes()),
        element(8, "nameOnly", &[1]),
        element(3, "filter", &document(&[text("name", "admin")])),
        element(
            3,
            "$readPreference",
            &document(&[text("mode", "secondaryPreferred")]),
        ),
        text("$db", "admin"),
    ]);
    let body = [&[0; 5][..], &command].concat();
    let head = [
        length(16 + body.len()),
        1_i32.to_le_bytes(),
        0_i32.to_le_bytes(),
        OP_MSG.to_le_bytes(),
    ];
    [head.concat(), body].concat()
}

fn document(elements: &[Vec<u8>]) -> Vec<u8> {
    let elements = elements.concat();
    [&length(elements.len() + 5)[..], &elements, &[0]].concat()
}

fn length(bytes: usize) -> [u8; 4] {
    i32::try_from(bytes).unwrap_or(i32::MAX).to_le_bytes()
}

/// The number that an element of a document has, by its name.
fn number(document: &[u8], wanted: &str) -> Option<i64> {
    let mut rest = document.get(4..)?;
    while let [kind, after @ ..] = rest {
        let end = after.iter().position(|byte| *byte == 0)?;
        let (name, value) = (&after[..end], &after[end + 1..]);
        let size = size(*kind, value)?;
        let (value, next) = (value.get(..size)?, value.get(size..)?);
        if name == wanted.as_bytes() {
            return match *kind {
                1 => yes_or_no(value),
                8 => Some(i64::from(*value.first()?)),
                0x10 => Some(i32::from_le_bytes(value.try_into().ok()?).into()),
                0x12 => Some(i64::from_le_bytes(value.try_into().ok()?)),
                _ => None,
            };
        }
        rest = next;
    }
    None
}

/// The two doubles that an answer has: `ok` is one or the other.
fn yes_or_no(bytes: &[u8]) -> Option<i64> {
    [0, 1]
        .into_iter()
        .find(|number| f64::from(*number).to_le_bytes() == bytes)
        .map(i64::from)
}

/// How many bytes the value of an element has, by its type; nothing for types that no answer has (deprecated ones, code).
fn size(kind: u8, value: &[u8]) -> Option<usize> {
    let length = || {
        let bytes = value.first_chunk::<4>()?;
        usize::try_from(i32::from_le_bytes(*bytes)).ok()
    };
    match kind {
        // Double, date, timestamp, 64 bits.
        1 | 9 | 0x11 | 0x12 => Some(8),
        // A string, whose length does not count its own bytes.
        2 => length()?.checked_add(4),
        // A document, an array: theirs does.
        3 | 4 => length().filter(|length| *length >= 5),
        // Bytes of some kind, named by one byte more.
        5 => length()?.checked_add(5),
        7 => Some(12),
        8 => Some(1),
        0x0a => Some(0),
        0x10 => Some(4),
        0x13 => Some(16),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::scripted::Step::{Hears, Says};
    use super::super::scripted::{against, survives};
    use super::*;

    /// Documents as `PyMongo` 4.20 writes them: the answer of a server without authentication, alone and as one of a replica set;
    /// of one with; of a member that has not said what it is.
    const ALONE: &[u8] = b"9\x00\x00\x00\x04databases\x00\x1d\x00\x00\x00\x030\x00\x15\x00\x00\x00\x02name\x00\x06\x00\x00\x00admin\x00\x00\x00\x01ok\x00\x00\x00\x00\x00\x00\x00\xf0?\x00";
    const ONE_OF_MANY: &[u8] = b"\xb6\x00\x00\x00\x04databases\x00\x1d\x00\x00\x00\x030\x00\x15\x00\x00\x00\x02name\x00\x06\x00\x00\x00admin\x00\x00\x00\x03$clusterTime\x00X\x00\x00\x00\x11clusterTime\x00\x02\x00\x00\x00\x01\x00\x00\x00\x03signature\x003\x00\x00\x00\x05hash\x00\x14\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x12keyId\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x11operationTime\x00\x02\x00\x00\x00\x01\x00\x00\x00\x01ok\x00\x00\x00\x00\x00\x00\x00\xf0?\x00";
    const DENIED: &[u8] = b"p\x00\x00\x00\x01ok\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02errmsg\x00.\x00\x00\x00Command listDatabases requires authentication\x00\x10code\x00\r\x00\x00\x00\x02codeName\x00\r\x00\x00\x00Unauthorized\x00\x00";
    const NOT_PRIMARY: &[u8] = b"\x14\x01\x00\x00\x03topologyVersion\x00-\x00\x00\x00\x07processId\x00\x01#Eg\x89\xab\x01#Eg\x89\xab\x12counter\x00\x06\x00\x00\x00\x00\x00\x00\x00\x00\x01ok\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02errmsg\x00\x0c\x00\x00\x00not primary\x00\x10code\x00{4\x00\x00\x02codeName\x00\x18\x00\x00\x00NotPrimaryNoSecondaryOk\x00\x03$clusterTime\x00X\x00\x00\x00\x11clusterTime\x00\x02\x00\x00\x00\x01\x00\x00\x00\x03signature\x003\x00\x00\x00\x05hash\x00\x14\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x12keyId\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x11operationTime\x00\x02\x00\x00\x00\x01\x00\x00\x00\x00";

    /// A server's message with this document.
    fn message(document: &[u8]) -> Vec<u8> {
        let mut message = length(21 + document.len()).to_vec();
        message.extend([7, 0, 0, 0, 1, 0, 0, 0, 0xdd, 7, 0, 0, 0, 0, 0, 0, 0]);
        message.extend(document);
        message
    }

    #[test]
    fn the_question_is_what_a_driver_writes() {
        let document = b"\x82\x00\x00\x00\x10listDatabases\x00\x01\x00\x00\x00\x08nameOnly\x00\x01\x03filter\x00\x15\x00\x00\x00\x02name\x00\x06\x00\x00\x00admin\x00\x00\x03$readPreference\x00\"\x00\x00\x00\x02mode\x00\x13\x00\x00\x00secondaryPreferred\x00\x00\x02$db\x00\x06\x00\x00\x00admin\x00\x00";
        let head =
            b"\x97\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\xdd\x07\x00\x00\x00\x00\x00\x00\x00";
        assert_eq!(question(), [&head[..], document].concat());
    }

    #[tokio::test]
    async fn lets_in_or_asks_or_says_why_not() {
        for (document, expected) in [
            (ALONE, Ok(Trust::lets_in(None, true))),
            (ONE_OF_MANY, Ok(Trust::lets_in(None, true))),
            (DENIED, Ok(Trust::asks(None))),
            (NOT_PRIMARY, Err(NotKnown::Said("error 13435".into()))),
            (b"\x05\x00\x00\x00\x00", Err(NotKnown::NotUnderstood)),
        ] {
            let message = message(document);
            let (said, heard) = against(&[Hears, Says(&message)], login).await;
            assert_eq!(said, expected);
            assert_eq!(heard, question(), "and nothing else");
        }
    }

    #[tokio::test]
    async fn what_is_no_answer_is_not_known() {
        let endless = [&[0xff, 0xff, 0xff, 0x7f][..], &message(ALONE)[4..]].concat();
        let negative = [&[0, 0, 0, 0x80][..], &message(ALONE)[4..]].concat();
        for answer in [&endless[..], &negative, b"HTTP/1.0 200 OK\r\n\r\n"] {
            let (said, _) = against(&[Says(answer)], login).await;
            assert_eq!(said, Err(NotKnown::NotUnderstood));
        }
        let (said, _) = against(&[], login).await;
        assert_eq!(said, Err(NotKnown::Closed));
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_comes_it_does_not_panic() {
        survives(&[&message(ONE_OF_MANY)], login).await;
        survives(&[&message(DENIED)], login).await;
    }
}
