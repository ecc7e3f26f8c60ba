//! `vendor/modules.txt`, by "Vendoring" of the "Go Modules Reference".
//!
//! Input: a line for each vendored module, and lines for its packages. Output: the modules, with `replace`
//! applied. Invariants: a module that is replaced by a folder is not a package; only the `go.mod` above
//! the folder states what is direct.

use crate::ecosystem::{
    Findings, Pairing, Parser, SourceFile,
    collect::{Collector, Declared},
    path::folder_of,
    text,
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};

/// Reads `vendor/modules.txt`.
#[derive(Debug)]
pub(in crate::ecosystem) struct VendoredModules;

impl Parser for VendoredModules {
    fn name(&self) -> &'static str {
        "go-vendor"
    }

    fn wants(&self, path: &str) -> bool {
        path == "vendor/modules.txt" || path.ends_with("/vendor/modules.txt")
    }

    /// The modules are below the folder of `go.mod`.
    fn pairing<'p>(&self, path: &'p str) -> Pairing<'p> {
        let vendor = Pairing::of(path);
        Pairing { folder: folder_of(vendor.folder), ..vendor }
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Golang, Source::Lockfile);
        let text = text::decode(file.bytes);
        let mut understood = false;
        for (line, content) in (1_u32..).zip(text.lines()) {
            if let Some(module) = content.strip_prefix("# ") {
                understood = true;
                read(module, line, &mut found);
            } else if !content.starts_with("## ") && !is_package(content) {
                let message = format!("`{}` is not a line of modules.txt", text::excerpt(content));
                found.warn(line, message);
            }
        }
        if !understood && found.has_warnings() { found.unreadable() } else { found.finish() }
    }
}

fn is_package(line: &str) -> bool {
    line.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/+".contains(&byte))
}

/// `path version`, `path version => path version`, or `path => path version` for a replacement of every
/// version, whether it is vendored or not.
fn read(module: &str, line: u32, found: &mut Collector<'_>) {
    let (own, by) = match module.split_once("=>") {
        Some((own, by)) => (own, Some(by)),
        None => (module, None),
    };
    let mut own = own.split_whitespace();
    let (name, version) = (own.next().unwrap_or_default(), own.next());
    if version.is_none() && by.is_some() {
        return;
    }
    let (name, version) = match by {
        None => (name, version),
        Some(by) => {
            let mut by = by.split_whitespace();
            match (by.next(), by.next()) {
                (Some(name), Some(version)) => (name, Some(version)),
                // A folder.
                _ => return,
            }
        }
    };
    if version.is_none() {
        found.warn(line, format!("`{}` has no version", text::excerpt(name)));
    }
    found.add(Declared { name, version, line, ..Declared::default() });
}
