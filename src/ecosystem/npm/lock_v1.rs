//! The nested `dependencies` of lockfileVersion 1.
//!
//! Input: the outermost `dependencies` object. Output: the packages at any depth, and their dependencies.
//! Invariants: the recursion is as deep as the tree, whose depth the JSON reader bounds.

use super::{
    flags,
    graph::{Graph, Need, Vertex},
    is_rush_project,
    spec::{self, Spec},
};
use crate::ecosystem::{
    collect::{Collector, Declared},
    git_reference,
    json::{Member, Node},
    text,
};
use crate::model::ecosystem::Ecosystem;
use std::collections::HashMap;

/// Reads all packages below `dependencies`.
///
/// This version does not state the project's direct dependencies. Only top-level packages can be direct,
/// so for these it stays open until the manifest is known; all others are transitive.
pub(super) fn read(dependencies: &Node<'_>, found: &mut Collector<'_>) {
    let graph = Graph::new(found.budget());
    let mut tree = Tree { levels: Vec::new(), requires: Vec::new(), graph };
    tree.read_level(dependencies, None, found);
    tree.link();
    tree.graph.list(false, found);
}

/// The packages of one `node_modules` folder, and the folder that contains it.
#[derive(Default)]
struct Level<'a> {
    packages: HashMap<&'a str, Vertex>,
    around: Option<usize>,
}

struct Tree<'a> {
    levels: Vec<Level<'a>>,
    /// A package, its dependencies, and the level at which their lookup begins.
    requires: Vec<(Vertex, &'a Node<'a>, usize)>,
    graph: Graph<'a>,
}

impl<'a> Tree<'a> {
    fn read_level(
        &mut self,
        dependencies: &'a Node<'a>,
        around: Option<usize>,
        found: &mut Collector<'_>,
    ) {
        let Some(entries) = dependencies.members() else {
            let message = format!("dependencies: expected an object, got {}", dependencies.kind());
            return found.warn(dependencies.line, message);
        };
        let level = self.levels.len();
        self.levels.push(Level { packages: HashMap::new(), around });
        for entry in entries {
            if entry.value.members().is_none() {
                let (key, kind) = (text::excerpt(&entry.key), entry.value.kind());
                found.warn(entry.line, format!("`{key}`: expected an object, got {kind}"));
                continue;
            }
            let added = read_entry(entry, around.map(|_| false), &mut self.graph, found);
            if let Some(added) = added {
                self.graph.describe(added, entry.value.text("integrity"), None);
            }
            if let (Some(added), Some(level)) = (added, self.levels.get_mut(level)) {
                level.packages.insert(entry.key.as_ref(), added);
            }
            let nested = entry.value.get("dependencies");
            let from = if nested.is_some() { self.levels.len() } else { level };
            if let Some(nested) = nested {
                self.read_level(nested, Some(level), found);
            }
            let from = if from < self.levels.len() { from } else { level };
            if let (Some(added), Some(requires)) = (added, entry.value.get("requires")) {
                self.requires.push((added, requires, from));
            }
        }
    }

    /// Node's rule: the nearest folder that has the package, from its own upwards. The number of levels is
    /// bounded by the JSON reader's limit of nesting.
    fn link(&mut self) {
        for (own, requires, from) in &self.requires {
            for name in
                requires.members().unwrap_or_default().iter().map(|member| member.key.as_ref())
            {
                let mut levels = std::iter::successors(self.levels.get(*from), |level| {
                    self.levels.get(level.around?)
                });
                if let Some(required) = levels.find_map(|level| level.packages.get(name)) {
                    self.graph.requires(*own, Need::Required, *required);
                }
            }
        }
    }
}

fn read_entry<'a>(
    entry: &'a Member<'_>,
    direct: Option<bool>,
    graph: &mut Graph<'a>,
    found: &mut Collector<'_>,
) -> Option<Vertex> {
    let mut declared = Declared {
        name: &entry.key,
        line: entry.line,
        direct,
        scope: Some(flags::scope(&entry.value)),
        ..Declared::default()
    };
    let Some(stated) = entry.value.text("version") else {
        found.warn(entry.line, format!("`{}` has no version", text::excerpt(&entry.key)));
        return Some(graph.add(Ecosystem::Npm, declared));
    };
    // `version` contains the source of the package instead, if it is not from a registry.
    if is_rush_project(&entry.key) {
        return None;
    }
    if let Some(path) = stated.strip_prefix("file:") {
        declared.version = spec::version_of_tarball(path, &entry.key);
        // A folder is part of the repository; an archive holds a package.
        declared.version?;
        return Some(graph.add(Ecosystem::Npm, declared));
    }
    if stated.contains(':') || stated.contains('/') {
        let Spec::Package { alias_of, version, specifier } = spec::read(&entry.key, stated) else {
            return None;
        };
        declared.name = alias_of.unwrap_or(&entry.key);
        declared.version = version
            .or_else(|| stated.split_once('#').and_then(|parts| git_reference::commit(parts.1)));
        declared.specifier = specifier.filter(|_| declared.version.is_none());
    } else {
        declared.version = Some(stated);
    }
    Some(graph.add(Ecosystem::Npm, declared))
}
