//! `cpanfile`, by "cpanfile - A format for describing CPAN dependencies".
//!
//! What flows in: a program of calls. What flows out: the modules that they name, with their phase.
//! What must stay true: nothing is run; a version without an operator is the least that will do.

use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    purl::Ecosystem,
    script::{self, Dialect, Tokens},
    source::file_name,
    text,
};
use crate::model::scan_result::{Scope, Source};

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
        let mut found = Collector::new(file, Ecosystem::Cpan, Source::Manifest);
        let text = text::decode(file.bytes);
        let tokens = script::tokens(&text, Dialect::Perl);
        tokens.warn(&mut found);
        // The blocks that are open, each with its end.
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

/// `on 'test' => sub {` and `feature 'name', 'description' => sub {`: where the block ends, and what
/// it is for.
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
            found.warn(
                tokens.line(at),
                "not a literal: only running the file would tell what it is",
            );
        }
        return;
    };
    if name == "perl" {
        return;
    }
    let behind = match (tokens.mark(at + 1), tokens.mark(at + 2)) {
        (Some(','), _) => at + 2,
        (Some('='), Some('>')) => at + 3,
        _ => at + 1,
    };
    let number = number(tokens, behind);
    let range = tokens.text(behind).or(number.as_deref()).filter(|_| behind > at + 1);
    let range = range.map(str::trim).filter(|it| *it != "0");
    let version = range.and_then(|it| it.strip_prefix("==")).map(str::trim);
    let version = version.filter(|it| !it.contains(','));
    let specifier = if version.is_none() { range } else { None };
    let line = tokens.line(at);
    let (direct, scope) = (Some(true), Some(scope));
    found.add(Declared { name, version, specifier, line, direct, scope });
}

/// A version that is written as a number: `1.23`.
fn number(tokens: &Tokens<'_>, at: usize) -> Option<String> {
    let first = tokens.word(at)?;
    let is_number = |it: &str| {
        let digits = it.trim_start_matches('v');
        !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit() || it == b'_')
    };
    let mut number = Some(first).filter(|it| is_number(it))?.to_owned();
    let mut at = at + 1;
    while tokens.is_mark(at, '.') && number.len() < 100 {
        let part = tokens.word(at + 1).filter(|it| is_number(it))?;
        number.push('.');
        number.push_str(part);
        at += 2;
    }
    Some(number)
}
