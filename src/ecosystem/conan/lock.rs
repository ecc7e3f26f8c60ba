//! `conan.lock`: the graph of Conan 1 (`graph_lock`), and the lists of Conan 2.
//!
//! Input: an object. Output: from lists, the requirements for run time and build; from a graph, also the
//! direct requirements and the dependencies between packages. Invariants: a node with a path is the
//! project itself.

use super::reference;
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Added, Collector, Declared},
    json::{self, Node, Value},
    path::file_name,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::collections::{HashMap, HashSet};

const LISTS: [(&str, Scope); 4] = [
    ("requires", Scope::Runtime),
    ("build_requires", Scope::Build),
    ("python_requires", Scope::Build),
    ("config_requires", Scope::Build),
];

/// Reads `conan.lock`.
#[derive(Debug)]
pub(in crate::ecosystem) struct ConanLock;

impl Parser for ConanLock {
    fn name(&self) -> &'static str {
        "conan-lock"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "conan.lock"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Conan, Source::Lockfile);
        json::read(file.bytes, found, walk)
    }
}

fn walk(root: &Node<'_>, found: &mut Collector<'_>) {
    let version = root.text("version").unwrap_or("0.4");
    if !matches!(version, "0.1" | "0.2" | "0.3" | "0.4" | "0.5") {
        let line = root.get("version").map_or(1, |version| version.line);
        found.warn(line, "unknown version of the lock file; parsed as far as possible");
    }
    if let Some(nodes) = root.get("graph_lock").and_then(|graph| graph.get("nodes")) {
        return read_graph(nodes, found);
    }
    for (key, scope) in LISTS {
        for entry in root.elements(key) {
            // An entry is a reference, or an array of a reference and its attributes.
            let text = match &entry.value {
                Value::Array(parts) => parts.first().and_then(Node::as_str),
                _ => entry.as_str(),
            };
            let declared = Declared { line: entry.line, scope: Some(scope), ..Declared::default() };
            let _ = reference::add(text.unwrap_or_default(), declared, found);
        }
    }
}

fn read_graph(nodes: &Node<'_>, found: &mut Collector<'_>) {
    let Some(members) = nodes.members() else {
        return found.warn(nodes.line, format!("nodes: expected an object, got {}", nodes.kind()));
    };
    let needed = |node: &Node<'_>| {
        let lists = ["requires", "build_requires", "python_requires"];
        let needed = lists.iter().flat_map(|list| node.elements(list));
        needed.filter_map(|reference| reference.as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    let own: Vec<_> = members.iter().filter(|member| is_project(&member.value)).collect();
    let direct: HashSet<_> = own.iter().flat_map(|member| needed(&member.value)).collect();
    let mut added: HashMap<&str, Added> = HashMap::new();
    for member in members.iter().filter(|member| !is_project(&member.value)) {
        let node = &member.value;
        let build = node.text("context") == Some("build");
        let declared = Declared {
            line: member.line,
            direct: (!own.is_empty()).then(|| direct.contains(member.key.as_ref())),
            scope: Some(if build { Scope::Build } else { Scope::Runtime }),
            ..Declared::default()
        };
        // The key was `pref` before version 0.4.
        let text = node.text("ref").or_else(|| node.text("pref")).unwrap_or_default();
        if let Some(taken) = reference::add(text, declared, found) {
            added.insert(&member.key, taken);
        }
    }
    for member in members {
        let Some(package) = added.get(member.key.as_ref()) else { continue };
        for required in needed(&member.value) {
            if let Some(required) = added.get(required.as_str()) {
                found.requires(*package, *required);
            }
        }
    }
}

/// Whether a node is the project itself: it has a path, or no reference to a package.
fn is_project(node: &Node<'_>) -> bool {
    let reference = node.text("ref").or_else(|| node.text("pref"));
    node.text("path").is_some() || reference.is_none_or(|reference| !reference.contains('/'))
}
