//! `cpanfile`, by "cpanfile - A format for describing CPAN dependencies".
//!
//! Input: a program of calls. Output: the modules that the calls name, with the scope of their phase.
//! Invariants: nothing is run; a version without an operator is a minimum.

use crate::ecosystem::{
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
use std::borrow::Cow;

/// Reads `cpanfile`.
#[derive(Debug)]
pub(in crate::ecosystem) struct CpanFile;

impl Parser for CpanFile {
    fn name(&self) -> &'static str {
        "cpanfile"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "cpanfile"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Cpan, Source::Manifest).merging();
        let text = text::decode(file.bytes);
        let text = without_documentation(&text);
        let tokens = script::tokens(&text, Dialect::Perl);
        tokens.warn(&mut found);
        // The open blocks, each with its end.
        let mut phases: Vec<(usize, Scope)> = Vec::new();
        for at in 0..tokens.len() {
            while phases.last().is_some_and(|(end, _)| at >= *end) {
                phases.pop();
            }
            let Some(word) = tokens.word(at) else { continue };
            if let Some(phase) = block(&tokens, at, word) {
                phases.push(phase);
            } else if let Some(own) = scope_of(word) {
                let around = phases.last().map_or(Scope::Runtime, |(_, scope)| *scope);
                let scope = if own == Scope::Runtime { around } else { own };
                module(&tokens, at + 1, scope, &mut found);
            }
        }
        found.finish()
    }
}

/// The program without POD (from a line with `=name` to `=cut`) and without everything after `__END__`. The
/// line numbers stay the same.
fn without_documentation(text: &str) -> Cow<'_, str> {
    if !text.starts_with('=') && !text.contains("\n=") && !text.contains("\n__") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut is_documentation = false;
    for line in text.lines() {
        let begins = |mark: char| {
            line.strip_prefix(mark).is_some_and(|rest| {
                rest.starts_with(|character: char| character.is_ascii_alphabetic())
            })
        };
        if !is_documentation && matches!(line.trim_end(), "__END__" | "__DATA__") {
            break;
        }
        let is_end = is_documentation && line.starts_with("=cut");
        is_documentation |= begins('=');
        if !is_documentation {
            out.push_str(line);
        }
        is_documentation &= !is_end;
        out.push('\n');
    }
    Cow::Owned(out)
}

/// Reads `on 'test' => sub {` or `feature 'name', 'description' => sub {`: the end of the block, and its
/// scope.
fn block(tokens: &Tokens<'_>, at: usize, word: &str) -> Option<(usize, Scope)> {
    if !matches!(word, "on" | "feature") {
        return None;
    }
    let opens = (at + 1..at + 12).find(|at| tokens.is_mark(*at, '{'))?;
    let phase = tokens.text(at + 1).or_else(|| tokens.word(at + 1))?;
    let scope = match phase {
        _ if word == "feature" => Scope::Optional,
        "test" => Scope::Test,
        "build" | "configure" => Scope::Build,
        "develop" => Scope::Dev,
        _ => Scope::Runtime,
    };
    Some((tokens.behind_bracket(opens), scope))
}

fn scope_of(word: &str) -> Option<Scope> {
    match word {
        "requires" => Some(Scope::Runtime),
        "recommends" | "suggests" => Some(Scope::Optional),
        "test_requires" => Some(Scope::Test),
        "build_requires" | "configure_requires" => Some(Scope::Build),
        "author_requires" => Some(Scope::Dev),
        _ => None,
    }
}

/// `'Module', '>= 1.0, < 2.0'`, `'Module' => 1.0` or `'Module', git => …, ref => …`.
fn module(tokens: &Tokens<'_>, at: usize, scope: Scope, found: &mut Collector<'_>) {
    let at = if tokens.is_mark(at, '(') { tokens.skip_lines(at + 1) } else { at };
    let Some(name) = tokens.text(at) else {
        if tokens.word(at).is_some() {
            found.warn(tokens.line(at), "not a literal: the value is known only at run time");
        }
        return;
    };
    let comma = tokens.skip_lines(at + 1);
    let behind = match (tokens.mark(comma), tokens.mark(comma + 1)) {
        (Some(','), _) => Some(tokens.skip_lines(comma + 1)),
        (Some('='), Some('>')) => Some(tokens.skip_lines(comma + 2)),
        _ => None,
    };
    let number = behind.and_then(|at| number(tokens, at));
    let range = behind.and_then(|at| tokens.text(at)).or(number.as_deref());
    requirement(name, range, tokens.line(at), scope, found);
}

/// Adds a module with its version range, as written.
pub(super) fn requirement(
    name: &str,
    range: Option<&str>,
    line: u32,
    scope: Scope,
    found: &mut Collector<'_>,
) {
    if name == "perl" {
        return;
    }
    let range = range.map(str::trim).filter(|range| *range != "0");
    let version = range.and_then(|range| range.strip_prefix("==")).map(str::trim);
    let version = version.filter(|version| !version.contains(','));
    let specifier = if version.is_none() { range } else { None };
    let (direct, scope) = (Some(true), Some(scope));
    found.add(Declared { name, version, specifier, line, direct, scope });
}

/// Reads a version that is written as a number: `1.23`.
fn number(tokens: &Tokens<'_>, at: usize) -> Option<String> {
    let first = tokens.word(at)?;
    let is_number = |part: &str| {
        let digits = part.trim_start_matches('v');
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
    };
    let mut number = Some(first).filter(|part| is_number(part))?.to_owned();
    let mut at = at + 1;
    while tokens.is_mark(at, '.') && number.len() < 100 {
        let part = tokens.word(at + 1).filter(|part| is_number(part))?;
        number.push('.');
        number.push_str(part);
        at += 2;
    }
    Some(number)
}
