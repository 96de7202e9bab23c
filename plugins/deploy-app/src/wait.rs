//! Waiting until what was deployed runs.

use commons::shell::shell;
use std::time::Duration;

use commons::cli::Interrupt;
use commons::cluster::Right;
use commons::{Cluster, Error, Kind, Result, Ui};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use tunnel::Endpoint;
use workload::{Ready, Rollout};

use crate::remedy;

/// Waits for all of them; the first that cannot come up ends it.
///
/// # Errors
/// What keeps one from running; [`Kind::Signal`] saying that all stays as it is.
pub async fn until_ready(
    cluster: &Cluster,
    ui: &Ui,
    interrupt: &Interrupt,
    rollouts: &[Rollout],
    timeout: Duration,
) -> Result<Vec<Ready>> {
    let shield = interrupt.shield();
    let waits = rollouts
        .iter()
        .map(|rollout| workload::wait(cluster, ui, rollout, timeout));
    shield
        .race(try_join_all(waits))
        .await
        .map_err(|error| match error.kind() {
            Kind::Signal(_) => Error::of(
                error.kind(),
                "no longer waiting: what was deployed stays and goes on starting",
            ),
            _ => error,
        })
}

/// Waits for an app by name, which is known to listen on a port: one that listens elsewhere is told so within seconds.
///
/// # Errors
/// As [`until_ready`]'s, in the words of this command's flags.
pub async fn until_app_ready(
    cluster: &Cluster,
    ui: &Ui,
    interrupt: &Interrupt,
    rollout: &Rollout,
    listening: Listening<'_>,
    timeout: Duration,
) -> Result<Ready> {
    let rollouts = [rollout.clone()];
    let ready = async {
        tokio::select! {
            ready = until_ready(cluster, ui, interrupt, &rollouts, timeout) => ready,
            error = listening.elsewhere(cluster, ui, rollout) => Err(error),
        }
    };
    let ready = ready
        .await
        .map_err(|error| remedy::of_app(error, &rollout.name, cluster.named()))?;
    ready
        .into_iter()
        .next()
        .ok_or_else(|| Error::new("nothing was waited for"))
}

/// On which port an app is to listen.
#[derive(Clone, Copy, Debug)]
pub struct Listening<'a> {
    /// Nothing for one that listens on none, or whose readiness is somebody else's to tell.
    pub port: Option<u16>,
    /// By what its pods are found: `a=b,c=d`.
    pub selector: &'a str,
    /// Whether it is told where to listen by the variable `HOST`.
    pub has_host: bool,
}

/// Where else an app may listen.
const ELSEWHERE: [u16; 9] = [80, 3000, 5000, 5173, 7860, 8000, 8080, 8501, 8888];
/// How long a container must have been running before it is looked at, in seconds.
const STARTS: i64 = 1;
/// How long it must have been running before what is seen is believed, in seconds; and it must have been seen twice.
const SETTLED: i64 = 4;
/// After how many seconds an app that listens nowhere is wondered about.
const LONG: i64 = 15;
/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// Where an app listens that is not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Heard {
    /// On its port, but only for itself.
    OnlyItself,
    /// On other ports.
    Elsewhere(Vec<u16>),
}

impl Listening<'_> {
    /// Ends when the app is seen to listen where nobody will find it.
    async fn elsewhere(self, cluster: &Cluster, ui: &Ui, rollout: &Rollout) -> Error {
        let Some(port) = self.port else {
            return std::future::pending().await;
        };
        let mut before = None;
        let mut is_told = false;
        loop {
            tokio::time::sleep(LOOK).await;
            let Some((heard, age)) = self.hear(cluster, rollout, port).await else {
                before = None;
                continue;
            };
            let Some(heard) = heard else {
                // It may be beginning still, and take minutes for it.
                if age >= LONG && !is_told && self.may_listen(cluster).await {
                    is_told = true;
                    ui.hint(format!(
                        "{} runs, but listens on no usual port yet, {port} neither; if it never will: `{}`",
                        rollout.name,
                        shell("kubectl deploy-app")
                            .arg(&rollout.name)
                            .then("--port none")
                            .option("-n", cluster.named())
                    ));
                }
                before = None;
                continue;
            };
            if age >= SETTLED && before.as_ref() == Some(&heard) {
                return explain(&rollout.name, port, &heard, self.has_host, cluster.named());
            }
            before = Some(heard);
        }
    }

    /// Whether one may look at all.
    async fn may_listen(self, cluster: &Cluster) -> bool {
        let tunnel = [Right::core("create", "pods/portforward")];
        let lacking = cluster.lacks(cluster.namespace(), &tunnel).await;
        lacking.is_ok_and(|lacking| lacking.is_empty())
    }

    /// Looks at the newest pod that runs and is not ready: what is heard, and for how many seconds its container has been
    /// running. Where one may not look, nothing is heard.
    async fn hear(
        self,
        cluster: &Cluster,
        rollout: &Rollout,
        port: u16,
    ) -> Option<(Option<Heard>, i64)> {
        let pods: Vec<Pod> = cluster.list(&rollout.namespace, self.selector).await.ok()?;
        let now = cluster.now();
        let age = |pod: &Pod| {
            let status = pod.status.as_ref()?;
            let status = status
                .container_statuses
                .iter()
                .flatten()
                .find(|status| status.name == rollout.name && !status.ready)?;
            let start = status
                .state
                .as_ref()?
                .running
                .as_ref()?
                .started_at
                .as_ref()?;
            Some(now.duration_since(start.0).as_secs())
        };
        // While an update goes on, older pods tell nothing of it.
        let version = |pod: &Pod| pod.labels().get("pod-template-hash").cloned();
        let there = || {
            pods.iter()
                .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        };
        let newest = there().max_by_key(|pod| pod.creation_timestamp())?;
        let (pod, age) = there()
            .filter(|pod| version(pod) == version(newest))
            .filter_map(|pod| Some((pod, age(pod).filter(|age| *age >= STARTS)?)))
            .max_by_key(|(pod, _)| pod.creation_timestamp())?;
        let endpoint = Endpoint {
            namespace: rollout.namespace.clone(),
            pod: pod.name_any(),
            port,
        };
        let mut asked = vec![port];
        asked.extend(ELSEWHERE.into_iter().filter(|other| *other != port));
        let heard = exposure::listening(cluster, &endpoint, &asked).await;
        let heard = match &heard[..] {
            [] => None,
            heard if heard.contains(&port) => Some(Heard::OnlyItself),
            _ => Some(Heard::Elsewhere(heard)),
        };
        Some((heard, age))
    }
}

fn explain(name: &str, port: u16, heard: &Heard, has_host: bool, here: Option<&str>) -> Error {
    match heard {
        Heard::OnlyItself if has_host => Error::new(format!("{name} listens on port {port}, but only for itself"))
            .caused_by("it listens on 127.0.0.1 (localhost), and its variable `HOST` does not change that")
            .hint("look in its documentation for the option or variable that says where it listens, and set that to 0.0.0.0"),
        Heard::OnlyItself => Error::new(format!("{name} listens on port {port}, but only for itself"))
            .caused_by("it listens on 127.0.0.1 (localhost), where nothing outside of its pod reaches it")
            .hint(format!("let it listen on 0.0.0.0: often its option `--host 0.0.0.0`, or a variable: `{}`", shell("kubectl deploy-app").arg(name).then("--env HOST=0.0.0.0").option("-n", here))),
        Heard::Elsewhere(ports) => {
            let shown: Vec<String> = ports.iter().map(u16::to_string).collect();
            Error::new(format!("nothing listens on port {port} of {name}"))
                .caused_by(format!("it listens on {}", shown.join(" and ")))
                .hint(format!(
                    "set it: `{}`",
                    shell("kubectl deploy-app")
                        .arg(name)
                        .then("--port")
                        .arg(&shown[0])
                        .option("-n", here)
                ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_that_it_listens_on_is_named() {
        let error = explain(
            "web",
            8001,
            &Heard::Elsewhere(vec![8000, 8080]),
            false,
            Some("a"),
        );
        assert_eq!(error.causes(), ["it listens on 8000 and 8080"]);
        assert_eq!(
            error.hints(),
            ["set it: `kubectl deploy-app web --port 8000 -n a`"]
        );
    }
}
