//! What an app answers from within: its pods, asked through the tunnel, past Service, policies and controller.

use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::{Container, Pod};
use tokio::time::Instant;

use super::fingerprint::Fingerprint;
use super::port;
use super::remedy::{Remedy, Setting, set};
use commons::cluster::Cluster;
use commons::error::{Error, Result};
use commons::printable;
use commons::shell::{Shell, shell};
use commons::web::{Answer, Client, HttpFailure};
use tunnel::{Endpoint, Engine, Failure, WebSocketPerConnection, pair};

/// How long a pod may take to answer one request.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long a port may keep silent and still count as one that something listens on.
const LISTENING: Duration = Duration::from_secs(3);

/// How long after its start a program may take until it listens, where no probe tells when it is ready. One that listens on other
/// ports already has a quarter of that.
const BEGINNING: Duration = Duration::from_secs(20);

/// By when the programs of a pod listen, if they ever will.
#[derive(Clone, Copy, Debug)]
pub struct Beginning {
    nowhere: Instant,
    elsewhere: Instant,
}

impl Beginning {
    /// From when they were started, by the API server's clock.
    pub fn of(pod: &Pod, now: jiff::Timestamp) -> Self {
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        let is_probed = containers
            .into_iter()
            .any(|container| container.readiness_probe.is_some());
        let statuses = pod
            .status
            .iter()
            .flat_map(|status| status.container_statuses.iter().flatten());
        let starts = statuses
            .filter_map(|status| status.state.as_ref()?.running.as_ref()?.started_at.as_ref());
        let age = match starts.max() {
            Some(start) if !is_probed => now.duration_since(start.0).try_into().unwrap_or_default(),
            _ => BEGINNING,
        };
        let at = |time: Duration| Instant::now() + time.saturating_sub(age);
        Self {
            nowhere: at(BEGINNING),
            elsewhere: at(BEGINNING / 4),
        }
    }

    /// Whether what does not listen by now never will; `others` are the ports that it listens on.
    pub fn is_over(self, others: &[u16]) -> bool {
        let end = if others.is_empty() {
            self.nowhere
        } else {
            self.elsewhere
        };
        Instant::now() >= end
    }
}

/// What an app answers by itself.
#[derive(Clone, Debug)]
pub struct AppResponse {
    /// Its answer.
    pub answer: Answer,
    /// What it answers every time.
    pub fingerprint: Fingerprint,
}

/// Why an app gave no answer.
#[derive(Clone, Debug)]
pub enum Silence {
    /// Nothing listens on that port.
    NothingListens,
    /// It took longer than [`PATIENCE`].
    Slow,
    /// It speaks something else than HTTP.
    NotHttp(Reaction),
    /// The pod could not be asked at all.
    NotAsked(Error),
}

/// How something that does not speak HTTP reacted to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// It answered something else.
    Something,
    /// It ended the connection.
    Nothing,
}

/// Asks an app twice for `path`, as a browser behind the controller would: two pods, or one twice.
///
/// # Errors
/// See [`Silence`].
pub async fn ask(
    cluster: &Cluster,
    endpoints: [&Endpoint; 2],
    host: &str,
    path: &str,
    https: bool,
) -> Result<AppResponse, Silence> {
    let [one, other] = endpoints;
    let (first, second) = futures::join!(
        once(cluster, one, host, path, https),
        once(cluster, other, host, path, https)
    );
    let answer = first?;
    let fingerprint = Fingerprint::of(&answer);
    let fingerprint = match second {
        Ok(second) if second.status == answer.status => {
            fingerprint.common(&Fingerprint::of(&second))
        }
        _ => fingerprint,
    };
    Ok(AppResponse {
        answer,
        fingerprint,
    })
}

async fn once(
    cluster: &Cluster,
    endpoint: &Endpoint,
    host: &str,
    path: &str,
    https: bool,
) -> Result<Answer, Silence> {
    let scheme = http::HeaderValue::from_static(if https { "https" } else { "http" });
    let headers = [(http::HeaderName::from_static("x-forwarded-proto"), scheme)];
    let (near, mut far) = pair().await.map_err(|error| {
        Silence::NotAsked(Error::new("cannot open a local connection").caused_by(error.to_string()))
    })?;
    let engine = WebSocketPerConnection::new(cluster.clone());
    let carried = engine.carry(&mut far, endpoint);
    let client = Client::new(PATIENCE);
    let asked = client.exchange(near, host, path, &headers);
    let mut carried = std::pin::pin!(carried);
    let mut asked = std::pin::pin!(asked);
    let mut failure = None;
    let asked = loop {
        tokio::select! {
            biased;
            asked = &mut asked => break asked,
            ended = &mut carried, if failure.is_none() => match ended {
                Ok(()) => failure = Some(Failure::Broken("it ended".into())),
                Err(why) => {
                    if let Some(silence) = silence(&why, endpoint) {
                        return Err(silence);
                    }
                    failure = Some(why);
                }
            },
        }
    };
    match asked {
        Ok(answer) => Ok(answer),
        Err(HttpFailure::Timeout) => Err(Silence::Slow),
        Err(trouble) => {
            // The failure of the tunnel may come a moment after the end of the connection.
            if failure.is_none()
                && let Ok(Err(why)) =
                    tokio::time::timeout(Duration::from_millis(300), carried).await
                && let Some(silence) = silence(&why, endpoint)
            {
                return Err(silence);
            }
            Err(Silence::NotHttp(
                if matches!(trouble, HttpFailure::Protocol(_)) {
                    Reaction::Something
                } else {
                    Reaction::Nothing
                },
            ))
        }
    }
}

/// What a failed tunnel says about the app; nothing where the app itself ended the connection.
fn silence(failure: &Failure, endpoint: &Endpoint) -> Option<Silence> {
    match failure {
        Failure::NothingListens(_) => Some(Silence::NothingListens),
        Failure::Reset(_) | Failure::LocalGone(_) => None,
        other => other.explain(endpoint).map(Silence::NotAsked),
    }
}

/// What usually listens on a port, if it is something else than a web application.
pub fn usual(port: u16) -> Option<&'static str> {
    Some(match port {
        22 => "SSH",
        3306 => "MySQL or MariaDB",
        5432 => "PostgreSQL",
        6379 => "Redis",
        9200 => "Elasticsearch",
        27017 => "MongoDB",
        _ => return None,
    })
}

/// Which of these ports a pod listens on, in their order.
pub async fn listening(cluster: &Cluster, pod: &Endpoint, ports: &[u16]) -> Vec<u16> {
    let asked = ports.iter().map(async |port| {
        let endpoint = Endpoint {
            port: *port,
            ..pod.clone()
        };
        listens(cluster, &endpoint).await.then_some(*port)
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// Whether anything listens.
async fn listens(cluster: &Cluster, endpoint: &Endpoint) -> bool {
    let Ok((near, mut far)) = pair().await else {
        return false;
    };
    let engine = WebSocketPerConnection::new(cluster.clone());
    // A node says at once that nothing listens, if it is not busy; a server may wait for us to speak. So it is spoken to: who
    // answers or hangs up is there, and only a failure of the tunnel tells that nobody is.
    let spoken = async {
        let client = Client::new(LISTENING);
        client.exchange(near, "localhost", "/", &[]).await
    };
    let mut carried = std::pin::pin!(engine.carry(&mut far, endpoint));
    let mut spoken = std::pin::pin!(spoken);
    tokio::select! {
        biased;
        ended = &mut carried => matches!(ended, Ok(()) | Err(Failure::Reset(_) | Failure::LocalGone(_))),
        answer = &mut spoken => match answer {
            Ok(_) => true,
            // The tunnel's failure may come a moment after the end of the connection.
            Err(_) => !matches!(
                tokio::time::timeout(Duration::from_millis(300), carried).await,
                Ok(Err(Failure::NothingListens(_) | Failure::Refused(_) | Failure::PodGone(_) | Failure::Node(_) | Failure::Broken(_) | Failure::Malformed(_)))
            ),
        },
    }
}

/// On which other ports the pod listens, of those that its containers declare and those that are usual.
pub async fn elsewhere(
    cluster: &Cluster,
    endpoint: &Endpoint,
    containers: &[Container],
) -> Vec<u16> {
    let declared = port::declared(containers).map(|(port, _)| port);
    let mut candidates: Vec<u16> = declared.collect();
    for usual in port::COMMON_PORTS {
        if !candidates.contains(&usual) {
            candidates.push(usual);
        }
    }
    candidates.retain(|port| *port != endpoint.port);
    listening(cluster, endpoint, &candidates).await
}

/// The field that says where the pods are asked.
#[derive(Clone, Copy, Debug)]
pub struct Sends<'a> {
    /// The Service.
    pub service: &'a str,
    /// Its field: `spec.ports[0].targetPort`.
    pub field: &'a str,
    /// The app's name, if `deploy-app` has made the Service, and would make it again.
    pub deployed: Option<&'a str>,
}

/// A sentence for an app that does not answer, with what to change.
pub fn explain(
    silence: &Silence,
    app: &str,
    endpoint: &Endpoint,
    others: &[u16],
    field: Option<Sends<'_>>,
) -> Error {
    let port = endpoint.port;
    match silence {
        Silence::NothingListens => nothing_listens(app, endpoint, others, field),
        Silence::Slow => Error::new(format!(
            "{app} does not answer within {} s",
            PATIENCE.as_secs()
        ))
        .caused_by(format!(
            "asked directly: pod `{}`, port {port}",
            printable::short(&endpoint.pod, 80)
        ))
        .hint(format!("see what it is doing: `{}`", logs(endpoint))),
        Silence::NotHttp(said) => not_http(app, port, *said),
        Silence::NotAsked(error) => error
            .clone()
            .context(format!("{app} could not be asked directly")),
    }
}

fn logs(endpoint: &Endpoint) -> Shell {
    shell("kubectl logs")
        .arg(&endpoint.pod)
        .in_namespace(&endpoint.namespace)
}

fn nothing_listens(
    app: &str,
    endpoint: &Endpoint,
    others: &[u16],
    field: Option<Sends<'_>>,
) -> Error {
    let port = endpoint.port;
    let mut error = Error::new(format!(
        "nothing listens on port {port} in the pods of {app}"
    ));
    if let Some(Sends { service, field, .. }) = field {
        error = error.caused_by(format!(
            "service `{service}` sends there: `{field}` is {port}"
        ));
    }
    let Some(&other) = others.first() else {
        return error
            .caused_by("nothing listens on any other usual port of web applications either")
            .hint(format!("see what it says: `{}`", logs(endpoint)));
    };
    let pod = printable::short(&endpoint.pod, 80);
    let error = error.caused_by(format!("pod `{pod}` listens on {}", list(others)));
    let namespace = &endpoint.namespace;
    error.hint(match field {
        None => set("give the port that it has", [Setting::Port(Some(other))]),
        Some(Sends {
            deployed: Some(app),
            ..
        }) => Remedy::PortOfDeployed {
            app: app.to_owned(),
            port: other,
            namespace: namespace.clone(),
        }
        .hint(format!("deploy {app} with port {other}")),
        Some(Sends { service, field, .. }) => {
            let patch = shell("kubectl patch service")
                .arg(service)
                .in_namespace(namespace)
                .then("--type=json -p")
                .arg(format!(
                    "[{{\"op\":\"replace\",\"path\":\"/{}\",\"value\":{other}}}]",
                    field.replace("].", "/").replace(['.', '['], "/")
                ));
            Remedy::Field(format!("set `{field}` of service `{service}` to {other}"))
                .hint(format!("set `{field}` to {other}: `{patch}`"))
        }
    })
}

fn not_http(app: &str, port: u16, said: Reaction) -> Error {
    let error =
        Error::new(format!("port {port} of {app} does not speak HTTP")).caused_by(match said {
            Reaction::Something => "what it answers is not HTTP",
            Reaction::Nothing => "it ended the connection instead of answering",
        });
    let error = match usual(port) {
        Some(what) => error.caused_by(format!("{what} has this port")),
        None => error.hint(set("give the port of the web page", [Setting::Port(None)])),
    };
    error.hint(Remedy::ShareDatabase.hint("a database is shared, not exposed"))
}

fn list(ports: &[u16]) -> String {
    ports
        .iter()
        .map(u16::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remedy;

    fn endpoint(port: u16) -> Endpoint {
        Endpoint {
            namespace: "user-alice".into(),
            pod: "web-1".into(),
            port,
        }
    }

    #[test]
    fn a_program_has_time_to_begin_unless_a_probe_tells() {
        let now = jiff::Timestamp::now();
        let pod = |age: Option<i64>, probe: bool| -> Pod {
            let started = age.map(|age| now - jiff::SignedDuration::from_secs(age));
            let running =
                started.map(|started| serde_json::json!({"startedAt": started.to_string()}));
            let probe = probe.then(|| serde_json::json!({"tcpSocket": {"port": 80}}));
            serde_json::from_value(serde_json::json!({
                "spec": {"containers": [{"name": "c", "readinessProbe": probe}]},
                "status": {"containerStatuses": [{
                    "name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": running},
                }]},
            }))
            .expect("a pod")
        };
        // When its container was started, whether it has a probe, where it listens, and whether it has had its time.
        for (age, probe, others, is_over) in [
            (Some(0), false, &[][..], false),
            (Some(12), false, &[], false),
            (Some(60), false, &[], true),
            (Some(0), false, &[8080], false),
            (Some(12), false, &[8080], true),
            (Some(0), true, &[], true),
            (None, false, &[], true),
            // A clock that is behind.
            (Some(-60), false, &[], false),
        ] {
            let beginning = Beginning::of(&pod(age, probe), now);
            assert_eq!(
                beginning.is_over(others),
                is_over,
                "{age:?} {probe} {others:?}"
            );
        }
    }

    #[test]
    fn a_wrong_port_names_the_field_and_the_right_one() {
        let sends = Sends {
            service: "web",
            field: "spec.ports[0].targetPort",
            deployed: None,
        };
        let error = explain(
            &Silence::NothingListens,
            "deployment/web",
            &endpoint(8080),
            &[8000],
            Some(sends),
        );
        assert_eq!(
            error.message(),
            "nothing listens on port 8080 in the pods of deployment/web"
        );
        assert_eq!(
            error.causes(),
            [
                "service `web` sends there: `spec.ports[0].targetPort` is 8080",
                "pod `web-1` listens on 8000"
            ]
        );
        assert!(
            error.hints()[0].contains(r#""path":"/spec/ports/0/targetPort","value":8000"#),
            "{:?}",
            error.hints()
        );
        let deployed = explain(
            &Silence::NothingListens,
            "deployment/web",
            &endpoint(8080),
            &[8000],
            Some(Sends {
                deployed: Some("web"),
                ..sends
            }),
        );
        let port = Remedy::PortOfDeployed {
            app: "web".into(),
            port: 8000,
            namespace: "user-alice".into(),
        };
        assert_eq!(deployed.hints()[0].remedy(), Some(&port));
        let without = explain(
            &Silence::NothingListens,
            "pod/web",
            &endpoint(80),
            &[8000, 9000],
            None,
        );
        assert!(remedy::sets(&without, &Setting::Port(Some(8000))));
        let nowhere = explain(
            &Silence::NothingListens,
            "pod/web",
            &endpoint(80),
            &[],
            None,
        );
        assert!(nowhere.hints()[0].contains("kubectl logs"));
    }

    #[test]
    fn what_is_no_web_application_is_named_by_its_port() {
        let error = explain(
            &Silence::NotHttp(Reaction::Nothing),
            "pod/pg",
            &endpoint(5432),
            &[],
            None,
        );
        assert_eq!(error.causes()[1], "PostgreSQL has this port");
        let error = explain(
            &Silence::NotHttp(Reaction::Something),
            "pod/x",
            &endpoint(8000),
            &[],
            None,
        );
        assert_eq!(error.causes(), ["what it answers is not HTTP"]);
        assert!(remedy::sets(&error, &Setting::Port(None)));
    }
}
