//! OCI image archives, written from layers that are plain tar files: what `ctr images import` reads.

use std::{
    fs::File,
    io::{Read, Write},
    path::Path,
};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    cache::hex,
    error::{Context as _, Error, Result},
    machine,
};

/// A layer on disk and what it is addressed by.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    path: std::path::PathBuf,
    digest: String,
    size: u64,
}

impl Layer {
    /// Reads a tar file to the end for its digest.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let failed = || format!("layer {} cannot be read", path.display());
        let mut file = File::open(path).with_context(failed)?;
        let mut hash = Sha256::new();
        let mut size = 0;
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = file.read(&mut buffer).with_context(failed)?;
            if read == 0 {
                break;
            }
            hash.update(&buffer[..read]);
            size += read as u64;
        }
        Ok(Self {
            path: path.to_owned(),
            digest: format!("sha256:{}", hex(&hash.finalize())),
            size,
        })
    }
}

/// An image of one layer.
#[derive(Debug, Clone)]
pub(crate) struct Image<'a> {
    /// Registry, repository and tag.
    pub(crate) reference: &'a str,
    pub(crate) layer: &'a Layer,
    /// The `config` of the image configuration: entry point, environment, user.
    pub(crate) config: Value,
}

/// Writes one archive that holds all these images; layers they share are written once.
pub(crate) fn write(images: &[Image], output: impl Write) -> Result<()> {
    let mut archive = Archive {
        tar: tar::Builder::new(output),
        blobs: Vec::new(),
    };
    let mut manifests = Vec::new();
    for image in images {
        archive.layer(image.layer)?;
        let config = archive.document(&json!({
            "architecture": machine::architecture(),
            "os": "linux",
            "config": image.config,
            "rootfs": {"type": "layers", "diff_ids": [image.layer.digest]},
        }))?;
        let mut manifest = archive.document(&json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &(image.layer.digest.clone(), image.layer.size))],
        }))
        .map(|blob| descriptor("application/vnd.oci.image.manifest.v1+json", &blob))?;
        manifest["annotations"] = json!({"io.containerd.image.name": image.reference});
        manifests.push(manifest);
    }
    archive.file(
        "index.json",
        json!({"schemaVersion": 2, "manifests": manifests})
            .to_string()
            .as_bytes(),
    )?;
    archive.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    archive
        .tar
        .into_inner()
        .and_then(|mut output| output.flush())
        .context("the image archive cannot be finished")
}

fn descriptor(media_type: &str, (digest, size): &(String, u64)) -> Value {
    json!({"mediaType": media_type, "digest": digest, "size": size})
}

struct Archive<W: Write> {
    tar: tar::Builder<W>,
    blobs: Vec<String>,
}

impl<W: Write> Archive<W> {
    fn document(&mut self, document: &Value) -> Result<(String, u64)> {
        let bytes = document.to_string().into_bytes();
        let digest = format!("sha256:{}", hex(&Sha256::digest(&bytes)));
        if self.is_new(&digest) {
            self.file(&blob_path(&digest)?, &bytes)?;
        }
        Ok((digest, bytes.len() as u64))
    }

    fn layer(&mut self, layer: &Layer) -> Result<()> {
        if !self.is_new(&layer.digest) {
            return Ok(());
        }
        let failed = || format!("layer {} cannot be archived", layer.path.display());
        let file = File::open(&layer.path).with_context(failed)?;
        self.tar
            .append_data(&mut header(layer.size), blob_path(&layer.digest)?, file)
            .with_context(failed)
    }

    fn file(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.tar
            .append_data(&mut header(bytes.len() as u64), name, bytes)
            .with_context(|| format!("{name} cannot be archived"))
    }

    fn is_new(&mut self, digest: &str) -> bool {
        let new = !self.blobs.iter().any(|known| known == digest);
        if new {
            self.blobs.push(digest.to_owned());
        }
        new
    }
}

fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header
}

fn blob_path(digest: &str) -> Result<String> {
    let hash = digest
        .strip_prefix("sha256:")
        .ok_or_else(|| Error::new(format!("{digest} is no digest")))?;
    Ok(format!("blobs/sha256/{hash}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn files(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut tar = tar::Archive::new(archive);
        tar.entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                (entry.path().unwrap().display().to_string(), content)
            })
            .collect()
    }

    #[test]
    fn every_blob_is_what_its_digest_says() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("layer.tar");
        std::fs::write(&path, vec![7; 3_000_000]).unwrap();
        let layer = Layer::read(&path).unwrap();
        let image = |reference| Image {
            reference,
            layer: &layer,
            config: json!({"Cmd": [reference]}),
        };
        let mut bytes = Vec::new();
        write(
            &[
                image("docker.io/library/a:1"),
                image("docker.io/library/b:1"),
            ],
            &mut bytes,
        )
        .unwrap();

        let files = files(&bytes);
        let blobs: Vec<_> = files
            .iter()
            .filter_map(|(name, content)| Some((name.strip_prefix("blobs/sha256/")?, content)))
            .collect();
        assert_eq!(
            blobs.len(),
            5,
            "one layer, two configurations, two manifests"
        );
        for (hash, content) in blobs {
            assert_eq!(hash, hex(&Sha256::digest(content)));
        }
        let index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
        for manifest in index["manifests"].as_array().unwrap() {
            let blob = &files[&blob_path(manifest["digest"].as_str().unwrap()).unwrap()];
            assert_eq!(manifest["size"], blob.len());
            let manifest: Value = serde_json::from_slice(blob).unwrap();
            assert_eq!(manifest["layers"][0]["digest"], layer.digest);
            assert_eq!(manifest["layers"][0]["size"], 3_000_000);
            let config: Value = serde_json::from_slice(
                &files[&blob_path(manifest["config"]["digest"].as_str().unwrap()).unwrap()],
            )
            .unwrap();
            assert_eq!(config["rootfs"]["diff_ids"][0], layer.digest);
        }
        assert_eq!(
            index["manifests"][1]["annotations"]["io.containerd.image.name"],
            "docker.io/library/b:1"
        );
    }
}
