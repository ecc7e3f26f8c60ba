//! `Manifest.toml` of format 1 and 2, by "Manifest.toml" of Pkg's documentation.
//!
//! Input: arrays of entries by name: below `deps` since format 2, before that at the root. Output: one package
//! for each entry with a version or a repository, and the dependencies between them; and the folders of the
//! entries with a path. Invariants: an entry with a path is part of the project; `Project.toml` states what is
//! direct.

use super::purl;
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Added, Collector, Declared},
    path::file_name,
    text,
    toml::{self, Document},
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};
use ::toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use std::collections::HashMap;

/// Reads `Manifest.toml`.
#[derive(Debug)]
pub(in crate::ecosystem) struct JuliaManifest;

impl Parser for JuliaManifest {
    fn name(&self) -> &'static str {
        "julia-manifest"
    }

    fn reads_lock_files(&self) -> bool {
        true
    }

    fn wants(&self, path: &str) -> bool {
        let name = file_name(path);
        let stem = name.strip_prefix("Julia").unwrap_or(name);
        // `Manifest-v1.11.toml` applies to one version of Julia.
        stem == "Manifest.toml" || stem.starts_with("Manifest-v") && stem.ends_with(".toml")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Julia, Source::Lockfile);
        toml::read(file.bytes, found, walk)
    }
}

fn walk(document: &Document<'_>, found: &mut Collector<'_>) {
    let format = toml::string(&document.root, "manifest_format");
    if let Some(format) =
        format.filter(|format| !format.starts_with("1.") && !format.starts_with("2."))
    {
        let format = text::excerpt(format);
        found.warn(1, format!("unknown manifest_format {format}; parsed as far as possible"));
    }
    let entries = match format {
        Some(_) => toml::table(&document.root, "deps"),
        None => Some(&document.root),
    };
    let Some(entries) = entries else { return };
    found.describe(None, folders(entries));
    let mut added: HashMap<&str, Added> = HashMap::new();
    let mut requiring: Vec<(Added, &DeTable<'_>)> = Vec::new();
    for (name, value) in entries {
        for entry in value.get_ref().as_array().into_iter().flatten() {
            let Some(table) = entry.get_ref().as_table() else {
                found.warn(document.line(entry), "expected a table");
                continue;
            };
            if let Some(taken) = read_entry(name.get_ref(), table, document.line(entry), found) {
                added.insert(name.get_ref(), taken);
                requiring.push((taken, table));
            }
        }
    }
    for (package, table) in requiring {
        for required in names(table).filter_map(|name| added.get(name)) {
            found.requires(package, *required);
        }
    }
}

/// The folders of the entries that are part of the repository, which projects require by name.
fn folders<'t>(entries: &'t DeTable<'_>) -> impl Iterator<Item = &'t str> {
    let entries = entries.values().filter_map(|value| value.get_ref().as_array()).flatten();
    entries.filter_map(|entry| toml::string(entry.get_ref().as_table()?, "path"))
}

/// The dependencies of an entry: an array of names, or, where a name is ambiguous, a table from names to
/// UUIDs.
fn names<'t>(table: &'t DeTable<'_>) -> impl Iterator<Item = &'t str> {
    let array = toml::elements(table, "deps").filter_map(|name| name.get_ref().as_str());
    let keys = toml::table(table, "deps").into_iter().flat_map(DeTable::keys);
    array.chain(keys.map(|key: &Spanned<_>| key.get_ref().as_ref()))
}

fn read_entry(
    name: &str,
    table: &DeTable<'_>,
    line: u32,
    found: &mut Collector<'_>,
) -> Option<Added> {
    let has = |key: &str| {
        table.get(key).is_some_and(|value| matches!(value.get_ref(), DeValue::String(_)))
    };
    let comes_with_julia = !has("version") && !has("git-tree-sha1") && !has("repo-url");
    if has("path") || comes_with_julia {
        return None;
    }
    let reference =
        toml::string(table, "repo-rev").or_else(|| toml::string(table, "git-tree-sha1"));
    let version = toml::string(table, "version").or(reference);
    let uuid = toml::string(table, "uuid");
    if uuid.is_none() {
        found.warn(line, format!("`{}` has no UUID", text::excerpt(name)));
    }
    let declared = Declared { name, version, line, ..Declared::default() };
    found.take_as(Ecosystem::Julia.into(), declared, |version| purl(name, version, uuid))
}
