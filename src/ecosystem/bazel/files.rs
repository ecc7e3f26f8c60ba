//! `MODULE.bazel`, its segments (`*.MODULE.bazel`) and `WORKSPACE`, by "MODULE.bazel files" and "Repository Rules"
//! of Bazel's manual, and the documentation of well-known rules.
//!
//! Input: the calls of a file. Output: the modules of `bazel_dep` with their overrides; and what the rules and
//! extensions of [`rules`] fetch.
//!
//! Decisions: the version of a module that is overridden is that of the override: a commit, or the reference of an
//! archive. Invariants: a module in a folder (`local_path_override`) is not a package.

use super::{
    rules,
    starlark::{Call, Program},
};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    git_source::GitSource,
    path::file_name,
    script::{self, Dialect},
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::collections::{HashMap, HashSet};

/// Reads `MODULE.bazel` and `WORKSPACE`.
#[derive(Debug)]
pub(in crate::ecosystem) struct BazelFile;

impl Parser for BazelFile {
    fn name(&self) -> &'static str {
        "bazel"
    }

    fn wants(&self, path: &str) -> bool {
        let file = file_name(path);
        file.ends_with("MODULE.bazel")
            || matches!(file, "WORKSPACE" | "WORKSPACE.bazel" | "WORKSPACE.bzlmod")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Bazel, Source::Manifest);
        let text = text::decode(file.bytes);
        let tokens = script::tokens(&text, Dialect::Python);
        tokens.warn(&mut found);
        let program = Program::of(&tokens, found.budget());
        let calls = calls(&program);
        let overrides = Overrides::of(&program, &calls);
        // The extensions that are used for development only.
        let mut of_development = HashSet::new();
        for call in &calls {
            let is_true = |name| call.arguments.get(name).is_some_and(|at| program.is_true(at));
            match (call.of, call.name) {
                (None, "use_extension") if is_true("dev_dependency") => {
                    of_development.extend(program.bound_to(call.at));
                }
                (None, "bazel_dep") => {
                    let scope = if is_true("dev_dependency") { Scope::Dev } else { Scope::Runtime };
                    bazel_dep(&program, call, &overrides, scope, &mut found);
                }
                _ => {
                    let is_of_development = call.of.is_some_and(|of| of_development.contains(of));
                    let scope = if is_true("testonly") {
                        Scope::Test
                    } else if is_of_development || is_true("dev_dependency") {
                        Scope::Dev
                    } else {
                        Scope::Runtime
                    };
                    rules::read(&program, call, scope, &mut found);
                }
            }
        }
        found.finish()
    }
}

/// The calls with arguments that have names, in order. `maybe(rule, …)` is a call of the rule.
fn calls<'a>(program: &Program<'_, 'a>) -> Vec<Call<'a>> {
    let tokens = program.tokens;
    let mut calls = Vec::new();
    for bracket in (1..tokens.len()).filter(|at| tokens.is_mark(*at, '(')) {
        let at = bracket - 1;
        let Some(name) = tokens.word(at) else { continue };
        if !(rules::is_known(name) || OF_MODULES.contains(&name)) {
            continue;
        }
        let arguments = program.arguments(bracket);
        let of = at.checked_sub(1).filter(|dot| tokens.is_mark(*dot, '.'));
        let of = of.and_then(|dot| tokens.word(dot.checked_sub(1)?));
        let rule = arguments.first().and_then(|at| tokens.word(at)).filter(|_| name == "maybe");
        let at = if of.is_some() { at - 2 } else { at };
        let (name, line) = (rule.unwrap_or(name), tokens.line(at));
        calls.push(Call { at, of, name, line, arguments });
    }
    calls
}

/// The functions of `MODULE.bazel` itself.
const OF_MODULES: [&str; 7] = [
    "bazel_dep",
    "use_extension",
    "single_version_override",
    "git_override",
    "archive_override",
    "local_path_override",
    "maybe",
];

/// What a module is overridden with.
#[derive(Debug)]
enum Override {
    Local,
    Version(String),
    /// A tag or branch.
    Reference(String),
}

#[derive(Debug)]
struct Overrides(HashMap<String, Override>);

impl Overrides {
    fn of(program: &Program<'_, '_>, calls: &[Call<'_>]) -> Self {
        let mut overrides = HashMap::new();
        for call in calls {
            let text = |name: &str| program.text(call.arguments.get(name)?);
            let by = match call.name {
                "local_path_override" => Some(Override::Local),
                "single_version_override" => text("version").map(Override::Version),
                "git_override" => text("commit")
                    .map(Override::Version)
                    .or_else(|| text("tag").or_else(|| text("branch")).map(Override::Reference)),
                "archive_override" => rules::urls(program, &call.arguments)
                    .iter()
                    .find_map(|(url, _)| GitSource::of_archive(url))
                    .map(|(_, reference)| Override::Version(reference.to_owned())),
                _ => None,
            };
            if let (Some(by), Some(module)) = (by, text("module_name")) {
                overrides.insert(module, by);
            }
        }
        Self(overrides)
    }
}

fn bazel_dep(
    program: &Program<'_, '_>,
    call: &Call<'_>,
    overrides: &Overrides,
    scope: Scope,
    found: &mut Collector<'_>,
) {
    let text = |name: &str| program.text(call.arguments.get(name)?);
    let Some(name) = text("name") else {
        return found.warn(call.line, "`bazel_dep` has no name that is a literal");
    };
    let declared = text("version").filter(|version| !version.is_empty());
    let (version, specifier) = match overrides.0.get(&name) {
        Some(Override::Local) => return,
        Some(Override::Version(version)) if !version.is_empty() => (Some(version.as_str()), None),
        Some(Override::Reference(reference)) => (None, Some(reference.as_str())),
        _ => (declared.as_deref(), None),
    };
    let (line, direct, scope) = (call.line, Some(true), Some(scope));
    found.add(Declared { name: &name, version, specifier, line, direct, scope });
}
