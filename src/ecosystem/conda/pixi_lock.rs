//! `pixi.lock` of version 1 to 7, by "The lock file" of pixi's documentation and what rattler writes.
//!
//! Input: the entries of `packages`. Output: each conda package and each `PyPI` package once, with the
//! dependencies between them.
//!
//! Decisions. Versions 4 and 5 name the kind, name and version of a package; since version 6 the address of a
//! conda package states them. The first versions have the entries of conda-lock.
//!
//! Invariants: a package from a folder is part of the repository; the file does not state what is direct.

use super::{lock, spec::Spec};
use crate::ecosystem::{
    Findings, Pairing, Parser, SourceFile,
    collect::{Added, Collector, Declared},
    git_reference,
    path::file_name,
    purl::python_name,
    python::{self, PYPROJECT},
    text,
    yaml::{self, Node, Seen, Tree},
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};
use std::collections::HashMap;

const NEWEST_VERSION: u32 = 7;

/// Builds of one name that a dependency may refer to; this bounds the work.
const MAX_BUILDS: usize = 8;

/// The role in which a node is read.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Role {
    Entry,
    Dependencies,
}

/// Reads `pixi.lock`.
#[derive(Debug)]
pub(in crate::ecosystem) struct PixiLock;

impl Parser for PixiLock {
    fn name(&self) -> &'static str {
        "pixi-lock"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "pixi.lock"
    }

    fn pairing<'p>(&self, path: &'p str) -> Pairing<'p> {
        Pairing::of(path).with(PYPROJECT)
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Conda, Source::Lockfile).merging();
        yaml::read(file.bytes, found, |tree: &Tree<'_>, found| {
            let Some(root) = tree.root() else { return };
            let version = root.get("version");
            let number = version.and_then(Node::as_str).and_then(|text| text.parse::<u32>().ok());
            if let Some(version) = version
                && number.is_none_or(|number| number > NEWEST_VERSION)
            {
                found.warn(
                    version.line,
                    "unknown version of the lock file; parsed as far as possible",
                );
            }
            if let Some(entries) = root.get("package") {
                lock::list(entries, found);
            }
            if let Some(entries) = root.get("packages") {
                list(entries, found);
            }
        })
    }
}

/// The package of an entry.
struct Record<'t> {
    ecosystem: Ecosystem,
    name: &'t str,
    version: Option<&'t str>,
}

fn list(entries: Node<'_, '_>, found: &mut Collector<'_>) {
    let mut seen = Seen::default();
    let mut known: HashMap<(Ecosystem, String), Vec<Added>> = HashMap::new();
    let mut requiring = Vec::new();
    for entry in entries.elements() {
        if !seen.is_new(Role::Entry, entry) {
            continue;
        }
        let Some(Record { ecosystem, name, version }) = record(entry, found) else { continue };
        if version.is_none() {
            found.warn(entry.line, format!("`{}` has no version", text::excerpt(name)));
        }
        let declared = Declared { name, version, line: entry.line, ..Declared::default() };
        let Some(added) = found.take(ecosystem, declared) else { continue };
        super::state(found, added, |name| entry.text(name));
        let builds = known.entry((ecosystem, key(ecosystem, name))).or_default();
        if builds.len() < MAX_BUILDS {
            builds.push(added);
        }
        let names = if ecosystem == Ecosystem::PyPi { "requires_dist" } else { "depends" };
        let names = entry.get(names).filter(|node| seen.is_new(Role::Dependencies, *node));
        requiring.extend(names.map(|names| (added, ecosystem, names)));
    }
    for (package, ecosystem, names) in requiring {
        for requirement in names.elements().filter_map(Node::as_str) {
            let name = match ecosystem {
                Ecosystem::PyPi => python::required_name(requirement),
                _ => requirement.split_whitespace().next(),
            };
            let builds = name.and_then(|name| known.get(&(ecosystem, key(ecosystem, name))));
            for required in builds.into_iter().flatten() {
                found.requires(package, *required);
            }
        }
    }
}

fn key(ecosystem: Ecosystem, name: &str) -> String {
    if ecosystem == Ecosystem::PyPi { python_name(name) } else { name.to_lowercase() }
}

/// The package of an entry; none for a folder, and, with a warning, for a malformed entry.
fn record<'t>(entry: Node<'t, '_>, found: &mut Collector<'_>) -> Option<Record<'t>> {
    if let Some(source) = entry.text("conda_source") {
        return source_record(source, entry, found);
    }
    let of_kind = || entry.text("url").or_else(|| entry.text("path"));
    let (ecosystem, address) = match (entry.text("conda"), entry.text("pypi"), entry.text("kind")) {
        (Some(address), ..) => (Ecosystem::Conda, Some(address)),
        (_, Some(address), _) => (Ecosystem::PyPi, Some(address)),
        (.., Some("conda")) => (Ecosystem::Conda, of_kind()),
        (.., Some("pypi")) => (Ecosystem::PyPi, of_kind()),
        _ => {
            found.warn(entry.line, "an entry that is neither a conda package nor a PyPI package");
            return None;
        }
    };
    let of_address = address.and_then(|address| match ecosystem {
        Ecosystem::PyPi => {
            python::name_and_version(address).map(|(name, version)| (name, Some(version)))
        }
        _ => Spec::of_archive(address).map(|spec| (spec.name, spec.version)),
    });
    let is_archive = |address: &str| match ecosystem {
        Ecosystem::PyPi => python::is_archive(address),
        _ => of_address.is_some(),
    };
    if address.is_some_and(|address| !address.contains("://") && !is_archive(address)) {
        return None;
    }
    let Some(name) = entry.text("name").or(of_address.map(|(name, _)| name)) else {
        let address = text::excerpt(address.unwrap_or_default());
        found.warn(entry.line, format!("`{address}` contains no name and version of a package"));
        return None;
    };
    let commit = || git_reference::commit(address?.rsplit_once('#')?.1);
    let of_address = of_address.and_then(|(_, version)| version);
    let version = entry.text("version").or(of_address).or_else(commit);
    Some(Record { ecosystem, name, version })
}

/// `name[hash] @ git+https://…#commit`, a package that is built from its source.
fn source_record<'t>(
    source: &'t str,
    entry: Node<'t, '_>,
    found: &mut Collector<'_>,
) -> Option<Record<'t>> {
    let Some((name, address)) = source.split_once(" @ ") else {
        found.warn(entry.line, format!("`{}` has no address", text::excerpt(source)));
        return None;
    };
    if !address.contains("://") {
        return None;
    }
    let name = name.split('[').next().unwrap_or(name);
    let commit = || git_reference::commit(address.rsplit_once('#')?.1);
    let version = entry.text("version").or_else(commit);
    Some(Record { ecosystem: Ecosystem::Conda, name, version })
}
