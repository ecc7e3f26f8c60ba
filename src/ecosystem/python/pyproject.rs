//! `pyproject.toml`: the requirements of a Python project, in standard tables and in those of tools.
//!
//! Input: `[project]` (PEP 621), `[dependency-groups]` (PEP 735), `[build-system]` (PEP 518), the older tables
//! of PDM, uv, Rye and Flit; the tables of Poetry, Hatch and pixi are read in `poetry`, `hatch` and `pixi`.
//! Output: each requirement as a direct package. Invariants: the project's own extras, and packages from the
//! workspace or a path, are not packages.

use super::{PYPROJECT, group_scope, hatch, lists::Reader, pixi, poetry, requirement};
use crate::ecosystem::{
    Findings, Pairing, Parser, SourceFile,
    collect::Collector,
    path::file_name,
    purl::python_name,
    toml::{self, Document},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use ::toml::de::DeTable;
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
    describe(root, found);
    let mut reader = Reader::new(document, found);
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
    if let Some(hatch) = toml::descend(root, &["tool", "hatch"]) {
        hatch::read(hatch, &mut reader);
    }
    if let Some(pixi) = toml::descend(root, &["tool", "pixi"]) {
        pixi::read(pixi, document, found);
    }
    if let Some(poetry) = toml::descend(root, &["tool", "poetry"]) {
        poetry::read(poetry, &standard_names(root), document, found);
    }
}

/// Describes the project and the workspace of uv or Rye. The sources of the workspace's root apply to its
/// members too, so the file of a member does not state which of its requirements are members.
fn describe(root: &DeTable<'_>, found: &mut Collector<'_>) {
    let workspaces = ["uv", "rye"];
    let workspaces =
        workspaces.iter().filter_map(|tool| toml::descend(root, &["tool", tool, "workspace"]));
    let patterns = |key: &str, prefix: &str| -> Vec<String> {
        let all = workspaces.clone().flat_map(|workspace| toml::elements(workspace, key));
        let all = all.filter_map(|pattern| pattern.get_ref().as_str());
        all.map(|pattern| format!("{prefix}{pattern}")).collect()
    };
    let members = [patterns("members", ""), patterns("exclude", "!")].concat();
    let name = toml::table(root, "project").and_then(|project| toml::string(project, "name"));
    found.describe(name, members.iter().map(String::as_str));
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
