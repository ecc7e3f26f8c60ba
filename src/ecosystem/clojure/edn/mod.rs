//! A reader of EDN (edn-format/edn), and of Clojure as far as manifests need it ("The Reader" of Clojure's
//! reference), that tolerates broken files.
//!
//! Input: the text of a file. Output: the forms of the file with their lines, and the errors. Comments,
//! discarded forms (`#_`) and metadata (`^`) are skipped; a quote, an unquote or a tag leaves the form after
//! it. An unclosed bracket ends with the bracket around it, or with the file.
//!
//! Invariants: no panic and no recursion; a form that is nested too deeply is skipped; every step moves
//! forward, so the time is linear in the length of the text.

mod reader;
#[cfg(test)]
mod tests;

use crate::ecosystem::{Findings, collect::Collector, text};
use std::borrow::Cow;

/// A form, and the line on which it begins.
#[derive(Debug, PartialEq)]
pub(super) struct Node<'a> {
    pub(super) line: u32,
    pub(super) form: Form<'a>,
}

#[derive(Debug, PartialEq)]
pub(super) enum Form<'a> {
    /// A symbol, a number, a character, `nil`, `true` or `false`, as written.
    Symbol(Cow<'a, str>),
    /// Without its colon.
    Keyword(Cow<'a, str>),
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    Vector(Vec<Node<'a>>),
    /// Keys and values alternate.
    Map(Vec<Node<'a>>),
    Set(Vec<Node<'a>>),
}

impl<'a> Node<'a> {
    pub(super) fn symbol(&self) -> Option<&str> {
        match &self.form {
            Form::Symbol(symbol) => Some(symbol),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.form {
            Form::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn is_keyword(&self, name: &str) -> bool {
        matches!(&self.form, Form::Keyword(keyword) if keyword == name)
    }

    /// The forms of a list or a vector.
    pub(super) fn elements(&self) -> &[Node<'a>] {
        match &self.form {
            Form::List(items) | Form::Vector(items) => items,
            _ => &[],
        }
    }

    /// The keys and values of a map, alternating.
    pub(super) fn entries(&self) -> &[Node<'a>] {
        match &self.form {
            Form::Map(items) => items,
            _ => &[],
        }
    }

    /// The value of a keyword in a map.
    pub(super) fn get(&self, keyword: &str) -> Option<&Node<'a>> {
        value_of(self.entries(), keyword)
    }

    /// The kind of the form, in the terms of EDN.
    pub(super) fn kind(&self) -> &'static str {
        match self.form {
            Form::Symbol(_) => "a symbol",
            Form::Keyword(_) => "a keyword",
            Form::Text(_) => "a string",
            Form::List(_) => "a list",
            Form::Vector(_) => "a vector",
            Form::Map(_) => "a map",
            Form::Set(_) => "a set",
        }
    }
}

/// The value of a keyword in alternating keys and values.
pub(super) fn value_of<'n, 'a>(items: &'n [Node<'a>], keyword: &str) -> Option<&'n Node<'a>> {
    items.chunks_exact(2).find(|pair| pair[0].is_keyword(keyword)).map(|pair| &pair[1])
}

/// Reads the forms of a file and passes them to `walk`. Each syntax error becomes a warning.
pub(super) fn read(
    bytes: &[u8],
    mut found: Collector<'_>,
    walk: impl FnOnce(&[Node<'_>], &mut Collector<'_>),
) -> Findings {
    let text = text::decode(bytes);
    let (forms, errors) = reader::forms(&text, found.budget());
    for (line, error) in &errors {
        found.warn(*line, error);
    }
    if forms.is_empty() && !errors.is_empty() {
        return found.unreadable();
    }
    walk(&forms, &mut found);
    found.finish()
}
