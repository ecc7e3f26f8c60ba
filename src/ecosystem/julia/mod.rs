//! Julia: `Manifest.toml` and `Project.toml`.
//!
//! Input: files that Pkg reads and writes. Output: packages with their UUID, which julia-definition makes
//! part of the purl. Invariants: modules of the standard library without a version of their own are not
//! packages of a manifest.

mod manifest;
mod project;
mod standard;

pub(super) use manifest::JuliaManifest;
pub(super) use project::JuliaProject;

use super::purl::{self, Parts};

/// The purl of a package.
fn purl(name: &str, version: Option<&str>, uuid: Option<&str>) -> Option<String> {
    // The specification treats UUIDs as lower case.
    let uuid = uuid.map(str::to_lowercase);
    let qualifiers: Vec<_> = uuid.iter().map(|uuid| ("uuid", uuid.as_str())).collect();
    purl::write("julia", Parts { name, version, qualifiers: &qualifiers, ..Parts::default() })
}
