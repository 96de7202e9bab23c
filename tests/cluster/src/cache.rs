//! What is slow to make is kept outside the checkout, under the hash of what it is made from: a fresh clone finds it again, and a
//! changed recipe never finds the old result. Two processes at once make an entry once: the second waits for the first.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use crate::error::{Context as _, Error, Result};

/// The directory that holds every entry, existing or not.
pub fn directory() -> Result<PathBuf> {
    let set = |name: &str| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let directory = set("COMMONS_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("kube-commons")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/kube-commons")))
        .ok_or_else(|| {
            Error::new("no place for the cache is known").hint("set `COMMONS_CACHE` to a directory")
        })?;
    std::path::absolute(&directory)
        .with_context(|| format!("{} cannot be resolved", directory.display()))
}

/// What an entry is made from, as a short hash.
pub(crate) struct Key(Sha256);

impl Key {
    pub(crate) fn new() -> Self {
        Self(Sha256::new())
    }

    /// Adds an ingredient. Its length goes in too, so that no two lists of ingredients run together into the same bytes.
    pub(crate) fn with(mut self, ingredient: impl AsRef<[u8]>) -> Self {
        let bytes = ingredient.as_ref();
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    /// The first 16 hexadecimal digits: enough to tell recipes apart.
    pub(crate) fn short(self) -> String {
        hex(&self.0.finalize())[..16].to_owned()
    }
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// An entry of the cache: a directory that is there whole or not at all.
pub(crate) struct Entry {
    path: PathBuf,
}

impl Entry {
    /// The entry `kind/name`, where the name carries the hash.
    pub(crate) fn new(kind: &str, name: &str) -> Result<Self> {
        Ok(Self {
            path: directory()?.join(kind).join(name),
        })
    }

    /// Where it is once made.
    #[cfg(test)]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is made already.
    pub(crate) fn exists(&self) -> bool {
        self.path.is_dir()
    }

    /// The entry, made by `make` in a scratch directory if it is not there yet. `waiting` is called when another process is at it.
    pub(crate) fn get_or_make(
        &self,
        waiting: impl FnOnce(),
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        if self.exists() {
            return Ok(self.path.clone());
        }
        let kind = self
            .path
            .parent()
            .ok_or_else(|| Error::new("the cache entry has no directory"))?;
        fs::create_dir_all(kind).with_context(|| format!("{} cannot be made", kind.display()))?;
        let _lock = lock(&self.path.with_extension("lock"), waiting)?;
        if self.exists() {
            return Ok(self.path.clone());
        }
        // The lock is held: whatever scratch directory is there was left by a run that was killed.
        let scratch = self.path.with_extension("making");
        remove_all(&scratch)?;
        fs::create_dir(&scratch)
            .with_context(|| format!("{} cannot be made", scratch.display()))?;
        if let Err(error) = make(&scratch) {
            // The reason the entry could not be made matters more than scratch that could not be removed.
            let _ = remove_all(&scratch);
            return Err(error);
        }
        fs::rename(&scratch, &self.path)
            .with_context(|| format!("{} cannot be put in place", self.path.display()))?;
        Ok(self.path.clone())
    }
}

/// Holds a lock file until dropped.
pub(crate) fn lock(path: &Path, waiting: impl FnOnce()) -> Result<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("{} cannot be opened", path.display()))?;
    if file.try_lock().is_err() {
        waiting();
        file.lock()
            .with_context(|| format!("{} cannot be locked", path.display()))?;
    }
    Ok(file)
}

/// Removes a directory tree if it is there. Go's module files are read-only, which does not stop root, nor an owner after chmod.
pub(crate) fn remove_all(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::new(format!("{} cannot be removed", path.display())).because(error))
        }
        _ => Ok(()),
    }
}

/// Removes a file if it is there.
pub(crate) fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::new(format!("{} cannot be removed", path.display())).because(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_the_hash_of_every_ingredient_in_order() {
        let key = |parts: &[&str]| parts.iter().fold(Key::new(), Key::with).short();
        assert_eq!(key(&["go.mod", "flags"]), key(&["go.mod", "flags"]));
        assert_ne!(key(&["go.mod", "flags"]), key(&["flags", "go.mod"]));
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_eq!(key(&["a"]).len(), 16);
    }

    #[test]
    fn hexadecimal_keeps_leading_zeroes() {
        assert_eq!(hex(&[0, 10, 255]), "000aff");
    }

    fn entry(directory: &Path) -> Entry {
        Entry {
            path: directory.join("programs/etcd-1"),
        }
    }

    #[test]
    fn an_entry_is_made_once() {
        let directory = tempfile::tempdir().unwrap();
        let mut made = 0;
        for _ in 0..2 {
            let path = entry(directory.path())
                .get_or_make(
                    || (),
                    |scratch| {
                        made += 1;
                        fs::write(scratch.join("etcd"), "program").context("write")
                    },
                )
                .unwrap();
            assert_eq!(fs::read_to_string(path.join("etcd")).unwrap(), "program");
        }
        assert_eq!(made, 1);
    }

    #[test]
    fn a_failed_entry_leaves_nothing_and_is_tried_again() {
        let directory = tempfile::tempdir().unwrap();
        let entry = entry(directory.path());
        entry
            .get_or_make(|| (), |_| Err(Error::new("no room")))
            .unwrap_err();
        assert!(!entry.exists() && !entry.path.with_extension("making").exists());
        entry.get_or_make(|| (), |_| Ok(())).unwrap();
    }

    #[test]
    fn scratch_of_a_killed_run_does_not_get_into_the_entry() {
        let directory = tempfile::tempdir().unwrap();
        let entry = entry(directory.path());
        fs::create_dir_all(entry.path.with_extension("making").join("half")).unwrap();
        let path = entry.get_or_make(|| (), |_| Ok(())).unwrap();
        assert!(!path.join("half").exists());
    }

    #[test]
    fn two_at_once_make_an_entry_once() {
        let directory = tempfile::tempdir().unwrap();
        let made = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    entry(directory.path())
                        .get_or_make(
                            || (),
                            |_| {
                                made.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                                std::thread::sleep(std::time::Duration::from_millis(30));
                                Ok(())
                            },
                        )
                        .unwrap();
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
    }
}
