//! Collects the imports of one file.
//!
//! Input: dotted names with their offsets, in the order of the file. Output: each name once, with its first
//! line. Invariants: the number of names is bounded; a warning states when there were more.

use super::super::{Findings, SourceFile};
use std::collections::BTreeMap;

/// Different names of one file; no real file has more.
pub(super) const MAX_NAMES: usize = 10_000;
/// Longer names are ignored.
pub(super) const LONGEST_NAME: usize = 200;

/// The language that an import is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Language {
    Python,
    Java,
    Scala,
    JavaScript,
}

/// The imports of one source file, for [`Imports`](super::Imports).
#[derive(Debug, PartialEq)]
pub(super) struct FileImports {
    pub(super) file: String,
    pub(super) language: Language,
    /// The package that the file declares for itself.
    pub(super) package: Option<String>,
    /// Dotted names, of JavaScript specifiers of packages, and the line of the first import of each.
    pub(super) names: BTreeMap<String, u32>,
}

/// Collects the names of one file.
#[derive(Debug)]
pub(super) struct Names<'t> {
    text: &'t str,
    /// The offset up to which lines have been counted, and the line there.
    counted: usize,
    line: u32,
    named: FileImports,
    is_full: bool,
}

impl<'t> Names<'t> {
    pub(super) fn new(text: &'t str, language: Language) -> Self {
        let file = String::new();
        let named = FileImports { file, language, package: None, names: BTreeMap::new() };
        Self { text, counted: 0, line: 1, named, is_full: false }
    }

    /// Adds the name that is imported at an offset. Offsets must not decrease.
    pub(super) fn add(&mut self, name: String, at: usize) {
        if name.is_empty() || name.len() > LONGEST_NAME || self.named.names.contains_key(&name) {
            return;
        }
        self.is_full |= self.named.names.len() >= MAX_NAMES;
        if !self.is_full {
            let line = self.line_at(at);
            self.named.names.insert(name, line);
        }
    }

    /// Sets the package of the file. A second clause extends the first.
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
        let newlines = between.bytes().filter(|byte| *byte == b'\n').count();
        self.line = self.line.saturating_add(u32::try_from(newlines).unwrap_or(u32::MAX));
        self.counted = self.counted.max(at);
        self.line
    }

    pub(super) fn finish(mut self, file: SourceFile<'_>) -> Findings {
        let mut findings = Findings::default();
        if self.is_full {
            let message = format!("more than {MAX_NAMES} different imports; the rest is skipped");
            findings.warnings.push(file.warning(None, message));
        }
        file.path.clone_into(&mut self.named.file);
        findings.fact = Some(Box::new(self.named));
        findings
    }
}

/// A word as text. A word outside of ASCII is in no registry, but may be a folder's name.
pub(super) fn text_of(word: &[u8]) -> &str {
    std::str::from_utf8(word).unwrap_or_default()
}
