//! Keeping new tokens in the kubeconfig, beside kubectl and other commands of ours that want the same at the same time.
//!
//! kubectl refreshes first and then locks, by making `FILE.lock`, which it neither waits for nor removes when it is killed; it
//! truncates the file and writes it again. A refresh token that counts once is lost if the answer cannot be kept. So ours queue
//! on a lock of their own from reading to writing, find out that the file can be written before they ask, hold kubectl's lock
//! only for the write, and write in place: links, owner and mode stay.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::kubeconfig::{document, text};
use crate::error::{Error, Kind, Result};
use crate::printable;
use crate::shell::shell;

/// kubectl holds its lock for milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// Each of those before us takes a second or, where the issuer does not answer, twenty.
const QUEUE: Duration = Duration::from_mins(1);

/// The file by which kubectl says that it is writing.
pub(super) fn lock_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// Waits until no other command of ours refreshes the login of this file; the next one waits until this is dropped. Goes on for
/// as long as somebody `wants` it.
///
/// # Errors
/// A file that has gone; another command that does not come to an end.
pub(super) fn queue(path: &Path, wants: impl Fn() -> bool) -> Result<File> {
    let start = Instant::now();
    loop {
        let file = open_to_lock(path).map_err(|error| unsaved(path, &error.to_string()))?;
        match file.try_lock() {
            Ok(()) if is_same(&file, path) => return Ok(file),
            Err(TryLockError::WouldBlock) if start.elapsed() > QUEUE || !wants() => {
                return Err(Error::of(Kind::Unauthorized, "the login cannot be renewed")
                    .caused_by("another command is renewing it and does not come to an end")
                    .hint("end that command, then retry"));
            }
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
            // A file system without locks is used without: as kubectl uses all of them.
            Err(TryLockError::Error(_)) => return Ok(file),
        }
    }
}

/// The lock is on the kubeconfig itself, so that nothing is left over.
#[cfg(unix)]
fn open_to_lock(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Locks are mandatory here: kubectl could not read a kubeconfig that is locked.
#[cfg(not(unix))]
fn open_to_lock(path: &Path) -> io::Result<File> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    let name = format!("kube-commons-{:016x}.lock", hasher.finish());
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(std::env::temp_dir().join(name))
}

/// Whether the file that was locked is still the one at `path`; editors put a new one in its place.
#[cfg(unix)]
fn is_same(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => true,
    }
}

#[cfg(not(unix))]
fn is_same(_: &File, _: &Path) -> bool {
    true
}

/// kubectl's lock while we hold it.
struct Lock(PathBuf);

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Takes kubectl's lock; `None` where it is left over, or where the folder lets nobody make files, so that no kubectl writes
/// there either.
fn take_lock(path: &Path) -> Option<Lock> {
    let lock = lock_of(path);
    let start = Instant::now();
    loop {
        match OpenOptions::new().write(true).create_new(true).open(&lock) {
            Ok(_) => return Some(Lock(lock)),
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return None,
            Err(_) if start.elapsed() > PATIENCE => return None,
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

fn stale(lock: &Path) -> Error {
    let age = fs::metadata(lock)
        .and_then(|about| about.modified())
        .ok()
        .and_then(|at| at.elapsed().ok());
    let age = age.map_or_else(|| "some time".to_owned(), crate::duration::rough);
    let path = lock.display().to_string();
    Error::of(Kind::Unauthorized, "the login cannot be renewed")
        .caused_by(format!(
            "the kubeconfig is locked by {}, which is {age} old",
            printable::short(&path, 200)
        ))
        .hint(format!(
            "if no `kubectl` is running, one was interrupted: `{}`",
            shell("rm").arg(path)
        ))
}

/// Finds out whether new tokens could be kept, before a refresh token is spent.
///
/// # Errors
/// The file cannot be written, or kubectl's lock is left over.
pub(super) fn check(path: &Path) -> Result<()> {
    let (start, lock) = (Instant::now(), lock_of(path));
    while lock.exists() {
        if start.elapsed() > PATIENCE {
            return Err(stale(&lock));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    match OpenOptions::new().write(true).open(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(unsaved(path, &error.to_string())
            .hint("make that file writable, or set KUBECONFIG to a writable copy")),
    }
}

/// Puts new values into `auth-provider.config` of a user. Nothing else in the file changes. Returns the file, which may not be on
/// the disk yet: who renews a login after us does not wait for that.
///
/// # Errors
/// The file cannot be written; then it is as it was.
pub(super) fn keep(path: &Path, user: &str, values: &[(&str, &str)]) -> Result<File> {
    // By now the tokens must be kept, also where a lock was left over meanwhile.
    let lock = take_lock(path);
    let write = || -> Result<File, String> {
        let before = fs::read(path).map_err(|error| error.to_string())?;
        let after = with(&text(&before)?, user, values)?;
        let open = OpenOptions::new().write(true).open(path);
        let mut file = open.map_err(|error| error.to_string())?;
        let written = overwrite(&mut file, after.as_bytes(), before.len());
        match written {
            Ok(()) => Ok(file),
            Err(error) => {
                let _ = overwrite(&mut file, &before, before.len());
                Err(error.to_string())
            }
        }
    };
    let kept = write().map_err(|why| {
        unsaved(path, &why)
            .hint("log in again (on Onyxia: My account, Kubernetes): the old tokens are spent")
    });
    drop(lock);
    kept
}

/// Not truncated first, and of the old length until all is there: who reads meanwhile finds no half of it.
fn overwrite(file: &mut File, content: &[u8], before: usize) -> io::Result<()> {
    let mut padded = content.to_vec();
    padded.resize(before.max(content.len()), b'\n');
    file.rewind()?;
    file.write_all(&padded)?;
    file.set_len(content.len() as u64)
}

fn unsaved(path: &Path, why: &str) -> Error {
    let path = printable::short(&path.display().to_string(), 200);
    Error::of(Kind::Unauthorized, "the login cannot be renewed").caused_by(format!(
        "cannot save new tokens to {path}: {}",
        printable::short(why, 200)
    ))
}

/// A kubeconfig's text with new values. Where the old ones can be replaced letter by letter, comments and form stay; else it
/// is written anew, as kubectl does.
fn with(text: &str, user: &str, values: &[(&str, &str)]) -> Result<String, String> {
    let before = document(text)?;
    let mut wanted = before.clone();
    let config = config_of(&mut wanted, user).ok_or("the user has gone from it")?;
    let mut edited = text.to_owned();
    for (key, value) in values {
        if let Some(old) = config[*key].as_str().filter(|old| !old.is_empty()) {
            edited = edited.replace(old, value);
        }
        config[*key] = Value::from(*value);
    }
    if document(&edited).is_ok_and(|after| after == wanted) {
        return Ok(edited);
    }
    serde_saphyr::to_string(&wanted).map_err(|error| error.to_string())
}

fn config_of<'a>(document: &'a mut Value, user: &str) -> Option<&'a mut Value> {
    let users = document.get_mut("users")?.as_array_mut()?;
    let user = users
        .iter_mut()
        .find(|item| item["name"].as_str().unwrap_or_default() == user)?;
    user.get_mut("user")?
        .get_mut("auth-provider")?
        .get_mut("config")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# mine
users:
- name: other
  user: {token: keep-this}
- name: me
  user:
    auth-provider:
      name: oidc
      config:
        id-token: old.id.token   # five minutes
        refresh-token: 'old-refresh'
        client-id: c
";

    #[test]
    fn only_the_tokens_change() {
        let new = with(
            FILE,
            "me",
            &[
                ("id-token", "new.id.token"),
                ("refresh-token", "new-refresh"),
            ],
        );
        let wanted = FILE
            .replace("old.id.token", "new.id.token")
            .replace("old-refresh", "new-refresh");
        assert_eq!(new, Ok(wanted));
    }

    #[test]
    fn a_value_that_stands_elsewhere_too_is_changed_in_one_place() {
        let file = FILE.replace("old-refresh", "c");
        let new = with(&file, "me", &[("refresh-token", "r2")]).expect("a text");
        let new = document(&new).expect("YAML");
        let config = &new["users"][1]["user"]["auth-provider"]["config"];
        assert_eq!(
            (&config["refresh-token"], &config["client-id"]),
            (&Value::from("r2"), &Value::from("c"))
        );
        assert_eq!(new["users"][0]["user"]["token"], "keep-this");
    }

    #[test]
    fn a_value_that_is_not_there_is_added() {
        let file = FILE.replace("        id-token: old.id.token   # five minutes\n", "");
        let new = with(&file, "me", &[("id-token", "a.b.c")]).expect("a text");
        assert_eq!(
            document(&new).expect("YAML")["users"][1]["user"]["auth-provider"]["config"]["id-token"],
            "a.b.c"
        );
        assert!(with(FILE, "gone", &[("id-token", "a.b.c")]).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn links_mode_and_length() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().expect("a folder");
        let (real, link) = (folder.path().join("real"), folder.path().join("config"));
        fs::write(&real, FILE).expect("written");
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).expect("a mode");
        symlink(&real, &link).expect("a link");
        keep(&link, "me", &[("id-token", "i"), ("refresh-token", "r")]).expect("kept");
        let text = fs::read_to_string(&real).expect("text");
        assert!(
            text.contains("id-token: i ") && text.ends_with("client-id: c\n"),
            "{text}"
        );
        assert!(fs::symlink_metadata(&link).expect("a link").is_symlink());
        assert_eq!(
            fs::metadata(&real).expect("a file").permissions().mode() & 0o777,
            0o640
        );
        assert_eq!(
            fs::read_dir(folder.path()).expect("a folder").count(),
            2,
            "nothing is left over"
        );
    }

    #[test]
    fn a_lock_that_was_left_over_is_named_before_anything_is_asked() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config");
        fs::write(&path, FILE).expect("written");
        assert!(check(&path).is_ok());
        fs::write(lock_of(&path), "").expect("written");
        let error = check(&path).expect_err("locked");
        assert!(error.causes()[0].contains("config.lock"), "{error:?}");
        // Once there are tokens they are kept all the same.
        keep(&path, "me", &[("id-token", "i")]).expect("kept");
        assert!(lock_of(&path).exists(), "it is not ours to remove");
    }

    #[test]
    fn who_comes_later_waits() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config");
        fs::write(&path, FILE).expect("written");
        let nobody_waits = queue(&path, || true).expect("a place");
        assert!(
            queue(&path, || false).is_err(),
            "nobody waits for it any more"
        );
        drop(nobody_waits);
        let first = queue(&path, || true).expect("a place");
        let there = path.clone();
        let second = std::thread::spawn(move || {
            let _place = queue(&there, || true).expect("a place");
            fs::read_to_string(&there).expect("text")
        });
        fs::write(&path, "changed").expect("written");
        drop(first);
        assert_eq!(second.join().expect("a thread"), "changed");
    }
}
