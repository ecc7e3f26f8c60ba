//! `DESCRIPTION`, by "The DESCRIPTION file" of "Writing R Extensions".
//!
//! What flows in: fields, whose values go on in lines that begin with white space. What flows out:
//! what a package or project depends on. What must stay true: any other text of that name gives
//! nothing.

use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    purl::Ecosystem,
    source::file_name,
    text,
};
use crate::model::scan_result::{Scope, Source};

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
            for entry in rest.split(',').map(str::trim).filter(|it| !it.is_empty()) {
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
    if name == "R" {
        return;
    }
    // "It should contain only (ASCII) letters, numbers and dot".
    let usable = |it: u8| it.is_ascii_alphanumeric() || it == b'.';
    if !name.bytes().all(usable) || !name.starts_with(|it: char| it.is_ascii_alphabetic()) {
        return found.warn(line, format!("`{}` is no dependency", text::excerpt(entry)));
    }
    let version = range.and_then(|it| it.strip_prefix("==")).map(str::trim);
    let specifier = if version.is_none() { range } else { None };
    let (direct, scope) = (Some(true), Some(scope));
    found.add(Declared { name, version, specifier, line, direct, scope });
}
