//! `build.sbt.lock`, by "Lockfile Format: Version 1" of sbt-dependency-lock's documentation.
//!
//! Input: the resolved modules of a project, each with the configurations that need it. Output: each module with
//! the strongest scope of its configurations. Invariants: the file does not state what is direct; `artifacts` are
//! files of a module and no packages.

use super::scope_of;
use crate::ecosystem::{
    Findings, Pairing, Parser, SourceFile,
    collect::{Collector, Declared},
    json::{self, Node, Value},
    path::file_name,
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};

/// Reads `build.sbt.lock`.
#[derive(Debug)]
pub(in crate::ecosystem) struct SbtLock;

impl Parser for SbtLock {
    fn name(&self) -> &'static str {
        "sbt-lock"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "build.sbt.lock"
    }

    fn pairing<'p>(&self, path: &'p str) -> Pairing<'p> {
        Pairing::of(path).with(super::TOOL)
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        json::read(file.bytes, Collector::new(file, Ecosystem::Maven, Source::Lockfile), walk)
    }
}

fn walk(root: &Node<'_>, found: &mut Collector<'_>) {
    if let Some(version) = root.get("lockVersion")
        && version.value != Value::Number("1")
    {
        found.warn(version.line, "unknown version of the lock file; parsed as far as possible");
    }
    let Some(dependencies) = root.get("dependencies") else { return };
    if !matches!(dependencies.value, Value::Array(_)) {
        let message = format!("dependencies: expected an array, got {}", dependencies.kind());
        return found.warn(dependencies.line, message);
    }
    for module in root.elements("dependencies") {
        let (Some(group), Some(name)) = (module.text("org"), module.text("name")) else {
            found.warn(module.line, "a module without `org` or `name`");
            continue;
        };
        let name = format!("{group}:{name}");
        let version = module.text("version");
        if version.is_none() {
            found.warn(module.line, format!("`{}` has no version", text::excerpt(&name)));
        }
        let configurations = module.elements("configurations").filter_map(Node::as_str);
        let scopes = configurations.map(|configuration| Some(scope_of(Some(configuration))));
        let scope = scopes.fold(None, Scope::stronger);
        let line = module.line;
        found.add(Declared { name: &name, version, line, scope, ..Declared::default() });
    }
}
