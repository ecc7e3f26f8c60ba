//! Cargo: `Cargo.lock` and `Cargo.toml`.
//!
//! Input: lock files of cargo, and manifests. Output: the external crates. Invariants: workspace members
//! and path dependencies are part of the repository, never packages.

mod inherit;
mod lock;
mod manifest;
mod requirement;

pub(super) use inherit::inherit_versions;
pub(super) use lock::CargoLock;
pub(super) use manifest::CargoToml;
pub(super) use requirement::allows;
