//! One request and its answer over a stream that is open.

use std::error::Error as _;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use http::{HeaderName, HeaderValue, Request, Uri, header};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout_at};

use super::connect::Stream;
use super::{Answer, HttpFailure};
use crate::printable;

/// A GET request with our headers, unless `headers` has them.
pub(super) fn request(
    target: Uri,
    host: &str,
    headers: &[(HeaderName, HeaderValue)],
) -> Request<String> {
    let mut request = Request::new(String::new());
    *request.uri_mut() = target;
    let map = request.headers_mut();
    for (name, value) in headers {
        map.append(name, value.clone());
    }
    let host = HeaderValue::try_from(host).unwrap_or_else(|_| HeaderValue::from_static(""));
    for (name, value) in [
        (header::HOST, host),
        (header::USER_AGENT, HeaderValue::from_static("kube-commons")),
        (header::ACCEPT, HeaderValue::from_static("*/*")),
        (header::CONNECTION, HeaderValue::from_static("close")),
    ] {
        map.entry(name).or_insert(value);
    }
    request
}

/// The same request with one header more.
pub(super) fn with(
    mut request: Request<String>,
    name: HeaderName,
    value: HeaderValue,
) -> Request<String> {
    request.headers_mut().insert(name, value);
    request
}

/// Sends `request` and reads the answer and at most `keep` bytes of its body.
pub(super) async fn exchange(
    stream: Stream,
    request: Request<String>,
    keep: usize,
    deadline: Instant,
) -> Result<Answer, HttpFailure> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| trouble(&error))?;
    // The connection does the work, and ends with the answer; nothing of it stays when the answer is read or given up.
    let mut connection = pin!(connection.fuse());
    let mut talk = pin!(async {
        let asked = Instant::now();
        let response = timeout_at(deadline, sender.send_request(request))
            .await
            .map_err(|_| HttpFailure::Timeout)?
            .map_err(|error| trouble(&error))?;
        let (head, body) = response.into_parts();
        let (body, truncated) = read(body, keep, deadline).await;
        Ok(Answer {
            asked,
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            truncated,
            certificate: None,
            address: None,
            proxy: None,
        })
    });
    poll_fn(|context| {
        // What goes wrong in it is told to whoever waits for the answer.
        let _ = connection.as_mut().poll(context);
        talk.as_mut().poll(context)
    })
    .await
}

/// The body's first `keep` bytes, and whether there is or should have been more.
async fn read(mut body: Incoming, keep: usize, deadline: Instant) -> (Bytes, bool) {
    let mut read = BytesMut::new();
    loop {
        let frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context));
        let data = match timeout_at(deadline, frame).await {
            Ok(None) => return (read.freeze(), false),
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            Ok(Some(Err(_))) | Err(_) => return (read.freeze(), true),
        };
        let room = keep - read.len();
        read.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            return (read.freeze(), true);
        }
    }
}

/// What hyper means.
fn trouble(error: &hyper::Error) -> HttpFailure {
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return HttpFailure::Closed;
    }
    if error.is_parse() && error.to_string().contains("too large") {
        return HttpFailure::Protocol("the headers of its answer are too long".to_owned());
    }
    if error.is_parse() {
        return HttpFailure::Protocol("what answers there does not speak HTTP".to_owned());
    }
    let cause = error
        .source()
        .and_then(|cause| cause.downcast_ref::<std::io::Error>());
    match cause {
        Some(cause)
            if matches!(
                cause.kind(),
                std::io::ErrorKind::ConnectionReset
                    | std::io::ErrorKind::ConnectionAborted
                    | std::io::ErrorKind::BrokenPipe
                    | std::io::ErrorKind::UnexpectedEof
            ) =>
        {
            HttpFailure::Closed
        }
        Some(cause) => HttpFailure::Protocol(printable::short(&cause.to_string(), 200)),
        None => HttpFailure::Protocol(printable::short(&error.to_string(), 200)),
    }
}
