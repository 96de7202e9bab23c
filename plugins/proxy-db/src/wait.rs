//! Waiting until the database answers through the tunnel, as a client would see it: through the local port.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use commons::{Error, Kind, Result, Ui};
use database::Protocol;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tunnel::listener::Destination;

use crate::target::Target;

/// How long the database may take to answer; a pod that was just replaced needs some seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// Pauses between attempts.
const PAUSE: Duration = Duration::from_millis(250);

/// How long a connection must stay open to a server that waits for its client to speak first, once the tunnel is open.
const STAYS_OPEN: Duration = Duration::from_millis(300);

/// PostgreSQL's `SSLRequest`: length 8, code 80877103. Every server answers it with one byte, `S` or `N`, before anything
/// else (Frontend/Backend Protocol, "SSL Session Encryption").
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// Waits, and says why in the end.
///
/// # Errors
/// It does not answer in time, with the last cause; or never will: the share has ended, or one may not connect at all.
pub async fn until_it_answers(target: &Target, port: u16, ui: &Ui) -> Result<()> {
    let name = &target.database().name;
    let _progress = ui.progress(format!("waiting for {name} to answer"));
    target.wait(true);
    let asking = async {
        let stays_open = stays_open(target).await;
        loop {
            hopeless(target)?;
            if ask(port, target.database().protocol, stays_open)
                .await
                .is_ok()
            {
                return Ok(());
            }
            sleep(PAUSE).await;
        }
    };
    let outcome = timeout(PATIENCE, asking).await;
    target.wait(false);
    outcome.unwrap_or_else(|_| Err(no_answer(name, target.failure())))
}

/// How long a connection must stay open to be one. A tunnel that will be refused is open until the refusal has come back, and
/// how long that takes is known from one question to the API server.
async fn stays_open(target: &Target) -> Duration {
    if target.database().protocol == Protocol::Postgres {
        return Duration::ZERO;
    }
    let asked = Instant::now();
    // Whatever is wrong, the first connection will tell.
    let _ = target.endpoint().await;
    STAYS_OPEN + asked.elapsed() * 4
}

/// An error that no waiting will cure.
fn hopeless(target: &Target) -> Result<()> {
    if target.has_ended() {
        return Err(target.take_end());
    }
    match target.failure() {
        Some(error) if matches!(error.kind(), Kind::Forbidden | Kind::Unauthorized) => Err(error),
        _ => Ok(()),
    }
}

fn no_answer(name: &str, failure: Option<Error>) -> Error {
    let error = Error::new(format!("the database `{name}` does not answer"));
    match failure {
        Some(failure) => {
            let causes = std::iter::once(failure.message())
                .chain(failure.causes().iter().map(String::as_str));
            let error = causes.fold(error, Error::caused_by);
            error.hints_from(failure.hints().iter().cloned())
        }
        None => error.caused_by(format!("nothing came back within {} s", PATIENCE.as_secs())),
    }
}

/// Connects as a client would, and looks whether something is there.
async fn ask(port: u16, protocol: Protocol, stays_open: Duration) -> io::Result<()> {
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    match protocol {
        Protocol::Postgres => {
            socket.write_all(&SSL_REQUEST).await?;
            match socket.read_u8().await? {
                b'S' | b'N' => Ok(()),
                _ => Err(io::ErrorKind::InvalidData.into()),
            }
        }
        // The tunnel is opened for a request. Whatever the answer, even a clean end (of a server that speaks TLS), it is one.
        Protocol::Http => {
            let request =
                format!("GET / HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n");
            socket.write_all(request.as_bytes()).await?;
            match timeout(stays_open, socket.read(&mut [0])).await {
                Ok(Ok(_)) | Err(_) => Ok(()),
                Ok(Err(error)) => Err(error),
            }
        }
        _ => match timeout(stays_open, socket.read_u8()).await {
            // It greets first, or waits for us to speak.
            Ok(Ok(_)) | Err(_) => Ok(()),
            Ok(Err(error)) => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// Asks a server that reads `reads` bytes, answers, and closes if `closes`.
    async fn asked(
        protocol: Protocol,
        reads: usize,
        answer: &'static [u8],
        closes: bool,
    ) -> io::Result<()> {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = server.local_addr()?.port();
        let serving = async {
            let (mut socket, _) = server.accept().await?;
            let mut question = vec![0; reads];
            socket.read_exact(&mut question).await?;
            assert!(question.is_empty() || question == SSL_REQUEST);
            socket.write_all(answer).await?;
            if !closes {
                std::future::pending::<()>().await;
            }
            drop(socket);
            std::future::pending::<io::Result<()>>().await
        };
        tokio::select! {
            outcome = ask(port, protocol, Duration::from_millis(50)) => outcome,
            outcome = serving => outcome,
        }
    }

    #[tokio::test]
    async fn a_postgres_answers_in_its_own_way() {
        for (answer, closes, fine) in [
            (&b"S"[..], false, true),
            (b"N", true, true),
            (b"", true, false),
            (b"H", false, false),
        ] {
            assert_eq!(
                asked(Protocol::Postgres, 8, answer, closes).await.is_ok(),
                fine,
                "{answer:?}"
            );
        }
    }

    #[tokio::test]
    async fn others_greet_or_wait() {
        assert!(
            asked(Protocol::Other, 0, b"5.7.1-mysql", true)
                .await
                .is_ok()
        );
        assert!(asked(Protocol::Other, 0, b"", false).await.is_ok());
        assert!(asked(Protocol::Other, 0, b"", true).await.is_err());
    }

    #[test]
    fn the_last_cause_is_told() {
        let error = no_answer(
            "pg",
            Some(
                Error::new("nothing listens")
                    .caused_by("so said the node")
                    .hint("look"),
            ),
        );
        assert_eq!(error.message(), "the database `pg` does not answer");
        assert_eq!(error.causes(), ["nothing listens", "so said the node"]);
        assert_eq!(error.hints(), ["look"]);
        assert_eq!(
            no_answer("pg", None).causes(),
            ["nothing came back within 30 s"]
        );
    }
}
