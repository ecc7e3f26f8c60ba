//! npm: `package-lock.json`, `npm-shrinkwrap.json` and `package.json`.
//!
//! What flows in: what npm 5 and later write, and what people write by hand. What flows out: the
//! packages with their real names (an alias is shown as what it stands for). What must stay
//! true: what lies in the repository itself (workspaces, linked folders) is no package.

mod lock;
mod lock_v1;
mod manifest;
mod spec;

pub(super) use lock::PackageLock;
pub(super) use manifest::PackageJson;

use super::{
    Findings, SourceFile,
    collect::Collector,
    json::{self, Node},
    purl::Ecosystem,
};
use crate::model::scan_result::Source;

/// Reads as much of a JSON object as can be understood, and gives it to `walk`. What could not
/// be understood is a warning.
fn read_object(
    file: SourceFile<'_>,
    source: Source,
    walk: impl FnOnce(&Node<'_>, &mut Collector<'_>),
) -> Findings {
    json::read(file.bytes, Collector::new(file, Ecosystem::Npm, source), walk)
}
