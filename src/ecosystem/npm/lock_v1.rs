//! The `dependencies` of a lock of lockfileVersion 1: packages within packages.
//!
//! What flows in: the outermost `dependencies` object. What flows out: each package in it at any
//! depth. What must stay true: the recursion is as deep as the tree, which the reader bounds.

use super::{
    lock::scope,
    spec::{self, Spec},
};
use crate::ecosystem::{
    collect::{Collector, Declared},
    git_reference,
    json::{Member, Node},
    text,
};

/// Reads all packages below `dependencies`.
///
/// This version does not say what the project itself asks for. Only a package at the top can be
/// that, so for those it stays open until the manifest is at hand; all others are not direct.
pub(super) fn read(dependencies: &Node<'_>, found: &mut Collector<'_>) {
    read_level(dependencies, None, found);
}

fn read_level(dependencies: &Node<'_>, direct: Option<bool>, found: &mut Collector<'_>) {
    let Some(entries) = dependencies.members() else {
        let message = format!("dependencies: expected an object, got {}", dependencies.kind());
        return found.warn(dependencies.line, message);
    };
    for entry in entries {
        if entry.value.members().is_none() {
            let message = format!(
                "`{}`: expected an object, got {}",
                text::excerpt(&entry.key),
                entry.value.kind()
            );
            found.warn(entry.line, message);
            continue;
        }
        read_entry(entry, direct, found);
        if let Some(nested) = entry.value.get("dependencies") {
            read_level(nested, Some(false), found);
        }
    }
}

fn read_entry(entry: &Member<'_>, direct: Option<bool>, found: &mut Collector<'_>) {
    let mut declared = Declared {
        name: &entry.key,
        line: entry.line,
        direct,
        scope: Some(scope(&entry.value)),
        ..Declared::default()
    };
    let Some(stated) = entry.value.text("version") else {
        found.warn(entry.line, format!("`{}` has no version", text::excerpt(&entry.key)));
        return found.add(declared);
    };
    // The place of a version also takes where the package came from, in place of a version.
    if let Some(path) = stated.strip_prefix("file:") {
        declared.version = spec::version_of_tarball(path, &entry.key);
        // A folder is part of the repository; an archive holds a package.
        if declared.version.is_some() {
            found.add(declared);
        }
        return;
    }
    if stated.contains(':') || stated.contains('/') {
        let Spec::Package { alias_of, version, specifier } = spec::read(&entry.key, stated) else {
            return;
        };
        declared.name = alias_of.unwrap_or(&entry.key);
        declared.version =
            version.or_else(|| stated.split_once('#').and_then(|it| git_reference::commit(it.1)));
        declared.specifier = specifier.filter(|_| declared.version.is_none());
    } else {
        declared.version = Some(stated);
    }
    found.add(declared);
}
