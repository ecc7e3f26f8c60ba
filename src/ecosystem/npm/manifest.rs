//! `package.json`, by "npm help package.json".
//!
//! Input: the dependency tables of a manifest. Output: each entry as a direct package with its range, and the
//! project's name, workspaces and catalogs. Invariants: a malformed table or entry loses only itself.

use super::{
    catalog::{Catalogs, Origin},
    read_object,
    spec::{self, Spec},
};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    json::{Member, Node},
    path::file_name,
    text,
};
use crate::model::scan_result::{Scope, Source};
use std::collections::HashSet;

/// Reads `package.json`.
#[derive(Debug)]
pub(in crate::ecosystem) struct PackageJson;

impl Parser for PackageJson {
    fn name(&self) -> &'static str {
        "package-json"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "package.json"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        read_object(file, Source::Manifest, |root, found| {
            describe(root, found);
            walk(root, found);
            // Bun's catalogs: in `workspaces` or beside it.
            let mut catalogs = Catalogs::new(file.path, Origin::Manifest);
            for of in root.get("workspaces").into_iter().chain([root]) {
                catalogs.read_json(of, found);
            }
            catalogs.keep(found);
        })
    }
}

fn describe(root: &Node<'_>, found: &mut Collector<'_>) {
    // A list, or, with Yarn 1, an object with the list.
    let members = root.elements("workspaces").chain(
        root.get("workspaces").into_iter().flat_map(|workspaces| workspaces.elements("packages")),
    );
    found.describe(root.text("name"), members.filter_map(Node::as_str));
}

fn walk(root: &Node<'_>, found: &mut Collector<'_>) {
    const TABLES: [(&str, Scope); 4] = [
        ("dependencies", Scope::Runtime),
        ("devDependencies", Scope::Dev),
        ("optionalDependencies", Scope::Optional),
        ("peerDependencies", Scope::Peer),
    ];
    // "Entries in optionalDependencies will override entries of the same name in
    // dependencies."
    let overriding: HashSet<&str> =
        entries(root, "optionalDependencies").iter().map(|entry| entry.key.as_ref()).collect();
    let optional_peers: HashSet<&str> = entries(root, "peerDependenciesMeta")
        .iter()
        .filter(|entry| entry.value.is_true("optional"))
        .map(|entry| entry.key.as_ref())
        .collect();
    for (table, scope) in TABLES {
        if let Some(node) = root.get(table).filter(|table| table.members().is_none()) {
            let message = format!("{table}: expected an object, got {}", node.kind());
            found.warn(node.line, message);
        }
        for entry in entries(root, table) {
            let key = entry.key.as_ref();
            match scope {
                Scope::Runtime if overriding.contains(key) => {}
                Scope::Peer if optional_peers.contains(key) => {
                    read_entry(entry, Scope::Optional, found);
                }
                _ => read_entry(entry, scope, found),
            }
        }
    }
}

fn entries<'a, 'r>(root: &'r Node<'a>, table: &str) -> &'r [Member<'a>] {
    root.get(table).and_then(Node::members).unwrap_or_default()
}

fn read_entry(entry: &Member<'_>, scope: Scope, found: &mut Collector<'_>) {
    let Some(wanted) = entry.value.as_str() else {
        let name = text::excerpt(&entry.key);
        let message = format!("`{name}`: expected a string, got {}", entry.value.kind());
        return found.warn(entry.line, message);
    };
    if let Spec::Package { alias_of, version, specifier } = spec::read(&entry.key, wanted) {
        found.add(Declared {
            name: alias_of.unwrap_or(&entry.key),
            version,
            specifier,
            line: entry.line,
            direct: Some(true),
            scope: Some(scope),
        });
    }
}
