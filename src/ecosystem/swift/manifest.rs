//! `Package.swift`, by "`PackageDescription`" of the Swift package manager.
//!
//! What flows in: a program in Swift. What flows out: what its `.package(…)` calls ask for, named by
//! the last part of the address, as the manager does it. What must stay true: nothing is run; a
//! package with a path is part of the repository; what the targets use is no declaration.

use super::address;
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    git_reference,
    purl::Ecosystem,
    script::{self, Dialect, Tokens},
    source::file_name,
    text,
};
use crate::model::scan_result::{Scope, Source};
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
        // `Package@swift-5.9.swift` is for one version of Swift.
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
            // One that nothing closes ends where the next one begins.
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
        let key = range.clone().find(|it| is_key(*it))?;
        tokens.text(tokens.skip_lines(key + 2))
    };
    // `.exact("1.0.0")`, `.branch("main")`.
    let call = |name: &str| {
        let is_call = |at: usize| tokens.word(at) == Some(name) && tokens.is_mark(at + 1, '(');
        range.clone().find(|it| is_call(*it)).and_then(|it| tokens.text(it + 2))
    };
    let line = tokens.line(range.start);
    let named = value("url").and_then(address::name_of);
    // A registry's packages are `scope.name`.
    let id = value("id").map(|it| it.replacen('.', "/", 1));
    let Some(whole) = named.or(id) else {
        if value("path").is_none() {
            found.warn(line, "a package whose address only running the manifest would tell");
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
    let _ = found.take_as(Ecosystem::Swift.as_str(), declared, |version| {
        Ecosystem::Swift.purl(&whole, version)
    });
}

/// The range that is asked for, in words of its own: `from: "1.0.0"`, `"1.0.0"..<"2.0.0"`, a branch.
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
        let is_minor = range.clone().any(|it| tokens.word(it) == Some("upToNextMinor"));
        return Some(format!("{} {from}", if is_minor { "~>" } else { "^" }));
    }
    let is_dots = |at: usize| tokens.is_mark(at, '.') && tokens.is_mark(at + 1, '.');
    let dots = range.clone().find(|it| is_dots(*it))?;
    let upper = tokens.text(dots + 3)?;
    let lower = tokens.text(dots.checked_sub(1)?)?;
    let operator = if tokens.is_mark(dots + 2, '<') { "<" } else { "<=" };
    Some(format!(">= {lower}, {operator} {upper}"))
}
