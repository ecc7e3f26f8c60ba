//! `conanfile.py`, by "Attributes" and `requirements()` of Conan's reference.
//!
//! Input: a recipe. Output: the literal references in attributes (`requires = "a/1.0", "b/2.0"`) and in
//! calls (`self.requires("a/1.0")`). Invariants: nothing is run; conditions are ignored, so conditional
//! requirements are listed; a computed reference is a warning.

use super::reference;
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    path::file_name,
    script::{self, Dialect, Tokens},
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};

const NOT_LITERAL: &str = "not a literal: the value is known only when the recipe runs";

/// Reads `conanfile.py`.
#[derive(Debug)]
pub(in crate::ecosystem) struct ConanRecipe;

impl Parser for ConanRecipe {
    fn name(&self) -> &'static str {
        "conanfile-py"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "conanfile.py"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Conan, Source::Manifest).merging();
        let text = text::decode(file.bytes);
        let tokens = script::tokens(&text, Dialect::Python);
        tokens.warn(&mut found);
        for at in 0..tokens.len() {
            let Some(scope) = tokens.word(at).and_then(scope_of) else { continue };
            let behind_dot = at > 0 && tokens.is_mark(at - 1, '.');
            if tokens.is_mark(at + 1, '(') && behind_dot {
                call(&tokens, at + 1, scope, &mut found);
            } else if tokens.is_mark(at + 1, '.') && tokens.word(at + 2) == Some("add") {
                call(&tokens, at + 3, scope, &mut found);
            } else if tokens.is_mark(at + 1, '=') && !tokens.is_mark(at + 2, '=') && !behind_dot {
                attribute(&tokens, at + 2, scope, &mut found);
            }
        }
        found.finish()
    }
}

fn scope_of(word: &str) -> Option<Scope> {
    match word {
        "requires" => Some(Scope::Runtime),
        "build_requires" | "tool_requires" | "python_requires" => Some(Scope::Build),
        "test_requires" => Some(Scope::Test),
        _ => None,
    }
}

/// Reads a call, whose first argument is the reference.
fn call(tokens: &Tokens<'_>, at: usize, scope: Scope, found: &mut Collector<'_>) {
    let Some(first) = tokens.elements(at).into_iter().next() else { return };
    let line = tokens.line(first.start);
    match tokens.text(first.start) {
        Some(text) if tokens.skip_lines(first.start + 1) >= first.end => {
            add(text, line, scope, found);
        }
        // `"name/%s" % version`: the name is a literal.
        Some(text) if text.contains('/') => {
            let (name, rest) = text.split_once('/').unwrap_or((text, ""));
            let declared = Declared { name, specifier: Some(rest), line, ..Declared::default() };
            let (direct, scope) = (Some(true), Some(scope));
            found.add(Declared { direct, scope, ..declared });
        }
        _ => found.warn(line, NOT_LITERAL),
    }
}

/// Reads a string, several strings with commas between, or a tuple or list of strings. Deeper elements
/// are options of a reference.
fn attribute(tokens: &Tokens<'_>, mut at: usize, scope: Scope, found: &mut Collector<'_>) {
    if matches!(tokens.mark(at), Some('(' | '[')) {
        for element in tokens.elements(at) {
            let nested = tokens.elements(element.start).into_iter().next();
            let at = nested.map_or(element.start, |inner| inner.start);
            match tokens.text(at) {
                Some(text) => add(text, tokens.line(at), scope, found),
                None => found.warn(tokens.line(at), NOT_LITERAL),
            }
        }
        return;
    }
    while let Some(text) = tokens.text(at) {
        // One string may contain several references.
        for text in text.split(", ") {
            add(text, tokens.line(at), scope, found);
        }
        if !tokens.is_mark(at + 1, ',') {
            return;
        }
        at = tokens.skip_lines(at + 2);
    }
}

fn add(text: &str, line: u32, scope: Scope, found: &mut Collector<'_>) {
    let (scope, direct) = (Some(scope), Some(true));
    if text.split('/').next().is_some_and(|name| name.contains('$')) {
        let message = format!("`{}` is known only when the recipe runs", text::excerpt(text));
        return found.warn(line, message);
    }
    let _ = reference::add(text, Declared { line, direct, scope, ..Declared::default() }, found);
}
