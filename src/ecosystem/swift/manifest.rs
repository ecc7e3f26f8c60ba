//! `Package.swift`, by "`PackageDescription`" of the Swift package manager.
//!
//! Input: a program in Swift. Output: the packages of its `.package(…)` calls, named by the last part of the
//! address, as the package manager names them. Invariants: nothing is run; a package with a path is part of
//! the repository; uses in targets are not declarations.

use super::address;
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    git_reference,
    path::file_name,
    script::{self, Dialect, Tokens},
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::ops::Range;

/// Reads `Package.swift`.
#[derive(Debug)]
pub(in crate::ecosystem) struct PackageSwift;

impl Parser for PackageSwift {
    fn name(&self) -> &'static str {
        "package-swift"
    }

    fn wants(&self, path: &str) -> bool {
        let name = file_name(path);
        // `Package@swift-5.9.swift` applies to one version of Swift.
        name == "Package.swift" || name.starts_with("Package@swift-") && name.ends_with(".swift")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Swift, Source::Manifest).merging();
        let text = text::decode(file.bytes);
        let tokens = script::tokens(&text, Dialect::Swift);
        tokens.warn(&mut found);
        let begins = |at: usize| {
            tokens.is_mark(at, '.')
                && tokens.word(at + 1) == Some("package")
                && tokens.is_mark(at + 2, '(')
        };
        let mut calls = (0..tokens.len()).filter(|at| begins(*at)).peekable();
        while let Some(at) = calls.next() {
            // An unclosed call ends where the next one begins.
            let next = calls.peek().copied().unwrap_or(tokens.len());
            package(&tokens, at + 2..tokens.behind_bracket(at + 2).min(next), &mut found);
        }
        found.finish()
    }
}

fn package(tokens: &Tokens<'_>, range: Range<usize>, found: &mut Collector<'_>) {
    // `key: value`, at whatever depth: `.upToNextMajor(from: "1.0.0")`.
    let value = |key: &str| {
        let is_key = |at: usize| tokens.word(at) == Some(key) && tokens.is_mark(at + 1, ':');
        let key = range.clone().find(|at| is_key(*at))?;
        tokens.text(tokens.skip_lines(key + 2))
    };
    // `.exact("1.0.0")`, `.branch("main")`.
    let call = |name: &str| {
        let is_call = |at: usize| tokens.word(at) == Some(name) && tokens.is_mark(at + 1, '(');
        range.clone().find(|at| is_call(*at)).and_then(|at| tokens.text(at + 2))
    };
    let line = tokens.line(range.start);
    let named = value("url").and_then(address::name_of);
    // Registries name packages `scope.name`.
    let id = value("id").map(|id| id.replacen('.', "/", 1));
    let Some(whole) = named.or(id) else {
        if value("path").is_none() {
            found.warn(line, "the package's address is known only at run time");
        }
        return;
    };
    let name = value("id").or_else(|| whole.rsplit('/').next()).unwrap_or_default();
    let revision = value("revision").or_else(|| call("revision"));
    let version = value("exact").or_else(|| call("exact"));
    let version = version.or_else(|| revision.and_then(git_reference::commit));
    let wanted = if version.is_some() { None } else { wanted(tokens, &range, &value, &call) };
    let specifier = wanted.as_deref().or(revision.filter(|_| version.is_none()));
    let (direct, scope) = (Some(true), Some(Scope::Runtime));
    let declared = Declared { name, version, specifier, line, direct, scope };
    let _ = found.take_as(Ecosystem::Swift.into(), declared, |version| {
        Ecosystem::Swift.purl(&whole, version)
    });
}

/// The required range in a uniform notation, from `from: "1.0.0"`, `"1.0.0"..<"2.0.0"` or a branch.
fn wanted<'t>(
    tokens: &'t Tokens<'_>,
    range: &Range<usize>,
    value: &dyn Fn(&str) -> Option<&'t str>,
    call: &dyn Fn(&str) -> Option<&'t str>,
) -> Option<String> {
    if let Some(branch) = value("branch").or_else(|| call("branch")) {
        return Some(branch.to_owned());
    }
    if let Some(from) = value("from") {
        let is_minor = range.clone().any(|at| tokens.word(at) == Some("upToNextMinor"));
        return Some(format!("{} {from}", if is_minor { "~>" } else { "^" }));
    }
    let is_dots = |at: usize| tokens.is_mark(at, '.') && tokens.is_mark(at + 1, '.');
    let dots = range.clone().find(|at| is_dots(*at))?;
    let upper = tokens.text(dots + 3)?;
    let lower = tokens.text(dots.checked_sub(1)?)?;
    let operator = if tokens.is_mark(dots + 2, '<') { "<" } else { "<=" };
    Some(format!(">= {lower}, {operator} {upper}"))
}
