//! Reads the modules of a build definition, unexpanded.
//!
//! Input: tokens. Output: each `group % artifact % version` with the parts that follow it, except in keys that
//! do not require modules. Invariants: time and memory are linear; a configuration for a sequence is given to
//! each of its modules once, and shared by them.

use crate::ecosystem::{
    collect::Collector,
    script::{self, Tokens},
    text,
};
use crate::model::scan_result::Scope;
use std::rc::Rc;

/// Longest text, in bytes, that all modules of a sequence may share.
const LONGEST_SHARED: usize = 300;

/// The suffix of an artifact's name.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) enum Cross {
    #[default]
    None,
    Scala,
    Platform,
}

/// A module, as written.
#[derive(Debug, Default)]
pub(super) struct Module {
    pub(super) group: Rc<str>,
    pub(super) artifact: Rc<str>,
    /// Empty until the module's sequence gives it a version: `Seq("g" % "a").map(_ % "1")`.
    pub(super) version: Rc<str>,
    pub(super) cross: Cross,
    pub(super) configuration: Option<Rc<str>>,
    pub(super) is_full: bool,
    pub(super) scope: Option<Scope>,
    /// Whether the module's sequence has given it a configuration.
    is_mapped: bool,
    at: usize,
    pub(super) line: u32,
}

impl Module {
    pub(super) fn text_len(&self) -> usize {
        self.group.len() + self.artifact.len() + self.version.len()
    }
}

/// The required modules. In the build of the build, all modules are required.
pub(super) fn read(tokens: &Tokens<'_>, of_build: bool, found: &mut Collector<'_>) -> Vec<Module> {
    let mut reader = Reader { tokens, of_build, open: Vec::new(), modules: Vec::new(), found };
    reader.read();
    reader.drop_open();
    for module in &mut reader.modules {
        module.line = tokens.line(module.at);
    }
    reader.modules
}

struct Reader<'t, 'a, 'f, 'c> {
    tokens: &'t Tokens<'a>,
    /// Whether the file defines the build of the build.
    of_build: bool,
    /// The open brackets: the index of each, and the name before it.
    open: Vec<(usize, Option<&'a str>)>,
    modules: Vec<Module>,
    found: &'c mut Collector<'f>,
}

impl Reader<'_, '_, '_, '_> {
    fn read(&mut self) {
        let tokens = self.tokens;
        let mut is_requiring = true;
        // The number of open brackets where a key began that requires nothing.
        let mut ignored_at = 0;
        let mut at = 0;
        while at < tokens.len() {
            match tokens.mark(at) {
                Some('(' | '{' | '[') => {
                    self.open.push((at, at.checked_sub(1).and_then(|offset| tokens.word(offset))));
                }
                Some(')' | '}' | ']') => {
                    if let Some((from, _)) = self.open.pop() {
                        self.configure_all(from, at + 1);
                    }
                    is_requiring |= self.open.len() < ignored_at;
                }
                Some(',') => is_requiring |= self.open.len() <= ignored_at,
                None if tokens.ends_line(at) => {
                    is_requiring |= self.open.len() <= ignored_at && ends_statement(tokens, at);
                }
                // `key += …`, `key := …`: the key determines whether modules are required.
                Some('=')
                    if matches!(
                        at.checked_sub(1).and_then(|offset| tokens.mark(offset)),
                        Some('+' | ':')
                    ) =>
                {
                    is_requiring = self.is_requiring_key(at);
                    ignored_at = self.open.len();
                }
                _ => {}
            }
            if matches!(tokens.word(at), Some("val" | "def" | "lazy" | "addCompilerPlugin")) {
                is_requiring = true;
            }
            if let Some((module, end)) = self.module(at).or_else(|| self.open_module(at)) {
                if !self.found.budget().copy(module.text_len()) {
                    return;
                }
                if is_requiring {
                    self.modules.push(module);
                }
                at = end;
            } else {
                at += 1;
            }
        }
    }

    /// Reads `group % artifact` without a version.
    fn open_module(&self, at: usize) -> Option<(Module, usize)> {
        let tokens = self.tokens;
        let signs = percents(tokens, at + 1);
        let artifact_at = at + 1 + signs;
        let (group, artifact) = (tokens.text(at)?, tokens.text(artifact_at)?);
        if signs == 0 || at.checked_sub(1).is_some_and(|offset| tokens.is_mark(offset, '%')) {
            return None;
        }
        let (group, artifact) = (group.into(), artifact.into());
        let cross = cross(signs);
        let scope = self.of_build.then_some(Scope::Build);
        let module = Module { group, artifact, cross, scope, at, ..Module::default() };
        Some((module, artifact_at + 1))
    }

    /// Drops the modules without a version, with a warning.
    fn drop_open(&mut self) {
        let (tokens, found) = (self.tokens, &mut *self.found);
        self.modules.retain(|module| {
            let is_open = module.version.is_empty();
            if is_open {
                let name = text::excerpt(&format!("{}:{}", module.group, module.artifact));
                found.warn(tokens.line(module.at), format!("`{name}` has no version"));
            }
            !is_open
        });
    }

    /// Whether the key before an operator requires modules.
    fn is_requiring_key(&self, operator: usize) -> bool {
        let key = (operator.saturating_sub(4)..operator)
            .rev()
            .find_map(|offset| self.tokens.word(offset));
        !matches!(
            key,
            Some(
                "dependencyOverrides"
                    | "excludeDependencies"
                    | "allExcludeDependencies"
                    | "libraryDependencySchemes"
            )
        )
    }

    /// Reads `group % artifact % version`, and the parts that follow it.
    fn module(&self, at: usize) -> Option<(Module, usize)> {
        let tokens = self.tokens;
        let (group, end) = script::value(tokens, at)?;
        let signs = percents(tokens, end);
        if signs == 0 || at.checked_sub(1).is_some_and(|offset| tokens.is_mark(offset, '%')) {
            return None;
        }
        let artifact_at = tokens.skip_lines(end + signs);
        let (artifact, end) = script::value(tokens, artifact_at)?;
        // The template of a sequence is read with the sequence.
        if [at, artifact_at].iter().any(|operand| tokens.word(*operand) == Some("_")) {
            return None;
        }
        // In arithmetic, `%` is the remainder and has no string operands.
        tokens.text(at).or_else(|| tokens.text(artifact_at))?;
        let end = tokens.skip_lines(end);
        if percents(tokens, end) != 1 {
            return None;
        }
        let (version, mut end) = script::value(tokens, tokens.skip_lines(end + 1))?;
        let mut configuration = None;
        if percents(tokens, end) == 1 {
            let (value, behind) = script::value(tokens, end + 1)?;
            configuration = Some(value.into());
            end = behind;
        }
        let is_call =
            |name: &str| self.open.iter().rev().take(3).any(|frame| frame.1 == Some(name));
        let builds = self.of_build || is_call("addSbtPlugin") || is_call("addCompilerPlugin");
        let builds = builds || is_call("compilerPlugin");
        let is_full = tokens.word(end) == Some("cross") && self.is_full(end);
        let is_full = is_full || (tokens.is_mark(end, '.') && self.is_full(end + 1));
        let cross = if signs == 1 && is_full { Cross::Scala } else { cross(signs) };
        let scope = builds.then_some(Scope::Build);
        let is_mapped = false;
        let module = Module {
            group: group.into(),
            artifact: artifact.into(),
            version: version.into(),
            cross,
            configuration,
            is_full,
            scope,
            is_mapped,
            at,
            line: 0,
        };
        Some((module, end))
    }

    /// Whether `cross CrossVersion.full` follows: the suffix is the complete Scala version.
    fn is_full(&self, at: usize) -> bool {
        self.tokens.word(at) == Some("cross")
            && (at..at + 6).any(|offset| self.tokens.word(offset) == Some("full"))
    }

    /// Applies `Seq(…).map(_ % Test)`: a configuration for all modules in the bracket, and a version for
    /// those without one.
    fn configure_all(&mut self, from: usize, behind: usize) {
        let tokens = self.tokens;
        let maps = tokens.is_mark(behind, '.') && tokens.word(behind + 1) == Some("map");
        let each = if maps { behind + 3 } else { behind };
        let sign = if maps { each + 1 } else { each };
        if maps && tokens.word(each) != Some("_") {
            return self.fill_all(from, behind, each);
        }
        if percents(tokens, sign) != 1 {
            return;
        }
        if let Some((configuration, end)) = shared(tokens, sign + 1) {
            let more = (percents(tokens, end) == 1).then(|| shared(tokens, end + 1));
            let more = more.flatten().map(|(configuration, _)| configuration);
            // A module that was mapped keeps its configuration, and so do all before it in the bracket.
            let inside = |module: &&mut Module| module.at > from && !module.is_mapped;
            for module in self.modules.iter_mut().rev().take_while(inside) {
                module.is_mapped = true;
                if module.version.is_empty() && maps {
                    module.version.clone_from(&configuration);
                    module.configuration.clone_from(&more);
                } else {
                    module.configuration.get_or_insert_with(|| Rc::clone(&configuration));
                }
            }
        }
    }

    /// Applies `Seq("a", "b").map("g" %% _ % "1")`: artifacts of one group.
    fn fill_all(&mut self, from: usize, behind: usize, each: usize) {
        let tokens = self.tokens;
        let Some((group, end)) = shared(tokens, each) else { return };
        let signs = percents(tokens, end);
        if signs == 0 || tokens.word(end + signs) != Some("_") {
            return;
        }
        let version_at = end + signs + 1;
        let version = (percents(tokens, version_at) == 1).then_some(version_at + 1);
        let Some((version, _)) = version.and_then(|offset| shared(tokens, offset)) else { return };
        for at in from + 1..behind.saturating_sub(1) {
            if let Some(artifact) = tokens.text(at) {
                if !self.found.budget().copy(artifact.len()) {
                    return;
                }
                let (group, version) = (Rc::clone(&group), Rc::clone(&version));
                let (artifact, cross) = (artifact.into(), cross(signs));
                let scope = self.of_build.then_some(Scope::Build);
                let module =
                    Module { group, artifact, version, cross, scope, at, ..Module::default() };
                self.modules.push(module);
            } else if !(tokens.ends_line(at) || tokens.is_mark(at, ',')) {
                return;
            }
        }
    }
}

/// A text that all modules of a sequence share, and its end; none if it is too long.
fn shared(tokens: &Tokens<'_>, at: usize) -> Option<(Rc<str>, usize)> {
    let (text, end) = script::value(tokens, at)?;
    (text.len() <= LONGEST_SHARED).then(|| (text.into(), end))
}

/// The suffix by the number of `%` before the artifact.
fn cross(signs: usize) -> Cross {
    match signs {
        0 | 1 => Cross::None,
        2 => Cross::Scala,
        _ => Cross::Platform,
    }
}

/// Whether the line end at this index ends a statement, by "Newline Characters" of Scala's specification: the
/// line before it is complete, and the next one does not continue it.
fn ends_statement(tokens: &Tokens<'_>, at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|offset| tokens.mark(offset));
    let next = tokens.mark(tokens.skip_lines(at));
    matches!(before, None | Some(')' | ']' | '}')) && !matches!(next, Some('%' | '.'))
}

/// The number of `%` at this index.
fn percents(tokens: &Tokens<'_>, at: usize) -> usize {
    (0..3).take_while(|step| tokens.is_mark(at + step, '%')).count()
}
