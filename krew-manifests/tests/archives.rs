//! What `make dist` made of this workspace, before krew sees it.

use std::{error::Error, fs, io::Read as _, path::Path};

use dist::{
    archive,
    platform::Platform,
    plugin::Workspace,
    release::{self, Layout, Made},
};
use flate2::read::GzDecoder;
use serde_json::Value;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// A packed file: its name, its mode and what is in it.
type File = (String, u32, Vec<u8>);

/// The largest binary that is shipped, in bytes.
const LARGEST: usize = 12_000_000;

fn made() -> Vec<Made> {
    Workspace::find(Path::new("."))
        .and_then(|workspace| release::find(&workspace.plugins, &Layout::of(&workspace)))
        .unwrap_or_else(|error| panic!("{}", error.report()))
}

fn files(archive: &Path) -> Outcome<Vec<File>> {
    let mut files = Vec::new();
    for entry in tar::Archive::new(GzDecoder::new(fs::File::open(archive)?)).entries()? {
        let mut entry = entry?;
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        files.push((
            entry.path()?.display().to_string(),
            entry.header().mode()?,
            content,
        ));
    }
    Ok(files)
}

#[test]
fn an_archive_holds_the_binary_and_the_license_and_nothing_else() -> Outcome {
    let license = fs::read("../LICENSE")?;
    for Made {
        plugin, archive, ..
    } in made()
    {
        let files = files(&archive)?;
        let names: Vec<_> = files
            .iter()
            .map(|(name, mode, _)| (name.as_str(), *mode))
            .collect();
        assert_eq!(
            names,
            [
                ("LICENSE", 0o644),
                (Platform::own()?.executable(&plugin.binary).as_str(), 0o755)
            ]
        );
        assert_eq!(files[0].2, license, "{}", archive.display());
    }
    Ok(())
}

#[test]
fn a_binary_has_at_most_7_mb() -> Outcome {
    for Made {
        plugin, archive, ..
    } in made()
    {
        for (name, _, content) in files(&archive)? {
            assert!(
                content.len() <= LARGEST,
                "{name} of {} has {} bytes, at most {LARGEST} are shipped",
                plugin.name,
                content.len()
            );
        }
    }
    Ok(())
}

#[test]
fn a_manifest_names_the_archive() -> Outcome {
    for Made {
        plugin,
        archive,
        manifest,
    } in made()
    {
        let manifest: Value = serde_saphyr::from_str(&fs::read_to_string(manifest)?)?;
        assert_eq!(manifest["metadata"]["name"], plugin.name.as_str());
        let own = Platform::own()?;
        let platforms = manifest["spec"]["platforms"]
            .as_array()
            .ok_or("no platforms")?;
        let [platform] = platforms
            .iter()
            .filter(|platform| {
                platform["selector"]["matchLabels"]
                    == serde_json::json!({"os": own.os, "arch": own.arch})
            })
            .collect::<Vec<_>>()[..]
        else {
            panic!("{own} is not once among {platforms:#?}");
        };
        assert_eq!(
            platform["sha256"],
            archive::checksum(&fs::read(&archive)?).as_str()
        );
        let file = archive.file_name().unwrap_or_default().to_string_lossy();
        assert_eq!(
            platform["uri"],
            format!(
                "{}/releases/download/v{}/{file}",
                plugin.repository, plugin.version
            )
        );
    }
    Ok(())
}
