//! A talk with a pod over a tunnel, within this process.

use std::pin::pin;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::{NotKnown, Trust};
use tunnel::{Endpoint, Engine, Failure, pair};

/// How long a tunnel is left to say why it failed: that may come a moment after the connection's end. For a farewell nobody
/// waits: a tunnel takes a fifth of a second to end, and servers do without.
const PARTING: Duration = Duration::from_millis(300);

/// Has `talk` speak with the program at `endpoint` over a connection of its own.
///
/// # Errors
/// What `talk` says, [`NotKnown::Slow`] at the deadline, [`NotKnown::Unreached`] when the tunnel failed before it was over.
pub(super) async fn talk(
    engine: &impl Engine,
    endpoint: &Endpoint,
    deadline: Instant,
    talk: impl AsyncFnOnce(TcpStream) -> Result<Trust, NotKnown>,
) -> Result<Trust, NotKnown> {
    let (near, far) = pair()
        .await
        .map_err(|error| NotKnown::Unreached(format!("cannot open a local connection: {error}")))?;
    let carrying = async move {
        let mut far = far;
        // Our end sees it when this ends, for then the other is dropped.
        engine.carry(&mut far, endpoint).await
    };
    let (mut carrying, mut talking) = (pin!(carrying), pin!(talk(near)));
    let mut carried = None;
    let both = async {
        loop {
            tokio::select! {
                biased;
                said = &mut talking => break said,
                ended = &mut carrying, if carried.is_none() => carried = Some(ended),
            }
        }
    };
    let said = timeout_at(deadline, both)
        .await
        .unwrap_or(Err(NotKnown::Slow));
    if carried.is_none() && matches!(said, Err(NotKnown::Closed)) {
        carried = timeout(PARTING, carrying).await.ok();
    }
    match (said, carried) {
        (Err(NotKnown::Closed | NotKnown::Slow), Some(Err(failure))) => {
            Err(unreached(&failure, endpoint))
        }
        (said, _) => said,
    }
}

/// Why there was no answer, by how the tunnel failed.
fn unreached(failure: &Failure, endpoint: &Endpoint) -> NotKnown {
    match failure {
        Failure::Reset(_) => NotKnown::Closed,
        other => other.explain(endpoint).map_or(NotKnown::Closed, |error| {
            NotKnown::Unreached(error.message().to_owned())
        }),
    }
}
