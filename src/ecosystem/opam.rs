//! `OCaml`: `*.opam` and `*.opam.locked`, by "Package definitions" of opam's manual.
//!
//! Input: fields whose values are lists. Output: the packages in `depends` and `depopts`, with their filters
//! and ranges; a locked file has one version of each. Invariants: all alternatives (`"a" | "b"`) are listed;
//! the package itself is not a package.

use super::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    path::file_name,
    script::{self, Dialect, Tokens},
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::ops::Range;

/// Depth of brackets within a list of dependencies.
const MAX_DEPTH: u32 = 8;

/// Tokens of a filter that are read.
const LONGEST_FILTER: usize = 200;

/// Reads `*.opam`.
#[derive(Debug)]
pub(super) struct OpamFile;

impl Parser for OpamFile {
    fn name(&self) -> &'static str {
        "opam"
    }

    fn wants(&self, path: &str) -> bool {
        let name = file_name(path);
        name == "opam" || name.ends_with(".opam")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        read(file, Collector::new(file, Ecosystem::Opam, Source::Manifest).merging(), Some(true))
    }
}

/// Reads `*.opam.locked`.
#[derive(Debug)]
pub(super) struct OpamLock;

impl Parser for OpamLock {
    fn name(&self) -> &'static str {
        "opam-lock"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path).ends_with("opam.locked")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        read(file, Collector::new(file, Ecosystem::Opam, Source::Lockfile), None)
    }
}

fn read(file: SourceFile<'_>, mut found: Collector<'_>, direct: Option<bool>) -> Findings {
    let text = text::decode(file.bytes);
    let tokens = script::tokens(&text, Dialect::Opam);
    tokens.warn(&mut found);
    for at in 0..tokens.len() {
        let scope = match tokens.word(at) {
            Some("depends") => Scope::Runtime,
            Some("depopts") => Scope::Optional,
            _ => continue,
        };
        let value = tokens.skip_lines(at + 2);
        if !tokens.is_mark(at + 1, ':') {
            continue;
        }
        let declared = Declared { direct, scope: Some(scope), ..Declared::default() };
        if tokens.is_mark(value, '[') {
            let end = tokens.behind_bracket(value);
            packages(&tokens, value + 1..end, declared, 0, &mut found);
        } else if let Some(name) = tokens.text(value) {
            // A single package needs no brackets.
            package(&tokens, value, name, declared, &mut found);
        }
    }
    found.finish()
}

fn packages(
    tokens: &Tokens<'_>,
    places: Range<usize>,
    declared: Declared<'_>,
    depth: u32,
    found: &mut Collector<'_>,
) {
    let mut at = places.start;
    while at < places.end {
        if let Some(name) = tokens.text(at) {
            package(tokens, at, name, declared, found);
        } else if tokens.is_mark(at, '(') && depth < MAX_DEPTH {
            packages(tokens, at + 1..tokens.behind_bracket(at), declared, depth + 1, found);
        }
        at = tokens.behind_bracket(at);
    }
}

/// Reads a name, and its filters and versions in braces.
fn package(
    tokens: &Tokens<'_>,
    at: usize,
    name: &str,
    mut declared: Declared<'_>,
    found: &mut Collector<'_>,
) {
    let braces = tokens.skip_lines(at + 1);
    let filter = if tokens.is_mark(braces, '{') {
        braces + 1..tokens.behind_bracket(braces).saturating_sub(1)
    } else {
        braces..braces
    };
    for flag in filter.clone().take(LONGEST_FILTER).filter_map(|at| tokens.word(at)) {
        declared.scope = match flag {
            "with-test" => Some(Scope::Test),
            "with-doc" | "with-dev-setup" | "dev" => Some(Scope::Dev),
            "build" if declared.scope == Some(Scope::Runtime) => Some(Scope::Build),
            _ => declared.scope,
        };
    }
    let range = range(tokens, filter);
    let version = range.strip_prefix("= ").filter(|version| !version.contains([' ', '(']));
    let specifier = if version.is_none() { Some(range.as_str()) } else { None };
    let line = tokens.line(at);
    found.add(Declared { name, version, specifier, line, ..declared });
}

/// The version comparisons of a filter.
fn range(tokens: &Tokens<'_>, filter: Range<usize>) -> String {
    let mut range = String::new();
    let mut operator = String::new();
    let mut joint = "";
    // `os != "win32"` compares a variable, not the version.
    let mut of_variable = false;
    for at in filter.take(LONGEST_FILTER) {
        match (tokens.mark(at), tokens.text(at)) {
            (Some(mark @ ('<' | '>' | '=' | '!')), _) => {
                if operator.is_empty() {
                    of_variable = tokens.word(at.saturating_sub(1)).is_some();
                }
                operator.push(mark);
            }
            (None, Some(_)) if of_variable => {
                operator.clear();
                of_variable = false;
            }
            (Some('&'), _) => joint = " & ",
            (Some('|'), _) => joint = " | ",
            (None, Some(version)) if !operator.is_empty() => {
                if !range.is_empty() {
                    range.push_str(if joint.is_empty() { " & " } else { joint });
                }
                range.push_str(&operator);
                range.push(' ');
                range.push_str(version);
                operator.clear();
                joint = "";
            }
            // `{= version}` is the version of the package itself.
            (None, None) if tokens.word(at) == Some("version") => operator.clear(),
            _ => {}
        }
    }
    range
}
