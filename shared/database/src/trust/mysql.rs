//! A login to `MySQL` or `MariaDB` without a password ("Connection Phase" and "Text Protocol" of `MySQL`'s internals manual,
//! "Clients & Utilities, Client/Server Protocol" of `MariaDB`'s).
//!
//! Own bytes: `mysql_common` has the protocol and with it numbers, dates, compression and a regular expression engine, and
//! `mysql_async` opens its own sockets.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{NotKnown, Trust, read};

/// The user that every server has, unless somebody has taken it away.
pub(super) const ADMINISTRATOR: &str = "root";

/// What we can do (`CLIENT_...`): long password, protocol 4.1, transactions, authentication of 4.1.
const CAPABILITIES: u32 = 0x1 | 0x200 | 0x2000 | 0x8000;

/// `CLIENT_PLUGIN_AUTH`: the way of proving a password has a name, and may be changed by the server.
const PLUGIN_AUTH: u32 = 0x8_0000;

/// The way that every server knows.
const NATIVE: &str = "mysql_native_password";

/// How often a server may change the way: once is what servers do.
const CHANGES: usize = 3;

/// Most packets that are read of an answer: an account has some lines of grants.
const PACKETS: usize = 64;

/// Errors of who has no password, or a locked account: `ER_ACCESS_DENIED_ERROR`, `ER_ACCESS_DENIED_NO_PASSWORD_ERROR`,
/// `ER_ACCOUNT_HAS_BEEN_LOCKED` (`MySQL` and `MariaDB`).
const DENIED: [u16; 4] = [1045, 1698, 3118, 4151];

/// `ER_SECURE_TRANSPORT_REQUIRED`.
const WANTS_TLS: u16 = 3159;

/// `ER_MUST_CHANGE_PASSWORD_LOGIN`: said to who has proven to be the user.
const EXPIRED: u16 = 1862;

/// A packet's payload, and its number in the exchange, which the answer to it continues.
struct Packet {
    number: u8,
    payload: Vec<u8>,
}

/// Logs in as `user` with an empty password, asks for its grants, and goes.
///
/// An account that `REQUIRE`s TLS says the same as one with a password. Where an account counts failed logins
/// (`FAILED_LOGIN_ATTEMPTS`, which somebody must have set), this is one until the next that succeeds.
pub(super) async fn login(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    user: &str,
) -> Result<Trust, NotKnown> {
    let greeting = packet(&mut stream).await?;
    if let Some((_, words)) = error(&greeting.payload) {
        return Err(NotKnown::Said(words));
    }
    let answer = response(&greeting.payload, user).ok_or(NotKnown::NotUnderstood)?;
    send(&mut stream, greeting.number.wrapping_add(1), &answer).await?;
    for _ in 0..CHANGES {
        let reply = packet(&mut stream).await?;
        match reply.payload.first() {
            Some(0) => {
                let is_administrator = has_all_rights(&mut stream).await.unwrap_or(false);
                // COM_QUIT.
                let _ = send(&mut stream, 0, &[1]).await;
                return Ok(Trust::lets_in(Some(user), is_administrator));
            }
            Some(0xff) => return refused(&reply.payload, user),
            Some(0xfe) => match empty_password(&reply.payload) {
                Some(nothing) => send(&mut stream, reply.number.wrapping_add(1), nothing).await?,
                None => return Ok(Trust::asks(Some(user))),
            },
            // More is wanted than nothing.
            Some(1) => return Ok(Trust::asks(Some(user))),
            _ => return Err(NotKnown::NotUnderstood),
        }
    }
    Err(NotKnown::NotUnderstood)
}

fn refused(payload: &[u8], user: &str) -> Result<Trust, NotKnown> {
    let (code, words) = error(payload).ok_or(NotKnown::NotUnderstood)?;
    match code {
        code if DENIED.contains(&code) => Ok(Trust::asks(Some(user))),
        EXPIRED => Ok(Trust::lets_in(Some(user), false)),
        WANTS_TLS => Err(NotKnown::WantsTls),
        _ => Err(NotKnown::Said(words)),
    }
}

/// `HandshakeResponse41` to a `HandshakeV10`, with no password; nothing to a greeting that is none.
fn response(greeting: &[u8], user: &str) -> Option<Vec<u8>> {
    let [10, rest @ ..] = greeting else {
        return None;
    };
    let version = rest.iter().position(|byte| *byte == 0)?;
    // After the version's end: thread (4), salt (8), filler (1), and the lower half of what the server can do.
    let rest = rest.get(version + 1 + 4 + 8 + 1..)?;
    let lower = u16::from_le_bytes(*rest.first_chunk()?);
    // Character set (1), status (2), the upper half.
    let upper = rest
        .get(5..)
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |bytes| u16::from_le_bytes(*bytes));
    let offered = u32::from(lower) | u32::from(upper) << 16;
    if user.contains('\0') || offered & 0x200 == 0 {
        return None;
    }
    let plugin = offered & PLUGIN_AUTH;
    let mut answer = (CAPABILITIES | plugin).to_le_bytes().to_vec();
    answer.extend(0x0100_0000_u32.to_le_bytes());
    // utf8mb4, and what is reserved.
    answer.push(45);
    answer.extend([0; 23]);
    answer.extend(user.as_bytes());
    // The end of the name, and an answer to the salt that is nothing.
    answer.extend([0, 0]);
    if plugin != 0 {
        answer.extend(NATIVE.as_bytes());
        answer.push(0);
    }
    Some(answer)
}

/// What means an empty password in the way that an `AuthSwitchRequest` names; nothing for ways that know none (a socket's
/// owner, a dialogue, a key) and for a way of the last century.
fn empty_password(request: &[u8]) -> Option<&'static [u8]> {
    let name = request.get(1..)?.split(|byte| *byte == 0).next()?;
    match name {
        b"mysql_native_password" | b"caching_sha2_password" => Some(b""),
        b"sha256_password" => Some(b"\0"),
        _ => None,
    }
}

/// Whether the grants are an administrator's.
async fn has_all_rights(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> Result<bool, NotKnown> {
    // COM_QUERY.
    send(stream, 0, b"\x03SHOW GRANTS").await?;
    let mut ends = 0;
    let mut is_administrator = false;
    for _ in 0..PACKETS {
        let payload = packet(stream).await?.payload;
        match payload.first() {
            Some(0xff) | None => return Ok(false),
            // The columns have an end, and the rows.
            Some(0xfe) if payload.len() < 9 => ends += 1,
            _ => is_administrator |= ends == 1 && is_administrators(&payload),
        }
        if ends == 2 {
            return Ok(is_administrator);
        }
    }
    Ok(is_administrator)
}

/// Whether a row is a grant of everything, or of SUPER, everywhere: `GRANT ALL PRIVILEGES ON *.* TO ...`; `MySQL` 8 lists all
/// of them by name.
fn is_administrators(row: &[u8]) -> bool {
    let row = String::from_utf8_lossy(row);
    row.split_once(" ON *.* TO ")
        .and_then(|(granted, _)| granted.split_once("GRANT "))
        .is_some_and(|(_, privileges)| {
            privileges
                .split(',')
                .any(|privilege| matches!(privilege.trim(), "ALL PRIVILEGES" | "SUPER"))
        })
}

/// The number and the words of an `ERR_Packet`; nothing if it is none.
fn error(payload: &[u8]) -> Option<(u16, String)> {
    let [0xff, low, high, words @ ..] = payload else {
        return None;
    };
    // SQLSTATE, which errors before the login do not have.
    let words = match words {
        [b'#', _, _, _, _, _, rest @ ..] => rest,
        words => words,
    };
    let words = String::from_utf8_lossy(words).into_owned();
    Some((u16::from_le_bytes([*low, *high]), words))
}

/// The next packet: its length in three bytes, its number, its payload.
async fn packet(stream: &mut (impl AsyncRead + Unpin)) -> Result<Packet, NotKnown> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let [l0, l1, l2, number] = head;
    let length = usize::from(l0) | usize::from(l1) << 8 | usize::from(l2) << 16;
    Ok(Packet {
        number,
        payload: read(stream, length).await?,
    })
}

async fn send(
    stream: &mut (impl AsyncWrite + Unpin),
    number: u8,
    payload: &[u8],
) -> Result<(), NotKnown> {
    let [l0, l1, l2, ..] = payload.len().to_le_bytes();
    let packet = [&[l0, l1, l2, number][..], payload].concat();
    Ok(stream.write_all(&packet).await?)
}

#[cfg(test)]
mod tests {
    use super::super::scripted::Step::{Hears, Says};
    use super::super::scripted::{Step, against, survives};
    use super::*;

    /// Said by `MariaDB` 10.11.19 of Debian.
    const MARIADB: &[u8] = b"d\x00\x00\x00\n5.5.5-10.11.19-MariaDB-0+deb12u1\x00\x04\x00\x00\x00!is$VduA\x00\xfe\xf7\x08\x02\x00\xff\x81\x15\x00\x00\x00\x00\x00\x00\x1d\x00\x00\x00$-S=tT&`3z2'\x00mysql_native_password\x00";
    const MARIADB_DENIED: &[u8] = b"E\x00\x00\x02\xff\x15\x04#28000Access denied for user 'pw'@'localhost' (using password: NO)";
    const MARIADB_ROOT: &[u8] = b"\x01\x00\x00\x01\x01/\x00\x00\x02\x03def\x00\x00\x00\x19Grants for root@localhost\x00\x0c-\x00\x00\x10\x00\x00\xfd\x01\x00'\x00\x00\x05\x00\x00\x03\xfe\x00\x00\x02\x00D\x00\x00\x04CGRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION>\x00\x00\x05=GRANT PROXY ON ``@`%` TO `root`@`localhost` WITH GRANT OPTION\x05\x00\x00\x06\xfe\x00\x00\x02\x00";
    const MARIADB_SUPER: &[u8] = b"\x01\x00\x00\x01\x01.\x00\x00\x02\x03def\x00\x00\x00\x18Grants for sup@localhost\x00\x0c-\x00\x00\x10\x00\x00\xfd\x01\x00'\x00\x00\x05\x00\x00\x03\xfe\x00\x00\x02\x00(\x00\x00\x04'GRANT SUPER ON *.* TO `sup`@`localhost`\x05\x00\x00\x05\xfe\x00\x00\x02\x00";
    const MARIADB_LIMITED: &[u8] = b"\x01\x00\x00\x01\x010\x00\x00\x02\x03def\x00\x00\x00\x1aGrants for dball@localhost\x00\x0c-\x00\x00\x10\x00\x00\xfd\x01\x00'\x00\x00\x05\x00\x00\x03\xfe\x00\x00\x02\x00*\x00\x00\x04)GRANT USAGE ON *.* TO `dball`@`localhost`9\x00\x00\x058GRANT ALL PRIVILEGES ON `mysql`.* TO `dball`@`localhost`\x05\x00\x00\x06\xfe\x00\x00\x02\x00";
    const MARIADB_EXPIRED: &[u8] =
        b">\x00\x00\x01\xff\x1c\x07#HY000You must SET PASSWORD before executing this statement";
    const OK: &[u8] = b"\x07\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00";

    /// As `MySQL` 8.0 does it by its manual (`Protocol::HandshakeV10`, `Protocol::AuthSwitchRequest`).
    const MYSQL: &[u8] = b"\x4a\x00\x00\x00\x0a8.0.21\x00\x0b\x00\x00\x00\x1a\x43\x18\x6b\x69\x60\x2c\x16\x00\xff\xff\xff\x02\x00\xff\xcf\x15\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x6d\x2a\x32\x73\x77\x1e\x5c\x5d\x2a\x26\x52\x0a\x00caching_sha2_password\x00";
    const SWITCH: &[u8] = b"\x2c\x00\x00\x02\xfecaching_sha2_password\x00\x1a\x43\x18\x6b\x69\x60\x2c\x16\x6d\x2a\x32\x73\x77\x1e\x5c\x5d\x2a\x26\x52\x0a\x00";

    fn packet(number: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).expect("a short packet");
        [&[length, 0, 0, number][..], payload].concat()
    }

    async fn says(steps: &[Step<'_>], user: &'static str) -> (Result<Trust, NotKnown>, Vec<u8>) {
        against(steps, |stream| login(stream, user)).await
    }

    #[tokio::test]
    async fn mariadb_lets_in_with_and_without_rights() {
        for (grants, is_administrator) in [
            (MARIADB_ROOT, true),
            (MARIADB_SUPER, true),
            (MARIADB_LIMITED, false),
            (MARIADB_EXPIRED, false),
        ] {
            let steps = [Says(MARIADB), Hears, Says(OK), Hears, Says(grants)];
            let (said, heard) = says(&steps, "root").await;
            assert_eq!(said, Ok(Trust::lets_in(Some("root"), is_administrator)));
            let answer = b"<\x00\x00\x01\x01\xa2\x08\x00\x00\x00\x00\x01-\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00root\x00\x00mysql_native_password\x00";
            let question = b"\x0c\x00\x00\x00\x03SHOW GRANTS";
            let farewell = b"\x01\x00\x00\x00\x01";
            assert_eq!(heard, [&answer[..], question, farewell].concat());
        }
    }

    #[tokio::test]
    async fn who_needs_a_password_or_more_is_asked() {
        for refusal in [
            MARIADB_DENIED,
            // An account that is its socket's owner's; one that wants TLS says the same.
            b"0\x00\x00\x02\xff\xa2\x06#28000Access denied for user 'us'@'localhost'",
            b".\x00\x00\x02\xff7\x10#HY000Access denied, this account is locked",
        ] {
            let (said, _) = says(&[Says(MARIADB), Hears, Says(refusal)], "root").await;
            assert_eq!(said, Ok(Trust::asks(Some("root"))));
        }
    }

    #[tokio::test]
    async fn mysql_changes_the_way() {
        let ok = packet(4, &OK[4..]);
        let denied = packet(4, &MARIADB_DENIED[4..]);
        let everything = packet(3, b"\xc0GRANT SELECT, INSERT, RELOAD, FILE, SUPER, CREATE USER ON *.* TO `root`@`localhost` WITH GRANT OPTION");
        let end = packet(4, b"\xfe\x00\x00\x02\x00");
        let grants = [&packet(1, b"\x01")[..], &end, &everything, &end].concat();
        let steps = [
            Says(MYSQL),
            Hears,
            Says(SWITCH),
            Hears,
            Says(&ok),
            Hears,
            Says(&grants),
        ];
        let (said, heard) = says(&steps, "root").await;
        assert_eq!(said, Ok(Trust::lets_in(Some("root"), true)));
        let nothing = b"\x00\x00\x00\x03";
        assert!(heard.windows(4).any(|part| part == nothing), "{heard:?}");
        let steps = [Says(MYSQL), Hears, Says(SWITCH), Hears, Says(&denied)];
        assert_eq!(says(&steps, "root").await.0, Ok(Trust::asks(Some("root"))));
        for more in [
            // A dialogue, the whole password in clear, a way of the last century, and full authentication.
            packet(2, b"\xfedialog\0\x02Password: \0"),
            packet(2, b"\xfemysql_clear_password\0"),
            packet(2, b"\xfe"),
            packet(2, b"\x01\x04"),
        ] {
            let (said, heard) = says(&[Says(MYSQL), Hears, Says(&more)], "shop").await;
            assert_eq!(said, Ok(Trust::asks(Some("shop"))), "{more:?}");
            assert_eq!(heard.len(), 64, "nothing but the first answer is sent");
        }
        let steps = [&[Says(MYSQL), Hears][..], &[Says(SWITCH), Hears].repeat(9)].concat();
        assert_eq!(
            says(&steps, "root").await.0,
            Err(NotKnown::NotUnderstood),
            "for ever"
        );
    }

    #[tokio::test]
    async fn what_is_no_login_is_not_known() {
        let tls = packet(
            2,
            b"\xff\x57\x0c#HY000Connections using insecure transport are prohibited",
        );
        assert_eq!(
            says(&[Says(MYSQL), Hears, Says(&tls)], "root").await.0,
            Err(NotKnown::WantsTls)
        );
        let full = packet(0, b"\xff\x10\x04Too many connections");
        let said = Err(NotKnown::Said("Too many connections".into()));
        assert_eq!(says(&[Says(&full)], "root").await.0, said);
        let postgres = b"R\x00\x00\x00\x08\x00\x00\x00\x00";
        assert!(says(&[Says(postgres)], "root").await.0.is_err());
        assert_eq!(
            says(&[Says(MARIADB)], "a\0b").await.0,
            Err(NotKnown::NotUnderstood)
        );
        assert_eq!(says(&[], "root").await.0, Err(NotKnown::Closed));
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_comes_it_does_not_panic() {
        survives(&[MARIADB, OK, MARIADB_ROOT], |stream| login(stream, "root")).await;
        survives(&[MYSQL, SWITCH], |stream| login(stream, "root")).await;
    }
}
