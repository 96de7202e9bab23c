//! A Redis or Valkey without a password: the first command of a connection that did not log in (RESP 2, "Redis serialization
//! protocol specification" and "ACL").

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{NotKnown, Trust};

/// As whom a connection counts that did not log in (since Redis 6; before, there is nobody else).
pub(super) const USER: &str = "default";

const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";

/// What that user may do. In a list of what the user has, the word `commands` is followed by their rules.
const RIGHTS: &[u8] = b"*3\r\n$3\r\nACL\r\n$7\r\nGETUSER\r\n$7\r\ndefault\r\n";

const QUIT: &[u8] = b"*1\r\n$4\r\nQUIT\r\n";

/// Longest answer that is read; the rights of `default` are 200 bytes.
const ANSWER: usize = 8 * 1024;

/// Says `PING`, and asks for the rights of `default` if that is answered.
pub(super) async fn login(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
) -> Result<Trust, NotKnown> {
    stream.write_all(PING).await?;
    let mut read = Vec::new();
    let line = loop {
        if let Some(line) = first_line(&read) {
            break line.to_owned();
        }
        more(&mut stream, &mut read).await?;
    };
    if !is_let_in(&line)? {
        return Ok(Trust::asks(Some(USER)));
    }
    let is_administrator = has_all_rights(&mut stream).await.unwrap_or(false);
    let _ = stream.write_all(QUIT).await;
    Ok(Trust::lets_in(Some(USER), is_administrator))
}

/// What the answer to the first command says. A server asks for a password before it looks at anything else, so a refusal for
/// want of rights (`NOPERM`) is one's who was let in.
fn is_let_in(line: &str) -> Result<bool, NotKnown> {
    if line == "+PONG" {
        return Ok(true);
    }
    let Some(error) = line.strip_prefix('-') else {
        return Err(NotKnown::NotUnderstood);
    };
    match error.split(' ').next().unwrap_or_default() {
        // Protected mode: only connections from its own machine.
        "NOAUTH" | "DENIED" => Ok(false),
        // Before version 6, by an older word.
        "ERR" if error.contains("operation not permitted") => Ok(false),
        "NOPERM" => Ok(true),
        _ => Err(NotKnown::Said(error.to_owned())),
    }
}

/// Whether `default` may give every command.
async fn has_all_rights(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> Result<bool, NotKnown> {
    stream.write_all(RIGHTS).await?;
    let mut read = Vec::new();
    loop {
        if let Some(rules) = rules(&read) {
            return Ok(rules == b"+@all");
        }
        match first_line(&read) {
            // Nobody's rights are limited where there are no rights.
            Some(line) if line.starts_with("-ERR unknown command") => return Ok(true),
            Some(line) if line.starts_with('-') => return Ok(false),
            _ => more(stream, &mut read).await?,
        }
    }
}

/// The value after the word `commands`, once all of it is there.
fn rules(answer: &[u8]) -> Option<&[u8]> {
    const WORD: &[u8] = b"\r\ncommands\r\n$";
    let at = answer.windows(WORD.len()).position(|part| part == WORD)?;
    let rest = &answer[at + WORD.len()..];
    let end = rest.windows(2).position(|part| part == b"\r\n")?;
    let length: usize = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    rest[end + 2..].get(..length)
}

/// The first line of an answer, once all of it is there.
fn first_line(answer: &[u8]) -> Option<&str> {
    let end = answer.windows(2).position(|part| part == b"\r\n")?;
    std::str::from_utf8(&answer[..end]).ok()
}

/// Reads what comes next of an answer.
async fn more(stream: &mut (impl AsyncRead + Unpin), answer: &mut Vec<u8>) -> Result<(), NotKnown> {
    let mut bytes = [0; 1024];
    match stream.read(&mut bytes).await? {
        0 => Err(NotKnown::Closed),
        count if answer.len() + count > ANSWER => Err(NotKnown::NotUnderstood),
        count => {
            answer.extend_from_slice(&bytes[..count]);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scripted::Step::{Hears, Says};
    use super::super::scripted::{Step, against, survives};
    use super::*;

    /// Said by Redis 7.0.15 of Debian.
    const ALL_RIGHTS: &[u8] = b"*12\r\n$5\r\nflags\r\n*2\r\n$2\r\non\r\n$6\r\nnopass\r\n$9\r\npasswords\r\n*0\r\n$8\r\ncommands\r\n$5\r\n+@all\r\n$4\r\nkeys\r\n$2\r\n~*\r\n$8\r\nchannels\r\n$2\r\n&*\r\n$9\r\nselectors\r\n*0\r\n";
    const NO_PASSWORD: &[u8] = b"-NOAUTH Authentication required.\r\n";
    const NO_PING: &[u8] = b"-NOPERM this user has no permissions to run the 'ping' command\r\n";
    const NO_ACL: &[u8] =
        b"-NOPERM this user has no permissions to run the 'acl|getuser' command\r\n";

    async fn says(steps: &[Step<'_>]) -> (Result<Trust, NotKnown>, Vec<u8>) {
        against(steps, login).await
    }

    #[tokio::test]
    async fn lets_in_with_all_rights_or_fewer() {
        let fewer =
            String::from_utf8_lossy(ALL_RIGHTS).replace("$5\r\n+@all", "$14\r\n+@all -config");
        for (pong, rights, is_administrator) in [
            (&b"+PONG\r\n"[..], ALL_RIGHTS, true),
            (b"+PONG\r\n", fewer.as_bytes(), false),
            (b"+PONG\r\n", NO_ACL, false),
            // Before version 6.
            (
                b"+PONG\r\n",
                b"-ERR unknown command `ACL`, with args beginning with: `GETUSER`\r\n",
                true,
            ),
            (NO_PING, NO_ACL, false),
        ] {
            let (said, heard) = says(&[Hears, Says(pong), Hears, Says(rights)]).await;
            assert_eq!(
                said,
                Ok(Trust::lets_in(Some("default"), is_administrator)),
                "{rights:?}"
            );
            assert_eq!(heard, [PING, RIGHTS, QUIT].concat());
        }
    }

    #[tokio::test]
    async fn asks_or_keeps_to_its_machine() {
        for refusal in [
            NO_PASSWORD,
            b"-DENIED Redis is running in protected mode because protected mode is enabled and no password is set\r\n",
            b"-ERR operation not permitted\r\n",
        ] {
            let (said, heard) = says(&[Hears, Says(refusal)]).await;
            assert_eq!(said, Ok(Trust::asks(Some("default"))));
            assert_eq!(heard, PING);
        }
    }

    #[tokio::test]
    async fn what_is_no_answer_is_not_known() {
        let loading = "LOADING Redis is loading the dataset in memory";
        let (said, _) = says(&[Says(format!("-{loading}\r\n").as_bytes())]).await;
        assert_eq!(said, Err(NotKnown::Said(loading.into())));
        let long = b"+".repeat(20_000);
        assert_eq!(says(&[Says(&long)]).await.0, Err(NotKnown::NotUnderstood));
        assert_eq!(
            says(&[Says(b"HTTP/1.1 400 Bad Request\r\n\r\n")]).await.0,
            Err(NotKnown::NotUnderstood)
        );
        assert_eq!(says(&[]).await.0, Err(NotKnown::Closed));
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_comes_it_does_not_panic() {
        survives(&[b"+PONG\r\n", ALL_RIGHTS], login).await;
    }
}
