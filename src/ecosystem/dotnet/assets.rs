//! `project.assets.json`, which a restore writes into `obj`, by `NuGet`'s `LockFileFormat`.
//!
//! Input: the packages of each target. Output: each package once. Invariants: projects are not packages;
//! packages in `projectFileDependencyGroups` are direct.

use super::{
    deps::{name_and_version, requires},
    graph::{self, Node},
};
use crate::ecosystem::{Findings, Parser, SourceFile, collect::Collector, json, path::file_name};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};
use std::collections::{HashMap, HashSet};

/// Reads `project.assets.json`.
#[derive(Debug)]
pub(in crate::ecosystem) struct ProjectAssets;

impl Parser for ProjectAssets {
    fn name(&self) -> &'static str {
        "project-assets"
    }

    fn reads_lock_files(&self) -> bool {
        true
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "project.assets.json"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        json::read(file.bytes, Collector::new(file, Ecosystem::NuGet, Source::Lockfile), walk)
    }
}

fn walk(root: &json::Node<'_>, found: &mut Collector<'_>) {
    let direct = direct(root);
    let mut frameworks: Vec<Vec<Node<'_>>> = Vec::new();
    let targets = root.get("targets").and_then(|targets| targets.members()).unwrap_or_default();
    // Without targets, the list of restored libraries remains.
    let libraries = root.get("libraries").filter(|_| targets.is_empty());
    let restored: HashMap<&str, &str> = root
        .get("libraries")
        .and_then(|libraries| libraries.members())
        .unwrap_or_default()
        .iter()
        .filter_map(|library| Some((library.key.as_ref(), library.value.text("sha512")?)))
        .collect();
    for target in targets.iter().map(|target| &target.value).chain(libraries) {
        let mut nodes = Vec::new();
        for entry in target.members().unwrap_or_default() {
            let Some((name, version)) = name_and_version(entry, found) else { continue };
            nodes.push(Node {
                name,
                version,
                line: entry.line,
                direct: direct.as_ref().map(|names| names.contains(&name.to_ascii_lowercase())),
                requires: requires(&entry.value),
                is_project: entry.value.text("type") == Some("project"),
                digest: restored.get(entry.key.as_ref()).copied(),
            });
        }
        frameworks.push(nodes);
    }
    graph::add(&frameworks, found);
}

/// The requirements of the project file itself: `Serilog >= 4.0.0`.
fn direct(root: &json::Node<'_>) -> Option<HashSet<String>> {
    let groups = root.get("projectFileDependencyGroups")?;
    let keys = groups.members()?.iter().map(|group| group.key.as_ref());
    let entries = keys.flat_map(|key| groups.elements(key)).filter_map(json::Node::as_str);
    let names = entries.filter_map(|entry| entry.split(' ').next());
    Some(names.map(str::to_ascii_lowercase).collect())
}
