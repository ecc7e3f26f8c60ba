//! `Podfile`, by the "Podfile Syntax Reference" of `CocoaPods`.
//!
//! Input: a program in Ruby. Output: the pods of its `pod` calls, in any target. Invariants: nothing is
//! run, so a pod counts whatever its condition is, and a computed name is a warning; a pod with a path is
//! part of the repository, with the same exceptions as in the lock file.

use super::is_own_path;
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    git_reference,
    path::file_name,
    ruby::{Word, statements, words},
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};

/// Reads `Podfile`.
#[derive(Debug)]
pub(in crate::ecosystem) struct Podfile;

impl Parser for Podfile {
    fn name(&self) -> &'static str {
        "podfile"
    }

    fn wants(&self, path: &str) -> bool {
        matches!(file_name(path), "Podfile" | "Podfile.rb")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::CocoaPods, Source::Manifest).merging();
        let text = text::decode(file.bytes);
        for (line, statement) in statements(&text) {
            if text::is_merge_marker(&statement) {
                found.warn(line, text::MERGE_MARKER);
                continue;
            }
            let words = words(&statement);
            let calls = words.iter().enumerate().filter(|(_, word)| **word == Word::Name("pod"));
            for (at, _) in calls {
                pod(words.get(at + 1..).unwrap_or_default(), line, &mut found);
            }
        }
        found.finish()
    }
}

/// `'Name', '~> 1.0', :git => 'https://…', :tag => '1.0'`
fn pod(arguments: &[Word<'_>], line: u32, found: &mut Collector<'_>) {
    let begin = usize::from(arguments.first() == Some(&Word::Mark('(')));
    match arguments.get(begin) {
        Some(Word::String(_)) => {}
        Some(Word::Name(_) | Word::Template(_)) => {
            return found.warn(line, "a pod whose name is computed");
        }
        // A variable named `pod`.
        _ => return,
    }
    let (mut values, mut options, mut key) = (Vec::new(), Vec::new(), None);
    for word in arguments {
        match *word {
            Word::Key(name) => key = Some(name),
            Word::String(value) => match key.take() {
                Some(key) => options.push((key, value)),
                // Strings of a list that belongs to an option.
                None if options.is_empty() => values.push(value),
                None => {}
            },
            Word::Name("if" | "unless" | "pod" | "do") | Word::Mark(';') => break,
            // A list, such as the configurations of a pod.
            Word::Mark('[') if key.take().is_some() => break,
            _ => {}
        }
    }
    let Some((name, constraints)) = values.split_first() else { return };
    let option = |key: &str| options.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
    if option("path").is_some_and(is_own_path) {
        return;
    }
    let reference = ["commit", "tag", "branch"].iter().find_map(|key| option(key));
    let exact = match constraints {
        [one] => Some(one.trim_start_matches('=').trim()),
        _ => None,
    };
    let exact =
        exact.filter(|version| version.starts_with(|character: char| character.is_ascii_digit()));
    let version = exact.or_else(|| reference.and_then(git_reference::commit));
    let range = constraints.join(", ");
    let specifier = Some(range.as_str()).filter(|range| !range.is_empty()).or(reference);
    let specifier = specifier.filter(|_| version.is_none());
    let (direct, scope) = (Some(true), Some(Scope::Runtime));
    found.add(Declared { name, version, specifier, line, direct, scope });
}
