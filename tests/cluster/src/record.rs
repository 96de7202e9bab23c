//! What is written down about a node while it runs, so that any later command knows what to trust and what to clean.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    error::{Context as _, Result},
    identity::ProcessIdentity,
};

/// Written by the node's first process before it touches anything: whoever finds it knows what to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Started {
    /// The node's number.
    pub(crate) node: u8,
    /// The process that is PID 1 of the node.
    pub(crate) init: ProcessIdentity,
}

/// Written when the node was proven usable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// The additions that are on it.
    pub(crate) with: Vec<crate::additions::Addition>,
}

impl Started {
    const FILE: &str = "started.json";

    pub(crate) fn read(state: &Path) -> Option<Self> {
        read(&state.join(Self::FILE))
    }

    pub(crate) fn write(&self, state: &Path) -> Result<()> {
        write(&state.join(Self::FILE), self)
    }

    pub(crate) fn remove(state: &Path) {
        // Missing is what is wanted.
        let _ = fs::remove_file(state.join(Self::FILE));
    }
}

impl Ready {
    const FILE: &str = "ready.json";

    pub(crate) fn read(state: &Path) -> Option<Self> {
        read(&state.join(Self::FILE))
    }

    pub(crate) fn write(&self, state: &Path) -> Result<()> {
        write(&state.join(Self::FILE), self)
    }

    pub(crate) fn remove(state: &Path) {
        // Missing is what is wanted.
        let _ = fs::remove_file(state.join(Self::FILE));
    }
}

/// Reads a JSON file; one that is missing or broken was never finished and counts as absent.
fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Writes a JSON file whole or not at all.
pub(crate) fn write<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let failed = || format!("{} cannot be written", path.display());
    let scratch = path.with_extension("new");
    let bytes = serde_json::to_vec_pretty(value).with_context(failed)?;
    fs::write(&scratch, bytes).with_context(failed)?;
    fs::rename(&scratch, path).with_context(failed)
}
