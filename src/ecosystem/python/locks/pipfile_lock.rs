//! `Pipfile.lock` of pipfile-spec 2 to 6, by "Pipfile & Pipfile.lock" of pipenv's manual.
//!
//! Input: `default`, `develop` and the project's own categories. Output: all packages of these. Invariants: a
//! package from a folder is not listed; only the `Pipfile` beside the file states what is direct.

use super::{super::group_scope, is_folder};
use crate::ecosystem::{
    Findings, Pairing, Parser, SourceFile,
    collect::{Added, Collector, Declared},
    json::{self, Member, Node},
    path::file_name,
    python::{archive, requirement},
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};

/// Reads `Pipfile.lock`.
#[derive(Debug)]
pub(in crate::ecosystem) struct PipfileLock;

impl Parser for PipfileLock {
    fn name(&self) -> &'static str {
        "pipfile-lock"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "Pipfile.lock"
    }

    fn pairing<'p>(&self, path: &'p str) -> Pairing<'p> {
        Pairing::of(path).with("pipenv")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        json::read(file.bytes, Collector::new(file, Ecosystem::PyPi, Source::Lockfile), walk)
    }
}

fn walk(root: &Node<'_>, found: &mut Collector<'_>) {
    check_version(root, found);
    for category in root.members().unwrap_or_default() {
        let scope = match category.key.as_ref() {
            "_meta" => continue,
            "default" => Scope::Runtime,
            "develop" => Scope::Dev,
            other => group_scope(other),
        };
        let Some(entries) = category.value.members() else {
            let name = text::excerpt(&category.key);
            let message = format!("{name}: expected an object, got {}", category.value.kind());
            found.warn(category.line, message);
            continue;
        };
        for entry in entries {
            read_entry(entry, scope, found);
        }
    }
}

fn check_version(root: &Node<'_>, found: &mut Collector<'_>) {
    let Some(node) = root.get("_meta").and_then(|meta| meta.get("pipfile-spec")) else { return };
    if !matches!(node.value, json::Value::Number("1" | "2" | "3" | "4" | "5" | "6")) {
        found.warn(node.line, "unknown pipfile-spec; parsed as far as possible");
    }
}

fn read_entry(entry: &Member<'_>, scope: Scope, found: &mut Collector<'_>) {
    let name = entry.key.split('[').next().unwrap_or(&entry.key);
    let declared = Declared { name, line: entry.line, scope: Some(scope), ..Declared::default() };
    // In the first lock files an entry was only a version.
    if let Some(specifier) = entry.value.as_str() {
        add(declared, Some(specifier), found);
        return;
    }
    if entry.value.members().is_none() {
        let (name, kind) = (text::excerpt(name), entry.value.kind());
        return found.warn(entry.line, format!("`{name}`: expected an object, got {kind}"));
    }
    let field = |key: &str| entry.value.text(key);
    if field("path").is_some_and(is_folder) {
        return;
    }
    if let Some(version) = field("version").filter(|version| *version != "*") {
        let added = add(declared, Some(version), found);
        for hash in entry.value.elements("hashes").filter_map(Node::as_str) {
            found.hash(added, hash);
        }
        return;
    }
    if let Some(reference) = ["git", "hg", "svn", "bzr"].iter().find_map(|system| field(system)) {
        let version = field("ref");
        let specifier = version.is_none().then_some(reference);
        return found.add(Declared { version, specifier, ..declared });
    }
    if let Some(address) = field("file").or_else(|| field("path")) {
        if !address.contains("://") && is_folder(address) {
            return;
        }
        let version = archive::name_and_version(address).map(|(_, version)| version);
        let specifier = version.is_none().then_some(address);
        return found.add(Declared { version, specifier, ..declared });
    }
    add(declared, field("version"), found);
}

fn add(
    declared: Declared<'_>,
    specifier: Option<&str>,
    found: &mut Collector<'_>,
) -> Option<Added> {
    let version = specifier.and_then(requirement::pinned);
    if specifier.is_none() {
        let name = text::excerpt(declared.name);
        found.warn(declared.line, format!("`{name}` has no version"));
    }
    let specifier = specifier.filter(|_| version.is_none());
    found.take(Ecosystem::PyPi, Declared { version, specifier, ..declared })
}
