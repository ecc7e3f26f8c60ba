//! One statement of a `dependencies` block.
//!
//! Input: the tokens from the name of a configuration. Output: the notations, as written:
//! `implementation "g:a:v", "g:b:v"`, `api(platform("g:a:v"))`, `"custom"("g:a:v")`,
//! `implementation group: "g", name: "a"`, `implementation(libs.a)`, `add("api", "g:a:v")`.
//! Invariants: projects, files and parts of Gradle itself are ignored.

use crate::ecosystem::script::{self, Token, Tokens};
use std::sync::Arc;

/// Longest version in bytes, because all modules of a statement may share it.
const LONGEST_VERSION: usize = 300;

/// Names in a path that leads to a method of Gradle.
const MAX_NAMES: usize = 16;

/// A statement.
#[derive(Debug, Default)]
pub(super) struct Statement {
    pub(super) configuration: String,
    pub(super) notations: Vec<Notation>,
    /// The version in a `version` block of the closure.
    pub(super) rich_version: Option<Arc<str>>,
    /// The index of the token after the statement, which may open its closure.
    pub(super) end: usize,
    pub(super) opens_block: bool,
}

/// One required module.
#[derive(Debug)]
pub(super) struct Notation {
    pub(super) kind: NotationKind,
    pub(super) line: u32,
}

/// The form of a notation.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum NotationKind {
    Text(String),
    Parts {
        group: String,
        name: String,
        version: Option<String>,
    },
    /// A path of names: `libs.guava`, `deps.guava`.
    Name(String),
}

impl NotationKind {
    pub(super) fn text_len(&self) -> usize {
        match self {
            Self::Text(text) | Self::Name(text) => text.len(),
            Self::Parts { group, name, version } => {
                group.len() + name.len() + version.as_ref().map_or(0, String::len)
            }
        }
    }
}

/// Words that do not begin a dependency.
const KEYWORDS: [&str; 20] = [
    "if", "else", "for", "while", "when", "try", "catch", "def", "val", "var", "final", "return",
    "println", "exclude", "apply", "import", "because", "version", "listOf", "setOf",
];

/// Calls that do not return a module of a repository.
const LOCAL: [&str; 11] = [
    "project",
    "files",
    "fileTree",
    "gradleApi",
    "localGroovy",
    "gradleTestKit",
    "gradleKotlinDsl",
    "npm",
    "devNpm",
    "peerNpm",
    "optionalNpm",
];

/// Methods of Gradle that return the module in their argument: `dependencies.create("g:a:v")`.
const WRAPPERS: [&str; 5] = ["create", "platform", "enforcedPlatform", "module", "testFixtures"];

/// Reads the statement that begins at `at`; none if it is not a call of a configuration.
pub(super) fn read(tokens: &Tokens<'_>, at: usize) -> Option<Statement> {
    let configuration = tokens.word(at).or_else(|| tokens.text(at))?.to_owned();
    let is_keyword = tokens.word(at).is_some_and(|word| KEYWORDS.contains(&word));
    if is_keyword || matches!(tokens.mark(at + 1), Some('.' | '=' | '{' | '[' | ':')) {
        return None;
    }
    let mut statement = Statement { configuration, ..Statement::default() };
    let end = end(tokens, at + 1);
    let mut arguments = Arguments { tokens, notations: Vec::new(), parts: Parts::default() };
    let mut first = at + 1;
    if let ("add", Some(name)) = (statement.configuration.as_str(), tokens.text(first + 1)) {
        name.clone_into(&mut statement.configuration);
        first += 2;
    }
    arguments.read(first, end);
    statement.notations = arguments.notations;
    statement.end = end;
    statement.opens_block = tokens.is_mark(end, '{');
    if statement.opens_block && !statement.notations.is_empty() {
        statement.rich_version = rich_version(tokens, end, tokens.behind_bracket(end));
    }
    Some(statement)
}

/// The end of the arguments: the end of the line, unless a bracket is open or a comma is last. Blank
/// lines and comments may follow a comma.
fn end(tokens: &Tokens<'_>, from: usize) -> usize {
    let mut at = from;
    let mut behind_comma = false;
    while at < tokens.len() {
        match tokens.get(at) {
            Some(Token::Mark('{' | '}' | ';')) => return at,
            Some(Token::EndOfLine) if !behind_comma => return at,
            Some(Token::EndOfLine) => at += 1,
            Some(Token::Mark('(' | '[')) => {
                behind_comma = false;
                at = tokens.behind_bracket(at);
            }
            _ => {
                behind_comma = tokens.is_mark(at, ',');
                at += 1;
            }
        }
    }
    at
}

/// The version of `version { strictly("1.0") }`.
fn rich_version(tokens: &Tokens<'_>, from: usize, to: usize) -> Option<Arc<str>> {
    (from..to).find_map(|at| {
        matches!(tokens.word(at)?, "strictly" | "require" | "prefer").then_some(())?;
        let value_at = at + 1 + usize::from(tokens.is_mark(at + 1, '('));
        tokens.text(value_at).filter(|version| version.len() <= LONGEST_VERSION).map(Arc::from)
    })
}

/// The named parts of a module.
#[derive(Default)]
struct Parts {
    group: Option<String>,
    name: Option<String>,
    version: Option<String>,
    line: u32,
}

/// Whether a path of names does not lead to a module of a repository.
fn is_local(path: &str) -> bool {
    let mut segments = path.split(['.', '[']);
    let first = segments.next().unwrap_or_default();
    matches!(first, "projects" | "sourceSets" | "true" | "false" | "it")
        || first.starts_with(|character: char| character.is_ascii_digit())
        || segments.any(|segment| LOCAL.contains(&segment))
}

struct Arguments<'t, 'a> {
    tokens: &'t Tokens<'a>,
    notations: Vec<Notation>,
    parts: Parts,
}

impl Arguments<'_, '_> {
    fn read(&mut self, from: usize, to: usize) {
        let mut at = from;
        while at < to {
            at = self.argument(at, to).max(at + 1);
        }
        self.end_parts();
    }

    /// Reads the argument at `at`. Returns the index of the next token.
    fn argument(&mut self, at: usize, to: usize) -> usize {
        let tokens = self.tokens;
        if tokens.is_mark(at, '{') {
            return tokens.behind_bracket(at).min(to);
        }
        let line = tokens.line(at);
        let is_named = matches!(tokens.mark(at + 1), Some(':' | '='));
        if let Some(name) = tokens.word(at).filter(|_| is_named) {
            return self.named(name, at, line);
        }
        if let Some(name) = tokens.word(at).filter(|_| tokens.is_mark(at + 1, '(')) {
            return self.call(name, at, line).min(to);
        }
        if let Some(inside) = self.inside_wrapper(at) {
            return inside;
        }
        let Some((value, end)) = script::value(tokens, at) else { return at + 1 };
        if tokens.text(at).is_some() && !value.contains(':') && !value.contains("${") {
            return self.positional(at, line);
        }
        if tokens.text(at).is_some() || value.matches("${").count() > 1 {
            self.notations.push(Notation { kind: NotationKind::Text(value), line });
        } else {
            let path = value.trim_start_matches("${").trim_end_matches('}').to_owned();
            if !is_local(&path) {
                self.notations.push(Notation { kind: NotationKind::Name(path), line });
            }
        }
        end
    }

    /// The index of the arguments, if `at` begins a call of a method that only wraps a module.
    fn inside_wrapper(&self, at: usize) -> Option<usize> {
        let mut name_at = at;
        // Bounded, because a longer path would be searched again from each of its parts.
        while name_at < at + 2 * MAX_NAMES
            && self.tokens.word(name_at).is_some()
            && self.tokens.is_mark(name_at + 1, '.')
        {
            name_at += 2;
        }
        let wraps = WRAPPERS.contains(&self.tokens.word(name_at)?);
        (wraps && name_at > at && self.tokens.is_mark(name_at + 1, '(')).then_some(name_at + 2)
    }

    /// `name: value` or `name = value`.
    fn named(&mut self, name: &str, at: usize, line: u32) -> usize {
        let Some((value, end)) = script::value(self.tokens, at + 2) else { return at + 2 };
        match name {
            "group" => {
                self.end_parts();
                self.parts.line = line;
                self.parts.group = Some(value);
            }
            "name" => {
                if self.parts.name.is_some() {
                    self.end_parts();
                }
                self.parts.name = Some(value);
            }
            "version" => self.parts.version = Some(value),
            _ => {}
        }
        end
    }

    fn end_parts(&mut self) {
        let Parts { group, name, version, line } = std::mem::take(&mut self.parts);
        if let Some(group) = group {
            let name = name.unwrap_or_default();
            self.notations
                .push(Notation { kind: NotationKind::Parts { group, name, version }, line });
        }
    }

    /// A call inside the arguments.
    fn call(&mut self, name: &str, at: usize, line: u32) -> usize {
        let tokens = self.tokens;
        if LOCAL.contains(&name) {
            return tokens.behind_bracket(at + 1);
        }
        if matches!(name, "kotlin" | "embeddedKotlin") {
            // `kotlin("stdlib", "1.9")` of Gradle's Kotlin DSL.
            if let Some(module) = tokens.text(at + 2) {
                let version = tokens.is_mark(at + 3, ',').then(|| script::value(tokens, at + 4));
                let kind = NotationKind::Parts {
                    group: "org.jetbrains.kotlin".to_owned(),
                    name: format!("kotlin-{module}"),
                    version: version.flatten().map(|(version, _)| version),
                };
                self.notations.push(Notation { kind, line });
            }
            return tokens.behind_bracket(at + 1);
        }
        // The arguments of `platform`, `create` and similar calls are read next.
        at + 2
    }

    /// `"g", "a", "v"` as arguments of their own, by Gradle's Kotlin DSL.
    fn positional(&mut self, at: usize, line: u32) -> usize {
        let tokens = self.tokens;
        let second = tokens.text(at + 2).filter(|_| tokens.is_mark(at + 1, ','));
        let Some(group) = tokens.text(at) else { return at + 1 };
        let Some(name) = second else {
            self.notations.push(Notation { kind: NotationKind::Text(group.to_owned()), line });
            return at + 1;
        };
        let version =
            if tokens.is_mark(at + 3, ',') { script::value(tokens, at + 4) } else { None };
        let end = version.as_ref().map_or(at + 3, |(_, end)| *end);
        let (group, name) = (group.to_owned(), name.to_owned());
        let version = version.map(|(version, _)| version);
        self.notations.push(Notation { kind: NotationKind::Parts { group, name, version }, line });
        end
    }
}
