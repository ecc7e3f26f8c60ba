//! `requirements*.txt`, by pip's "Requirements File Format".
//!
//! Input: lines of requirements and options. Output: each requirement as a package. In a file that pip-compile
//! or uv wrote, annotations distinguish direct from transitive requirements.
//!
//! Decisions: constraints files are not read, because a constraint "only controls which version of a
//! requirement is installed, not whether it is"; files that `-r` names are read on their own, if they have a
//! name of this kind.
//!
//! Invariants: an invalid line loses only itself.

use super::{
    group_scope, pip_compile,
    requirement::{self, Requirement},
};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    container::HelmChart,
    text::{self, excerpt},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::borrow::Cow;

/// Names of documentation files that may be beside requirements.
const PROSE: [&str; 5] = ["readme", "license", "licence", "changelog", "notes"];

/// Reads `requirements.txt` and files with similar names, including `.in` files.
#[derive(Debug)]
pub(in crate::ecosystem) struct Requirements;

impl Parser for Requirements {
    fn name(&self) -> &'static str {
        "requirements"
    }

    fn wants(&self, path: &str) -> bool {
        let path = path.to_ascii_lowercase();
        let mut segments = path.rsplit('/');
        let Some(stem) = segments.next().and_then(stem) else { return false };
        if stem.contains("constraints") || PROSE.contains(&stem) {
            return false;
        }
        // The folder `requirements/`, and folders in it.
        stem.contains("requirement") || segments.take(4).any(|segment| segment == "requirements")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::PyPi, Source::Manifest);
        let text = text::decode(file.bytes);
        // The lock file of Helm 2 has this name too; it is YAML.
        if file.file_name() == "requirements.lock" && text.contains("dependencies:\n") {
            return HelmChart.parse(file);
        }
        let scope = scope_of_file(file.path);
        let annotations = pip_compile::Annotations::of(&text);
        let (mut has_valid, mut has_invalid) = (false, false);
        for (number, line) in logical_lines(&text) {
            let direct = Some(annotations.is_direct(number));
            let declared = Declared { line: number, direct, scope, ..Declared::default() };
            match add(&line, declared, &mut found) {
                Line::Valid => has_valid = true,
                Line::Invalid => has_invalid = true,
                Line::Empty => {}
            }
        }
        if has_invalid && !has_valid { found.unreadable() } else { found.finish() }
    }
}

/// The kind of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ecosystem) enum Line {
    /// A package, a local folder, or an option.
    Valid,
    /// Not a requirement; a warning was added.
    Invalid,
    Empty,
}

/// Adds the requirement in a line of a requirements file, with the line number, `direct` and scope of
/// `declared`.
pub(in crate::ecosystem) fn add(
    text: &str,
    declared: Declared<'_>,
    found: &mut Collector<'_>,
) -> Line {
    let text = without_comment(text).trim();
    match requirement_of(text).map(requirement::read) {
        Some(Requirement::Package { name, version, specifier, problem }) => {
            let specifier = specifier.as_deref();
            let declared = Declared { name, version, specifier, ..declared };
            let added = found.take(Ecosystem::PyPi, declared);
            for option in text.split_ascii_whitespace() {
                found.hash(added, option.strip_prefix("--hash=").unwrap_or_default());
            }
            if let Some(problem) = problem {
                found.warn(declared.line, format!("`{}`: {problem}", excerpt(text)));
            }
            Line::Valid
        }
        Some(Requirement::Invalid(why)) => {
            found.warn(declared.line, format!("`{}`: {why}", excerpt(text)));
            Line::Invalid
        }
        None if text.is_empty() => Line::Empty,
        Some(Requirement::Local) | None => Line::Valid,
    }
}

fn stem(file: &str) -> Option<&str> {
    // Lock files of rye have the same form.
    let locked = || file.strip_suffix(".lock").filter(|stem| stem.starts_with("requirements"));
    let text = [".txt", ".in", ".pip"].iter().find_map(|suffix| file.strip_suffix(suffix));
    text.or_else(locked)
}

/// The scope by the name of the file: `requirements-dev.txt`, `requirements/test.txt`. None for unusual
/// names.
fn scope_of_file(path: &str) -> Option<Scope> {
    let path = path.to_ascii_lowercase();
    let file = path.rsplit('/').next().unwrap_or(&path);
    let words: Vec<_> = stem(file)
        .unwrap_or(file)
        .split(['-', '_', '.'])
        .filter(|word| !matches!(*word, "" | "requirement" | "requirements"))
        .collect();
    let [word] = words.as_slice() else {
        return words.is_empty().then_some(Scope::Runtime);
    };
    match *word {
        "base" | "common" | "main" | "prod" | "production" | "runtime" => Some(Scope::Runtime),
        "build" => Some(Scope::Build),
        "dev" | "develop" | "development" => Some(Scope::Dev),
        "test" | "tests" | "testing" => Some(group_scope(word)),
        _ => None,
    }
}

/// Joins lines that end with a backslash, numbered by the first one. A comment is never continued.
fn logical_lines(text: &str) -> impl Iterator<Item = (u32, Cow<'_, str>)> {
    let mut lines = (1_u32..).zip(text.lines());
    std::iter::from_fn(move || {
        let (number, first) = lines.next()?;
        let Some(head) = continued(first) else {
            return Some((number, Cow::Borrowed(first)));
        };
        let mut joined = head.to_owned();
        for (_, next) in lines.by_ref() {
            if let Some(part) = continued(next) {
                joined.push_str(part);
            } else {
                // A comment ends the requirement before it; the space separates them.
                if next.trim_start().starts_with('#') {
                    joined.push(' ');
                }
                joined.push_str(next);
                break;
            }
        }
        Some((number, Cow::Owned(joined)))
    })
}

fn continued(line: &str) -> Option<&str> {
    let head = line.trim_end_matches('\r').strip_suffix('\\')?;
    (without_comment(head).len() == head.len()).then_some(head)
}

/// Removes a comment: a `#` at the start of a line or after white space. Elsewhere it belongs to a URL.
fn without_comment(line: &str) -> &str {
    let mut before = ' ';
    for (at, character) in line.char_indices() {
        if character == '#' && before.is_whitespace() {
            return line.get(..at).unwrap_or(line);
        }
        before = character;
    }
    line
}

/// The requirement of a line, without the options after it; none for an empty line or an option. `-e` has a
/// requirement as argument.
fn requirement_of(line: &str) -> Option<&str> {
    let line = if let Some(editable) = option(line, "-e").or_else(|| option(line, "--editable")) {
        editable.trim().trim_matches(['"', '\''])
    } else if line.starts_with('-') {
        return None;
    } else {
        line
    };
    let options =
        line.char_indices().zip(line.chars().skip(1)).find_map(|((at, character), next)| {
            (character.is_whitespace() && next == '-').then_some(at)
        });
    let requirement = options.map_or(line, |at| line.get(..at).unwrap_or(line)).trim();
    (!requirement.is_empty()).then_some(requirement)
}

fn option<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let value = line.strip_prefix(name)?;
    value.starts_with(|character: char| character == '=' || character.is_whitespace()).then(|| {
        value.trim_start_matches(|character: char| character == '=' || character.is_whitespace())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_requirements_files() {
        for path in [
            "requirements.txt",
            "a/requirements-dev.txt",
            "requirements_test.in",
            "dev-requirements.txt",
            "Requirements.TXT",
            "requirements/prod.txt",
            "a/requirements/base.in",
            "old_requirements_gpu.txt",
            "requirements-dev.lock",
            "requirements.pip",
            "requirement.txt",
            "requirements/edx/base.txt",
            "requirements/static/ci/py3.9/linux.txt",
        ] {
            assert!(Requirements.wants(path), "{path}");
        }
        for path in [
            "constraints.txt",
            "requirements/constraints.txt",
            "requirements-constraints.txt",
            "requirements.md",
            "requirements/README.md",
            "requirements/readme.txt",
            "requirements/a/b/c/d/e.txt",
            "notes.txt",
            "poetry.lock",
        ] {
            assert!(!Requirements.wants(path), "{path}");
        }
    }

    #[test]
    fn the_file_name_determines_the_scope() {
        for (path, scope) in [
            ("requirements.txt", Some(Scope::Runtime)),
            ("requirements-dev.txt", Some(Scope::Dev)),
            ("dev-requirements.in", Some(Scope::Dev)),
            ("requirements/test.txt", Some(Scope::Test)),
            ("requirements/base.txt", Some(Scope::Runtime)),
            ("requirements-py39-linux.txt", None),
            ("requirements_gpu.txt", None),
        ] {
            assert_eq!(scope_of_file(path), scope, "{path}");
        }
    }
}
