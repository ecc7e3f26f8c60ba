//! `bun.lock`, the text form of bun's lock file: JSON with trailing commas.
//!
//! Input: `workspaces`, by folder, and `packages`, by install path: `a`, or `a/b` for the `b` that only `a`
//! uses. An entry is a list of `name@version` and, depending on the kind of source, the source and an
//! object with the dependencies. Output: each package once, under its real name.
//!
//! Invariants: workspaces, links and folders are not packages; a malformed entry loses only itself.

use super::{
    catalog::{Catalogs, Origin, range_in_json},
    graph::{Graph, Need, Vertex},
    pattern::{is_linked, split_pattern},
    read_object, spec,
};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    budget::Budget,
    collect::{Collector, Declared},
    git_reference,
    json::{Member, Node, Value},
    path::file_name,
    resolution::Importer,
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
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
        read_object(file, Source::Lockfile, |root, found| {
            walk(root, found);
            let mut catalogs = Catalogs::new(file.path, Origin::Lock);
            catalogs.read_json(root, found);
            catalogs.keep(found);
        })
    }
}

fn walk(root: &Node<'_>, found: &mut Collector<'_>) {
    check_version(root, found);
    let mut graph = Graph::new(found.budget());
    let mut paths = HashMap::new();
    let packages = root.get("packages").and_then(Node::members).unwrap_or_default();
    for entry in packages {
        if let Some(vertex) = read_entry(entry, &mut graph, found) {
            paths.insert(entry.key.as_ref(), vertex);
        }
    }
    for entry in packages {
        let Some(own) = paths.get(entry.key.as_ref()).copied() else { continue };
        let Some(details) = details(&entry.value) else { continue };
        for (group, need) in [
            ("dependencies", Need::Required),
            ("optionalDependencies", Need::Optional),
            ("peerDependencies", Need::Optional),
        ] {
            for wanted in names(details, group) {
                if let Some(required) = resolve(&entry.key, wanted, &paths, found.budget()) {
                    graph.requires(own, need, required);
                }
            }
        }
    }
    let workspaces = root.get("workspaces").and_then(Node::members);
    for workspace in workspaces.unwrap_or_default() {
        add_direct(root, workspace, &paths, &mut graph, found.budget());
    }
    graph.propagate_scopes();
    graph.list(workspaces.is_some(), found);
}

fn check_version(root: &Node<'_>, found: &mut Collector<'_>) {
    match root.get("lockfileVersion") {
        Some(Node { value: Value::Number("0" | "1" | "2" | "3"), .. }) => {}
        other => {
            let line = other.map_or(root.line, |version| version.line);
            found.warn(line, "unknown lockfileVersion; parsed as far as possible");
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
        let message = format!("`{}` does not name a package", text::excerpt(&entry.key));
        found.warn(entry.line, message);
        return None;
    };
    let (name, reference) = split_pattern(identity);
    if is_linked(reference) || reference.starts_with("root:") {
        return None;
    }
    let commit = reference.split_once('#').and_then(|(_, commit)| git_reference::commit(commit));
    let version = Some(reference)
        .filter(|reference| spec::is_version(reference))
        .or(commit)
        .or_else(|| spec::version_of_tarball(reference, name));
    let specifier = version.is_none().then_some(reference);
    let line = entry.line;
    let declared = Declared { name, version, specifier, line, ..Declared::default() };
    let vertex = graph.add(Ecosystem::Npm, declared);
    // The digest is last, behind the source and the details.
    let texts = elements(&entry.value).iter().skip(1).filter_map(Node::as_str);
    graph.describe(vertex, texts.rev().find(|text| text.starts_with("sha")), None);
    Some(vertex)
}

/// The object of an entry with the package's dependencies.
fn details<'n, 'a>(entry: &'n Node<'a>) -> Option<&'n Node<'a>> {
    elements(entry).iter().find(|node| node.members().is_some())
}

fn names<'n>(of: &'n Node<'_>, group: &str) -> impl Iterator<Item = &'n str> {
    of.get(group)
        .and_then(Node::members)
        .unwrap_or_default()
        .iter()
        .map(|member| member.key.as_ref())
}

fn add_direct<'n>(
    root: &'n Node<'_>,
    workspace: &'n Member<'_>,
    paths: &HashMap<&str, Vertex>,
    graph: &mut Graph<'n>,
    budget: &Budget,
) {
    // Packages that only this workspace uses are installed below its name.
    let own = workspace.value.text("name").unwrap_or_default();
    for (group, scope) in [
        ("dependencies", Scope::Runtime),
        ("peerDependencies", Scope::Peer),
        ("optionalDependencies", Scope::Optional),
        ("devDependencies", Scope::Dev),
    ] {
        let members = workspace.value.get(group).and_then(Node::members).unwrap_or_default();
        for wanted in members {
            if let Some(vertex) = resolve(own, &wanted.key, paths, budget) {
                graph.add_direct(scope, vertex);
                let range = wanted.value.as_str().unwrap_or_default();
                let range = range_in_json(root, &wanted.key, range).unwrap_or(range);
                graph.resolves(vertex, Importer::Folder(&workspace.key), &wanted.key, range);
            }
        }
    }
}

/// The package that another one gets for a name: that of the nearest install path.
fn resolve(
    from: &str,
    name: &str,
    paths: &HashMap<&str, Vertex>,
    budget: &Budget,
) -> Option<Vertex> {
    // Bounds the work for unrealistic paths.
    const LONGEST_PATH: usize = 512;
    let mut path = if from.len() > LONGEST_PATH { "" } else { from };
    loop {
        let wanted = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
        if let Some(vertex) = paths.get(wanted.as_str()) {
            return Some(*vertex);
        }
        if path.is_empty() || !budget.read(2 * wanted.len()) {
            return None;
        }
        // The name of a scoped package contains a `/`.
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        let scope = parent.rsplit('/').next().unwrap_or(parent);
        path = if scope.starts_with('@') {
            parent.rsplit_once('/').map_or("", |(parent, _)| parent)
        } else {
            parent
        };
    }
}
