//! The modules of a build definition, as they are written.
//!
//! What flows in: tokens. What flows out: each `group % artifact % version` with what follows
//! it, unless it is set on a key that asks for nothing. What must stay true: time and memory are linear; a
//! sequence that is given a configuration gives it to each of its modules once, and they share it.

use crate::ecosystem::{
    collect::Collector,
    script::{self, Tokens},
    text,
};
use crate::model::scan_result::Scope;
use std::rc::Rc;

/// What is given to all modules of a sequence is no longer, in bytes.
const LONGEST_SHARED: usize = 300;

/// How the name of an artifact goes on.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) enum Cross {
    #[default]
    None,
    Scala,
    Platform,
}

/// A module as the file has it.
#[derive(Default)]
pub(super) struct Module {
    pub(super) group: Rc<str>,
    pub(super) artifact: Rc<str>,
    /// Empty until the sequence that it is in gives it one: `Seq("g" % "a").map(_ % "1")`.
    pub(super) version: Rc<str>,
    pub(super) cross: Cross,
    pub(super) configuration: Option<Rc<str>>,
    pub(super) is_full: bool,
    pub(super) scope: Option<Scope>,
    /// Whether the sequence that it is in has given it a configuration.
    is_mapped: bool,
    pub(super) at: usize,
}

impl Module {
    fn text_len(&self) -> usize {
        self.group.len() + self.artifact.len() + self.version.len()
    }
}

/// The modules that are asked for. Of a build's own build, all are.
pub(super) fn read(tokens: &Tokens<'_>, of_build: bool, found: &mut Collector<'_>) -> Vec<Module> {
    let mut reader = Reader { tokens, of_build, open: Vec::new(), modules: Vec::new(), found };
    reader.read();
    reader.drop_open();
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
        // How many brackets were open where a key began that asks for nothing.
        let mut silent_at = 0;
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
                    asks |= self.open.len() < silent_at;
                }
                Some(',') => asks |= self.open.len() <= silent_at,
                // `key += …`, `key := …`: what is set says whether something is asked for.
                Some('=')
                    if matches!(
                        at.checked_sub(1).and_then(|it| tokens.mark(it)),
                        Some('+' | ':')
                    ) =>
                {
                    asks = self.asks(at);
                    silent_at = self.open.len();
                }
                _ => {}
            }
            if matches!(tokens.word(at), Some("val" | "def" | "lazy" | "addCompilerPlugin")) {
                asks = true;
            }
            if let Some((module, end)) = self.module(at).or_else(|| self.open_module(at)) {
                if !self.found.budget().copy(module.text_len()) {
                    return;
                }
                if asks {
                    self.modules.push(module);
                }
                at = end;
            } else {
                at += 1;
            }
        }
    }

    /// `group % artifact`, which nothing follows.
    fn open_module(&self, at: usize) -> Option<(Module, usize)> {
        let tokens = self.tokens;
        let signs = percents(tokens, at + 1);
        let artifact_at = at + 1 + signs;
        let (group, artifact) = (tokens.text(at)?, tokens.text(artifact_at)?);
        if signs == 0 || at.checked_sub(1).is_some_and(|it| tokens.is_mark(it, '%')) {
            return None;
        }
        let (group, artifact) = (group.into(), artifact.into());
        let cross = cross(signs);
        let scope = self.of_build.then_some(Scope::Build);
        let module = Module { group, artifact, cross, scope, at, ..Module::default() };
        Some((module, artifact_at + 1))
    }

    /// Drops what no sequence has given a version, with a warning.
    fn drop_open(&mut self) {
        let (tokens, found) = (self.tokens, &mut *self.found);
        self.modules.retain(|it| {
            let is_open = it.version.is_empty();
            if is_open {
                let name = text::excerpt(&format!("{}:{}", it.group, it.artifact));
                found.warn(tokens.line(it.at), format!("`{name}` has no version"));
            }
            !is_open
        });
    }

    /// Whether the key before an operator takes what is asked for.
    fn asks(&self, operator: usize) -> bool {
        let key = (operator.saturating_sub(4)..operator).rev().find_map(|it| self.tokens.word(it));
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
        // What is mapped over a sequence, which is read with the sequence.
        if [at, artifact_at].iter().any(|it| tokens.word(*it) == Some("_")) {
            return None;
        }
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
            configuration = Some(value.into());
            end = behind;
        }
        let is_call = |name: &str| self.open.iter().rev().take(3).any(|it| it.1 == Some(name));
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
        };
        Some((module, end))
    }

    /// `cross CrossVersion.full`: the name goes on with the whole Scala version.
    fn is_full(&self, at: usize) -> bool {
        self.tokens.word(at) == Some("cross")
            && (at..at + 6).any(|it| self.tokens.word(it) == Some("full"))
    }

    /// `Seq(…).map(_ % Test)`: a configuration for all in the bracket, and a version for those that
    /// have none.
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
            // What is mapped keeps its configuration, and so does all before it in the bracket.
            let inside = |it: &&mut Module| it.at > from && !it.is_mapped;
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

    /// `Seq("a", "b").map("g" %% _ % "1")`: artifacts of one group.
    fn fill_all(&mut self, from: usize, behind: usize, each: usize) {
        let tokens = self.tokens;
        let Some((group, end)) = shared(tokens, each) else { return };
        let signs = percents(tokens, end);
        if signs == 0 || tokens.word(end + signs) != Some("_") {
            return;
        }
        let version_at = end + signs + 1;
        let version = (percents(tokens, version_at) == 1).then_some(version_at + 1);
        let Some((version, _)) = version.and_then(|it| shared(tokens, it)) else { return };
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

/// A text that all modules of a sequence are given, and where it ends; none where it is too long.
fn shared(tokens: &Tokens<'_>, at: usize) -> Option<(Rc<str>, usize)> {
    let (text, end) = script::value(tokens, at)?;
    (text.len() <= LONGEST_SHARED).then(|| (text.into(), end))
}

/// How the name of an artifact behind some `%` goes on.
fn cross(signs: usize) -> Cross {
    match signs {
        0 | 1 => Cross::None,
        2 => Cross::Scala,
        _ => Cross::Platform,
    }
}

/// How many `%` stand at a place.
fn percents(tokens: &Tokens<'_>, at: usize) -> usize {
    (0..3).take_while(|it| tokens.is_mark(at + it, '%')).count()
}
