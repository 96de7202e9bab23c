//! The bans of `deny.toml`, held without cargo-deny.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    error::Error,
    fs,
    path::Path,
};

use cargo_metadata::{CargoOpt, DependencyKind, MetadataCommand, PackageId};
use serde::Deserialize;

#[derive(Deserialize)]
struct Deny {
    bans: Bans,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
}

#[test]
fn no_crate_of_a_plugin_is_banned() -> Result<(), Box<dyn Error>> {
    let metadata = MetadataCommand::new()
        .features(CargoOpt::AllFeatures)
        .other_options(vec!["--locked".to_owned()])
        .exec()?;
    let file = metadata.workspace_root.join("deny.toml");
    let deny: Deny = toml::from_str(&fs::read_to_string(file)?)?;
    let banned: HashSet<&str> = deny.bans.deny.iter().map(|ban| ban.name.as_str()).collect();
    assert!(
        banned.is_superset(&HashSet::from(["aws-lc-sys", "native-tls", "openssl-sys"])),
        "deny.toml bans only {banned:?}"
    );

    let resolve = metadata.resolve.as_ref().ok_or("cargo resolved nothing")?;
    let nodes: HashMap<&PackageId, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let plugins = metadata.workspace_root.join("plugins");
    // From each plugin outwards, on every platform; what only tests need is not shipped.
    let mut reached: HashMap<&PackageId, Option<&PackageId>> = metadata
        .packages
        .iter()
        .filter(|package| package.manifest_path.starts_with(&plugins))
        .map(|package| (&package.id, None))
        .collect();
    assert!(!reached.is_empty(), "no plugin below {plugins}");
    let mut next: VecDeque<&PackageId> = reached.keys().copied().collect();
    while let Some(id) = next.pop_front() {
        for dependency in &nodes.get(id).ok_or("an unresolved package")?.deps {
            let shipped = dependency
                .dep_kinds
                .iter()
                .any(|kind| kind.kind != DependencyKind::Development);
            if shipped && !reached.contains_key(&dependency.pkg) {
                reached.insert(&dependency.pkg, Some(id));
                next.push_back(&dependency.pkg);
            }
        }
    }

    // What every plugin is made of is found, so what is not found is not there.
    let name = |id: &PackageId| metadata[id].name.to_string();
    assert!(
        reached.keys().any(|id| name(id) == "ring"),
        "the walk is wrong: ring is not reached"
    );
    let mut found = Vec::new();
    for &id in reached
        .keys()
        .filter(|id| banned.contains(name(id).as_str()))
    {
        let path: Vec<_> = std::iter::successors(Some(id), |id| reached[id])
            .map(name)
            .collect();
        found.push(path.join(" <- "));
    }
    assert!(found.is_empty(), "banned by deny.toml: {found:#?}");
    Ok(())
}

#[test]
fn the_license_is_the_one_that_cargo_toml_says() -> Result<(), Box<dyn Error>> {
    let metadata = MetadataCommand::new().no_deps().exec()?;
    let license = fs::read_to_string(Path::new(&metadata.workspace_root).join("LICENSE"))?;
    for package in &metadata.packages {
        assert_eq!(
            package.license.as_deref(),
            Some("MIT OR Apache-2.0"),
            "{}",
            package.name
        );
    }
    for text in [
        "MIT OR Apache-2.0",
        "\nMIT License\n",
        "\n                           Version 2.0, January 2004\n",
    ] {
        assert!(license.contains(text), "LICENSE does not say {text:?}");
    }
    Ok(())
}
