//! `mix.exs`, by the documentation of `Mix.Tasks.Deps`.
//!
//! Input: a program in Elixir. Output: its dependencies: tuples that begin with an atom, such as
//! `{:app, "~>
//! 1.0", only: :test}` or `{:app, git: "…"}`, in any function. Invariants: nothing is run; a dependency with
//! a path, or of the same umbrella, is part of the repository; other tuples are ignored.

use super::is_single;
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

/// Tokens that are read of a list of environments.
const MAX_WORDS: usize = 64;

/// Reads `mix.exs`.
#[derive(Debug)]
pub(in crate::ecosystem) struct MixProject;

impl Parser for MixProject {
    fn name(&self) -> &'static str {
        "mix"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "mix.exs"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Hex, Source::Manifest).merging();
        let text = text::decode(file.bytes);
        let tokens = script::tokens(&text, Dialect::Elixir);
        tokens.warn(&mut found);
        for at in (0..tokens.len()).filter(|at| tokens.is_mark(*at, '{')) {
            let atom = tokens.skip_lines(at + 1);
            let name = tokens.word(atom + 1).or_else(|| tokens.text(atom + 1));
            if let Some(name) = name.filter(|_| tokens.is_mark(atom, ':')) {
                dependency(&tokens, name, at, &mut found);
            }
        }
        found.finish()
    }
}

fn dependency(tokens: &Tokens<'_>, app: &str, at: usize, found: &mut Collector<'_>) {
    let parts = tokens.elements(at);
    let requirement =
        parts.get(1).and_then(|part| tokens.text(part.start).filter(|_| is_single(tokens, part)));
    let requirement = requirement.map(str::trim).filter(|requirement| is_requirement(requirement));
    let options = options(tokens, parts.get(1..).unwrap_or_default());
    let option =
        |key: &str| options.iter().find(|option| option.0 == key).map(|option| option.1.clone());
    let value = |key: &str| tokens.first_literal(option(key)?);
    let address = ["git", "github"].iter().find_map(|key| value(key));
    let is_known = requirement.is_some() || address.is_some() || option("hex").is_some();
    let is_own = option("path").is_some() || value("in_umbrella") == Some("true");
    if !is_known || is_own {
        return;
    }
    let reference = ["ref", "tag", "branch"].iter().find_map(|key| value(key));
    let exact = requirement.map(|requirement| requirement.trim_start_matches("==").trim());
    let exact = exact.filter(|version| {
        version.starts_with(|character: char| character.is_ascii_digit())
            && !version.contains(char::is_whitespace)
    });
    let version = exact.or_else(|| reference.and_then(git_reference::commit));
    let specifier = requirement.or(reference).filter(|_| version.is_none());
    let only = option("only").map(|range| tokens_of(tokens, range)).unwrap_or_default();
    let scope = if only.is_empty() || only.contains(&"prod") {
        match (value("optional"), value("runtime")) {
            (Some("true"), _) => Scope::Optional,
            (_, Some("false")) => Scope::Build,
            _ => Scope::Runtime,
        }
    } else if only.contains(&"dev") {
        Scope::Dev
    } else {
        Scope::Test
    };
    let (name, line) = (value("hex").unwrap_or(app), tokens.line(at));
    let (direct, scope) = (Some(true), Some(scope));
    found.add(Declared { name, version, specifier, line, direct, scope });
}

/// `~> 1.0`, `>= 1.0.0 and < 2.0.0`, `1.2.3`.
fn is_requirement(text: &str) -> bool {
    let number = text.trim_start_matches(['~', '>', '<', '=', '!', ' ']);
    number.starts_with(|character: char| character.is_ascii_digit())
}

/// The `key: value` parts of a tuple: each key, and the tokens of its value. A list in brackets is read like
/// one without. Values are not searched, because tuples may nest without end.
fn options<'t>(tokens: &'t Tokens<'_>, parts: &[Range<usize>]) -> Vec<(&'t str, Range<usize>)> {
    let listed = parts.iter().flat_map(|part| {
        let list = tokens.elements(part.start);
        if tokens.is_mark(part.start, '[') { list } else { vec![part.clone()] }
    });
    listed
        .filter(|part| tokens.is_mark(part.start + 1, ':'))
        .filter_map(|part| Some((tokens.word(part.start)?, part.start + 2..part.end)))
        .collect()
}

/// The words in a range of tokens: `:dev`, or `[:dev, :test]`.
fn tokens_of<'t>(tokens: &'t Tokens<'_>, range: Range<usize>) -> Vec<&'t str> {
    range.take(MAX_WORDS).filter_map(|at| tokens.word(at)).collect()
}
