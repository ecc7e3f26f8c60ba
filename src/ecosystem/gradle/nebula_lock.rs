//! `dependencies.lock` and `global.lock`, which Nebula's plugin for Gradle writes, by "Lock file format" of its
//! documentation.
//!
//! Input: the resolved modules by configuration; before version 2 of the plugin, the modules alone. Output: each
//! module once per version, with the strongest scope of its configurations. Invariants: projects of the build are
//! not packages; a module without the modules that require it is direct, if any module of the file has them.

use super::lock;
use crate::ecosystem::{
    Findings, Pairing, Parser, SourceFile,
    collect::{Added, Collector, Declared},
    json::{self, Member, Node},
    path::file_name,
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::collections::HashMap;

/// The members that name the modules that require a module.
const REQUIRED_BY: [&str; 2] = ["transitive", "firstLevelTransitive"];

/// Reads the lock files of Nebula's plugin.
#[derive(Debug)]
pub(in crate::ecosystem) struct NebulaLock;

impl Parser for NebulaLock {
    fn name(&self) -> &'static str {
        "nebula-lock"
    }

    fn wants(&self, path: &str) -> bool {
        matches!(file_name(path), "dependencies.lock" | "global.lock")
    }

    /// As for `gradle.lockfile`.
    fn pairing<'p>(&self, path: &'p str) -> Pairing<'p> {
        Pairing { names_all_direct: false, ..Pairing::of(path) }
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        // Other tools use the names for files that are not JSON.
        if !text::decode(file.bytes).trim_start().starts_with('{') {
            return Findings::default();
        }
        json::read(file.bytes, Collector::new(file, Ecosystem::Maven, Source::Lockfile), walk)
    }
}

fn walk(root: &Node<'_>, found: &mut Collector<'_>) {
    let members = root.members().unwrap_or_default();
    let is_flat = members.iter().any(|member| is_module(member));
    let mut modules = Modules::default();
    let modules_of = |member: &Member<'_>| member.value.members().is_some();
    if is_flat {
        modules.read(members, None, found);
    } else {
        for configuration in members.iter().filter(|member| modules_of(member)) {
            let scope = lock::scope(&configuration.key);
            modules.read(configuration.value.members().unwrap_or_default(), scope, found);
        }
    }
    modules.list(found);
}

/// Whether a member is `group:name` with a version, and no configuration.
fn is_module(member: &Member<'_>) -> bool {
    member.key.contains(':') && member.value.get("locked").is_some()
}

/// A module in one version.
struct Module {
    line: u32,
    scope: Option<Scope>,
    required_by: Vec<String>,
}

/// The modules, by name and version.
#[derive(Default)]
struct Modules {
    all: HashMap<(String, String), Module>,
    has_graph: bool,
}

impl Modules {
    fn read(&mut self, members: &[Member<'_>], scope: Option<Scope>, found: &mut Collector<'_>) {
        for member in members {
            let name = member.key.as_ref();
            if member.value.get("project").is_some() {
                continue;
            }
            let Some(version) = member.value.text("locked").filter(|_| name.contains(':')) else {
                let message = format!("`{}` has no locked version", text::excerpt(name));
                found.warn(member.line, message);
                continue;
            };
            let key = (name.to_owned(), version.to_owned());
            let new = || Module { line: member.line, scope, required_by: Vec::new() };
            let module = self.all.entry(key).or_insert_with(new);
            module.scope = Scope::stronger(module.scope, scope);
            let lists = REQUIRED_BY.iter().flat_map(|list| member.value.elements(list));
            let before = module.required_by.len();
            module.required_by.extend(lists.filter_map(Node::as_str).map(str::to_owned));
            self.has_graph |= module.required_by.len() > before;
        }
    }

    fn list(&self, found: &mut Collector<'_>) {
        let mut by_name: HashMap<&str, Vec<Added>> = HashMap::new();
        let mut sorted: Vec<_> = self.all.iter().collect();
        sorted.sort_by_key(|(key, _)| *key);
        for ((name, version), module) in &sorted {
            let direct = self.has_graph.then_some(module.required_by.is_empty());
            let (version, scope, line) = (Some(version.as_str()), module.scope, module.line);
            let declared = Declared { name, version, line, direct, scope, ..Declared::default() };
            if let Some(added) = found.take(Ecosystem::Maven, declared) {
                by_name.entry(name).or_default().push(added);
            }
        }
        for ((name, _), module) in &sorted {
            for requiring in &module.required_by {
                if let Some((own, required)) = pairs(&by_name, requiring, name) {
                    found.requires(own, required);
                }
            }
        }
    }
}

/// The modules of two names, if each has a single version: the file does not state which one requires which.
fn pairs(
    by_name: &HashMap<&str, Vec<Added>>,
    requiring: &str,
    required: &str,
) -> Option<(Added, Added)> {
    match (by_name.get(requiring)?.as_slice(), by_name.get(required)?.as_slice()) {
        ([own], [required]) => Some((*own, *required)),
        _ => None,
    }
}
