//! Archives and manifests together: made from what was built, and found again by those who use them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    archive::{self, Entry},
    error::{Error, Result},
    manifest::{self, Download},
    platform::Platform,
    plugin::{Plugin, Workspace},
};

/// Where things are read from and written to.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Where the optimised binaries are.
    pub binaries: PathBuf,
    /// The licence's text.
    pub license: PathBuf,
    /// Where the archives go.
    pub archives: PathBuf,
    /// Where the manifests go.
    pub manifests: PathBuf,
}

/// What there is of one plugin for this machine's platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The plugin.
    pub plugin: Plugin,
    /// Its archive.
    pub archive: PathBuf,
    /// Its manifest.
    pub manifest: PathBuf,
}

impl Layout {
    /// The workspace's own.
    pub fn of(workspace: &Workspace) -> Self {
        Self {
            binaries: workspace.target.join("release"),
            license: workspace.root.join("LICENSE"),
            archives: workspace.root.join("dist"),
            manifests: workspace.root.join("krew-manifests"),
        }
    }

    fn archive(&self, plugin: &Plugin, platform: Platform) -> PathBuf {
        self.archives.join(format!(
            "kubectl-{}-v{}-{platform}.tar.gz",
            plugin.name, plugin.version
        ))
    }

    fn manifest(&self, plugin: &Plugin) -> PathBuf {
        self.manifests.join(format!("{}.yaml", plugin.name))
    }

    fn of_own_platform(&self, plugin: &Plugin) -> Result<Made> {
        Ok(Made {
            plugin: plugin.clone(),
            archive: self.archive(plugin, Platform::own()?),
            manifest: self.manifest(plugin),
        })
    }
}

/// Packs each plugin for this machine's platform and writes its manifest. Manifests of plugins that are no more are removed.
pub fn make(plugins: &[Plugin], layout: &Layout) -> Result<Vec<Made>> {
    let license =
        fs::read(&layout.license).map_err(or_missing(Error::NoLicense, &layout.license))?;
    let platform = Platform::own()?;
    // Everything is read before anything is written.
    let mut packed = Vec::new();
    for plugin in plugins {
        let made = layout.of_own_platform(plugin)?;
        let name = platform.executable(&plugin.binary);
        let path = layout.binaries.join(&name);
        let binary = fs::read(&path).map_err(or_missing(Error::NotBuilt, &path))?;
        let entries = vec![
            Entry {
                name: "LICENSE",
                executable: false,
                content: &license,
            },
            Entry {
                name: &name,
                executable: true,
                content: &binary,
            },
        ];
        let bytes = archive::pack(entries).map_err(Error::file("packed", &path))?;
        packed.push((made, bytes));
    }
    fs::create_dir_all(&layout.archives).map_err(Error::file("made", &layout.archives))?;
    remove_strangers(plugins, layout)?;
    let mut all = Vec::new();
    for (made, bytes) in packed {
        replace(&made.archive, &bytes)?;
        replace(
            &made.manifest,
            manifest::write(&made.plugin, &downloads(&made.plugin, layout)?)?.as_bytes(),
        )?;
        all.push(made);
    }
    Ok(all)
}

/// Finds what [`make`] made, all of it or nothing.
pub fn find(plugins: &[Plugin], layout: &Layout) -> Result<Vec<Made>> {
    let made = plugins
        .iter()
        .map(|plugin| layout.of_own_platform(plugin))
        .collect::<Result<Vec<_>>>()?;
    if let Some(missing) = made
        .iter()
        .flat_map(|made| [&made.archive, &made.manifest])
        .find(|path| !path.is_file())
    {
        return Err(Error::NotMade(missing.clone()));
    }
    Ok(made)
}

/// The archives of a plugin's version that are present, whatever platform they are for.
fn downloads(plugin: &Plugin, layout: &Layout) -> Result<Vec<Download>> {
    let mut downloads = Vec::new();
    for &platform in Platform::ALL {
        let path = layout.archive(plugin, platform);
        if let (Some(file), true) = (path.file_name(), path.is_file()) {
            let bytes = fs::read(&path).map_err(Error::file("read", &path))?;
            downloads.push(Download {
                platform,
                file: file.to_string_lossy().into_owned(),
                sha256: archive::checksum(&bytes),
            });
        }
    }
    Ok(downloads)
}

fn remove_strangers(plugins: &[Plugin], layout: &Layout) -> Result<()> {
    let listing = || Error::file("listed", &layout.manifests);
    for entry in fs::read_dir(&layout.manifests).map_err(listing())? {
        let path = entry.map_err(listing())?.path();
        let kept = path.file_name().is_some_and(|name| name == "template.yaml")
            || plugins.iter().any(|plugin| layout.manifest(plugin) == path);
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
            && !kept
        {
            fs::remove_file(&path).map_err(Error::file("removed", &path))?;
        }
    }
    Ok(())
}

/// Writes a file whole or not at all: an archive cut short by an interruption must not be taken for one.
fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let partial = path.with_added_extension("partial");
    fs::write(&partial, content)
        .and_then(|()| fs::rename(&partial, path))
        .map_err(Error::file("written", path))
}

/// Tells a file that is not there from one that cannot be read.
fn or_missing(missing: fn(PathBuf) -> Error, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| match source.kind() {
        io::ErrorKind::NotFound => missing(path.to_owned()),
        _ => Error::file("read", path)(source),
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as StdError;

    use tempfile::TempDir;

    use super::*;

    type Outcome = Result<(), Box<dyn StdError>>;

    fn plugin(name: &str) -> Plugin {
        Plugin {
            name: name.into(),
            binary: format!("kubectl-{}", name.replace('-', "_")),
            version: "1.2.3".into(),
            repository: "https://example.org/it".into(),
            short_description: "Open it".into(),
            description: "Opens it.".into(),
            caveats: None,
        }
    }

    /// A place where `open-app` was built.
    fn place() -> Result<(TempDir, Layout), Box<dyn StdError>> {
        let directory = tempfile::tempdir()?;
        let below = |name: &str| directory.path().join(name);
        let layout = Layout {
            binaries: below("release"),
            license: below("LICENSE"),
            archives: below("dist"),
            manifests: below("manifests"),
        };
        fs::create_dir(&layout.binaries)?;
        fs::create_dir(&layout.manifests)?;
        fs::write(&layout.license, "terms")?;
        fs::write(
            layout
                .binaries
                .join(Platform::own()?.executable("kubectl-open_app")),
            "program",
        )?;
        Ok((directory, layout))
    }

    fn refusal<T>(outcome: Result<T>) -> String {
        outcome
            .err()
            .map(|error| error.report())
            .unwrap_or_default()
    }

    #[test]
    fn made_is_found_and_making_it_again_changes_nothing() -> Outcome {
        let (_directory, layout) = place()?;
        let plugins = [plugin("open-app")];
        let made = make(&plugins, &layout)?;
        assert_eq!(made, find(&plugins, &layout)?);
        let (archive, manifest) = (
            fs::read(&made[0].archive)?,
            fs::read_to_string(&made[0].manifest)?,
        );
        assert!(manifest.contains(&archive::checksum(&archive)));
        make(&plugins, &layout)?;
        assert_eq!(
            (archive, manifest),
            (
                fs::read(&made[0].archive)?,
                fs::read_to_string(&made[0].manifest)?
            )
        );
        Ok(())
    }

    #[test]
    fn archives_brought_from_other_machines_are_listed_if_the_version_is_the_same() -> Outcome {
        let (_directory, layout) = place()?;
        let plugins = [plugin("open-app")];
        fs::create_dir(&layout.archives)?;
        fs::write(
            layout
                .archives
                .join("kubectl-open-app-v1.2.3-windows-386.tar.gz"),
            "another",
        )?;
        fs::write(
            layout
                .archives
                .join("kubectl-open-app-v1.2.2-windows-arm64.tar.gz"),
            "older",
        )?;
        fs::write(
            layout
                .archives
                .join("kubectl-open-v1.2.3-windows-arm64.tar.gz"),
            "other plugin",
        )?;
        let manifest = fs::read_to_string(&make(&plugins, &layout)?[0].manifest)?;
        assert_eq!(manifest.matches("sha256:").count(), 2);
        assert!(manifest.contains("v1.2.3/kubectl-open-app-v1.2.3-windows-386.tar.gz"));
        assert!(manifest.contains(&archive::checksum(b"another")));
        Ok(())
    }

    #[test]
    fn a_plugin_that_is_no_more_leaves_no_manifest() -> Outcome {
        let (_directory, layout) = place()?;
        for name in ["gone.yaml", "template.yaml", "Cargo.toml"] {
            fs::write(layout.manifests.join(name), "")?;
        }
        make(&[plugin("open-app")], &layout)?;
        let mut left = fs::read_dir(&layout.manifests)?
            .map(|entry| Ok(entry?.file_name()))
            .collect::<io::Result<Vec<_>>>()?;
        left.sort();
        assert_eq!(left, ["Cargo.toml", "open-app.yaml", "template.yaml"]);
        Ok(())
    }

    #[test]
    fn what_is_missing_is_named_and_nothing_is_written() -> Outcome {
        let (_directory, layout) = place()?;
        let shut = layout
            .binaries
            .join(Platform::own()?.executable("kubectl-shut_app"));
        let plugins = [plugin("open-app"), plugin("shut-app")];
        assert_eq!(
            refusal(make(&plugins, &layout)),
            format!(
                "error: the optimised binary {} is missing\n\nhint: run `make build` first",
                shut.display()
            )
        );
        assert!(!layout.archives.exists());

        fs::remove_file(&layout.license)?;
        assert_eq!(
            refusal(make(&plugins[..1], &layout)),
            format!("error: {} is missing", layout.license.display())
        );
        assert!(!layout.archives.exists());

        let report = refusal(find(&plugins[..1], &layout));
        assert!(
            report.ends_with(".tar.gz is missing\n\nhint: run `make dist` first"),
            "{report}"
        );
        Ok(())
    }
}
