//! A plugin's archive: its bytes depend on nothing but the files in it.

use std::io;

use flate2::{Compression, write::GzEncoder};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

/// When every file of an archive was last changed: 1980, the earliest that every archive format can say.
const MODIFIED: u64 = 315_532_800;

/// A file of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry<'a> {
    /// Its name; there are no directories.
    pub name: &'a str,
    /// Whether it may be run.
    pub executable: bool,
    /// What is in it.
    pub content: &'a [u8],
}

/// Packs files as `.tar.gz`: in the order of their names, owned by root, dated [`MODIFIED`].
pub fn pack(mut entries: Vec<Entry<'_>>) -> io::Result<Vec<u8>> {
    entries.sort_unstable();
    let mut tar = Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
    for Entry {
        name,
        executable,
        content,
    } in entries
    {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_size(content.len() as u64);
        header.set_mode(if executable { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(MODIFIED);
        tar.append_data(&mut header, name, content)?;
    }
    tar.into_inner()?.finish()
}

/// The SHA-256 of an archive, as manifests write it.
pub fn checksum(archive: &[u8]) -> String {
    let digits = Sha256::digest(archive)
        .into_iter()
        .flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::{error::Error as StdError, io::Read as _};

    use super::*;

    const FILES: [Entry<'_>; 2] = [
        Entry {
            name: "kubectl-open_app",
            executable: true,
            content: b"program",
        },
        Entry {
            name: "LICENSE",
            executable: false,
            content: b"terms",
        },
    ];

    #[test]
    fn the_same_files_give_the_same_bytes() -> io::Result<()> {
        let [program, license] = FILES;
        let packed = pack(vec![program, license])?;
        assert_eq!(packed, pack(vec![license, program])?);
        // Known bytes: a change of the format is a change of every checksum.
        assert_eq!(packed[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255]);
        Ok(())
    }

    #[test]
    fn what_is_packed_comes_out() -> Result<(), Box<dyn StdError>> {
        let packed = pack(FILES.to_vec())?;
        let mut found = Vec::new();
        for entry in tar::Archive::new(flate2::read::GzDecoder::new(&packed[..])).entries()? {
            let mut entry = entry?;
            let mut content = String::new();
            entry.read_to_string(&mut content)?;
            let header = entry.header();
            assert_eq!(
                (header.uid()?, header.gid()?, header.mtime()?),
                (0, 0, MODIFIED)
            );
            found.push((entry.path()?.display().to_string(), header.mode()?, content));
        }
        assert_eq!(
            found,
            [
                ("LICENSE".into(), 0o644, "terms".into()),
                ("kubectl-open_app".into(), 0o755, "program".into())
            ]
        );
        Ok(())
    }

    #[test]
    fn the_checksum_is_sha256() {
        assert_eq!(
            checksum(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
