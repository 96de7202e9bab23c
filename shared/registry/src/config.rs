//! What registries say about an image: which architectures it is made for, and what its author configured.
//!
//! The shapes are those of the OCI image specification 1.1 and of Docker's image manifest V2, schema 2, which differ in their
//! media types only.

use serde::Deserialize;
use serde_json::Value;

use crate::reference::is_digest;

/// What an image says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// The TCP ports that its author says it listens on, ascending. Only a hint: nothing makes it true.
    pub ports: Vec<u16>,
    /// As whom it runs unless told otherwise.
    pub user: User,
    /// The architectures of Linux that it is offered for: `amd64`, `arm64`, `arm/v7`.
    pub architectures: Vec<String>,
}

/// As whom an image runs. Under `runAsNonRoot` without `runAsUser` the kubelet starts [`User::Id`] alone: it looks no name up, and
/// refuses with `CreateContainerConfigError`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum User {
    /// As root.
    #[default]
    Root,
    /// By number.
    Id(u32),
    /// By a name of its own `/etc/passwd`.
    Named(String),
}

impl User {
    /// From `user`, `user:group` or nothing.
    fn from(text: &str) -> Self {
        let user = text.split(':').next().unwrap_or_default().trim();
        match user.parse() {
            _ if user.is_empty() || user == "root" => Self::Root,
            Ok(0) => Self::Root,
            Ok(id) => Self::Id(id),
            Err(_) => Self::Named(user.to_owned()),
        }
    }
}

/// What a reference leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum Manifest {
    /// A list of images, one a platform.
    Index(Vec<IndexEntry>),
    /// One image: the digest of its configuration.
    Image { config: String },
}

/// One image of an index.
#[derive(Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// The digest of its manifest.
    pub digest: String,
    /// `amd64`, `arm/v7`.
    pub architecture: String,
}

impl Manifest {
    /// Reads an index or a manifest.
    ///
    /// # Errors
    /// A phrase about the registry's answer.
    pub fn read(body: &[u8]) -> Result<Self, String> {
        let unclear = || "its answer is not the manifest of an image".to_owned();
        let value: Value = serde_json::from_slice(body).map_err(|_| unclear())?;
        if let Some(entries) = value.get("manifests").and_then(Value::as_array) {
            return Ok(Self::Index(
                entries.iter().filter_map(IndexEntry::read).collect(),
            ));
        }
        if value.get("schemaVersion").and_then(Value::as_u64) == Some(1) {
            return Err(
                "the image is of a format that runtimes no longer take (schema 1)".to_owned(),
            );
        }
        match value.pointer("/config/digest").and_then(Value::as_str) {
            Some(digest) if is_digest(digest) => Ok(Self::Image {
                config: digest.to_owned(),
            }),
            _ => Err(unclear()),
        }
    }
}

impl IndexEntry {
    /// An image for Linux. Windows has others, and what is attached to images (signatures, provenance) has no platform.
    fn read(value: &Value) -> Option<Self> {
        let platform = value.get("platform")?;
        let part = |name| platform.get(name).and_then(Value::as_str);
        let digest = value.get("digest")?.as_str()?;
        if part("os") != Some("linux") || !is_digest(digest) {
            return None;
        }
        Some(Self {
            digest: digest.to_owned(),
            architecture: architecture(part("architecture")?, part("variant")),
        })
    }

    /// Whether a node of this architecture runs it.
    pub fn is_for(&self, architecture: &str) -> bool {
        runs_on(&self.architecture, architecture)
    }
}

/// Whether an image for `offered` (`arm64`, `arm/v7`) is one for `wanted` (`arm64`, `arm`, `arm/v7`).
pub fn runs_on(offered: &str, wanted: &str) -> bool {
    offered == wanted || offered.split('/').next() == Some(wanted)
}

/// An architecture with its variant, unless that is the only one there is.
fn architecture(name: &str, variant: Option<&str>) -> String {
    match (name, variant) {
        ("arm64", Some("v8")) | (_, None | Some("")) => name.to_owned(),
        (name, Some(variant)) => format!("{name}/{variant}"),
    }
}

/// An image's configuration, as its author's build tool wrote it.
#[derive(Deserialize)]
struct Configuration {
    architecture: Option<String>,
    variant: Option<String>,
    #[serde(default)]
    config: Option<ImageSettings>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ImageSettings {
    user: Option<String>,
    exposed_ports: Option<serde_json::Map<String, Value>>,
}

impl Image {
    /// Reads an image's configuration.
    ///
    /// # Errors
    /// A phrase about the registry's answer.
    pub fn read(body: &[u8]) -> Result<Self, String> {
        let read: Configuration = serde_json::from_slice(body)
            .map_err(|_| "its answer is not the configuration of an image".to_owned())?;
        let settings = read.config.unwrap_or_default();
        let mut ports: Vec<u16> = settings
            .exposed_ports
            .iter()
            .flat_map(serde_json::Map::keys)
            .filter_map(|port| port.strip_suffix("/tcp").unwrap_or(port).parse().ok())
            .collect();
        ports.sort_unstable();
        ports.dedup();
        Ok(Self {
            ports,
            user: User::from(settings.user.as_deref().unwrap_or_default()),
            architectures: read
                .architecture
                .map(|name| architecture(&name, read.variant.as_deref()))
                .into_iter()
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn digest(letter: char) -> String {
        format!("sha256:{}", letter.to_string().repeat(64))
    }

    fn read(value: &Value) -> Result<Manifest, String> {
        Manifest::read(value.to_string().as_bytes())
    }

    #[test]
    fn an_index_has_one_image_for_each_kind_of_linux() {
        let platform = |os: &str, architecture: &str, variant: Value| json!({"os": os, "architecture": architecture, "variant": variant});
        let index = read(&json!({
            "schemaVersion": 2,
            "manifests": [
                {"digest": digest('a'), "platform": platform("linux", "amd64", json!(null))},
                {"digest": digest('b'), "platform": platform("linux", "arm", json!("v7"))},
                {"digest": digest('c'), "platform": platform("linux", "arm64", json!("v8"))},
                {"digest": digest('d'), "platform": platform("windows", "amd64", json!(null))},
                {"digest": digest('e'), "platform": platform("unknown", "unknown", json!(null))},
                {"digest": "../../secrets", "platform": platform("linux", "s390x", json!(null))},
                {"digest": digest('f')},
            ],
        }));
        let Ok(Manifest::Index(entries)) = index else {
            panic!("{index:?}");
        };
        let offered: Vec<&str> = entries
            .iter()
            .map(|entry| entry.architecture.as_str())
            .collect();
        assert_eq!(offered, ["amd64", "arm/v7", "arm64"]);
        let for_whom = |wanted| entries.iter().position(|entry| entry.is_for(wanted));
        assert_eq!(for_whom("amd64"), Some(0));
        assert_eq!(for_whom("arm"), Some(1));
        assert_eq!(for_whom("arm/v7"), Some(1));
        assert_eq!(for_whom("arm/v6"), None);
        assert_eq!(for_whom("arm64"), Some(2));
        assert_eq!(for_whom("s390x"), None);
    }

    #[test]
    fn a_manifest_leads_to_a_configuration() {
        assert_eq!(
            read(&json!({"schemaVersion": 2, "config": {"digest": digest('a')}, "layers": []})),
            Ok(Manifest::Image {
                config: digest('a')
            })
        );
        for (value, why) in [
            (json!({"schemaVersion": 2}), "not the manifest"),
            (json!({"config": {"digest": "../x"}}), "not the manifest"),
            (json!([]), "not the manifest"),
            (json!({"schemaVersion": 1, "fsLayers": []}), "schema 1"),
        ] {
            assert!(read(&value).unwrap_err().contains(why), "{value}");
        }
        assert!(Manifest::read(b"<html>").is_err());
    }

    #[test]
    fn the_configuration_says_ports_user_and_program() {
        let image = Image::read(
            json!({
                "architecture": "arm", "variant": "v7", "os": "linux",
                "config": {
                    "User": "101:101",
                    "ExposedPorts": {"8443/tcp": {}, "8080/tcp": {}, "53/udp": {}, "9000": {}, "http": {}},
                    "Entrypoint": ["/docker-entrypoint.sh"],
                    "Cmd": ["nginx", "-g", "daemon off;"],
                },
            })
            .to_string()
            .as_bytes(),
        )
        .unwrap();
        assert_eq!(
            image,
            Image {
                ports: vec![8080, 8443, 9000],
                user: User::Id(101),
                architectures: vec!["arm/v7".to_owned()],
            }
        );
        for body in [
            json!({}),
            json!({"config": null}),
            json!({"config": {"User": null, "ExposedPorts": null, "Entrypoint": null, "Cmd": null}}),
        ] {
            assert_eq!(
                Image::read(body.to_string().as_bytes()),
                Ok(Image::default())
            );
        }
        assert!(Image::read(b"[1]").is_err());
    }

    #[test]
    fn users_are_told_apart_as_the_kubelet_does() {
        for (text, user) in [
            ("", User::Root),
            ("0", User::Root),
            ("0:0", User::Root),
            ("root", User::Root),
            ("root:users", User::Root),
            (":100", User::Root),
            ("00", User::Root),
            ("1000", User::Id(1000)),
            ("1000:root", User::Id(1000)),
            ("node", User::Named("node".to_owned())),
            ("node:node", User::Named("node".to_owned())),
            ("4294967296", User::Named("4294967296".to_owned())),
        ] {
            assert_eq!(User::from(text), user, "{text}");
        }
    }
}
