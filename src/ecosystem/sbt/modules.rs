//! The modules of a build definition, as they are written.
//!
//! What flows in: tokens. What flows out: each `group % artifact % version` with what follows
//! it, unless it is set on a key that asks for nothing. What must stay true: time is linear; a
//! sequence that is given a configuration gives it to each of its modules once.

use crate::ecosystem::{
    collect::Collector,
    script::{self, Tokens},
    text,
};
use crate::model::scan_result::Scope;

/// How the name of an artifact goes on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cross {
    None,
    Scala,
    Platform,
}

/// A module as the file has it.
pub(super) struct Module {
    pub(super) group: String,
    pub(super) artifact: String,
    pub(super) version: String,
    pub(super) cross: Cross,
    pub(super) configuration: Option<String>,
    pub(super) is_full: bool,
    pub(super) scope: Option<Scope>,
    /// Whether the sequence that it is in has given it a configuration.
    is_mapped: bool,
    pub(super) at: usize,
}

/// The modules that are asked for. Of a build's own build, all are.
pub(super) fn read(tokens: &Tokens<'_>, of_build: bool, found: &mut Collector<'_>) -> Vec<Module> {
    let mut reader = Reader { tokens, of_build, open: Vec::new(), modules: Vec::new(), found };
    reader.read();
    reader.modules
}

struct Reader<'t, 'a, 'f, 'c> {
    tokens: &'t Tokens<'a>,
    /// Whether the file defines the build of the build.
    of_build: bool,
    /// The open brackets: where, and what is called.
    open: Vec<(usize, Option<&'a str>)>,
    modules: Vec<Module>,
    found: &'c mut Collector<'f>,
}

impl Reader<'_, '_, '_, '_> {
    fn read(&mut self) {
        let tokens = self.tokens;
        let mut asks = true;
        let mut at = 0;
        while at < tokens.len() {
            match tokens.mark(at) {
                Some('(' | '{' | '[') => {
                    self.open.push((at, at.checked_sub(1).and_then(|it| tokens.word(it))));
                }
                Some(')' | '}' | ']') => {
                    if let Some((from, _)) = self.open.pop() {
                        self.configure_all(from, at + 1);
                    }
                }
                // `key += …`, `key := …`: what is set says whether something is asked for.
                Some('=')
                    if matches!(
                        at.checked_sub(1).and_then(|it| tokens.mark(it)),
                        Some('+' | ':')
                    ) =>
                {
                    asks = self.asks(at);
                }
                _ => {}
            }
            if matches!(tokens.word(at), Some("val" | "def" | "lazy")) {
                asks = true;
            }
            if let Some((module, end)) = self.module(at) {
                if asks {
                    self.modules.push(module);
                }
                at = end;
            } else {
                if asks {
                    self.check_version(at);
                }
                at += 1;
            }
        }
    }

    /// Warns of a `group % artifact` that nothing follows.
    fn check_version(&mut self, at: usize) {
        let tokens = self.tokens;
        let artifact_at = at + 1 + percents(tokens, at + 1);
        let follows = at.checked_sub(1).is_some_and(|it| tokens.is_mark(it, '%'));
        if let (Some(group), Some(artifact)) = (tokens.text(at), tokens.text(artifact_at))
            && artifact_at > at + 1
            && !follows
        {
            let name = text::excerpt(&format!("{group}:{artifact}"));
            self.found.warn(tokens.line(at), format!("`{name}` has no version"));
        }
    }

    /// Whether the key before an operator takes what is asked for.
    fn asks(&self, operator: usize) -> bool {
        let key = (operator.saturating_sub(4)..operator).rev().find_map(|it| self.tokens.word(it));
        !matches!(
            key,
            Some("dependencyOverrides" | "excludeDependencies" | "allExcludeDependencies")
        )
    }

    /// `group % artifact % version`, and what follows it.
    fn module(&self, at: usize) -> Option<(Module, usize)> {
        let tokens = self.tokens;
        let (group, end) = script::value(tokens, at)?;
        let signs = percents(tokens, end);
        if signs == 0 || at.checked_sub(1).is_some_and(|it| tokens.is_mark(it, '%')) {
            return None;
        }
        let artifact_at = tokens.skip_lines(end + signs);
        let (artifact, end) = script::value(tokens, artifact_at)?;
        // A remainder has no texts.
        tokens.text(at).or_else(|| tokens.text(artifact_at))?;
        let end = tokens.skip_lines(end);
        if percents(tokens, end) != 1 {
            return None;
        }
        let (version, mut end) = script::value(tokens, tokens.skip_lines(end + 1))?;
        let mut configuration = None;
        if percents(tokens, end) == 1 {
            let (value, behind) = script::value(tokens, end + 1)?;
            configuration = Some(value);
            end = behind;
        }
        let is_call = |name: &str| self.open.iter().rev().take(3).any(|it| it.1 == Some(name));
        let builds = self.of_build || is_call("addSbtPlugin") || is_call("addCompilerPlugin");
        let builds = builds || is_call("compilerPlugin");
        let is_full = tokens.word(end) == Some("cross") && self.is_full(end);
        let is_full = is_full || (tokens.is_mark(end, '.') && self.is_full(end + 1));
        let cross = match signs {
            1 if is_full => Cross::Scala,
            1 => Cross::None,
            2 => Cross::Scala,
            _ => Cross::Platform,
        };
        let scope = builds.then_some(Scope::Build);
        let is_mapped = false;
        let module = Module {
            group,
            artifact,
            version,
            cross,
            configuration,
            is_full,
            scope,
            is_mapped,
            at,
        };
        Some((module, end))
    }

    /// `cross CrossVersion.full`: the name goes on with the whole Scala version.
    fn is_full(&self, at: usize) -> bool {
        self.tokens.word(at) == Some("cross")
            && (at..at + 6).any(|it| self.tokens.word(it) == Some("full"))
    }

    /// `Seq(…).map(_ % Test)`: a configuration for all in the bracket.
    fn configure_all(&mut self, from: usize, behind: usize) {
        let tokens = self.tokens;
        let maps = tokens.is_mark(behind, '.') && tokens.word(behind + 1) == Some("map");
        let each = if maps { behind + 3 } else { behind };
        let sign = if maps { each + 1 } else { each };
        if (maps && tokens.word(each) != Some("_")) || percents(tokens, sign) != 1 {
            return;
        }
        if let Some((configuration, _)) = script::value(tokens, sign + 1) {
            // What is mapped keeps its configuration, and so does all before it in the bracket.
            let inside = |it: &&mut Module| it.at > from && !it.is_mapped;
            for module in self.modules.iter_mut().rev().take_while(inside) {
                module.is_mapped = true;
                module.configuration.get_or_insert_with(|| configuration.clone());
            }
        }
    }
}

/// How many `%` stand at a place.
fn percents(tokens: &Tokens<'_>, at: usize) -> usize {
    (0..3).take_while(|it| tokens.is_mark(at + it, '%')).count()
}
