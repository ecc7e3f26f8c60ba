//! `conda-lock.yml` of version 1, by "The unified lockfile" of conda-lock's documentation and what it writes.
//!
//! Input: the entries of `package`, one for each platform. Output: each conda package and each package that
//! pip installs once, with the dependencies between them. Invariants: the file does not state what is direct.

use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Added, Collector, Declared},
    path::file_name,
    purl::python_name,
    python::group_scope,
    text,
    yaml::{self, Node, Seen, Tree},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::collections::HashMap;

/// The role in which a node is read.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Role {
    Entry,
    Dependencies,
}

/// Reads `conda-lock.yml`.
#[derive(Debug)]
pub(in crate::ecosystem) struct CondaLock;

impl Parser for CondaLock {
    fn name(&self) -> &'static str {
        "conda-lock"
    }

    fn wants(&self, path: &str) -> bool {
        let file = file_name(path);
        // `NAME.conda-lock.yml`, where a folder has several.
        ["conda-lock.yml", "conda-lock.yaml"].iter().any(|end| {
            file.strip_suffix(end).is_some_and(|name| name.is_empty() || name.ends_with(['.', '-']))
        })
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Conda, Source::Lockfile).merging();
        yaml::read(file.bytes, found, |tree: &Tree<'_>, found| {
            let Some(root) = tree.root() else { return };
            if let Some(version) = root.get("version").filter(|node| node.as_str() != Some("1")) {
                found.warn(
                    version.line,
                    "unknown version of the lock file; parsed as far as possible",
                );
            }
            if let Some(entries) = root.get("package") {
                list(entries, found);
            }
        })
    }
}

/// Adds the entries of `package`, which the first versions of `pixi.lock` have too.
pub(super) fn list(entries: Node<'_, '_>, found: &mut Collector<'_>) {
    let mut seen = Seen::default();
    let mut known: HashMap<(&str, String), Added> = HashMap::new();
    let mut requiring = Vec::new();
    for entry in entries.elements() {
        if !seen.is_new(Role::Entry, entry) {
            continue;
        }
        let Some(name) = entry.text("name") else {
            found.warn(entry.line, "a package without a name");
            continue;
        };
        let is_pip = entry.text("manager") == Some("pip");
        let ecosystem = if is_pip { Ecosystem::PyPi } else { Ecosystem::Conda };
        let version = entry.text("version");
        if version.is_none() {
            found.warn(entry.line, format!("`{}` has no version", text::excerpt(name)));
        }
        let (line, scope) = (entry.line, scope_of(entry));
        let declared = Declared { name, version, line, scope, ..Declared::default() };
        let Some(added) = found.take(ecosystem, declared) else { continue };
        let hashes = entry.get("hash").filter(|node| seen.is_new(Role::Entry, *node));
        super::state(found, added, |name| hashes?.text(name));
        let platform = entry.text("platform").unwrap_or_default();
        known.insert((platform, key(name, is_pip)), added);
        let dependencies = entry.get("dependencies");
        if let Some(names) = dependencies.filter(|node| seen.is_new(Role::Dependencies, *node)) {
            requiring.push((added, platform, is_pip, names));
        }
    }
    for (package, platform, is_pip, names) in requiring {
        let keys = names.members().map(|member| member.key);
        let listed = names.elements().filter_map(Node::as_str);
        for name in keys.chain(listed.filter_map(|spec| spec.split_whitespace().next())) {
            // A package that pip installs may require one that conda has installed.
            let places = [key(name, is_pip), key(name, false)];
            let required = places.into_iter().find_map(|name| known.get(&(platform, name)));
            if let Some(required) = required {
                found.requires(package, *required);
            }
        }
    }
}

fn key(name: &str, is_pip: bool) -> String {
    if is_pip { python_name(name) } else { name.to_lowercase() }
}

/// The scope of a category: `main`, `dev`, or the name of a set of optional packages.
fn scope_of(entry: Node<'_, '_>) -> Option<Scope> {
    let category = entry.text("category")?;
    let named = group_scope(category);
    let is_set = named == Scope::Dev && category != "dev" && entry.is_true("optional");
    Some(if is_set { Scope::Optional } else { named })
}
