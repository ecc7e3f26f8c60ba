//! Cargo: `Cargo.lock` and `Cargo.toml`.
//!
//! What flows in: what cargo writes, and what people write by hand. What flows out: the crates
//! that come from elsewhere. What must stay true: members of the workspace and crates that a
//! path names are the project itself, never packages.

mod lock;
mod manifest;

pub(super) use lock::CargoLock;
pub(super) use manifest::{CargoToml, INHERITED};
