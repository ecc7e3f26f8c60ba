//! `poetry.lock` of every lock-version up to 2.1, as Poetry's `locker.py` writes it.
//!
//! Input: the `[[package]]` entries. Output: each package, with the scope of its category (up to 1.1) or its
//! groups (from 2.1); version 2.0 has no scopes.
//!
//! Decisions. Only the manifest states the direct requirements of the project. A dependency of an extra
//! counts if the lock file has the package, because the file does not state which extras are requested.
//! Invariants: an entry from a directory is not a package.

use super::{
    super::group_scope, Entry, LockedPackages, check_version, entry, is_folder, require,
    state_hashes, warn_of_no_version,
};
use crate::ecosystem::{
    Findings, Pairing, Parser, SourceFile,
    collect::{Added, Collector, Declared},
    path::file_name,
    python::PYPROJECT,
    toml::{self, Document},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use ::toml::de::DeTable;

const NEWEST_VERSION: u32 = 2;

/// Reads `poetry.lock`.
#[derive(Debug)]
pub(in crate::ecosystem) struct PoetryLock;

impl Parser for PoetryLock {
    fn name(&self) -> &'static str {
        "poetry-lock"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "poetry.lock"
    }

    fn pairing<'p>(&self, path: &'p str) -> Pairing<'p> {
        Pairing::of(path).with(PYPROJECT)
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::PyPi, Source::Lockfile);
        toml::read(file.bytes, found, walk)
    }
}

fn walk(document: &Document<'_>, found: &mut Collector<'_>) {
    let metadata = toml::table(&document.root, "metadata");
    check_version(metadata, "lock-version", NEWEST_VERSION, document, found);
    let mut known = LockedPackages::new();
    let mut taken = Vec::new();
    for node in toml::elements(&document.root, "package") {
        let Some(entry) = entry(node, document, found) else { continue };
        if let Some(added) = take(entry, found) {
            // Before version 2 by name, in a table behind the packages.
            let of_name = ["files", "hashes"]
                .iter()
                .filter_map(|key| toml::table(metadata?, key))
                .flat_map(|table| toml::elements(table, entry.name));
            let archives = toml::elements(entry.table, "files").chain(of_name);
            state_hashes(Some(added), archives, found);
            known.insert(entry.name, None, added);
            taken.push((entry.table, added));
        }
    }
    for (table, added) in taken {
        for name in toml::table(table, "dependencies").into_iter().flat_map(DeTable::keys) {
            require(added, name.get_ref(), &known, found);
        }
    }
}

fn take(entry: Entry<'_, '_>, found: &mut Collector<'_>) -> Option<Added> {
    let source = toml::table(entry.table, "source");
    let of_source = |key: &str| source.and_then(|source| toml::string(source, key));
    let from_folder = match of_source("type") {
        Some("directory") => true,
        Some("file") => of_source("url").is_some_and(is_folder),
        _ => false,
    };
    if from_folder {
        return None;
    }
    let commit = || of_source("resolved_reference");
    let version = toml::string(entry.table, "version").or_else(commit);
    if version.is_none() {
        warn_of_no_version(entry, found);
    }
    let Entry { name, line, .. } = entry;
    let scope = scope(entry.table);
    found.take(Ecosystem::PyPi, Declared { name, version, line, scope, ..Declared::default() })
}

fn scope(table: &DeTable<'_>) -> Option<Scope> {
    let category = toml::string(table, "category");
    let groups = toml::elements(table, "groups").filter_map(|group| group.get_ref().as_str());
    let strongest = category
        .into_iter()
        .chain(groups)
        .map(|name| Some(group_scope(name)))
        .fold(None, Scope::stronger);
    // The package belongs to an extra of the project.
    let optional = strongest == Some(Scope::Runtime) && toml::is_true(table, "optional");
    if optional { Some(Scope::Optional) } else { strongest }
}
