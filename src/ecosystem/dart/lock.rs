//! `pubspec.lock`, as `LockFile.serialize` of pub writes it.
//!
//! Input: `packages`, from names to descriptions. Output: one package for each entry, with its scope.
//! Invariants: a package of the repository has the version that its own pubspec states, as in the lock
//! file.

use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    path::file_name,
    text,
    yaml::{self, Member, Tree},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};

/// Reads `pubspec.lock`.
#[derive(Debug)]
pub(in crate::ecosystem) struct PubspecLock;

impl Parser for PubspecLock {
    fn name(&self) -> &'static str {
        "pubspec-lock"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "pubspec.lock"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Pub, Source::Lockfile);
        yaml::read(file.bytes, found, walk)
    }
}

fn walk(tree: &Tree<'_>, found: &mut Collector<'_>) {
    let packages = tree.root().and_then(|root| root.get("packages"));
    for package in packages.into_iter().flat_map(yaml::Node::members) {
        read_package(&package, found);
    }
}

fn read_package(package: &Member<'_, '_>, found: &mut Collector<'_>) {
    let entry = package.value;
    if entry.text("source") == Some("path") {
        return;
    }
    let description = entry.get("description");
    let described = |key: &str| description.and_then(|description| description.text(key));
    let version = entry.text("version").or_else(|| described("resolved-ref"));
    if version.is_none() {
        let message = format!("`{}` has no version", text::excerpt(package.key));
        found.warn(package.line, message);
    }
    let (direct, scope) = match entry.text("dependency") {
        Some("transitive") => (Some(false), None),
        Some("direct dev") => (Some(true), Some(Scope::Dev)),
        // Old lock files have only `direct`.
        Some("direct main" | "direct") => (Some(true), Some(Scope::Runtime)),
        Some("direct overridden") => (Some(true), None),
        _ => (None, None),
    };
    let declared = Declared {
        // Another registry may use a different name for the package.
        name: described("name").unwrap_or(package.key),
        version,
        line: package.line,
        direct,
        scope,
        ..Declared::default()
    };
    let added = found.take(Ecosystem::Pub, declared);
    found.hash(added, described("sha256").unwrap_or_default());
}
