//! `yarn.lock` of all versions of yarn.
//!
//! What flows in: the file of yarn 1, an indentation format of its own (`yarn_v1`), or that of yarn 2
//! and later, which is YAML with a `__metadata` of its version. What flows out: each package once,
//! under its real name, with what it requires.
//!
//! Decisions. What is linked (`link:`, `portal:`, `file:` of a folder, workspaces) is no package; a
//! tarball that lies beside the project is one. A package that is patched has an entry of its own
//! beside that of the original: the two are one package. Yarn 2 lists the workspaces themselves and
//! what they ask for, so what is direct is known; what for, only `package.json` says.
//!
//! What must stay true: a bad entry costs only itself.

use super::{
    graph::{Graph, Need, Vertex},
    spec, yarn_v1,
};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    git_reference,
    purl::Ecosystem,
    source::file_name,
    text,
    yaml::{self, Member, Node, Seen, Tree},
};
use crate::model::scan_result::{Scope, Source};
use std::collections::HashMap;

/// The versions that `__metadata` is known to have.
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
        if text.lines().any(|it| it.starts_with("__metadata:")) {
            yaml::read(file.bytes, found, walk)
        } else {
            yarn_v1::read(&text, found)
        }
    }
}

/// What asks for a package, `name@range`, and the package that it gets.
#[derive(Debug, Default)]
pub(super) struct Resolved<'a> {
    by_pattern: HashMap<&'a str, Vertex>,
    /// The one package of a name; none where there are several.
    by_name: HashMap<&'a str, Option<Vertex>>,
}

impl<'a> Resolved<'a> {
    /// Notes what a package is got for: `a@^1, a@npm:^2`.
    pub(super) fn note(&mut self, pattern: &'a str, vertex: Vertex) {
        self.by_pattern.insert(pattern, vertex);
        let name = split_pattern(pattern).0;
        let only = self.by_name.entry(name).or_insert(Some(vertex));
        if *only != Some(vertex) {
            *only = None;
        }
    }

    /// The package that a range of a name gets. One that is not there is overridden by
    /// `resolutions`, so that the only package of the name is meant.
    pub(super) fn get(&self, name: &str, range: &str) -> Option<Vertex> {
        let forms = [format!("{name}@{range}"), format!("{name}@npm:{range}")];
        forms
            .iter()
            .find_map(|it| self.by_pattern.get(it.as_str()).copied())
            .or_else(|| self.by_name.get(name).copied().flatten())
    }
}

/// `name@range`, where a scope's own `@` is no separator.
pub(super) fn split_pattern(pattern: &str) -> (&str, &str) {
    let begin = usize::from(pattern.starts_with('@'));
    match pattern.get(begin..).and_then(|it| it.find('@')) {
        Some(at) => (
            pattern.get(..begin + at).unwrap_or_default(),
            pattern.get(begin + at + 1..).unwrap_or_default(),
        ),
        None => (pattern, ""),
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
            entry.key.split(", ").for_each(|it| resolved.note(it, vertex));
        }
        entries.push((entry, owner));
    }
    // A lock has no aliases; where one has, what they name counts where it is named first.
    let mut seen = Seen::default();
    for (entry, owner) in entries.iter().filter(|it| it.1 != Owner::Other) {
        let is_workspace = *owner == Owner::Workspace;
        for (group, need) in
            [("dependencies", Need::Required), ("optionalDependencies", Need::Optional)]
        {
            let role = (is_workspace, need);
            let group = entry.value.get(group).filter(|it| seen.is_new(role, *it));
            let wanted = group.into_iter().flat_map(Node::members);
            for (dependency, range) in wanted.filter_map(|it| Some((it.key, it.value.as_str()?))) {
                let Some(required) = resolved.get(dependency, range) else { continue };
                match owner {
                    Owner::Package(own) => graph.requires(*own, need, required),
                    Owner::Workspace => graph.ask_for(Scope::Runtime, required),
                    Owner::Other => {}
                }
            }
        }
    }
    let knows_direct = entries.iter().any(|(_, owner)| *owner == Owner::Workspace);
    graph.list(knows_direct, found);
}

fn check_version(metadata: Node<'_, '_>, found: &mut Collector<'_>) {
    let version = metadata.text("version").unwrap_or_default();
    if !version.parse().is_ok_and(|it| VERSIONS.contains(&it)) {
        let version = text::excerpt(version);
        let message = format!("unknown version `{version}` of the lock, read as far as known");
        found.warn(metadata.line, message);
    }
}

/// What an entry is.
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
    // What was asked for is what was got, where the entry does not tell.
    let asked = entry.key.split(", ").next().unwrap_or(entry.key);
    let (name, reference) = split_pattern(entry.value.text("resolution").unwrap_or(asked));
    if reference.starts_with("workspace:") {
        return Owner::Workspace;
    }
    if is_linked(reference) {
        return Owner::Other;
    }
    let commit = reference.rsplit_once("commit=").map(|(_, it)| it.split('&').next().unwrap_or(it));
    let version = entry
        .value
        .text("version")
        .or_else(|| reference.strip_prefix("npm:").and_then(|it| it.split("::").next()))
        .or_else(|| commit.and_then(git_reference::commit));
    if version.is_none() {
        found.warn(entry.line, format!("`{}` has no version", text::excerpt(entry.key)));
    }
    let specifier = version.is_none().then_some(reference);
    let declared = Declared { name, version, specifier, line: entry.line, ..Declared::default() };
    Owner::Package(graph.add(Ecosystem::Npm, declared))
}

/// Whether a range names a folder; an archive is a package wherever it lies.
pub(super) fn is_linked(range: &str) -> bool {
    let path = range.split(['#', ':']).nth(1).unwrap_or(range);
    let path = path.split("::").next().unwrap_or(path);
    let is_archive =
        [".tgz", ".tar.gz", ".tar"].iter().any(|it| path.ends_with(it) || range.ends_with(it));
    spec::is_local(range) && !is_archive
}
