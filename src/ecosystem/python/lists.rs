//! Lists of requirements in TOML, which `pyproject.toml`, `hatch.toml` and scripts have.
//!
//! Input: a table and a key, or a table of groups. Output: each requirement as a direct package, with a
//! warning for what is malformed. Invariants: what the document names as part of the repository is not a
//! package.

use super::requirement::{self, Requirement};
use crate::ecosystem::{
    collect::{Collector, Declared},
    purl::python_name,
    text,
    toml::{self, Document},
};
use crate::model::scan_result::Scope;
use ::toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use std::collections::HashSet;

/// Reads lists of requirements.
pub(super) struct Reader<'d, 'f, 'c> {
    document: &'d Document<'d>,
    own: HashSet<String>,
    /// The groups of the current table, which its lists may include.
    groups: HashSet<String>,
    found: &'c mut Collector<'f>,
}

impl<'d, 'f, 'c> Reader<'d, 'f, 'c> {
    pub(super) fn new(document: &'d Document<'d>, found: &'c mut Collector<'f>) -> Self {
        Self { document, own: own_names(&document.root), groups: HashSet::new(), found }
    }

    /// Reads a table whose values are lists of requirements.
    pub(super) fn lists(&mut self, groups: Option<&DeTable<'_>>, scope: impl Fn(&str) -> Scope) {
        let Some(groups) = groups else { return };
        self.groups = groups.keys().map(|key| python_name(key.get_ref())).collect();
        for name in groups.keys() {
            self.list(groups, name.get_ref(), scope(name.get_ref()));
        }
    }

    pub(super) fn list(&mut self, parent: &DeTable<'_>, key: &str, scope: Scope) {
        let Some(node) = parent.get(key) else { return };
        let Some(elements) = node.get_ref().as_array() else {
            let kind = node.get_ref().type_str();
            let message = format!("{}: expected an array, got {kind}", text::excerpt(key));
            return self.found.warn(self.document.line(node), message);
        };
        for element in elements {
            self.element(element, scope);
        }
    }

    fn element(&mut self, element: &Spanned<DeValue<'_>>, scope: Scope) {
        let line = self.document.line(element);
        match element.get_ref() {
            DeValue::String(requirement) => self.requirement(requirement, line, scope),
            // The included group is listed under its own name.
            DeValue::Table(table) if table.contains_key("include-group") => {
                let name = toml::string(table, "include-group").unwrap_or_default();
                if !self.groups.contains(&python_name(name)) {
                    let name = text::excerpt(name);
                    self.found.warn(line, format!("include-group: undefined group `{name}`"));
                }
            }
            other => {
                let message = format!("expected a requirement, got {}", other.type_str());
                self.found.warn(line, message);
            }
        }
    }

    fn requirement(&mut self, text: &str, line: u32, scope: Scope) {
        // PDM writes a path or a repository in a list of requirements this way.
        let text = text.strip_prefix("-e ").unwrap_or(text);
        match requirement::read(text) {
            Requirement::Package { name, .. } if self.own.contains(&python_name(name)) => {}
            Requirement::Package { name, version, specifier, problem } => {
                let (specifier, direct, scope) = (specifier.as_deref(), Some(true), Some(scope));
                self.found.add(Declared { name, version, specifier, line, direct, scope });
                if let Some(problem) = problem {
                    self.found.warn(line, format!("`{}`: {problem}", text::excerpt(text)));
                }
            }
            Requirement::Local => {}
            Requirement::Invalid(why) => {
                self.found.warn(line, format!("`{}`: {why}", text::excerpt(text)));
            }
        }
    }
}

/// Names that mean the repository itself, in canonical form: the project's name, which an extra may require
/// to include another extra, and the workspace and path sources of uv and Poetry.
fn own_names(root: &DeTable<'_>) -> HashSet<String> {
    let project = toml::table(root, "project").and_then(|project| toml::string(project, "name"));
    let tables: [&[&str]; 2] = [&["tool", "uv", "sources"], &["tool", "poetry", "dependencies"]];
    let sources = tables.iter().filter_map(|path| toml::descend(root, path));
    let local = sources.flatten().filter_map(|(name, source)| {
        let source = source.get_ref().as_table()?;
        let local = toml::is_true(source, "workspace") || source.contains_key("path");
        local.then_some(name.get_ref().as_ref())
    });
    project.into_iter().chain(local).map(python_name).collect()
}
