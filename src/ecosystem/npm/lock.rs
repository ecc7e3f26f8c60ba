//! `package-lock.json` and `npm-shrinkwrap.json`, by "npm help package-lock.json".
//!
//! What flows in: the flat `packages` of lockfileVersion 2 and 3; the nested `dependencies` of
//! version 1 are read beside, in `lock_v1`. What flows out: each package once, at however many places
//! it is installed, and which others Node gives it where it asks for them.
//!
//! What must stay true: keys outside of `node_modules` are the project itself, its workspaces
//! and linked folders, never packages; what one of those asks for is direct.

use super::{
    graph::{Graph, Need, Vertex},
    lock_v1, read_object, spec,
    yarn::is_linked,
};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    budget::Budget,
    collect::{Collector, Declared},
    git_reference,
    json::{Member, Node, Value},
    purl::Ecosystem,
    source::file_name,
    text,
};
use crate::model::scan_result::{Scope, Source};
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
        read_object(file, Source::Lockfile, walk)
    }
}

fn walk(root: &Node<'_>, found: &mut Collector<'_>) {
    check_version(root, found);
    // Version 2 has both, and says the same in both.
    if let Some(packages) = root.get("packages") {
        read_packages(packages, found);
    } else if let Some(dependencies) = root.get("dependencies") {
        lock_v1::read(dependencies, found);
    }
}

fn check_version(root: &Node<'_>, found: &mut Collector<'_>) {
    match root.get("lockfileVersion") {
        // npm 4 and older wrote npm-shrinkwrap.json without it.
        None | Some(Node { value: Value::Number("1" | "2" | "3"), .. }) => {}
        Some(Node { value: Value::Number(version), line }) => {
            let version = text::excerpt(version);
            found.warn(*line, format!("unknown lockfileVersion {version}, read as far as known"));
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
    let places: HashSet<_> = entries.iter().filter_map(|it| Place::of(&it.key)).collect();
    let direct = direct_places(entries, &places, found.budget());
    let mut graph = Graph::new(found.budget());
    let mut installed = HashMap::new();
    for entry in entries {
        let Some(place) = Place::of(&entry.key) else { continue };
        let vertex = read_entry(entry, place.name, &mut graph, found);
        let Some(vertex) = vertex else { continue };
        installed.insert(place, vertex);
        if direct.as_ref().is_some_and(|it| it.contains(&place)) {
            graph.ask_for(Scope::Runtime, vertex);
        }
    }
    for entry in entries {
        let own = Place::of(&entry.key).and_then(|it| installed.get(&it).copied());
        let Some(own) = own else { continue };
        for name in wanted(&entry.value, &INSTALLED) {
            let place = resolve(&entry.key, name, &places, found.budget());
            if let Some(required) = place.and_then(|it| installed.get(&it)) {
                graph.requires(own, Need::Required, *required);
            }
        }
    }
    graph.list(direct.is_some(), found);
}

/// What of a package is installed with it; and what of the project is, besides.
const INSTALLED: [&str; 3] = ["dependencies", "optionalDependencies", "peerDependencies"];
const OF_PROJECT: [&str; 4] =
    ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"];

/// The names in some of the groups of an entry.
fn wanted<'a>(entry: &'a Node<'_>, groups: &'a [&str]) -> impl Iterator<Item = &'a str> {
    let groups = groups.iter().filter_map(|group| entry.get(group)?.members());
    groups.flatten().map(|it| it.key.as_ref())
}

/// Where a package is installed: `folder/node_modules/name`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Place<'a> {
    folder: &'a str,
    name: &'a str,
}

impl<'a> Place<'a> {
    /// None for the key of a folder that is the project's own.
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
    // With `install-links` a folder of the repository is copied instead.
    if entry.value.is_true("link") || (resolved.starts_with("file:") && is_linked(resolved)) {
        return None;
    }
    let commit = resolved.split_once('#').and_then(|(_, it)| git_reference::commit(it));
    let version = entry.value.text("version").or(commit);
    if version.is_none() {
        found.warn(entry.line, format!("`{key}` has no version"));
    }
    let declared = Declared {
        // Only an alias has a name beside that of its place.
        name: entry.value.text("name").unwrap_or(installed_as),
        version,
        specifier: (version.is_none() && spec::is_git(resolved)).then_some(resolved),
        line: entry.line,
        direct: None,
        scope: Some(scope(&entry.value)),
    };
    Some(graph.add(Ecosystem::Npm, declared))
}

/// The flags say why a package is there: absent on all that the project needs at run time.
pub(super) fn scope(entry: &Node<'_>) -> Scope {
    if entry.is_true("dev") {
        Scope::Dev
    } else if entry.is_true("peer") {
        Scope::Peer
    } else if entry.is_true("optional") || entry.is_true("devOptional") {
        // devOptional: a development dependency that a run time one can do without.
        Scope::Optional
    } else {
        Scope::Runtime
    }
}

/// Where what the project and its workspaces ask for is installed; none where the lock lost
/// the entries that say so.
fn direct_places<'a>(
    entries: &'a [Member<'_>],
    places: &HashSet<Place<'a>>,
    budget: &'a Budget,
) -> Option<HashSet<Place<'a>>> {
    let mut own = entries.iter().filter(|it| Place::of(&it.key).is_none()).peekable();
    own.peek()?;
    let direct = own.flat_map(|importer| {
        let names = wanted(&importer.value, &OF_PROJECT);
        names.filter_map(|name| resolve(&importer.key, name, places, budget))
    });
    Some(direct.collect())
}

/// Node's rule: the nearest `node_modules`, from the importer's folder upwards.
fn resolve<'a>(
    importer: &'a str,
    name: &'a str,
    places: &HashSet<Place<'a>>,
    budget: &Budget,
) -> Option<Place<'a>> {
    // Bounds the work for a path that no project has.
    const LONGEST_PATH: usize = 512;
    let mut folder = if importer.len() > LONGEST_PATH { "" } else { importer };
    loop {
        let place = Place { folder, name };
        if places.contains(&place) {
            return Some(place);
        }
        if folder.is_empty() || !budget.read(folder.len() + name.len()) {
            return None;
        }
        folder = folder.rsplit_once('/').map_or("", |(parent, _)| parent);
    }
}
