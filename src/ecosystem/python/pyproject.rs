//! `pyproject.toml`: the requirements of a Python project, in standard tables and in those of tools.
//!
//! Input: `[project]` (PEP 621), `[dependency-groups]` (PEP 735), `[build-system]` (PEP 518), the older tables
//! of PDM, uv, Rye and Flit, and the environments of Hatch; Poetry's tables are read in `poetry`. Output: each
//! requirement as a direct package. Invariants: the project's own extras, and packages from the workspace or
//! a path, are not packages.

use super::{
    PYPROJECT, group_scope, poetry,
    requirement::{self, Requirement},
};
use crate::ecosystem::{
    Findings, Pairing, Parser, SourceFile,
    collect::{Collector, Declared},
    path::file_name,
    purl::python_name,
    text,
    toml::{self, Document},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use ::toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use std::collections::HashSet;

/// Reads `pyproject.toml`.
#[derive(Debug)]
pub(in crate::ecosystem) struct PyProject;

impl Parser for PyProject {
    fn name(&self) -> &'static str {
        "pyproject"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "pyproject.toml"
    }

    fn pairing<'p>(&self, path: &'p str) -> Pairing<'p> {
        Pairing::of(path).with(PYPROJECT)
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::PyPi, Source::Manifest);
        toml::read(file.bytes, found, walk)
    }
}

fn walk(document: &Document<'_>, found: &mut Collector<'_>) {
    let root = &document.root;
    let (own, groups) = (own_names(root), HashSet::new());
    let mut reader = Reader { document, own, groups, found };
    if let Some(build) = toml::table(root, "build-system") {
        reader.list(build, "requires", Scope::Build);
    }
    if let Some(project) = toml::table(root, "project") {
        reader.list(project, "dependencies", Scope::Runtime);
        reader.lists(toml::table(project, "optional-dependencies"), |_| Scope::Optional);
    }
    reader.lists(toml::table(root, "dependency-groups"), group_scope);
    reader.lists(toml::descend(root, &["tool", "pdm", "dev-dependencies"]), group_scope);
    for tool in ["uv", "rye"] {
        if let Some(tool) = toml::descend(root, &["tool", tool]) {
            reader.list(tool, "dev-dependencies", Scope::Dev);
        }
    }
    if let Some(flit) = toml::descend(root, &["tool", "flit", "metadata"]) {
        reader.list(flit, "requires", Scope::Runtime);
        reader.list(flit, "dev-requires", Scope::Dev);
        reader.lists(toml::table(flit, "requires-extra"), |_| Scope::Optional);
    }
    let environments = toml::descend(root, &["tool", "hatch", "envs"]).into_iter().flatten();
    for (name, environment) in environments {
        let Some(environment) = environment.get_ref().as_table() else { continue };
        for key in ["dependencies", "extra-dependencies"] {
            reader.list(environment, key, group_scope(name.get_ref()));
        }
    }
    if let Some(poetry) = toml::descend(root, &["tool", "poetry"]) {
        poetry::read(poetry, &standard_names(root), document, found);
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

/// The names that `[project]` requires; Poetry's table may state their sources.
fn standard_names(root: &DeTable<'_>) -> HashSet<String> {
    let Some(project) = toml::table(root, "project") else { return HashSet::new() };
    let optional = toml::table(project, "optional-dependencies").into_iter();
    let optional = optional
        .flat_map(|optional| optional.values().filter_map(|value| value.get_ref().as_array()));
    let all = optional.flatten().chain(toml::elements(project, "dependencies"));
    all.filter_map(|requirement| requirement::name(requirement.get_ref().as_str()?))
        .map(python_name)
        .collect()
}

struct Reader<'d, 'f, 'c> {
    document: &'d Document<'d>,
    own: HashSet<String>,
    /// The groups of the current table, which its lists may include.
    groups: HashSet<String>,
    found: &'c mut Collector<'f>,
}

impl Reader<'_, '_, '_> {
    /// Reads a table whose values are lists of requirements.
    fn lists(&mut self, groups: Option<&DeTable<'_>>, scope: impl Fn(&str) -> Scope) {
        let Some(groups) = groups else { return };
        self.groups = groups.keys().map(|key| python_name(key.get_ref())).collect();
        for name in groups.keys() {
            self.list(groups, name.get_ref(), scope(name.get_ref()));
        }
    }

    fn list(&mut self, parent: &DeTable<'_>, key: &str, scope: Scope) {
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
