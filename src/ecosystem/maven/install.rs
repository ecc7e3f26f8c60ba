//! `maven_install.json`, which Bazel's `rules_jvm_external` writes, of version 1 (0.1.0) to 3.
//!
//! Input: a list of coordinates with their dependencies (version 1), or artifacts by name and a table of
//! dependencies (from version 2). Output: each module once, whatever its classifiers. Invariants: if the
//! input hashes are listed by name, those modules are direct.

use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Added, Collector, Declared},
    json::{self, Node, Value},
    path::file_name,
    text,
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};
use std::collections::{HashMap, HashSet};

const INPUTS: &str = "__INPUT_ARTIFACTS_HASH";

/// Reads `maven_install.json`.
#[derive(Debug)]
pub(in crate::ecosystem) struct MavenInstall;

impl Parser for MavenInstall {
    fn name(&self) -> &'static str {
        "maven-install"
    }

    fn reads_lock_files(&self) -> bool {
        true
    }

    fn wants(&self, path: &str) -> bool {
        let file = file_name(path);
        file.ends_with("_install.json")
            || (file.starts_with("maven_install") && file.ends_with(".json"))
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        json::read(file.bytes, Collector::new(file, Ecosystem::Maven, Source::Lockfile), walk)
    }
}

fn walk(root: &Node<'_>, found: &mut Collector<'_>) {
    let root = root.get("dependency_tree").unwrap_or(root);
    if let Some(Node { value: Value::String(version), line }) = root.get("version")
        && !matches!(version.as_ref(), "0.1.0" | "1" | "2" | "3")
    {
        found.warn(*line, "unknown version of the lock file; parsed as far as possible");
    }
    let inputs = root.get(INPUTS).and_then(|inputs| inputs.members());
    let inputs = inputs.map(|inputs| inputs.iter().map(|member| module(&member.key)).collect());
    let mut modules = Modules { direct: inputs, by_name: HashMap::new(), seen: HashMap::new() };
    if root.get("artifacts").is_some() {
        newer(root, &mut modules, found);
    } else {
        older(root, &mut modules, found);
    }
}

/// The modules that were added.
struct Modules {
    direct: Option<HashSet<String>>,
    by_name: HashMap<String, Added>,
    seen: HashMap<(String, String), Added>,
}

impl Modules {
    /// Adds a module once; the archives of its classifiers have digests of their own.
    fn take(
        &mut self,
        name: &str,
        version: &str,
        line: u32,
        found: &mut Collector<'_>,
    ) -> Option<Added> {
        let key = (name.to_owned(), version.to_owned());
        if let Some(added) = self.seen.get(&key) {
            return Some(*added);
        }
        let direct = self.direct.as_ref().map(|direct| direct.contains(name));
        let version = Some(version);
        let declared = Declared { name, version, line, direct, ..Declared::default() };
        let added = found.take(Ecosystem::Maven, declared)?;
        self.seen.insert(key, added);
        self.by_name.entry(name.to_owned()).or_insert(added);
        Some(added)
    }

    fn require<'n>(
        &self,
        name: &str,
        required: impl Iterator<Item = &'n Node<'n>>,
        found: &mut Collector<'_>,
    ) {
        let Some(own) = self.by_name.get(name) else { return };
        for required in required.filter_map(Node::as_str) {
            if let Some(required) = self.by_name.get(&module(required)) {
                found.requires(*own, *required);
            }
        }
    }
}

fn newer(root: &Node<'_>, modules: &mut Modules, found: &mut Collector<'_>) {
    for entry in root.get("artifacts").and_then(Node::members).unwrap_or_default() {
        let Some(version) = entry.value.text("version") else {
            let key = text::excerpt(&entry.key);
            found.warn(entry.line, format!("`{key}` has no version"));
            continue;
        };
        let added = modules.take(&module(&entry.key), version, entry.line, found);
        let digests = entry.value.get("shasums").and_then(Node::members).unwrap_or_default();
        for digest in digests.iter().filter_map(|digest| digest.value.as_str()) {
            found.hash(added, digest);
        }
    }
    let Some(dependencies) = root.get("dependencies") else { return };
    for entry in dependencies.members().unwrap_or_default() {
        if let Value::Array(required) = &entry.value.value {
            modules.require(&module(&entry.key), required.iter(), found);
        }
    }
}

fn older(root: &Node<'_>, modules: &mut Modules, found: &mut Collector<'_>) {
    for entry in root.elements("dependencies") {
        let Some(coordinate) = entry.text("coord") else {
            found.warn(entry.line, "a dependency without a coordinate");
            continue;
        };
        let version = coordinate.split(':').skip(2).last();
        let Some(version) = version else {
            let message = format!("`{}` has no version", text::excerpt(coordinate));
            found.warn(entry.line, message);
            continue;
        };
        let added = modules.take(&module(coordinate), version, entry.line, found);
        found.hash(added, entry.text("sha256").unwrap_or_default());
    }
    for entry in root.elements("dependencies") {
        let name = module(entry.text("coord").unwrap_or_default());
        modules.require(&name, entry.elements("directDependencies"), found);
    }
}

/// `group:artifact` of a coordinate or key `group:artifact[:packaging[:classifier]]:version`.
fn module(coordinate: &str) -> String {
    let mut parts = coordinate.split(':');
    let (group, artifact) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    format!("{group}:{artifact}")
}
