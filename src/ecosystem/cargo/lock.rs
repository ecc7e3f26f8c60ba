//! `Cargo.lock` of version 1 to 4, as cargo's own `encode.rs` describes it.
//!
//! What flows in: the `[[package]]` entries, and `[root]` of cargo before 1.16. What flows out:
//! every entry with a source. What must stay true: an entry without a source is a member of the
//! workspace or a crate of the repository; what those depend on is direct.

use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Added, Collector, Declared},
    purl::Ecosystem,
    source::file_name,
    text,
    toml::{self, Document},
};
use crate::model::scan_result::Source;
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
    for entry in toml::elements(&document.root, "package") {
        let taken = read_entry(entry, document, direct.as_ref(), found);
        if let (Some(taken), Some(table)) = (taken, entry.get_ref().as_table()) {
            added.extend(references(table).map(|it| (it, taken)));
        }
    }
    for entry in toml::elements(&document.root, "package") {
        let Some(table) = entry.get_ref().as_table() else { continue };
        // The full form names one entry alone.
        let own = references(table).last().and_then(|it| added.get(&it)).copied();
        let wanted = toml::elements(table, "dependencies").filter_map(|it| it.get_ref().as_str());
        for required in wanted.filter_map(|it| added.get(&reference(it)).copied()) {
            if let Some(own) = own {
                found.requires(own, required);
            }
        }
    }
}

fn check_version(document: &Document<'_>, found: &mut Collector<'_>) {
    // Absent in version 1 and 2.
    let Some(node) = document.root.get("version") else { return };
    let known = node.get_ref().as_integer().and_then(|it| it.as_str().parse::<u32>().ok());
    if known.is_none_or(|it| it > NEWEST_VERSION) {
        let line = document.line(node);
        found.warn(line, "unknown version of the lock's format, read as far as known");
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
    // Replaced by `[replace]` of the manifest: what is built in its place has its own entry.
    if toml::string(table, "source").is_none() || table.contains_key("replace") {
        return None;
    }
    let direct = direct.map(|it| it.contains(table));
    found.take(Ecosystem::Cargo, Declared { name, version, line, direct, ..Declared::default() })
}

/// `name`, `name version` and `name version (source)`, as far as a reference gives them.
type Reference<'a> = (&'a str, Option<&'a str>, Option<&'a str>);

/// What the crates of the repository depend on, in the form in which a lock refers to it:
/// `name`, `name version` or `name version (source)`, each as short as it is clear.
struct Direct<'a>(HashSet<Reference<'a>>);

impl<'a> Direct<'a> {
    /// None where the lock lists no crate of the repository, so that nothing is known.
    fn of(document: &'a Document<'_>) -> Option<Self> {
        let mut own = toml::elements(&document.root, "package")
            .filter_map(|it| it.get_ref().as_table())
            .chain(toml::table(&document.root, "root"))
            .filter(|it| toml::string(it, "source").is_none())
            .peekable();
        own.peek()?;
        let wanted = own.flat_map(|it| toml::elements(it, "dependencies"));
        Some(Self(wanted.filter_map(|it| it.get_ref().as_str()).map(reference).collect()))
    }

    fn contains(&self, package: &DeTable<'_>) -> bool {
        references(package).any(|it| self.0.contains(&it))
    }
}

/// The forms in which a lock refers to an entry, each as short as it is clear; the longest last.
fn references<'a>(package: &'a DeTable<'_>) -> impl Iterator<Item = Reference<'a>> {
    let name = toml::string(package, "name").unwrap_or_default();
    let version = toml::string(package, "version");
    let source = toml::string(package, "source");
    // A reference leaves the commit of a git source out or has it, by version.
    let short = source.map(|it| it.split('#').next().unwrap_or(it));
    [(name, None, None), (name, version, None), (name, version, short), (name, version, source)]
        .into_iter()
}

fn reference(text: &str) -> Reference<'_> {
    let mut parts = text.splitn(3, ' ');
    let name = parts.next().unwrap_or(text);
    let version = parts.next();
    let source = parts.next().map(|it| it.trim_start_matches('(').trim_end_matches(')'));
    (name, version, source)
}
