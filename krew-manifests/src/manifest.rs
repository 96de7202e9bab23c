//! A plugin's krew manifest: the template, filled in.

use minijinja::{AutoEscape, Environment, UndefinedBehavior, syntax::SyntaxConfig, value::Serde};
use serde::Serialize;

use crate::{error::Result, platform::Platform, plugin::Plugin};

const TEMPLATE: &str = include_str!("../template.yaml");

/// An archive as a manifest names it.
#[derive(Debug, Clone)]
pub struct Download {
    /// The machines it is for.
    pub platform: Platform,
    /// The archive's file name.
    pub file: String,
    /// Its checksum.
    pub sha256: String,
}

/// What the template may use.
#[derive(Serialize)]
struct Values<'a> {
    name: &'a str,
    version: String,
    homepage: &'a str,
    short_description: &'a str,
    description: &'a str,
    caveats: Option<&'a str>,
    platforms: Vec<PlatformValues>,
}

#[derive(Serialize)]
struct PlatformValues {
    os: &'static str,
    arch: &'static str,
    uri: String,
    sha256: String,
    executable: String,
}

/// The manifest of a plugin that can be downloaded from its repository's release of the same version.
pub fn write(plugin: &Plugin, downloads: &[Download]) -> Result<String> {
    let version = format!("v{}", plugin.version);
    let platforms = downloads
        .iter()
        .map(
            |Download {
                 platform,
                 file,
                 sha256,
             }| PlatformValues {
                os: platform.os,
                arch: platform.arch,
                uri: format!("{}/releases/download/{version}/{file}", plugin.repository),
                sha256: sha256.clone(),
                executable: platform.executable(&plugin.binary),
            },
        )
        .collect();
    let values = Values {
        name: &plugin.name,
        version,
        homepage: &plugin.repository,
        short_description: &plugin.short_description,
        description: &plugin.description,
        caveats: plugin.caveats.as_deref(),
        platforms,
    };
    let mut environment = Environment::new();
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(true)
            .build()?,
    );
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    // A JSON string is a YAML string, whatever is in it; unquoted, the processor 386 would be a number.
    environment.add_filter("quoted", |text: &str| {
        serde_json::Value::from(text).to_string()
    });
    Ok(environment.render_named_str("template.yaml", TEMPLATE, Serde(values))?)
}

#[cfg(test)]
mod tests {
    use std::error::Error as StdError;

    use serde_json::{Value, json};

    use super::*;

    fn plugin() -> Plugin {
        Plugin {
            name: "open-app".into(),
            binary: "kubectl-open_app".into(),
            version: "1.2.3".into(),
            repository: "https://example.org/it".into(),
            short_description: "Open: \"it\" & 'that' # now".into(),
            description: "- {{ first }}: 'a' & \"b\"\n\n  # indented\n%end ☸".into(),
            caveats: None,
        }
    }

    fn download(platform: Platform) -> Download {
        Download {
            platform,
            file: format!("it-{platform}.tar.gz"),
            sha256: "0".repeat(64),
        }
    }

    #[test]
    fn whatever_the_texts_say_they_arrive() -> Result<(), Box<dyn StdError>> {
        let plugin = plugin();
        let platforms = [
            Platform {
                os: "linux",
                arch: "386",
            },
            Platform {
                os: "windows",
                arch: "amd64",
            },
        ];
        let read: Value = serde_saphyr::from_str(&write(&plugin, &platforms.map(download))?)?;
        let address = |platform| {
            format!("https://example.org/it/releases/download/v1.2.3/it-{platform}.tar.gz")
        };
        assert_eq!(
            read,
            json!({
                "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
                "kind": "Plugin",
                "metadata": {"name": "open-app"},
                "spec": {
                    "version": "v1.2.3",
                    "homepage": "https://example.org/it",
                    "shortDescription": plugin.short_description,
                    "description": format!("{}\n", plugin.description),
                    "platforms": [
                        {
                            "selector": {"matchLabels": {"os": "linux", "arch": "386"}},
                            "uri": address("linux-386"),
                            "sha256": "0".repeat(64),
                            "bin": "kubectl-open_app",
                        },
                        {
                            "selector": {"matchLabels": {"os": "windows", "arch": "amd64"}},
                            "uri": address("windows-amd64"),
                            "sha256": "0".repeat(64),
                            "bin": "kubectl-open_app.exe",
                        },
                    ],
                },
            })
        );
        Ok(())
    }

    #[test]
    fn it_reads_well() -> Result<(), Box<dyn StdError>> {
        let plugin = Plugin {
            short_description: "Open an application".into(),
            description: "Opens an application of yours.\n\nLogged in, too.".into(),
            caveats: Some("Needs a browser.".into()),
            ..plugin()
        };
        insta::assert_snapshot!(write(&plugin, &[download(Platform { os: "linux", arch: "amd64" })])?, @r#"
        apiVersion: krew.googlecontainertools.github.com/v1alpha2
        kind: Plugin
        metadata:
          name: "open-app"
        spec:
          version: "v1.2.3"
          homepage: "https://example.org/it"
          shortDescription: "Open an application"
          description: |
            Opens an application of yours.

            Logged in, too.
          caveats: |
            Needs a browser.
          platforms:
            - selector:
                matchLabels:
                  os: "linux"
                  arch: "amd64"
              uri: "https://example.org/it/releases/download/v1.2.3/it-linux-amd64.tar.gz"
              sha256: "0000000000000000000000000000000000000000000000000000000000000000"
              bin: "kubectl-open_app"
        "#);
        Ok(())
    }
}
