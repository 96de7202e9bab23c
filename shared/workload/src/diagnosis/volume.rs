//! Volumes that cannot be had or mounted.

use super::configuration::{ConfigSource, missing};
use super::{Report, SETTLES, between, pod_field, said, there};
use crate::seen::{ConfigMapVolume, Event, Pod, SecretVolume};
use crate::state::{State, Want};
use commons::error::{Error, name_hint};
use commons::printable;
use commons::shell::shell;

/// For how long attaching and binding may take before it is worth a word, in seconds.
const PATIENCE: i64 = 8;
/// After this time without an event, what the volumes refer to is looked up, in seconds: events are kept for an hour, and are not
/// shown to everybody.
const SILENT: i64 = 5;

/// A claim that a pod names and that does not exist.
pub(super) fn missing_claim(state: &State, claim: &str, lasts: bool, report: &mut Report) {
    let names = state.more.claims.as_ref();
    if names.is_none() {
        report.wants.insert(Want::Claims);
    }
    let field = claim_field(state, claim);
    let claim = printable::short(claim, 253);
    let error = Error::new(format!(
        "volume claim `{claim}`, which {} needs, does not exist",
        state.reference()
    ))
    .caused_by(format!("`{field}` refers to it"));
    let near = names.and_then(|names| name_hint(&claim, names.keys().map(String::as_str)));
    let error = match near {
        Some(near) => error.hint(near),
        None => error,
    };
    report.add(
        lasts,
        error.hint(format!(
            "create it, or correct `{field}`; see which there are: `{}`",
            there(state, shell("kubectl get pvc"))
        )),
    );
}

/// Where a claim is named.
fn claim_field(state: &State, claim: &str) -> String {
    let position = state.pod_spec().and_then(|spec| {
        spec.volumes.iter().position(|volume| {
            volume
                .persistent_volume_claim
                .as_ref()
                .is_some_and(|source| source.claim_name == claim)
        })
    });
    match position {
        Some(position) => pod_field(
            state,
            &format!("volumes[{position}].persistentVolumeClaim.claimName"),
        ),
        None => pod_field(state, "volumes"),
    }
}

/// A pod whose claims have no volume yet.
pub(super) fn unbound(state: &State, pod: &Pod, waited: i64, report: &mut Report) {
    let claims: Vec<&str> = pod
        .spec
        .volumes
        .iter()
        .filter_map(|volume| volume.persistent_volume_claim.as_ref())
        .map(|claim| claim.claim_name.as_str())
        .collect();
    let failed: Option<&Event> = state
        .events
        .iter()
        .filter(|event| {
            event.involved_object.kind == "PersistentVolumeClaim"
                && claims.contains(&event.involved_object.name.as_str())
                && matches!(
                    event.reason.as_str(),
                    "ProvisioningFailed" | "FailedBinding"
                )
        })
        .max_by_key(|event| event.last());
    let claim = failed
        .map(|event| event.involved_object.name.as_str())
        .or_else(|| {
            let phases = state.more.claims.as_ref()?;
            let is_pending =
                |claim: &&str| phases.get(*claim).is_some_and(|phase| phase == "Pending");
            claims.iter().copied().find(is_pending)
        })
        .or(claims.first().copied())
        .unwrap_or_default();
    if state.more.claims.is_none() {
        report.wants.insert(Want::Claims);
    }
    let name = printable::short(claim, 253);
    let error = Error::new(format!(
        "volume claim `{name}` of {} gets no volume",
        state.reference()
    ));
    let see = format!(
        "see what it waits for: `{}`",
        there(state, shell("kubectl describe pvc").arg(claim))
    );
    let Some(failed) = failed else {
        report.add(
            false,
            error
                .caused_by("nothing has made a volume for it yet")
                .hint(see),
        );
        return;
    };
    let message = failed.message.as_str();
    if let Some(class) = between(message, "storageclass.storage.k8s.io \"", "\" not found") {
        report.add(
            waited >= SETTLES,
            error
                .caused_by(format!("there is no storage class `{}`", printable::short(class, 253)))
                .hint(format!(
                    "leave `storageClassName` out to get the cluster's own; a claim cannot be changed, so make it anew: `{}`",
                    there(state, shell("kubectl delete pvc").arg(claim))
                )),
        );
        return;
    }
    if message.contains("no storage class is set") {
        report.add(
            waited >= PATIENCE,
            error
                .caused_by("it names no storage class, the cluster has no default one, and no volume that is free fits")
                .hint("set `spec.storageClassName` of the claim to one that the cluster has: `kubectl get storageclass`"),
        );
        return;
    }
    report.add(waited >= PATIENCE, error.caused_by(said(message)).hint(see));
}

/// A pod that has a node, and whose volumes are not there.
pub(super) fn unmounted(state: &State, pod: &Pod, report: &mut Report) {
    let still = pod
        .status
        .container_statuses
        .iter()
        .chain(&pod.status.init_container_statuses)
        .all(|status| {
            status.state.waiting.as_ref().is_some_and(|waiting| {
                matches!(
                    waiting.reason.as_str(),
                    "ContainerCreating" | "PodInitializing"
                )
            })
        });
    if !still
        || pod
            .condition("PodScheduled")
            .is_none_or(|condition| condition.status != "True")
    {
        return;
    }
    let events: Vec<&Event> = state.events_of(&pod.metadata.uid).collect();
    let mounted = events
        .iter()
        .filter(|event| {
            matches!(
                event.reason.as_str(),
                "Pulling" | "Pulled" | "Created" | "Started"
            )
        })
        .filter_map(|event| event.last())
        .max();
    let attached = events
        .iter()
        .filter(|event| event.reason == "SuccessfulAttachVolume")
        .filter_map(|event| event.last())
        .max();
    let waited = state.since(pod.status.start_time).as_secs();
    let mut silent = true;
    for event in events {
        let is_failure = match event.reason.as_str() {
            "FailedMount" | "FailedMapVolume" => event.last() > mounted,
            "FailedAttachVolume" => event.last() > mounted.max(attached),
            _ => false,
        };
        if is_failure {
            silent = false;
            explain(state, pod, event, waited, report);
        }
    }
    if silent && mounted.is_none() && waited >= SILENT {
        by_reference(state, report);
    }
}

/// What volumes refer to and does not exist, where nobody says so.
fn by_reference(state: &State, report: &mut Report) {
    let volumes = state
        .pod_spec()
        .map(|spec| spec.volumes.as_slice())
        .unwrap_or_default();
    for volume in volumes {
        let map = volume.config_map.as_ref().filter(|map| !map.optional);
        let secret = volume.secret.as_ref().filter(|secret| !secret.optional);
        for (source, name) in map
            .map(|map| (ConfigSource::ConfigMap, map.name.as_str()))
            .into_iter()
            .chain(secret.map(|secret| (ConfigSource::Secret, secret.secret_name.as_str())))
        {
            if source.names(state, report).is_some() {
                let user = user(state, &volume.name, name);
                missing(state, source, name, &user, true, report);
            }
        }
    }
}

fn explain(state: &State, pod: &Pod, event: &Event, waited: i64, report: &mut Report) {
    let message = event.message.as_str();
    let lasts = waited >= SETTLES;
    // The kubelet has not read it yet, or sums up what another event says better.
    if message.contains("not registered")
        || message.contains("failed to sync")
        || message.contains("kube-root-ca.crt")
    {
        return;
    }
    let volume = between(message, "for volume \"", "\"").unwrap_or_default();
    if let Some(name) = between(message, "configmap \"", "\" not found") {
        let user = user(state, volume, name);
        missing(state, ConfigSource::ConfigMap, name, &user, lasts, report);
        return;
    }
    if let Some(name) = between(message, "secret \"", "\" not found") {
        let user = user(state, volume, name);
        missing(state, ConfigSource::Secret, name, &user, lasts, report);
        return;
    }
    if let Some((_, rest)) = message.split_once("references non-existent ") {
        no_item(state, volume, rest, lasts, report);
        return;
    }
    let subject = format!("a volume of {}", state.reference());
    if message.contains("Multi-Attach error") {
        let by = message
            .split_once("already used by pod(s) ")
            .map(|(_, pods)| printable::short(pods.trim(), 200));
        let error = Error::new(format!("{subject} is in use on another node"))
            .caused_by(match &by {
            Some(pods) => format!(
                "it can be mounted on one node at a time (ReadWriteOnce), and pod {pods} has it"
            ),
            None => {
                "it can be mounted on one node at a time (ReadWriteOnce), and another pod has it"
                    .into()
            }
        });
        let leaving = state.leaving_pods().next().is_some();
        report.add(
            waited >= PATIENCE && !leaving,
            error.hint("let the old pod end before the new one starts: `type: Recreate` in `spec.strategy` (and `rollingUpdate: null`)").hint(format!(
                "see who has it: `{}`",
                there(state, shell("kubectl get pods")).then("-o wide")
            )),
        );
        return;
    }
    if message.contains("timed out waiting for the condition")
        || message.contains("context deadline exceeded")
    {
        report.add(
            false,
            Error::new(format!("{subject} is not mounted in time"))
                .caused_by(said(message))
                .hint(format!(
                    "see what it waits for: `{}`",
                    there(state, shell("kubectl describe pod").arg(&pod.metadata.name))
                )),
        );
        return;
    }
    let which = if volume.is_empty() {
        subject
    } else {
        format!(
            "volume `{}` of {}",
            printable::short(volume, 100),
            state.reference()
        )
    };
    let why = message.split_once(" : ").map_or(message, |(_, why)| why);
    report.add(
        waited >= PATIENCE && event.times() >= 3,
        Error::new(format!("{which} cannot be mounted"))
            .caused_by(said(why))
            .hint(format!("see `{}`", pod_field(state, "volumes"))),
    );
}

/// The field of a volume that names a `ConfigMap` or Secret.
fn user(state: &State, volume: &str, name: &str) -> String {
    let volumes = state
        .pod_spec()
        .map(|spec| spec.volumes.as_slice())
        .unwrap_or_default();
    let Some(position) = volumes.iter().position(|other| other.name == volume) else {
        return pod_field(state, "volumes");
    };
    let found = &volumes[position];
    let part = if found
        .config_map
        .as_ref()
        .is_some_and(|map| map.name == name)
    {
        ".configMap.name"
    } else if found
        .secret
        .as_ref()
        .is_some_and(|secret| secret.secret_name == name)
    {
        ".secret.secretName"
    } else if found.projected.is_some() {
        ".projected.sources"
    } else {
        ""
    };
    pod_field(state, &format!("volumes[{position}]{part}"))
}

/// A volume that takes single keys, one of which is not there: `config key: app.conf`, `secret key: tls.key`.
fn no_item(state: &State, volume: &str, rest: &str, lasts: bool, report: &mut Report) {
    let (source, key) = match rest.split_once(" key: ") {
        Some(("secret", key)) => (ConfigSource::Secret, key),
        Some((_, key)) => (ConfigSource::ConfigMap, key),
        None => return,
    };
    let key = printable::short(key.trim(), 253);
    let volumes = state
        .pod_spec()
        .map(|spec| spec.volumes.as_slice())
        .unwrap_or_default();
    let position = volumes.iter().position(|other| other.name == volume);
    let found = position.and_then(|position| volumes.get(position));
    let map = |map: &ConfigMapVolume| {
        map.items
            .iter()
            .any(|item| item.key == key)
            .then(|| map.name.clone())
    };
    let secret = |secret: &SecretVolume| {
        let name = if secret.secret_name.is_empty() {
            &secret.name
        } else {
            &secret.secret_name
        };
        secret
            .items
            .iter()
            .any(|item| item.key == key)
            .then(|| name.clone())
    };
    let name = found.and_then(|found| {
        let sources = found
            .projected
            .iter()
            .flat_map(|projected| &projected.sources);
        match source {
            ConfigSource::ConfigMap => found
                .config_map
                .iter()
                .chain(sources.filter_map(|one| one.config_map.as_ref()))
                .find_map(map),
            ConfigSource::Secret => found
                .secret
                .iter()
                .chain(sources.filter_map(|one| one.secret.as_ref()))
                .find_map(secret),
        }
    });
    let field = match position {
        Some(position) => pod_field(state, &format!("volumes[{position}]")),
        None => pod_field(state, "volumes"),
    };
    let what = source.as_str();
    let called = name.as_ref().map_or_else(String::new, |name| {
        format!(" `{}`", printable::short(name, 253))
    });
    let keys = name
        .as_ref()
        .and_then(|name| source.keys(state, name, report));
    if keys.as_ref().is_some_and(|keys| keys.contains(&key)) {
        return;
    }
    let error = Error::new(format!("{what}{called} has no key `{key}`")).caused_by(format!(
        "the volume `{field}` of {} asks for it in its `items`",
        state.reference()
    ));
    let near = keys
        .as_ref()
        .and_then(|keys| name_hint(&key, keys.iter().map(String::as_str)));
    let error = match near {
        Some(near) => error.hint(near),
        None => error,
    };
    report.add(
        lasts,
        error.hint(format!("add the key, or correct `{field}`")),
    );
}
