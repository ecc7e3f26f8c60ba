//! `Gopkg.lock` and `Gopkg.toml` of dep, by "Gopkg.lock" and "Gopkg.toml" of its documentation.
//!
//! Input: `[[projects]]` of the lock file; `[[constraint]]` and `[[override]]` of the manifest. Output: the
//! projects by their import path. Decisions: a project without a version has its commit; a constraint
//! applies to direct dependencies only, an override to any.
//!
//! Invariants: the packages that the own code imports (`input-imports`) state what is direct.

use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    git_reference,
    path::file_name,
    text,
    toml::{self, Document},
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};
use ::toml::de::DeTable;
use std::collections::HashSet;

/// Segments of an import path that may be the path of its project.
const MAX_SEGMENTS: usize = 64;

/// Reads `Gopkg.lock`.
#[derive(Debug)]
pub(in crate::ecosystem) struct DepLock;

impl Parser for DepLock {
    fn name(&self) -> &'static str {
        "dep-lock"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == super::vendor::DEP_LOCK
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Golang, Source::Lockfile);
        toml::read(file.bytes, found, locked)
    }
}

fn locked(document: &Document<'_>, found: &mut Collector<'_>) {
    let (root, budget) = (&document.root, found.budget());
    let metadata = toml::table(root, "solve-meta");
    // Locks of dep before 0.5 do not state what is imported.
    let imports = metadata.filter(|metadata| metadata.contains_key("input-imports"));
    let imported: Option<HashSet<&str>> = imports.map(|metadata| {
        let paths = toml::elements(metadata, "input-imports");
        let paths = paths.filter_map(|path| path.get_ref().as_str());
        // Each import belongs to the project whose path is a prefix of it.
        paths.flat_map(prefixes).take_while(|path| budget.read(path.len())).collect()
    });
    for_each(root, "projects", document, found, |project, line, found| {
        let name = toml::string(project, "name").unwrap_or_default();
        let version =
            toml::string(project, "version").or_else(|| toml::string(project, "revision"));
        if version.is_none() {
            found.warn(line, format!("`{}` has no version", text::excerpt(name)));
        }
        let direct = imported.as_ref().map(|imported| imported.contains(name));
        found.add(Declared { name, version, line, direct, ..Declared::default() });
    });
}

/// A path and the paths above it.
fn prefixes(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    ends.take(MAX_SEGMENTS).filter_map(move |end| path.get(..end))
}

/// Reads `Gopkg.toml`.
#[derive(Debug)]
pub(in crate::ecosystem) struct DepManifest;

impl Parser for DepManifest {
    fn name(&self) -> &'static str {
        "dep"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "Gopkg.toml"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Golang, Source::Manifest);
        toml::read(file.bytes, found, |document, found| {
            for (key, direct) in [("constraint", Some(true)), ("override", None)] {
                for_each(&document.root, key, document, found, |rule, line, found| {
                    constraint(rule, direct, line, found);
                });
            }
        })
    }
}

/// Calls `read` with each table of an array that has a name, and with its line.
fn for_each(
    root: &DeTable<'_>,
    key: &str,
    document: &Document<'_>,
    found: &mut Collector<'_>,
    mut read: impl FnMut(&DeTable<'_>, u32, &mut Collector<'_>),
) {
    for node in toml::elements(root, key) {
        let line = document.line(node);
        match node.get_ref().as_table() {
            Some(table) if toml::string(table, "name").is_some() => read(table, line, found),
            Some(_) => found.warn(line, format!("{key}: an entry without a name")),
            None => {
                let kind = node.get_ref().type_str();
                found.warn(line, format!("{key}: expected a table, got {kind}"));
            }
        }
    }
}

/// "`version = "1.0.0"`" means any version that is compatible with it; `=1.0.0` is exact.
fn constraint(rule: &DeTable<'_>, direct: Option<bool>, line: u32, found: &mut Collector<'_>) {
    let name = toml::string(rule, "name").unwrap_or_default();
    let range = toml::string(rule, "version");
    let exact = range.and_then(|range| range.trim().strip_prefix('=')).map(str::trim);
    let version = exact.or_else(|| toml::string(rule, "revision").and_then(git_reference::commit));
    let reference = || ["revision", "branch"].iter().find_map(|key| toml::string(rule, key));
    let specifier = if version.is_none() { range.or_else(reference) } else { None };
    found.add(Declared { name, version, specifier, line, direct, scope: None });
}
