//! The blocks of a build script.
//!
//! What flows in: the tokens of a script. What flows out: what stands in its `dependencies` and
//! `plugins` blocks, wherever they are (`buildscript`, `allprojects`, source sets). What must stay
//! true: each statement is read on its own; the closure behind one only excludes and adjusts, so
//! it holds no package.

use super::{
    configuration,
    notation::{self, Module},
    statement,
};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    purl::Ecosystem,
    script::{self, Constants, Dialect, Token, Tokens},
    text,
};
use crate::model::scan_result::{Scope, Source};
use std::collections::HashMap;

/// Reads `*.gradle` and `*.gradle.kts`.
#[derive(Debug)]
pub(in crate::ecosystem) struct GradleBuild;

impl Parser for GradleBuild {
    fn name(&self) -> &'static str {
        "gradle"
    }

    fn wants(&self, path: &str) -> bool {
        path.ends_with(".gradle") || path.ends_with(".gradle.kts")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Maven, Source::Manifest);
        let kotlin = file.path.ends_with(".kts");
        let text = text::decode(file.bytes);
        let tokens = script::tokens(&text, if kotlin { Dialect::Kotlin } else { Dialect::Groovy });
        let constants = Constants::of(&tokens);
        let mut reader = Reader {
            tokens: &tokens,
            constants: &constants,
            blocks: Vec::new(),
            dependencies: Vec::new(),
            constraints: HashMap::new(),
            catalog: Vec::new(),
            found,
        };
        reader.read();
        reader.finish()
    }
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

struct Reader<'t, 'a, 'f> {
    tokens: &'t Tokens<'a>,
    constants: &'t Constants,
    /// The blocks that are open at this place.
    blocks: Vec<Block>,
    dependencies: Vec<(Module, Option<Scope>, u32)>,
    /// The versions that `constraints` give, by module.
    constraints: HashMap<String, Module>,
    /// The lines of references to a version catalog.
    catalog: Vec<u32>,
    found: Collector<'f>,
}

impl Reader<'_, '_, '_> {
    fn read(&mut self) {
        let mut at = 0;
        // Whether a statement can begin here.
        let mut begins = true;
        while at < self.tokens.len() {
            let block = self.blocks.last().copied().unwrap_or(Block::Other);
            match self.tokens.get(at) {
                Some(Token::Mark('{')) => {
                    self.blocks.push(self.block_at(at, block));
                    begins = true;
                    at += 1;
                }
                Some(Token::Mark('}')) => {
                    self.blocks.pop();
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
        for notation in &statement.notations {
            match self.module(notation) {
                Ok(mut module) => {
                    if let (None, Some(version)) = (&module.version, &statement.rich_version) {
                        module.set_version(version);
                    }
                    if block == Block::Constraints {
                        self.constraints.insert(module.name.clone(), module);
                    } else {
                        self.dependencies.push((module, scope, notation.line));
                    }
                }
                Err(Some(why)) => self.found.warn(notation.line, why),
                Err(None) => self.catalog.push(notation.line),
            }
        }
        // What stands in the closure of a dependency only excludes and adjusts.
        let closes = statement.opens_block && statement.end > at + 1;
        if closes { self.tokens.behind_bracket(statement.end) } else { statement.end }
    }

    /// The module of a notation. The error is what to warn of; none for a version catalog.
    fn module(&self, notation: &statement::Notation) -> Result<Module, Option<String>> {
        match &notation.kind {
            statement::Kind::Text(text) => notation::read(text, self.constants).map_err(Some),
            statement::Kind::Parts { group, name, version } => {
                notation::of_parts(group, name, version.as_deref(), self.constants).map_err(Some)
            }
            statement::Kind::Name(path) => match self.constants.get(path) {
                Some(_) => notation::read(&format!("${{{path}}}"), self.constants).map_err(Some),
                None if path.starts_with("libs.") || path == "libs" => Err(None),
                None => {
                    Err(Some(format!("`{}` has no one value in this file", text::excerpt(path))))
                }
            },
        }
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
                self.catalog.push(tokens.line(at));
                return end.max(at + 1);
            }
            _ => return end.max(at + 1),
        };
        // A plugin of Gradle itself has no dot in its id, and no version.
        if id.contains('.') || version.is_some() {
            let marker = format!("{id}.gradle.plugin");
            let line = tokens.line(at);
            match notation::of_parts(&id, &marker, version.as_deref(), self.constants) {
                Ok(module) => self.dependencies.push((module, Some(Scope::Build), line)),
                Err(why) => self.found.warn(line, why),
            }
        }
        end.max(at + 1)
    }

    fn finish(mut self) -> Findings {
        for (module, scope, line) in &self.dependencies {
            let open = module.version.is_none() && module.range.is_none();
            let constraint = self.constraints.get(&module.name).filter(|_| open);
            let known = constraint.unwrap_or(module);
            let name = text::excerpt(&module.name);
            if let Some(why) = &known.open {
                self.found.warn(*line, format!("`{name}`: {why}"));
            } else if known.version.is_none() && known.range.is_none() {
                self.found.warn(*line, format!("`{name}`: the version is managed elsewhere"));
            }
            self.found.add(Declared {
                name: &module.name,
                version: known.version.as_deref(),
                specifier: known.range.as_deref(),
                line: *line,
                direct: Some(true),
                scope: *scope,
            });
        }
        if let Some(first) = self.catalog.iter().min() {
            let count = self.catalog.len();
            let message = format!("{count} references to a version catalog are not resolved");
            self.found.warn(*first, message);
        }
        self.tokens.warn(&mut self.found);
        self.found.finish()
    }
}
