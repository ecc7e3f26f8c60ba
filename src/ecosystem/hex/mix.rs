//! `mix.lock`, as `Mix.Dep.Lock` and `Hex.SCM` write it.
//!
//! Input: a map from applications to tuples, one a line. Output: `:hex` entries with their version, `:git`
//! entries with their commit, and the dependencies that the Hex entries list.
//!
//! Decisions. The name of an application may differ from that of its package; the package is listed. A
//! package of an organisation (`hexpm:acme`) has the organisation as namespace.
//!
//! Invariants: entries are found anywhere in the file, so a broken entry loses only itself; only `mix.exs`
//! states what is direct.

use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Added, Collector, Declared},
    path::file_name,
    purl::{self, Parts},
    script::{self, Dialect, Tokens},
    text,
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};
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

/// A recorded entry: the index of its application, and the elements of its tuple.
type Entry = (usize, Added, Vec<Range<usize>>);

/// The index of an entry's tuple: `"app": {:hex, …`, or in old files `"app" => {:hex, …`.
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
            let organisation = part(6)
                .and_then(|repository| repository.strip_prefix("hexpm:"))
                .map(str::to_lowercase);
            let lower = name.to_lowercase();
            let added = found.take_as(
                Ecosystem::Hex.into(),
                Declared { name, version, ..declared },
                |version| {
                    let namespace = organisation.as_deref();
                    purl::write(
                        "hex",
                        Parts { namespace, name: &lower, version, ..Parts::default() },
                    )
                },
            );
            // The digest of the archive; the older one before it is that of the content.
            found.hash(added, part(7).unwrap_or_default());
            added
        }
        "git" => found.take(Ecosystem::Hex, Declared { version: part(2), ..declared }),
        "path" => None,
        other => {
            let message =
                format!("`{}`: unknown source `{}`", text::excerpt(app), text::excerpt(other));
            found.warn(line, message);
            None
        }
    }
}

/// Records the dependencies of Hex entries, which are tuples that begin with an application.
fn connect(tokens: &Tokens<'_>, entries: &[Entry], found: &mut Collector<'_>) {
    let by_app: HashMap<&str, Added> =
        entries.iter().filter_map(|(at, added, _)| Some((tokens.text(*at)?, *added))).collect();
    for (_, added, parts) in entries {
        if tokens.first_literal(parts.first().cloned().unwrap_or_default()) != Some("hex") {
            continue;
        }
        let list = parts.get(5).map_or(0, |list| list.start);
        for dependency in tokens.elements(list) {
            let app = tokens.first_literal(dependency).and_then(|app| by_app.get(app));
            if let Some(required) = app {
                found.requires(*added, *required);
            }
        }
    }
}
