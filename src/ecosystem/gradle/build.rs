//! The statements of a build script.
//!
//! Input: the tokens of a script. Output: the statements of the `dependencies` and `plugins` blocks of its projects
//! (`blocks`), also those in loops over literals (`loops`); the version catalogs of settings; the ids of the
//! plugins that the project builds; and its string constants, like those of `gradle.properties` and the sources of
//! `buildSrc`. `resolve` converts them to packages. Invariants: each statement is read on its own; the closure after
//! it only excludes and adjusts, so it names no package.

use super::{
    blocks::Block,
    configuration,
    loops::{self, Loops},
    plugins,
    script::{GradleFile, Requested, Role},
    settings,
    statement::{self, NotationKind},
    version::Rich,
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

/// Values of a loop that may name the configuration of a statement.
const MAX_CONFIGURATIONS: usize = 100;

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
            || plugins::of_descriptor(path).is_some()
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Maven, Source::Manifest);
        let text = text::decode(file.bytes);
        let mut gradle = GradleFile { file: file.path.to_owned(), ..GradleFile::default() };
        if file.file_name() == PROPERTIES {
            gradle.constants = properties(&text);
        } else if let Some(id) = plugins::of_descriptor(file.path) {
            gradle.own_plugins.push(id.to_owned());
        } else {
            let kotlin = file.path.ends_with(".kts") || file.path.ends_with(".kt");
            let dialect = if kotlin { Dialect::Kotlin } else { Dialect::Groovy };
            let tokens = script::tokens(&text, dialect);
            gradle.constants = Constants::of(&tokens);
            if !is_of_build_source(file.path) {
                gradle.own_plugins.extend(plugins::precompiled(file.path, &tokens));
                let mut reader = Reader {
                    tokens: &tokens,
                    blocks: Vec::new(),
                    loops: Loops::of(&tokens),
                    sets_at: None,
                    tests_at: None,
                    gradle: &mut gradle,
                    found: &mut found,
                };
                reader.read();
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

struct Reader<'t, 'a, 'r, 'f> {
    tokens: &'t Tokens<'a>,
    /// The blocks that are open here.
    blocks: Vec<Block>,
    loops: Loops<'t, 'a>,
    /// The number of open blocks where source sets or suites began, and where those for tests did.
    sets_at: Option<usize>,
    tests_at: Option<usize>,
    gradle: &'r mut GradleFile,
    found: &'r mut Collector<'f>,
}

impl Reader<'_, '_, '_, '_> {
    fn read(&mut self) {
        let mut at = 0;
        // Whether a statement can begin here.
        let mut begins = true;
        // The block of a loop that was found.
        let mut loop_at = None;
        while at < self.tokens.len() {
            let block = self.blocks.last().copied().unwrap_or(Block::Project);
            let in_dependencies = matches!(
                block,
                Block::Dependencies
                    | Block::UsualDependencies
                    | Block::Constraints
                    | Block::Imports
                    | Block::Managed
            );
            if begins
                && !matches!(block, Block::Ignored | Block::Plugins | Block::OwnPlugins)
                && let Some(bracket) = self.loops.enter(at, self.blocks.len())
            {
                loop_at = Some(bracket);
                at = bracket;
            }
            match self.tokens.get(at) {
                Some(Token::Mark('{')) => {
                    self.enter_set(at);
                    let is_loop = loop_at.take() == Some(at);
                    self.blocks.push(if is_loop { block } else { self.block_at(at, block) });
                    begins = true;
                    (_, at) = loops::parameters(self.tokens, at);
                }
                Some(Token::Mark('}')) => {
                    self.blocks.pop();
                    let open = self.blocks.len();
                    self.sets_at = self.sets_at.filter(|at| *at < open);
                    self.tests_at = self.tests_at.filter(|at| *at < open);
                    self.loops.leave(open);
                    begins = true;
                    at += 1;
                }
                // An arrow ends the parameters of a closure.
                Some(Token::EndOfLine | Token::Mark(';' | '>')) => {
                    begins = true;
                    at += 1;
                }
                Some(Token::Word("versionCatalogs"))
                    if matches!(self.tokens.mark(at + 1), Some('{' | '.')) =>
                {
                    at = self.catalogs(at + 1);
                    begins = false;
                }
                Some(Token::Word("id")) if block == Block::OwnPlugins => {
                    self.own_plugin(at);
                    begins = false;
                    at += 1;
                }
                _ if begins && in_dependencies => {
                    at = self.dependency(at, block);
                    begins = false;
                }
                // A list or a condition contains no statements.
                Some(Token::Mark('(' | '[')) if in_dependencies => {
                    at = self.tokens.behind_bracket(at);
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

    /// The kind of the block whose bracket is at `at`.
    fn block_at(&self, at: usize, outer: Block) -> Block {
        let name = at.checked_sub(1).and_then(|at| self.tokens.word(at));
        let words: Vec<&str> = self.words_before(at).collect();
        outer.inside(name, &words)
    }

    /// Reads the version catalogs of settings. Returns the index of the next token.
    fn catalogs(&mut self, at: usize) -> usize {
        let read = settings::read(self.tokens, at);
        for (line, warning) in read.warnings {
            self.found.warn(line, warning);
        }
        self.gradle.catalogs.extend(read.catalogs);
        read.end
    }

    /// Reads `id = "…"`, `id("…")` or `id.set("…")` of a plugin that the project builds.
    fn own_plugin(&mut self, at: usize) {
        let sets = self.tokens.is_mark(at + 1, '.') && self.tokens.word(at + 2) == Some("set");
        let sign = if sets { at + 3 } else { at + 1 };
        let value_at = sign + usize::from(matches!(self.tokens.mark(sign), Some('=' | '(')));
        if let Some((id, _)) = script::value(self.tokens, value_at)
            && self.found.budget().copy(id.len())
        {
            self.gradle.own_plugins.push(id);
        }
    }

    /// Reads a statement of a `dependencies` block. Returns the index of the next token.
    fn dependency(&mut self, at: usize, block: Block) -> usize {
        let Some(statement) = statement::read(self.tokens, at) else {
            return if matches!(self.tokens.mark(at), Some('(' | '[')) {
                self.tokens.behind_bracket(at)
            } else {
                at + 1
            };
        };
        let scope = self.scope(&statement.configuration);
        let role = match (block, statement.configuration.as_str()) {
            (Block::Constraints, _) | (Block::Managed, "dependency") => Some(Role::Constraint),
            (Block::Imports, "mavenBom") => Some(Role::Import),
            (Block::Imports | Block::Managed, _) => None,
            (Block::UsualDependencies, _) => scope.is_some().then_some(Role::Module),
            _ => Some(Role::Module),
        };
        if let Some(role) = role {
            let scope = if role == Role::Import { Some(Scope::Build) } else { scope };
            let in_tests = self.tests_at.is_some() && scope == Some(Scope::Runtime);
            let scope = if in_tests { Some(Scope::Test) } else { scope };
            let budget: &Budget = self.found.budget();
            for notation in statement.notations {
                let is_platform = notation.is_platform && role == Role::Module;
                let role = if is_platform { Role::Platform } else { role };
                let kinds = self.loops.expand(notation.kind, budget);
                self.gradle.requested.extend(kinds.into_iter().map(|kind| Requested {
                    kind,
                    rich: statement.rich.clone(),
                    scope,
                    role,
                    line: notation.line,
                }));
            }
        }
        // The closure of a dependency only excludes and adjusts.
        let closes = statement.opens_block && statement.end > at + 1;
        if closes { self.tokens.behind_bracket(statement.end) } else { statement.end }
    }

    /// The scope of a configuration, which may be the parameter of a loop.
    fn scope(&self, configuration: &str) -> Option<Scope> {
        let values = self.loops.values_of(configuration).take(MAX_CONFIGURATIONS);
        values.map(configuration::scope).fold(configuration::scope(configuration), Scope::stronger)
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
        // A core plugin has no version, and no dot in its id unless it is in Gradle's own namespace.
        let is_core = !id.contains('.') || id.starts_with("org.gradle.");
        if !is_core || version.is_some() {
            let name = format!("{id}.gradle.plugin");
            self.plugin_requested(at, NotationKind::Parts { group: id, name, version });
        }
        end.max(at + 1)
    }

    fn plugin_requested(&mut self, at: usize, kind: NotationKind) {
        self.gradle.requested.push(Requested {
            kind,
            rich: Rich::default(),
            scope: Some(Scope::Build),
            role: Role::Module,
            line: self.tokens.line(at),
        });
    }
}
