//! JSON (RFC 8259) with line numbers, for files that may be broken.
//!
//! What flows in: the text of a file. What flows out: a tree that borrows from the text, every
//! value and member with its line, and the errors met on the way. A file that was cut off, a
//! stray token or the markers of an unfinished merge cost the members that they hit; what stands
//! before and after them is kept.
//!
//! What must stay true: no panic, bounded recursion, and every step moves forward, so the time is
//! linear in the length of the text.

mod escape;
mod reader;
#[cfg(test)]
mod tests;

pub(super) use reader::parse;

use super::{collect::Collector, source::Findings, text};

use std::borrow::Cow;

/// Reads as much of a file's object as can be understood, and gives it to `walk`. What could not be
/// understood is a warning.
pub(crate) fn read(
    bytes: &[u8],
    found: Collector<'_>,
    walk: impl FnOnce(&Node<'_>, &mut Collector<'_>),
) -> Findings {
    read_kinds(bytes, found, false, walk)
}

/// As [`read`], for a file that may hold an array as well.
pub(crate) fn read_object_or_array(
    bytes: &[u8],
    found: Collector<'_>,
    walk: impl FnOnce(&Node<'_>, &mut Collector<'_>),
) -> Findings {
    read_kinds(bytes, found, true, walk)
}

fn read_kinds(
    bytes: &[u8],
    mut found: Collector<'_>,
    takes_array: bool,
    walk: impl FnOnce(&Node<'_>, &mut Collector<'_>),
) -> Findings {
    let text = text::decode(bytes);
    let document = parse(&text, found.budget());
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

/// What could be read of a text.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    /// None where the text holds no value at all.
    pub(crate) root: Option<Node<'a>>,
    pub(crate) errors: Vec<Error>,
}

/// Something that JSON does not allow.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Error {
    pub(crate) line: u32,
    pub(crate) message: String,
}

/// A value and the line on which it begins.
#[derive(Debug, PartialEq)]
pub(crate) struct Node<'a> {
    pub(crate) line: u32,
    pub(crate) value: Value<'a>,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    /// As it is written.
    Number(&'a str),
    String(Cow<'a, str>),
    Array(Vec<Node<'a>>),
    Object(Vec<Member<'a>>),
}

/// A name and its value; `line` is the name's.
#[derive(Debug, PartialEq)]
pub(crate) struct Member<'a> {
    pub(crate) key: Cow<'a, str>,
    pub(crate) line: u32,
    pub(crate) value: Node<'a>,
}

impl<'a> Node<'a> {
    /// The value of a member; of the last one where a name is repeated, as in JavaScript.
    pub(crate) fn get(&self, key: &str) -> Option<&Node<'a>> {
        self.members()?.iter().rev().find(|it| it.key == key).map(|it| &it.value)
    }

    /// The text of a member, where it is one.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// Whether a member is there and `true`.
    pub(crate) fn is_true(&self, key: &str) -> bool {
        self.get(key).is_some_and(|it| it.value == Value::Bool(true))
    }

    pub(crate) fn members(&self) -> Option<&[Member<'a>]> {
        match &self.value {
            Value::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The elements of a member, where it is an array.
    pub(crate) fn elements(&self, key: &str) -> impl Iterator<Item = &Node<'a>> {
        let elements = match self.get(key).map(|it| &it.value) {
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

    /// What kind of value this is, in the words of RFC 8259.
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
