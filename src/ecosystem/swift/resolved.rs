//! `Package.resolved` of version 1, 2 and 3, as `ResolvedPackagesStore` of the Swift package
//! manager writes it.
//!
//! Input: the pins. Output: one package for each pin, with its version, or its commit if a branch or a commit
//! is required.
//!
//! Decisions. The name is that of the pin: the identity, or before version 2 the package's own name. The purl
//! follows from the address, by swift-definition; a pin of a registry has its scope instead of an address.
//!
//! Invariants: the file does not state what is direct; a local repository is part of the project.

use super::address;
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    json::{self, Node, Value},
    path::file_name,
    text,
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};

/// Reads `Package.resolved`.
#[derive(Debug)]
pub(in crate::ecosystem) struct PackageResolved;

impl Parser for PackageResolved {
    fn name(&self) -> &'static str {
        "package-resolved"
    }

    fn reads_lock_files(&self) -> bool {
        true
    }

    fn wants(&self, path: &str) -> bool {
        let name = file_name(path);
        // Some projects keep a `.package.resolved` beside an Xcode workspace.
        matches!(name, "Package.resolved" | ".package.resolved")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Swift, Source::Lockfile);
        json::read(file.bytes, found, walk)
    }
}

fn walk(root: &Node<'_>, found: &mut Collector<'_>) {
    match root.get("version") {
        None | Some(Node { value: Value::Number("1" | "2" | "3"), .. }) => {}
        Some(other) => {
            found.warn(other.line, "unknown version of the file; parsed as far as possible");
        }
    }
    let inner = root.get("object").unwrap_or(root);
    for pin in inner.elements("pins") {
        read_pin(pin, found);
    }
}

fn read_pin(pin: &Node<'_>, found: &mut Collector<'_>) {
    let kind = pin.text("kind").unwrap_or_default();
    if kind == "localSourceControl" || kind == "fileSystem" {
        return;
    }
    let address = pin.text("location").or_else(|| pin.text("repositoryURL")).unwrap_or_default();
    let named = address::name_of(address);
    let last = || named.as_deref().and_then(|path| path.rsplit('/').next());
    let Some(name) = pin.text("identity").or_else(|| pin.text("package")).or_else(last) else {
        return found.warn(pin.line, "a pin without a name");
    };
    let state = |key: &str| pin.get("state").and_then(|state| state.text(key));
    let version = state("version").or_else(|| state("revision"));
    if version.is_none() {
        found.warn(pin.line, format!("`{}` has neither version nor revision", text::excerpt(name)));
    }
    let specifier = if version.is_none() { state("branch") } else { None };
    // Registries name packages `scope.name`.
    let in_purl = named.clone().unwrap_or_else(|| match name.split_once('.') {
        Some((scope, name)) if kind == "registry" => format!("{scope}/{name}"),
        _ => name.to_owned(),
    });
    let declared = Declared { name, version, specifier, line: pin.line, ..Declared::default() };
    let _ = found.take_as(Ecosystem::Swift.into(), declared, |version| {
        Ecosystem::Swift.purl(&in_purl, version)
    });
}
