//! `packages.config`, by its reference in `NuGet`'s manual.
//!
//! Input: the list of all packages that a project has installed. Output: each package; the list does not
//! state which are direct. Invariants: the versions are exact, so the file counts as a lock file.

use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    path::file_name,
    text,
    xml::{self, Element},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};

/// Reads `packages.config`.
#[derive(Debug)]
pub(in crate::ecosystem) struct PackagesConfig;

impl Parser for PackagesConfig {
    fn name(&self) -> &'static str {
        "packages-config"
    }

    fn wants(&self, path: &str) -> bool {
        // `packages.<project name>.config`, where one folder has several projects.
        let file = file_name(path).to_ascii_lowercase();
        file.starts_with("packages.") && file.ends_with(".config")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::NuGet, Source::Lockfile);
        xml::read(file.bytes, found, "packages", |root, found| {
            let is_package =
                |element: &Element<'_, '_>| element.name().eq_ignore_ascii_case("package");
            root.children().filter(is_package).for_each(|element| read(element, found));
        })
    }
}

fn read(element: Element<'_, '_>, found: &mut Collector<'_>) {
    let line = element.line();
    let Some(name) = element.attribute("id") else {
        return found.warn(line, "a package without an id");
    };
    let version = element.attribute("version");
    if version.is_none() {
        found.warn(line, format!("`{}` has no version", text::excerpt(&name)));
    }
    let is_dev = element.attribute("developmentDependency");
    let scope = if is_dev.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        Scope::Dev
    } else {
        Scope::Runtime
    };
    let (version, scope) = (version.as_deref(), Some(scope));
    found.add(Declared { name: &name, version, line, scope, ..Declared::default() });
}
