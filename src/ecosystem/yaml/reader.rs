//! The state of the YAML reader: the cursor, the values so far, the errors.
//!
//! Input: a text. Output: the content at the cursor, without blank lines, comments and template lines; in the
//! end a [`Tree`]. Invariants: the number of errors is bounded. The structures are read in `block`, `flow`
//! and `scalar`, each of which uses those after it.

use super::{Error, Id, Reference, Stored, Tree, cursor::Cursor, key::colon_of};
use crate::ecosystem::{budget::Budget, text};
use std::{
    collections::HashMap,
    ops::{Deref, DerefMut},
};

/// Deeper values are skipped, with an error.
pub(super) const MAX_DEPTH: u32 = 100;

/// Errors that are kept; a file of noise would give one for each line.
const MAX_ERRORS: usize = 20;

pub(super) struct Reader<'a> {
    cursor: Cursor<'a>,
    pub(super) nodes: Vec<Stored<'a>>,
    pub(super) anchors: HashMap<&'a str, Id>,
    errors: Vec<Error>,
    has_templates: bool,
    pub(super) budget: &'a Budget,
    /// Cache: a key's offset, and the offset of its colon.
    colon: (usize, Option<usize>),
}

/// The column of the collection that a value belongs to; none for a whole document.
pub(super) type Parent = Option<usize>;

impl<'a> Deref for Reader<'a> {
    type Target = Cursor<'a>;

    fn deref(&self) -> &Cursor<'a> {
        &self.cursor
    }
}

impl DerefMut for Reader<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.cursor
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str, budget: &'a Budget) -> Self {
        Self {
            cursor: Cursor::new(text),
            nodes: Vec::new(),
            anchors: HashMap::new(),
            errors: Vec::new(),
            has_templates: false,
            budget,
            colon: (usize::MAX, None),
        }
    }

    /// The tree of all values that were read.
    pub(super) fn finish(self, roots: Vec<Id>) -> Tree<'a> {
        let Self { nodes, errors, has_templates, budget, .. } = self;
        Tree { nodes, roots, errors, has_templates, budget }
    }

    pub(super) fn error(&mut self, message: impl Into<String>) {
        self.error_at(self.line, message);
    }

    pub(super) fn error_at(&mut self, line: u32, message: impl Into<String>) {
        let known = self.errors.last().is_some_and(|error| error.line == line);
        if !known && self.errors.len() < MAX_ERRORS {
            self.errors.push(Error { line, message: message.into() });
        }
    }

    pub(super) fn unexpected(&mut self) {
        let message = format!("unexpected `{}`", text::excerpt(self.rest().trim_end()));
        self.error(message);
    }

    /// Moves on from the end of a value to the next content. Returns whether only blank lines were
    /// skipped.
    pub(super) fn go_to_content(&mut self) -> bool {
        let mut only_blank = true;
        while !self.done {
            let before = self.at;
            self.skip_spaces();
            if self.peek().is_none() {
                self.next_line();
            } else if self.peek() == Some(b'#') {
                only_blank = false;
                self.next_line();
            } else if self.is_merge_marker() {
                only_blank = false;
                self.error(text::MERGE_MARKER);
                self.next_line();
            } else if self.is_template() {
                only_blank = false;
            } else {
                let indentation = self.text.get(before..self.at).unwrap_or_default();
                if self.is_first() && indentation.contains('\t') {
                    self.error("a tab in the indentation");
                }
                break;
            }
        }
        only_blank
    }

    fn is_template(&mut self) -> bool {
        let mark = self.mark();
        if !self.skip_template() {
            return false;
        }
        if !self.has_templates {
            self.has_templates = true;
            let behind = self.mark();
            self.return_to(mark);
            self.error("template lines are skipped");
            self.return_to(behind);
        }
        true
    }

    /// Ends a value that ends within the line: reports any text after it.
    pub(super) fn end_of_value(&mut self) -> Option<Reference> {
        if !self.is_rest_blank() {
            self.skip_spaces();
            self.unexpected();
        }
        self.next_line();
        self.go_to_content();
        None
    }

    /// The offset of the colon of the key that begins here; none if no key does.
    pub(super) fn colon(&mut self) -> Option<usize> {
        if self.colon.0 != self.at {
            self.colon = (self.at, colon_of(self.rest()).map(|offset| self.at + offset));
        }
        self.colon.1
    }
}
