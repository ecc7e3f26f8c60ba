//! `renv.lock`, by "Lockfiles" of renv's documentation.
//!
//! Input: `Packages`, from names to records, of all versions of renv. Output: one package for each record, with
//! the purl of its [`Origin`], and the dependencies between them. Invariants: the file does not state what is
//! direct.

use super::{description::is_base, origin::Origin};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Added, Collector, Declared},
    json::{self, Member, Node},
    path::file_name,
    text,
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};
use std::collections::HashMap;

/// Reads `renv.lock`.
#[derive(Debug)]
pub(in crate::ecosystem) struct RenvLock;

impl Parser for RenvLock {
    fn name(&self) -> &'static str {
        "renv-lock"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "renv.lock"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Cran, Source::Lockfile);
        json::read(file.bytes, found, walk)
    }
}

fn walk(root: &Node<'_>, found: &mut Collector<'_>) {
    let Some(packages) = root.get("Packages") else { return };
    let Some(members) = packages.members() else {
        let message = format!("Packages: expected an object, got {}", packages.kind());
        return found.warn(packages.line, message);
    };
    let mut added: HashMap<&str, Added> = HashMap::new();
    for member in members {
        let name = member.value.text("Package").unwrap_or(&member.key);
        if let Some(taken) = read_record(name, member, found) {
            added.insert(name, taken);
        }
    }
    for member in members {
        let name = member.value.text("Package").unwrap_or(&member.key);
        let Some(package) = added.get(name) else { continue };
        // renv 1.1 copies the fields of the package's DESCRIPTION.
        for key in ["Requirements", "Depends", "Imports", "LinkingTo"] {
            let wanted = member.value.elements(key).filter_map(Node::as_str);
            for required in wanted.filter_map(|name| added.get(without_range(name))) {
                found.requires(*package, *required);
            }
        }
    }
}

fn without_range(text: &str) -> &str {
    text.split('(').next().unwrap_or(text).trim()
}

fn read_record(name: &str, member: &Member<'_>, found: &mut Collector<'_>) -> Option<Added> {
    let line = member.line;
    if is_base(name) {
        return None;
    }
    if member.value.members().is_none() {
        let kind = member.value.kind();
        found.warn(line, format!("`{}`: expected an object, got {kind}", text::excerpt(name)));
        return None;
    }
    let version = member.value.text("Version").or_else(|| member.value.text("RemoteSha"));
    if version.is_none() {
        found.warn(line, format!("`{}` has no version", text::excerpt(name)));
    }
    let declared = Declared { name, version, line, ..Declared::default() };
    let origin = Origin::of(&member.value);
    found.take_as(origin.ecosystem(), declared, |version| origin.purl(name.trim(), version))
}
