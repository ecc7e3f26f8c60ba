//! Lua: `*.rockspec` and `luarocks.lock`, by "Rockspec format" and "Pinning versions with a lock
//! file" of `LuaRocks`' documentation.
//!
//! Input: assignments and tables of Lua. Output: the rocks in the dependency tables. Invariants: `lua` is the
//! interpreter, not a rock; system libraries (`external_dependencies`) are not rocks either; nothing is run.

use super::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    path::file_name,
    script::{self, Dialect, Tokens},
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};

const GROUPS: [(&str, Scope); 3] = [
    ("dependencies", Scope::Runtime),
    ("build_dependencies", Scope::Build),
    ("test_dependencies", Scope::Test),
];

/// Tables within a table of dependencies: one for each platform.
const MAX_DEPTH: u32 = 4;

/// Reads `*.rockspec`.
#[derive(Debug)]
pub(super) struct Rockspec;

impl Parser for Rockspec {
    fn name(&self) -> &'static str {
        "rockspec"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path).ends_with(".rockspec")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::LuaRocks, Source::Manifest).merging();
        read(file, found, |tokens, at, scope, found| rocks(tokens, at, scope, 0, found))
    }
}

/// Reads `luarocks.lock`.
#[derive(Debug)]
pub(super) struct LuaRocksLock;

impl Parser for LuaRocksLock {
    fn name(&self) -> &'static str {
        "luarocks-lock"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "luarocks.lock"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::LuaRocks, Source::Lockfile);
        read(file, found, pinned)
    }
}

fn read(
    file: SourceFile<'_>,
    mut found: Collector<'_>,
    table: impl Fn(&Tokens<'_>, usize, Scope, &mut Collector<'_>),
) -> Findings {
    let text = text::decode(file.bytes);
    let tokens = script::tokens(&text, Dialect::Lua);
    tokens.warn(&mut found);
    for at in 0..tokens.len() {
        let group = GROUPS.iter().find(|(name, _)| tokens.word(at) == Some(name));
        let opens = tokens.skip_lines(at + 2);
        if let Some((_, scope)) = group
            && tokens.is_mark(at + 1, '=')
            && tokens.is_mark(opens, '{')
        {
            table(&tokens, opens, *scope, &mut found);
        }
    }
    found.finish()
}

fn rocks(tokens: &Tokens<'_>, at: usize, scope: Scope, depth: u32, found: &mut Collector<'_>) {
    for element in tokens.elements(at) {
        let start = element.start;
        if let Some(text) = tokens.text(start) {
            rock(text, tokens.line(start), scope, found);
        } else if depth < MAX_DEPTH {
            // `platforms = { unix = { … } }`
            let opens = element.take(4).find(|at| tokens.is_mark(*at, '{'));
            if let Some(opens) = opens {
                rocks(tokens, opens, scope, depth + 1, found);
            }
        }
    }
}

/// `name >= 1.0, < 2.0`
fn rock(text: &str, line: u32, scope: Scope, found: &mut Collector<'_>) {
    let text = text.trim();
    let is_of_name =
        |character: char| character.is_alphanumeric() || matches!(character, '-' | '_' | '.' | '/');
    let end = text.find(|character| !is_of_name(character)).unwrap_or(text.len());
    let (name, range) = text.split_at_checked(end).unwrap_or((text, ""));
    if name == "lua" {
        return;
    }
    if name.is_empty() {
        return found.warn(line, format!("`{}` is not a rock", text::excerpt(text)));
    }
    let range = Some(range.trim()).filter(|range| !range.is_empty());
    let is_version = |version: &&str| {
        version.starts_with(|character: char| character.is_alphanumeric())
            && !version.contains([',', ' '])
    };
    // A version without an operator is exact.
    let version = range.map(|version| version.trim_start_matches('=').trim()).filter(is_version);
    let specifier = if version.is_none() { range } else { None };
    let (direct, scope) = (Some(true), Some(scope));
    found.add(Declared { name, version, specifier, line, direct, scope });
}

/// `name = "1.0-1"` or `["name"] = "1.0-1"`
fn pinned(tokens: &Tokens<'_>, at: usize, scope: Scope, found: &mut Collector<'_>) {
    for element in tokens.elements(at) {
        let line = tokens.line(element.start);
        let equals = element.clone().take(6).find(|at| tokens.is_mark(*at, '='));
        let pair = equals.and_then(|equals| {
            let name = tokens.first_literal(element.start..equals)?;
            Some((name, tokens.text(equals + 1)?))
        });
        let Some((name, version)) = pair else {
            found.warn(line, "expected a rock and its version");
            continue;
        };
        if name != "lua" {
            let (version, scope) = (Some(version), Some(scope));
            found.add(Declared { name, version, line, scope, ..Declared::default() });
        }
    }
}
