//! `pdm.lock` of `lock_version` 2 to 4, by "Lock file" of PDM's manual and what PDM writes.
//!
//! Input: the `[[package]]` entries. Output: each package once, although there is an entry for each requested
//! set of its extras, with the scope of its groups.
//!
//! Invariants: an entry with the path of a folder is not a package; a group whose name may be that of an
//! extra gives no scope.

use super::{
    Entry, LockedPackages, check_version, entry, is_folder, require, required_name, state_hashes,
};
use crate::ecosystem::{
    Findings, Pairing, Parser, SourceFile,
    collect::{Added, Collector, Declared},
    path::file_name,
    purl::python_name,
    python::PYPROJECT,
    toml::{self, Document},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use ::toml::de::DeTable;
use std::collections::HashMap;

const NEWEST_VERSION: u32 = 4;

/// Reads `pdm.lock`.
#[derive(Debug)]
pub(in crate::ecosystem) struct PdmLock;

impl Parser for PdmLock {
    fn name(&self) -> &'static str {
        "pdm-lock"
    }

    fn wants(&self, path: &str) -> bool {
        let file = file_name(path);
        file == "pdm.lock" || (file.starts_with("pdm.") && file.ends_with(".lock"))
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
    check_version(metadata, "lock_version", NEWEST_VERSION, document, found);
    let entries: Vec<_> = toml::elements(&document.root, "package")
        .filter_map(|node| entry(node, document, found))
        .collect();
    let mut scopes: HashMap<_, Option<Scope>> = HashMap::new();
    for entry in &entries {
        let scope = scopes.entry(key(*entry)).or_default();
        *scope = Scope::stronger(*scope, scope_of(entry.table));
    }
    let mut by_key: HashMap<_, Option<Added>> = HashMap::new();
    let mut known = LockedPackages::new();
    for entry in &entries {
        let key = key(*entry);
        let scope = scopes.get(&key).copied().flatten();
        by_key.entry(key).or_insert_with(|| {
            let added = take(*entry, scope, found)?;
            // Before version 4.2 by name and version, in a table behind the packages.
            let files = metadata.and_then(|metadata| toml::table(metadata, "files"));
            let key = format!("{} {}", entry.name, version(entry.table).unwrap_or_default());
            let of_key = files.into_iter().flat_map(|files| toml::elements(files, &key));
            let archives = toml::elements(entry.table, "files").chain(of_key);
            state_hashes(Some(added), archives, found);
            known.insert(entry.name, None, added);
            Some(added)
        });
    }
    for entry in &entries {
        let Some(added) = by_key.get(&key(*entry)).copied().flatten() else { continue };
        for name in dependencies(entry.table) {
            require(added, name, &known, found);
        }
    }
}

/// The key that an entry with extras shares with that of the package itself.
fn key<'t>(entry: Entry<'t, '_>) -> (String, Option<&'t str>) {
    (python_name(entry.name), version(entry.table))
}

fn version<'t>(table: &'t DeTable<'_>) -> Option<&'t str> {
    // `revision` is the commit of `ref`.
    toml::string(table, "version").or_else(|| toml::string(table, "revision"))
}

fn take(entry: Entry<'_, '_>, scope: Option<Scope>, found: &mut Collector<'_>) -> Option<Added> {
    if toml::string(entry.table, "path").is_some_and(is_folder) {
        return None;
    }
    let version = version(entry.table);
    if version.is_none() {
        super::warn_of_no_version(entry, found);
    }
    let Entry { name, line, .. } = entry;
    found.take(Ecosystem::PyPi, Declared { name, version, line, scope, ..Declared::default() })
}

/// The names in a list of requirements; lock files of PDM 0 have a table by name.
fn dependencies<'t>(table: &'t DeTable<'_>) -> impl Iterator<Item = &'t str> {
    let listed = toml::elements(table, "dependencies")
        .filter_map(|dependency| dependency.get_ref().as_str());
    let keys = toml::table(table, "dependencies").into_iter().flat_map(DeTable::keys);
    listed.filter_map(required_name).chain(keys.map(|key| key.get_ref().as_ref()))
}

/// The scope of the groups, which were called sections in old versions.
fn scope_of(table: &DeTable<'_>) -> Option<Scope> {
    let groups = toml::elements(table, "groups").chain(toml::elements(table, "sections"));
    groups
        .filter_map(|group| group.get_ref().as_str())
        .map(scope_of_group)
        .fold(None, Scope::stronger)
}

fn scope_of_group(name: &str) -> Option<Scope> {
    match name.to_ascii_lowercase().as_str() {
        "default" => Some(Scope::Runtime),
        "test" | "tests" | "testing" => Some(Scope::Test),
        "dev" | "doc" | "docs" | "lint" => Some(Scope::Dev),
        _ => None,
    }
}
