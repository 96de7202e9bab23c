//! What becomes of a tunnel when the login ends that opened it.

use std::time::Duration;

use commons::duration::moment;
use commons::{Cluster, Ui};
use jiff::Timestamp;
use tokio::time::sleep;

/// What ends later than this is not worth a word.
const SOON: Duration = Duration::from_hours(24);

/// How long before the end it is said again.
const REMINDER: Duration = Duration::from_mins(2);

/// A laptop's clock for waiting stands still while it sleeps, so the wall clock is looked at this often.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(20);

/// Says when the login ends, if it does so soon and nothing here can renew it.
pub async fn announce(cluster: &Cluster, ui: &Ui) {
    if let Ok(Some(end)) = cluster.login_end().await
        && left(end, cluster.now()) < SOON
    {
        ui.status(format!(
            "Your login ends at {}: no new connections after that, open ones stay open",
            moment(end, cluster.now())
        ));
    }
}

/// Says it once more, shortly before the end; each end once, since somebody may log in again meanwhile.
pub async fn remind(cluster: &Cluster, ui: &Ui) {
    let mut said: Option<Timestamp> = None;
    loop {
        // An error is for the next connection to tell.
        if let Ok(Some(end)) = cluster.login_end().await {
            let left = left(end, cluster.now());
            if left.is_zero() || said == Some(end) {
                said = Some(end);
            } else if left > REMINDER {
                sleep(left.saturating_sub(REMINDER).min(LOOK_AT_CLOCK)).await;
                continue;
            } else {
                said = Some(end);
                ui.warning(format!("your login ends at {}", moment(end, cluster.now())));
                ui.hint(if cluster.reads_new_logins() {
                    "log in again (on Onyxia: My account, Kubernetes): this tunnel goes on with the new login"
                } else {
                    "start this command again with a new token"
                });
            }
        }
        sleep(LOOK_AT_CLOCK).await;
    }
}

fn left(end: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(end.duration_since(now)).unwrap_or(Duration::ZERO)
}
