//! `yarn.lock` of yarn 1, as its `lockfile/stringify.js` writes it.
//!
//! Input: entries of the form `name@range, name@range:`, with fields indented by two spaces, and lists of
//! dependencies by four. Output: each package with a version. Invariants: a malformed line loses only
//! itself.

use super::{
    graph::{Graph, Need},
    is_rush_project,
    pattern::{Resolved, is_linked, split_pattern},
    spec,
};
use crate::ecosystem::{
    Findings,
    collect::{Collector, Declared},
    git_reference,
    resolution::Importer,
    text,
};
use crate::model::{ecosystem::Ecosystem, scan_result::Scope};

/// Entries, and dependencies of all entries, that are kept; this bounds the memory.
const MAX_ENTRIES: usize = 250_000;
const MAX_DEPENDENCIES: usize = 1_000_000;

/// One entry, as written.
#[derive(Debug, Default)]
struct Entry<'a> {
    line: u32,
    patterns: Vec<&'a str>,
    version: Option<&'a str>,
    resolved: Option<&'a str>,
    integrity: Option<&'a str>,
    dependencies: Vec<(Need, &'a str, &'a str)>,
}

/// Reads a whole file.
pub(super) fn read(text: &str, mut found: Collector<'_>) -> Findings {
    let entries = entries(text, &mut found);
    if entries.is_empty() && found.has_warnings() {
        return found.unreadable();
    }
    let mut graph = Graph::new(found.budget());
    let mut resolved = Resolved::default();
    let mut taken = Vec::new();
    for entry in &entries {
        let Some(declared) = declared(entry, &mut found) else { continue };
        let vertex = graph.add(Ecosystem::Npm, declared);
        graph.describe(vertex, entry.integrity.or_else(|| digest_of(entry.resolved?)), None);
        for pattern in &entry.patterns {
            resolved.note(pattern, vertex);
            let (name, range) = split_pattern(pattern);
            graph.resolves(vertex, Importer::Any, name, range);
        }
        taken.push((entry, vertex));
    }
    let mut knows_direct = false;
    let rush = entries
        .iter()
        .filter(|entry| entry.patterns.first().is_some_and(|pattern| is_rush_project(pattern)));
    for (_, name, range) in rush.flat_map(|entry| &entry.dependencies) {
        knows_direct = true;
        if let Some(required) = resolved.get(name, range) {
            graph.add_direct(Scope::Runtime, required);
        }
    }
    for (entry, own) in taken {
        for (need, name, range) in &entry.dependencies {
            if let Some(required) = resolved.get(name, range) {
                graph.requires(own, *need, required);
            }
        }
    }
    drop(resolved);
    graph.list(knows_direct, &mut found);
    found.finish()
}

fn entries<'a>(text: &'a str, found: &mut Collector<'_>) -> Vec<Entry<'a>> {
    let mut entries: Vec<Entry<'a>> = Vec::new();
    let mut list = None;
    // The fields after a malformed entry do not belong to the entry before it.
    let mut is_malformed = false;
    let mut dependencies = 0;
    for (line, whole) in (1_u32..).zip(text.lines()) {
        let content = whole.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let depth = whole.len() - whole.trim_start().len();
        if depth == 0 {
            list = None;
            if entries.len() >= MAX_ENTRIES || dependencies >= MAX_DEPENDENCIES {
                found.warn(line, "too many entries or dependencies; the rest is skipped");
                break;
            }
            if let Some(patterns) = patterns(content) {
                is_malformed = false;
                entries.push(Entry { line, patterns, ..Entry::default() });
            } else {
                is_malformed |= content.contains('@');
                found.warn(line, format!("unexpected `{}`", text::excerpt(content)));
            }
            continue;
        }
        let Some(entry) = entries.last_mut().filter(|_| !is_malformed) else {
            found.warn(line, format!("unexpected `{}`", text::excerpt(content)));
            continue;
        };
        match (depth >= 4, list) {
            (true, Some(need)) if dependencies < MAX_DEPENDENCIES => {
                dependencies += 1;
                let (name, rest) = word(content);
                entry.dependencies.push((need, name, word(rest).0));
            }
            // An unknown list, or one that is too long.
            (true, _) => {}
            (false, _) => list = field(entry, content),
        }
    }
    entries
}

/// Reads a field. Returns the kind of the list that it begins.
fn field<'a>(entry: &mut Entry<'a>, content: &'a str) -> Option<Need> {
    let (name, rest) = word(content);
    match name {
        "version" => entry.version = Some(word(rest).0),
        "resolved" => entry.resolved = Some(word(rest).0),
        "integrity" => entry.integrity = Some(word(rest).0),
        "dependencies:" => return Some(Need::Required),
        "optionalDependencies:" => return Some(Need::Optional),
        _ => {}
    }
    None
}

/// `a@^1, "@b/c@>=1 <2":`
fn patterns(content: &str) -> Option<Vec<&str>> {
    let mut rest = content.strip_suffix(':')?;
    let mut patterns = Vec::new();
    while !rest.is_empty() {
        let pattern = if let Some(quoted) = rest.strip_prefix('"') {
            let (inner, behind) = quoted.split_once('"')?;
            rest = behind;
            inner
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            let (inner, behind) = rest.split_at(end);
            rest = behind;
            inner
        };
        patterns.push(pattern);
        rest = rest.trim_start_matches([',', ' ']);
    }
    // An empty range is not written: `name` in the place of `name@`.
    let is_pattern = |pattern: &&str| {
        pattern.get(1..).is_some_and(|rest| rest.contains('@')) || is_name(pattern)
    };
    (!patterns.is_empty() && patterns.iter().all(is_pattern)).then_some(patterns)
}

/// Whether a text can be the name of a package: `name`, `@scope/name`.
fn is_name(text: &str) -> bool {
    let is_part = |part: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!'()*".contains(&byte);
        part.starts_with(|first: char| first.is_ascii_alphanumeric()) && part.bytes().all(allowed)
    };
    match text.strip_prefix('@') {
        Some(scoped) => {
            scoped.split_once('/').is_some_and(|(scope, name)| is_part(scope) && is_part(name))
        }
        None => is_part(text),
    }
}

/// The SHA-1 digest of an archive of a registry, which old files have in its URL only. That of a repository is a
/// commit.
fn digest_of(resolved: &str) -> Option<&str> {
    let (address, digest) = resolved.rsplit_once('#')?;
    address.ends_with(".tgz").then_some(digest)
}

/// Splits a line into its first word, without quotes, and the rest.
fn word(text: &str) -> (&str, &str) {
    let (word, rest) = match text.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
        None => text.split_once(' ').unwrap_or((text, "")),
    };
    (word, rest.trim_start())
}

/// The package of an entry; none for a linked folder.
fn declared<'a>(entry: &Entry<'a>, found: &mut Collector<'_>) -> Option<Declared<'a>> {
    let split = entry.patterns.iter().map(|pattern| split_pattern(pattern));
    let (name, range) = split
        .map(|(name, range)| match range.strip_prefix("npm:") {
            // An alias resolves to its target.
            Some(target) if target.get(1..).is_some_and(|rest| rest.contains('@')) => {
                split_pattern(target)
            }
            Some(target) if !target.starts_with(spec::is_range_start) => (target, ""),
            _ => (name, range),
        })
        .next()?;
    if is_linked(range) || is_rush_project(name) {
        return None;
    }
    let commit = || {
        entry.resolved?.rsplit_once('#').and_then(|(_, reference)| git_reference::commit(reference))
    };
    let version =
        entry.version.or_else(commit).or_else(|| spec::version_of_tarball(entry.resolved?, name));
    if version.is_none() {
        found.warn(entry.line, format!("`{}` has no version", text::excerpt(name)));
    }
    let specifier = version.is_none().then_some(range);
    Some(Declared { name, version, specifier, line: entry.line, ..Declared::default() })
}
