//! Poetry's tables, by "The pyproject.toml file" and "Dependency specification" of its documentation.
//!
//! Input: `[tool.poetry]`, and the names that `[project]` requires. Output: the packages of the main group,
//! of `dev-dependencies` and of each `group`. Invariants: `python` is the interpreter and not a package; a
//! path is part of the repository; a table without a version that only states the source of a package in
//! `[project]` is not listed again.

use super::{archive, group_scope, requirement};
use crate::ecosystem::{
    collect::{Collector, Declared, MAX_NAME},
    git_reference,
    purl::python_name,
    text,
    toml::{self, Document},
};
use crate::model::scan_result::Scope;
use ::toml::de::{DeTable, DeValue};
use std::collections::HashSet;

/// Reads `[tool.poetry]`.
pub(super) fn read(
    poetry: &DeTable<'_>,
    standard: &HashSet<String>,
    document: &Document<'_>,
    found: &mut Collector<'_>,
) {
    let mut reader = Reader { document, standard, found };
    reader.group(poetry, "dependencies", Scope::Runtime);
    reader.group(poetry, "dev-dependencies", Scope::Dev);
    for (name, group) in toml::table(poetry, "group").into_iter().flatten() {
        if let Some(group) = group.get_ref().as_table() {
            reader.group(group, "dependencies", group_scope(name.get_ref()));
        }
    }
}

struct Reader<'d, 'f, 'c> {
    document: &'d Document<'d>,
    /// The names that `[project]` requires, in canonical form.
    standard: &'d HashSet<String>,
    found: &'c mut Collector<'f>,
}

impl Reader<'_, '_, '_> {
    fn group(&mut self, parent: &DeTable<'_>, key: &str, scope: Scope) {
        let Some(node) = parent.get(key) else { return };
        let Some(table) = node.get_ref().as_table() else {
            let message = format!("{key}: expected a table, got {}", node.get_ref().type_str());
            return self.found.warn(self.document.line(node), message);
        };
        for (name, value) in table {
            if name.get_ref().eq_ignore_ascii_case("python") {
                continue;
            }
            let declared = Declared {
                name: name.get_ref(),
                line: self.document.line(name),
                direct: Some(true),
                scope: Some(scope),
                ..Declared::default()
            };
            if declared.name.len() > MAX_NAME {
                // Reported once, not for each alternative.
                self.found.add(declared);
            } else {
                self.dependency(declared, value.get_ref());
            }
        }
    }

    fn dependency(&mut self, declared: Declared<'_>, value: &DeValue<'_>) {
        match value {
            DeValue::String(constraint) => self.constraint(declared, constraint),
            DeValue::Table(table) => self.detailed(declared, table),
            // "Multiple constraints dependencies": one table per Python version or platform.
            DeValue::Array(alternatives) => {
                for alternative in alternatives {
                    let line = self.document.line(alternative);
                    match alternative.get_ref() {
                        // Poetry allows one level of arrays only.
                        DeValue::Array(_) => self.refuse(declared, alternative.get_ref()),
                        value => self.dependency(Declared { line, ..declared }, value),
                    }
                }
            }
            other => self.refuse(declared, other),
        }
    }

    fn refuse(&mut self, declared: Declared<'_>, value: &DeValue<'_>) {
        let name = text::excerpt(declared.name);
        let message = format!("`{name}`: expected a string or table, got {}", value.type_str());
        self.found.warn(declared.line, message);
    }

    fn detailed(&mut self, mut declared: Declared<'_>, table: &DeTable<'_>) {
        if table.contains_key("path") || table.contains_key("file") {
            return;
        }
        if toml::is_true(table, "optional") {
            declared.scope = Some(Scope::Optional);
        }
        if let Some(git) = toml::string(table, "git") {
            if let Some(commit) = toml::string(table, "rev").and_then(git_reference::commit) {
                return self.found.add(Declared { version: Some(commit), ..declared });
            }
            let reference =
                ["rev", "tag", "branch"].iter().find_map(|key| toml::string(table, key));
            let reference = reference.map(|reference| format!("@{reference}")).unwrap_or_default();
            let specifier = format!("git+{git}{reference}");
            return self.found.add(Declared { specifier: Some(&specifier), ..declared });
        }
        if let Some(url) = toml::string(table, "url") {
            let version = archive::name_and_version(url).map(|(_, version)| version);
            let specifier = version.is_none().then_some(url);
            return self.found.add(Declared { version, specifier, ..declared });
        }
        match toml::string(table, "version") {
            Some(constraint) => self.constraint(declared, constraint),
            None if self.standard.contains(&python_name(declared.name)) => {}
            None => self.found.add(declared),
        }
    }

    /// By "Exact requirements": a version without an operator is exact.
    fn constraint(&mut self, declared: Declared<'_>, constraint: &str) {
        let constraint = constraint.trim();
        let bare = constraint.starts_with(|character: char| character.is_ascii_digit())
            && constraint
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-_+!".contains(&byte));
        let version = if bare { Some(constraint) } else { requirement::pinned(constraint) };
        let specifier = version.is_none().then_some(constraint);
        self.found.add(Declared { version, specifier, ..declared });
    }
}
