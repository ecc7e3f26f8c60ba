//! `stack.yaml` and `stack.yaml.lock`, by "Project-level configuration" and "Lock files" of Stack's
//! documentation.
//!
//! Input: `extra-deps` or `packages`. Output: packages of Hackage with their version, and packages of
//! repositories with the version of the lock file, else with the commit; of `stack.yaml` also the workspace.
//! Invariants: a folder is part of the project; a snapshot (`lts-20.1`) is not a package.

use super::constraint::is_version;
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    by_content::KubernetesManifest,
    collect::{Collector, Declared},
    git_reference,
    path::file_name,
    swift, text,
    yaml::{self, Node, Seen, Tree},
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};

/// The role in which a node is read.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Role {
    Entry,
    Folders,
    Folder,
}

/// Reads `stack.yaml`.
#[derive(Debug)]
pub(in crate::ecosystem) struct StackYaml;

impl Parser for StackYaml {
    fn name(&self) -> &'static str {
        "stack"
    }

    fn wants(&self, path: &str) -> bool {
        let name = file_name(path);
        name.starts_with("stack") && (name.ends_with(".yaml") || name.ends_with(".yml"))
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        if !is_of_stack(&text::decode(file.bytes)) {
            return KubernetesManifest.parse(file);
        }
        let found = Collector::new(file, Ecosystem::Hackage, Source::Manifest);
        yaml::read(file.bytes, found, |tree: &Tree<'_>, found| {
            let members = tree.root().and_then(|root| root.get("packages"));
            let members = members.into_iter().flat_map(Node::elements);
            found.describe(None, members.filter_map(Node::as_str));
            let extra = tree.root().and_then(|root| root.get("extra-deps"));
            // Aliases may name one entry, or its folders, on every line.
            let mut seen = Seen::default();
            for entry in extra.into_iter().flat_map(Node::elements) {
                if seen.is_new(Role::Entry, entry) {
                    extra_dependency(entry, &mut seen, found);
                }
            }
        })
    }
}

/// Whether a file has a key of Stack: stacks of Docker Swarm have similar names.
fn is_of_stack(text: &str) -> bool {
    const KEYS: [&str; 5] = ["resolver:", "snapshot:", "packages:", "extra-deps:", "flags:"];
    let mut lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines.clone().any(|line| KEYS.iter().any(|key| line.starts_with(key))) || lines.next().is_none()
}

/// Reads `stack.yaml.lock`.
#[derive(Debug)]
pub(in crate::ecosystem) struct StackLock;

impl Parser for StackLock {
    fn name(&self) -> &'static str {
        "stack-lock"
    }

    fn wants(&self, path: &str) -> bool {
        let name = file_name(path);
        name.starts_with("stack") && name.ends_with(".yaml.lock")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Hackage, Source::Lockfile);
        yaml::read(file.bytes, found, |tree: &Tree<'_>, found| {
            let packages = tree.root().and_then(|root| root.get("packages"));
            let mut seen = Seen::default();
            for entry in packages.into_iter().flat_map(Node::elements) {
                if !seen.is_new(Role::Entry, entry) {
                    continue;
                }
                locked(entry, found);
            }
        })
    }
}

/// Parses `name-1.2.3@sha256:…,1234`, where everything but the name is optional.
fn identifier(text: &str) -> (&str, Option<&str>) {
    let text = text.split(['@', ' ']).next().unwrap_or(text);
    match text.rsplit_once('-').filter(|(_, version)| is_version(version)) {
        Some((name, version)) => (name, Some(version)),
        None => (text, None),
    }
}

fn locked(entry: Node<'_, '_>, found: &mut Collector<'_>) {
    let line = entry.line;
    let Some(completed) = entry.get("completed").or_else(|| entry.get("original")) else {
        return found.warn(line, "neither `completed` nor `original`");
    };
    if let Some(text) = completed.text("hackage") {
        let (name, version) = identifier(text);
        if version.is_none() {
            found.warn(line, format!("`{}` has no version", text::excerpt(name)));
        }
        return found.add(Declared { name, version, line, ..Declared::default() });
    }
    let version = completed.text("version").or_else(|| completed.text("commit"));
    match completed.text("name") {
        Some(name) => found.add(Declared { name, version, line, ..Declared::default() }),
        None => found.warn(line, "a package without a name"),
    }
}

/// Adds the package of an archive, if the file name identifies it as Cabal names archives:
/// `name-1.2.3.tar.gz`. Otherwise only the archive's contents would identify the package.
fn archive(address: &str, declared: Declared<'_>, found: &mut Collector<'_>) {
    let path = address.split(['?', '#']).next().unwrap_or(address);
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = [".tar.gz", ".tgz", ".zip"].iter().find_map(|suffix| file.strip_suffix(suffix));
    match stem.map(identifier) {
        Some((name, Some(version))) if !name.is_empty() => {
            found.add(Declared { name, version: Some(version), ..declared });
        }
        _ => found.warn(declared.line, "an archive whose name does not identify a package"),
    }
}

fn extra_dependency(entry: Node<'_, '_>, seen: &mut Seen<Role>, found: &mut Collector<'_>) {
    let line = entry.line;
    let declared = Declared { line, direct: Some(true), ..Declared::default() };
    if let Some(text) = entry.as_str() {
        if text.contains("://") {
            return archive(text, declared, found);
        }
        let is_folder = text.starts_with('.') || text.contains('/') && !text.contains('@');
        if is_folder || text.is_empty() {
            return;
        }
        let (name, version) = identifier(text);
        return found.add(Declared { name, version, ..declared });
    }
    let address = ["git", "github", "hg"].iter().find_map(|key| entry.text(key));
    let Some(address) = address else {
        if let Some(address) = ["archive", "url"].iter().find_map(|key| entry.text(key)) {
            return archive(address, declared, found);
        }
        return found.warn(line, "expected a package, a repository or an archive");
    };
    let reference = entry.text("commit");
    let version = reference.and_then(git_reference::commit);
    let specifier = if version.is_none() { reference } else { None };
    let repository = swift::repository_name(address);
    let repository = repository.as_deref().unwrap_or(address);
    // Each folder is a package, usually with the folder's name.
    let listed = entry.get("subdirs");
    let mut add = |path: &str| {
        let name = path.trim_matches('/').rsplit('/').next().unwrap_or(path);
        found.add(Declared { name, version, specifier, ..declared });
    };
    let mut has_folders = listed.is_some_and(|list| !seen.is_new(Role::Folders, list));
    for folder in listed.filter(|_| !has_folders).into_iter().flat_map(Node::elements) {
        if !seen.is_new(Role::Folder, folder) {
            has_folders = true;
        } else if let Some(path) = folder.as_str().filter(|path| *path != ".") {
            has_folders = true;
            add(path);
        }
    }
    if !has_folders {
        add(repository);
    }
}
