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

/// The platforms of conda, because such a file is for one: conda-lock's `--filename-template` and the manual name
/// them in the file's name.
const PLATFORMS: [&str; 10] = [
    "linux-32",
    "linux-64",
    "linux-aarch64",
    "linux-armv6l",
    "linux-armv7l",
    "linux-ppc64le",
    "osx-64",
    "osx-arm64",
    "win-64",
    "win-arm64",
];

/// Reads `conda-linux-64.lock`, `explicit.txt`, `spec-file.txt`, and files that are named by a platform, such as
/// `py312-linux-64.lock` and `spec-linux-64.txt`.
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
        let stem = file.strip_suffix(".lock").or_else(|| file.strip_suffix(".txt"));
        file.starts_with("conda-") && file.ends_with(".lock")
            || matches!(file, "explicit.txt" | "spec-file.txt")
            || stem.is_some_and(|stem| PLATFORMS.iter().any(|platform| stem.ends_with(platform)))
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
