//! `package-lock.json` and `npm-shrinkwrap.json`, by "npm help package-lock.json".
//!
//! Input: the flat `packages` of lockfileVersion 2 and 3; the nested `dependencies` of version 1 are read
//! in `lock_v1`. Output: each package once, however often it is installed, with the dependencies that Node
//! resolves for it.
//!
//! Invariants: keys outside of `node_modules` are the project itself, its workspaces and linked folders,
//! never packages; their dependencies are direct.

use super::{
    flags,
    graph::{Graph, Need, Vertex},
    is_rush_project, lock_v1,
    pattern::is_linked,
    spec,
};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    budget::Budget,
    collect::{Collector, Declared},
    git_reference,
    json::{self, Member, Node, Value},
    path::file_name,
    resolution::Importer,
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::collections::{HashMap, HashSet};

/// Reads `package-lock.json` and `npm-shrinkwrap.json` of lockfileVersion 1, 2 and 3.
#[derive(Debug)]
pub(in crate::ecosystem) struct PackageLock;

impl Parser for PackageLock {
    fn name(&self) -> &'static str {
        "package-lock"
    }

    fn wants(&self, path: &str) -> bool {
        matches!(file_name(path), "package-lock.json" | "npm-shrinkwrap.json")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Npm, Source::Lockfile);
        json::read_without(file.bytes, UNUSED, found, walk)
    }
}

/// The members of an entry that take most of the values of a lock file and are not needed.
const UNUSED: json::Ignored = json::Ignored {
    depth: Some(3),
    names: &[
        "integrity",
        "license",
        "engines",
        "funding",
        "bin",
        "cpu",
        "os",
        "libc",
        "deprecated",
        "hasInstallScript",
        "peerDependenciesMeta",
    ],
};

fn walk(root: &Node<'_>, found: &mut Collector<'_>) {
    check_version(root, found);
    // Version 2 has both, with the same contents.
    if let Some(packages) = root.get("packages") {
        read_packages(packages, found);
    } else if let Some(dependencies) = root.get("dependencies") {
        lock_v1::read(dependencies, found);
    }
}

fn check_version(root: &Node<'_>, found: &mut Collector<'_>) {
    match root.get("lockfileVersion") {
        // npm 4 and older wrote npm-shrinkwrap.json without a version.
        None | Some(Node { value: Value::Number("1" | "2" | "3"), .. }) => {}
        Some(Node { value: Value::Number(version), line }) => {
            let version = text::excerpt(version);
            let message = format!("unknown lockfileVersion {version}; parsed as far as possible");
            found.warn(*line, message);
        }
        Some(other) => {
            let message = format!("lockfileVersion: expected a number, got {}", other.kind());
            found.warn(other.line, message);
        }
    }
}

fn read_packages(packages: &Node<'_>, found: &mut Collector<'_>) {
    let Some(entries) = packages.members() else {
        let message = format!("packages: expected an object, got {}", packages.kind());
        return found.warn(packages.line, message);
    };
    let paths: HashSet<_> =
        entries.iter().filter_map(|entry| InstallPath::of(&entry.key)).collect();
    let direct = direct_paths(entries, &paths, found.budget());
    let mut graph = Graph::new(found.budget());
    let mut installed = HashMap::new();
    for entry in entries {
        let Some(path) = InstallPath::of(&entry.key) else { continue };
        let vertex = read_entry(entry, path.name, &mut graph, found);
        let Some(vertex) = vertex else { continue };
        installed.insert(path, vertex);
        if direct.as_ref().is_some_and(|paths| paths.contains(&path)) {
            graph.add_direct(Scope::Runtime, vertex);
        }
    }
    for entry in entries {
        let own = InstallPath::of(&entry.key).and_then(|path| installed.get(&path).copied());
        let Some(own) = own else { continue };
        for name in wanted(&entry.value, &INSTALLED) {
            let path = resolve(&entry.key, name, &paths, found.budget());
            if let Some(required) = path.and_then(|path| installed.get(&path)) {
                graph.requires(own, Need::Required, *required);
            }
        }
    }
    for importer in entries.iter().filter(|entry| InstallPath::of(&entry.key).is_none()) {
        let groups = OF_PROJECT.iter().filter_map(|group| importer.value.get(group)?.members());
        for member in groups.flatten() {
            let path = resolve(&importer.key, &member.key, &paths, found.budget());
            let vertex = path.and_then(|path| installed.get(&path)).copied();
            if let (Some(vertex), Some(range)) = (vertex, member.value.as_str()) {
                graph.resolves(vertex, Importer::Folder(&importer.key), &member.key, range);
            }
        }
    }
    graph.list(direct.is_some(), found);
}

/// The dependency groups that are installed for a package, and those for the project.
const INSTALLED: [&str; 3] = ["dependencies", "optionalDependencies", "peerDependencies"];
const OF_PROJECT: [&str; 4] =
    ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"];

/// The names in these groups of an entry.
fn wanted<'a>(entry: &'a Node<'_>, groups: &'a [&str]) -> impl Iterator<Item = &'a str> {
    let groups = groups.iter().filter_map(|group| entry.get(group)?.members());
    groups.flatten().map(|member| member.key.as_ref())
}

/// The path at which a package is installed: `folder/node_modules/name`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct InstallPath<'a> {
    folder: &'a str,
    name: &'a str,
}

impl<'a> InstallPath<'a> {
    /// None for the key of one of the project's own folders.
    fn of(key: &'a str) -> Option<Self> {
        let (before, name) = key.rsplit_once("node_modules/")?;
        Some(Self { folder: before.strip_suffix('/').unwrap_or(before), name })
    }
}

fn read_entry<'n>(
    entry: &'n Member<'_>,
    installed_as: &'n str,
    graph: &mut Graph<'n>,
    found: &mut Collector<'_>,
) -> Option<Vertex> {
    let key = text::excerpt(&entry.key);
    if entry.value.members().is_none() {
        let message = format!("`{key}`: expected an object, got {}", entry.value.kind());
        found.warn(entry.line, message);
        return None;
    }
    let resolved = entry.value.text("resolved").unwrap_or_default();
    // With `install-links` npm copies a folder of the repository instead of linking it.
    let is_copy = resolved.starts_with("file:") && is_linked(resolved);
    if entry.value.is_true("link") || is_copy || is_rush_project(installed_as) {
        return None;
    }
    let commit = resolved.split_once('#').and_then(|(_, commit)| git_reference::commit(commit));
    let version = entry.value.text("version").or(commit);
    if version.is_none() {
        found.warn(entry.line, format!("`{key}` has no version"));
    }
    let declared = Declared {
        // Only an alias has a name that differs from its path.
        name: entry.value.text("name").unwrap_or(installed_as),
        version,
        specifier: (version.is_none() && spec::is_git(resolved)).then_some(resolved),
        line: entry.line,
        direct: None,
        scope: Some(flags::scope(&entry.value)),
    };
    let vertex = graph.add(Ecosystem::Npm, declared);
    graph.describe(vertex, entry.value.text("integrity"), entry.value.text("license"));
    Some(vertex)
}

/// The paths of the direct dependencies of the project and its workspaces; none if the lock file has no
/// entries for these.
fn direct_paths<'a>(
    entries: &'a [Member<'_>],
    paths: &HashSet<InstallPath<'a>>,
    budget: &'a Budget,
) -> Option<HashSet<InstallPath<'a>>> {
    let mut own = entries.iter().filter(|entry| InstallPath::of(&entry.key).is_none()).peekable();
    own.peek()?;
    let direct = own.flat_map(|importer| {
        let names = wanted(&importer.value, &OF_PROJECT);
        names.filter_map(|name| resolve(&importer.key, name, paths, budget))
    });
    Some(direct.collect())
}

/// Node's rule: the nearest `node_modules`, from the importer's folder upwards.
fn resolve<'a>(
    importer: &'a str,
    name: &'a str,
    paths: &HashSet<InstallPath<'a>>,
    budget: &Budget,
) -> Option<InstallPath<'a>> {
    // Bounds the work for unrealistic paths.
    const LONGEST_PATH: usize = 512;
    let mut folder = if importer.len() > LONGEST_PATH { "" } else { importer };
    loop {
        let path = InstallPath { folder, name };
        if paths.contains(&path) {
            return Some(path);
        }
        if folder.is_empty() || !budget.read(folder.len() + name.len()) {
            return None;
        }
        folder = folder.rsplit_once('/').map_or("", |(parent, _)| parent);
    }
}
