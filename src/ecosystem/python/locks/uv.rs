//! `uv.lock` and the lock files of scripts, as uv's `lock/mod.rs` writes them.
//!
//! Input: `[[package]]` entries, and `[[distribution]]` of uv before 0.3. Output: every external package.
//! Invariants: an entry whose source is `virtual`, `editable` or `directory` is part of the repository and not
//! a package; its dependencies are direct.
//!
//! Decision. The lock file has no scopes but the whole graph: a package has the strongest scope of all paths
//! to it from the project's own entries.

use super::{Entry, LockedPackages, check_version, entry, state_hashes, warn_of_no_version};
use crate::ecosystem::{
    Findings, Pairing, Parser, SourceFile,
    collect::{Collector, Declared},
    path::file_name,
    python::{PYPROJECT, group_scope, script_pairing},
    toml::{self, Document},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use ::toml::de::DeTable;

const NEWEST_VERSION: u32 = 1;

/// Reads `uv.lock` and `*.py.lock`.
#[derive(Debug)]
pub(in crate::ecosystem) struct UvLock;

impl Parser for UvLock {
    fn name(&self) -> &'static str {
        "uv-lock"
    }

    fn wants(&self, path: &str) -> bool {
        let file = file_name(path);
        file == "uv.lock" || file.ends_with(".py.lock")
    }

    /// The lock file of a script belongs to that script.
    fn pairing<'p>(&self, path: &'p str) -> Pairing<'p> {
        match path.strip_suffix(".lock").filter(|script| script.ends_with(".py")) {
            Some(script) => script_pairing(script),
            None => Pairing::of(path).with(PYPROJECT),
        }
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::PyPi, Source::Lockfile);
        toml::read(file.bytes, found, walk)
    }
}

fn walk(document: &Document<'_>, found: &mut Collector<'_>) {
    let root = &document.root;
    check_version(Some(root), "version", NEWEST_VERSION, document, found);
    let nodes = toml::elements(root, "package").chain(toml::elements(root, "distribution"));
    let entries: Vec<_> = nodes.filter_map(|node| entry(node, document, found)).collect();
    let graph = Graph::of(&entries);
    let wanted = graph.wanted(root);
    let scopes = graph.scopes(&wanted);
    let knows_direct = !wanted.is_empty() || entries.iter().any(|entry| is_own(entry.table));
    let mut direct = vec![false; entries.len()];
    for (at, _) in &wanted {
        if let Some(direct) = direct.get_mut(*at) {
            *direct = true;
        }
    }
    let mut added = Vec::new();
    for ((entry, scope), direct) in entries.iter().zip(scopes).zip(direct) {
        if is_own(entry.table) {
            added.push(None);
            continue;
        }
        let version = version(entry.table);
        if version.is_none() {
            warn_of_no_version(*entry, found);
        }
        let (Entry { name, line, .. }, direct) = (*entry, knows_direct.then_some(direct));
        let declared = Declared { name, version, line, direct, scope, ..Declared::default() };
        let taken = found.take(Ecosystem::PyPi, declared);
        let source = entry.table.get("sdist").into_iter();
        state_hashes(taken, source.chain(toml::elements(entry.table, "wheels")), found);
        added.push(taken);
    }
    for (from, edges) in added.iter().zip(&graph.edges) {
        let Some(from) = from else { continue };
        for required in edges.iter().filter_map(|target| added.get(*target).copied().flatten()) {
            found.requires(*from, required);
        }
    }
}

fn version<'t>(table: &'t DeTable<'_>) -> Option<&'t str> {
    let git = || toml::string(toml::table(table, "source")?, "git");
    let commit = || git()?.rsplit_once('#').map(|(_, commit)| commit);
    toml::string(table, "version").or_else(commit)
}

/// Whether an entry is part of the repository. In old versions the source is a text with a prefix.
fn is_own(table: &DeTable<'_>) -> bool {
    const OWN: [&str; 3] = ["virtual", "editable", "directory"];
    let kind = toml::string(table, "source").and_then(|source| source.split('+').next());
    let keys = toml::table(table, "source");
    OWN.iter().any(|own| kind == Some(own) || keys.is_some_and(|keys| keys.contains_key(*own)))
}

/// The dependencies between entries, by index.
struct Graph<'e, 't, 'i> {
    entries: &'e [Entry<'t, 'i>],
    known: LockedPackages<usize>,
    edges: Vec<Vec<usize>>,
}

impl<'e, 't, 'i> Graph<'e, 't, 'i> {
    fn of(entries: &'e [Entry<'t, 'i>]) -> Self {
        let mut known = LockedPackages::new();
        for (at, entry) in entries.iter().enumerate() {
            known.insert(entry.name, toml::string(entry.table, "version"), at);
        }
        let mut graph = Self { entries, known, edges: Vec::new() };
        graph.edges = entries
            .iter()
            .map(|entry| {
                // The lock file contains only the extras that are requested.
                let extras = arrays(entry.table, "optional-dependencies");
                let names = std::iter::once((entry.table, "dependencies")).chain(extras);
                names.flat_map(|(table, key)| graph.targets(table, key)).collect()
            })
            .collect();
        graph
    }

    /// The entries that a list of requirements refers to.
    fn targets(&self, table: &DeTable<'_>, key: &str) -> Vec<usize> {
        let tables =
            toml::elements(table, key).filter_map(|dependency| dependency.get_ref().as_table());
        let target = |dependency| {
            let name = toml::string(dependency, "name").unwrap_or_default();
            self.known.find(name, toml::string(dependency, "version"))
        };
        tables.flat_map(target).collect()
    }

    /// The direct requirements of the project's own entries, of a script, or of a workspace without a
    /// project.
    fn wanted(&self, root: &DeTable<'_>) -> Vec<(usize, Scope)> {
        let mut wanted = Vec::new();
        let mut want = |table: &DeTable<'_>, key: &str, scope: Scope| {
            wanted.extend(self.targets(table, key).into_iter().map(|target| (target, scope)));
        };
        for own in self.entries.iter().map(|entry| entry.table).filter(|table| is_own(table)) {
            want(own, "dependencies", Scope::Runtime);
            for (table, key) in arrays(own, "optional-dependencies") {
                want(table, key, Scope::Optional);
            }
            for (table, key) in arrays(own, "dev-dependencies") {
                want(table, key, group_scope(key));
            }
        }
        if let Some(manifest) = toml::table(root, "manifest") {
            want(manifest, "requirements", Scope::Runtime);
            for (table, key) in arrays(manifest, "dependency-groups") {
                want(table, key, group_scope(key));
            }
        }
        wanted
    }

    /// The strongest scope of all paths to each entry.
    fn scopes(&self, wanted: &[(usize, Scope)]) -> Vec<Option<Scope>> {
        let mut scopes = vec![None; self.entries.len()];
        for scope in [Scope::Runtime, Scope::Optional, Scope::Test, Scope::Dev] {
            let mut open: Vec<usize> = wanted
                .iter()
                .filter(|(_, own_scope)| *own_scope == scope)
                .map(|(at, _)| *at)
                .collect();
            while let Some(at) = open.pop() {
                let Some(known) = scopes.get_mut(at) else { continue };
                if known.is_none() {
                    *known = Some(scope);
                    // The requirements of the project's own entries are in `wanted` themselves.
                    let other = self.entries.get(at).is_some_and(|entry| !is_own(entry.table));
                    open.extend(self.edges.get(at).filter(|_| other).into_iter().flatten());
                }
            }
        }
        scopes
    }
}

/// The keys of a table of lists, each with the table.
fn arrays<'t, 'i>(
    table: &'t DeTable<'i>,
    key: &str,
) -> impl Iterator<Item = (&'t DeTable<'i>, &'t str)> {
    let lists = toml::table(table, key);
    lists
        .into_iter()
        .flat_map(|lists| lists.keys().map(move |name| (lists, name.get_ref().as_ref())))
}
