//! Which key of which Secret or ConfigMap a file of a container is.

use k8s_openapi::api::core::v1::{KeyToPath, Volume, VolumeMount};

use super::variables::{Holder, Key, Known, Lookup, Value, Variables, at};
use commons::printable;

/// An object of which a volume is made.
struct VolumeSource<'a> {
    holder: Holder,
    items: Option<&'a [KeyToPath]>,
    optional: bool,
}

impl<'a> VolumeSource<'a> {
    fn new(holder: Holder, items: Option<&'a Vec<KeyToPath>>, optional: Option<bool>) -> Self {
        Self {
            holder,
            items: items.map(Vec::as_slice),
            optional: optional == Some(true),
        }
    }

    /// The key that stands in a volume under this path.
    fn key(&self, path: &str) -> Option<String> {
        match self.items {
            Some(items) => items
                .iter()
                .find(|item| parts(&item.path).eq(parts(path)))
                .map(|item| item.key.clone()),
            None => Some(path.to_owned()).filter(|path| !path.contains('/')),
        }
    }
}

/// What stands in the file at this path; unknown where it comes from anything but a Secret or ConfigMap.
pub(super) fn file(variables: &Variables, path: &str, known: &Known) -> Lookup {
    let unknown = || {
        let path = printable::short(path, 120);
        Ok(Value::Unknown(Some(format!("file `{path}` of its pod"))))
    };
    let mounts = variables.container.volume_mounts.iter().flatten();
    // The deepest one hides what is mounted above it.
    let mount = mounts
        .filter(|mount| below(&mount.mount_path, path).is_some())
        .max_by_key(|mount| parts(&mount.mount_path).count());
    let Some((mount, volume)) = mount.and_then(|mount| {
        let mut volumes = variables.volumes.iter();
        let volume = volumes.find(|volume| volume.name == mount.name)?;
        Some((mount, volume))
    }) else {
        return unknown();
    };
    let (Some(sources), Some(path)) = (sources(volume), in_volume(mount, path)) else {
        return unknown();
    };
    let certain = sources.len() == 1;
    for source in sources {
        let Some(key) = source.key(&path) else {
            continue;
        };
        let key = Key {
            holder: source.holder,
            key,
            is_file: true,
        };
        // Of several objects, the one that has the key.
        match at(key, source.optional || !certain, known)? {
            Value::Absent if !certain => {}
            found => return Ok(found),
        }
    }
    unknown()
}

/// The objects of which a volume is made; nothing for other volumes, such as claims.
fn sources(volume: &Volume) -> Option<Vec<VolumeSource<'_>>> {
    if let Some(secret) = &volume.secret {
        let name = secret.secret_name.clone()?;
        let holder = Holder::Secret(name);
        return Some(vec![VolumeSource::new(
            holder,
            secret.items.as_ref(),
            secret.optional,
        )]);
    }
    if let Some(map) = &volume.config_map {
        let holder = Holder::ConfigMap(map.name.clone());
        return Some(vec![VolumeSource::new(
            holder,
            map.items.as_ref(),
            map.optional,
        )]);
    }
    let projected = volume.projected.as_ref()?.sources.iter().flatten();
    let sources = projected.filter_map(|source| match (&source.secret, &source.config_map) {
        (Some(secret), _) => Some(VolumeSource::new(
            Holder::Secret(secret.name.clone()),
            secret.items.as_ref(),
            secret.optional,
        )),
        (None, Some(map)) => Some(VolumeSource::new(
            Holder::ConfigMap(map.name.clone()),
            map.items.as_ref(),
            map.optional,
        )),
        (None, None) => None,
    });
    Some(sources.collect())
}

/// A path in the container as a path in the volume that is mounted there.
fn in_volume(mount: &VolumeMount, path: &str) -> Option<String> {
    if mount.sub_path_expr.is_some() {
        return None;
    }
    let below = below(&mount.mount_path, path)?;
    let start = mount.sub_path.iter().flat_map(|path| parts(path));
    let path: Vec<&str> = start.chain(below).collect();
    Some(path.join("/"))
}

/// What is left of a path below another one; empty for the same.
fn below<'a>(above: &str, path: &'a str) -> Option<Vec<&'a str>> {
    let (mut above, mut path) = (parts(above), parts(path));
    if path.clone().any(|part| part == "..") || !above.all(|part| path.next() == Some(part)) {
        return None;
    }
    Some(path.collect())
}

fn parts(path: &str) -> impl Iterator<Item = &str> + Clone {
    path.split('/')
        .filter(|part| !part.is_empty() && *part != ".")
}
