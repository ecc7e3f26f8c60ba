//! `DESCRIPTION`, by "The DESCRIPTION file" of "Writing R Extensions".
//!
//! Input: fields, whose values may continue in indented lines. Output: the dependencies of a package or
//! project. Decisions: the packages of priority "base" are R itself, and have its version.
//!
//! Invariants: other text with this file name gives nothing.

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

/// The packages of priority "base", by "Which add-on packages exist for R?" of the R FAQ.
const BASE: [&str; 14] = [
    "base",
    "compiler",
    "datasets",
    "grDevices",
    "graphics",
    "grid",
    "methods",
    "parallel",
    "splines",
    "stats",
    "stats4",
    "tcltk",
    "tools",
    "utils",
];

/// Whether a package is R itself, or of the packages that come with it.
pub(super) fn is_base(name: &str) -> bool {
    name == "R" || BASE.contains(&name)
}

/// Reads `DESCRIPTION`.
#[derive(Debug)]
pub(in crate::ecosystem) struct Description;

impl Parser for Description {
    fn name(&self) -> &'static str {
        "r-description"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "DESCRIPTION"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Cran, Source::Manifest).merging();
        let text = text::decode(file.bytes);
        let mut scope = None;
        for (line, content) in (1_u32..).zip(text.lines()) {
            if text::is_merge_marker(content) {
                found.warn(line, text::MERGE_MARKER);
                continue;
            }
            let mut rest = content;
            if !content.starts_with([' ', '\t']) {
                let (field, value) = content.split_once(':').unwrap_or((content, ""));
                scope = scope_of(field);
                rest = value;
            }
            let Some(scope) = scope else { continue };
            for entry in rest.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
                add(entry, line, scope, &mut found);
            }
        }
        found.finish()
    }
}

fn scope_of(field: &str) -> Option<Scope> {
    match field {
        "Depends" | "Imports" => Some(Scope::Runtime),
        "LinkingTo" => Some(Scope::Build),
        "Suggests" | "Enhances" => Some(Scope::Optional),
        _ => None,
    }
}

/// `name (>= 1.0)`
fn add(entry: &str, line: u32, scope: Scope, found: &mut Collector<'_>) {
    let (name, range) = match entry.split_once('(') {
        Some((name, range)) => (name.trim(), Some(range.trim_end_matches(')').trim())),
        None => (entry, None),
    };
    if is_base(name) {
        return;
    }
    // "It should contain only (ASCII) letters, numbers and dot".
    let usable = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.';
    if !name.bytes().all(usable)
        || !name.starts_with(|character: char| character.is_ascii_alphabetic())
    {
        return found.warn(line, format!("`{}` is not a dependency", text::excerpt(entry)));
    }
    let version = range.and_then(|range| range.strip_prefix("==")).map(str::trim);
    let specifier = if version.is_none() { range } else { None };
    let (direct, scope) = (Some(true), Some(scope));
    found.add(Declared { name, version, specifier, line, direct, scope });
}
