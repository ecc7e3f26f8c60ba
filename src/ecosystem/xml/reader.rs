//! Parses XML text into a tree of elements, with error recovery.
//!
//! Input: any text. Output: a tree, and an error for each malformed or mismatched tag. Invariants: a
//! closing tag closes the innermost element of its name and the elements that are open inside it; a
//! closing tag without an opening tag is skipped.

use super::{Node, Tree};
use crate::ecosystem::{
    budget::Budget,
    text::{self, Lines},
};
use std::borrow::Cow;

/// Deeper elements are skipped; no manifest nests like that.
pub(super) const MAX_DEPTH: usize = 100;
/// The rest of a file with more elements is skipped; this bounds the memory.
const MAX_ELEMENTS: usize = 1_000_000;
/// Errors that are kept; a file of noise would give one for each tag.
pub(super) const MAX_ERRORS: usize = 20;

/// Parses a text as far as possible.
pub(crate) fn parse<'a>(text: &'a str, budget: &'a Budget) -> Tree<'a> {
    budget.read(text.len());
    let mut reader = Reader {
        rest: text,
        length: text.len(),
        lines: Lines::new(text),
        open: Vec::new(),
        too_deep: 0,
        tree: Tree { nodes: Vec::new(), errors: Vec::new(), budget },
    };
    reader.read();
    reader.tree
}

struct Reader<'a> {
    rest: &'a str,
    length: usize,
    lines: Lines,
    /// The open elements, from the outermost.
    open: Vec<usize>,
    /// The number of open elements below the depth limit.
    too_deep: usize,
    tree: Tree<'a>,
}

impl<'a> Reader<'a> {
    fn read(&mut self) {
        while !self.rest.is_empty() && self.tree.nodes.len() < MAX_ELEMENTS {
            let end = self.rest.find('<').unwrap_or(self.rest.len());
            let text = self.take(end);
            self.text(unescaped(text));
            self.markup();
        }
        if self.tree.nodes.len() >= MAX_ELEMENTS {
            self.error(format!("more than {MAX_ELEMENTS} elements; the rest is skipped"));
        } else if let Some(open) = self.open.last().and_then(|open| self.tree.nodes.get(*open)) {
            self.error(format!("`<{}>` of line {} is not closed", open.name, open.line));
        }
        self.close_down_to(0);
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    /// Reads the comment, CDATA section, instruction, document type or tag that begins here with `<`.
    fn markup(&mut self) {
        for (start, end) in [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>")] {
            let Some(body) = self.rest.strip_prefix(start) else { continue };
            let length = body.find(end);
            if length.is_none() {
                self.error(format!("`{start}` is not closed"));
            }
            self.take(start.len());
            let body = self.take(length.unwrap_or(self.rest.len()));
            self.take(end.len());
            if start == "<![CDATA[" {
                self.text(Cow::Borrowed(body));
            }
            return;
        }
        if self.rest.starts_with("<!") {
            self.error("the document type is ignored".to_owned());
            let simple = self.rest.find('>').unwrap_or(self.rest.len());
            let subset = self.rest.get(..simple).is_some_and(|subset| subset.contains('['));
            let end =
                if subset { self.rest.find("]>").map(|offset| offset + 1) } else { Some(simple) };
            self.take(end.map_or(self.rest.len(), |offset| offset + 1));
        } else if self.rest.starts_with("<<<<<<<") {
            self.error(text::MERGE_MARKER.to_owned());
            self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
        } else if !self.rest.is_empty() {
            self.tag();
        }
    }

    fn tag(&mut self) {
        let body = self.rest.get(1..).unwrap_or_default();
        // XML forbids `<` inside a tag, even in an attribute value.
        let mut quote = None;
        let end = body.find(|character: char| {
            match quote {
                Some(open) if character == open => quote = None,
                None if matches!(character, '"' | '\'') => quote = Some(character),
                _ => {}
            }
            character == '<' || (character == '>' && quote.is_none())
        });
        let inside = body.get(..end.unwrap_or(body.len())).unwrap_or_default();
        let is_whole = end.is_some_and(|end| body.as_bytes().get(end) == Some(&b'>'));
        let (closes, inside) = match inside.strip_prefix('/') {
            Some(inside) => (true, inside),
            None => (false, inside),
        };
        let empty = inside.ends_with('/');
        let name =
            inside.split(|character: char| character.is_whitespace() || character == '/').next();
        let name = name.unwrap_or_default();
        if !name.starts_with(|character: char| character.is_alphabetic() || character == '_') {
            self.error("`<` does not begin a tag".to_owned());
            self.take(1);
            return;
        }
        if !is_whole {
            self.error(format!("the tag `{}` is not closed", short(name)));
        }
        let local = name.rsplit(':').next().unwrap_or(name);
        if closes {
            self.close(local);
        } else {
            let attributes = inside.get(name.len()..).unwrap_or_default();
            self.open(local, attributes.trim_end_matches('/'), empty);
        }
        self.take(1 + usize::from(closes) + inside.len() + usize::from(is_whole));
    }

    fn open(&mut self, name: &'a str, attributes: &'a str, empty: bool) {
        if self.open.len() >= MAX_DEPTH {
            if self.too_deep == 0 {
                self.error(format!("elements nested deeper than {MAX_DEPTH} levels are skipped"));
            }
            self.too_deep += usize::from(!empty);
            return;
        }
        let at = self.tree.nodes.len();
        let line = self.line();
        self.tree.nodes.push(Node { name, attributes, text: Cow::Borrowed(""), line, end: at + 1 });
        if !empty {
            self.open.push(at);
        }
    }

    /// Closes the innermost open element of that name, and the elements inside it.
    fn close(&mut self, name: &str) {
        if self.too_deep > 0 {
            self.too_deep -= 1;
            return;
        }
        let nodes = &self.tree.nodes;
        let has_name = |at: &usize| nodes.get(*at).is_some_and(|node| node.name == name);
        match self.open.iter().rposition(has_name) {
            Some(place) => {
                if place + 1 < self.open.len() {
                    self.error(format!(
                        "`</{}>` closes an element with open children",
                        short(name)
                    ));
                }
                self.close_down_to(place);
            }
            None => self.error(format!("`</{}>` has no opening tag", short(name))),
        }
    }

    fn close_down_to(&mut self, place: usize) {
        let end = self.tree.nodes.len();
        for at in self.open.drain(place.min(self.open.len())..) {
            if let Some(node) = self.tree.nodes.get_mut(at) {
                node.end = end;
            }
        }
    }

    fn text(&mut self, text: Cow<'a, str>) {
        let open = self.open.last().filter(|_| self.too_deep == 0);
        let Some(node) = open.and_then(|open| self.tree.nodes.get_mut(*open)) else { return };
        // Most of a file is white space between elements, which has no meaning here.
        if text.trim().is_empty() {
            return;
        }
        if node.text.is_empty() {
            node.text = text;
        } else {
            node.text.to_mut().push_str(&text);
        }
    }

    fn line(&self) -> u32 {
        self.lines.at(self.length - self.rest.len())
    }

    fn error(&mut self, message: String) {
        let line = self.line();
        let repeated = self.tree.errors.last().is_some_and(|(last, _)| *last == line);
        if self.tree.errors.len() < MAX_ERRORS && !repeated {
            self.tree.errors.push((line, message));
        }
    }
}

fn short(name: &str) -> String {
    text::excerpt(name)
}

/// The text with character references and the five predefined entities replaced.
pub(super) fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut parts = text.split('&');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let reference =
            part.split_once(';').and_then(|(name, tail)| Some((character(name)?, tail)));
        if let Some((character, tail)) = reference {
            out.push(character);
            out.push_str(tail);
        } else {
            out.push('&');
            out.push_str(part);
        }
    }
    Cow::Owned(out)
}

fn character(reference: &str) -> Option<char> {
    match reference {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = reference.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16),
                None => number.parse(),
            };
            code.ok().and_then(char::from_u32)
        }
    }
}
