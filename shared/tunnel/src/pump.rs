//! Moves bytes between a local socket and a tunnel that is open.
//!
//! The two directions are independent: a side that does not read stops only what is sent to it. kube's own forwarder ends
//! both when one ends, and thereby loses the answer to a request after which the client shuts its writing half down.

use std::future::pending;
use std::io;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as WsError, Message, error::ProtocolError};

use super::Failure;
use super::channels::{Channels, DATA, Part};
use super::pulse::{LOOK_EVERY, PING_EVERY, Pulse, SILENCE, Verdict};
use commons::printable;

/// Most bytes in one message to the pod.
const MESSAGE: usize = 64 * 1024;

/// Most bytes kept of what a node says went wrong.
const ERROR_TEXT: usize = 4096;

/// How long the answer may pause after the local client has ended its direction. The protocol cannot pass that end on to the
/// pod, so a program that waits for it would otherwise keep the connection for ever.
pub(super) const HALF_CLOSE_GRACE: Duration = Duration::from_secs(10);

/// How long the tunnel may take to end after the node has told of an error, and to take our farewell.
const FAREWELL: Duration = Duration::from_secs(2);

/// Carries both directions until they have ended. `reachable` asks the API server for a sign of life in another way.
pub(super) async fn pump<S>(
    socket: WebSocketStream<S>,
    local: &mut TcpStream,
    port: u16,
    reachable: impl AsyncFn() -> bool,
) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let pulse = Pulse::new(Instant::now());
    let (mut to_pod, from_pod) = socket.split();
    let (reader, mut writer) = local.split();
    let outcome = tokio::select! {
        outcome = down(from_pod, &mut writer, &pulse, port) => outcome,
        failure = up(reader, &mut to_pod, &pulse) => Err(failure),
        outcome = watch(&pulse, reachable) => outcome,
    };
    if outcome.is_ok() {
        // The client may have gone already; then nobody misses this.
        let _ = writer.shutdown().await;
    }
    let _ = timeout(FAREWELL, to_pod.close()).await;
    outcome
}

/// From the local client to the pod, and pings. Ends only when the client resets its connection: when the tunnel does not
/// take more, it is `down` that learns why.
async fn up<S>(
    mut local: ReadHalf<'_>,
    tunnel: &mut SplitSink<WebSocketStream<S>, Message>,
    pulse: &Pulse,
) -> Failure
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut pings = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut buffer = BytesMut::new();
    loop {
        let message = tokio::select! {
            _ = pings.tick() => Message::Ping(pulse.ping().to_vec().into()),
            read = read_message(&mut local, &mut buffer), if !pulse.has_local_ended() => match read {
                Ok(0) => {
                    pulse.local_ended(Instant::now());
                    continue;
                }
                Ok(bytes) => {
                    pulse.sending(bytes);
                    Message::Binary(buffer.split().freeze())
                }
                Err(error) => return Failure::LocalGone(error.to_string()),
            },
        };
        if tunnel.send(message).await.is_err() {
            return pending().await;
        }
    }
}

/// Reads what there is into `buffer`, behind the number of the channel. Nothing is lost if this is dropped half-way.
async fn read_message(local: &mut ReadHalf<'_>, buffer: &mut BytesMut) -> io::Result<usize> {
    if buffer.is_empty() {
        buffer.reserve(1 + MESSAGE);
        buffer.put_u8(DATA);
    }
    local.read_buf(&mut buffer.limit(MESSAGE)).await
}

/// From the pod to the local client, until the tunnel ends or fails.
async fn down<S>(
    mut tunnel: SplitStream<WebSocketStream<S>>,
    local: &mut WriteHalf<'_>,
    pulse: &Pulse,
    port: u16,
) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut channels = Channels::new(port);
    let mut error = Vec::new();
    loop {
        pulse.listening(Instant::now());
        let message = if error.is_empty() {
            tunnel.next().await
        } else {
            // The end should be near; if it is not, what was said is enough.
            timeout(FAREWELL, tunnel.next())
                .await
                .unwrap_or(Some(Ok(Message::Close(None))))
        };
        pulse.heard();
        match message {
            Some(Ok(Message::Binary(message))) => match channels
                .take(message)
                .map_err(|error| Failure::Malformed(error.to_string()))?
            {
                Part::Data(data) => {
                    local
                        .write_all(&data)
                        .await
                        .map_err(|error| Failure::LocalGone(error.to_string()))?;
                    pulse.data(Instant::now());
                }
                Part::Error(text) => {
                    error.extend(text.iter().take(ERROR_TEXT.saturating_sub(error.len())));
                }
                Part::End => local
                    .shutdown()
                    .await
                    .map_err(|error| Failure::LocalGone(error.to_string()))?,
                Part::Nothing => {}
            },
            Some(Ok(Message::Pong(payload))) => pulse.answered(&payload),
            Some(Ok(Message::Ping(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Text(_))) => return Err(Failure::Malformed("it is text".into())),
            Some(Ok(Message::Close(frame))) => {
                return match frame {
                    _ if !error.is_empty() => from_node(&error, pulse),
                    Some(frame)
                        if !matches!(
                            frame.code,
                            CloseCode::Normal | CloseCode::Away | CloseCode::Status
                        ) =>
                    {
                        Err(Failure::Broken(format!(
                            "it was closed with code {}{}",
                            u16::from(frame.code),
                            reason(&frame.reason)
                        )))
                    }
                    _ => Ok(()),
                };
            }
            // The tunnel was cut, but what cut it had been told before.
            Some(Err(_)) | None if !error.is_empty() => return from_node(&error, pulse),
            Some(Err(
                WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake)
                | WsError::ConnectionClosed
                | WsError::AlreadyClosed,
            ))
            | None => {
                return Err(Failure::Broken("it was closed without a farewell".into()));
            }
            Some(Err(WsError::Io(error))) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(Failure::Broken("it was closed without a farewell".into()));
            }
            Some(Err(WsError::Io(error))) => {
                return Err(Failure::Broken(printable::short(&error.to_string(), 200)));
            }
            Some(Err(error)) => {
                return Err(Failure::Malformed(printable::short(
                    &error.to_string(),
                    200,
                )));
            }
        }
    }
}

fn reason(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(": {}", printable::short(text, 200))
    }
}

/// What the node said, as a failure. A client that has left in a hurry makes the program in the pod reset the connection
/// (every PostgreSQL session with TLS ends so): nothing has failed then.
fn from_node(text: &[u8], pulse: &Pulse) -> Result<(), Failure> {
    match Failure::from_node(&String::from_utf8_lossy(text)) {
        Failure::Reset(_) if pulse.has_local_ended() => Ok(()),
        failure => Err(failure),
    }
}

/// Ends what would not end by itself.
async fn watch(pulse: &Pulse, reachable: impl AsyncFn() -> bool) -> Result<(), Failure> {
    loop {
        sleep(LOOK_EVERY).await;
        let now = Instant::now();
        if pulse
            .quiet_after_end(now)
            .is_some_and(|quiet| quiet >= HALF_CLOSE_GRACE)
        {
            return Ok(());
        }
        match pulse.verdict(now) {
            Verdict::Alive => {}
            Verdict::Doubtful if reachable().await => pulse.excuse(Instant::now()),
            Verdict::Doubtful | Verdict::Dead => {
                return Err(Failure::Broken(format!(
                    "no answer for {} s",
                    SILENCE.as_secs()
                )));
            }
        }
    }
}
