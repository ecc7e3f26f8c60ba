//! Lock files of Python's package managers: `poetry.lock`, `Pipfile.lock`, `pdm.lock`, `uv.lock` and
//! `pylock.toml`; and `Pipfile`.
//!
//! Input: files that the tools write. Output: each locked package, its scope, and its dependencies.
//! Invariants: the project itself and local folders are not packages.

mod pdm;
mod pipfile;
mod pipfile_lock;
mod poetry;
mod pylock;
mod uv;

pub(in crate::ecosystem) use pdm::PdmLock;
pub(in crate::ecosystem) use pipfile::Pipfile;
pub(in crate::ecosystem) use pipfile_lock::PipfileLock;
pub(in crate::ecosystem) use poetry::PoetryLock;
pub(in crate::ecosystem) use pylock::PyLock;
pub(in crate::ecosystem) use uv::UvLock;

use super::{archive, requirement};
use crate::ecosystem::{
    collect::{Added, Collector},
    purl::python_name,
    text,
    toml::{self, Document},
};
use ::toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use std::collections::HashMap;

/// Entries of one name. A lock file has several if the version depends on the platform or on the version of
/// Python; the limit bounds the work.
const MAX_ENTRIES_OF_A_NAME: usize = 8;

/// The packages of a lock file by canonical name.
#[derive(Debug)]
struct LockedPackages<T>(HashMap<String, Vec<(Option<String>, T)>>);

impl<T: Copy> LockedPackages<T> {
    fn new() -> Self {
        Self(HashMap::new())
    }

    fn insert(&mut self, name: &str, version: Option<&str>, entry: T) {
        let of_name = self.0.entry(python_name(name)).or_default();
        if of_name.len() < MAX_ENTRIES_OF_A_NAME {
            of_name.push((version.map(str::to_owned), entry));
        }
    }

    /// The entries of a name, optionally of one version.
    fn find(&self, name: &str, version: Option<&str>) -> impl Iterator<Item = T> {
        let of_name = self.0.get(&python_name(name)).map_or(&[][..], Vec::as_slice);
        let has_version = move |(own_version, _): &&(Option<String>, T)| {
            version.is_none_or(|version| own_version.as_deref() == Some(version))
        };
        of_name.iter().filter(has_version).map(|(_, entry)| *entry)
    }
}

/// Records that a package requires all entries of a name.
fn require(package: Added, name: &str, known: &LockedPackages<Added>, found: &mut Collector<'_>) {
    for required in known.find(name, None) {
        found.requires(package, required);
    }
}

/// A package's entry: its table and name, and the line on which it begins.
#[derive(Clone, Copy)]
struct Entry<'t, 'i> {
    table: &'t DeTable<'i>,
    name: &'t str,
    line: u32,
}

/// The table, name and line of an entry; none, with a warning, for a malformed entry.
fn entry<'t, 'i>(
    node: &'t Spanned<DeValue<'i>>,
    document: &Document<'_>,
    found: &mut Collector<'_>,
) -> Option<Entry<'t, 'i>> {
    let line = document.line(node);
    let Some(table) = node.get_ref().as_table() else {
        found.warn(line, format!("expected a table, got {}", node.get_ref().type_str()));
        return None;
    };
    let Some(name) = toml::string(table, "name") else {
        found.warn(line, "a package without a name");
        return None;
    };
    Some(Entry { table, name, line })
}

/// Adds a warning if the version of the format is unknown.
fn check_version(
    parent: Option<&DeTable<'_>>,
    key: &str,
    newest: u32,
    document: &Document<'_>,
    found: &mut Collector<'_>,
) {
    let Some(node) = parent.and_then(|parent| parent.get(key)) else { return };
    let stated = match node.get_ref() {
        DeValue::Integer(number) => number.as_str(),
        DeValue::String(version) => version.split('.').next().unwrap_or_default(),
        _ => "",
    };
    if stated.parse::<u32>().ok().is_none_or(|number| number > newest) {
        let line = document.line(node);
        found.warn(line, format!("unknown {key} of the lock file; parsed as far as possible"));
    }
}

/// Adds a warning for a package without a version.
fn warn_of_no_version(entry: Entry<'_, '_>, found: &mut Collector<'_>) {
    found.warn(entry.line, format!("`{}` has no version", text::excerpt(entry.name)));
}

/// Records the digests of a package's archives, each of them a table or a text with a `hash`.
fn state_hashes<'t, 'i: 't>(
    added: Option<Added>,
    archives: impl Iterator<Item = &'t Spanned<DeValue<'i>>>,
    found: &mut Collector<'_>,
) {
    for archive in archives {
        let hash = match archive.get_ref() {
            DeValue::Table(table) => toml::string(table, "hash"),
            other => other.as_str(),
        };
        found.hash(added, hash.unwrap_or_default());
    }
}

/// Whether a path is a folder of the repository; a local archive is a package.
fn is_folder(path: &str) -> bool {
    !archive::is_archive(path)
}

/// The name at the beginning of a requirement.
fn required_name(requirement: &str) -> Option<&str> {
    requirement::name(requirement)
}
