//! `pixi.toml`, and `[tool.pixi]` of `pyproject.toml`, by "Pixi Manifest" of pixi's documentation.
//!
//! Input: the dependency tables of the workspace, of its features and platforms, and of its package. Output:
//! conda packages and `PyPI` packages. Decisions: a version without an operator is exact, as in pixi.
//!
//! Invariants: a package from a path is part of the repository.

use super::{PYPROJECT, group_scope, requirements};
use crate::ecosystem::{
    Findings, Pairing, Parser, SourceFile,
    collect::{Collector, Declared, MAX_NAME},
    path::file_name,
    text,
    toml::{self, Document},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use ::toml::de::{DeTable, DeValue};

/// The tables of conda packages.
const CONDA: [(&str, Scope); 4] = [
    ("dependencies", Scope::Runtime),
    ("run-dependencies", Scope::Runtime),
    ("host-dependencies", Scope::Build),
    ("build-dependencies", Scope::Build),
];

/// Reads `pixi.toml`.
#[derive(Debug)]
pub(in crate::ecosystem) struct PixiToml;

impl Parser for PixiToml {
    fn name(&self) -> &'static str {
        "pixi"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "pixi.toml"
    }

    fn pairing<'p>(&self, path: &'p str) -> Pairing<'p> {
        Pairing::of(path).with(PYPROJECT)
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Conda, Source::Manifest);
        toml::read(file.bytes, found, |document, found| read(&document.root, document, found))
    }
}

/// Reads the tables of pixi.
pub(super) fn read(pixi: &DeTable<'_>, document: &Document<'_>, found: &mut Collector<'_>) {
    let mut reader = Reader { document, found };
    reader.platforms(pixi, None);
    for (name, feature) in toml::table(pixi, "feature").into_iter().flatten() {
        if let Some(feature) = feature.get_ref().as_table() {
            reader.platforms(feature, Some(feature_scope(name.get_ref())));
        }
    }
    let Some(package) = toml::table(pixi, "package") else { return };
    reader.platforms(package, None);
    if let Some(build) = toml::table(package, "build")
        && let Some(backend) = build.get("backend")
        && let Some(name) =
            backend.get_ref().as_table().and_then(|table| toml::string(table, "name"))
    {
        let line = reader.document.line(backend);
        reader.conda(
            name,
            backend.get_ref(),
            Declared { line, scope: Some(Scope::Build), ..DIRECT },
        );
    }
}

const DIRECT: Declared<'static> =
    Declared { name: "", version: None, specifier: None, line: 0, direct: Some(true), scope: None };

struct Reader<'d, 'f, 'c> {
    document: &'d Document<'d>,
    found: &'c mut Collector<'f>,
}

impl Reader<'_, '_, '_> {
    /// Reads the tables for all platforms, and those in `target` for some.
    fn platforms(&mut self, parent: &DeTable<'_>, group: Option<Scope>) {
        self.tables(parent, group);
        for target in toml::table(parent, "target").into_iter().flat_map(DeTable::values) {
            if let Some(target) = target.get_ref().as_table() {
                self.tables(target, group);
            }
        }
    }

    fn tables(&mut self, parent: &DeTable<'_>, group: Option<Scope>) {
        for (key, scope) in CONDA {
            let scope = group.filter(|_| scope == Scope::Runtime).unwrap_or(scope);
            self.each(parent, key, scope, Self::conda);
        }
        self.each(parent, "pypi-dependencies", group.unwrap_or(Scope::Runtime), Self::pypi);
    }

    fn each(
        &mut self,
        parent: &DeTable<'_>,
        key: &str,
        scope: Scope,
        read: fn(&mut Self, &str, &DeValue<'_>, Declared<'_>),
    ) {
        let Some(node) = parent.get(key) else { return };
        let Some(table) = node.get_ref().as_table() else {
            let message = format!("{key}: expected a table, got {}", node.get_ref().type_str());
            return self.found.warn(self.document.line(node), message);
        };
        // A table such as `"if(linux)"` holds what a platform adds; such tables are not nested.
        let mut entries = Vec::with_capacity(table.len());
        for (name, value) in table {
            match value.get_ref().as_table() {
                Some(more) if name.get_ref().starts_with("if(") => entries.extend(more),
                _ => entries.push((name, value)),
            }
        }
        for (name, value) in entries {
            let line = self.document.line(name);
            let (name, value) = (name.get_ref(), value.get_ref());
            let declared = Declared { line, scope: Some(scope), ..DIRECT };
            match value {
                DeValue::Table(table) if table.contains_key("path") => {}
                // Rejected, with a warning, before it becomes a part of other texts.
                _ if name.len() > MAX_NAME => self.found.add(Declared { name, ..declared }),
                DeValue::Table(_) | DeValue::String(_) => read(self, name, value, declared),
                other => {
                    let (name, kind) = (text::excerpt(name), other.type_str());
                    self.found.warn(line, format!("`{name}`: expected a version, got {kind}"));
                }
            }
        }
    }

    /// A conda package with a version, or with the address of its source or archive.
    fn conda(&mut self, name: &str, value: &DeValue<'_>, declared: Declared<'_>) {
        let (range, address) = match value {
            DeValue::Table(table) => {
                let address = ["git", "url"].iter().find_map(|key| toml::string(table, key));
                (toml::string(table, "version"), address)
            }
            other => (other.as_str(), None),
        };
        let (version, specifier) = match range.map(str::trim) {
            None | Some("" | "*") => (None, address),
            Some(range) => match exact(range) {
                Some(version) => (Some(version), None),
                None => (None, Some(range)),
            },
        };
        let declared = Declared { name, version, specifier, ..declared };
        self.found.add_of(Ecosystem::Conda, declared);
    }

    /// A `PyPI` package, as the same requirement of pip.
    fn pypi(&mut self, name: &str, value: &DeValue<'_>, declared: Declared<'_>) {
        let text = |key: &str| value.as_table().and_then(|table| toml::string(table, key));
        let reference = || ["rev", "tag", "branch"].iter().find_map(|key| text(key));
        let requirement = if let Some(git) = text("git") {
            let at = reference().map(|reference| format!("@{reference}")).unwrap_or_default();
            format!("{name} @ git+{git}{at}")
        } else if let Some(url) = text("url") {
            format!("{name} @ {url}")
        } else {
            let range = value.as_str().or_else(|| text("version")).unwrap_or_default().trim();
            format!("{name} {}", if range == "*" { "" } else { range })
        };
        let _ = requirements::add(&requirement, declared, self.found);
    }
}

/// The scope of a feature by its name. Features are optional, except those with the usual name of a group.
fn feature_scope(name: &str) -> Scope {
    match name.to_ascii_lowercase().as_str() {
        "dev" | "develop" | "development" | "doc" | "docs" | "lint" => Scope::Dev,
        name if group_scope(name) == Scope::Test => Scope::Test,
        _ => Scope::Optional,
    }
}

/// The version of `==1.2.3` or `1.2.3`.
fn exact(range: &str) -> Option<&str> {
    let version = range.strip_prefix("==").unwrap_or(range).trim();
    let is_version = version.starts_with(|character: char| character.is_ascii_digit())
        && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-+!".contains(&byte));
    is_version.then_some(version)
}
