//! The blocks of a build script.
//!
//! What flows in: the tokens of a script. What flows out: what stands in its `dependencies` and
//! `plugins` blocks, wherever they are (`buildscript`, `allprojects`, source sets), and the texts
//! that it gives to names, as `gradle.properties` and the sources of `buildSrc` do; `resolve` makes packages of it. What must stay
//! true: each statement is read on its own; the closure behind one only excludes and adjusts, so
//! it holds no package.

use super::{
    configuration,
    script::{Asked, GradleFile},
    statement::{self, Kind},
};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    budget::Budget,
    collect::Collector,
    purl::Ecosystem,
    script::{self, Constants, Dialect, Token, Tokens},
    source::file_name,
    text,
};
use crate::model::scan_result::{Scope, Source};

/// Reads `*.gradle` and `*.gradle.kts`; of `gradle.properties` and `buildSrc` the names.
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
                    asked: Vec::new(),
                    budget: found.budget(),
                };
                reader.read();
                gradle.asked = reader.asked;
                tokens.warn(&mut found);
            }
        }
        Findings { gradle: Some(Box::new(gradle)), ..found.finish() }
    }
}

const PROPERTIES: &str = "gradle.properties";

/// A program of `buildSrc`, where builds keep the names of their modules.
fn is_of_build_source(path: &str) -> bool {
    (path.ends_with(".kt") || path.ends_with(".groovy"))
        && path.split('/').any(|it| it == "buildSrc")
}

/// The texts of a `gradle.properties`, by `java.util.Properties` as far as versions need it.
fn properties(text: &str) -> Constants {
    let mut constants = Constants::default();
    for line in text.lines().map(str::trim).filter(|it| !it.starts_with(['#', '!'])) {
        if let Some((name, value)) = line.split_once(['=', ':']) {
            constants.define(name.trim(), value.trim());
        }
    }
    constants
}

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Block {
    Other,
    Dependencies,
    Constraints,
    Plugins,
    /// Nothing that is read, whatever is in it.
    Silent,
}

struct Reader<'t, 'a> {
    tokens: &'t Tokens<'a>,
    /// The blocks that are open at this place.
    blocks: Vec<Block>,
    /// How many blocks were open where source sets or suites began, and where those of tests did.
    sets_at: Option<usize>,
    tests_at: Option<usize>,
    asked: Vec<Asked>,
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
                    self.sets_at = self.sets_at.filter(|it| *it < open);
                    self.tests_at = self.tests_at.filter(|it| *it < open);
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

    /// Notes where a block belongs to the source sets, or among these to one of tests:
    /// `sourceSets { commonTest.dependencies {`, `suites { test {`.
    fn enter_set(&mut self, bracket: usize) {
        let mut from = bracket;
        while let Some(before) = from.checked_sub(1)
            && !self.tokens.ends_line(before)
            && !matches!(self.tokens.mark(before), Some('{' | '}' | ';'))
        {
            from = before;
        }
        let open = self.blocks.len();
        let words = || {
            (from..bracket).filter_map(|it| self.tokens.word(it).or_else(|| self.tokens.text(it)))
        };
        if words().any(|it| matches!(it, "sourceSets" | "suites")) {
            self.sets_at.get_or_insert(open);
        }
        if self.sets_at.is_some() && words().any(|it| it.to_ascii_lowercase().contains("test")) {
            self.tests_at.get_or_insert(open);
        }
    }

    /// What the block holds whose bracket is at `at`, inside another.
    fn block_at(&self, at: usize, outer: Block) -> Block {
        let name = at.checked_sub(1).and_then(|it| self.tokens.word(it));
        match (outer, name) {
            (Block::Silent, _) | (_, Some("dependencyManagement" | "modules" | "components")) => {
                Block::Silent
            }
            (_, Some("dependencies")) => Block::Dependencies,
            (Block::Dependencies, Some("constraints")) => Block::Constraints,
            (Block::Other, Some("plugins")) => Block::Plugins,
            // A condition or a loop.
            (outer, _) => outer,
        }
    }

    /// A statement of a `dependencies` block; gives where reading goes on.
    fn dependency(&mut self, at: usize, block: Block) -> usize {
        let Some(statement) = statement::read(self.tokens, at) else { return at + 1 };
        let scope = configuration::scope(&statement.configuration);
        let in_tests = self.tests_at.is_some() && scope == Some(Scope::Runtime);
        let scope = if in_tests { Some(Scope::Test) } else { scope };
        let budget = self.budget;
        let notations = statement.notations.into_iter();
        let notations = notations.take_while(|it| budget.copy(it.kind.text_len()));
        self.asked.extend(notations.map(|notation| Asked {
            kind: notation.kind,
            rich_version: statement.rich_version.clone(),
            scope,
            is_constraint: block == Block::Constraints,
            line: notation.line,
        }));
        // What stands in the closure of a dependency only excludes and adjusts.
        let closes = statement.opens_block && statement.end > at + 1;
        if closes { self.tokens.behind_bracket(statement.end) } else { statement.end }
    }

    /// A statement of a `plugins` block: `id("x") version "y"`, `kotlin("jvm") version "y"`.
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
                    self.plugin_asked(at, Kind::Name(path.to_owned()));
                }
                return end.max(at + 1);
            }
            _ => return end.max(at + 1),
        };
        // A plugin of Gradle itself has no dot in its id, and no version.
        if id.contains('.') || version.is_some() {
            let name = format!("{id}.gradle.plugin");
            self.plugin_asked(at, Kind::Parts { group: id, name, version });
        }
        end.max(at + 1)
    }

    fn plugin_asked(&mut self, at: usize, kind: Kind) {
        self.asked.push(Asked {
            kind,
            rich_version: None,
            scope: Some(Scope::Build),
            is_constraint: false,
            line: self.tokens.line(at),
        });
    }
}
