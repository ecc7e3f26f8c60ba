//! `Project.toml`, by "Project.toml" of Pkg's documentation.
//!
//! Input: `deps`, `weakdeps` and `extras`, from names to UUIDs, and `compat`. Output: packages, with their
//! range in `compat`. Invariants: a package with a path in `sources` is part of the project, and the
//! standard library is part of Julia. Its packages are identified by their UUIDs, because a registered package
//! may have the same name.

use super::{purl, standard::comes_with_julia};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    path::file_name,
    text,
    toml::{self, Document},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use ::toml::de::DeTable;

const GROUPS: [(&str, Scope); 3] =
    [("deps", Scope::Runtime), ("weakdeps", Scope::Optional), ("extras", Scope::Test)];

/// Reads `Project.toml`.
#[derive(Debug)]
pub(in crate::ecosystem) struct JuliaProject;

impl Parser for JuliaProject {
    fn name(&self) -> &'static str {
        "julia-project"
    }

    fn wants(&self, path: &str) -> bool {
        matches!(file_name(path), "Project.toml" | "JuliaProject.toml")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Julia, Source::Manifest);
        toml::read(file.bytes, found, walk)
    }
}

fn walk(document: &Document<'_>, found: &mut Collector<'_>) {
    let root = &document.root;
    describe(root, found);
    let compat = toml::table(root, "compat");
    let sources = toml::table(root, "sources");
    for (group, scope) in GROUPS {
        let Some(table) = toml::table(root, group) else { continue };
        for (key, value) in table {
            let name: &str = key.get_ref();
            let line = document.line(key);
            let Some(uuid) = value.get_ref().as_str() else {
                let kind = value.get_ref().type_str();
                let name = text::excerpt(name);
                found.warn(line, format!("`{name}`: expected a UUID, got {kind}"));
                continue;
            };
            if comes_with_julia(uuid) {
                continue;
            }
            let source = sources.and_then(|sources| toml::table(sources, name));
            if source.is_some_and(|source| source.contains_key("path")) {
                continue;
            }
            // Before Julia 1.9, a weak dependency had to be an extra too.
            let is_weak = toml::table(root, "weakdeps").is_some_and(|weak| weak.contains_key(name));
            if group == "extras" && is_weak {
                continue;
            }
            let range = compat.and_then(|compat| toml::string(compat, name));
            let version = range.and_then(exact);
            let specifier = if version.is_none() { range } else { None };
            let (direct, scope) = (Some(true), Some(scope));
            let declared = Declared { name, version, specifier, line, direct, scope };
            let _ = found.take_as(Ecosystem::Julia.into(), declared, |version| {
                purl(name, version, Some(uuid))
            });
        }
    }
}

/// Describes the package and the projects of its workspace. Those of its documentation and tests require the
/// package itself, also without a workspace.
fn describe(root: &DeTable<'_>, found: &mut Collector<'_>) {
    let listed = toml::table(root, "workspace").into_iter();
    let listed = listed.flat_map(|workspace| toml::elements(workspace, "projects"));
    let listed = listed.filter_map(|folder| folder.get_ref().as_str());
    let name = toml::string(root, "name").filter(|_| root.contains_key("uuid"));
    let usual: &[&str] = if name.is_some() { &["docs", "test"] } else { &[] };
    found.describe(name, listed.chain(usual.iter().copied()));
}

/// The version of `=1.2.3`.
fn exact(range: &str) -> Option<&str> {
    let version = range.trim().strip_prefix('=')?.trim();
    version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.').then_some(version)
}
