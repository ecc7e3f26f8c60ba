//! npm: `package.json` and what workspaces say, and the locks of npm, yarn, pnpm, bun and deno.
//!
//! What flows in: what the package managers write, and what people write by hand. What flows out: the
//! packages with their real names (an alias is shown as what it stands for). What must stay
//! true: what lies in the repository itself (workspaces, linked folders) is no package.

mod bun;
mod deno;
mod graph;
mod lock;
mod lock_v1;
mod manifest;
mod pnpm;
mod pnpm_key;
mod spec;
mod workspace;
mod yarn;
mod yarn_v1;

pub(super) use bun::BunLock;
pub(super) use deno::DenoLock;
pub(super) use lock::PackageLock;
pub(super) use manifest::PackageJson;
pub(super) use pnpm::PnpmLock;
pub(super) use workspace::WorkspaceFile;
pub(super) use yarn::YarnLock;

use super::{
    Findings, SourceFile,
    collect::Collector,
    json::{self, Node},
    purl::Ecosystem,
};
use crate::model::scan_result::Source;

/// Reads as much of a JSON object as can be understood, and gives it to `walk`.
fn read_object(
    file: SourceFile<'_>,
    source: Source,
    walk: impl FnOnce(&Node<'_>, &mut Collector<'_>),
) -> Findings {
    json::read(file.bytes, Collector::new(file, Ecosystem::Npm, source), walk)
}
