//! A login to `PostgreSQL` without a password ("Frontend/Backend Protocol, Message Flow, Start-up" of its manual).
//!
//! The low-level crate, not tokio-postgres: what matters is that the server says `AuthenticationOk`, also where it then
//! refuses for another reason (the role or the database does not exist, no connection is left), and there the client
//! library tells the refusal alone; that a password was asked for, it tells in a text only.

use bytes::BytesMut;
use postgres_protocol::message::backend::{ErrorResponseBody, Message};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{NotKnown, Trust, read};

/// The superuser that `initdb` makes unless it is told another.
pub(super) const ADMINISTRATOR: &str = "postgres";

/// The database that is nearly always there. Not `template1`: nobody can make a database while somebody is in that one.
pub(super) const DATABASE: &str = "postgres";

/// Most messages of a start-up: a server of version 18 sends twenty.
const MESSAGES: usize = 100;

/// SQLSTATE `invalid_authorization_specification`: no line of `pg_hba.conf` lets in (before `AuthenticationOk`), or the role
/// does not exist (after it).
const NO_SUCH_LOGIN: &str = "28000";

/// SQLSTATE `invalid_password`, which poolers say without having asked.
const WRONG_PASSWORD: &str = "28P01";

/// Logs in as `user` to `database`, and out again. No password is ever sent: where one is asked for, the connection ends.
///
/// The connection is without TLS. Where `pg_hba.conf` has only `hostssl` lines for it, that is [`NotKnown::WantsTls`]: one of
/// them could trust.
pub(super) async fn login(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    user: &str,
    database: &str,
) -> Result<Trust, NotKnown> {
    let mut out = BytesMut::new();
    frontend::startup_message([("user", user), ("database", database)], &mut out)?;
    stream.write_all(&out).await?;
    let (mut is_in, mut is_administrator) = (false, false);
    for _ in 0..MESSAGES {
        match message(&mut stream).await? {
            Message::AuthenticationOk => is_in = true,
            Message::AuthenticationCleartextPassword
            | Message::AuthenticationMd5Password(_)
            | Message::AuthenticationSasl(_)
            | Message::AuthenticationGss
            | Message::AuthenticationSspi
            | Message::AuthenticationKerberosV5
            | Message::AuthenticationScmCredential
                if !is_in =>
            {
                return Ok(Trust::asks(Some(user)));
            }
            Message::ErrorResponse(error) => return refused(&error, user, is_in),
            Message::ParameterStatus(parameter) if is_in => {
                if parameter.name()? == "is_superuser" {
                    is_administrator = parameter.value()? == "on";
                }
            }
            Message::ReadyForQuery(_) if is_in => {
                out.clear();
                frontend::terminate(&mut out);
                // It was let in, whether or not the farewell arrives.
                let _ = stream.write_all(&out).await;
                return Ok(Trust::lets_in(Some(user), is_administrator));
            }
            Message::NoticeResponse(_) => {}
            Message::BackendKeyData(_) if is_in => {}
            _ => return Err(NotKnown::NotUnderstood),
        }
    }
    Err(NotKnown::NotUnderstood)
}

/// What an error means, before and after the server has said that it asks for nothing.
fn refused(error: &ErrorResponseBody, user: &str, is_in: bool) -> Result<Trust, NotKnown> {
    let (code, words) = (field(error, b'C')?, field(error, b'M')?);
    match code.as_str() {
        // Only the name was wrong.
        NO_SUCH_LOGIN if is_in => Ok(Trust::lets_in(None, false)),
        _ if is_in => Ok(Trust::lets_in(Some(user), false)),
        NO_SUCH_LOGIN => Err(NotKnown::WantsTls),
        WRONG_PASSWORD => Ok(Trust::asks(Some(user))),
        _ => Err(NotKnown::Said(words)),
    }
}

/// A field of an error, by its letter ("Error and Notice Message Fields").
fn field(error: &ErrorResponseBody, letter: u8) -> Result<String, NotKnown> {
    use fallible_iterator::FallibleIterator;
    let found = error.fields().find(|field| Ok(field.type_() == letter))?;
    Ok(found.map_or_else(String::new, |field| {
        String::from_utf8_lossy(field.value_bytes()).into_owned()
    }))
}

/// The next message: its kind, its length with itself in four bytes, and the rest.
async fn message(stream: &mut (impl AsyncRead + Unpin)) -> Result<Message, NotKnown> {
    let mut head = [0; 5];
    stream.read_exact(&mut head).await?;
    let [_, length @ ..] = head;
    let rest = u32::from_be_bytes(length)
        .checked_sub(4)
        .and_then(|length| usize::try_from(length).ok())
        .ok_or(NotKnown::NotUnderstood)?;
    let mut whole = BytesMut::from(&head[..]);
    whole.extend(read(stream, rest).await?);
    Message::parse(&mut whole)?.ok_or(NotKnown::NotUnderstood)
}

#[cfg(test)]
mod tests {
    use super::super::scripted::Step::{Hears, Says};
    use super::super::scripted::{Step, against, survives};
    use super::*;

    /// Said by PostgreSQL 15.18 of Debian.
    const SUPERUSER: &[u8] = b"R\x00\x00\x00\x08\x00\x00\x00\x00S\x00\x00\x00\x16application_name\x00\x00S\x00\x00\x00\x19client_encoding\x00UTF8\x00S\x00\x00\x00\x17DateStyle\x00ISO, MDY\x00S\x00\x00\x00&default_transaction_read_only\x00off\x00S\x00\x00\x00\x17in_hot_standby\x00off\x00S\x00\x00\x00\x19integer_datetimes\x00on\x00S\x00\x00\x00\x1bIntervalStyle\x00postgres\x00S\x00\x00\x00\x14is_superuser\x00on\x00S\x00\x00\x00\x19server_encoding\x00UTF8\x00S\x00\x00\x002server_version\x0015.18 (Debian 15.18-0+deb12u1)\x00S\x00\x00\x00\x1fsession_authorization\x00shop\x00S\x00\x00\x00#standard_conforming_strings\x00on\x00S\x00\x00\x00\x15TimeZone\x00Etc/UTC\x00K\x00\x00\x00\x0c\x00\x00yk\x85*8%Z\x00\x00\x00\x05I";
    const LIMITED: &[u8] = b"R\x00\x00\x00\x08\x00\x00\x00\x00S\x00\x00\x00\x15is_superuser\x00off\x00K\x00\x00\x00\x0c\x00\x00yk\x85*8%Z\x00\x00\x00\x05I";
    const NO_DATABASE: &[u8] = b"R\x00\x00\x00\x08\x00\x00\x00\x00E\x00\x00\x00YSFATAL\x00VFATAL\x00C3D000\x00Mdatabase \"shop\" does not exist\x00Fpostinit.c\x00L948\x00RInitPostgres\x00\x00";
    const NO_ROLE: &[u8] = b"R\x00\x00\x00\x08\x00\x00\x00\x00E\x00\x00\x00dSFATAL\x00VFATAL\x00C28000\x00Mrole \"postgres\" does not exist\x00Fmiscinit.c\x00L768\x00RInitializeSessionUserId\x00\x00";
    const SCRAM: &[u8] = b"R\x00\x00\x00\x17\x00\x00\x00\nSCRAM-SHA-256\x00\x00";
    const HOSTSSL: &[u8] = b"E\x00\x00\x00\x95SFATAL\x00VFATAL\x00C28000\x00Mno pg_hba.conf entry for host \"127.0.0.1\", user \"shop\", database \"shop\", no encryption\x00Fauth.c\x00L544\x00RClientAuthentication\x00\x00";

    async fn says(answer: &[u8]) -> (Result<Trust, NotKnown>, Vec<u8>) {
        let steps: [Step<'_>; 2] = [Hears, Says(answer)];
        against(&steps, |stream| login(stream, "shop", "postgres")).await
    }

    const START: &[u8] =
        b"\x00\x00\x00%\x00\x03\x00\x00user\x00shop\x00database\x00postgres\x00\x00";

    #[tokio::test]
    async fn trusts_a_superuser_or_another() {
        for (answer, is_administrator) in [(SUPERUSER, true), (LIMITED, false)] {
            let (said, heard) = says(answer).await;
            assert_eq!(said, Ok(Trust::lets_in(Some("shop"), is_administrator)));
            assert_eq!(heard, [START, b"X\x00\x00\x00\x04"].concat());
        }
    }

    /// The server has asked for nothing, and then something else was wrong.
    #[tokio::test]
    async fn trusts_who_names_no_database_or_no_role() {
        assert_eq!(
            says(NO_DATABASE).await.0,
            Ok(Trust::lets_in(Some("shop"), false))
        );
        assert_eq!(says(NO_ROLE).await.0, Ok(Trust::lets_in(None, false)));
    }

    #[tokio::test]
    async fn asks_for_a_password_and_gets_none() {
        for answer in [
            SCRAM,
            // In clear, by MD5, by GSSAPI.
            b"R\x00\x00\x00\x08\x00\x00\x00\x03",
            b"R\x00\x00\x00\x0c\x00\x00\x00\x05\x01\x02\x03\x04",
            b"R\x00\x00\x00\x08\x00\x00\x00\x07",
            // A pooler that knows better.
            b"E\x00\x00\x00\x17SFATAL\x00C28P01\x00Mno\x00\x00",
        ] {
            let (said, heard) = says(answer).await;
            assert_eq!(said, Ok(Trust::asks(Some("shop"))), "{answer:?}");
            assert_eq!(heard, START);
        }
    }

    #[tokio::test]
    async fn what_is_no_login_is_not_known() {
        assert_eq!(says(HOSTSSL).await.0, Err(NotKnown::WantsTls));
        let starting =
            b"E\x00\x00\x007SFATAL\x00C57P03\x00Mthe database system is starting up\x00\x00";
        let words = "the database system is starting up".to_owned();
        assert_eq!(says(starting).await.0, Err(NotKnown::Said(words)));
        // Lengths that nobody means, and rights before the login.
        for answer in [
            &b"R\x00\x00\x00\x03"[..],
            b"R\xff\xff\xff\xff",
            b"R\x7f\xff\xff\xff\x00\x00\x00\x00",
            b"S\x00\x00\x00\x14is_superuser\x00on\x00Z\x00\x00\x00\x05I",
            b"Z\x00\x00\x00\x05I",
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
        ] {
            assert_eq!(
                says(answer).await.0,
                Err(NotKnown::NotUnderstood),
                "{answer:?}"
            );
        }
        let chatter = b"N\x00\x00\x00\x05\x00".repeat(1000);
        assert_eq!(says(&chatter).await.0, Err(NotKnown::NotUnderstood));
        assert_eq!(says(b"").await.0, Err(NotKnown::Closed));
        let (said, heard) = against(&[Says(SUPERUSER)], |stream| login(stream, "a\0b", "c")).await;
        assert_eq!((said, heard.len()), (Err(NotKnown::NotUnderstood), 0));
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_comes_it_does_not_panic() {
        for real in [SUPERUSER, NO_ROLE, SCRAM] {
            survives(&[real], |stream| login(stream, "shop", "postgres")).await;
        }
    }
}
