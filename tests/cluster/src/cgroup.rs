//! The cgroup below which the pods of a node live, on hosts with the old hierarchies, the unified one, or both.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    components::CGROUP_HIERARCHY,
    error::{Context as _, Error, Result},
    layout::Layout,
    wait,
};

/// How long a cgroup may stay busy after its last process ended.
const PATIENCE: Duration = Duration::from_secs(10);

/// Makes the node's cgroup in every hierarchy. Called inside the node, where the hierarchies are the host's.
pub(crate) fn create(layout: &Layout) -> Result<()> {
    for hierarchy in hierarchies() {
        let own = hierarchy.join(layout.cgroup());
        match fs::create_dir(&own) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(Error::new(format!("{} cannot be made", own.display())).because(error));
            }
            _ => {}
        }
        // A new cpuset has neither processors nor memory and takes no process until it does.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let (from, to) = (hierarchy.join(file), own.join(file));
            if from.exists() && to.exists() && hierarchy.join("cpuset.clone_children").exists() {
                fs::copy(&from, &to)
                    .with_context(|| format!("{} cannot be written", to.display()))?;
            }
        }
    }
    Ok(())
}

/// Removes the node's cgroups once its processes are gone.
pub(crate) fn remove(layout: &Layout) -> Result<()> {
    wait::until("the node's cgroups are empty", PATIENCE, || {
        for hierarchy in hierarchies() {
            remove_tree(&hierarchy.join(layout.cgroup()));
        }
        Ok(leftovers(layout).is_empty().then_some(()))
    })
}

/// The node's cgroups that exist.
pub(crate) fn leftovers(layout: &Layout) -> Vec<PathBuf> {
    hierarchies()
        .into_iter()
        .map(|hierarchy| hierarchy.join(layout.cgroup()))
        .filter(|own| own.exists())
        .collect()
}

/// The mounted hierarchies: the unified one alone, or one directory per controller.
fn hierarchies() -> Vec<PathBuf> {
    let root = Path::new(CGROUP_HIERARCHY);
    if root.join("cgroup.controllers").exists() {
        return vec![root.to_owned()];
    }
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    // Controllers mounted together have links beside the directory.
    entries
        .map(|entry| entry.path())
        .filter(|path| path.join("cgroup.procs").exists() && !path.is_symlink())
        .collect()
}

/// Cgroups have no files to remove, only directories, deepest first. What is still busy stays for the next turn.
fn remove_tree(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    let _ = fs::remove_dir(directory);
}
