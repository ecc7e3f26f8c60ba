//! Julia: `Manifest.toml` and `Project.toml`.
//!
//! What flows in: what its package manager reads and writes. What flows out: packages with their
//! UUID, which julia-definition makes part of the purl. What must stay true: the standard library, as
//! far as it comes with Julia in no version of its own, is no package of a manifest.

mod manifest;
mod project;

pub(super) use manifest::JuliaManifest;
pub(super) use project::JuliaProject;

use super::purl::{self, Parts};

/// The purl of a package.
fn purl(name: &str, version: Option<&str>, uuid: Option<&str>) -> Option<String> {
    // The same number for registries, whatever its case.
    let uuid = uuid.map(str::to_lowercase);
    let qualifiers: Vec<_> = uuid.iter().map(|it| ("uuid", it.as_str())).collect();
    purl::write("julia", Parts { name, version, qualifiers: &qualifiers, ..Parts::default() })
}
