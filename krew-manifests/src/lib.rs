//! What a user installs: one archive and one krew manifest per plugin.
//!
//! `make dist` builds the optimised binaries and runs this crate. It finds every plugin of the workspace by itself, packs each with the
//! LICENSE into `dist/`, and fills in `template.yaml` for it. The archive depends on nothing but its contents: the same binary gives the
//! same bytes and the same checksum, whoever packs it and when.
//!
//! There is one manifest per plugin, generated for a release, validated in tests. A manifest names the checksum of archives that were
//! built on one machine, so none but the template is kept in git.
//!
//! A manifest lists every platform whose archive is in `dist/`: this machine's own, made now, and those of the same version that were
//! brought there from elsewhere.

pub mod archive;
pub mod command;
pub mod error;
pub mod manifest;
pub mod platform;
pub mod plugin;
pub mod release;
