//! The plugins of the workspace, found by what they are: members below `plugins/` with a binary named `kubectl-*`.

use std::path::{Path, PathBuf};

use cargo_metadata::{Metadata, MetadataCommand, Package};
use serde::Deserialize;

use crate::error::{Error, Result};

/// The longest short description, in characters: krew-index asks new plugins for at most 50, so that `krew search` can show it.
const SHORT: usize = 50;

/// The longest line of a description, in characters: krew-index asks for 80, as `krew info` prints the lines as they are.
const LINE: usize = 80;

/// The workspace as far as it is packed.
#[derive(Debug)]
pub struct Workspace {
    /// Its root directory.
    pub root: PathBuf,
    /// Where cargo builds.
    pub target: PathBuf,
    /// Its plugins, in alphabetical order.
    pub plugins: Vec<Plugin>,
}

/// A plugin as krew's users are told about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugin {
    /// What follows `kubectl`: `share-db`.
    pub name: String,
    /// The binary's name: `kubectl-share_db`.
    pub binary: String,
    /// The version, without a `v`.
    pub version: String,
    /// The repository's address, below which the releases are.
    pub repository: String,
    /// The package's `description`: one line.
    pub short_description: String,
    /// `description` of `[package.metadata.krew]`, for the decision whether to install; the short description where there is none.
    pub description: String,
    /// `caveats` of `[package.metadata.krew]`: what is needed beside the plugin, shown after the installation.
    pub caveats: Option<String>,
}

/// `[package.metadata.krew]` of a plugin's `Cargo.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Krew {
    description: Option<String>,
    caveats: Option<String>,
}

impl Workspace {
    /// Reads the workspace that a directory belongs to.
    pub fn find(directory: &Path) -> Result<Self> {
        Self::read(
            MetadataCommand::new()
                .current_dir(directory)
                .no_deps()
                .exec()?,
        )
    }

    fn read(metadata: Metadata) -> Result<Self> {
        let root = metadata.workspace_root.into_std_path_buf();
        let below = root.join("plugins");
        let mut plugins = metadata
            .packages
            .iter()
            .filter(|package| {
                metadata.workspace_members.contains(&package.id)
                    && package.manifest_path.starts_with(&below)
            })
            .map(Plugin::read)
            .collect::<Result<Vec<_>>>()?;
        if plugins.is_empty() {
            return Err(Error::NoPlugin(below));
        }
        plugins.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Self {
            root,
            target: metadata.target_directory.into_std_path_buf(),
            plugins,
        })
    }
}

impl Plugin {
    fn read(package: &Package) -> Result<Self> {
        let names: Vec<&str> = package
            .targets
            .iter()
            .filter(|target| target.is_bin())
            .filter_map(|target| target.name.strip_prefix("kubectl-"))
            .collect();
        let [name] = names[..] else {
            return Err(Error::Binaries {
                package: package.name.to_string(),
                found: names.len(),
            });
        };
        let wrong = |field, problem: String| Error::Text {
            package: package.name.to_string(),
            field,
            problem,
        };
        let text = |field, value: &str, longest: usize| {
            let value = value.trim();
            if value.is_empty() {
                return Err(wrong(field, "is missing".to_owned()));
            }
            if value
                .chars()
                .any(|character| character.is_control() && character != '\n')
            {
                return Err(wrong(field, "has a control character".to_owned()));
            }
            let lines: Vec<&str> = value.lines().map(str::trim_end).collect();
            match lines.iter().map(|line| line.chars().count()).max() {
                Some(length) if length > longest => Err(wrong(
                    field,
                    format!("has {length} characters in a line, at most {longest} fit"),
                )),
                _ => Ok(lines.join("\n")),
            }
        };

        let short_description = text(
            "description",
            package.description.as_deref().unwrap_or_default(),
            SHORT,
        )?;
        if short_description.contains('\n') {
            return Err(wrong("description", "has more than one line".to_owned()));
        }
        let krew = match package.metadata.get("krew") {
            None => Krew::default(),
            Some(krew) => Krew::deserialize(krew).map_err(|source| Error::Metadata {
                package: package.name.to_string(),
                source,
            })?,
        };
        let repository = package
            .repository
            .as_deref()
            .unwrap_or_default()
            .trim_end_matches('/');
        if repository.is_empty() {
            return Err(wrong("repository", "is missing".to_owned()));
        }
        Ok(Self {
            // kubectl finds `kubectl share-db` as kubectl-share_db: a dash would begin a subcommand.
            name: name.replace('_', "-"),
            binary: format!("kubectl-{name}"),
            version: package.version.to_string(),
            repository: repository.to_owned(),
            description: match &krew.description {
                Some(description) => text("metadata.krew.description", description, LINE)?,
                None => short_description.clone(),
            },
            caveats: krew
                .caveats
                .as_deref()
                .map(|caveats| text("metadata.krew.caveats", caveats, LINE))
                .transpose()?,
            short_description,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{error::Error as StdError, fs};

    use super::*;

    type Outcome = Result<(), Box<dyn StdError>>;

    /// A workspace with one plugin, whose `Cargo.toml` goes on after its name and version as given.
    fn workspace(rest: &str) -> Result<Workspace, Box<dyn StdError>> {
        let directory = tempfile::tempdir()?;
        let package = directory.path().join("plugins/open-app");
        fs::create_dir_all(package.join("src"))?;
        fs::write(
            directory.path().join("Cargo.toml"),
            "[workspace]\nmembers = [\"plugins/*\"]\nresolver = \"3\"\n",
        )?;
        fs::write(
            package.join("Cargo.toml"),
            format!("[package]\nname = \"open-app\"\nversion = \"1.2.3\"\n{rest}"),
        )?;
        fs::write(package.join("src/main.rs"), "fn main() {}\n")?;
        Ok(Workspace::find(directory.path())?)
    }

    const BIN: &str = "[[bin]]\nname = \"kubectl-open_app\"\npath = \"src/main.rs\"\n";
    const REPOSITORY: &str = "repository = \"https://example.org/it/\"\n";

    fn refusal(rest: &str) -> String {
        match workspace(rest) {
            Ok(found) => format!("{:?}", found.plugins),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_plugin_is_described_by_its_cargo_toml() -> Outcome {
        let krew = "[package.metadata.krew]\ndescription = \"\"\"\nOne.  \n\n  Two.\n\"\"\"\ncaveats = \"Needs a browser.\"\n";
        let found = workspace(&format!(
            "description = \"Open it\"\n{REPOSITORY}{krew}{BIN}"
        ))?;
        assert_eq!(
            found.plugins,
            [Plugin {
                name: "open-app".into(),
                binary: "kubectl-open_app".into(),
                version: "1.2.3".into(),
                repository: "https://example.org/it".into(),
                short_description: "Open it".into(),
                description: "One.\n\n  Two.".into(),
                caveats: Some("Needs a browser.".into()),
            }]
        );
        Ok(())
    }

    #[test]
    fn the_description_alone_is_enough() -> Outcome {
        let found = workspace(&format!("description = \"Open it\"\n{REPOSITORY}{BIN}"))?;
        assert_eq!(
            (
                found.plugins[0].description.as_str(),
                found.plugins[0].caveats.as_deref()
            ),
            ("Open it", None)
        );
        Ok(())
    }

    #[test]
    fn what_krew_would_show_badly_is_refused() {
        let described = |description: &str| {
            refusal(&format!(
                "description = \"{description}\"\n{REPOSITORY}{BIN}"
            ))
        };
        assert_eq!(
            refusal(&format!("{REPOSITORY}{BIN}")),
            "description of package open-app is missing"
        );
        assert_eq!(
            described(&"a".repeat(51)),
            "description of package open-app has 51 characters in a line, at most 50 fit"
        );
        assert_eq!(
            described("One\\nTwo"),
            "description of package open-app has more than one line"
        );
        assert_eq!(
            described("One\\u001b[1m"),
            "description of package open-app has a control character"
        );
        assert_eq!(
            refusal(&format!("description = \"Open it\"\n{BIN}")),
            "repository of package open-app is missing"
        );
        let krew = |line: &str| {
            refusal(&format!(
                "description = \"Open it\"\n{REPOSITORY}[package.metadata.krew]\n{line}\n{BIN}"
            ))
        };
        assert_eq!(
            krew("caveats = \"\""),
            "metadata.krew.caveats of package open-app is missing"
        );
        assert_eq!(
            krew("caveat = \"typed wrongly\""),
            "[package.metadata.krew] of package open-app cannot be understood"
        );
    }

    #[test]
    fn a_plugin_has_one_binary_for_kubectl() {
        let rest = format!("description = \"Open it\"\n{REPOSITORY}");
        assert_eq!(
            refusal(&rest),
            "package open-app has 0 binaries named kubectl-*, a plugin has one"
        );
        let second = BIN.replace("open_app", "shut_app");
        assert_eq!(
            refusal(&format!("{rest}{BIN}{second}")),
            "package open-app has 2 binaries named kubectl-*, a plugin has one"
        );
    }

    #[test]
    fn every_plugin_of_this_workspace_is_found() -> Outcome {
        let found = Workspace::find(Path::new(env!("CARGO_MANIFEST_DIR")))?;
        let mut directories = Vec::new();
        for entry in fs::read_dir(found.root.join("plugins"))? {
            directories.push(entry?.file_name().to_string_lossy().into_owned());
        }
        directories.sort();
        assert_eq!(
            found
                .plugins
                .iter()
                .map(|plugin| plugin.name.clone())
                .collect::<Vec<_>>(),
            directories
        );
        Ok(())
    }
}
