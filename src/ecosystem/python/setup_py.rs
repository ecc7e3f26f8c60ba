//! `setup.py`: literal arguments of the call of `setup`, by setuptools' "Keywords".
//!
//! Input: a Python program. Output: the requirements in `install_requires`, `extras_require`,
//! `setup_requires` and `tests_require`, given as lists, tuples and dictionaries of strings, or by names of
//! such values in the same file. Invariants: nothing is run; a value that is known only at run time is a
//! warning with its line.

use super::{
    expressions::{Entry, Expressions},
    python_name, setup_cfg,
};
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

/// Reads `setup.py`.
#[derive(Debug)]
pub(in crate::ecosystem) struct SetupPy;

impl Parser for SetupPy {
    fn name(&self) -> &'static str {
        "setup-py"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "setup.py"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::PyPi, Source::Manifest);
        let text = text::decode(file.bytes);
        let tokens = script::tokens(&text, Dialect::Python);
        let mut expressions = Expressions::of(&tokens, text.len());
        let mut arguments = Vec::new();
        for at in (0..tokens.len()).filter(|at| is_call(&tokens, *at)) {
            expressions.entries_of_call(at + 1, &mut arguments);
        }
        let own = arguments.iter().find(|argument| argument.key == "name");
        let own = own
            .and_then(|argument| expressions.text(argument.value))
            .map(|name| python_name(&name));
        for (scope, list) in lists(&mut expressions, &arguments) {
            let mut texts = Vec::new();
            expressions.texts(list, &mut texts);
            for (text, line) in &texts {
                let (line, direct, scope) = (*line, Some(true), Some(scope));
                // A string of several lines is a list too.
                for text in text.lines() {
                    let declared = Declared { line, direct, scope, ..Declared::default() };
                    setup_cfg::add(text, declared, own.as_deref(), &mut found);
                }
            }
        }
        for line in expressions.unknown() {
            found.warn(line, "not a literal: the value is known only at run time");
        }
        tokens.warn(&mut found);
        found.finish()
    }
}

/// The lists of requirements with their scopes.
fn lists(expressions: &mut Expressions<'_, '_>, arguments: &[Entry]) -> Vec<(Scope, usize)> {
    let mut lists = Vec::new();
    for argument in arguments {
        match argument.key.as_str() {
            "install_requires" => lists.push((Scope::Runtime, argument.value)),
            "setup_requires" => lists.push((Scope::Build, argument.value)),
            "tests_require" => lists.push((Scope::Test, argument.value)),
            "extras_require" => {
                let mut extras = Vec::new();
                expressions.entries(argument.value, &mut extras);
                // The key `:marker` is not an extra but a condition.
                let scope =
                    |key: &str| if key.starts_with(':') { Scope::Runtime } else { Scope::Optional };
                lists.extend(extras.iter().map(|extra| (scope(&extra.key), extra.value)));
            }
            _ => {}
        }
    }
    lists
}

/// Whether `setup(` or `setuptools.setup(` is at this index.
fn is_call(tokens: &Tokens<'_>, at: usize) -> bool {
    let before = |steps: usize| at.checked_sub(steps);
    let is_method = before(1).is_some_and(|offset| tokens.is_mark(offset, '.'));
    let of = before(2).and_then(|offset| tokens.word(offset));
    tokens.word(at) == Some("setup")
        && tokens.is_mark(at + 1, '(')
        && before(1).and_then(|offset| tokens.word(offset)) != Some("def")
        && (!is_method || matches!(of, Some("setuptools" | "core")))
}
