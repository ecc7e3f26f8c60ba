//! What the imports of one file name.
//!
//! What flows in: dotted names with their places, in the order of the file. What flows out: each
//! name once, with its first line. What must stay true: a file of nothing but imports costs a
//! bounded number of names, and says that there were more.

use super::super::{Findings, SourceFile};
use std::collections::BTreeMap;

/// Different names of one file; no file that somebody wrote has more.
pub(super) const MOST_NAMES: usize = 10_000;
/// What is longer names nothing that could be found.
pub(super) const LONGEST_NAME: usize = 200;

/// The language that an import is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Language {
    Python,
    Java,
    Scala,
}

/// What one source names, as [`Imports`](super::Imports) takes it.
#[derive(Debug, PartialEq)]
pub struct Named {
    pub(super) language: Language,
    /// The package that the file says it belongs to.
    pub(super) package: Option<String>,
    /// Dotted names, and the line of the first import of each.
    pub(super) names: BTreeMap<String, u32>,
}

/// Gathers the names of one file.
#[derive(Debug)]
pub(super) struct Names<'t> {
    text: &'t str,
    /// Up to where lines are counted, and how many there were.
    counted: usize,
    line: u32,
    named: Named,
    is_full: bool,
}

impl<'t> Names<'t> {
    pub(super) fn new(text: &'t str, language: Language) -> Self {
        let named = Named { language, package: None, names: BTreeMap::new() };
        Self { text, counted: 0, line: 1, named, is_full: false }
    }

    /// Adds the name that is imported at a place, which is not before the last one.
    pub(super) fn add(&mut self, name: String, at: usize) {
        if name.is_empty() || name.len() > LONGEST_NAME || self.named.names.contains_key(&name) {
            return;
        }
        self.is_full |= self.named.names.len() >= MOST_NAMES;
        if !self.is_full {
            let line = self.line_at(at);
            self.named.names.insert(name, line);
        }
    }

    /// Says which package the file belongs to; a second clause goes on where the first ended.
    pub(super) fn belongs_to(&mut self, package: &str) {
        if package.is_empty() || package.len() > LONGEST_NAME {
            return;
        }
        let whole = match self.named.package.take() {
            Some(outer) if outer.len() < LONGEST_NAME => format!("{outer}.{package}"),
            Some(outer) => outer,
            None => package.to_owned(),
        };
        self.named.package = Some(whole);
    }

    fn line_at(&mut self, at: usize) -> u32 {
        let between = self.text.get(self.counted..at).unwrap_or_default();
        let newlines = between.bytes().filter(|it| *it == b'\n').count();
        self.line = self.line.saturating_add(u32::try_from(newlines).unwrap_or(u32::MAX));
        self.counted = self.counted.max(at);
        self.line
    }

    pub(super) fn finish(self, file: SourceFile<'_>) -> Findings {
        let mut findings = Findings::default();
        if self.is_full {
            let message =
                format!("more than {MOST_NAMES} different imports: the rest of them is not read");
            findings.warnings.push(file.warning(None, message));
        }
        findings.imports = Some(Box::new(self.named));
        findings
    }
}

/// A word as text; one with a character outside of ASCII is in no registry, but may be a folder's.
pub(super) fn text_of(word: &[u8]) -> &str {
    std::str::from_utf8(word).unwrap_or_default()
}
