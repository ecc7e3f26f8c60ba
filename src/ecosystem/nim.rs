//! Nim: `*.nimble` and `nimble.lock`, by "Nimble User Guide".
//!
//! Input: `requires` of a manifest, or `packages` of a lock file. Output: packages under their names; for an
//! address, the last segment. Invariants: `nim` is the compiler and not a package, unless a lock file lists
//! it; a manifest is a program, and it is never run.

use super::{
    Findings, Parser, SourceFile,
    collect::{Added, Collector, Declared},
    git_reference,
    json::{self, Node},
    path::file_name,
    script::{self, Dialect, Tokens},
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::collections::HashMap;

/// Reads `nimble.lock`.
#[derive(Debug)]
pub(super) struct NimbleLock;

impl Parser for NimbleLock {
    fn name(&self) -> &'static str {
        "nimble-lock"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "nimble.lock"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Nim, Source::Lockfile);
        json::read(file.bytes, found, read_lock)
    }
}

/// Reads `*.nimble`.
#[derive(Debug)]
pub(super) struct Nimble;

impl Parser for Nimble {
    fn name(&self) -> &'static str {
        "nimble"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path).strip_suffix(".nimble").is_some_and(|stem| !stem.is_empty())
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Nim, Source::Manifest).merging();
        let text = text::decode(file.bytes);
        let tokens = script::tokens(&text, Dialect::Nim);
        tokens.warn(&mut found);
        for at in 0..tokens.len() {
            let scope = match tokens.word(at) {
                // The old form, similar to an INI file, is capitalized.
                Some("requires" | "Requires") => Scope::Runtime,
                Some("taskRequires") => Scope::Dev,
                _ => continue,
            };
            let first = skip_marks(&tokens, at + 1);
            // The name of the task comes first.
            let first = if scope == Scope::Dev { skip_marks(&tokens, first + 1) } else { first };
            requirements(&tokens, first, scope, &mut found);
        }
        found.finish()
    }
}

fn skip_marks(tokens: &Tokens<'_>, mut at: usize) -> usize {
    while matches!(tokens.mark(at), Some('(' | ':' | ',' | '=' | '@' | '[')) {
        at = tokens.skip_lines(at + 1);
    }
    at
}

/// Reads strings with commas between, each of which may contain several requirements.
fn requirements(tokens: &Tokens<'_>, mut at: usize, scope: Scope, found: &mut Collector<'_>) {
    while let Some(text) = tokens.text(at) {
        for text in text.split(',') {
            requirement(text.trim(), tokens.line(at), scope, found);
        }
        if !tokens.is_mark(at + 1, ',') {
            return;
        }
        at = tokens.skip_lines(at + 2);
    }
}

/// `name >= 1.0 & < 2.0`, `name#head`, `https://host/name@#commit`
fn requirement(text: &str, line: u32, scope: Scope, found: &mut Collector<'_>) {
    if text.is_empty() {
        return;
    }
    let end = text.find([' ', '#', '<', '>', '=', '~', '^']).unwrap_or(text.len());
    let (source, range) = text.split_at_checked(end).unwrap_or((text, ""));
    let source = source.trim_end_matches(['@', '/']);
    let name = source.rsplit('/').next().unwrap_or(source);
    let name = name.strip_suffix(".git").unwrap_or(name);
    let name = name.split('?').next().unwrap_or(name);
    if name.eq_ignore_ascii_case("nim") {
        return;
    }
    let range = Some(range.trim()).filter(|range| !range.is_empty());
    let commit = range.and_then(|range| range.strip_prefix('#')).and_then(git_reference::commit);
    let exact = range.and_then(|range| range.strip_prefix("==")).map(str::trim);
    let version = commit.or(exact);
    let specifier = if version.is_none() { range } else { None };
    let (direct, scope) = (Some(true), Some(scope));
    found.add(Declared { name, version, specifier, line, direct, scope });
}

fn read_lock(root: &Node<'_>, found: &mut Collector<'_>) {
    let tasks = root.get("tasks").and_then(Node::members).unwrap_or_default();
    let packages = root.get("packages").map(|packages| (packages, Scope::Runtime));
    let lists = packages.into_iter().chain(tasks.iter().map(|task| (&task.value, Scope::Dev)));
    for (list, scope) in lists {
        let Some(members) = list.members() else {
            found.warn(list.line, format!("packages: expected an object, got {}", list.kind()));
            continue;
        };
        let scope = (scope == Scope::Dev).then_some(scope);
        let mut added: HashMap<&str, Added> = HashMap::new();
        for member in members {
            let (name, line) = (member.key.as_ref(), member.line);
            let usable = |version: &&str| !version.is_empty() && !version.starts_with('#');
            let version = member.value.text("version").filter(usable);
            let version = version.or_else(|| member.value.text("vcsRevision"));
            if version.is_none() {
                found.warn(line, format!("`{}` has no version", text::excerpt(name)));
            }
            let declared = Declared { name, version, line, scope, ..Declared::default() };
            if let Some(taken) = found.take(Ecosystem::Nim, declared) {
                added.insert(name, taken);
            }
        }
        for member in members {
            let Some(package) = added.get(member.key.as_ref()) else { continue };
            let wanted = member.value.elements("dependencies").filter_map(Node::as_str);
            for required in wanted.filter_map(|name| added.get(name)) {
                found.requires(*package, *required);
            }
        }
    }
}
