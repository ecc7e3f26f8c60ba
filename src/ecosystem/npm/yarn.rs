//! `yarn.lock` of all versions of yarn.
//!
//! Input: a file of yarn 1, in an indentation format of its own (`yarn_v1`), or a file of yarn 2 and later,
//! which is YAML with a `__metadata` entry. Output: each package once, under its real name, with its
//! dependencies.
//!
//! Decisions. A linked folder (`link:`, `portal:`, `file:`, workspaces) is not a package; a local tarball is
//! one. A patched package has a separate entry beside that of the original: the two are one package. Yarn 2
//! lists the workspaces and their dependencies, so `direct` is known; only `package.json` states scopes.
//!
//! Invariants: a bad entry loses only itself.

use super::{
    graph::{Graph, Need, Vertex},
    pattern::{Resolved, is_linked, split_pattern},
    yarn_v1,
};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    git_reference,
    path::file_name,
    resolution::Importer,
    text,
    yaml::{self, Member, Node, Seen, Tree},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};

/// The known versions of `__metadata`.
const VERSIONS: std::ops::RangeInclusive<u32> = 1..=10;

/// Reads `yarn.lock`.
#[derive(Debug)]
pub(in crate::ecosystem) struct YarnLock;

impl Parser for YarnLock {
    fn name(&self) -> &'static str {
        "yarn-lock"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "yarn.lock"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Npm, Source::Lockfile);
        let text = text::decode(file.bytes);
        if text.lines().any(|line| line.starts_with("__metadata:")) {
            yaml::read(file.bytes, found, walk)
        } else {
            yarn_v1::read(&text, found)
        }
    }
}

fn walk(tree: &Tree<'_>, found: &mut Collector<'_>) {
    let mut graph = Graph::new(found.budget());
    let mut resolved = Resolved::default();
    let mut entries: Vec<(Member<'_, '_>, Owner)> = Vec::new();
    for entry in tree.documents().flat_map(Node::members) {
        if entry.key == "__metadata" {
            check_version(entry.value, found);
            continue;
        }
        let owner = read_entry(entry, &mut graph, found);
        if let Owner::Package(vertex) = owner {
            for pattern in entry.key.split(", ") {
                resolved.note(pattern, vertex);
                let (name, range) = split_pattern(pattern);
                graph.resolves(vertex, Importer::Any, name, without_protocol(range));
            }
        }
        entries.push((entry, owner));
    }
    // Yarn writes no aliases; in a malicious file, an aliased group counts once.
    let mut seen = Seen::default();
    let mut has_catalog = false;
    for (entry, owner) in entries.iter().filter(|entry| entry.1 != Owner::Other) {
        let is_workspace = *owner == Owner::Workspace;
        for (group, need) in
            [("dependencies", Need::Required), ("optionalDependencies", Need::Optional)]
        {
            let role = (is_workspace, need);
            let group = entry.value.get(group).filter(|group| seen.is_new(role, *group));
            let wanted = group.into_iter().flat_map(Node::members);
            for (dependency, range) in
                wanted.filter_map(|member| Some((member.key, member.value.as_str()?)))
            {
                // The file has the ranges of catalogs only in its keys, so the manifests have to tell.
                has_catalog |= is_workspace && range.starts_with("catalog:");
                let Some(required) = resolved.get(dependency, range) else { continue };
                match owner {
                    Owner::Package(own) => graph.requires(*own, need, required),
                    Owner::Workspace => graph.add_direct(Scope::Runtime, required),
                    Owner::Other => {}
                }
            }
        }
    }
    let has_workspace = entries.iter().any(|(_, owner)| *owner == Owner::Workspace);
    graph.list(has_workspace && !has_catalog, found);
}

fn check_version(metadata: Node<'_, '_>, found: &mut Collector<'_>) {
    let version = metadata.text("version").unwrap_or_default();
    if !version.parse().is_ok_and(|number| VERSIONS.contains(&number)) {
        let version = text::excerpt(version);
        let message =
            format!("unknown version `{version}` of the lock file; parsed as far as possible");
        found.warn(metadata.line, message);
    }
}

/// A range as a manifest states it. Only an alias has its protocol there: `npm:name@range`.
fn without_protocol(range: &str) -> &str {
    let plain = range.strip_prefix("npm:");
    let is_alias = |plain: &&str| plain.get(1..).is_some_and(|rest| rest.contains('@'));
    plain.filter(|plain| !is_alias(plain)).unwrap_or(range)
}

/// The kind of an entry.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Owner {
    Package(Vertex),
    Workspace,
    Other,
}

fn read_entry<'t>(
    entry: Member<'t, '_>,
    graph: &mut Graph<'t>,
    found: &mut Collector<'_>,
) -> Owner {
    if !entry.value.is_mapping() {
        let message = format!(
            "`{}`: expected a mapping, got {}",
            text::excerpt(entry.key),
            entry.value.kind()
        );
        found.warn(entry.line, message);
        return Owner::Other;
    }
    // Without a resolution, the pattern itself is the resolution.
    let pattern = entry.key.split(", ").next().unwrap_or(entry.key);
    let (name, reference) = split_pattern(entry.value.text("resolution").unwrap_or(pattern));
    if reference.starts_with("workspace:") {
        return Owner::Workspace;
    }
    if is_linked(reference) {
        return Owner::Other;
    }
    let commit =
        reference.rsplit_once("commit=").map(|(_, rest)| rest.split('&').next().unwrap_or(rest));
    let version = entry
        .value
        .text("version")
        .or_else(|| reference.strip_prefix("npm:").and_then(|range| range.split("::").next()))
        .or_else(|| commit.and_then(git_reference::commit));
    if version.is_none() {
        found.warn(entry.line, format!("`{}` has no version", text::excerpt(entry.key)));
    }
    let specifier = version.is_none().then_some(reference);
    let declared = Declared { name, version, specifier, line: entry.line, ..Declared::default() };
    Owner::Package(graph.add(Ecosystem::Npm, declared))
}
