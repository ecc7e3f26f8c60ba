//! Packages of `NuGet`, by ".nuspec reference".
//!
//! Input: a `.nupkg`. Output: the package that the archive is, with its license. Invariants: what it requires is not listed,
//! because a requirement is not a copy.

use super::{ends_with, zip::Zip};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    xml::{self, Element},
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};

/// Reads `.nupkg` files.
#[derive(Debug)]
pub(super) struct Nupkg;

impl Parser for Nupkg {
    fn name(&self) -> &'static str {
        "nupkg"
    }

    fn wants(&self, path: &str) -> bool {
        ends_with(path, &[".nupkg"])
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::NuGet, Source::Archive);
        let Some(zip) = Zip::open(file, &mut found) else { return found.unreadable() };
        let entries = zip.entries(&mut found);
        let own = |path: &str| ends_with(path, &[".nuspec"]) && !path.contains('/');
        let nuspec = entries.iter().find(|entry| own(&entry.path));
        let Some(text) = nuspec.and_then(|entry| zip.text(entry, &mut found)) else {
            found.warn_of_file("the archive has no .nuspec");
            return found.unreadable();
        };
        let tree = xml::parse(&text, found.budget());
        let metadata = tree.root().and_then(|root| root.child("metadata"));
        let value =
            |key: &str| metadata.and_then(|metadata| metadata.child(key)).map(Element::text);
        match (value("id"), value("version")) {
            (Some(name), Some(version)) => {
                let version = Some(version);
                let declared = Declared { name, version, ..Declared::default() };
                let added = found.take(Ecosystem::NuGet, declared);
                // The other type is the name of a file.
                let license = metadata.and_then(|metadata| metadata.child("license"));
                let license = license.filter(|license| {
                    license.attribute("type").is_some_and(|kind| kind == "expression")
                });
                found.license(added, license.map(Element::text).unwrap_or_default());
            }
            _ => found.warn_of_file("the .nuspec has no id or no version"),
        }
        found.finish()
    }
}
