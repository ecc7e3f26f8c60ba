//! `*.gemspec`, by "Specification Reference" of the `RubyGems` guides.
//!
//! Input: a program in Ruby, written manually or by `RubyGems`. Output: the gems of its `add_dependency` and
//! similar calls. Invariants: nothing is run; the gem itself is not a package.

use super::{
    exact,
    words::{Word, statements, words},
};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::collections::HashSet;

/// Reads `*.gemspec`.
#[derive(Debug)]
pub(in crate::ecosystem) struct Gemspec;

impl Parser for Gemspec {
    fn name(&self) -> &'static str {
        "gemspec"
    }

    fn wants(&self, path: &str) -> bool {
        path.ends_with(".gemspec")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Gem, Source::Manifest);
        let text = text::decode(file.bytes);
        // Old versions of `RubyGems` wrote each dependency for three versions of `RubyGems`.
        let mut seen = HashSet::new();
        for (line, statement) in statements(&text) {
            let words = words(&statement);
            let calls = words.iter().enumerate();
            for (at, scope) in calls.filter_map(|(at, word)| Some((at, scope_of(*word)?))) {
                let arguments = arguments(words.get(at + 1..).unwrap_or_default());
                let Some((name, constraints)) = arguments.split_first() else {
                    found.warn(line, "the dependency's name is computed");
                    continue;
                };
                let constraint = constraints.join(", ");
                if !seen.insert((scope, (*name).to_owned(), constraint.clone())) {
                    continue;
                }
                let version = exact(constraints);
                let specifier = version.is_none().then_some(constraint.as_str());
                let (direct, scope) = (Some(true), Some(scope));
                found.add(Declared { name, version, specifier, line, direct, scope });
            }
        }
        found.finish()
    }
}

/// The strings of a call, up to its condition or the next call in the line.
fn arguments<'a>(words: &[Word<'a>]) -> Vec<&'a str> {
    let is_end = |word: &Word<'_>| {
        matches!(word, Word::Name("if" | "unless") | Word::Mark(';')) || scope_of(*word).is_some()
    };
    words
        .iter()
        .take_while(|word| !is_end(word))
        .filter_map(|word| if let Word::String(value) = word { Some(*value) } else { None })
        .collect()
}

fn scope_of(word: Word<'_>) -> Option<Scope> {
    match word {
        Word::Name("add_dependency" | "add_runtime_dependency") => Some(Scope::Runtime),
        Word::Name("add_development_dependency") => Some(Scope::Dev),
        _ => None,
    }
}
