//! `deno.lock` of version 2 to 5.
//!
//! Input: the packages of npm and JSR, in `packages` up to version 3 and at the top level since version 4,
//! and the specifiers that resolve to them. Output: each package once, with its purl type.
//!
//! Decisions. Modules that are imported by URL (`remote`) have neither name nor version, so they are not
//! packages. Packages in `workspace` are direct; without it `direct` is unknown. The file never states
//! scopes.
//!
//! Invariants: the peers in a key (`a@1.0.0_b@2.0.0`) are not part of the version.

use super::{
    graph::{Graph, Need, Vertex},
    pattern::split_pattern,
    read_object,
};
use crate::ecosystem::{
    Findings, Pairing, Parser, SourceFile,
    collect::{Collector, Declared},
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

/// Longest key of a package in bytes.
const LONGEST_TARGET: usize = 1_000;

/// Reads `deno.lock`.
#[derive(Debug)]
pub(in crate::ecosystem) struct DenoLock;

impl Parser for DenoLock {
    fn name(&self) -> &'static str {
        "deno-lock"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "deno.lock"
    }

    /// Sources may import packages that no manifest names.
    fn pairing<'p>(&self, path: &'p str) -> Pairing<'p> {
        Pairing { names_all_direct: false, ..Pairing::of(path) }
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        read_object(file, Source::Lockfile, walk)
    }
}

fn walk(root: &Node<'_>, found: &mut Collector<'_>) {
    check_version(root, found);
    let mut lock = Lock { graph: Graph::new(found.budget()), packages: HashMap::new() };
    // In version 3 the table is within `packages`, in version 2 within `npm`.
    let inner = root.get("packages").unwrap_or(root);
    let npm = inner.get("npm").map(|npm| npm.get("packages").unwrap_or(npm));
    let entries = [(Registry::Jsr, inner.get("jsr")), (Registry::Npm, npm)];
    for (registry, entry) in members(&entries) {
        lock.package(registry, entry, found);
    }
    let specifiers = Specifiers::of(root, inner);
    for (registry, entry) in members(&entries) {
        let Some(own) = lock.packages.get(&(registry, entry.key.as_ref())).copied() else {
            continue;
        };
        for group in ["dependencies", "optionalDependencies"] {
            let need = if group == "dependencies" { Need::Required } else { Need::Optional };
            for wanted in entry.value.get(group).map(dependencies).unwrap_or_default() {
                if let Some(required) = lock.resolve(registry, wanted, &specifiers) {
                    lock.graph.requires(own, need, required);
                }
            }
        }
    }
    let direct = direct_specifiers(root);
    for specifier in &direct {
        if let Some(vertex) = lock.resolve(Registry::Npm, specifier, &specifiers) {
            lock.graph.add_direct(Scope::Runtime, vertex);
        }
    }
    for specifier in specifiers.0.keys().copied() {
        let Some((_, bare)) = without_registry(specifier) else { continue };
        if let Some(vertex) = lock.resolve(Registry::Npm, specifier, &specifiers) {
            let (name, range) = split_pattern(bare);
            lock.graph.resolves(vertex, Importer::Any, name, range);
        }
    }
    lock.graph.list(root.get("workspace").is_some(), found);
}

fn check_version(root: &Node<'_>, found: &mut Collector<'_>) {
    let version = root.get("version");
    if !version
        .and_then(Node::as_str)
        .is_some_and(|version| matches!(version, "2" | "3" | "4" | "5"))
    {
        let line = version.map_or(root.line, |version| version.line);
        found.warn(line, "unknown version of the lock file; parsed as far as possible");
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Registry {
    Npm,
    Jsr,
}

fn members<'n, 'a>(
    tables: &[(Registry, Option<&'n Node<'a>>)],
) -> impl Iterator<Item = (Registry, &'n Member<'a>)> {
    tables.iter().flat_map(|(registry, table)| {
        let members = table.and_then(Node::members).unwrap_or_default();
        members.iter().map(|member| (*registry, member))
    })
}

/// The dependencies of an entry: a list, or for npm in versions 2 and 3 a table with the keys as values.
fn dependencies<'n>(node: &'n Node<'_>) -> Vec<&'n str> {
    match &node.value {
        Value::Array(elements) => elements.iter().filter_map(Node::as_str).collect(),
        Value::Object(members) => {
            members.iter().filter_map(|member| member.value.as_str()).collect()
        }
        _ => Vec::new(),
    }
}

/// The direct dependencies of the project, its members and their `package.json`.
fn direct_specifiers<'n>(root: &'n Node<'_>) -> Vec<&'n str> {
    let Some(workspace) = root.get("workspace") else { return Vec::new() };
    let own = workspace.get("members").and_then(Node::members).unwrap_or_default();
    std::iter::once(workspace)
        .chain(own.iter().map(|member| &member.value))
        .flat_map(|workspace| [Some(workspace), workspace.get("packageJson")])
        .filter_map(|part| part?.get("dependencies"))
        .flat_map(dependencies)
        .collect()
}

/// From a specifier, such as `npm:a@^1`, to the key of a package: with its registry, without it, or only the
/// version.
struct Specifiers<'n>(HashMap<&'n str, &'n str>);

impl<'n> Specifiers<'n> {
    fn of(root: &'n Node<'_>, inner: &'n Node<'_>) -> Self {
        let tables = [root.get("specifiers"), inner.get("specifiers")];
        let of_npm = root.get("npm").and_then(|tables| tables.get("specifiers"));
        let members = tables.into_iter().chain([of_npm]).flatten().filter_map(Node::members);
        Self(
            members
                .flatten()
                .filter_map(|member| Some((member.key.as_ref(), member.value.as_str()?)))
                .collect(),
        )
    }
}

struct Lock<'n> {
    graph: Graph<'n>,
    /// By key, and by the name alone, which refers to the first package of that name.
    packages: HashMap<(Registry, &'n str), Vertex>,
}

impl<'n> Lock<'n> {
    fn package(&mut self, registry: Registry, entry: &'n Member<'_>, found: &mut Collector<'_>) {
        let (name, rest) = split_pattern(&entry.key);
        let version =
            Some(rest.split('_').next().unwrap_or(rest)).filter(|version| !version.is_empty());
        if version.is_none() {
            let message = format!("`{}` has no version", text::excerpt(&entry.key));
            found.warn(entry.line, message);
        }
        let ecosystem = match registry {
            Registry::Npm => Ecosystem::Npm,
            Registry::Jsr => Ecosystem::Jsr,
        };
        let declared = Declared { name, version, line: entry.line, ..Declared::default() };
        let vertex = self.graph.add(ecosystem, declared);
        // What JSR gives is the digest of a list of files.
        let digest = entry.value.text("integrity").filter(|_| registry == Registry::Npm);
        self.graph.describe(vertex, digest, None);
        self.packages.insert((registry, &entry.key), vertex);
        self.packages.entry((registry, name)).or_insert(vertex);
    }

    fn resolve(&self, of: Registry, wanted: &str, specifiers: &Specifiers<'_>) -> Option<Vertex> {
        let (registry, bare) = without_registry(wanted).unwrap_or((of, wanted));
        let known = self.packages.get(&(registry, bare)).copied();
        let resolved = || {
            let target = specifiers.0.get(wanted).or_else(|| specifiers.0.get(bare))?;
            // Thousands of specifiers may resolve to one long key.
            if target.len() > LONGEST_TARGET {
                return None;
            }
            let target = without_registry(target).map_or(*target, |(_, rest)| rest);
            let with_name = format!("{}@{target}", split_pattern(bare).0);
            [target, with_name.as_str()]
                .iter()
                .find_map(|key| self.packages.get(&(registry, *key)).copied())
        };
        // `jsr:@a/b@1` of a workspace is `jsr:@a/b@^1.0.0` in the specifiers, so the name alone is tried
        // last.
        known
            .or_else(resolved)
            .or_else(|| self.packages.get(&(registry, split_pattern(bare).0)).copied())
    }
}

fn without_registry(specifier: &str) -> Option<(Registry, &str)> {
    let (registry, rest) = specifier.split_once(':')?;
    let registry = match registry {
        "npm" => Registry::Npm,
        "jsr" => Registry::Jsr,
        _ => return None,
    };
    Some((registry, rest.trim_start_matches('/')))
}
