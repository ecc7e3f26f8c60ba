//! `Podfile.lock`, as `Lockfile` of `CocoaPods` writes it.
//!
//! Input: `PODS`, `DEPENDENCIES` and `EXTERNAL SOURCES`. Output: one package for each pod and each
//! subspec (the subpath of the purl, by cocoapods-definition); which of them are direct, and the
//! dependencies between them.
//!
//! Decisions. A pod with a path is part of the repository, unless another package manager has installed
//! it there: below `node_modules` (React Native) or `.symlinks` and `Flutter` (Flutter) it is external. A
//! `:podspec` only states where to get a pod.
//!
//! Invariants: the version is the one in `PODS`, wherever the pod comes from.

mod podfile;

pub(super) use podfile::Podfile;

use super::{
    Findings, Parser, SourceFile,
    collect::{Added, Collector, Declared},
    path::file_name,
    text,
    yaml::{self, Node, Seen, Tree},
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};
use std::collections::{HashMap, HashSet};

/// Reads `Podfile.lock`.
#[derive(Debug)]
pub(super) struct PodfileLock;

impl Parser for PodfileLock {
    fn name(&self) -> &'static str {
        "podfile-lock"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "Podfile.lock"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::CocoaPods, Source::Lockfile);
        yaml::read(file.bytes, found, walk)
    }
}

fn walk(tree: &Tree<'_>, found: &mut Collector<'_>) {
    let Some(root) = tree.root() else { return };
    let dependencies = root.get("DEPENDENCIES");
    let mut seen = Seen::default();
    let direct: Option<HashSet<&str>> =
        dependencies.map(|list| strings(list, &mut seen).map(|pod| read_pod(pod).0).collect());
    let sources = root.get("EXTERNAL SOURCES").into_iter().flat_map(Node::members);
    let own: HashSet<&str> =
        sources.filter(|source| is_own(source.value)).map(|source| source.key).collect();
    let mut added: HashMap<&str, Added> = HashMap::new();
    let mut requiring = Vec::new();
    for pod in root.get("PODS").into_iter().flat_map(Node::elements) {
        if !seen.is_new(Role::Pod, pod) {
            continue;
        }
        // A pod with dependencies is a mapping from the pod to a list of them.
        let member = pod.members().next();
        let Some(text) = member.map(|member| member.key).or_else(|| pod.as_str()) else {
            found.warn(pod.line, "a pod without a name");
            continue;
        };
        let (name, version) = read_pod(text);
        if own.contains(name.split('/').next().unwrap_or(name)) {
            continue;
        }
        if version.is_none() {
            found.warn(pod.line, format!("`{}` has no version", text::excerpt(text)));
        }
        let direct = direct.as_ref().map(|direct| direct.contains(name));
        let declared = Declared { name, version, line: pod.line, direct, ..Declared::default() };
        let Some(taken) = found.take(Ecosystem::CocoaPods, declared) else { continue };
        added.insert(name, taken);
        requiring.extend(member.map(|member| (taken, member.value)));
    }
    for (pod, required) in requiring {
        // A malicious file may give one list to many pods by an alias; it is read once.
        if !seen.is_new(Role::Required, required) {
            continue;
        }
        for required in required.elements().filter_map(Node::as_str) {
            if let Some(required) = added.get(read_pod(required).0) {
                found.requires(pod, *required);
            }
        }
    }
}

/// The role in which a node is read.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Role {
    Dependency,
    Pod,
    Required,
}

/// The strings of a list, each node once.
fn strings<'t>(list: Node<'t, '_>, seen: &mut Seen<Role>) -> impl Iterator<Item = &'t str> {
    let elements = list.elements().filter(|node| seen.is_new(Role::Dependency, *node));
    elements.filter_map(Node::as_str)
}

/// `Name/Subspec (1.0)`
fn read_pod(text: &str) -> (&str, Option<&str>) {
    match text.split_once(" (") {
        Some((name, version)) => (name.trim(), Some(version.trim_end_matches(')').trim())),
        None => (text.trim(), None),
    }
}

/// Whether a pod is part of the repository.
fn is_own(source: Node<'_, '_>) -> bool {
    source.text(":path").is_some_and(is_own_path)
}

fn is_own_path(path: &str) -> bool {
    let installed = ["node_modules", ".symlinks", "Flutter"];
    !path.split('/').any(|part| installed.contains(&part)) && !path.contains("://")
}
