//! One statement of a `dependencies` block.
//!
//! Input: the tokens from the name of a configuration. Output: the notations, as written:
//! `implementation "g:a:v", "g:b:v"`, `api(platform("g:a:v"))`, `"custom"("g:a:v")`,
//! `implementation group: "g", name: "a"`, `implementation(libs.a)`, `add("api", "g:a:v")`.
//! Invariants: projects, files and parts of Gradle itself are ignored.

use super::version::Rich;
use crate::ecosystem::script::{self, Token, Tokens};

/// A statement.
#[derive(Debug, Default)]
pub(super) struct Statement {
    pub(super) configuration: String,
    pub(super) notations: Vec<Notation>,
    /// The version in a `version` block of the closure.
    pub(super) rich: Rich,
    /// The index of the token after the statement, which may open its closure.
    pub(super) end: usize,
    pub(super) opens_block: bool,
}

/// One required module.
#[derive(Debug)]
pub(super) struct Notation {
    pub(super) kind: NotationKind,
    /// Whether it is the argument of `platform` or `enforcedPlatform`.
    pub(super) is_platform: bool,
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
    /// The marker of a plugin, by "Plugin Marker Artifacts".
    pub(super) fn marker(id: &str) -> Self {
        Self::Parts { group: id.to_owned(), name: format!("{id}.gradle.plugin"), version: None }
    }

    /// A text that may be a name.
    pub(super) fn of(value: String) -> Self {
        let name = value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        match name.filter(|name| !name.contains("${")) {
            Some(name) => Self::Name(name.to_owned()),
            None => Self::Text(value),
        }
    }

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

/// The keys of a map that names a module.
const PARTS: [&str; 6] = ["group", "name", "version", "classifier", "ext", "configuration"];

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

/// Reads the statement that begins at `at`; none if it is not a call of a configuration.
pub(super) fn read(tokens: &Tokens<'_>, at: usize) -> Option<Statement> {
    let configuration = tokens.word(at).or_else(|| tokens.text(at))?.to_owned();
    let is_keyword = tokens.word(at).is_some_and(|word| KEYWORDS.contains(&word));
    if is_keyword || matches!(tokens.mark(at + 1), Some('.' | '=' | '{' | '[' | ':')) {
        return None;
    }
    let mut statement = Statement { configuration, ..Statement::default() };
    let end = end(tokens, at + 1);
    let (notations, parts) = (Vec::new(), Parts::default());
    let mut arguments = Arguments { tokens, notations, parts, platform_to: 0 };
    let mut first = at + 1;
    if statement.configuration == "add"
        && tokens.is_mark(first, '(')
        && let Some((name, end)) = script::value(tokens, first + 1)
        && tokens.is_mark(end, ',')
    {
        statement.configuration = name;
        first = end;
    }
    arguments.read(first, end);
    statement.notations = arguments.notations;
    statement.end = end;
    statement.opens_block = tokens.is_mark(end, '{');
    if statement.opens_block && !statement.notations.is_empty() {
        statement.rich = Rich::of_closure(tokens, end);
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

/// The named parts of a module.
#[derive(Default)]
struct Parts {
    group: Option<String>,
    name: Option<String>,
    version: Option<String>,
    is_platform: bool,
    line: u32,
}

/// Whether a path of names does not lead to a module of a repository.
pub(super) fn is_local(path: &str) -> bool {
    let mut segments = path.split(['.', '[']);
    let first = segments.next().unwrap_or_default();
    matches!(first, "projects" | "sourceSets" | "true" | "false")
        || path.starts_with("project[")
        || first.starts_with(|character: char| character.is_ascii_digit())
        || segments.any(|segment| LOCAL.contains(&segment))
}

struct Arguments<'t, 'a> {
    tokens: &'t Tokens<'a>,
    notations: Vec<Notation>,
    parts: Parts,
    /// The index behind the arguments of a `platform`.
    platform_to: usize,
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
        // Groovy permits keys in quotes.
        let quoted = || tokens.text(at).filter(|key| PARTS.contains(key));
        if let Some(name) = tokens.word(at).or_else(quoted).filter(|_| is_named) {
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
            self.push(at, NotationKind::Text(value), line);
        } else {
            let path = value.trim_start_matches("${").trim_end_matches('}').to_owned();
            if !is_local(&path) {
                self.push(at, NotationKind::Name(path), line);
            }
        }
        end
    }

    /// The index of the arguments, if `at` begins a call of a method that only wraps a module.
    fn inside_wrapper(&mut self, at: usize) -> Option<usize> {
        let arguments = script::arguments_of_wrapper(self.tokens, at)?;
        if arguments <= at + 1 || !self.tokens.is_mark(arguments, '(') {
            return None;
        }
        let name = self.tokens.word(arguments - 1).unwrap_or_default();
        self.enter_platform(name, arguments);
        Some(arguments + 1)
    }

    /// Remembers the arguments of a `platform`, whose bracket is at `bracket`.
    fn enter_platform(&mut self, name: &str, bracket: usize) {
        if matches!(name, "platform" | "enforcedPlatform") {
            self.platform_to = self.tokens.behind_bracket(bracket);
        }
    }

    fn push(&mut self, at: usize, kind: NotationKind, line: u32) {
        let is_platform = at < self.platform_to;
        self.notations.push(Notation { kind, is_platform, line });
    }

    /// `name: value` or `name = value`.
    fn named(&mut self, name: &str, at: usize, line: u32) -> usize {
        // Parameters that stand for the whole module.
        if matches!(name, "dependencyNotation" | "dependencyProvider" | "notation") {
            return at + 2;
        }
        let Some((value, end)) = script::value(self.tokens, at + 2) else { return at + 2 };
        match name {
            "group" => {
                self.end_parts();
                self.parts.line = line;
                self.parts.is_platform = at < self.platform_to;
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
        let Parts { group, name, version, is_platform, line } = std::mem::take(&mut self.parts);
        if let Some(group) = group {
            let kind = NotationKind::Parts { group, name: name.unwrap_or_default(), version };
            self.notations.push(Notation { kind, is_platform, line });
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
                self.push(at, kind, line);
            }
            return tokens.behind_bracket(at + 1);
        }
        self.enter_platform(name, at + 1);
        // The arguments of `platform`, `create` and similar calls are read next.
        at + 2
    }

    /// `"g", "a", "v"` as arguments of their own, by Gradle's Kotlin DSL.
    fn positional(&mut self, at: usize, line: u32) -> usize {
        let tokens = self.tokens;
        let Some(group) = tokens.text(at) else { return at + 1 };
        let second = if tokens.is_mark(at + 1, ',') { script::value(tokens, at + 2) } else { None };
        let Some((name, end)) = second.filter(|(name, _)| !name.contains(':')) else {
            self.push(at, NotationKind::Text(group.to_owned()), line);
            return at + 1;
        };
        let is_named = tokens.word(end + 1) == Some("version") && tokens.is_mark(end + 2, '=');
        let version_at = if is_named { end + 3 } else { end + 1 };
        let version =
            if tokens.is_mark(end, ',') { script::value(tokens, version_at) } else { None };
        let end = version.as_ref().map_or(end, |(_, end)| *end);
        let group = group.to_owned();
        let version = version.map(|(version, _)| version);
        self.push(at, NotationKind::Parts { group, name, version }, line);
        end
    }
}
