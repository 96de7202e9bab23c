//! Links in directories of others, such as a repository: what is read may be another file than its name says.

use std::path::{Component, Path, PathBuf};

use commons::{Ui, printable};

/// Warns of a file that is read through a link which leads out of the directory where the link stands.
pub fn warn(ui: &Ui, file: &Path) {
    if let Some((link, target)) = leads_out(file) {
        ui.warning(format!(
            "`{}` is a link that leads to `{}`",
            printable::short(&link.to_string_lossy(), 200),
            printable::short(&target.to_string_lossy(), 200)
        ));
    }
}

/// The first part of a path that is a link out of its own directory, and where it leads. Of a whole path from `/` only the last
/// part counts: systems have links of their own before it (`/var/run`).
fn leads_out(file: &Path) -> Option<(PathBuf, PathBuf)> {
    let mut path = PathBuf::new();
    for part in file.components() {
        path.push(part);
        if matches!(part, Component::Normal(_))
            && (file.is_relative() || path == file)
            && let Some(target) = link_out(&path)
        {
            return Some((path, target));
        }
    }
    None
}

fn link_out(path: &Path) -> Option<PathBuf> {
    if !path
        .symlink_metadata()
        .is_ok_and(|about| about.is_symlink())
    {
        return None;
    }
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let (target, directory) = (path.canonicalize().ok()?, directory.canonicalize().ok()?);
    (!target.starts_with(directory)).then_some(target)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_that_leave_their_directory_are_told() {
        let name = format!("kube-commons-link-{}", std::process::id());
        let top = std::env::temp_dir().join(name);
        std::fs::create_dir_all(top.join("repository/sub")).expect("a directory");
        let top = top.canonicalize().expect("it is there");
        let inside = |name: &str| top.join("repository").join(name);
        std::fs::write(top.join("config"), "secret").expect("a file");
        std::fs::write(inside("real"), "text").expect("a file");
        symlink("../config", inside("app.toml")).expect("a link");
        symlink("app.toml", inside("twice.toml")).expect("a link");
        symlink("real", inside("same.toml")).expect("a link");
        symlink("sub", inside("folder")).expect("a link");
        symlink("nowhere", inside("broken")).expect("a link");
        let leads = |name: &str| leads_out(&inside(name)).map(|(_, target)| target);
        let target = Some(top.join("config"));
        assert_eq!(leads("app.toml"), target);
        assert_eq!(leads("twice.toml"), target, "by another link");
        for name in ["real", "same.toml", "folder", "broken", "absent"] {
            assert_eq!(leads(name), None, "{name}");
        }
        std::fs::remove_dir_all(top).expect("it is gone");
    }
}
