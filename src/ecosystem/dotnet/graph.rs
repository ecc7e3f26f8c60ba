//! Adds the packages of a file that lists them for each target framework.
//!
//! Input: the packages of each framework. Output: each pair of name and version once, direct if it is direct
//! in any framework, and the dependencies between them. Invariants: `NuGet` ignores the case of names; a
//! dependency refers to a package of its own framework.

use crate::ecosystem::collect::{Added, Collector, Declared};
use crate::model::ecosystem::Ecosystem;
use std::collections::HashMap;

/// A package of one framework.
pub(super) struct Node<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    pub(super) line: u32,
    pub(super) direct: Option<bool>,
    /// The names of its dependencies.
    pub(super) requires: Vec<&'a str>,
    /// A project of the solution: it has dependencies, but is not a package.
    pub(super) is_project: bool,
    /// The SHA-512 of the package without its signature, in base64.
    pub(super) digest: Option<&'a str>,
}

/// Adds the packages of all frameworks.
pub(super) fn add(frameworks: &[Vec<Node<'_>>], found: &mut Collector<'_>) {
    let mut direct: HashMap<(String, &str), Option<bool>> = HashMap::new();
    for node in frameworks.iter().flatten() {
        let known = direct.entry(key(node)).or_default();
        *known = match (*known, node.direct) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (known, stated) => known.or(stated),
        };
    }
    let mut added: HashMap<(String, &str), Option<Added>> = HashMap::new();
    for node in frameworks.iter().flatten().filter(|node| !node.is_project) {
        let key = key(node);
        let direct = direct.get(&key).copied().flatten();
        let Node { name, version, line, .. } = *node;
        let declared =
            Declared { name, version: Some(version), line, direct, ..Declared::default() };
        added.entry(key).or_insert_with(|| {
            let added = found.take(Ecosystem::NuGet, declared);
            if let Some(digest) = node.digest {
                found.hash(added, &format!("sha512-{digest}"));
            }
            added
        });
    }
    for nodes in frameworks {
        let by_name: HashMap<String, Added> = nodes
            .iter()
            .filter_map(|node| {
                Some((node.name.to_ascii_lowercase(), added.get(&key(node)).copied()??))
            })
            .collect();
        for node in nodes {
            let Some(own) = added.get(&key(node)).copied().flatten() else { continue };
            for required in &node.requires {
                if let Some(required) = by_name.get(&required.to_ascii_lowercase()) {
                    found.requires(own, *required);
                }
            }
        }
    }
}

fn key<'a>(node: &Node<'a>) -> (String, &'a str) {
    (node.name.to_ascii_lowercase(), node.version)
}
