//! The blocks of YAML by recursive descent, and how to go on behind what breaks them.
//!
//! What flows in: a text. What flows out: a [`Tree`]. What must stay true: each pass of a loop
//! moves forward or leaves the loop; the depth is checked before each step down. What reads a value
//! of a block leaves the cursor at the next content behind it.

use super::{Error, Id, Reference, Stem, Stored, Tree, Value, lines::Cursor};
use crate::ecosystem::{budget::Budget, text};
use std::{
    borrow::Cow,
    collections::HashMap,
    ops::{Deref, DerefMut},
};

/// Deeper values are skipped, with an error.
pub(super) const MAX_DEPTH: u32 = 100;

/// More errors than this help nobody; a file of noise would bring one with each line.
const MAX_ERRORS: usize = 20;

/// Reads as much of a text as can be understood.
pub(super) fn parse<'a>(text: &'a str, budget: &'a Budget) -> Tree<'a> {
    let mut reader = Reader {
        cursor: Cursor::new(text),
        nodes: Vec::new(),
        anchors: HashMap::new(),
        errors: Vec::new(),
        has_templates: false,
        budget,
        colon: (usize::MAX, None),
    };
    let roots = reader.documents();
    budget.read(text.len());
    let Reader { nodes, errors, has_templates, .. } = reader;
    Tree { nodes, roots, errors, has_templates, budget }
}

pub(super) struct Reader<'a> {
    cursor: Cursor<'a>,
    pub(super) nodes: Vec<Stored<'a>>,
    pub(super) anchors: HashMap<&'a str, Id>,
    errors: Vec<Error>,
    has_templates: bool,
    pub(super) budget: &'a Budget,
    /// A place, and where the colon of the key is that begins there.
    colon: (usize, Option<usize>),
}

/// The column of the collection that a value belongs to; none for a whole document.
pub(super) type Parent = Option<usize>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entries {
    OfMapping,
    OfSequence,
}

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
    fn documents(&mut self) -> Vec<Id> {
        let mut roots = Vec::new();
        self.go_to_content();
        while !self.done {
            let node = if self.is_marker() {
                let begins = self.peek() == Some(b'-');
                // Not `clear`, which takes time for each place that the table ever had.
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
            let is_null = |it: &Reference| {
                self.stored(it.id).is_none_or(|it| matches!(it.value, Value::Null))
            };
            roots.extend(node.filter(|it| !is_null(it)).map(|it| it.id));
        }
        roots
    }

    pub(super) fn error(&mut self, message: impl Into<String>) {
        self.error_at(self.line, message);
    }

    pub(super) fn error_at(&mut self, line: u32, message: impl Into<String>) {
        let known = self.errors.last().is_some_and(|it| it.line == line);
        if !known && self.errors.len() < MAX_ERRORS {
            self.errors.push(Error { line, message: message.into() });
        }
    }

    fn unexpected(&mut self) {
        let message = format!("unexpected `{}`", text::excerpt(self.rest().trim_end()));
        self.error(message);
    }

    /// Goes to the next place where something is written, from the rest of a line on of which
    /// nothing is left to read. Says whether nothing but blank lines were passed.
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
                self.error("the marker of an unfinished merge");
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
            self.error("the lines of a template are passed over");
            self.return_to(behind);
        }
        true
    }

    /// Ends a value that ends within a line.
    pub(super) fn end_of_value(&mut self) -> Option<Reference> {
        if !self.is_rest_blank() {
            self.skip_spaces();
            self.unexpected();
        }
        self.next_line();
        self.go_to_content();
        None
    }

    /// Reads the node whose first line begins here.
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
            members.extend(value.map(|value| Stem { key, line, value }));
        }
        self.push_mapping(line, members)
    }

    /// Reads `? key`, and passes the `:` of its value, if there is one.
    fn explicit_key(&mut self, column: usize, depth: u32) -> (Cow<'a, str>, bool) {
        self.at += 1;
        let begin = self.nodes.len();
        let key = self.value(Some(column), Entries::OfSequence, depth + 1);
        let key = key.map(|it| self.text_of(it, begin)).unwrap_or_default();
        let at_value = !self.done && self.column() == column && self.is_indicator(b':');
        if at_value {
            self.at += 1;
        }
        (key, at_value)
    }

    /// Whether an entry of a collection follows at its column; passes what is no entry of any.
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
                (std::cmp::Ordering::Equal, Some(it)) if it == kind => return true,
                // A list may stand at the column of its key, behind which other keys follow.
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

    /// Reads the value behind a `-` or a `:`. None where the node is that of an alias which is
    /// not known.
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

    /// Reads the value that stands below its key or dash, if there is any.
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

    /// Reads a value that begins within the line and is no block collection.
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

    /// Where the colon behind a key is that begins here; none where no key does.
    pub(super) fn colon(&mut self) -> Option<usize> {
        if self.colon.0 != self.at {
            self.colon = (self.at, super::scalar::colon_of(self.rest()).map(|it| self.at + it));
        }
        self.colon.1
    }
}
