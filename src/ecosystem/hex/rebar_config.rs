//! `rebar.config`, by "Dependencies" of rebar3's documentation.
//!
//! Input: Erlang terms. Output: the elements of each `{deps, […]}` and of the lists of plugins:
//! `app`, `{app, "1.0.0"}`, `{app, {git, "…", {tag, "…"}}}`, `{app, ".*", {git, …}}`. Invariants:
//! no term is evaluated; a malformed entry loses only itself.

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

/// Reads `rebar.config`.
#[derive(Debug)]
pub(in crate::ecosystem) struct RebarConfig;

impl Parser for RebarConfig {
    fn name(&self) -> &'static str {
        "rebar"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "rebar.config"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Hex, Source::Manifest).merging();
        let text = text::decode(file.bytes);
        let tokens = script::tokens(&text, Dialect::Erlang);
        tokens.warn(&mut found);
        let mut profile: Option<(usize, Scope)> = None;
        for at in 0..tokens.len() {
            profile = profile.filter(|(end, _)| at < *end);
            let list = tokens.skip_lines(at + 3);
            let begins = tokens.is_mark(at, '{') && tokens.is_mark(at + 2, ',');
            let Some(key) = tokens.word(at + 1).filter(|_| begins && tokens.is_mark(list, '['))
            else {
                continue;
            };
            let scope = match key {
                "deps" => profile.map_or(Scope::Runtime, |(_, scope)| scope),
                "plugins" | "project_plugins" => Scope::Build,
                "test" => {
                    profile = Some((tokens.behind_bracket(at), Scope::Test));
                    continue;
                }
                "dev" | "docs" | "check" | "lint" => {
                    profile = Some((tokens.behind_bracket(at), Scope::Dev));
                    continue;
                }
                _ => continue,
            };
            for element in tokens.elements(list) {
                dependency(&tokens, element, scope, &mut found);
            }
        }
        found.finish()
    }
}

fn dependency(tokens: &Tokens<'_>, element: Range<usize>, scope: Scope, found: &mut Collector<'_>) {
    let line = tokens.line(element.start);
    let parts = tokens.elements(element.start);
    // A single atom is a package in its newest version.
    let named = parts.first().cloned().unwrap_or_else(|| element.clone());
    let name = tokens.word(named.start).or_else(|| tokens.text(named.start));
    let Some(app) = name.filter(|_| is_single(tokens, &named)) else {
        return found.warn(line, "expected a name, or a tuple that begins with one");
    };
    let range =
        parts.get(1).and_then(|part| tokens.text(part.start).filter(|_| is_single(tokens, part)));
    // rebar 2 writes a pattern for any version; the source determines it.
    let range = range.map(str::trim).filter(|range| !range.contains(['*', '\\']));
    let source = parts.iter().skip(1).find(|part| tokens.is_mark(part.start, '{'));
    let source = source.map(|part| tokens.elements(part.start)).unwrap_or_default();
    let literal = |at: usize| tokens.first_literal(source.get(at)?.clone());
    let is_package = literal(0) == Some("pkg");
    let name = literal(1).filter(|_| is_package).unwrap_or(app);
    // `{tag, "1.0"}`, `{ref, "…"}`, `{branch, "…"}`, or in old files the branch alone.
    let reference = source.get(2).filter(|_| !is_package).and_then(|tuple| {
        let parts = tokens.elements(tuple.start);
        let place = parts.get(1).unwrap_or(tuple);
        tokens.first_literal(place.clone())
    });
    let exact = range.map(|range| range.trim_start_matches("==").trim());
    let exact = exact.filter(|version| {
        version.starts_with(|character: char| character.is_ascii_digit())
            && !version.contains(char::is_whitespace)
    });
    let version = reference.and_then(git_reference::commit).or(exact);
    let specifier = reference.or(range).filter(|_| version.is_none());
    let (direct, scope) = (Some(true), Some(scope));
    found.add(Declared { name, version, specifier, line, direct, scope });
}
