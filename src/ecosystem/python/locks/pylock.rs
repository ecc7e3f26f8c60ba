//! `pylock.toml` (PEP 751), which pip, uv and PDM write.
//!
//! Input: `[[packages]]`. Output: each package, with the scope of the extras or groups in its marker.
//! Invariants: a package from a directory is not listed; an entry without a version has a commit, or a
//! version in the name of its archive.

use super::{super::group_scope, Entry, LockedPackages, check_version, entry, warn_of_no_version};
use crate::ecosystem::{
    Findings, Pairing, Parser, SourceFile,
    collect::{Added, Collector, Declared},
    path::file_name,
    python::PYPROJECT,
    python::archive,
    toml::{self, Document},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use ::toml::de::DeTable;

const NEWEST_VERSION: u32 = 1;

/// Reads `pylock.toml` and `pylock.*.toml`.
#[derive(Debug)]
pub(in crate::ecosystem) struct PyLock;

impl Parser for PyLock {
    fn name(&self) -> &'static str {
        "pylock"
    }

    fn reads_lock_files(&self) -> bool {
        true
    }

    fn wants(&self, path: &str) -> bool {
        let named =
            file_name(path).strip_prefix("pylock.").and_then(|rest| rest.strip_suffix("toml"));
        // `pylock.name.toml`, where the name contains no dot.
        named.is_some_and(|name| name.matches('.').count() <= 1 && name != ".")
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
    check_version(Some(&document.root), "lock-version", NEWEST_VERSION, document, found);
    let mut known = LockedPackages::new();
    let mut taken = Vec::new();
    for node in toml::elements(&document.root, "packages") {
        let Some(entry) = entry(node, document, found) else { continue };
        if let Some(added) = take(entry, found) {
            state_archives(added, entry.table, found);
            known.insert(entry.name, toml::string(entry.table, "version"), added);
            taken.push((entry.table, added));
        }
    }
    for (table, added) in taken {
        let required = toml::elements(table, "dependencies");
        for required in required.filter_map(|dependency| dependency.get_ref().as_table()) {
            let name = toml::string(required, "name").unwrap_or_default();
            for required in known.find(name, toml::string(required, "version")) {
                found.requires(added, required);
            }
        }
    }
}

fn take(entry: Entry<'_, '_>, found: &mut Collector<'_>) -> Option<Added> {
    if entry.table.contains_key("directory") {
        return None;
    }
    let version = version(entry.table);
    if version.is_none() {
        warn_of_no_version(entry, found);
    }
    let scope = toml::string(entry.table, "marker").and_then(scope);
    let Entry { name, line, .. } = entry;
    found.take(Ecosystem::PyPi, Declared { name, version, line, scope, ..Declared::default() })
}

/// Records the digests of the archives of an entry, which are in tables by algorithm.
fn state_archives(added: Added, table: &DeTable<'_>, found: &mut Collector<'_>) {
    let single = ["sdist", "archive"].iter().filter_map(|key| toml::table(table, key));
    let wheels = toml::elements(table, "wheels").filter_map(|wheel| wheel.get_ref().as_table());
    for hashes in single.chain(wheels).filter_map(|archive| toml::table(archive, "hashes")) {
        for (algorithm, digits) in hashes {
            let digits = digits.get_ref().as_str().unwrap_or_default();
            found.hash(Some(added), &format!("{}:{digits}", algorithm.get_ref()));
        }
    }
}

fn version<'t>(table: &'t DeTable<'_>) -> Option<&'t str> {
    let commit = || toml::string(toml::table(table, "vcs")?, "commit-id");
    let of_archive = || {
        let archive = toml::table(table, "archive")?;
        let address = ["url", "path"].iter().find_map(|key| toml::string(archive, key))?;
        archive::name_and_version(address).map(|(_, version)| version)
    };
    toml::string(table, "version").or_else(commit).or_else(of_archive)
}

/// The scope of a marker such as `'dev' in dependency_groups or 'http2' in extras`: that of the quoted words
/// before each `in`.
fn scope(marker: &str) -> Option<Scope> {
    let named = |list: &str| -> Vec<&str> {
        let mut before: Vec<_> = marker.split(list).collect();
        before.pop();
        before.into_iter().filter_map(quoted_at_end).collect()
    };
    let groups = named("in dependency_groups").into_iter().map(|group| match group {
        "default" => Scope::Runtime,
        other => group_scope(other),
    });
    let extras = named("in extras").into_iter().map(|_| Scope::Optional);
    groups.chain(extras).map(Some).fold(None, Scope::stronger)
}

fn quoted_at_end(text: &str) -> Option<&str> {
    let text = text.trim_end();
    let quote = text.chars().next_back().filter(|character| matches!(character, '"' | '\''))?;
    text.strip_suffix(quote)?.rsplit(quote).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_locks() {
        for path in ["pylock.toml", "a/pylock.dev.toml"] {
            assert!(PyLock.wants(path), "{path}");
        }
        for path in ["pylock.a.b.toml", "pylock.txt", "mypylock.toml", "pylock..toml"] {
            assert!(!PyLock.wants(path), "{path}");
        }
    }

    #[test]
    fn markers_determine_scopes() {
        for (marker, expected) in [
            ("'dev' in dependency_groups", Some(Scope::Dev)),
            ("\"default\" in dependency_groups", Some(Scope::Runtime)),
            ("'http2' in extras or 'test' in dependency_groups", Some(Scope::Optional)),
            ("sys_platform == 'win32'", None),
        ] {
            assert_eq!(scope(marker), expected, "{marker}");
        }
    }
}
