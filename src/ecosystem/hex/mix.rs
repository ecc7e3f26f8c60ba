//! `mix.lock`, as `Mix.Dep.Lock` and `Hex.SCM` write it.
//!
//! What flows in: a map from applications to tuples, one a line. What flows out: `:hex` entries
//! with their version, `:git` entries with their commit; which of them requires which, as the
//! entries of Hex say themselves.
//!
//! Decisions. An application may differ in name from the package that it comes in, and the package
//! is what is listed. A package of an organisation (`hexpm:acme`) has it as namespace.
//!
//! What must stay true: an entry is found wherever it stands, so one that is broken costs only
//! itself; what is direct, only `mix.exs` would tell.

use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Added, Collector, Declared},
    purl::{self, Ecosystem, Parts},
    script::{self, Dialect, Tokens},
    source::file_name,
    text,
};
use crate::model::scan_result::Source;
use std::{collections::HashMap, ops::Range};

/// Reads `mix.lock`.
#[derive(Debug)]
pub(in crate::ecosystem) struct MixLock;

impl Parser for MixLock {
    fn name(&self) -> &'static str {
        "mix-lock"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "mix.lock"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Hex, Source::Lockfile);
        let text = text::decode(file.bytes);
        let tokens = script::tokens(&text, Dialect::Elixir);
        tokens.warn(&mut found);
        let mut entries = Vec::new();
        let mut understood = (0..tokens.len()).any(|at| tokens.is_mark(at, '{'));
        for at in 0..tokens.len() {
            let Some(tuple) = tuple_of_entry(&tokens, at) else { continue };
            understood = true;
            let parts = tokens.elements(tuple);
            if let Some(added) = read_entry(&tokens, at, &parts, &mut found) {
                entries.push((at, added, parts));
            }
        }
        if !understood {
            found.warn(1, "no map of locked dependencies");
            return found.unreadable();
        }
        connect(&tokens, &entries, &mut found);
        found.finish()
    }
}

/// An entry that was taken: where its application is named, and the elements of its tuple.
type Entry = (usize, Added, Vec<Range<usize>>);

/// Where the tuple of an entry begins: `"app": {:hex, …` or, of old, `"app" => {:hex, …`.
fn tuple_of_entry(tokens: &Tokens<'_>, at: usize) -> Option<usize> {
    tokens.text(at)?;
    let behind = match (tokens.mark(at + 1)?, tokens.mark(at + 2)?) {
        (':', '{') => at + 2,
        ('=', '>') => at + 3,
        _ => return None,
    };
    (tokens.is_mark(behind, '{') && tokens.is_mark(behind + 1, ':')).then_some(behind)
}

fn read_entry(
    tokens: &Tokens<'_>,
    at: usize,
    parts: &[Range<usize>],
    found: &mut Collector<'_>,
) -> Option<Added> {
    let app = tokens.text(at)?;
    let line = tokens.line(at);
    let part = |number: usize| tokens.first_literal(parts.get(number)?.clone());
    let declared = Declared { name: app, line, ..Declared::default() };
    match part(0)? {
        "hex" => {
            let name = part(1).unwrap_or(app);
            let version = part(2);
            if version.is_none() {
                found.warn(line, format!("`{}` has no version", text::excerpt(app)));
            }
            let organisation =
                part(6).and_then(|it| it.strip_prefix("hexpm:")).map(str::to_lowercase);
            let lower = name.to_lowercase();
            found.take_as("hex", Declared { name, version, ..declared }, |version| {
                let namespace = organisation.as_deref();
                purl::write("hex", Parts { namespace, name: &lower, version, ..Parts::default() })
            })
        }
        "git" => found.take(Ecosystem::Hex, Declared { version: part(2), ..declared }),
        "path" => None,
        other => {
            let message =
                format!("`{}`: `{}` is no known source", text::excerpt(app), text::excerpt(other));
            found.warn(line, message);
            None
        }
    }
}

/// The dependencies of an entry of Hex are tuples that begin with an application.
fn connect(tokens: &Tokens<'_>, entries: &[Entry], found: &mut Collector<'_>) {
    let by_app: HashMap<&str, Added> =
        entries.iter().filter_map(|(at, added, _)| Some((tokens.text(*at)?, *added))).collect();
    for (_, added, parts) in entries {
        if tokens.first_literal(parts.first().cloned().unwrap_or_default()) != Some("hex") {
            continue;
        }
        let list = parts.get(5).map_or(0, |it| it.start);
        for dependency in tokens.elements(list) {
            let app = tokens.first_literal(dependency).and_then(|it| by_app.get(it));
            if let Some(required) = app {
                found.requires(*added, *required);
            }
        }
    }
}
