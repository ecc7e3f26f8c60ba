//! `conanfile.txt` and `conaninfo.txt`, by the section on them of Conan's reference.
//!
//! What flows in: sections of lines. What flows out: the references that the sections of
//! requirements hold. What must stay true: a `#` within a reference is its revision; one behind
//! white space begins a comment.

use super::reference;
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    purl::Ecosystem,
    source::file_name,
    text,
};
use crate::model::scan_result::{Scope, Source};

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

/// Reads `conaninfo.txt`, which Conan writes beside what it has installed.
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
        // Conan 1 lists them whole, and beside that as far as they matter for compatibility.
        let text = text::decode(file.bytes);
        let whole = text.lines().any(|it| it.trim() == "[full_requires]");
        let section = if whole { "full_requires" } else { "requires" };
        read(file.bytes, found, None, |it| (it == section).then_some(Scope::Runtime))
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
        if let Some(section) = content.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
            understood = true;
            scope = scope_of(section.trim());
        } else if scope.is_some() {
            let _ = reference::add(
                content,
                Declared { line, direct, scope, ..Declared::default() },
                &mut found,
            );
        } else if !understood {
            found.warn(line, format!("`{}` is in no section", text::excerpt(content)));
        }
    }
    if !understood && found.has_warnings() {
        return found.unreadable();
    }
    found.finish()
}

fn without_comment(line: &str) -> &str {
    let begins =
        |at: usize| line.get(..at).is_none_or(|it| it.is_empty() || it.ends_with([' ', '\t']));
    let comment = line.match_indices('#').map(|(at, _)| at).find(|at| begins(*at));
    line.get(..comment.unwrap_or(line.len())).unwrap_or(line)
}
