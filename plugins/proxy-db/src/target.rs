//! Where the connections go, looked up anew for each, and what becomes of a share in the meantime.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use commons::{Cluster, Error, Kind, Result};
use database::card::{self, Card};
use database::{Database, DatabaseRef};
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use tunnel::Endpoint;
use tunnel::listener::Destination;

use crate::find::request;

/// A laptop's clock for waiting stands still while it sleeps, so the wall clock is looked at this often.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(20);

/// How long the cluster may take, after a share's time, to remove it (it takes less than a second).
const REMOVAL: Duration = Duration::from_secs(1);

/// Pauses before a share is looked for once more.
const DOUBTS: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_millis(1500),
    Duration::from_millis(2500),
];

/// What has become of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It was withdrawn, or its time is over.
    Ended,
    /// It lasts longer than it did, or has no end any more.
    Prolonged,
}

/// The database that connections go to.
#[derive(Debug)]
pub struct Target {
    cluster: Cluster,
    typed: DatabaseRef,
    database: Database,
    /// What its owner wrote, as read last; nothing for one's own.
    card: RefCell<Option<Card>>,
    /// When its owner was last believed to have prolonged it.
    prolonged: Cell<Option<Instant>>,
    /// The share was withdrawn or its time is over.
    ended: Cell<bool>,
    ending: Notify,
    end_taken: Cell<bool>,
    /// While we wait for the database, failures are kept rather than said.
    waiting: Cell<bool>,
    failure: RefCell<Option<Error>>,
    endpoint: RefCell<Option<Endpoint>>,
}

impl Target {
    /// For a database that was found.
    pub fn new(
        cluster: Cluster,
        typed: DatabaseRef,
        database: Database,
        card: Option<Card>,
    ) -> Self {
        Self {
            cluster,
            typed,
            database,
            card: RefCell::new(card),
            prolonged: Cell::default(),
            ended: Cell::default(),
            ending: Notify::new(),
            end_taken: Cell::default(),
            waiting: Cell::default(),
            failure: RefCell::default(),
            endpoint: RefCell::default(),
        }
    }

    /// What was found.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The cluster's present time.
    pub fn now(&self) -> Timestamp {
        self.cluster.now()
    }

    /// Its owner's card, as read last.
    pub fn card(&self) -> Option<Card> {
        self.card.borrow().clone()
    }

    /// Where the last connection went.
    pub fn last_endpoint(&self) -> Option<Endpoint> {
        self.endpoint.borrow().clone()
    }

    /// Keeps failures back, or says them again.
    pub fn wait(&self, waiting: bool) {
        self.waiting.set(waiting);
    }

    /// The last failure that was kept back.
    pub fn failure(&self) -> Option<Error> {
        self.failure.borrow().clone()
    }

    /// Whether the share has ended.
    pub fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// In words that the share has ended, and whom to ask; the first time only, since once is enough.
    pub fn take_end(&self) -> Error {
        if self.end_taken.replace(true) {
            return Error::of(Kind::Child(1), "");
        }
        let card = self.card();
        let error = Error::of(
            Kind::Forbidden,
            format!(
                "the share of `{}` in namespace `{}` has ended",
                self.database.name, self.database.namespace
            ),
        );
        match card {
            Some(card) => error.hint(format!(
                "{} can type: `{}`",
                card.owner,
                request(&card.database, &card.with)
            )),
            None => error,
        }
    }

    /// Waits for news of the share; for ever for one's own database and for a share without an end that nobody withdraws. A
    /// withdrawal is noticed by the next connection that is refused.
    pub async fn news(&self) -> News {
        if self.card.borrow().is_none() {
            return std::future::pending().await;
        }
        tokio::select! {
            () = self.ending.notified() => News::Ended,
            news = self.time_over() => news,
        }
    }

    fn has_to_end(&self) {
        self.ended.set(true);
        self.ending.notify_one();
    }

    /// Waits until the share's time is over and the cluster has removed it, unless its owner has prolonged it meanwhile. That is
    /// believed once in a while: a card that says something else each time would fill the screen, and have us ask and ask.
    async fn time_over(&self) -> News {
        let mut pause = REMOVAL;
        loop {
            let Some(until) = self.until() else {
                return std::future::pending().await;
            };
            let left = left(until, self.cluster.now());
            if left > Duration::ZERO {
                sleep((left + REMOVAL).min(LOOK_AT_CLOCK)).await;
                continue;
            }
            if let Some(prolonged) = self.prolonged.get() {
                sleep_until(prolonged + LOOK_AT_CLOCK).await;
            }
            // No answer is no end: it is asked again.
            if let Ok(false) = self.is_still_shared().await {
                self.has_to_end();
                return News::Ended;
            }
            if is_prolonged(self.until(), self.cluster.now()) {
                self.prolonged.set(Some(Instant::now()));
                return News::Prolonged;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LOOK_AT_CLOCK);
        }
    }

    /// When the share ends, as read last.
    fn until(&self) -> Option<Timestamp> {
        self.card.borrow().as_ref().and_then(|card| card.until)
    }

    /// Whether there is no share any more. An API server that has just started forbids everything for a moment, so before a
    /// share's time is over one refusal proves nothing.
    async fn is_gone(&self) -> bool {
        for pause in DOUBTS {
            sleep(pause).await;
            if !matches!(self.is_still_shared().await, Ok(false)) {
                return false;
            }
            if self
                .until()
                .is_some_and(|until| left(until, self.cluster.now()).is_zero())
            {
                break;
            }
        }
        true
    }

    /// Reads the card again. Whoever may no longer read it has no share any more.
    async fn is_still_shared(&self) -> Result<bool> {
        match card::find(&self.cluster, &self.typed).await {
            Ok((Some(card), _)) => {
                self.card.replace(Some(card));
                Ok(true)
            }
            Ok((None, _)) => Ok(false),
            Err(error) if matches!(error.kind(), Kind::Forbidden | Kind::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Whether a share whose time was over has time again.
fn is_prolonged(until: Option<Timestamp>, now: Timestamp) -> bool {
    until.is_none_or(|until| left(until, now) > Duration::ZERO)
}

/// What is left of a time.
fn left(until: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO)
}

impl Destination for Target {
    async fn endpoint(&self) -> Result<Endpoint> {
        let endpoint = database::serving(&self.cluster, &self.database).await?;
        self.endpoint.replace(Some(endpoint.clone()));
        Ok(endpoint)
    }

    async fn failed(&self, error: Error) -> Option<Error> {
        if self.has_ended() {
            return None;
        }
        let shared = self.card.borrow().is_some();
        if shared
            && matches!(error.kind(), Kind::Forbidden | Kind::NotFound)
            && self.is_gone().await
        {
            self.has_to_end();
            return None;
        }
        if self.waiting.get() {
            self.failure.replace(Some(error));
            return None;
        }
        Some(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_time_to_come_prolongs() {
        let at = |text: &str| -> Timestamp { text.parse().expect("a time") };
        let now = at("2026-01-01T10:00:00Z");
        assert!(is_prolonged(None, now));
        assert!(is_prolonged(Some(at("2026-01-01T10:00:01Z")), now));
        assert!(!is_prolonged(Some(now), now));
        assert!(!is_prolonged(Some(at("2025-01-01T10:00:00Z")), now));
    }
}
