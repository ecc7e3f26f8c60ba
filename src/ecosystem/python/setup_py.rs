//! `setup.py`: what the call of `setup` asks for in literals, by setuptools' "Keywords".
//!
//! What flows in: a Python program. What flows out: what `install_requires`, `extras_require`,
//! `setup_requires` and `tests_require` are given as lists, tuples and dictionaries of texts, or by
//! names that the same file binds to such. What must stay true: nothing is run; what only running
//! the file would tell is a warning with its line.

use super::{
    expressions::{Entry, Expressions},
    python_name, setup_cfg,
};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    purl::Ecosystem,
    script::{self, Dialect, Tokens},
    source::file_name,
    text,
};
use crate::model::scan_result::{Scope, Source};

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
        let own = arguments.iter().find(|it| it.key == "name");
        let own = own.and_then(|it| expressions.text(it.value)).map(|it| python_name(&it));
        for (scope, list) in lists(&mut expressions, &arguments) {
            let mut texts = Vec::new();
            expressions.texts(list, &mut texts);
            for (text, line) in &texts {
                let (line, direct, scope) = (*line, Some(true), Some(scope));
                // A text of several lines is a list too.
                for text in text.lines() {
                    let declared = Declared { line, direct, scope, ..Declared::default() };
                    setup_cfg::add(text, declared, own.as_deref(), &mut found);
                }
            }
        }
        for line in expressions.unknown() {
            found.warn(line, "not a literal: only running the file would tell what it is");
        }
        tokens.warn(&mut found);
        found.finish()
    }
}

/// Where the lists of requirements begin, and what each is for.
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
                // `:marker` is no extra, but what is required where the marker holds.
                let scope =
                    |key: &str| if key.starts_with(':') { Scope::Runtime } else { Scope::Optional };
                lists.extend(extras.iter().map(|it| (scope(&it.key), it.value)));
            }
            _ => {}
        }
    }
    lists
}

/// Whether `setup(` or `setuptools.setup(` stands at a place.
fn is_call(tokens: &Tokens<'_>, at: usize) -> bool {
    let before = |steps: usize| at.checked_sub(steps);
    let is_method = before(1).is_some_and(|it| tokens.is_mark(it, '.'));
    let of = before(2).and_then(|it| tokens.word(it));
    tokens.word(at) == Some("setup")
        && tokens.is_mark(at + 1, '(')
        && before(1).and_then(|it| tokens.word(it)) != Some("def")
        && (!is_method || matches!(of, Some("setuptools" | "core")))
}
