//! `vcpkg.json`, by "vcpkg.json Reference" of vcpkg's documentation.
//!
//! Input: a manifest. Output: its dependencies, and those of its features, which are optional; dependencies on
//! the host have the scope `build`. Invariants: an override determines the version; a dependency on features
//! of the project itself is not a package.

use super::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    json::{self, Node, Value},
    path::file_name,
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::collections::HashMap;

/// Reads `vcpkg.json`.
#[derive(Debug)]
pub(super) struct VcpkgManifest;

impl Parser for VcpkgManifest {
    fn name(&self) -> &'static str {
        "vcpkg"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "vcpkg.json"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Vcpkg, Source::Manifest).merging();
        json::read(file.bytes, found, walk)
    }
}

fn walk(root: &Node<'_>, found: &mut Collector<'_>) {
    let overrides: HashMap<&str, &str> = root
        .elements("overrides")
        .filter_map(|entry| Some((entry.text("name")?, version_of(entry)?)))
        .collect();
    let mut reader = Reader { own: root.text("name"), overrides, found };
    reader.list(root, Scope::Runtime);
    match root.get("features").map(|features| &features.value) {
        Some(Value::Object(features)) => {
            for feature in features {
                reader.list(&feature.value, Scope::Optional);
            }
        }
        // The form before 2021.
        Some(Value::Array(features)) => {
            for feature in features {
                reader.list(feature, Scope::Optional);
            }
        }
        _ => {}
    }
}

fn version_of<'t>(entry: &'t Node<'_>) -> Option<&'t str> {
    let keys = ["version", "version-semver", "version-date", "version-string"];
    let version = keys.iter().find_map(|key| entry.text(key))?;
    // The port version follows `#`.
    Some(version.split('#').next().unwrap_or(version))
}

struct Reader<'r, 'f, 'c> {
    own: Option<&'r str>,
    overrides: HashMap<&'r str, &'r str>,
    found: &'c mut Collector<'f>,
}

impl Reader<'_, '_, '_> {
    fn list(&mut self, owner: &Node<'_>, scope: Scope) {
        let Some(list) = owner.get("dependencies") else { return };
        if !matches!(list.value, Value::Array(_)) {
            let message = format!("dependencies: expected an array, got {}", list.kind());
            return self.found.warn(list.line, message);
        }
        for entry in owner.elements("dependencies") {
            self.dependency(entry, scope);
        }
    }

    fn dependency(&mut self, entry: &Node<'_>, scope: Scope) {
        let Some(name) = entry.as_str().or_else(|| entry.text("name")) else {
            return self.found.warn(entry.line, "a dependency without a name");
        };
        let name = name.split('[').next().unwrap_or(name);
        if self.own == Some(name) {
            return;
        }
        let usable = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !name.bytes().all(usable) {
            let message = format!("`{}` is not a valid package name", text::excerpt(name));
            return self.found.warn(entry.line, message);
        }
        let least = entry.text("version>=").map(|version| format!(">={version}"));
        self.found.add(Declared {
            name,
            version: self.overrides.get(name).copied(),
            specifier: least.as_deref(),
            line: entry.line,
            direct: Some(true),
            scope: Some(if entry.is_true("host") { Scope::Build } else { scope }),
        });
    }
}
