//! `pnpm-lock.yaml` of lockfileVersion 5 to 9.
//!
//! Input: `packages`, whose keys are `/name/1.2.3_peer`, `/name@1.2.3(peer)` or `name@1.2.3`, depending on the
//! version; since version 9 `snapshots` contain the dependencies. `importers` are the projects of a
//! workspace; before version 9, a single project has its dependencies at the top level. Output: each package
//! once, whatever its peers.
//!
//! Decisions. An entry has a name and a version if its key has none (a repository, a tarball). Up to version
//! 8 a flag marks development packages; since 9 the scope follows from the importers. A folder is not a
//! package.
//!
//! Invariants: an unknown form of key loses only itself, with a warning.

use super::{
    catalog::{Catalogs, Origin, range_in_yaml},
    graph::{Graph, Need, Vertex},
    is_rush_project,
    pnpm_key::{Key, refers_to},
    spec,
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
use std::collections::{HashMap, HashSet};

/// Reads `pnpm-lock.yaml`.
#[derive(Debug)]
pub(in crate::ecosystem) struct PnpmLock;

impl Parser for PnpmLock {
    fn name(&self) -> &'static str {
        "pnpm-lock"
    }

    fn wants(&self, path: &str) -> bool {
        let file = file_name(path);
        // There may be a lock file for each branch: `pnpm-lock.feature.yaml`.
        file.strip_prefix("pnpm-lock.")
            .is_some_and(|suffix| suffix == "yaml" || suffix.ends_with(".yaml"))
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Npm, Source::Lockfile);
        yaml::read(file.bytes, found, |tree, found| walk(tree, file.path, found))
    }
}

fn walk(tree: &Tree<'_>, path: &str, found: &mut Collector<'_>) {
    // pnpm 11 writes a document about pnpm itself before that of the project.
    for root in tree.documents().filter(|root| root.is_mapping()) {
        Lock::read(root, found).list(root, found);
        let mut catalogs = Catalogs::new(path, Origin::Lock);
        catalogs.read_yaml(root, found);
        catalogs.keep(found);
    }
}

/// The role in which a group of dependencies is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Role {
    Requires(Need),
    Direct(Scope),
}

/// The packages of a lock.
struct Lock<'t> {
    /// The major version of the format.
    version: u32,
    graph: Graph<'t>,
    /// By key, with and without peers.
    by_key: HashMap<&'t str, Vertex>,
    /// The keys of the repository's own projects.
    rush_projects: HashSet<&'t str>,
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
        let (by_key, rush_projects) = (HashMap::new(), HashSet::new());
        let mut lock = Self { version, graph, by_key, rush_projects };
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
        let resolved = |field: &str| resolution.and_then(|resolution| resolution.text(field));
        if resolved("directory").is_some() || key.is_folder() {
            return;
        }
        let Some(name) = name else {
            let message = format!("`{}` does not name a package", text::excerpt(entry.key));
            return found.warn(entry.line, message);
        };
        if is_rush_project(name) {
            self.rush_projects.insert(entry.key);
            return;
        }
        let from_tarball = || resolved("tarball")?.rsplit_once('/').map(|(_, file)| file);
        let version = entry
            .value
            .text("version")
            .or(key.version)
            .or_else(|| resolved("commit"))
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
        // `node@runtime:22.14.0` is Node itself, which is not in the npm registry.
        let is_runtime = key.reference.starts_with("runtime:");
        let ecosystem = if is_runtime { Ecosystem::Generic } else { Ecosystem::Npm };
        let vertex = self.graph.add(ecosystem, declared);
        self.graph.describe(vertex, resolved("integrity"), None);
        self.by_key.insert(self.normal(entry.key), vertex);
    }

    /// The scope by the flags of an entry; there are none since version 9.
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
        // pnpm writes no aliases; in a malicious file, an aliased group counts once.
        let mut seen = Seen::default();
        let details = if self.version >= 9 { "snapshots" } else { "packages" };
        for entry in root.get(details).into_iter().flat_map(Node::members) {
            let keys = [entry.key, bare(entry.key)];
            let is_own = keys.iter().any(|key| self.rush_projects.contains(key));
            let own = self.vertex(entry.key);
            if own.is_none() && !is_own {
                continue;
            }
            for (group, need) in
                [("dependencies", Need::Required), ("optionalDependencies", Need::Optional)]
            {
                let role = Role::Requires(need);
                for (required, _) in self.named(entry.value, group, role, &mut seen) {
                    match own {
                        Some(own) => self.graph.requires(own, need, required),
                        None => self.graph.add_direct(Scope::Runtime, required),
                    }
                }
            }
        }
        let importers = root.get("importers");
        let knows_direct =
            importers.is_some() || GROUPS.iter().any(|group| root.get(group.0).is_some());
        let importers = importers.into_iter().flat_map(Node::members);
        let importers = importers.map(|importer| (importer.key, importer.value));
        for (folder, importer) in importers.chain([(".", root)]) {
            let specifiers = importer.get("specifiers");
            for (group, scope) in GROUPS {
                for (wanted, of) in self.named(importer, group, Role::Direct(scope), &mut seen) {
                    self.graph.add_direct(scope, wanted);
                    // Up to version 5 all ranges are in a table of their own.
                    let own = of.value.text("specifier");
                    let range = own.or_else(|| specifiers?.text(of.key)).unwrap_or_default();
                    let range = range_in_yaml(root, of.key, range).unwrap_or(range);
                    self.graph.resolves(wanted, Importer::Folder(folder), of.key, range);
                }
            }
        }
        self.graph.propagate_scopes();
        self.graph.list(knows_direct, found);
    }

    /// The packages of a dependency group, as far as they are in the lock file, each with its entry.
    fn named<'n>(
        &self,
        of: Node<'t, 'n>,
        group: &str,
        role: Role,
        seen: &mut Seen<Role>,
    ) -> Vec<(Vertex, Member<'t, 'n>)> {
        let group = of.get(group).filter(|group| seen.is_new(role, *group));
        let members = group.into_iter().flat_map(Node::members);
        members
            .filter_map(|member| {
                let reference = member.value.as_str().or_else(|| member.value.text("version"))?;
                let key = refers_to(member.key, reference, self.version)?;
                Some((self.vertex(&key)?, member))
            })
            .collect()
    }

    /// A key as version 9 writes it: without a slash at its beginning.
    fn normal<'k>(&self, key: &'k str) -> &'k str {
        if self.version >= 9 { key.strip_prefix('/').unwrap_or(key) } else { key }
    }

    /// A package by its key, or by its key without peers.
    fn vertex(&self, key: &str) -> Option<Vertex> {
        let key = self.normal(key);
        self.by_key.get(key).or_else(|| self.by_key.get(bare(key))).copied()
    }
}

/// A key without peers.
fn bare(key: &str) -> &str {
    key.split('(').next().unwrap_or(key)
}

fn major(root: Node<'_, '_>, found: &mut Collector<'_>) -> u32 {
    const KNOWN: std::ops::RangeInclusive<u32> = 5..=9;
    let version = root.get("lockfileVersion");
    let text = version.and_then(Node::as_str).unwrap_or_default();
    let major = text.split('.').next().and_then(|number| number.parse::<u32>().ok());
    if !major.is_some_and(|major| KNOWN.contains(&major)) {
        let line = version.map_or(root.line, |version| version.line);
        let message =
            format!("unknown lockfileVersion `{}`; parsed as far as possible", text::excerpt(text));
        found.warn(line, message);
    }
    major.unwrap_or(*KNOWN.end())
}
