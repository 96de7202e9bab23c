//! Containers that cannot be made as their definition says: something that it refers to is missing, or it contradicts itself.

use std::collections::BTreeSet;

use super::{ContainerPlace, Report, SETTLES, between, pod_field, said, there};
use crate::remedy::Remedy;
use crate::seen::ContainerStatus;
use crate::state::{State, Want};
use commons::error::{Error, name_hint};
use commons::printable;
use commons::shell::shell;

/// A container that waits with `CreateContainerConfigError` or `CreateContainerError`.
pub(super) fn incomplete(at: &ContainerPlace<'_>, status: &ContainerStatus, report: &mut Report) {
    let Some(waiting) = &status.state.waiting else {
        return;
    };
    if !matches!(
        waiting.reason.as_str(),
        "CreateContainerConfigError" | "CreateContainerError"
    ) {
        return;
    }
    let message = waiting.message.as_str();
    let lasts = at.state.since(at.pod.status.start_time).as_secs() >= SETTLES;
    if let Some(name) = between(message, "configmap \"", "\" not found") {
        let user = user(at, name, ConfigSource::ConfigMap);
        missing(
            at.state,
            ConfigSource::ConfigMap,
            name,
            &user,
            lasts,
            report,
        );
    } else if let Some(name) = between(message, "secret \"", "\" not found") {
        let user = user(at, name, ConfigSource::Secret);
        missing(at.state, ConfigSource::Secret, name, &user, lasts, report);
    } else if let Some((key, source, name)) = missing_key(message) {
        no_key(at, source, name, key, lasts, report);
    } else if message.contains("runAsNonRoot") {
        report.add(true, root(at, message));
    } else if message.contains("no command specified") {
        report.add(
            true,
            Error::new(format!("{} has nothing to run", at.subject()))
                .caused_by("the image names no command, and neither does the definition")
                .hint(Remedy::Command.hint(format!("set `{}`", at.field("command")))),
        );
    } else if message.contains("failed to create subPath")
        || message.contains("failed to prepare subPath")
    {
        report.add(
            lasts,
            Error::new(format!("a volume of {} cannot be mounted", at.subject()))
                .caused_by(said(message))
                .hint(format!("see `subPath` in `{}`", at.field("volumeMounts"))),
        );
    } else if waiting.reason == "CreateContainerConfigError" || lasts {
        report.add(
            lasts,
            Error::new(format!("{} cannot be made", at.subject()))
                .caused_by(said(message))
                .hint(format!("see its definition: `{}`", at.field(""))),
        );
    }
}

/// What holds configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConfigSource {
    ConfigMap,
    Secret,
}

impl ConfigSource {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::ConfigMap => "configmap",
            Self::Secret => "secret",
        }
    }

    /// How one is made, up to its name's options.
    fn creation(self) -> &'static str {
        match self {
            Self::ConfigMap => "create configmap",
            Self::Secret => "create secret generic",
        }
    }

    /// The names that there are, if they are known; wanted otherwise.
    pub(super) fn names(self, state: &State, report: &mut Report) -> Option<BTreeSet<String>> {
        match self {
            Self::ConfigMap => {
                let known = &state.more.config_maps;
                if known.is_none() {
                    report.wants.insert(Want::ConfigMaps);
                }
                known.as_ref().map(|maps| maps.keys().cloned().collect())
            }
            Self::Secret => {
                if state.more.secrets.is_none() {
                    report.wants.insert(Want::Secrets);
                }
                state.more.secrets.clone()
            }
        }
    }

    /// The keys of one, if they are known; wanted otherwise.
    pub(super) fn keys(
        self,
        state: &State,
        name: &str,
        report: &mut Report,
    ) -> Option<BTreeSet<String>> {
        match self {
            Self::ConfigMap => {
                let known = &state.more.config_maps;
                if known.is_none() {
                    report.wants.insert(Want::ConfigMaps);
                }
                known.as_ref()?.get(name).cloned()
            }
            Self::Secret => {
                let known = state.more.secret_keys.get(name);
                if known.is_none() {
                    report.wants.insert(Want::SecretKeys(name.to_owned()));
                }
                known.cloned()
            }
        }
    }
}

/// Something that a definition refers to does not exist. `user` is who refers to it, as a field.
pub(super) fn missing(
    state: &State,
    source: ConfigSource,
    name: &str,
    user: &str,
    lasts: bool,
    report: &mut Report,
) {
    let names = source.names(state, report);
    // It exists by now: the kubelet will find it.
    if names.as_ref().is_some_and(|names| names.contains(name)) {
        return;
    }
    let name = printable::short(name, 253);
    let error = Error::new(format!(
        "{} `{name}`, which {} needs, does not exist",
        source.as_str(),
        state.reference()
    ))
    .caused_by(format!("`{user}` refers to it"));
    let boring = |name: &&String| name.as_str() != "kube-root-ca.crt";
    let near = names
        .as_ref()
        .and_then(|names| name_hint(&name, names.iter().filter(boring).map(String::as_str)));
    let error = match near {
        Some(near) => error.hint(near),
        None => error,
    };
    report.add(
        lasts,
        error.hint(format!(
            "create it: `{}`; or correct `{user}`",
            there(
                state,
                shell("kubectl")
                    .then(source.creation())
                    .arg(name)
                    .then("--from-literal=KEY=VALUE")
            )
        )),
    );
}

/// The kubelet's words for a key that is missing: the key, and of what.
fn missing_key(message: &str) -> Option<(&str, ConfigSource, &str)> {
    let (key, rest) = message
        .split_once("couldn't find key ")?
        .1
        .split_once(" in ")?;
    let (source, name) = if let Some(name) = rest.strip_prefix("ConfigMap ") {
        (ConfigSource::ConfigMap, name)
    } else {
        (ConfigSource::Secret, rest.strip_prefix("Secret ")?)
    };
    // `NAMESPACE/NAME`, and perhaps more words.
    let name = name.split_whitespace().next()?;
    Some((key, source, name.rsplit('/').next()?))
}

fn no_key(
    at: &ContainerPlace<'_>,
    source: ConfigSource,
    name: &str,
    key: &str,
    lasts: bool,
    report: &mut Report,
) {
    let keys = source.keys(at.state, name, report);
    if keys.as_ref().is_some_and(|keys| keys.contains(key)) {
        return;
    }
    let position = at.container.env.iter().position(|variable| {
        let from = &variable.value_from;
        let reference = match source {
            ConfigSource::ConfigMap => &from.config_map_key_ref,
            ConfigSource::Secret => &from.secret_key_ref,
        };
        reference
            .as_ref()
            .is_some_and(|reference| reference.name == name && reference.key == key)
    });
    let user = match position {
        Some(position) => at.field(&format!("env[{position}].valueFrom")),
        None => at.field("env"),
    };
    let variable = position
        .and_then(|position| at.container.env.get(position))
        .map(|variable| {
            format!(
                " for the variable `{}`",
                printable::short(&variable.name, 100)
            )
        })
        .unwrap_or_default();
    let (name, key) = (printable::short(name, 253), printable::short(key, 253));
    let error = Error::new(format!("{} `{name}` has no key `{key}`", source.as_str())).caused_by(
        format!("`{user}` of {} asks for it{variable}", at.state.reference()),
    );
    let near = keys
        .as_ref()
        .and_then(|keys| name_hint(&key, keys.iter().map(String::as_str)));
    let error = match near {
        Some(near) => error.hint(near),
        None => error,
    };
    report.add(
        lasts,
        error.hint(format!(
            "add the key, or correct `{user}`: `{}`",
            there(
                at.state,
                shell("kubectl edit").then(source.as_str()).arg(name)
            )
        )),
    );
}

/// The field of a container that refers to something.
fn user(at: &ContainerPlace<'_>, name: &str, source: ConfigSource) -> String {
    let env_from = at.container.env_from.iter().position(|from| {
        let reference = match source {
            ConfigSource::ConfigMap => &from.config_map_ref,
            ConfigSource::Secret => &from.secret_ref,
        };
        reference
            .as_ref()
            .is_some_and(|reference| reference.name == name && !reference.optional)
    });
    if let Some(position) = env_from {
        return at.field(&format!("envFrom[{position}]"));
    }
    let variable = at.container.env.iter().position(|variable| {
        let from = &variable.value_from;
        let reference = match source {
            ConfigSource::ConfigMap => &from.config_map_key_ref,
            ConfigSource::Secret => &from.secret_key_ref,
        };
        reference
            .as_ref()
            .is_some_and(|reference| reference.name == name && !reference.optional)
    });
    match variable {
        Some(position) => at.field(&format!("env[{position}].valueFrom")),
        None => at.field("env"),
    }
}

/// `runAsNonRoot`, and an image that runs as root or does not tell by a number.
fn root(at: &ContainerPlace<'_>, message: &str) -> Error {
    let error = Error::new(format!("{} may not run as root", at.subject()));
    let error = if let Some(user) = between(message, "non-numeric user (", ")") {
        error.caused_by(format!(
            "the image's user is `{}`, and by a name alone the cluster cannot tell that this is not root",
            printable::short(user, 60)
        ))
    } else if message.contains("image will run as root") {
        error.caused_by("its definition says `runAsNonRoot: true`, and the image runs as root")
    } else {
        error.caused_by(said(message))
    };
    error.hint(Remedy::User.hint(format!(
        "say as whom it runs: `runAsUser: 1000` in `{}`, or take an image made to run without root",
        pod_field(at.state, "securityContext")
    )))
}
