//! What the scheduler and the kubelet say of a pod.

use serde_json::{Value, json};

use super::text;

/// What becomes of an app's pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// They are ready at once.
    #[default]
    Ready,
    /// Their containers are still being made.
    Starting,
    /// They run and the readiness probe fails with these words.
    Unready(String),
    /// A volume cannot be mounted: the event's words.
    Unmounted(String),
    /// The first container waits: reason and message.
    Waiting(String, String),
    /// The first container ends again and again: exit code, reason, log (for `StartError`, the runtime's message).
    Crashing(i32, String, String),
    /// No node takes them, for this reason.
    Unschedulable(String),
}

impl Fate {
    /// The image cannot be pulled, in containerd's words.
    pub fn no_image(image: &str, why: &str) -> Self {
        let message = format!(
            "Back-off pulling image {image:?}: ErrImagePull: rpc error: code = NotFound desc = failed to pull and unpack image {image:?}: failed to resolve reference {image:?}: {why}"
        );
        Self::Waiting("ImagePullBackOff".into(), message)
    }

    /// The container ends with this code after it has said this.
    pub fn crash(exit_code: i32, log: &str) -> Self {
        Self::Crashing(exit_code, "Error".into(), log.into())
    }

    /// What the container's log says; of the present one, and of the previous one.
    pub fn logs(&self) -> Option<(&str, &str)> {
        match self {
            Self::Crashing(_, reason, log) if reason != "StartError" => Some((log, log)),
            _ => None,
        }
    }
}

/// What the kubelet says of a pod.
#[expect(clippy::too_many_lines, reason = "a table")]
pub fn status(pod: &Value, fate: &Fate) -> Value {
    let created = &pod["metadata"]["creationTimestamp"];
    let is_ready = *fate == Fate::Ready;
    let condition = |kind: &str, is_true: bool, reason: &str, message: &str| {
        let mut condition = json!({"type": kind, "status": if is_true { "True" } else { "False" }, "lastProbeTime": null, "lastTransitionTime": created});
        if !reason.is_empty() {
            condition["reason"] = json!(reason);
        }
        if !message.is_empty() {
            condition["message"] = json!(message);
        }
        condition
    };
    if let Fate::Unschedulable(message) = fate {
        return json!({"phase": "Pending", "conditions": [condition("PodScheduled", false, "Unschedulable", message)]});
    }
    let containers: Vec<&Value> = pod["spec"]["containers"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    let names: Vec<&str> = containers
        .iter()
        .filter_map(|container| container["name"].as_str())
        .collect();
    let running = json!({"running": {"startedAt": created}});
    let statuses: Vec<Value> = containers
        .iter()
        .enumerate()
        .map(|(index, container)| {
            let fate = if index == 0 { fate } else { &Fate::Ready };
            let name = &container["name"];
            let mut status = json!({
                "name": name, "image": container["image"], "imageID": "", "containerID": "", "ready": false,
                "started": false, "restartCount": 0, "state": {}, "lastState": {},
            });
            match fate {
                Fate::Ready | Fate::Unready(_) => {
                    status["state"] = running.clone();
                    let starts = matches!(fate, Fate::Unready(words) if words.starts_with("Startup"));
                    status["started"] = json!(!starts);
                    status["ready"] = json!(*fate == Fate::Ready);
                    status["imageID"] = json!("docker.io/library/app@sha256:0000");
                    status["containerID"] = json!(format!("containerd://{}", names[index]));
                }
                Fate::Starting | Fate::Unmounted(_) => status["state"] = json!({"waiting": {"reason": "ContainerCreating"}}),
                Fate::Waiting(reason, message) => {
                    status["state"] = json!({"waiting": {"reason": reason, "message": message}});
                }
                Fate::Crashing(exit_code, reason, log) => {
                    let of = text(&pod["metadata"]["name"]);
                    let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
                    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
                    let back_off = format!("back-off 20s restarting failed container={} pod={of}_{namespace}({uid})", names[index]);
                    status["state"] = json!({"waiting": {"reason": "CrashLoopBackOff", "message": back_off}});
                    status["lastState"] = json!({"terminated": {
                        "exitCode": exit_code, "reason": reason, "startedAt": created, "finishedAt": created, "containerID": "containerd://previous",
                    }});
                    if reason == "StartError" {
                        status["lastState"]["terminated"]["message"] = json!(log);
                    }
                    status["restartCount"] = json!(2);
                }
                Fate::Unschedulable(_) => {}
            }
            status
        })
        .collect();
    let unready = format!(
        "containers with unready status: [{}]",
        names.first().unwrap_or(&"")
    );
    let (reason, message) = if is_ready {
        ("", "")
    } else {
        ("ContainersNotReady", &unready[..])
    };
    let started = matches!(fate, Fate::Ready | Fate::Unready(_) | Fate::Crashing(..));
    let mut status = json!({
        "phase": if started { "Running" } else { "Pending" }, "hostIP": "172.18.0.2", "startTime": created,
        "conditions": [
            condition("PodScheduled", true, "", ""), condition("Initialized", true, "", ""),
            condition("ContainersReady", is_ready, reason, message), condition("Ready", is_ready, reason, message),
        ],
        "containerStatuses": statuses,
    });
    let address = &pod["status"]["podIP"];
    if !address.is_null() {
        status["podIP"] = address.clone();
        status["podIPs"] = json!([{"ip": address}]);
    }
    status
}

/// The warning that comes with it, if one does: reason, message and who reports it.
pub fn warning(pod: &Value, fate: &Fate) -> Option<(&'static str, String, &'static str)> {
    let part = |field: &str| text(&pod["metadata"][field]);
    let container = &pod["spec"]["containers"][0];
    let (reason, message) = match fate {
        Fate::Ready | Fate::Starting => return None,
        Fate::Unschedulable(words) => {
            return Some(("FailedScheduling", words.clone(), "default-scheduler"));
        }
        Fate::Unready(words) => ("Unhealthy", words.clone()),
        Fate::Unmounted(words) => ("FailedMount", words.clone()),
        Fate::Waiting(reason, message) if reason.contains("Image") => {
            let image = container["image"].as_str().unwrap_or_default();
            let cause = message.split_once("ErrImagePull: ");
            let cause = cause.map_or(message.as_str(), |(_, cause)| cause);
            ("Failed", format!("Failed to pull image {image:?}: {cause}"))
        }
        Fate::Waiting(_, message) => ("Failed", format!("Error: {message}")),
        Fate::Crashing(..) => {
            let (name, namespace) = (part("name"), part("namespace"));
            let container = text(&container["name"]);
            let said = format!(
                "Back-off restarting failed container {container} in pod {name}_{namespace}"
            );
            ("BackOff", said)
        }
    };
    Some((reason, message, "kubelet"))
}
