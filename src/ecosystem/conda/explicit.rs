//! Explicit lists of packages, by "Building identical conda environments" of conda's manual and what conda-lock
//! writes.
//!
//! Input: an address of a package on each line after `@EXPLICIT`, and packages for pip in comments of
//! conda-lock. Output: each package. Invariants: a file without `@EXPLICIT` is of another format; the file does
//! not state what is direct.

use super::spec::Spec;
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    path::file_name,
    python, text,
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};

/// The line before the addresses.
const BEGIN: &str = "@EXPLICIT";

/// Reads `conda-linux-64.lock`, `explicit.txt` and `spec-file.txt`.
#[derive(Debug)]
pub(in crate::ecosystem) struct CondaExplicit;

impl Parser for CondaExplicit {
    fn name(&self) -> &'static str {
        "conda-explicit"
    }

    fn reads_lock_files(&self) -> bool {
        true
    }

    fn wants(&self, path: &str) -> bool {
        let file = file_name(path);
        file.starts_with("conda-") && file.ends_with(".lock")
            || matches!(file, "explicit.txt" | "spec-file.txt")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Conda, Source::Lockfile);
        let text = text::decode(file.bytes);
        if !text.lines().any(|line| line.trim() == BEGIN) {
            return Findings::default();
        }
        for (line, content) in (1_u32..).zip(text.lines()) {
            let content = content.trim();
            if let Some(requirement) = content.strip_prefix("# pip ") {
                let declared = Declared { line, ..Declared::default() };
                let _ = python::add_requirement(requirement, declared, &mut found);
            } else if !(content.is_empty() || content.starts_with('#') || content == BEGIN) {
                package(content, line, &mut found);
            }
        }
        found.finish()
    }
}

fn package(address: &str, line: u32, found: &mut Collector<'_>) {
    let Some(Spec { name, version, .. }) = Spec::of_archive(address) else {
        let address = text::excerpt(address);
        return found.warn(line, format!("`{address}` is not the address of a conda package"));
    };
    let declared = Declared { name, version, line, ..Declared::default() };
    let added = found.take(Ecosystem::Conda, declared);
    // `#md5`, or since conda 23.1 `#sha256:…`.
    if let Some((_, digest)) = address.rsplit_once('#') {
        found.hash(added, digest);
    }
}
