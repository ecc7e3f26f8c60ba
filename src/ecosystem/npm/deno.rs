//! `deno.lock` of version 2 to 5.
//!
//! What flows in: the packages of npm and of JSR, in `packages` up to version 3 and at the top since,
//! and the specifiers that lead to them. What flows out: each package once, with its purl type.
//!
//! Decisions. Modules that are imported by their URL (`remote`) have neither name nor version: no
//! packages. What `workspace` lists is direct; without it the file does not tell. What for, it never
//! tells.
//!
//! What must stay true: the peers in a key (`a@1.0.0_b@2.0.0`) are no part of the version.

use super::{
    graph::{Graph, Need, Vertex},
    read_object,
    yarn::split_pattern,
};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    json::{Member, Node, Value},
    purl::Ecosystem,
    source::file_name,
    text,
};
use crate::model::scan_result::{Scope, Source};
use std::collections::HashMap;

/// No key of a package is longer, in bytes.
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

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        read_object(file, Source::Lockfile, walk)
    }
}

fn walk(root: &Node<'_>, found: &mut Collector<'_>) {
    check_version(root, found);
    let mut lock = Lock { graph: Graph::new(found.budget()), packages: HashMap::new() };
    // Version 3 has one table within `packages`, version 2 has it within `npm`.
    let inner = root.get("packages").unwrap_or(root);
    let npm = inner.get("npm").map(|it| it.get("packages").unwrap_or(it));
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
    let asked = asked_for(root);
    for specifier in &asked {
        if let Some(vertex) = lock.resolve(Registry::Npm, specifier, &specifiers) {
            lock.graph.ask_for(Scope::Runtime, vertex);
        }
    }
    lock.graph.list(root.get("workspace").is_some(), found);
}

fn check_version(root: &Node<'_>, found: &mut Collector<'_>) {
    let version = root.get("version");
    if !version.and_then(Node::as_str).is_some_and(|it| matches!(it, "2" | "3" | "4" | "5")) {
        let line = version.map_or(root.line, |it| it.line);
        found.warn(line, "unknown version of the lock, read as far as known");
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
        members.iter().map(|it| (*registry, it))
    })
}

/// What an entry requires: a list, or by version 2 and 3 of npm a table with the keys as values.
fn dependencies<'n>(node: &'n Node<'_>) -> Vec<&'n str> {
    match &node.value {
        Value::Array(elements) => elements.iter().filter_map(Node::as_str).collect(),
        Value::Object(members) => members.iter().filter_map(|it| it.value.as_str()).collect(),
        _ => Vec::new(),
    }
}

/// What the project, its members and their `package.json` ask for.
fn asked_for<'n>(root: &'n Node<'_>) -> Vec<&'n str> {
    let Some(workspace) = root.get("workspace") else { return Vec::new() };
    let own = workspace.get("members").and_then(Node::members).unwrap_or_default();
    std::iter::once(workspace)
        .chain(own.iter().map(|it| &it.value))
        .flat_map(|it| [Some(it), it.get("packageJson")])
        .filter_map(|it| it?.get("dependencies"))
        .flat_map(dependencies)
        .collect()
}

/// By what is asked for, `npm:a@^1`, the key that it leads to: with its registry, without, or the
/// version alone.
struct Specifiers<'n>(HashMap<&'n str, &'n str>);

impl<'n> Specifiers<'n> {
    fn of(root: &'n Node<'_>, inner: &'n Node<'_>) -> Self {
        let tables = [root.get("specifiers"), inner.get("specifiers")];
        let of_npm = root.get("npm").and_then(|it| it.get("specifiers"));
        let members = tables.into_iter().chain([of_npm]).flatten().filter_map(Node::members);
        Self(
            members
                .flatten()
                .filter_map(|it| Some((it.key.as_ref(), it.value.as_str()?)))
                .collect(),
        )
    }
}

struct Lock<'n> {
    graph: Graph<'n>,
    /// By key, and by the name alone, which stands for the first package of it.
    packages: HashMap<(Registry, &'n str), Vertex>,
}

impl<'n> Lock<'n> {
    fn package(&mut self, registry: Registry, entry: &'n Member<'_>, found: &mut Collector<'_>) {
        let (name, rest) = split_pattern(&entry.key);
        let version = Some(rest.split('_').next().unwrap_or(rest)).filter(|it| !it.is_empty());
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
        self.packages.insert((registry, &entry.key), vertex);
        self.packages.entry((registry, name)).or_insert(vertex);
    }

    fn resolve(&self, of: Registry, wanted: &str, specifiers: &Specifiers<'_>) -> Option<Vertex> {
        let (registry, bare) = without_registry(wanted).unwrap_or((of, wanted));
        let known = self.packages.get(&(registry, bare)).copied();
        let led = || {
            let target = specifiers.0.get(wanted).or_else(|| specifiers.0.get(bare))?;
            // One key, however long, may be what thousands of specifiers lead to.
            if target.len() > LONGEST_TARGET {
                return None;
            }
            let target = without_registry(target).map_or(*target, |(_, it)| it);
            let with_name = format!("{}@{target}", split_pattern(bare).0);
            [target, with_name.as_str()]
                .iter()
                .find_map(|it| self.packages.get(&(registry, *it)).copied())
        };
        // `jsr:@a/b@1` of a workspace is `jsr:@a/b@^1.0.0` in the specifiers, so the name alone has
        // to do where it is clear.
        known
            .or_else(led)
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
