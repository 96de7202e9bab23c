//! What a registry says of an image, as far as that helps before it runs.

use commons::{Cluster, printable};

use crate::client::{self, Inspection};
use crate::config::User;
use crate::reference::ImageReference;

/// What nodes are, as far as a namespace's owner knows: they may not be asked.
const ARCHITECTURE: &str = "amd64";

/// What is known of an image without running it. Nothing is known where its registry cannot be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageFacts {
    /// Why it cannot be pulled: its registry says so to everybody.
    pub missing: Option<String>,
    /// The ports that it says it listens on.
    pub ports: Vec<u16>,
    /// Whether it runs as root unless told otherwise.
    pub is_root: bool,
    /// The user that it runs as by name, which cannot be checked to be no root.
    pub user_by_name: Option<String>,
}

/// Asks an image's registry, as anybody may. What this machine cannot see is not complained about: the nodes may.
pub async fn look_up(cluster: &Cluster, image: &str) -> ImageFacts {
    let Ok(reference) = image.parse::<ImageReference>() else {
        // Its name is a finding of its own.
        return ImageFacts::default();
    };
    if reference.is_local() {
        return ImageFacts::default();
    }
    match client::inspect(
        &reference,
        ARCHITECTURE,
        client::PATIENCE,
        cluster.server_host(),
    )
    .await
    {
        Inspection::Found(image) => ImageFacts {
            missing: None,
            ports: image.ports,
            is_root: image.user == User::Root,
            user_by_name: match image.user {
                User::Named(name) => Some(name),
                _ => None,
            },
        },
        seen => ImageFacts {
            missing: why_missing(&reference, seen),
            ..ImageFacts::default()
        },
    }
}

/// Text of a registry in a sentence.
fn shown(text: &str) -> String {
    printable::short(text, 120)
}

/// Why an image cannot be pulled, where its registry says so clearly.
fn why_missing(reference: &ImageReference, seen: Inspection) -> Option<String> {
    match seen {
        Inspection::NoSuchRepository => Some(format!("{} has no such image", reference.registry())),
        Inspection::NoSuchTag(similar) if similar.is_empty() => Some(format!(
            "there is no tag `{}` of it",
            reference.tag().unwrap_or_default()
        )),
        Inspection::NoSuchTag(similar) => {
            let tags: Vec<String> = similar
                .iter()
                .map(|tag| format!("`{}`", shown(tag)))
                .collect();
            Some(format!(
                "there is no tag `{}` of it, but {}",
                reference.tag().unwrap_or_default(),
                tags.join(", ")
            ))
        }
        Inspection::OtherArchitecture(offered) => Some(format!(
            "it is made for {} only, and most clusters are {ARCHITECTURE}",
            shown(&offered.join(", "))
        )),
        // Private ones have their Secret, and what is unclear from here may be clear to the nodes.
        Inspection::Found(_)
        | Inspection::Private
        | Inspection::RateLimited
        | Inspection::Unreachable(_)
        | Inspection::Unclear(_) => None,
    }
}
