//! `bun.lock`, the text form of bun's lock: JSON with trailing commas.
//!
//! What flows in: `workspaces`, by folder, and `packages`, by the place at which each is installed:
//! `a`, or `a/b` for the `b` that only `a` gets. An entry is a list: `name@version`, what it is got
//! from, and what it requires, by the kind of its source. What flows out: each package once, under
//! its real name.
//!
//! What must stay true: workspaces, links and folders are no packages; an entry of another shape
//! costs only itself.

use super::{
    graph::{Graph, Need, Vertex},
    read_object, spec,
    yarn::{is_linked, split_pattern},
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
use std::collections::HashMap;

/// Reads `bun.lock`.
#[derive(Debug)]
pub(in crate::ecosystem) struct BunLock;

impl Parser for BunLock {
    fn name(&self) -> &'static str {
        "bun-lock"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "bun.lock"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        read_object(file, Source::Lockfile, walk)
    }
}

fn walk(root: &Node<'_>, found: &mut Collector<'_>) {
    check_version(root, found);
    let mut graph = Graph::new(found.budget());
    let mut places = HashMap::new();
    let packages = root.get("packages").and_then(Node::members).unwrap_or_default();
    for entry in packages {
        if let Some(vertex) = read_entry(entry, &mut graph, found) {
            places.insert(entry.key.as_ref(), vertex);
        }
    }
    for entry in packages {
        let Some(own) = places.get(entry.key.as_ref()).copied() else { continue };
        let Some(details) = details(&entry.value) else { continue };
        for (group, need) in [
            ("dependencies", Need::Required),
            ("optionalDependencies", Need::Optional),
            ("peerDependencies", Need::Optional),
        ] {
            for wanted in names(details, group) {
                if let Some(required) = resolve(&entry.key, wanted, &places, found.budget()) {
                    graph.requires(own, need, required);
                }
            }
        }
    }
    let workspaces = root.get("workspaces").and_then(Node::members);
    for workspace in workspaces.unwrap_or_default() {
        ask(&workspace.value, &places, &mut graph, found.budget());
    }
    graph.spread_scopes();
    graph.list(workspaces.is_some(), found);
}

fn check_version(root: &Node<'_>, found: &mut Collector<'_>) {
    match root.get("lockfileVersion") {
        Some(Node { value: Value::Number("0" | "1" | "2" | "3"), .. }) => {}
        other => {
            let line = other.map_or(root.line, |it| it.line);
            found.warn(line, "unknown lockfileVersion, read as far as known");
        }
    }
}

fn elements<'n, 'a>(node: &'n Node<'a>) -> &'n [Node<'a>] {
    match &node.value {
        Value::Array(elements) => elements,
        _ => &[],
    }
}

fn read_entry<'n>(
    entry: &'n Member<'_>,
    graph: &mut Graph<'n>,
    found: &mut Collector<'_>,
) -> Option<Vertex> {
    let Some(identity) = elements(&entry.value).first().and_then(Node::as_str) else {
        let message = format!("`{}` names no package", text::excerpt(&entry.key));
        found.warn(entry.line, message);
        return None;
    };
    let (name, reference) = split_pattern(identity);
    if is_linked(reference) || reference.starts_with("root:") {
        return None;
    }
    let commit = reference.split_once('#').and_then(|(_, it)| git_reference::commit(it));
    let version = Some(reference)
        .filter(|it| spec::is_version(it))
        .or(commit)
        .or_else(|| spec::version_of_tarball(reference, name));
    let specifier = version.is_none().then_some(reference);
    let line = entry.line;
    let declared = Declared { name, version, specifier, line, ..Declared::default() };
    Some(graph.add(Ecosystem::Npm, declared))
}

/// The object of an entry that says what the package requires.
fn details<'n, 'a>(entry: &'n Node<'a>) -> Option<&'n Node<'a>> {
    elements(entry).iter().find(|it| it.members().is_some())
}

fn names<'n>(of: &'n Node<'_>, group: &str) -> impl Iterator<Item = &'n str> {
    of.get(group).and_then(Node::members).unwrap_or_default().iter().map(|it| it.key.as_ref())
}

fn ask(
    workspace: &Node<'_>,
    places: &HashMap<&str, Vertex>,
    graph: &mut Graph<'_>,
    budget: &Budget,
) {
    // What only this workspace gets is installed below its name.
    let own = workspace.text("name").unwrap_or_default();
    for (group, scope) in [
        ("dependencies", Scope::Runtime),
        ("peerDependencies", Scope::Peer),
        ("optionalDependencies", Scope::Optional),
        ("devDependencies", Scope::Dev),
    ] {
        for wanted in names(workspace, group) {
            if let Some(vertex) = resolve(own, wanted, places, budget) {
                graph.ask_for(scope, vertex);
            }
        }
    }
}

/// The place nearest to that of a package at which another one is installed.
fn resolve(
    from: &str,
    name: &str,
    places: &HashMap<&str, Vertex>,
    budget: &Budget,
) -> Option<Vertex> {
    // Bounds the work for a place that no project has.
    const LONGEST_PLACE: usize = 512;
    let mut place = if from.len() > LONGEST_PLACE { "" } else { from };
    loop {
        let wanted = if place.is_empty() { name.to_owned() } else { format!("{place}/{name}") };
        if let Some(vertex) = places.get(wanted.as_str()) {
            return Some(*vertex);
        }
        if place.is_empty() || !budget.read(2 * wanted.len()) {
            return None;
        }
        // The name of a scoped package has a `/` of its own.
        let parent = place.rsplit_once('/').map_or("", |(parent, _)| parent);
        let scope = parent.rsplit('/').next().unwrap_or(parent);
        place = if scope.starts_with('@') {
            parent.rsplit_once('/').map_or("", |(parent, _)| parent)
        } else {
            parent
        };
    }
}
