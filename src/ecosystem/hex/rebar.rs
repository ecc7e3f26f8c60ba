//! `rebar.lock`, as `rebar_config:write_lock_file` of rebar3 writes it.
//!
//! Input: Erlang terms `{<<"app">>,Source,Level}`. Output: packages of Hex with their version, repositories
//! with their commit, and the digests of archives. Invariants: entries of level 0 are direct.

use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Added, Collector, Declared},
    git_reference,
    path::file_name,
    script::{self, Dialect, Tokens},
    text,
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};
use std::{collections::HashMap, ops::Range};

/// Reads `rebar.lock`.
#[derive(Debug)]
pub(in crate::ecosystem) struct RebarLock;

impl Parser for RebarLock {
    fn name(&self) -> &'static str {
        "rebar-lock"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "rebar.lock"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Hex, Source::Lockfile);
        let text = text::decode(file.bytes);
        let tokens = script::tokens(&text, Dialect::Erlang);
        tokens.warn(&mut found);
        let places = 0..tokens.len();
        if !places.clone().any(|at| tokens.is_mark(at, '[')) {
            found.warn(1, "no list of locked dependencies");
            return found.unreadable();
        }
        let digests = digests(&tokens);
        for at in places {
            if let Some(name) = app_of_entry(&tokens, at) {
                let added = read_entry(&tokens, at, name, &mut found);
                found.hash(added, digests.get(name).copied().unwrap_or_default());
            }
        }
        found.finish()
    }
}

/// The digests of the archives by application: `{pkg_hash_ext,[{<<"app">>,<<"digits">>},…`.
fn digests<'t>(tokens: &'t Tokens<'_>) -> HashMap<&'t str, &'t str> {
    let list = (0..tokens.len())
        .find(|at| tokens.word(*at) == Some("pkg_hash_ext") && tokens.is_mark(at + 1, ','));
    let entries = list.map(|at| tokens.elements(tokens.skip_lines(at + 2))).unwrap_or_default();
    let pair = |entry: Range<usize>| {
        let mut parts = tokens.elements(entry.start).into_iter();
        let mut next = || tokens.first_literal(parts.next()?);
        Some((next()?, next()?))
    };
    entries.into_iter().filter_map(pair).collect()
}

/// The application of `{<<"app">>,{…`, the beginning of an entry.
fn app_of_entry<'t>(tokens: &'t Tokens<'_>, at: usize) -> Option<&'t str> {
    let marks = [(0, '{'), (1, '<'), (2, '<'), (4, '>'), (5, '>'), (6, ',')];
    let begins = marks.iter().all(|(by, mark)| tokens.is_mark(at + by, *mark));
    (begins && tokens.is_mark(tokens.skip_lines(at + 7), '{')).then(|| tokens.text(at + 3))?
}

fn read_entry(
    tokens: &Tokens<'_>,
    at: usize,
    app: &str,
    found: &mut Collector<'_>,
) -> Option<Added> {
    let line = tokens.line(at);
    let entry = tokens.elements(at);
    let source = tokens.elements(tokens.skip_lines(at + 7));
    let literal = |number: usize| tokens.first_literal(source.get(number)?.clone());
    let level = entry.get(2).and_then(|range| tokens.first_literal(range.clone()));
    let direct = level.and_then(|number| number.parse::<u32>().ok()).map(|number| number == 0);
    let declared = Declared { name: app, line, direct, ..Declared::default() };
    match literal(0).unwrap_or_default() {
        "pkg" => {
            let (name, version) = (literal(1).unwrap_or(app), literal(2));
            if version.is_none() {
                found.warn(line, format!("`{}` has no version", text::excerpt(app)));
            }
            found.take(Ecosystem::Hex, Declared { name, version, ..declared })
        }
        "git" | "git_subdir" | "hg" => {
            // `{ref,"…"}`, `{tag,"…"}`, `{branch,"…"}`.
            let reference = source.get(2).and_then(|tuple| {
                let parts = tokens.elements(tuple.start);
                tokens.first_literal(parts.get(1)?.clone())
            });
            let version = reference.and_then(git_reference::commit);
            let specifier = if version.is_none() { reference } else { None };
            found.take(Ecosystem::Hex, Declared { version, specifier, ..declared })
        }
        // Plugins of rebar3 define other kinds of sources.
        _ => {
            found.warn(line, format!("`{}` has an unknown source", text::excerpt(app)));
            found.take(Ecosystem::Hex, declared)
        }
    }
}
