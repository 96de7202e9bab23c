//! What the variables of a database's container are, as the kubelet puts them together, and where their values stand.
//!
//! Nothing is read here. Where a value depends on a Secret or a ConfigMap that was not read yet, that is the answer: it is read
//! and the question is put again. So only what matters is read.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource, PodSpec, Volume};
use secrecy::{ExposeSecret, SecretString};

use super::mounts;
use commons::printable;

/// An object that holds values by their keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// A Secret, by its name.
    Secret(String),
    /// A ConfigMap, by its name.
    ConfigMap(String),
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = match self {
            Self::Secret(name) => ("secret", name),
            Self::ConfigMap(name) => ("configmap", name),
        };
        write!(f, "{kind} `{}`", printable::line(name))
    }
}

/// One value of a [`Holder`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The object.
    pub holder: Holder,
    /// The key in it.
    pub key: String,
    /// Whether the container reads it from a file: what starts the server takes line breaks at its end away then.
    pub is_file: bool,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key `{}` in {}", printable::line(&self.key), self.holder)
    }
}

/// The value of a variable.
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// It is surely not set, or empty, which is the same to the images.
    #[default]
    Absent,
    /// It is set, or may be, in a way that cannot be followed; where it may stand, if that is known.
    Unknown(Option<String>),
    /// It stands in the pod's spec, or is known without any object.
    Plain(SecretString),
    /// It stands under a key of a Secret or ConfigMap.
    Key(Key),
}

impl Value {
    /// A value that is no secret.
    pub(super) fn of(text: &str) -> Self {
        Self::Plain(text.to_owned().into())
    }

    /// The text, as far as what was read tells it.
    pub(super) fn text(&self, known: &Known) -> Option<SecretString> {
        match self {
            Self::Absent | Self::Unknown(_) => None,
            Self::Plain(text) => Some(text.clone()),
            Self::Key(key) => {
                let text = known.get(&key.holder)?.text(&key.key)?;
                let text = if key.is_file {
                    text.trim_end_matches('\n')
                } else {
                    text
                };
                Some(text.to_owned().into())
            }
        }
    }

    /// Whether the object's value ends in a line break, whoever takes it away later.
    pub(super) fn ends_in_line_break(&self, known: &Known) -> bool {
        let Self::Key(key) = self else {
            return false;
        };
        let text = known
            .get(&key.holder)
            .and_then(|contents| contents.text(&key.key));
        text.is_some_and(|text| text.ends_with('\n'))
    }
}

/// What an object holds, as far as one may know.
pub(super) enum Contents {
    /// There is no such object.
    Missing,
    /// One may not read it.
    Unreadable,
    /// Its values.
    Data(BTreeMap<String, Vec<u8>>),
}

impl Contents {
    /// A value as text; nothing if it is no text or cannot be an environment variable.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        let Self::Data(data) = self else {
            return None;
        };
        std::str::from_utf8(data.get(key)?)
            .ok()
            .filter(|text| !text.is_empty() && !text.contains('\0'))
    }
}

/// What was read.
pub(super) type Known = BTreeMap<Holder, Contents>;

/// An answer, or the object that must be read first.
pub(super) type Lookup<T = Value> = Result<T, Holder>;

/// The value under a key, where a reference names it. A reference that is not optional and leads nowhere was good when the pod
/// started, so what it had then is not known.
pub(super) fn at(key: Key, optional: bool, known: &Known) -> Lookup {
    let place = || Some(key.to_string());
    let Some(contents) = known.get(&key.holder) else {
        return Err(key.holder);
    };
    let nowhere = || {
        if optional {
            Value::Absent
        } else {
            Value::Unknown(place())
        }
    };
    Ok(match contents {
        Contents::Missing => nowhere(),
        Contents::Unreadable if optional => Value::Unknown(place()),
        Contents::Unreadable => Value::Key(key),
        Contents::Data(data) => match data.get(&key.key) {
            None => nowhere(),
            Some(bytes) if bytes.is_empty() => Value::Absent,
            Some(_) => Value::Key(key),
        },
    })
}

/// A container with the volumes of its pod.
#[derive(Clone)]
pub(crate) struct Variables {
    pub(super) container: Container,
    pub(super) volumes: Vec<Volume>,
}

impl fmt::Debug for Variables {
    /// Without the values: some are passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Variables")
            .field("container", &self.container.name)
            .finish_non_exhaustive()
    }
}

impl Variables {
    /// Of a container of this pod.
    pub(super) fn of(container: &Container, pod: Option<&PodSpec>) -> Self {
        Self {
            container: container.clone(),
            volumes: pod.and_then(|pod| pod.volumes.clone()).unwrap_or_default(),
        }
    }

    /// The objects of `envFrom`: who needs one needs all, since later ones shadow earlier ones.
    pub(super) fn shared_holders(&self) -> impl Iterator<Item = Holder> {
        let sources = self.container.env_from.iter().flatten();
        sources.filter_map(
            |source| match (&source.secret_ref, &source.config_map_ref) {
                (Some(secret), _) => Some(Holder::Secret(secret.name.clone())),
                (None, Some(map)) => Some(Holder::ConfigMap(map.name.clone())),
                (None, None) => None,
            },
        )
    }

    /// The first of these variables that is set; each may also be given as a file, by its name with `_FILE`.
    pub(super) fn first(&self, names: &[&str], known: &Known) -> Lookup {
        for name in names {
            match self.value_or_file(name, known)? {
                Value::Absent => {}
                found => return Ok(found),
            }
        }
        Ok(Value::Absent)
    }

    /// A variable, or what stands in the file that `NAME_FILE` names. Both at once are an error to the official images; with
    /// Bitnami's the file wins.
    fn value_or_file(&self, name: &str, known: &Known) -> Lookup {
        let of_file = format!("{name}_FILE");
        let env = self.container.env.as_deref().unwrap_or_default();
        if !env.iter().any(|variable| variable.name == of_file) {
            let value = self.value(name, known)?;
            if !matches!(value, Value::Absent) {
                return Ok(value);
            }
        }
        let file = self.value(&of_file, known)?;
        match (&file, file.text(known)) {
            (Value::Absent, _) => self.value(name, known),
            (_, Some(path)) => mounts::file(self, path.expose_secret(), known),
            (_, None) => Ok(Value::Unknown(None)),
        }
    }

    /// A variable: an entry of `env` wins over `envFrom`, and the last one of a name over those before.
    pub(super) fn value(&self, name: &str, known: &Known) -> Lookup {
        let env = self.container.env.as_deref().unwrap_or_default();
        self.value_among(env, name, known)
    }

    fn value_among(&self, env: &[EnvVar], name: &str, known: &Known) -> Lookup {
        let Some(position) = env.iter().rposition(|variable| variable.name == name) else {
            return self.shared_value(name, known);
        };
        let variable = &env[position];
        match (variable.value.as_deref(), &variable.value_from) {
            (None | Some(""), None) => Ok(Value::Absent),
            (None | Some(""), Some(source)) => source_value(source, known),
            // It may name variables that stand before it.
            (Some(text), _) => self.expanded(&env[..position], text, known),
        }
    }

    /// A variable of `envFrom`.
    fn shared_value(&self, name: &str, known: &Known) -> Lookup {
        let sources = self.container.env_from.iter().flatten();
        for source in sources.rev() {
            let prefix = source.prefix.as_deref().unwrap_or_default();
            let Some(key) = name.strip_prefix(prefix).filter(|key| !key.is_empty()) else {
                continue;
            };
            let (holder, optional) = match (&source.secret_ref, &source.config_map_ref) {
                (Some(secret), _) => (Holder::Secret(secret.name.clone()), secret.optional),
                (None, Some(map)) => (Holder::ConfigMap(map.name.clone()), map.optional),
                (None, None) => continue,
            };
            match known.get(&holder) {
                None => return Err(holder),
                Some(Contents::Data(data)) => match data.get(key) {
                    None => {}
                    Some(bytes) if bytes.is_empty() => return Ok(Value::Absent),
                    Some(_) => {
                        let key = key.to_owned();
                        return Ok(Value::Key(Key {
                            holder,
                            key,
                            is_file: false,
                        }));
                    }
                },
                Some(Contents::Missing) if optional == Some(true) => {}
                Some(Contents::Missing | Contents::Unreadable) => {
                    return Ok(Value::Unknown(Some(holder.to_string())));
                }
            }
        }
        Ok(Value::Absent)
    }

    /// Text in which `$(NAME)` stands for a variable and `$$` for a dollar sign, as Kubernetes reads it.
    fn expanded(&self, env: &[EnvVar], text: &str, known: &Known) -> Lookup {
        let (mut expanded, mut rest) = (String::new(), text);
        while let Some((before, after)) = rest.split_once('$') {
            expanded.push_str(before);
            let reference = after
                .strip_prefix('(')
                .and_then(|after| after.split_once(')'));
            if let Some(after) = after.strip_prefix('$') {
                expanded.push('$');
                rest = after;
            } else if let Some((name, after)) = reference {
                let value = self.value_among(env, name, known)?;
                if expanded.is_empty() && after.is_empty() && text.len() == name.len() + 3 {
                    return Ok(match value {
                        // The text stays as it is, or a variable that the cluster sets is meant.
                        Value::Absent => Value::Unknown(None),
                        value => value,
                    });
                }
                let Value::Plain(value) = value else {
                    return Ok(Value::Unknown(None));
                };
                expanded.push_str(value.expose_secret());
                rest = after;
            } else {
                expanded.push('$');
                rest = after;
            }
        }
        expanded.push_str(rest);
        Ok(Value::Plain(expanded.into()))
    }

    /// An argument of the container's command, in which variables may stand.
    pub(super) fn argument(&self, text: &str, known: &Known) -> Lookup {
        let env = self.container.env.as_deref().unwrap_or_default();
        self.expanded(env, text, known)
    }
}

/// What `valueFrom` names.
fn source_value(source: &EnvVarSource, known: &Known) -> Lookup {
    let (holder, key, optional) = match (&source.secret_key_ref, &source.config_map_key_ref) {
        (Some(secret), _) => (
            Holder::Secret(secret.name.clone()),
            &secret.key,
            secret.optional,
        ),
        (None, Some(map)) => (Holder::ConfigMap(map.name.clone()), &map.key, map.optional),
        // A field of the pod, or what its container may use.
        (None, None) => return Ok(Value::Unknown(None)),
    };
    let key = Key {
        holder,
        key: key.clone(),
        is_file: false,
    };
    at(key, optional == Some(true), known)
}
