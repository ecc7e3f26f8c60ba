//! PHP: `composer.lock`, `composer.json` and `vendor/composer/installed.json`.
//!
//! Input: lock files of Composer 1 and 2, and manifests. Output: packages named `vendor/name`. Invariants:
//! platform packages (`php`, `ext-json`) and packages of `path` repositories are not packages.

mod installed;
mod lock;
mod manifest;

pub(super) use installed::InstalledJson;
pub(super) use lock::ComposerLock;
pub(super) use manifest::ComposerJson;

use super::{
    collect::{Added, Collector, Declared},
    json::{Member, Node},
    text,
};
use crate::model::{ecosystem::Ecosystem, license, scan_result::Scope};
use std::collections::HashMap;

/// Adds the locked or installed packages, then their dependencies.
fn add_all<'a>(packages: impl Iterator<Item = (&'a Node<'a>, Scope)>, found: &mut Collector<'_>) {
    let mut by_name: HashMap<String, Added> = HashMap::new();
    let mut replaced: HashMap<String, Added> = HashMap::new();
    let mut taken = Vec::new();
    for (node, scope) in packages {
        let Some((name, added)) = take(node, scope, found) else { continue };
        by_name.entry(name.to_lowercase()).or_insert(added);
        for name in names(node, "replace").chain(names(node, "provide")) {
            replaced.entry(name.to_lowercase()).or_insert(added);
        }
        taken.push((node, added));
    }
    for (node, added) in taken {
        for name in names(node, "require").map(str::to_lowercase) {
            if let Some(required) = by_name.get(&name).or_else(|| replaced.get(&name)) {
                found.requires(added, *required);
            }
        }
    }
}

fn take<'a>(
    node: &'a Node<'_>,
    scope: Scope,
    found: &mut Collector<'_>,
) -> Option<(&'a str, Added)> {
    if node.members().is_none() {
        found.warn(node.line, format!("expected an object, got {}", node.kind()));
        return None;
    }
    let Some(name) = node.text("name") else {
        found.warn(node.line, "a package without a name");
        return None;
    };
    let address = |key: &str, field: &str| node.get(key).and_then(|source| source.text(field));
    if ["dist", "source"].iter().any(|key| address(key, "type") == Some("path")) {
        return None;
    }
    let version = node.text("version").or_else(|| address("source", "reference"));
    if version.is_none() {
        found.warn(node.line, format!("`{}` has no version", text::excerpt(name)));
    }
    let (line, scope) = (line_of_name(node), Some(scope));
    let declared = Declared { name, version, line, scope, ..Declared::default() };
    let added = found.take(Ecosystem::Composer, declared)?;
    found.hash(Some(added), address("dist", "shasum").unwrap_or_default());
    state_licenses(added, node, found);
    Some((name, added))
}

/// Records the license, or the choice of licenses ("license" in "The composer.json schema").
fn state_licenses(added: Added, node: &Node<'_>, found: &mut Collector<'_>) {
    let listed = node.elements("license").filter_map(Node::as_str);
    let all: Vec<&str> = node.text("license").into_iter().chain(listed).collect();
    match license::any_of(all.iter().copied()) {
        Some(choice) => found.license(Some(added), &choice),
        None => all.iter().for_each(|license| found.license(Some(added), license)),
    }
}

/// The line of the entry's name, because its brace is on a line of its own.
fn line_of_name(node: &Node<'_>) -> u32 {
    let name = node.members().unwrap_or_default().iter().find(|member| member.key == "name");
    name.map_or(node.line, |name| name.line)
}

/// The names in one table of a package, without platform packages.
fn names<'a>(node: &'a Node<'_>, key: &str) -> impl Iterator<Item = &'a str> {
    let members: &[Member<'_>] =
        node.get(key).and_then(|requirements| requirements.members()).unwrap_or_default();
    members.iter().map(|member| member.key.as_ref()).filter(|name| !is_platform(name))
}

/// "Platform packages": PHP itself, its extensions, libraries, and Composer's own interfaces.
fn is_platform(name: &str) -> bool {
    !name.contains('/')
}
