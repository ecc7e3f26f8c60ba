//! `requirements*.txt`, by pip's "Requirements File Format".
//!
//! What flows in: lines of requirements and options. What flows out: each requirement as a
//! package; where pip-compile or uv wrote the file, its notes tell direct from transitive.
//!
//! Decisions: constraints files are not read, since a constraint "only controls which version of
//! a requirement is installed, not whether it is"; files that `-r` names are read on their own,
//! wherever they have a name of this kind.
//!
//! What must stay true: a line that is no requirement costs only itself.

use super::{
    compiled, group_scope,
    requirement::{self, Requirement},
};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    container::HelmChart,
    purl::Ecosystem,
    text::{self, excerpt},
};
use crate::model::scan_result::{Scope, Source};
use std::borrow::Cow;

/// What is written for people, and lies beside requirements.
const PROSE: [&str; 5] = ["readme", "license", "licence", "changelog", "notes"];

/// Reads `requirements.txt` and its many relatives, `.in` files too.
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
        // `requirements/`, and what lies in folders within.
        stem.contains("requirement") || segments.take(4).any(|it| it == "requirements")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::PyPi, Source::Manifest);
        let text = text::decode(file.bytes);
        // Helm 2 had a lock of this name, which is YAML.
        if file.file_name() == "requirements.lock" && text.contains("dependencies:\n") {
            return HelmChart.parse(file);
        }
        let scope = scope_of_file(file.path);
        let notes = compiled::Notes::of(&text);
        let (mut understood, mut refused) = (false, false);
        for (number, line) in logical_lines(&text) {
            let direct = Some(notes.is_direct(number));
            let declared = Declared { line: number, direct, scope, ..Declared::default() };
            match add(&line, declared, &mut found) {
                Read::Understood => understood = true,
                Read::Refused => refused = true,
                Read::Empty => {}
            }
        }
        if refused && !understood { found.unreadable() } else { found.finish() }
    }
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ecosystem) enum Read {
    /// A package, something of the repository, or an option.
    Understood,
    /// No requirement; there is a warning.
    Refused,
    Empty,
}

/// Adds what a line of a requirements file asks for, with the line number, `direct` and scope of
/// `declared`.
pub(in crate::ecosystem) fn add(
    text: &str,
    declared: Declared<'_>,
    found: &mut Collector<'_>,
) -> Read {
    let text = without_comment(text).trim();
    match requirement_of(text).map(requirement::read) {
        Some(Requirement::Package { name, version, specifier, oddity }) => {
            let specifier = specifier.as_deref();
            found.add_of(Ecosystem::PyPi, Declared { name, version, specifier, ..declared });
            if let Some(oddity) = oddity {
                found.warn(declared.line, format!("`{}`: {oddity}", excerpt(text)));
            }
            Read::Understood
        }
        Some(Requirement::Refused(why)) => {
            found.warn(declared.line, format!("`{}`: {why}", excerpt(text)));
            Read::Refused
        }
        None if text.is_empty() => Read::Empty,
        Some(Requirement::Local) | None => Read::Understood,
    }
}

fn stem(file: &str) -> Option<&str> {
    // What rye locks has the same form.
    let locked = || file.strip_suffix(".lock").filter(|it| it.starts_with("requirements"));
    let text = [".txt", ".in", ".pip"].iter().find_map(|it| file.strip_suffix(it));
    text.or_else(locked)
}

/// The file's name is all that tells what it is for: `requirements-dev.txt`,
/// `requirements/test.txt`. None where it says something that is not generally understood.
fn scope_of_file(path: &str) -> Option<Scope> {
    let path = path.to_ascii_lowercase();
    let file = path.rsplit('/').next().unwrap_or(&path);
    let words: Vec<_> = stem(file)
        .unwrap_or(file)
        .split(['-', '_', '.'])
        .filter(|it| !matches!(*it, "" | "requirement" | "requirements"))
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

/// Joins the lines that end with a backslash, and numbers each by its first. A comment is never
/// continued.
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
                // A comment ends the requirement above it; the space keeps them apart.
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

/// A `#` begins a comment at the start of a line and behind white space; elsewhere it belongs
/// to a URL.
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

/// The requirement of a line, without the options behind it; none for a line that is empty or
/// an option. `-e` takes a requirement.
fn requirement_of(line: &str) -> Option<&str> {
    let line = if let Some(editable) = option(line, "-e").or_else(|| option(line, "--editable")) {
        editable.trim().trim_matches(['"', '\''])
    } else if line.starts_with('-') {
        return None;
    } else {
        line
    };
    let options = line
        .char_indices()
        .zip(line.chars().skip(1))
        .find_map(|((at, it), next)| (it.is_whitespace() && next == '-').then_some(at));
    let requirement = options.map_or(line, |at| line.get(..at).unwrap_or(line)).trim();
    (!requirement.is_empty()).then_some(requirement)
}

fn option<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let value = line.strip_prefix(name)?;
    value
        .starts_with(|it: char| it == '=' || it.is_whitespace())
        .then(|| value.trim_start_matches(|it: char| it == '=' || it.is_whitespace()))
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
    fn the_name_tells_what_a_file_is_for() {
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
