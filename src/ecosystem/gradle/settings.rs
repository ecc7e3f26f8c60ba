//! The version catalogs that a settings script defines, by "Declaring a version catalog" of Gradle's manual.
//!
//! Input: the tokens from `versionCatalogs`. Output: each catalog as written: `library`, `version`, `plugin`,
//! `bundle` and `from`, with the calls after them; also `alias("a").to("g:a:v")` of Gradle 7. Invariants: a call that
//! is not known is a warning, because it may add entries.

use super::{
    catalog_parts::{Catalog, Entry, EntryVersion, Import},
    statement::NotationKind,
    version::Rich,
};
use crate::ecosystem::{
    script::{self, Tokens},
    text,
};
use std::{collections::HashMap, ops::Range};

/// The number of tokens within which the block of `versionCatalogs.create("libs") {` begins.
const NEAR: usize = 16;

/// The calls that are read.
const KNOWN: [&str; 6] = ["library", "plugin", "alias", "version", "bundle", "from"];

/// Methods that create or configure a catalog.
const CREATE: [&str; 6] = ["create", "register", "named", "maybeCreate", "getByName", "by"];

/// Calls in a catalog that add nothing by themselves.
const HARMLESS: [&str; 10] =
    ["if", "for", "while", "when", "listOf", "setOf", "mapOf", "description", "println", "extra"];

/// The catalogs of a script, the warnings about them, and the index behind them.
pub(super) struct Read {
    pub(super) catalogs: Vec<Catalog>,
    pub(super) warnings: Vec<(u32, String)>,
    pub(super) end: usize,
}

/// Reads `versionCatalogs { … }` or `versionCatalogs.create("libs") { … }` from the index behind the name.
pub(super) fn read(tokens: &Tokens<'_>, at: usize) -> Read {
    let mut read = Read { catalogs: Vec::new(), warnings: Vec::new(), end: at };
    let (mut place, end) = if tokens.is_mark(at, '{') {
        (at + 1, tokens.behind_bracket(at))
    } else {
        let mut near = (at..at + NEAR).take_while(|at| !tokens.ends_line(*at));
        let bracket = near.find(|at| tokens.is_mark(*at, '{'));
        (at, bracket.map_or(at, |bracket| tokens.behind_bracket(bracket)))
    };
    let mut begin = place;
    while place < end {
        match tokens.mark(place) {
            Some('{') => {
                read.catalog(tokens, begin..place);
                place = tokens.behind_bracket(place);
                begin = place;
                continue;
            }
            Some(';') => begin = place + 1,
            _ if tokens.ends_line(place) => begin = place + 1,
            _ => {}
        }
        place += 1;
    }
    read.end = end.max(at);
    read
}

impl Read {
    /// Reads a catalog, whose name is in the statement before its block.
    fn catalog(&mut self, tokens: &Tokens<'_>, statement: Range<usize>) {
        let block = statement.end;
        let text = statement.clone().find_map(|at| tokens.text(at));
        let mut words = statement.filter_map(|at| tokens.word(at));
        let name = text.or_else(|| words.find(|word| !CREATE.contains(word) && *word != "val"));
        let Some(name) = name else {
            let message = "a version catalog without a name is skipped".to_owned();
            return self.warnings.push((tokens.line(block), message));
        };
        let mut reader = Reader {
            tokens,
            catalog: Catalog { name: name.to_owned(), ..Catalog::default() },
            versions: HashMap::new(),
            warnings: &mut self.warnings,
        };
        let mut at = block + 1;
        let end = tokens.behind_bracket(block);
        while at < end {
            at = reader.statement(at).max(at + 1);
        }
        self.catalogs.push(reader.catalog);
    }
}

struct Reader<'t, 'a, 'w> {
    tokens: &'t Tokens<'a>,
    catalog: Catalog,
    /// The aliases of the versions that have a name in the script: `val boot = version("boot", "3.3")`.
    versions: HashMap<&'a str, String>,
    warnings: &'w mut Vec<(u32, String)>,
}

impl Reader<'_, '_, '_> {
    /// Reads the call at `at`, if there is one. Returns the index behind it.
    fn statement(&mut self, at: usize) -> usize {
        let tokens = self.tokens;
        let Some(word) = tokens.word(at) else { return at + 1 };
        if at.checked_sub(1).is_some_and(|before| tokens.is_mark(before, '.')) {
            return at + 1;
        }
        let line = tokens.line(at);
        if !KNOWN.contains(&word) {
            let begins = at.checked_sub(1).is_none_or(|before| {
                tokens.ends_line(before) || matches!(tokens.mark(before), Some('{' | '}' | ';'))
            });
            if begins && tokens.is_mark(at + 1, '(') && !HARMLESS.contains(&word) {
                self.warn(line, word, "is not known");
            }
            return at + 1;
        }
        if !tokens.is_mark(at + 1, '(') && tokens.text(at + 1).is_none() {
            return at + 1;
        }
        let (arguments, behind) = self.arguments(at + 1);
        let texts: Vec<String> = arguments.iter().filter_map(|range| self.value(range)).collect();
        match (word, texts.as_slice()) {
            ("library", [alias, notation]) => {
                self.entry(alias, NotationKind::of(notation.clone()), false, behind, line)
            }
            ("library", [alias, group, name]) => {
                self.entry(alias, parts(group, name), false, behind, line)
            }
            ("plugin", [alias, id]) => {
                self.entry(alias, NotationKind::marker(id), true, behind, line)
            }
            ("alias", [alias]) => self.alias(alias, behind, line),
            ("version", [alias, rest @ ..]) => {
                let is_block = rest.is_empty() && tokens.is_mark(behind, '{');
                let rich = match rest.first() {
                    Some(text) => Rich::of_text(text),
                    None if is_block => Rich::of_block(tokens, behind),
                    None => Rich::default(),
                };
                if let (Some(sign), Some(name)) = (at.checked_sub(1), at.checked_sub(2))
                    && tokens.is_mark(sign, '=')
                    && let Some(name) = tokens.word(name)
                {
                    self.versions.insert(name, alias.clone());
                }
                if rich.is_empty() {
                    self.warn(line, alias, "is not a version");
                }
                self.catalog.versions.push((alias.clone(), rich));
                if is_block { tokens.behind_bracket(behind) } else { behind }
            }
            ("bundle", [name, ..]) => {
                let aliases = arguments.get(1).map(|list| self.list(list)).unwrap_or_default();
                self.catalog.bundles.push((name.clone(), aliases));
                behind
            }
            ("from", _) => {
                self.import(&arguments, line);
                behind
            }
            _ => {
                self.warn(line, word, "has other arguments than expected");
                behind
            }
        }
    }

    fn warn(&mut self, line: u32, what: &str, problem: &str) {
        let (what, name) = (text::excerpt(what), text::excerpt(&self.catalog.name));
        let message = format!(
            "`{what}` in the version catalog `{name}` {problem}; some entries may be missing"
        );
        self.warnings.push((line, message));
    }

    /// The arguments of a call, in brackets or up to the end of the line, and the index behind them.
    fn arguments(&self, at: usize) -> (Vec<Range<usize>>, usize) {
        let tokens = self.tokens;
        if tokens.is_mark(at, '(') {
            return (tokens.elements(at), tokens.behind_bracket(at));
        }
        let mut elements = Vec::new();
        let mut begin = at;
        let mut place = at;
        // In Groovy the brackets of a statement may be omitted.
        while tokens.text(at).is_some() && !tokens.ends_line(place) {
            match tokens.mark(place) {
                Some(',') => {
                    elements.push(begin..place);
                    begin = place + 1;
                }
                Some('.' | ';' | '{' | '}') => break,
                _ => {}
            }
            place = tokens.behind_bracket(place);
        }
        if begin < place {
            elements.push(begin..place);
        }
        (elements, place)
    }

    /// The text of an argument; none of a list or another call.
    fn value(&self, range: &Range<usize>) -> Option<String> {
        let (value, end) = script::value(self.tokens, range.start)?;
        (self.tokens.skip_lines(end) >= range.end).then_some(value)
    }

    /// The texts in a list: `listOf("a", "b")`, `["a", "b"]`.
    fn list(&self, range: &Range<usize>) -> Vec<String> {
        let tokens = self.tokens;
        let bracket = range.clone().find(|at| matches!(tokens.mark(*at), Some('(' | '[')));
        let elements = bracket.map(|bracket| tokens.elements(bracket)).unwrap_or_default();
        elements.iter().filter_map(|element| self.value(element)).collect()
    }

    /// `alias("a").to("g:a:v")`, `alias("a").toPluginId("id")`
    fn alias(&mut self, alias: &str, behind: usize, line: u32) -> usize {
        let tokens = self.tokens;
        let dot = tokens.skip_lines(behind);
        let method = tokens.word(dot + 1).filter(|_| tokens.is_mark(dot, '.'));
        let (arguments, behind) = self.arguments(dot + 2);
        let texts: Vec<String> = arguments.iter().filter_map(|range| self.value(range)).collect();
        let (kind, is_plugin) = match (method, texts.as_slice()) {
            (Some("to"), [notation]) => (NotationKind::of(notation.clone()), false),
            (Some("to"), [group, name]) => (parts(group, name), false),
            (Some("toPluginId"), [id]) => (NotationKind::marker(id), true),
            _ => {
                self.warn(line, alias, "is an alias of nothing known");
                return behind;
            }
        };
        self.entry(alias, kind, is_plugin, behind, line)
    }

    /// Adds an entry with the version of the calls that follow: `.version("1.0")`, `.versionRef("a")`,
    /// `.version { prefer("1.0") }`, `.withoutVersion()`. Returns the index behind these.
    fn entry(
        &mut self,
        alias: &str,
        kind: NotationKind,
        is_plugin: bool,
        behind: usize,
        line: u32,
    ) -> usize {
        let tokens = self.tokens;
        let mut version = EntryVersion::None;
        let mut end = behind;
        loop {
            let dot = tokens.skip_lines(end);
            let method = tokens.word(dot + 1).filter(|_| tokens.is_mark(dot, '.'));
            let Some(method) = method else { break };
            let (arguments, behind) = self.arguments(dot + 2);
            let text = arguments.first().and_then(|range| self.value(range));
            match (method, text) {
                ("version", Some(text)) => version = EntryVersion::Rich(Rich::of_text(&text)),
                ("version", None) if tokens.is_mark(dot + 2, '{') => {
                    version = EntryVersion::Rich(Rich::of_block(tokens, dot + 2));
                    end = tokens.behind_bracket(dot + 2);
                    continue;
                }
                ("versionRef", Some(text)) => {
                    let name = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
                    let alias = name.and_then(|name| self.versions.get(name)).cloned();
                    version = EntryVersion::Reference(alias.unwrap_or(text));
                }
                _ => {}
            }
            end = behind.max(dot + 2);
        }
        let alias = alias.to_owned();
        self.catalog.entries.push(Entry { alias, kind, version, is_plugin, line });
        end
    }

    /// `from(files("gradle/libs.versions.toml"))`, `from("g:a:v")`
    fn import(&mut self, arguments: &[Range<usize>], line: u32) {
        let tokens = self.tokens;
        let Some(range) = arguments.first() else {
            return self.warn(line, "from", "imports nothing");
        };
        let files = range.clone().find(|at| matches!(tokens.word(*at), Some("files" | "file")));
        let import = match files {
            Some(files) => script::value(tokens, files + 2).map(|(path, _)| Import::File(path)),
            None => self.value(range).map(Import::Module),
        };
        match import {
            Some(import) => self.catalog.imports.push((import, line)),
            None => self.warn(line, "from", "imports something unknown"),
        }
    }
}

fn parts(group: &str, name: &str) -> NotationKind {
    NotationKind::Parts { group: group.to_owned(), name: name.to_owned(), version: None }
}
