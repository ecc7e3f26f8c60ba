//! `mix.exs`, by the documentation of `Mix.Tasks.Deps`.
//!
//! What flows in: a program in Elixir. What flows out: its dependencies, which are tuples that begin
//! with an atom: `{:app, "~> 1.0", only: :test}` or `{:app, git: "…"}`, in whatever function they
//! stand. What must stay true: nothing is run; a dependency with a path, or of the same umbrella, is
//! part of the repository; any other tuple is none.

use super::is_single;
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

/// More tokens no list of environments has.
const MOST_WORDS: usize = 64;

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
        parts.get(1).and_then(|it| tokens.text(it.start).filter(|_| is_single(tokens, it)));
    let requirement = requirement.map(str::trim).filter(|it| is_requirement(it));
    let options = options(tokens, parts.get(1..).unwrap_or_default());
    let option = |key: &str| options.iter().find(|it| it.0 == key).map(|it| it.1.clone());
    let value = |key: &str| tokens.first_literal(option(key)?);
    let address = ["git", "github"].iter().find_map(|it| value(it));
    let is_known = requirement.is_some() || address.is_some() || option("hex").is_some();
    let is_own = option("path").is_some() || value("in_umbrella") == Some("true");
    if !is_known || is_own {
        return;
    }
    let reference = ["ref", "tag", "branch"].iter().find_map(|it| value(it));
    let exact = requirement.map(|it| it.trim_start_matches("==").trim());
    let exact = exact.filter(|it| {
        it.starts_with(|it: char| it.is_ascii_digit()) && !it.contains(char::is_whitespace)
    });
    let version = exact.or_else(|| reference.and_then(git_reference::commit));
    let specifier = requirement.or(reference).filter(|_| version.is_none());
    let only = option("only").map(|it| tokens_of(tokens, it)).unwrap_or_default();
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
    number.starts_with(|it: char| it.is_ascii_digit())
}

/// The keys of a tuple's parts `key: value`, and where the values are. A list in brackets of its own
/// is read as one without. What is inside of a value is passed over: it may be tuples without end.
fn options<'t>(tokens: &'t Tokens<'_>, parts: &[Range<usize>]) -> Vec<(&'t str, Range<usize>)> {
    let listed = parts.iter().flat_map(|part| {
        let list = tokens.elements(part.start);
        if tokens.is_mark(part.start, '[') { list } else { vec![part.clone()] }
    });
    listed
        .filter(|it| tokens.is_mark(it.start + 1, ':'))
        .filter_map(|it| Some((tokens.word(it.start)?, it.start + 2..it.end)))
        .collect()
}

/// The words of some places: `:dev`, or `[:dev, :test]`.
fn tokens_of<'t>(tokens: &'t Tokens<'_>, places: Range<usize>) -> Vec<&'t str> {
    places.take(MOST_WORDS).filter_map(|at| tokens.word(at)).collect()
}
