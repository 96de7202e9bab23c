//! Every place that a plugin must be named in: what CONTRIBUTING.md says of adding one.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn plugins() -> Vec<String> {
    let folders = fs::read_dir(root().join("plugins")).unwrap();
    folders
        .map(|folder| folder.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn documents_name_every_plugin() {
    for document in ["README.md", "README.fr.md", "CHANGELOG.md"] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        for plugin in plugins() {
            let named = format!("kubectl {plugin}");
            assert!(text.contains(&named), "{document} does not name `{named}`");
        }
    }
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for plugin in plugins() {
        let folder = format!("plugins/{plugin}");
        assert!(
            text.contains(&folder),
            "ARCHITECTURE.md does not name {folder}"
        );
    }
}

/// What all commands share is in one place: the entry point, and what helps in the plugin's own flags.
#[test]
fn every_plugin_has_the_same_skeleton() {
    for plugin in plugins() {
        let source = root().join("plugins").join(&plugin).join("src");
        let main = fs::read_to_string(source.join("main.rs")).unwrap();
        assert!(
            main.contains("commons::cli::main::<args::Args>()"),
            "{plugin}"
        );
        let args = fs::read_to_string(source.join("args.rs")).unwrap();
        assert!(args.contains("impl Plugin for Args"), "{plugin}");
        let manifest = root().join("krew-manifests").join(format!("{plugin}.yaml"));
        assert!(
            manifest.is_file(),
            "{plugin} has no krew manifest: `make dist`"
        );
    }
}

/// A library knows no plugin: its commands and flags are named in the plugins alone.
#[test]
fn no_library_names_a_plugins_command() {
    let mut named = Vec::new();
    for path in sources(&root().join("shared")) {
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for plugin in plugins() {
            let command = format!("\"kubectl {plugin}");
            if code.contains(&command) {
                named.push(format!("{}: {command}", path.display()));
            }
        }
    }
    assert!(named.is_empty(), "{}", named.join("\n"));
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            all.push(path);
        }
    }
    all
}
