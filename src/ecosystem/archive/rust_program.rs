//! Programs of Rust that were built with `cargo auditable`, by its "PARSING.md".
//!
//! Input: an executable. Output: the crates that the section `.dep-v0` lists: JSON, compressed by zlib. Invariants: the root crate is not
//! listed, because it is what the program is; the section is unpacked within the limit.

use crate::ecosystem::{
    Findings, SourceFile,
    collect::{Collector, Declared},
    json::{self, Node, Value},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use flate2::bufread::ZlibDecoder;
use std::{collections::HashSet, io::Read};

/// The most bytes of the list. That of a program with a thousand crates has a hundred thousand.
const MOST: u64 = 8 << 20;

/// Reads a program; none if it does not have this section.
pub(super) fn read(file: SourceFile<'_>) -> Option<Findings> {
    let section = auditable_extract::raw_auditable_data(file.bytes).ok()?;
    let mut found = Collector::new(file, Ecosystem::Cargo, Source::Archive);
    let mut list = Vec::new();
    let read = ZlibDecoder::new(section).take(MOST + 1).read_to_end(&mut list);
    if read.is_err() || list.len() as u64 > MOST || !found.budget().unpack(list.len() as u64) {
        found.warn_of_file("the list of crates of the program is damaged or too large");
        return Some(found.finish());
    }
    Some(json::read(&list, found, walk))
}

fn walk(root: &Node<'_>, found: &mut Collector<'_>) {
    let packages: Vec<&Node<'_>> = root.elements("packages").collect();
    let main = packages.iter().find(|package| package.is_true("root"));
    let indexes = |package: &Node<'_>| -> Vec<usize> {
        let indexes = package.elements("dependencies").filter_map(|index| match &index.value {
            Value::Number(number) => number.parse().ok(),
            _ => None,
        });
        indexes.collect()
    };
    let direct: Option<HashSet<usize>> = main.map(|main| indexes(main).into_iter().collect());
    let added: Vec<_> = (0..)
        .zip(&packages)
        .map(|(at, package)| {
            if package.is_true("root") || package.text("source") == Some("local") {
                return None;
            }
            let is_build = package.text("kind") == Some("build");
            let declared = Declared {
                name: package.text("name")?,
                version: package.text("version"),
                direct: direct.as_ref().map(|direct| direct.contains(&at)),
                scope: Some(if is_build { Scope::Build } else { Scope::Runtime }),
                ..Declared::default()
            };
            found.take(Ecosystem::Cargo, declared)
        })
        .collect();
    for (package, own) in packages.iter().zip(&added) {
        let Some(own) = own else { continue };
        for required in
            indexes(package).into_iter().filter_map(|at| added.get(at).copied().flatten())
        {
            found.requires(*own, required);
        }
    }
}
