//! Flow collections `[…]` and `{…}`, which include JSON.
//!
//! Input: the position of an opening bracket. Output: the collection up to its closing bracket.
//! Invariants: an unclosed collection ends at the first line that is indented no more than its parent, so
//! that the following lines are read.

use super::{
    Reference, StoredMember, Value,
    reader::{MAX_DEPTH, Parent, Reader},
};
use crate::ecosystem::text;
use std::borrow::Cow;

impl<'a> Reader<'a> {
    /// Reads a collection. Returns whether its end was found.
    pub(super) fn flow(&mut self, parent: Parent, depth: u32) -> (Option<Reference>, bool) {
        if depth >= MAX_DEPTH {
            self.error(format!("nested deeper than {MAX_DEPTH} levels"));
            self.skip_rest();
            return (None, true);
        }
        let line = self.line;
        let is_mapping = self.peek() == Some(b'{');
        self.at += 1;
        let (mut members, mut elements) = (Vec::new(), Vec::new());
        let mut closed = true;
        loop {
            if !self.flow_space(parent) {
                closed = false;
                break;
            }
            match self.peek() {
                Some(b']' | b'}') => {
                    if (self.peek() == Some(b'}')) != is_mapping {
                        self.error("wrong closing bracket");
                    }
                    self.at += 1;
                    break;
                }
                Some(b',') => self.at += 1,
                _ if is_mapping => members.extend(self.pair(parent, depth)),
                _ => elements.extend(self.element(parent, depth)),
            }
        }
        if !closed {
            self.error("unclosed bracket");
        }
        let node = if is_mapping {
            self.push_mapping(line, members)
        } else {
            self.push_sequence(line, elements)
        };
        (Some(node), closed)
    }

    /// Moves to the next content of a collection. False where the collection ends.
    fn flow_space(&mut self, parent: Parent) -> bool {
        loop {
            if self.is_rest_blank() {
                self.next_line();
                self.skip_spaces();
            }
            if self.done || self.is_marker() {
                return false;
            }
            if self.is_rest_blank() {
                continue;
            }
            self.skip_spaces();
            let is_first = self.is_first();
            if is_first && self.is_merge_marker() {
                self.error(text::MERGE_MARKER);
                self.skip_rest();
                continue;
            }
            let closes = matches!(self.peek(), Some(b']' | b'}' | b','));
            return !is_first || closes || Some(self.column()) > parent;
        }
    }

    fn pair(&mut self, parent: Parent, depth: u32) -> Option<StoredMember<'a>> {
        let line = self.line;
        if self.is_indicator(b'?') {
            self.at += 1;
            self.flow_space(parent);
        }
        let begin = self.nodes.len();
        let key = self.flow_node(parent, depth);
        let value = if self.colon_follows(parent) {
            self.flow_value(parent, depth)
        } else {
            Some(self.null())
        };
        Some(StoredMember { key: self.text_of(key?, begin), line, value: value? })
    }

    /// An element, which may be a mapping of one pair without its braces.
    fn element(&mut self, parent: Parent, depth: u32) -> Option<Reference> {
        let line = self.line;
        let begin = self.nodes.len();
        let node = self.flow_node(parent, depth);
        if !self.colon_follows(parent) {
            return node;
        }
        let value = self.flow_value(parent, depth);
        let stem = StoredMember { key: self.text_of(node?, begin), line, value: value? };
        Some(self.push_mapping(line, vec![stem]))
    }

    /// Skips a colon; returns whether there was one.
    fn colon_follows(&mut self, parent: Parent) -> bool {
        let follows = self.flow_space(parent) && self.peek() == Some(b':');
        if follows {
            self.at += 1;
        }
        follows
    }

    /// The value after a colon.
    fn flow_value(&mut self, parent: Parent, depth: u32) -> Option<Reference> {
        if !self.flow_space(parent) || matches!(self.peek(), Some(b',' | b']' | b'}')) {
            return Some(self.null());
        }
        self.flow_node(parent, depth)
    }

    fn flow_node(&mut self, parent: Parent, depth: u32) -> Option<Reference> {
        let (anchor, tag) = self.properties();
        let line = self.line;
        let node = match self.peek() {
            Some(b'*') => self.alias()?,
            Some(b'[' | b'{') => self.flow(parent, depth + 1).0?,
            Some(b'"' | b'\'') => {
                let text = self.quoted(parent);
                self.push(line, Value::Scalar { text, plain: false })
            }
            _ => {
                let text = self.flow_plain(parent);
                self.push_plain(line, text)
            }
        };
        self.attach(node, anchor, tag);
        Some(node)
    }

    /// Reads a plain scalar with its continuation lines; skips at least one byte.
    fn flow_plain(&mut self, parent: Parent) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(self.flow_plain_line());
        while self.is_rest_blank()
            && self.flow_space(parent)
            && !matches!(self.peek(), Some(b',' | b']' | b'}' | b':' | b'[' | b'{' | b'"'))
        {
            let more = self.flow_plain_line();
            text.to_mut().push(' ');
            text.to_mut().push_str(more);
        }
        text
    }

    fn flow_plain_line(&mut self) -> &'a str {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        let ends = |(at, byte): (usize, &u8)| match byte {
            b',' | b'[' | b']' | b'{' | b'}' => true,
            b':' => bytes.get(at + 1).is_none_or(|byte| b" \t,[]{}".contains(byte)),
            b'#' => at > 0 && matches!(bytes.get(at - 1), Some(b' ' | b'\t')),
            _ => false,
        };
        let end = bytes.iter().enumerate().position(ends).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default().trim_end()
    }
}
