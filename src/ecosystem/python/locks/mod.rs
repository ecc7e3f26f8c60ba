//! What Python's package managers lock: `poetry.lock`, `Pipfile.lock`, `pdm.lock`, `uv.lock` and
//! `pylock.toml`; and `Pipfile`, which no other file's parser would read.
//!
//! What flows in: the files that the tools write. What flows out: each locked package, what it is
//! for, and which of the others it requires. What must stay true: the project itself, and what is
//! taken from a folder beside it, are no packages.

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

/// A lock holds a name several times where its version depends on the platform, or on that of
/// Python; more often than this none does, and it bounds the work.
const MAX_ENTRIES_OF_A_NAME: usize = 8;

/// The packages of a lock by canonical name, so that a requirement finds them.
#[derive(Debug)]
struct Known<T>(HashMap<String, Vec<(Option<String>, T)>>);

impl<T: Copy> Known<T> {
    fn new() -> Self {
        Self(HashMap::new())
    }

    fn insert(&mut self, name: &str, version: Option<&str>, entry: T) {
        let of_name = self.0.entry(python_name(name)).or_default();
        if of_name.len() < MAX_ENTRIES_OF_A_NAME {
            of_name.push((version.map(str::to_owned), entry));
        }
    }

    /// The entries of a name, and of a version where one is stated.
    fn find(&self, name: &str, version: Option<&str>) -> impl Iterator<Item = T> {
        let of_name = self.0.get(&python_name(name)).map_or(&[][..], Vec::as_slice);
        let is_it = move |(it, _): &&(Option<String>, T)| {
            version.is_none_or(|version| it.as_deref() == Some(version))
        };
        of_name.iter().filter(is_it).map(|(_, entry)| *entry)
    }
}

/// Says that a package requires the entries of a name.
fn require(package: Added, name: &str, known: &Known<Added>, found: &mut Collector<'_>) {
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

/// An entry as every lock in TOML has it; none, and a warning, where it is something else.
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

/// Warns of a version of the format that is newer than what is known of it.
fn check_version(
    parent: Option<&DeTable<'_>>,
    key: &str,
    newest: u32,
    document: &Document<'_>,
    found: &mut Collector<'_>,
) {
    let Some(node) = parent.and_then(|it| it.get(key)) else { return };
    let stated = match node.get_ref() {
        DeValue::Integer(number) => number.as_str(),
        DeValue::String(version) => version.split('.').next().unwrap_or_default(),
        _ => "",
    };
    if stated.parse::<u32>().ok().is_none_or(|it| it > newest) {
        let line = document.line(node);
        found.warn(line, format!("unknown {key} of the lock, read as far as known"));
    }
}

/// Warns of a package whose entry tells no version at all.
fn warn_of_no_version(entry: Entry<'_, '_>, found: &mut Collector<'_>) {
    found.warn(entry.line, format!("`{}` has no version", text::excerpt(entry.name)));
}

/// Whether a path leads to a folder of the repository; an archive holds a package.
fn is_folder(path: &str) -> bool {
    !archive::is_archive(path)
}

/// The name with which a requirement of a lock begins.
fn required_name(requirement: &str) -> Option<&str> {
    requirement::name(requirement)
}
