//! The blocks of a build script.
//!
//! Input: the tokens of a script. Output: the statements of its `dependencies` and `plugins` blocks,
//! wherever they are (`buildscript`, `allprojects`, source sets), and its string constants, like those of
//! `gradle.properties` and the sources of `buildSrc`; `resolve` converts them to packages. Invariants: each
//! statement is read on its own; the closure after it only excludes and adjusts, so it names no package.

use super::{
    configuration,
    script::{GradleFile, Requested},
    statement::{self, NotationKind},
};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    budget::Budget,
    collect::Collector,
    path::file_name,
    script::{self, Constants, Dialect, Token, Tokens},
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};

/// Reads `*.gradle` and `*.gradle.kts`, and the constants of `gradle.properties` and `buildSrc`.
#[derive(Debug)]
pub(in crate::ecosystem) struct GradleBuild;

impl Parser for GradleBuild {
    fn name(&self) -> &'static str {
        "gradle"
    }

    fn wants(&self, path: &str) -> bool {
        path.ends_with(".gradle")
            || path.ends_with(".gradle.kts")
            || file_name(path) == PROPERTIES
            || is_of_build_source(path)
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Maven, Source::Manifest);
        let text = text::decode(file.bytes);
        let mut gradle = GradleFile { file: file.path.to_owned(), ..GradleFile::default() };
        if file.file_name() == PROPERTIES {
            gradle.constants = properties(&text);
        } else {
            let kotlin = file.path.ends_with(".kts") || file.path.ends_with(".kt");
            let dialect = if kotlin { Dialect::Kotlin } else { Dialect::Groovy };
            let tokens = script::tokens(&text, dialect);
            gradle.constants = Constants::of(&tokens);
            if !is_of_build_source(file.path) {
                let mut reader = Reader {
                    tokens: &tokens,
                    blocks: Vec::new(),
                    sets_at: None,
                    tests_at: None,
                    requested: Vec::new(),
                    budget: found.budget(),
                };
                reader.read();
                gradle.requested = reader.requested;
                tokens.warn(&mut found);
            }
        }
        Findings { fact: Some(Box::new(gradle)), ..found.finish() }
    }
}

const PROPERTIES: &str = "gradle.properties";

/// Whether a file is a source of `buildSrc`, where builds define the names of their modules.
fn is_of_build_source(path: &str) -> bool {
    (path.ends_with(".kt") || path.ends_with(".groovy"))
        && path.split('/').any(|folder| folder == "buildSrc")
}

/// The properties of a `gradle.properties`, by `java.util.Properties` as far as versions need it.
fn properties(text: &str) -> Constants {
    let mut constants = Constants::default();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', '!'])) {
        if let Some((name, value)) = line.split_once(['=', ':']) {
            constants.define(name.trim(), value.trim());
        }
    }
    constants
}

/// The kind of a block.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Block {
    Other,
    Dependencies,
    Constraints,
    Plugins,
    /// A block whose contents are ignored.
    Ignored,
}

struct Reader<'t, 'a> {
    tokens: &'t Tokens<'a>,
    /// The blocks that are open here.
    blocks: Vec<Block>,
    /// The number of open blocks where source sets or suites began, and where those for tests did.
    sets_at: Option<usize>,
    tests_at: Option<usize>,
    requested: Vec<Requested>,
    budget: &'t Budget,
}

impl Reader<'_, '_> {
    fn read(&mut self) {
        let mut at = 0;
        // Whether a statement can begin here.
        let mut begins = true;
        while at < self.tokens.len() {
            let block = self.blocks.last().copied().unwrap_or(Block::Other);
            match self.tokens.get(at) {
                Some(Token::Mark('{')) => {
                    self.enter_set(at);
                    self.blocks.push(self.block_at(at, block));
                    begins = true;
                    at += 1;
                }
                Some(Token::Mark('}')) => {
                    self.blocks.pop();
                    let open = self.blocks.len();
                    self.sets_at = self.sets_at.filter(|at| *at < open);
                    self.tests_at = self.tests_at.filter(|at| *at < open);
                    begins = true;
                    at += 1;
                }
                // An arrow ends the parameter of a closure: `all { it -> … }`.
                Some(Token::EndOfLine | Token::Mark(';' | '>')) => {
                    begins = true;
                    at += 1;
                }
                _ if begins && matches!(block, Block::Dependencies | Block::Constraints) => {
                    at = self.dependency(at, block);
                    begins = false;
                }
                _ if begins && block == Block::Plugins => {
                    at = self.plugin(at);
                    begins = false;
                }
                _ => {
                    begins = false;
                    at += 1;
                }
            }
        }
    }

    /// Records whether a block begins the source sets, or within these the ones for tests:
    /// `sourceSets { commonTest.dependencies {`, `suites { test {`.
    fn enter_set(&mut self, bracket: usize) {
        let open = self.blocks.len();
        let is_set = |word: &str| matches!(word, "sourceSets" | "suites");
        if self.words_before(bracket).any(is_set) {
            self.sets_at.get_or_insert(open);
        }
        let is_test = |word: &str| word.to_ascii_lowercase().contains("test");
        if self.sets_at.is_some() && self.words_before(bracket).any(is_test) {
            self.tests_at.get_or_insert(open);
        }
    }

    /// The words and texts of the statement whose block begins at `bracket`.
    fn words_before(&self, bracket: usize) -> impl Iterator<Item = &str> {
        let mut from = bracket;
        while let Some(before) = from.checked_sub(1)
            && !self.tokens.ends_line(before)
            && !matches!(self.tokens.mark(before), Some('{' | '}' | ';'))
        {
            from = before;
        }
        (from..bracket).filter_map(|at| self.tokens.word(at).or_else(|| self.tokens.text(at)))
    }

    /// Whether a block configures a task. The `dependencies` of a task, such as those of Shadow's
    /// `shadowJar`, filter what it packs.
    fn is_of_task(&self, bracket: usize) -> bool {
        self.words_before(bracket)
            .any(|word| word == "tasks" || word.eq_ignore_ascii_case("shadowJar"))
    }

    /// The kind of the block whose bracket is at `at`.
    fn block_at(&self, at: usize, outer: Block) -> Block {
        let name = at.checked_sub(1).and_then(|at| self.tokens.word(at));
        match (outer, name) {
            (Block::Ignored, _) | (_, Some("dependencyManagement" | "modules" | "components")) => {
                Block::Ignored
            }
            (Block::Other, _) if self.is_of_task(at) => Block::Ignored,
            (_, Some("dependencies")) => Block::Dependencies,
            (Block::Dependencies, Some("constraints")) => Block::Constraints,
            (Block::Other, Some("plugins")) => Block::Plugins,
            // A condition or a loop.
            (outer, _) => outer,
        }
    }

    /// Reads a statement of a `dependencies` block. Returns the index of the next token.
    fn dependency(&mut self, at: usize, block: Block) -> usize {
        let Some(statement) = statement::read(self.tokens, at) else { return at + 1 };
        let scope = configuration::scope(&statement.configuration);
        let in_tests = self.tests_at.is_some() && scope == Some(Scope::Runtime);
        let scope = if in_tests { Some(Scope::Test) } else { scope };
        let budget = self.budget;
        let notations = statement.notations.into_iter();
        let notations = notations.take_while(|notation| budget.copy(notation.kind.text_len()));
        self.requested.extend(notations.map(|notation| Requested {
            kind: notation.kind,
            rich_version: statement.rich_version.clone(),
            scope,
            is_constraint: block == Block::Constraints,
            line: notation.line,
        }));
        // The closure of a dependency only excludes and adjusts.
        let closes = statement.opens_block && statement.end > at + 1;
        if closes { self.tokens.behind_bracket(statement.end) } else { statement.end }
    }

    /// Reads a statement of a `plugins` block: `id("x") version "y"`, `kotlin("jvm") version "y"`.
    fn plugin(&mut self, at: usize) -> usize {
        let tokens = self.tokens;
        let mut end = at;
        let mut version = None;
        while !tokens.ends_line(end) && !matches!(tokens.mark(end), Some(';' | '{' | '}')) {
            if tokens.word(end) == Some("version") {
                let value_at = end + 1 + usize::from(tokens.is_mark(end + 1, '('));
                version = script::value(tokens, value_at).map(|(value, _)| value);
            }
            end += 1;
        }
        let text_at = at + 1 + usize::from(tokens.is_mark(at + 1, '('));
        let id = match (tokens.word(at), tokens.text(text_at)) {
            (Some("id"), Some(id)) => id.to_owned(),
            // `kotlin(module)` of Gradle's Kotlin DSL.
            (Some("kotlin"), Some(module)) => format!("org.jetbrains.kotlin.{module}"),
            (Some("alias"), _) => {
                if let Some((path, _)) = script::value(tokens, text_at) {
                    let path = path.trim_start_matches("${").trim_end_matches('}');
                    self.plugin_requested(at, NotationKind::Name(path.to_owned()));
                }
                return end.max(at + 1);
            }
            _ => return end.max(at + 1),
        };
        // A core plugin has no dot in its id and no version.
        if id.contains('.') || version.is_some() {
            let name = format!("{id}.gradle.plugin");
            self.plugin_requested(at, NotationKind::Parts { group: id, name, version });
        }
        end.max(at + 1)
    }

    fn plugin_requested(&mut self, at: usize, kind: NotationKind) {
        self.requested.push(Requested {
            kind,
            rich_version: None,
            scope: Some(Scope::Build),
            is_constraint: false,
            line: self.tokens.line(at),
        });
    }
}
