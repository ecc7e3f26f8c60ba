//! `Cargo.lock` of version 1 to 4, as cargo's own `encode.rs` describes it.
//!
//! Input: the `[[package]]` entries, and `[root]` of cargo before 1.16. Output: every entry with a source.
//! Invariants: an entry without a source is a workspace member or a path dependency, so it is not a
//! package; its dependencies are direct, and state which version of a crate it gets.

use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Added, Collector, Declared},
    path::file_name,
    resolution::Importer,
    text,
    toml::{self, Document},
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};
use ::toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use std::collections::{HashMap, HashSet};

const NEWEST_VERSION: u32 = 4;

/// Reads `Cargo.lock`.
#[derive(Debug)]
pub(in crate::ecosystem) struct CargoLock;

impl Parser for CargoLock {
    fn name(&self) -> &'static str {
        "cargo-lock"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "Cargo.lock"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Cargo, Source::Lockfile);
        toml::read(file.bytes, found, walk)
    }
}

fn walk(document: &Document<'_>, found: &mut Collector<'_>) {
    check_version(document, found);
    let direct = Direct::of(document);
    let mut added = HashMap::new();
    let mut versions: HashMap<&str, u32> = HashMap::new();
    for entry in toml::elements(&document.root, "package") {
        let taken = read_entry(entry, document, direct.as_ref(), found);
        if let (Some(taken), Some(table)) = (taken, entry.get_ref().as_table()) {
            found.hash(Some(taken), toml::string(table, "checksum").unwrap_or_default());
            added.extend(references(table).map(|reference| (reference, taken)));
            *versions.entry(toml::string(table, "name").unwrap_or_default()).or_default() += 1;
        }
    }
    for entry in toml::elements(&document.root, "package") {
        let Some(table) = entry.get_ref().as_table() else { continue };
        // The longest reference identifies exactly one entry.
        let own = references(table).last().and_then(|reference| added.get(&reference)).copied();
        let is_own = toml::string(table, "source").is_none();
        let wanted = toml::elements(table, "dependencies")
            .filter_map(|dependency| dependency.get_ref().as_str());
        for wanted in wanted.map(reference) {
            let Some(required) = added.get(&wanted).copied() else { continue };
            if let Some(own) = own {
                found.requires(own, required);
            } else if is_own && versions.get(wanted.0).is_some_and(|count| *count > 1) {
                let member = toml::string(table, "name").unwrap_or_default();
                found.resolves(required, Importer::Project(member), None);
            }
        }
    }
}

fn check_version(document: &Document<'_>, found: &mut Collector<'_>) {
    // Versions 1 and 2 have no such key.
    let Some(node) = document.root.get("version") else { return };
    let known = node.get_ref().as_integer().and_then(|number| number.as_str().parse::<u32>().ok());
    if known.is_none_or(|version| version > NEWEST_VERSION) {
        let line = document.line(node);
        found.warn(line, "unknown version of the lock file; parsed as far as possible");
    }
}

fn read_entry(
    entry: &Spanned<DeValue<'_>>,
    document: &Document<'_>,
    direct: Option<&Direct<'_>>,
    found: &mut Collector<'_>,
) -> Option<Added> {
    let line = document.line(entry);
    let Some(table) = entry.get_ref().as_table() else {
        found.warn(line, format!("expected a table, got {}", entry.get_ref().type_str()));
        return None;
    };
    let Some(name) = toml::string(table, "name") else {
        found.warn(line, "a package without a name");
        return None;
    };
    let version = toml::string(table, "version");
    if version.is_none() {
        found.warn(line, format!("`{}` has no version", text::excerpt(name)));
    }
    // `[replace]` of the manifest replaced this entry; the replacement has an entry of its own.
    if toml::string(table, "source").is_none() || table.contains_key("replace") {
        return None;
    }
    let direct = direct.map(|direct| direct.contains(table));
    found.take(Ecosystem::Cargo, Declared { name, version, line, direct, ..Declared::default() })
}

/// `name`, `name version` or `name version (source)`.
type Reference<'a> = (&'a str, Option<&'a str>, Option<&'a str>);

/// The dependencies of the repository's own crates, as the lock file refers to them: `name`,
/// `name version` or `name version (source)`, each as short as it is unambiguous.
struct Direct<'a>(HashSet<Reference<'a>>);

impl<'a> Direct<'a> {
    /// None where the lock file contains no crate of the repository.
    fn of(document: &'a Document<'_>) -> Option<Self> {
        let mut own = toml::elements(&document.root, "package")
            .filter_map(|entry| entry.get_ref().as_table())
            .chain(toml::table(&document.root, "root"))
            .filter(|table| toml::string(table, "source").is_none())
            .peekable();
        own.peek()?;
        let wanted = own.flat_map(|table| toml::elements(table, "dependencies"));
        Some(Self(
            wanted.filter_map(|dependency| dependency.get_ref().as_str()).map(reference).collect(),
        ))
    }

    fn contains(&self, package: &DeTable<'_>) -> bool {
        references(package).any(|reference| self.0.contains(&reference))
    }
}

/// The references that may name an entry, the shortest first.
fn references<'a>(package: &'a DeTable<'_>) -> impl Iterator<Item = Reference<'a>> {
    let name = toml::string(package, "name").unwrap_or_default();
    let version = toml::string(package, "version");
    let source = toml::string(package, "source");
    // Depending on the version of the lock file, references contain the commit of a git source.
    let short = source.map(|source| source.split('#').next().unwrap_or(source));
    [(name, None, None), (name, version, None), (name, version, short), (name, version, source)]
        .into_iter()
}

fn reference(text: &str) -> Reference<'_> {
    let mut parts = text.splitn(3, ' ');
    let name = parts.next().unwrap_or(text);
    let version = parts.next();
    let source = parts.next().map(|source| source.trim_start_matches('(').trim_end_matches(')'));
    (name, version, source)
}
