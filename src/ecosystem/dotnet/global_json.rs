//! `global.json`, by "global.json overview" of .NET's manual and "How to reference an `MSBuild` SDK" of
//! `MSBuild`'s.
//!
//! Input: `sdk` and `msbuild-sdks`. Output: the .NET SDK as a tool, the project SDKs as packages of `NuGet`,
//! and their versions as a [`ProjectSdks`] for the projects below the folder. Invariants: an SDK without a
//! version is a warning, and not listed.

use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared, MAX_NAME},
    facts::{Fact, Facts},
    json::{self, Node},
    path::{file_name, folder_of},
    runtimes, text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::collections::HashMap;

/// The name of the .NET SDK among the tools, as asdf and mise name it.
const TOOL: &str = "dotnet";

/// Reads `global.json`.
#[derive(Debug)]
pub(in crate::ecosystem) struct GlobalJson;

/// The versions of project SDKs by their names in lower case. They apply to the projects below the folder,
/// up to the next `global.json`.
#[derive(Debug)]
pub(super) struct ProjectSdks {
    pub(super) folder: String,
    pub(super) versions: HashMap<String, String>,
}

impl Fact for ProjectSdks {
    fn size(&self) -> usize {
        self.versions.len()
    }

    fn gather(self: Box<Self>, facts: &mut Facts) {
        facts.with(|all: &mut Vec<Self>| all.push(*self));
    }
}

impl Parser for GlobalJson {
    fn name(&self) -> &'static str {
        "global-json"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "global.json"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::NuGet, Source::Manifest);
        let mut versions = HashMap::new();
        let findings = json::read(file.bytes, found, |root, found| {
            versions = project_sdks(root, found);
            dotnet_sdk(root, found);
        });
        let folder = folder_of(file.path).to_owned();
        Findings { fact: Some(Box::new(ProjectSdks { folder, versions })), ..findings }
    }
}

fn project_sdks(root: &Node<'_>, found: &mut Collector<'_>) -> HashMap<String, String> {
    let mut versions = HashMap::new();
    let Some(sdks) = root.get("msbuild-sdks") else { return versions };
    let Some(members) = sdks.members() else {
        let message = format!("msbuild-sdks: expected an object, got {}", sdks.kind());
        found.warn(sdks.line, message);
        return versions;
    };
    for member in members {
        let (name, line) = (member.key.trim(), member.line);
        let Some(stated) = member.value.as_str() else {
            let (name, kind) = (text::excerpt(name), member.value.kind());
            found.warn(line, format!("`{name}`: expected a version, got {kind}"));
            continue;
        };
        let version = super::exact(stated);
        let specifier = if version.is_none() { Some(stated) } else { None };
        let (direct, scope) = (Some(true), Some(Scope::Build));
        found.add(Declared { name, version, specifier, line, direct, scope });
        if name.len() <= MAX_NAME && stated.len() <= MAX_NAME {
            versions.insert(name.to_ascii_lowercase(), stated.to_owned());
        }
    }
    versions
}

/// The .NET SDK that runs in this folder.
fn dotnet_sdk(root: &Node<'_>, found: &mut Collector<'_>) {
    let version = root.get("sdk").and_then(|sdk| sdk.get("version"));
    let Some(version) = version else { return };
    let Some(stated) = version.as_str() else {
        let message = format!("sdk: expected a version, got {}", version.kind());
        return found.warn(version.line, message);
    };
    runtimes::add(TOOL, stated, version.line, found);
}
