//! `*.gemspec`, by "Specification Reference" of the `RubyGems` guides.
//!
//! Input: a program in Ruby, written manually or by `RubyGems`. Output: the gems of its `add_dependency` and
//! similar calls, also in loops over literal lists, and the name of the gem itself. Invariants: nothing is run; the
//! gem itself is not a package; a computed name or version is a warning.

use super::{
    call::{Call, is_call},
    exact,
    own::OwnGems,
    program::Program,
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
        let mut program = Program::new(file.bytes.len(), is_call, file.budget);
        let mut name = None;
        for (line, statement) in statements(&text) {
            name = name.or_else(|| name_of(&words(&statement)).map(str::to_owned));
            for expanded in program.expand(&statement) {
                let words = words(&expanded);
                let calls = words.iter().enumerate();
                for (at, scope) in calls.filter_map(|(at, word)| Some((at, scope_of(*word)?))) {
                    let call = Call::of(words.get(at..).unwrap_or_default());
                    dependency(&call, scope, line, &mut seen, &mut found);
                }
            }
        }
        // A computed name is mostly that of the file, as `RubyGems` requires for `gem build`.
        let name = name.as_deref().or_else(|| file.file_name().strip_suffix(".gemspec"));
        if let Some(own) = OwnGems::of(file.path, name.into_iter()) {
            found.keep(own);
        }
        found.finish()
    }
}

fn dependency(
    call: &Call<'_>,
    scope: Scope,
    line: u32,
    seen: &mut HashSet<(Scope, String, String)>,
    found: &mut Collector<'_>,
) {
    let (Some((name, constraints)), false) = (call.values.split_first(), call.has_computed_name)
    else {
        return found.warn(line, "the dependency's name is computed");
    };
    let is_computed = call.has_computed_value;
    // The other constraints alone could name a version that is not the one that is meant.
    let constraints: &[&str] = if is_computed { &[] } else { constraints };
    let constraint = constraints.join(", ");
    if !seen.insert((scope, (*name).to_owned(), constraint.clone())) {
        return;
    }
    if is_computed {
        found.warn(line, format!("the version of `{}` is computed", text::excerpt(name)));
    }
    let version = exact(constraints);
    let specifier = version.is_none().then_some(constraint.as_str());
    let (direct, scope) = (Some(true), Some(scope));
    found.add(Declared { name, version, specifier, line, direct, scope });
}

/// The name of the gem: `spec.name = "name"`, `Gem::Specification.new "name"`.
fn name_of<'a>(words: &[Word<'a>]) -> Option<&'a str> {
    if let [Word::Name(_), Word::Mark('.'), Word::Name("name"), Word::Mark('='), value @ ..] = words
    {
        return match value {
            [Word::String(name), ..] => Some(*name),
            _ => None,
        };
    }
    let new = words.iter().position(|word| *word == Word::Name("new"))?;
    let is_specification = words
        .get(..new)?
        .iter()
        .any(|word| matches!(word, Word::Name("Specification") | Word::Symbol("Specification")));
    let arguments = words.get(new + 1..).filter(|_| is_specification)?;
    match arguments {
        [Word::String(name), ..] | [Word::Mark('('), Word::String(name), ..] => Some(*name),
        _ => None,
    }
}

fn scope_of(word: Word<'_>) -> Option<Scope> {
    match word {
        Word::Name("add_dependency" | "add_runtime_dependency") => Some(Scope::Runtime),
        Word::Name("add_development_dependency") => Some(Scope::Dev),
        _ => None,
    }
}
