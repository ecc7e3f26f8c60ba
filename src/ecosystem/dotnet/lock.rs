//! `packages.lock.json` of version 1 and 2, by "Locking dependencies" of `NuGet`'s manual.
//!
//! Input: the packages of each target framework. Output: each package once, with its dependencies.
//! Invariants: an entry of type `Project` is a project of the solution.

use super::graph::{self, Node};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::Collector,
    json::{self, Member, Value},
    path::file_name,
    text,
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};
use std::collections::HashMap;

/// Reads `packages.lock.json`.
#[derive(Debug)]
pub(in crate::ecosystem) struct PackagesLock;

impl Parser for PackagesLock {
    fn name(&self) -> &'static str {
        "packages-lock"
    }

    fn wants(&self, path: &str) -> bool {
        // `packages.<project name>.lock.json`, where one folder has several projects.
        let file = file_name(path);
        file.starts_with("packages.") && file.ends_with(".lock.json")
            || file == "packages.lock.json"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        json::read(file.bytes, Collector::new(file, Ecosystem::NuGet, Source::Lockfile), walk)
    }
}

fn walk(root: &json::Node<'_>, found: &mut Collector<'_>) {
    if let Some(version) = root.get("version")
        && !matches!(version.value, Value::Number("1" | "2"))
    {
        found.warn(version.line, "unknown version of the lock file; parsed as far as possible");
    }
    let Some(dependencies) = root.get("dependencies") else { return };
    let Some(members) = dependencies.members() else {
        let message = format!("dependencies: expected an object, got {}", dependencies.kind());
        return found.warn(dependencies.line, message);
    };
    let mut frameworks: Vec<Vec<Node<'_>>> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for framework in members {
        let name = framework.key.as_ref();
        let entries = framework.value.members().unwrap_or_default();
        let nodes: Vec<_> = entries.iter().filter_map(|entry| node(entry, found)).collect();
        // `net8.0/linux-x64` lists the packages of that platform in addition to those of `net8.0`.
        let base = name.split_once('/').map_or(name, |(base, _)| base);
        let at = *places.entry(base).or_insert(frameworks.len());
        match frameworks.get_mut(at) {
            Some(of_base) => of_base.extend(nodes),
            None => frameworks.push(nodes),
        }
    }
    graph::add(&frameworks, found);
}

fn node<'a>(entry: &'a Member<'_>, found: &mut Collector<'_>) -> Option<Node<'a>> {
    let name = entry.key.as_ref();
    if entry.value.members().is_none() {
        let (name, kind) = (text::excerpt(name), entry.value.kind());
        found.warn(entry.line, format!("`{name}`: expected an object, got {kind}"));
        return None;
    }
    let kind = entry.value.text("type").unwrap_or_default();
    let is_project = kind.eq_ignore_ascii_case("project");
    let version = entry.value.text("resolved");
    if version.is_none() && !is_project {
        found.warn(entry.line, format!("`{}` has no version", text::excerpt(name)));
    }
    let required = entry.value.get("dependencies").and_then(|dependencies| dependencies.members());
    Some(Node {
        name,
        version: version.unwrap_or_default(),
        line: entry.line,
        direct: (!kind.is_empty()).then(|| kind.eq_ignore_ascii_case("direct")),
        requires: required
            .unwrap_or_default()
            .iter()
            .map(|dependency| dependency.key.as_ref())
            .collect(),
        is_project,
        digest: entry.value.text("contentHash"),
    })
}
