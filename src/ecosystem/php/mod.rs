//! PHP: `composer.lock`, `composer.json` and `vendor/composer/installed.json`.
//!
//! What flows in: what Composer 1 and 2 write, and the manifest that people write. What flows out:
//! packages by `vendor/name`. What must stay true: the platform (`php`, `ext-json`), and what a
//! repository of type `path` provides, are no packages.

mod installed;
mod lock;
mod manifest;

pub(super) use installed::InstalledJson;
pub(super) use lock::ComposerLock;
pub(super) use manifest::ComposerJson;

use super::{
    collect::{Added, Collector, Declared},
    json::{Member, Node},
    purl::Ecosystem,
    text,
};
use crate::model::scan_result::Scope;
use std::collections::HashMap;

/// Adds the packages of a lock or of what is installed, then what each requires.
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
    let address = |key: &str, field: &str| node.get(key).and_then(|it| it.text(field));
    if ["dist", "source"].iter().any(|it| address(it, "type") == Some("path")) {
        return None;
    }
    let version = node.text("version").or_else(|| address("source", "reference"));
    if version.is_none() {
        found.warn(node.line, format!("`{}` has no version", text::excerpt(name)));
    }
    let (line, scope) = (line_of_name(node), Some(scope));
    let declared = Declared { name, version, line, scope, ..Declared::default() };
    Some((name, found.take(Ecosystem::Composer, declared)?))
}

/// The line that a person looks for: the brace of an entry stands alone on its own.
fn line_of_name(node: &Node<'_>) -> u32 {
    let name = node.members().unwrap_or_default().iter().find(|it| it.key == "name");
    name.map_or(node.line, |it| it.line)
}

/// The names of what one table of a package lists, without those of the platform.
fn names<'a>(node: &'a Node<'_>, key: &str) -> impl Iterator<Item = &'a str> {
    let members: &[Member<'_>] = node.get(key).and_then(|it| it.members()).unwrap_or_default();
    members.iter().map(|it| it.key.as_ref()).filter(|it| !is_platform(it))
}

/// "Platform packages": PHP itself, its extensions, libraries, and Composer's own interfaces.
fn is_platform(name: &str) -> bool {
    !name.contains('/')
}
