//! An XML reader with line numbers that tolerates broken files.
//!
//! Input: the bytes of a file. Output: the elements as far as they could be read, and the errors.
//! Follows "Extensible Markup Language (XML) 1.0" without document types, so no entity expands to
//! more than one character. Attributes are kept as text and parsed on demand.
//!
//! Invariants: nothing here recurses, and the tree is never deeper than [`reader::MAX_DEPTH`]; the time is
//! linear; a malformed tag loses only itself. XML crates stop at a broken tag, which a manifest with merge
//! conflict markers has, or cannot continue after it in linear time; that is why none is used
//! (docs/decisions/0005).

mod reader;
#[cfg(test)]
mod tests;

pub(crate) use reader::parse;

use super::{budget::Budget, collect::Collector, parser::Findings, text};
use std::borrow::Cow;

/// Reads a file as far as possible and passes its first element to `walk`, if it has this name in any case. Each
/// syntax error becomes a warning.
pub(crate) fn read(
    bytes: &[u8],
    mut found: Collector<'_>,
    name: &str,
    walk: impl FnOnce(Element<'_, '_>, &mut Collector<'_>),
) -> Findings {
    let text = decode(bytes);
    let tree = parse(&text, found.budget());
    for (line, message) in &tree.errors {
        found.warn(*line, message);
    }
    let root = tree.root().filter(|root| root.name().eq_ignore_ascii_case(name));
    let Some(root) = root else {
        if !found.has_warnings() && !text.trim().is_empty() {
            found.warn(1, format!("expected the element `{name}`"));
        }
        return found.unreadable();
    };
    walk(root, &mut found);
    found.finish()
}

/// The elements of a file, as far as they could be read.
#[derive(Debug)]
pub(crate) struct Tree<'a> {
    nodes: Vec<Node<'a>>,
    pub(crate) errors: Vec<(u32, String)>,
    budget: &'a Budget,
}

#[derive(Debug)]
struct Node<'a> {
    name: &'a str,
    /// The rest of the tag after the name.
    attributes: &'a str,
    text: Cow<'a, str>,
    line: u32,
    /// The index after the last descendant; descendants follow their element.
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
    /// The first top-level element.
    pub(crate) fn root(&self) -> Option<Element<'_, 'a>> {
        self.element(0)
    }

    /// None once the budget is used up, so that all walks end.
    fn element(&self, at: usize) -> Option<Element<'_, 'a>> {
        if !self.budget.visit() {
            return None;
        }
        Some(Element { tree: self, at, node: self.nodes.get(at)? })
    }
}

impl<'t, 'a> Element<'t, 'a> {
    /// The name without its namespace prefix.
    pub(crate) fn name(self) -> &'a str {
        self.node.name
    }

    pub(crate) fn line(self) -> u32 {
        self.node.line
    }

    /// The trimmed text of the element; empty if it has none.
    pub(crate) fn text(self) -> &'t str {
        let text = &self.node.text;
        if self.tree.budget.read(text.len()) { text.trim() } else { "" }
    }

    /// The trimmed value of an attribute. Names are compared without case, as `MSBuild` does.
    pub(crate) fn attribute(self, name: &str) -> Option<Cow<'a, str>> {
        let mut rest = self.node.attributes;
        if !self.tree.budget.read(rest.len()) {
            return None;
        }
        loop {
            let (before, behind) = rest.split_once('=')?;
            let value = behind.trim_start();
            let quote = value.chars().next().filter(|character| matches!(character, '"' | '\''))?;
            let (value, tail) = value.get(1..)?.split_once(quote)?;
            if before.trim().eq_ignore_ascii_case(name) {
                return Some(reader::unescaped(value.trim()));
            }
            rest = tail;
        }
    }

    pub(crate) fn children(self) -> impl Iterator<Item = Element<'t, 'a>> {
        let first = self.tree.element(self.at + 1);
        std::iter::successors(first, |child| self.tree.element(child.node.end))
            .take_while(move |child| child.at < self.node.end)
    }

    /// The first child of this name.
    pub(crate) fn child(self, name: &str) -> Option<Element<'t, 'a>> {
        self.children().find(|element| element.name() == name)
    }

    /// All elements at the end of a path of names.
    pub(crate) fn descend(self, path: &[&str]) -> Vec<Element<'t, 'a>> {
        path.iter().fold(vec![self], |elements, name| {
            let below = elements.into_iter().flat_map(Element::children);
            below.filter(|element| element.name() == *name).collect()
        })
    }
}

/// The text of an XML file, in the declared encoding. Supports the encodings that Maven and editors
/// write: UTF-8, UTF-16 and the Latin-1 family.
pub(crate) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    // UTF-16 without a byte order mark; the first character is `<`.
    for (start, mark) in [(b"<\0", b"\xff\xfe"), (b"\0<", b"\xfe\xff")] {
        if bytes.starts_with(start) {
            return Cow::Owned(text::decode(&[mark.as_slice(), bytes].concat()).into_owned());
        }
    }
    let head = bytes.get(..bytes.len().min(200)).unwrap_or_default().to_ascii_lowercase();
    let declaration = head.split(|byte| *byte == b'>').next().unwrap_or_default();
    let declaration = String::from_utf8_lossy(declaration);
    let encoding =
        declaration.split_once("encoding").map(|(_, encoding)| encoding).unwrap_or_default();
    let encoding = encoding.trim_start_matches([' ', '=', '"', '\'']);
    let latin = ["iso-8859-", "latin1", "windows-125", "cp125"];
    if declaration.starts_with("<?xml") && latin.iter().any(|prefix| encoding.starts_with(prefix)) {
        // Letters of other alphabets decode wrongly, but names and versions have none.
        return Cow::Owned(bytes.iter().map(|byte| char::from(*byte)).collect());
    }
    text::decode(bytes)
}
