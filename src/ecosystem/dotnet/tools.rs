//! `dotnet-tools.json`, by "Tutorial: Install and use a .NET local tool" of .NET's manual.
//!
//! Input: `tools`, from package ids to versions. Output: one package for each tool. Invariants: the versions
//! are exact; the tools are for working on the project, and not part of it.

use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    json::{self, Node},
    path::file_name,
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};

/// Reads `.config/dotnet-tools.json`.
#[derive(Debug)]
pub(in crate::ecosystem) struct ToolManifest;

impl Parser for ToolManifest {
    fn name(&self) -> &'static str {
        "dotnet-tools"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "dotnet-tools.json"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::NuGet, Source::Manifest);
        json::read(file.bytes, found, walk)
    }
}

fn walk(root: &Node<'_>, found: &mut Collector<'_>) {
    let Some(tools) = root.get("tools") else { return };
    let Some(members) = tools.members() else {
        let message = format!("tools: expected an object, got {}", tools.kind());
        return found.warn(tools.line, message);
    };
    for tool in members {
        let (name, line) = (tool.key.as_ref(), tool.line);
        let stated = tool.value.text("version");
        if stated.is_none() {
            found.warn(line, format!("`{}` has no version", text::excerpt(name)));
        }
        let version = stated.and_then(super::exact);
        let specifier = if version.is_none() { stated } else { None };
        let (direct, scope) = (Some(true), Some(Scope::Dev));
        found.add(Declared { name, version, specifier, line, direct, scope });
    }
}
