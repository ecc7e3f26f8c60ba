//! `*.nuspec`, by ".nuspec File Reference" of `NuGet`'s manual.
//!
//! Input: `metadata`/`dependencies`, a list or a group for each target framework. Output: each dependency once.
//! Invariants: the id of the package itself is not a package; neither are assemblies of the framework.

use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    path::file_name,
    xml::{self, Element},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};

/// Reads `*.nuspec`.
#[derive(Debug)]
pub(in crate::ecosystem) struct Nuspec;

impl Parser for Nuspec {
    fn name(&self) -> &'static str {
        "nuspec"
    }

    fn wants(&self, path: &str) -> bool {
        let file = file_name(path).to_ascii_lowercase();
        file.strip_suffix(".nuspec").is_some_and(|stem| !stem.is_empty())
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::NuGet, Source::Manifest).merging();
        xml::read(file.bytes, found, "package", |root, found| {
            // A tag that is not closed contains the dependencies after it.
            let mut open = root.descend(&["metadata", "dependencies"]);
            while let Some(element) = open.pop() {
                read(element, found);
                let at = open.len();
                open.extend(element.children());
                // The last element of the stack is read first.
                open.get_mut(at..).unwrap_or_default().reverse();
            }
        })
    }
}

fn read(element: Element<'_, '_>, found: &mut Collector<'_>) {
    if element.name() != "dependency" {
        return;
    }
    let line = element.line();
    let Some(name) = element.attribute("id").filter(|id| !id.is_empty()) else {
        return found.warn(line, "a dependency without an id");
    };
    let stated = element.attribute("version");
    let version = stated.as_deref().and_then(super::exact);
    let specifier = if version.is_none() { stated.as_deref() } else { None };
    let (direct, scope) = (Some(true), Some(Scope::Runtime));
    found.add(Declared { name: &name, version, specifier, line, direct, scope });
}
