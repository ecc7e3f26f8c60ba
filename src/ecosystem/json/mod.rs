//! A JSON reader (RFC 8259) with line numbers that tolerates broken files, comments and trailing commas.
//!
//! Input: the text of a file. Output: a tree that borrows from the text, with the line of every value
//! and member, and the errors. A truncated file, a stray token or a merge conflict marker loses only
//! the members that it hits; the members before and after are kept.
//!
//! Invariants: no panic, bounded recursion, and every step moves forward, so the time is linear in the
//! length of the text.

mod escape;
mod reader;
#[cfg(test)]
mod tests;

pub(super) use reader::Ignored;

use super::{collect::Collector, parser::Findings, text};

use std::borrow::Cow;

/// Reads the object of a file and passes it to `walk`. Each syntax error becomes a warning.
pub(crate) fn read(
    bytes: &[u8],
    found: Collector<'_>,
    walk: impl FnOnce(&Node<'_>, &mut Collector<'_>),
) -> Findings {
    read_kinds(bytes, found, Ignored::default(), false, walk)
}

/// As [`read`], for large files, of which some members are not needed.
pub(crate) fn read_without(
    bytes: &[u8],
    ignored: Ignored,
    found: Collector<'_>,
    walk: impl FnOnce(&Node<'_>, &mut Collector<'_>),
) -> Findings {
    read_kinds(bytes, found, ignored, false, walk)
}

/// As [`read`], for a file that may contain an array instead.
pub(crate) fn read_object_or_array(
    bytes: &[u8],
    found: Collector<'_>,
    walk: impl FnOnce(&Node<'_>, &mut Collector<'_>),
) -> Findings {
    read_kinds(bytes, found, Ignored::default(), true, walk)
}

fn read_kinds(
    bytes: &[u8],
    mut found: Collector<'_>,
    ignored: Ignored,
    takes_array: bool,
    walk: impl FnOnce(&Node<'_>, &mut Collector<'_>),
) -> Findings {
    let text = text::decode(bytes);
    let document = reader::parse(&text, ignored, found.budget());
    for error in &document.errors {
        found.warn(error.line, &error.message);
    }
    let Some(root) = document.root else { return found.unreadable() };
    let is_empty = match &root.value {
        Value::Object(members) => members.is_empty(),
        Value::Array(elements) if takes_array => elements.is_empty(),
        _ => {
            found.warn(root.line, format!("expected an object, got {}", root.kind()));
            return found.unreadable();
        }
    };
    if is_empty && found.has_warnings() {
        return found.unreadable();
    }
    walk(&root, &mut found);
    found.finish()
}

/// The tree of a text, as far as it could be read.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    /// None where the text contains no value.
    pub(crate) root: Option<Node<'a>>,
    pub(crate) errors: Vec<Error>,
}

/// A syntax error.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Error {
    pub(crate) line: u32,
    pub(crate) message: String,
}

/// A value, and the line on which it begins.
#[derive(Debug, PartialEq)]
pub(crate) struct Node<'a> {
    pub(crate) line: u32,
    pub(crate) value: Value<'a>,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    /// As written.
    Number(&'a str),
    String(Cow<'a, str>),
    Array(Vec<Node<'a>>),
    Object(Vec<Member<'a>>),
}

/// A name and its value; `line` is that of the name.
#[derive(Debug, PartialEq)]
pub(crate) struct Member<'a> {
    pub(crate) key: Cow<'a, str>,
    pub(crate) line: u32,
    pub(crate) value: Node<'a>,
}

impl<'a> Node<'a> {
    /// The value of a member; of the last one where a name is repeated, as in JavaScript.
    pub(crate) fn get(&self, key: &str) -> Option<&Node<'a>> {
        self.members()?.iter().rev().find(|member| member.key == key).map(|member| &member.value)
    }

    /// The text of a member, if it is a string.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// Whether a member is `true`.
    pub(crate) fn is_true(&self, key: &str) -> bool {
        self.get(key).is_some_and(|node| node.value == Value::Bool(true))
    }

    pub(crate) fn members(&self) -> Option<&[Member<'a>]> {
        match &self.value {
            Value::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The elements of a member, if it is an array.
    pub(crate) fn elements(&self, key: &str) -> impl Iterator<Item = &Node<'a>> {
        let elements = match self.get(key).map(|node| &node.value) {
            Some(Value::Array(elements)) => elements.as_slice(),
            _ => &[],
        };
        elements.iter()
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The kind of the value, in the terms of RFC 8259.
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        }
    }
}
