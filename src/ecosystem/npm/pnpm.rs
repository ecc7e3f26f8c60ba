//! `pnpm-lock.yaml` of lockfileVersion 5 to 9.
//!
//! What flows in: `packages`, whose keys are `/name/1.2.3_peer`, `/name@1.2.3(peer)` or `name@1.2.3`,
//! by version; since 9 `snapshots` hold what requires what. `importers` are the projects of a
//! workspace; a project alone has its dependencies at the top, before 9. What flows out: each package
//! once, whatever peers it stands beside.
//!
//! Decisions. An entry says its name and version itself where its key does not (a repository, a
//! tarball). Up to version 8 a flag says what is there for development; since 9 the way from the
//! importers does. A folder is no package.
//!
//! What must stay true: a key of a form that is not known costs only itself, and is said.

use super::{
    graph::{Graph, Need, Vertex},
    pnpm_key::{Key, refers_to},
    spec,
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

/// Reads `pnpm-lock.yaml`.
#[derive(Debug)]
pub(in crate::ecosystem) struct PnpmLock;

impl Parser for PnpmLock {
    fn name(&self) -> &'static str {
        "pnpm-lock"
    }

    fn wants(&self, path: &str) -> bool {
        let file = file_name(path);
        // A lock for each branch: `pnpm-lock.feature.yaml`.
        file.strip_prefix("pnpm-lock.").is_some_and(|it| it == "yaml" || it.ends_with(".yaml"))
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Npm, Source::Lockfile);
        yaml::read(file.bytes, found, walk)
    }
}

fn walk(tree: &Tree<'_>, found: &mut Collector<'_>) {
    // pnpm 11 writes what it is itself made of as a document before that of the project.
    for root in tree.documents().filter(|it| it.is_mapping()) {
        Lock::read(root, found).list(root, found);
    }
}

/// What a group of dependencies is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Role {
    Requires(Need),
    AsksFor(Scope),
}

/// The packages of a lock.
struct Lock<'t> {
    /// The number before the first dot.
    version: u32,
    graph: Graph<'t>,
    /// By key, with peers and without.
    by_key: HashMap<&'t str, Vertex>,
}

const GROUPS: [(&str, Scope); 3] = [
    ("dependencies", Scope::Runtime),
    ("optionalDependencies", Scope::Optional),
    ("devDependencies", Scope::Dev),
];

impl<'t> Lock<'t> {
    fn read<'f: 't>(root: Node<'t, '_>, found: &mut Collector<'f>) -> Self {
        let version = major(root, found);
        let graph = Graph::new(found.budget());
        let mut lock = Self { version, graph, by_key: HashMap::new() };
        let packages = root.get("packages").into_iter().flat_map(Node::members);
        for entry in packages {
            lock.package(entry, found);
        }
        lock
    }

    fn package(&mut self, entry: Member<'t, '_>, found: &mut Collector<'_>) {
        let key = Key::of(entry.key, self.version);
        let name = entry.value.text("name").or(key.name);
        let resolution = entry.value.get("resolution");
        let says = |field: &str| resolution.and_then(|it| it.text(field));
        if says("directory").is_some() || key.is_folder() {
            return;
        }
        let Some(name) = name else {
            let message = format!("`{}` names no package", text::excerpt(entry.key));
            return found.warn(entry.line, message);
        };
        let from_tarball = || says("tarball")?.rsplit_once('/').map(|(_, it)| it);
        let version = entry
            .value
            .text("version")
            .or(key.version)
            .or_else(|| says("commit"))
            .or_else(|| git_reference::commit(from_tarball()?))
            .or_else(|| git_reference::commit(key.reference.rsplit(['#', '/']).next()?))
            .or_else(|| spec::version_of_tarball(key.reference, name));
        if version.is_none() {
            found.warn(entry.line, format!("`{}` has no version", text::excerpt(entry.key)));
        }
        let declared = Declared {
            name,
            version,
            specifier: version.is_none().then_some(key.reference),
            line: entry.line,
            direct: None,
            scope: self.flagged_scope(entry.value),
        };
        // `node@runtime:22.14.0` is the program itself, which no registry of npm has.
        let is_runtime = key.reference.starts_with("runtime:");
        let ecosystem = if is_runtime { Ecosystem::Generic } else { Ecosystem::Npm };
        let vertex = self.graph.add(ecosystem, declared);
        self.by_key.insert(entry.key, vertex);
    }

    /// What the flags of an entry say; there are none since version 9.
    fn flagged_scope(&self, entry: Node<'_, '_>) -> Option<Scope> {
        if self.version >= 9 {
            None
        } else if entry.is_true("dev") {
            Some(Scope::Dev)
        } else if entry.is_true("optional") {
            Some(Scope::Optional)
        } else {
            // Without `dev: false` it is needed for both.
            Some(Scope::Runtime)
        }
    }

    fn list(mut self, root: Node<'t, '_>, found: &mut Collector<'_>) {
        // A lock has no aliases; where one has, what they name counts where it is named first.
        let mut seen = Seen::default();
        let details = if self.version >= 9 { "snapshots" } else { "packages" };
        for entry in root.get(details).into_iter().flat_map(Node::members) {
            let Some(own) = self.vertex(entry.key) else { continue };
            for (group, need) in
                [("dependencies", Need::Required), ("optionalDependencies", Need::Optional)]
            {
                let role = Role::Requires(need);
                for required in self.named(entry.value, group, role, &mut seen) {
                    self.graph.requires(own, need, required);
                }
            }
        }
        let importers = root.get("importers");
        let knows_direct = importers.is_some() || GROUPS.iter().any(|it| root.get(it.0).is_some());
        let importers = importers.into_iter().flat_map(Node::members).map(|it| it.value);
        for importer in importers.chain([root]) {
            for (group, scope) in GROUPS {
                for wanted in self.named(importer, group, Role::AsksFor(scope), &mut seen) {
                    self.graph.ask_for(scope, wanted);
                }
            }
        }
        self.graph.spread_scopes();
        self.graph.list(knows_direct, found);
    }

    /// The packages of a group of dependencies, as far as they are known.
    fn named(
        &self,
        of: Node<'t, '_>,
        group: &str,
        role: Role,
        seen: &mut Seen<Role>,
    ) -> Vec<Vertex> {
        let group = of.get(group).filter(|it| seen.is_new(role, *it));
        let members = group.into_iter().flat_map(Node::members);
        members
            .filter_map(|it| {
                let reference = it.value.as_str().or_else(|| it.value.text("version"))?;
                let key = refers_to(it.key, reference, self.version)?;
                self.vertex(&key)
            })
            .collect()
    }

    /// A package by its key; one that is not there stands without its peers.
    fn vertex(&self, key: &str) -> Option<Vertex> {
        let bare = || key.split('(').next().unwrap_or(key);
        self.by_key.get(key).or_else(|| self.by_key.get(bare())).copied()
    }
}

fn major(root: Node<'_, '_>, found: &mut Collector<'_>) -> u32 {
    const KNOWN: std::ops::RangeInclusive<u32> = 5..=9;
    let version = root.get("lockfileVersion");
    let text = version.and_then(Node::as_str).unwrap_or_default();
    let major = text.split('.').next().and_then(|it| it.parse::<u32>().ok());
    if !major.is_some_and(|it| KNOWN.contains(&it)) {
        let line = version.map_or(root.line, |it| it.line);
        let message =
            format!("unknown lockfileVersion `{}`, read as far as known", text::excerpt(text));
        found.warn(line, message);
    }
    major.unwrap_or(*KNOWN.end())
}
