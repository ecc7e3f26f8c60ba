//! npm: `package.json`, `deno.json` and workspace files, and the lock files of npm, yarn, pnpm, bun and deno.
//!
//! Input: lock files, and manifests. Output: the packages under their real names (an alias is resolved).
//! Invariants: workspaces and linked folders of the repository are not packages.

mod bun;
mod catalog;
mod deno;
mod deno_json;
mod flags;
mod graph;
mod lock;
mod lock_v1;
mod manifest;
mod pattern;
mod pnpm;
mod pnpm_key;
mod rush;
mod spec;
mod workspace;
mod yarn;
mod yarn_v1;

pub(super) use bun::BunLock;
pub(super) use catalog::resolve_catalogs;
pub(super) use deno::DenoLock;
pub(super) use deno_json::{DenoJson, Specifier};
pub(super) use lock::PackageLock;
pub(super) use manifest::PackageJson;
pub(super) use pnpm::PnpmLock;
pub(super) use rush::RushProjects;
pub(super) use workspace::WorkspaceFile;
pub(super) use yarn::YarnLock;

use super::{
    Findings, SourceFile,
    collect::Collector,
    json::{self, Node},
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};

/// Whether a package of a lock file is a project of the repository that Rush packs as an archive, by "Rush: NPM vs
/// PNPM vs Yarn" and its `common/temp/projects`. Its dependencies are those of the project.
fn is_rush_project(name: &str) -> bool {
    name.starts_with("@rush-temp/")
}

/// Reads the object of a JSON file as far as possible and passes it to `walk`.
fn read_object(
    file: SourceFile<'_>,
    source: Source,
    walk: impl FnOnce(&Node<'_>, &mut Collector<'_>),
) -> Findings {
    json::read(file.bytes, Collector::new(file, Ecosystem::Npm, source), walk)
}

/// The version, if a range allows exactly one, and otherwise the range: of formats with npm's ranges.
pub(super) fn version_or_range(range: &str) -> (Option<&str>, Option<&str>) {
    match spec::exact(range) {
        Some(version) => (Some(version), None),
        None => (None, Some(range)),
    }
}
