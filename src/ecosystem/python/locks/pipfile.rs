//! `Pipfile`, by "Pipfile & Pipfile.lock" of pipenv's manual.
//!
//! Input: `[packages]`, `[dev-packages]` and the project's own categories. Output: each package as direct.
//! Invariants: pipenv's own tables contain no packages; a path is part of the repository.

use super::{super::group_scope, is_folder};
use crate::ecosystem::{
    Findings, Pairing, Parser, SourceFile,
    collect::{Collector, Declared},
    git_reference,
    path::file_name,
    python::{archive, requirement},
    text,
    toml::{self, Document},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use ::toml::de::{DeTable, DeValue};

/// Tables of pipenv that are not categories of packages.
const NO_CATEGORIES: [&str; 5] = ["source", "requires", "scripts", "pipenv", "build-system"];

/// Reads `Pipfile`.
#[derive(Debug)]
pub(in crate::ecosystem) struct Pipfile;

impl Parser for Pipfile {
    fn name(&self) -> &'static str {
        "pipfile"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "Pipfile"
    }

    fn pairing<'p>(&self, path: &'p str) -> Pairing<'p> {
        Pairing::of(path).with("pipenv")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::PyPi, Source::Manifest);
        toml::read(file.bytes, found, walk)
    }
}

fn walk(document: &Document<'_>, found: &mut Collector<'_>) {
    for (category, value) in &document.root {
        let category = category.get_ref().as_ref();
        let Some(packages) = value.get_ref().as_table() else { continue };
        let scope = match category {
            "packages" => Scope::Runtime,
            "dev-packages" => Scope::Dev,
            other if NO_CATEGORIES.contains(&other) => continue,
            other => group_scope(other),
        };
        for (name, value) in packages {
            let declared = Declared {
                name: name.get_ref(),
                line: document.line(name),
                direct: Some(true),
                scope: Some(scope),
                ..Declared::default()
            };
            dependency(declared, value.get_ref(), found);
        }
    }
}

fn dependency(declared: Declared<'_>, value: &DeValue<'_>, found: &mut Collector<'_>) {
    match value {
        DeValue::String(specifier) => constraint(declared, specifier, found),
        DeValue::Table(table) => detailed(declared, table, found),
        other => {
            let (name, kind) = (text::excerpt(declared.name), other.type_str());
            let message = format!("`{name}`: expected a string or table, got {kind}");
            found.warn(declared.line, message);
        }
    }
}

fn detailed(declared: Declared<'_>, table: &DeTable<'_>, found: &mut Collector<'_>) {
    if let Some(repository) =
        ["git", "hg", "svn", "bzr"].iter().find_map(|system| toml::string(table, system))
    {
        let reference = toml::string(table, "ref");
        if let Some(commit) = reference.and_then(git_reference::commit) {
            return found.add(Declared { version: Some(commit), ..declared });
        }
        let reference = reference.map(|reference| format!("@{reference}")).unwrap_or_default();
        let specifier = format!("git+{repository}{reference}");
        return found.add(Declared { specifier: Some(&specifier), ..declared });
    }
    let address = ["file", "path"].iter().find_map(|key| toml::string(table, key));
    if let Some(address) = address {
        if !address.contains("://") && is_folder(address) {
            return;
        }
        let version = archive::name_and_version(address).map(|(_, version)| version);
        let specifier = version.is_none().then_some(address);
        return found.add(Declared { version, specifier, ..declared });
    }
    constraint(declared, toml::string(table, "version").unwrap_or("*"), found);
}

fn constraint(declared: Declared<'_>, specifier: &str, found: &mut Collector<'_>) {
    let version = requirement::pinned(specifier.trim());
    let specifier = version.is_none().then_some(specifier);
    found.add(Declared { version, specifier, ..declared });
}
