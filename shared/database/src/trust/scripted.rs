//! Servers that say what a test tells them, byte for byte.

use std::future::Future;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;

use super::{NotKnown, Trust};

/// What a server does next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'a> {
    /// Waits until it hears something.
    Hears,
    /// Says this.
    Says(&'a [u8]),
}

/// Has `login` talk to a server that takes these steps and then only listens; what came of it, and all that the server heard.
pub(super) async fn against<F>(
    steps: &[Step<'_>],
    login: impl FnOnce(DuplexStream) -> F,
) -> (Result<Trust, NotKnown>, Vec<u8>)
where
    F: Future<Output = Result<Trust, NotKnown>>,
{
    let (near, mut far) = duplex(1 << 20);
    let serving = async {
        let mut heard = Vec::new();
        for step in steps {
            match step {
                Step::Hears => {
                    far.read_buf(&mut heard).await.expect("it can be read");
                }
                // Who has heard enough is gone.
                Step::Says(bytes) => drop(far.write_all(bytes).await),
            }
        }
        far.shutdown().await.expect("it can be closed");
        far.read_to_end(&mut heard).await.expect("it can be read");
        heard
    };
    timeout(Duration::from_secs(10), async {
        tokio::join!(login(near), serving)
    })
    .await
    .expect("no login waits for a server that has gone")
}

/// Has `login` talk to many servers that say random bytes, and what real ones say with some of it changed, and to one that
/// says nothing: whatever comes, it does not panic, and never does pure noise let anybody in.
pub(super) async fn survives<F>(real: &[&[u8]], login: impl Fn(DuplexStream) -> F)
where
    F: Future<Output = Result<Trust, NotKnown>>,
{
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0..3000 {
        let noise: Vec<u8> = (0..random.below(80)).map(|_| random.byte()).collect();
        let (said, _) = against(&[Step::Says(&noise)], &login).await;
        assert!(!matches!(said, Ok(Trust::LetsIn(_))), "{noise:?}");
        let mut changed = real.to_vec().concat();
        for _ in 0..=random.below(4) {
            let at = random.below(changed.len());
            changed[at] = random.byte();
        }
        if round % 3 == 0 {
            changed.truncate(random.below(changed.len()));
        }
        let _ = against(&[Step::Says(&changed)], &login).await;
    }
    let (near, _far) = duplex(1024);
    let waiting = timeout(Duration::from_secs(3), login(near)).await;
    assert!(waiting.is_err(), "silence is no answer: {waiting:?}");
}

/// Numbers that are the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits fit") % limit
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).expect("a byte")
    }
}
