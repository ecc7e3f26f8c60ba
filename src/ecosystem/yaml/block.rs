//! A recursive-descent parser of YAML's block structures, with error recovery.
//!
//! Input: a text. Output: a [`Tree`]. Invariants: each iteration of a loop moves forward or leaves the
//! loop; the depth is checked before each descent. A function that reads a block value leaves the cursor
//! at the next content after it.

use super::{
    Id, Reference, StoredMember, Tree, Value,
    reader::{MAX_DEPTH, Parent, Reader},
};
use crate::ecosystem::budget::Budget;
use std::{borrow::Cow, collections::HashMap};

/// Parses a text as far as possible.
pub(super) fn parse<'a>(text: &'a str, budget: &'a Budget) -> Tree<'a> {
    let mut reader = Reader::new(text, budget);
    let roots = reader.documents();
    budget.read(text.len());
    reader.finish(roots)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entries {
    OfMapping,
    OfSequence,
}

impl<'a> Reader<'a> {
    fn documents(&mut self) -> Vec<Id> {
        let mut roots = Vec::new();
        self.go_to_content();
        while !self.done {
            let node = if self.is_marker() {
                let begins = self.peek() == Some(b'-');
                // Not `clear`, which takes time for the whole capacity of the table.
                self.anchors = HashMap::new();
                self.at += 3;
                if begins { self.value(None, Entries::OfSequence, 0) } else { self.end_of_value() }
            } else if self.column() == 0 && self.peek() == Some(b'%') {
                self.next_line();
                self.go_to_content();
                None
            } else {
                Some(self.block(None, 0))
            };
            let is_null = |reference: &Reference| {
                self.stored(reference.id).is_none_or(|node| matches!(node.value, Value::Null))
            };
            roots
                .extend(node.filter(|reference| !is_null(reference)).map(|reference| reference.id));
        }
        roots
    }

    /// Reads the block node that begins here.
    fn block(&mut self, parent: Parent, depth: u32) -> Reference {
        if depth >= MAX_DEPTH {
            return self.too_deep(parent);
        }
        if self.is_indicator(b'-') {
            self.sequence(depth)
        } else if self.is_indicator(b'?') || self.colon().is_some() {
            self.mapping(depth)
        } else {
            let line = self.line;
            self.value(parent, Entries::OfSequence, depth + 1)
                .unwrap_or(Reference { line, id: Id(u32::MAX) })
        }
    }

    fn too_deep(&mut self, parent: Parent) -> Reference {
        self.error(format!("nested deeper than {MAX_DEPTH} levels"));
        let null = self.null();
        self.next_line();
        self.go_to_content();
        while !self.done && !self.is_marker() && Some(self.column()) > parent {
            self.next_line();
            self.go_to_content();
        }
        null
    }

    fn sequence(&mut self, depth: u32) -> Reference {
        let (line, column) = (self.line, self.column());
        let mut elements = Vec::new();
        while self.follows(column, Entries::OfSequence) {
            self.at += 1;
            elements.extend(self.value(Some(column), Entries::OfSequence, depth + 1));
        }
        self.push_sequence(line, elements)
    }

    fn mapping(&mut self, depth: u32) -> Reference {
        let (line, column) = (self.line, self.column());
        let mut members = Vec::new();
        while self.follows(column, Entries::OfMapping) {
            let line = self.line;
            let (key, value) = if self.is_indicator(b'?') {
                let (key, has_value) = self.explicit_key(column, depth);
                let value = if has_value {
                    // `: a: b` is a mapping in a mapping, as `- a: b` is one in a list.
                    self.value(Some(column), Entries::OfSequence, depth + 1)
                } else {
                    Some(self.null())
                };
                (key, value)
            } else {
                (self.key(), self.value(Some(column), Entries::OfMapping, depth + 1))
            };
            members.extend(value.map(|value| StoredMember { key, line, value }));
        }
        self.push_mapping(line, members)
    }

    /// Reads `? key`, and skips the `:` of its value, if it has one.
    fn explicit_key(&mut self, column: usize, depth: u32) -> (Cow<'a, str>, bool) {
        self.at += 1;
        let begin = self.nodes.len();
        let key = self.value(Some(column), Entries::OfSequence, depth + 1);
        let key = key.map(|key| self.text_of(key, begin)).unwrap_or_default();
        let at_value = !self.done && self.column() == column && self.is_indicator(b':');
        if at_value {
            self.at += 1;
        }
        (key, at_value)
    }

    /// Whether an entry of a collection follows at its column; skips lines that belong to no collection.
    fn follows(&mut self, column: usize, kind: Entries) -> bool {
        while !self.done && !self.is_marker() {
            let entry = if self.is_indicator(b'-') {
                Some(Entries::OfSequence)
            } else if self.is_indicator(b'?') || self.colon().is_some() {
                Some(Entries::OfMapping)
            } else {
                None
            };
            match (self.column().cmp(&column), entry) {
                (std::cmp::Ordering::Equal, Some(entry)) if entry == kind => return true,
                // A list may have the column of its key; other keys may follow at the same column.
                (std::cmp::Ordering::Equal, Some(Entries::OfMapping))
                | (std::cmp::Ordering::Less, Some(_)) => return false,
                (std::cmp::Ordering::Greater, Some(_)) => self.error("bad indentation"),
                _ => self.unexpected(),
            }
            self.next_line();
            self.go_to_content();
        }
        false
    }

    /// Reads the value after a `-` or a `:`. None for an undefined alias.
    fn value(&mut self, parent: Parent, kind: Entries, depth: u32) -> Option<Reference> {
        self.skip_spaces();
        let (anchor, tag) = self.properties();
        let node = if self.is_rest_blank() {
            self.next_line();
            self.go_to_content();
            self.nested(parent, kind, depth)
        } else if kind == Entries::OfSequence && self.begins_collection() {
            self.block(parent, depth)
        } else {
            self.inline(parent, depth)?
        };
        self.attach(node, anchor, tag);
        Some(node)
    }

    /// Reads the value below its key or dash, if there is one.
    fn nested(&mut self, parent: Parent, kind: Entries, depth: u32) -> Reference {
        let is_list_at_key =
            kind == Entries::OfMapping && Some(self.column()) == parent && self.is_indicator(b'-');
        if self.done || self.is_marker() || !(Some(self.column()) > parent || is_list_at_key) {
            return self.null();
        }
        self.block(parent, depth)
    }

    /// Whether a collection may begin within the line: `- key: value`.
    fn begins_collection(&mut self) -> bool {
        self.is_indicator(b'-') || self.is_indicator(b'?') || self.colon().is_some()
    }

    /// Reads a value that begins within the line and is not a block collection.
    fn inline(&mut self, parent: Parent, depth: u32) -> Option<Reference> {
        let line = self.line;
        match self.peek() {
            Some(b'*') => {
                let node = self.alias();
                self.end_of_value();
                node
            }
            Some(b'|' | b'>') => {
                let text = self.block_scalar(parent);
                Some(self.push(line, Value::Scalar { text, plain: false }))
            }
            Some(b'"' | b'\'') => {
                let text = self.quoted(parent);
                self.end_of_value();
                Some(self.push(line, Value::Scalar { text, plain: false }))
            }
            Some(b'[' | b'{') if !self.rest().starts_with("{{") => {
                let (node, closed) = self.flow(parent, depth);
                if closed {
                    self.end_of_value();
                } else {
                    self.go_to_content();
                }
                node
            }
            _ => {
                let text = self.plain(parent);
                Some(self.push_plain(line, text))
            }
        }
    }
}
