//! `pubspec.yaml`, by "The pubspec file" and "Package dependencies" of Dart's documentation.
//!
//! Input: the dependency tables, the name and the workspace ("Pub workspaces"). Output: the required packages.
//! Invariants: a version without an operator is exact, as in pub; what is overridden with a path is part of
//! the repository.

use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    git_reference,
    path::file_name,
    yaml::{self, Member, Tree},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::collections::HashSet;

const GROUPS: [(&str, Option<Scope>); 3] = [
    ("dependencies", Some(Scope::Runtime)),
    ("dev_dependencies", Some(Scope::Dev)),
    // An override applies whatever requires the package.
    ("dependency_overrides", None),
];

/// Reads `pubspec.yaml`.
#[derive(Debug)]
pub(in crate::ecosystem) struct Pubspec;

impl Parser for Pubspec {
    fn name(&self) -> &'static str {
        "pubspec"
    }

    fn wants(&self, path: &str) -> bool {
        matches!(file_name(path), "pubspec.yaml" | "pubspec_overrides.yaml")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Pub, Source::Manifest).merging();
        yaml::read(file.bytes, found, walk)
    }
}

fn walk(tree: &Tree<'_>, found: &mut Collector<'_>) {
    let Some(root) = tree.root() else { return };
    let overrides = root.get("dependency_overrides");
    let overrides = || overrides.into_iter().flat_map(yaml::Node::members);
    let members = root.get("workspace").into_iter().flat_map(yaml::Node::elements);
    let members = members.filter_map(yaml::Node::as_str);
    // `pubspec_overrides.yaml` overrides what the pubspec beside it requires.
    let folders = overrides().filter_map(|dependency| dependency.value.text("path"));
    found.describe(root.text("name"), members.chain(folders));
    let local = overrides().filter(|dependency| dependency.value.get("path").is_some());
    let local: HashSet<&str> = local.map(|dependency| dependency.key).collect();
    for (group, scope) in GROUPS {
        for dependency in root.get(group).into_iter().flat_map(yaml::Node::members) {
            if !local.contains(dependency.key) {
                read_dependency(&dependency, scope, found);
            }
        }
    }
}

fn read_dependency(dependency: &Member<'_, '_>, scope: Option<Scope>, found: &mut Collector<'_>) {
    let value = dependency.value;
    let (line, direct) = (dependency.line, Some(true));
    let declared = Declared { name: dependency.key, line, direct, scope, ..Declared::default() };
    if value.get("path").is_some() {
        return;
    }
    if let Some(git) = value.get("git") {
        let reference = git.text("ref");
        let version = reference.and_then(git_reference::commit);
        let address = git.as_str().or_else(|| git.text("url")).unwrap_or_default();
        let at = reference.map(|reference| format!("@{reference}")).unwrap_or_default();
        let specifier = format!("git+{address}{at}");
        let specifier = if version.is_none() { Some(specifier.as_str()) } else { None };
        return found.add(Declared { version, specifier, ..declared });
    }
    let name = value.get("hosted").and_then(|hosted| hosted.text("name")).unwrap_or(dependency.key);
    let sdk = value.text("sdk").map(|name| format!("sdk: {name}"));
    let range = value.as_str().or_else(|| value.text("version")).or(sdk.as_deref());
    let version = range.filter(|range| {
        range.starts_with(|character: char| character.is_ascii_digit())
            && !range.contains([' ', '<', '>', '|'])
    });
    let specifier = if version.is_none() { range } else { None };
    found.add(Declared { name, version, specifier, ..declared });
}
