//! Patterns of lock files, `name@range`, and the packages that they resolve to.
//!
//! Input: the patterns of each package. Output: the package of a pattern. Invariants: a name with several
//! packages has none without a range.

use super::{graph::Vertex, spec};
use std::collections::HashMap;

/// Maps patterns, `name@range`, to the packages that they resolve to.
#[derive(Debug, Default)]
pub(super) struct Resolved<'a> {
    by_pattern: HashMap<&'a str, Vertex>,
    /// The only package of a name; none if there are several.
    by_name: HashMap<&'a str, Option<Vertex>>,
}

impl<'a> Resolved<'a> {
    /// Records a pattern of a package, such as `a@^1`.
    pub(super) fn note(&mut self, pattern: &'a str, vertex: Vertex) {
        self.by_pattern.insert(pattern, vertex);
        let name = split_pattern(pattern).0;
        let only = self.by_name.entry(name).or_insert(Some(vertex));
        if *only != Some(vertex) {
            *only = None;
        }
    }

    /// The package that a name and range resolve to. If the pattern is missing, `resolutions` override it,
    /// so the only package of that name is meant.
    pub(super) fn get(&self, name: &str, range: &str) -> Option<Vertex> {
        let forms = [format!("{name}@{range}"), format!("{name}@npm:{range}")];
        let without_range = || self.by_pattern.get(name).filter(|_| range.is_empty()).copied();
        forms
            .iter()
            .find_map(|form| self.by_pattern.get(form.as_str()).copied())
            .or_else(without_range)
            .or_else(|| self.by_name.get(name).copied().flatten())
    }
}

/// Splits `name@range`; the `@` of a scope is not a separator.
pub(super) fn split_pattern(pattern: &str) -> (&str, &str) {
    let begin = usize::from(pattern.starts_with('@'));
    match pattern.get(begin..).and_then(|rest| rest.find('@')) {
        Some(at) => (
            pattern.get(..begin + at).unwrap_or_default(),
            pattern.get(begin + at + 1..).unwrap_or_default(),
        ),
        None => (pattern, ""),
    }
}

/// Whether a range names a folder. A local archive is a package.
pub(super) fn is_linked(range: &str) -> bool {
    let path = range.split(['#', ':']).nth(1).unwrap_or(range);
    let path = path.split("::").next().unwrap_or(path);
    let is_archive = [".tgz", ".tar.gz", ".tar"]
        .iter()
        .any(|suffix| path.ends_with(suffix) || range.ends_with(suffix));
    spec::is_local(range) && !is_archive
}
