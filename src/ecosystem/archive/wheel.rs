//! Wheels and eggs, by "Core metadata specifications" and "Binary distribution format" of the Python Packaging Authority.
//!
//! Input: a `.whl` or `.egg`. Output: the package that the archive is, with its license. Invariants: what it requires is not
//! listed, because a requirement is not a copy.

use super::{ends_with, zip::Zip};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};

/// Reads wheels and eggs.
#[derive(Debug)]
pub(super) struct Wheel;

impl Parser for Wheel {
    fn name(&self) -> &'static str {
        "wheel"
    }

    fn wants(&self, path: &str) -> bool {
        ends_with(path, &[".whl", ".egg"])
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::PyPi, Source::Archive);
        let Some(zip) = Zip::open(file, &mut found) else { return found.unreadable() };
        let entries = zip.entries(&mut found);
        // Not of a package that was copied into this one.
        let own = |path: &str| {
            path.strip_suffix("/METADATA").is_some_and(|folder| folder.ends_with(".dist-info"))
                && path.matches('/').count() == 1
                || path == "EGG-INFO/PKG-INFO"
        };
        let metadata = entries.iter().find(|entry| own(&entry.path));
        let Some(text) = metadata.and_then(|entry| zip.text(entry, &mut found)) else {
            found.warn_of_file("the archive has no metadata");
            return found.unreadable();
        };
        // The description follows an empty line.
        let headers = || text.lines().take_while(|line| !line.is_empty());
        let header = |name: &str| {
            headers().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim())
            })
        };
        match (header("Name"), header("Version")) {
            (Some(name), Some(version)) => {
                let version = Some(version);
                let declared = Declared { name, version, ..Declared::default() };
                let added = found.take(Ecosystem::PyPi, declared);
                let license = header("License-Expression").or_else(|| header("License"));
                found.license(added, license.unwrap_or_default());
            }
            _ => found.warn_of_file("the metadata has no name or no version"),
        }
        found.finish()
    }
}
