//! `*.deps.json`, by "runtime-configuration-file.md" of the .NET SDK.
//!
//! Input: the `targets` and `libraries` of a built program. Output: the packages among the libraries.
//! Invariants: the program itself and other projects are not packages; their dependencies are direct.

use super::graph::{self, Node};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::Collector,
    json::{self, Member},
    path::file_name,
    text,
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};
use std::collections::{HashMap, HashSet};

/// Reads `*.deps.json`.
#[derive(Debug)]
pub(in crate::ecosystem) struct DepsJson;

impl Parser for DepsJson {
    fn name(&self) -> &'static str {
        "deps-json"
    }

    fn reads_lock_files(&self) -> bool {
        true
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path).ends_with(".deps.json")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        json::read(file.bytes, Collector::new(file, Ecosystem::NuGet, Source::Lockfile), walk)
    }
}

fn walk(root: &json::Node<'_>, found: &mut Collector<'_>) {
    let targets = root.get("targets").and_then(|targets| targets.members()).unwrap_or_default();
    let in_targets = targets.iter().flat_map(|target| target.value.members().unwrap_or_default());
    let by_key: HashMap<&str, &json::Node<'_>> =
        in_targets.map(|entry| (entry.key.as_ref(), &entry.value)).collect();
    let libraries =
        root.get("libraries").and_then(|libraries| libraries.members()).unwrap_or_default();
    let mut nodes = Vec::new();
    // A repeated key would repeat all dependencies of its target.
    let mut seen: HashSet<&str> = HashSet::new();
    for entry in libraries {
        if !seen.insert(entry.key.as_ref()) {
            continue;
        }
        let kind = entry.value.text("type").unwrap_or("package");
        // An assembly that was referenced by its path or belongs to the runtime.
        if kind.starts_with("reference") {
            continue;
        }
        let Some((name, version)) = name_and_version(entry, found) else { continue };
        nodes.push(Node {
            // A runtime pack is the package with the runtime for one platform.
            name: without_prefix(name),
            version,
            line: entry.line,
            direct: None,
            requires: by_key
                .get(entry.key.as_ref())
                .map(|entry| requires(entry))
                .unwrap_or_default(),
            is_project: kind == "project",
            digest: entry.value.text("sha512").and_then(|digest| digest.strip_prefix("sha512-")),
        });
    }
    let own = || nodes.iter().filter(|node| node.is_project);
    if own().next().is_some() {
        let direct: HashSet<String> = own()
            .flat_map(|node| &node.requires)
            .map(|name| without_prefix(name).to_ascii_lowercase())
            .collect();
        for node in &mut nodes {
            node.direct = Some(direct.contains(&node.name.to_ascii_lowercase()));
        }
    }
    graph::add(&[nodes], found);
}

fn without_prefix(name: &str) -> &str {
    name.strip_prefix("runtimepack.").unwrap_or(name)
}

/// `Serilog/4.0.0`.
pub(super) fn name_and_version<'a>(
    entry: &'a Member<'_>,
    found: &mut Collector<'_>,
) -> Option<(&'a str, &'a str)> {
    let split = entry.key.split_once('/');
    if split.is_none() {
        let key = text::excerpt(&entry.key);
        found.warn(entry.line, format!("`{key}`: expected a name and a version"));
    }
    split
}

/// The names of an entry's dependencies.
pub(super) fn requires<'a>(entry: &'a json::Node<'_>) -> Vec<&'a str> {
    let required = entry
        .get("dependencies")
        .and_then(|dependencies| dependencies.members())
        .unwrap_or_default();
    required.iter().map(|dependency| dependency.key.as_ref()).collect()
}
