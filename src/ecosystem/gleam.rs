//! Gleam: `gleam.toml`, by Gleam's documentation, and `manifest.toml`, as its compiler writes it.
//!
//! Input: locked packages, and dependencies. Output: packages of Hex, and the dependencies in the lock file.
//! Invariants: other tools use the name `manifest.toml` too, so only entries with Gleam's keys are read; a
//! local package is part of the repository.

use super::{
    Findings, Parser, SourceFile,
    collect::{Added, Collector, Declared},
    git_reference,
    path::file_name,
    text,
    toml::{self, Document},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use ::toml::de::{DeTable, DeValue};
use std::collections::HashMap;

/// Reads `manifest.toml`.
#[derive(Debug)]
pub(super) struct GleamManifest;

impl Parser for GleamManifest {
    fn name(&self) -> &'static str {
        "gleam-manifest"
    }

    fn reads_lock_files(&self) -> bool {
        true
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "manifest.toml"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Hex, Source::Lockfile);
        toml::read(file.bytes, found, read_manifest)
    }
}

/// Reads `gleam.toml`.
#[derive(Debug)]
pub(super) struct GleamToml;

impl Parser for GleamToml {
    fn name(&self) -> &'static str {
        "gleam"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "gleam.toml"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Hex, Source::Manifest);
        toml::read(file.bytes, found, |document, found| {
            let groups = [
                ("dependencies", Scope::Runtime),
                ("dev-dependencies", Scope::Dev),
                ("dev_dependencies", Scope::Dev),
            ];
            for (group, scope) in groups {
                for (name, value) in toml::table(&document.root, group).into_iter().flatten() {
                    let line = document.line(name);
                    let (direct, scope) = (Some(true), Some(scope));
                    let name: &str = name.get_ref();
                    let declared = Declared { name, line, direct, scope, ..Declared::default() };
                    dependency(declared, value.get_ref(), found);
                }
            }
        })
    }
}

fn read_manifest(document: &Document<'_>, found: &mut Collector<'_>) {
    let requirements = toml::table(&document.root, "requirements");
    let mut added: HashMap<&str, Added> = HashMap::new();
    for entry in toml::elements(&document.root, "packages") {
        let Some(table) = entry.get_ref().as_table() else { continue };
        let (Some(name), true) = (toml::string(table, "name"), is_of_gleam(table)) else {
            continue;
        };
        if toml::string(table, "source") == Some("local") {
            continue;
        }
        let line = document.line(entry);
        let version = toml::string(table, "version").or_else(|| toml::string(table, "commit"));
        if version.is_none() {
            found.warn(line, format!("`{}` has no version", text::excerpt(name)));
        }
        let direct = requirements.map(|requirements| requirements.contains_key(name));
        let declared = Declared { name, version, line, direct, ..Declared::default() };
        if let Some(taken) = found.take(Ecosystem::Hex, declared) {
            found.hash(Some(taken), toml::string(table, "outer_checksum").unwrap_or_default());
            added.insert(name, taken);
        }
    }
    for entry in toml::elements(&document.root, "packages") {
        let Some(table) = entry.get_ref().as_table() else { continue };
        let own = toml::string(table, "name").and_then(|name| added.get(name)).copied();
        let wanted = toml::elements(table, "requirements")
            .filter_map(|requirement| requirement.get_ref().as_str());
        for required in wanted.filter_map(|name| added.get(name)) {
            if let Some(own) = own {
                found.requires(own, *required);
            }
        }
    }
}

fn is_of_gleam(entry: &DeTable<'_>) -> bool {
    entry.contains_key("build_tools") || entry.contains_key("source")
}

fn dependency(declared: Declared<'_>, value: &DeValue<'_>, found: &mut Collector<'_>) {
    match value {
        DeValue::String(range) => add(declared, Some(range.as_ref()), found),
        DeValue::Table(table) if table.contains_key("path") => {}
        DeValue::Table(table) => match toml::string(table, "git") {
            Some(git) => {
                let reference = toml::string(table, "ref");
                let version = reference.and_then(git_reference::commit);
                let at = reference.map(|reference| format!("@{reference}")).unwrap_or_default();
                let specifier = format!("git+{git}{at}");
                let specifier = if version.is_none() { Some(specifier.as_str()) } else { None };
                found.add(Declared { version, specifier, ..declared });
            }
            None => add(declared, toml::string(table, "version"), found),
        },
        other => {
            let name = text::excerpt(declared.name);
            let kind = other.type_str();
            found.warn(declared.line, format!("`{name}`: expected a range or table, got {kind}"));
        }
    }
}

/// Adds a dependency. In Hex, a version without an operator or after `==` is exact.
fn add(declared: Declared<'_>, range: Option<&str>, found: &mut Collector<'_>) {
    let exact = range.map(|range| range.trim_start_matches('=').trim());
    let version = exact.filter(|version| {
        version.starts_with(|character: char| character.is_ascii_digit())
            && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-+".contains(&byte))
    });
    let specifier = if version.is_none() { range } else { None };
    found.add(Declared { version, specifier, ..declared });
}
