//! XML as a tree with line numbers, for files that may be broken.
//!
//! What flows in: the bytes of a file. What flows out: the elements as far as they could be read,
//! and the errors met on the way. By "Extensible Markup Language (XML) 1.0" without document
//! types: none is read, so no entity expands to more than a character. Attributes are
//! kept as they stand, and read where one is asked for.
//!
//! What must stay true: nothing here recurses, and the tree is never deeper than [`reader::MAX_DEPTH`];
//! time is linear; a tag that fits nothing costs only itself. That last point is why no XML crate
//! is used: they rightly stop at the first error, and a manifest in the middle of a merge has one.

mod reader;
#[cfg(test)]
mod tests;

pub(crate) use reader::parse;

use super::{budget::Budget, text};
use std::borrow::Cow;

/// What could be read of a file.
#[derive(Debug)]
pub(crate) struct Tree<'a> {
    nodes: Vec<Node<'a>>,
    pub(crate) errors: Vec<(u32, String)>,
    budget: &'a Budget,
}

#[derive(Debug)]
struct Node<'a> {
    name: &'a str,
    /// What stands in the tag behind the name.
    attributes: &'a str,
    text: Cow<'a, str>,
    line: u32,
    /// Behind the last of the nodes below this one, which follow it.
    end: usize,
}

/// One element of a tree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Element<'t, 'a> {
    tree: &'t Tree<'a>,
    at: usize,
    node: &'t Node<'a>,
}

impl<'a> Tree<'a> {
    /// The first element that is not inside another.
    pub(crate) fn root(&self) -> Option<Element<'_, 'a>> {
        self.element(0)
    }

    /// None once the budget of work is used up: so all walks end.
    fn element(&self, at: usize) -> Option<Element<'_, 'a>> {
        if !self.budget.visit() {
            return None;
        }
        Some(Element { tree: self, at, node: self.nodes.get(at)? })
    }
}

impl<'t, 'a> Element<'t, 'a> {
    /// The name without its prefix.
    pub(crate) fn name(self) -> &'a str {
        self.node.name
    }

    pub(crate) fn line(self) -> u32 {
        self.node.line
    }

    /// The text between the tags, without white space around it; empty where there is none.
    pub(crate) fn text(self) -> &'t str {
        let text = &self.node.text;
        if self.tree.budget.read(text.len()) { text.trim() } else { "" }
    }

    /// The value of an attribute, without white space around it. `MSBuild` takes the names in any case.
    pub(crate) fn attribute(self, name: &str) -> Option<Cow<'a, str>> {
        let mut rest = self.node.attributes;
        if !self.tree.budget.read(rest.len()) {
            return None;
        }
        loop {
            let (before, behind) = rest.split_once('=')?;
            let value = behind.trim_start();
            let quote = value.chars().next().filter(|it| matches!(it, '"' | '\''))?;
            let (value, tail) = value.get(1..)?.split_once(quote)?;
            if before.trim().eq_ignore_ascii_case(name) {
                return Some(reader::unescaped(value.trim()));
            }
            rest = tail;
        }
    }

    pub(crate) fn children(self) -> impl Iterator<Item = Element<'t, 'a>> {
        let first = self.tree.element(self.at + 1);
        std::iter::successors(first, |it| self.tree.element(it.node.end))
            .take_while(move |it| it.at < self.node.end)
    }

    /// The first child of a name.
    pub(crate) fn child(self, name: &str) -> Option<Element<'t, 'a>> {
        self.children().find(|it| it.name() == name)
    }

    /// All elements at the end of a path of names.
    pub(crate) fn descend(self, path: &[&str]) -> Vec<Element<'t, 'a>> {
        path.iter().fold(vec![self], |elements, name| {
            let below = elements.into_iter().flat_map(Element::children);
            below.filter(|it| it.name() == *name).collect()
        })
    }
}

/// The text of an XML file, in the encoding that it declares. Of the many there are, those are
/// known that Maven and editors have written: UTF-8, UTF-16 and the relatives of Latin-1.
pub(crate) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    // UTF-16 without its mark; the first character is `<`.
    for (start, mark) in [(b"<\0", b"\xff\xfe"), (b"\0<", b"\xfe\xff")] {
        if bytes.starts_with(start) {
            return Cow::Owned(text::decode(&[mark.as_slice(), bytes].concat()).into_owned());
        }
    }
    let head = bytes.get(..bytes.len().min(200)).unwrap_or_default().to_ascii_lowercase();
    let declaration = head.split(|it| *it == b'>').next().unwrap_or_default();
    let declaration = String::from_utf8_lossy(declaration);
    let encoding = declaration.split_once("encoding").map(|(_, it)| it).unwrap_or_default();
    let encoding = encoding.trim_start_matches([' ', '=', '"', '\'']);
    let latin = ["iso-8859-", "latin1", "windows-125", "cp125"];
    if declaration.starts_with("<?xml") && latin.iter().any(|it| encoding.starts_with(it)) {
        // Letters of other alphabets come out wrong; names and versions have none.
        return Cow::Owned(bytes.iter().map(|it| char::from(*it)).collect());
    }
    text::decode(bytes)
}
