//! The scheduler and the kubelet: what becomes of a pod.

use serde_json::{Value, json};

use super::key_of;
use crate::store::State;

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

pub fn reconcile(state: &mut State) {
    for key in state.cared_for("pods") {
        let pod = state.objects[&key].clone();
        let fate = missing(state, &pod).unwrap_or_else(|| state.world.fate(&key.2));
        let fate = if fate == Fate::Ready {
            probed(state, &pod)
        } else {
            fate
        };
        if pod["status"]["podIP"].is_null() && runs(&fate) {
            let address = state.world.next_pod_address();
            state.change(&key, |pod| pod["status"]["podIP"] = json!(address));
        }
        let pod = state.objects[&key].clone();
        let status = status(&pod, &fate);
        state.change(&key, |pod| pod["status"] = status);
        report(state, &pod, &fate);
    }
}

fn runs(fate: &Fate) -> bool {
    !matches!(fate, Fate::Unschedulable(_))
}

/// Whether something listens where the probes ask; only if it is known what listens in this app's pods at all.
fn probed(state: &State, pod: &Value) -> Fate {
    let (_, _, name) = key_of("pods", pod);
    let world = &state.world;
    if !world
        .programs
        .iter()
        .any(|(app, ..)| super::is_of(&name, app))
    {
        return Fate::Ready;
    }
    let container = &pod["spec"]["containers"][0];
    for (probe, called) in [("startupProbe", "Startup"), ("readinessProbe", "Readiness")] {
        let asked = ["tcpSocket", "httpGet"].map(|way| &container[probe][way]["port"]);
        let Some(port) = asked.into_iter().find(|port| !port.is_null()) else {
            continue;
        };
        let mut ports = container["ports"].as_array().into_iter().flatten();
        let named = || ports.find(|one| one["name"] == *port)?["containerPort"].as_u64();
        let Some(number) = port
            .as_u64()
            .or_else(named)
            .and_then(|port| u16::try_from(port).ok())
        else {
            continue;
        };
        if world.program(&name, number).is_none() {
            let address = pod["status"]["podIP"].as_str().unwrap_or("10.42.1.1");
            return Fate::Unready(format!(
                "{called} probe failed: dial tcp {address}:{number}: connect: connection refused"
            ));
        }
    }
    Fate::Ready
}

/// What keeps the kubelet from starting a container: something that the pod refers to.
fn missing(state: &State, pod: &Value) -> Option<Fate> {
    let (namespace, ..) = key_of("pods", pod);
    let read = |kind: &str, name: &Value| {
        let plural = if kind == "configmap" {
            "configmaps"
        } else {
            "secrets"
        };
        let name = name.as_str().unwrap_or_default().to_owned();
        state
            .objects
            .get(&(namespace.clone(), plural.to_owned(), name))
    };
    let waits = |message: String| Some(Fate::Waiting("CreateContainerConfigError".into(), message));
    for volume in pod["spec"]["volumes"].as_array().into_iter().flatten() {
        for (field, named, kind) in [
            ("configMap", "name", "configmap"),
            ("secret", "secretName", "secret"),
        ] {
            let source = &volume[field];
            if source.is_object()
                && source["optional"] != true
                && read(kind, &source[named]).is_none()
            {
                return Some(Fate::Unmounted(format!(
                    "MountVolume.SetUp failed for volume {} : {kind} {} not found",
                    volume["name"], source[named]
                )));
            }
        }
    }
    for container in pod["spec"]["containers"].as_array().into_iter().flatten() {
        for from in container["envFrom"].as_array().into_iter().flatten() {
            for (field, kind) in [("configMapRef", "configmap"), ("secretRef", "secret")] {
                let reference = &from[field];
                if reference.is_object()
                    && reference["optional"] != true
                    && read(kind, &reference["name"]).is_none()
                {
                    return waits(format!("{kind} {} not found", reference["name"]));
                }
            }
        }
        for variable in container["env"].as_array().into_iter().flatten() {
            for (field, kind, called) in [
                ("configMapKeyRef", "configmap", "ConfigMap"),
                ("secretKeyRef", "secret", "Secret"),
            ] {
                let reference = &variable["valueFrom"][field];
                if !reference.is_object() || reference["optional"] == true {
                    continue;
                }
                let Some(object) = read(kind, &reference["name"]) else {
                    return waits(format!("{kind} {} not found", reference["name"]));
                };
                let key = reference["key"].as_str().unwrap_or_default();
                if object["data"][key].is_null() {
                    let name = reference["name"].as_str().unwrap_or_default();
                    return waits(format!(
                        "couldn't find key {key} in {called} {namespace}/{name}"
                    ));
                }
            }
        }
    }
    None
}

fn status(pod: &Value, fate: &Fate) -> Value {
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
        return json!({"phase": "Pending", "qosClass": "Burstable", "conditions": [condition("PodScheduled", false, "Unschedulable", message)]});
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
                    let (_, _, of) = key_of("pods", pod);
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
        "phase": if started { "Running" } else { "Pending" }, "qosClass": "Burstable", "hostIP": "172.18.0.2", "startTime": created,
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

/// The events that come with it.
fn report(state: &mut State, pod: &Value, fate: &Fate) {
    let (namespace, _, name) = key_of("pods", pod);
    let container = &pod["spec"]["containers"][0];
    let image = container["image"].as_str().unwrap_or_default();
    if let Fate::Unschedulable(message) = fate {
        return state.event(
            pod,
            "Warning",
            "FailedScheduling",
            message,
            "default-scheduler",
        );
    }
    let assigned = format!("Successfully assigned {namespace}/{name} to node-1");
    state.event(pod, "Normal", "Scheduled", &assigned, "default-scheduler");
    match fate {
        Fate::Ready => state.container_event(pod, "Normal", "Started", "Container started"),
        Fate::Unready(words) => state.container_event(pod, "Warning", "Unhealthy", words),
        Fate::Unmounted(words) => state.event(pod, "Warning", "FailedMount", words, "kubelet"),
        Fate::Waiting(reason, message) if reason.contains("Image") => {
            let cause = message.split_once("ErrImagePull: ");
            let cause = cause.map_or(message.as_str(), |(_, cause)| cause);
            let said = format!("Failed to pull image {image:?}: {cause}");
            state.container_event(pod, "Warning", "Failed", &said);
        }
        Fate::Waiting(_, message) => {
            state.container_event(pod, "Warning", "Failed", &format!("Error: {message}"));
        }
        Fate::Crashing(..) => {
            let container = container["name"].as_str().unwrap_or_default();
            let said = format!(
                "Back-off restarting failed container {container} in pod {name}_{namespace}"
            );
            state.container_event(pod, "Warning", "BackOff", &said);
        }
        Fate::Starting | Fate::Unschedulable(_) => {}
    }
}
