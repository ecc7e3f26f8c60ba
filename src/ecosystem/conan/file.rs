//! `conanfile.txt` and `conaninfo.txt`, by Conan's reference.
//!
//! Input: sections of lines. Output: the references in the requirement sections. Invariants: a `#` within a
//! reference begins its revision; a `#` after white space begins a comment.

use super::reference;
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    path::file_name,
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};

/// Reads `conanfile.txt`.
#[derive(Debug)]
pub(in crate::ecosystem) struct ConanFile;

impl Parser for ConanFile {
    fn name(&self) -> &'static str {
        "conanfile-txt"
    }

    fn wants(&self, path: &str) -> bool {
        let name = file_name(path);
        name.starts_with("conanfile") && name.ends_with(".txt")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Conan, Source::Manifest).merging();
        read(file.bytes, found, Some(true), |section| match section {
            "requires" => Some(Scope::Runtime),
            "build_requires" | "tool_requires" => Some(Scope::Build),
            "test_requires" => Some(Scope::Test),
            _ => None,
        })
    }
}

/// Reads `conaninfo.txt`, which Conan writes beside installed packages.
#[derive(Debug)]
pub(in crate::ecosystem) struct ConanInfo;

impl Parser for ConanInfo {
    fn name(&self) -> &'static str {
        "conaninfo"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "conaninfo.txt"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Conan, Source::Lockfile);
        // Conan 1 lists the requirements completely, and again with only the parts that matter for
        // compatibility.
        let text = text::decode(file.bytes);
        let whole = text.lines().any(|line| line.trim() == "[full_requires]");
        let section = if whole { "full_requires" } else { "requires" };
        read(file.bytes, found, None, |name| (name == section).then_some(Scope::Runtime))
    }
}

fn read(
    bytes: &[u8],
    mut found: Collector<'_>,
    direct: Option<bool>,
    scope_of: impl Fn(&str) -> Option<Scope>,
) -> Findings {
    let text = text::decode(bytes);
    let mut scope = None;
    let mut understood = false;
    for (line, content) in (1_u32..).zip(text.lines()) {
        if text::is_merge_marker(content) {
            found.warn(line, text::MERGE_MARKER);
            continue;
        }
        let content = without_comment(content).trim();
        if content.is_empty() {
            continue;
        }
        if let Some(section) = content.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            understood = true;
            scope = scope_of(section.trim());
        } else if scope.is_some() {
            let _ = reference::add(
                content,
                Declared { line, direct, scope, ..Declared::default() },
                &mut found,
            );
        } else if !understood {
            found.warn(line, format!("`{}` is not in a section", text::excerpt(content)));
        }
    }
    if !understood && found.has_warnings() {
        return found.unreadable();
    }
    found.finish()
}

fn without_comment(line: &str) -> &str {
    let begins = |at: usize| {
        line.get(..at).is_none_or(|before| before.is_empty() || before.ends_with([' ', '\t']))
    };
    let comment = line.match_indices('#').map(|(at, _)| at).find(|at| begins(*at));
    line.get(..comment.unwrap_or(line.len())).unwrap_or(line)
}
