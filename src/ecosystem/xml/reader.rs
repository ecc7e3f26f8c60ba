//! Text becomes the elements of a tree.
//!
//! What flows in: any text. What flows out: a tree, and an error for each tag that does not fit.
//! A closing tag closes the innermost element of its name, and with it what is open inside; one
//! that closes nothing is passed over.

use super::{Node, Tree};
use crate::ecosystem::{
    budget::Budget,
    text::{self, Lines},
};
use std::borrow::Cow;

/// Elements below this are passed over: no manifest nests like that.
pub(super) const MAX_DEPTH: usize = 100;
/// After so many elements the rest of a file is passed over; it bounds the memory.
const MAX_ELEMENTS: usize = 1_000_000;
/// A file of noise would bring an error with each tag.
pub(super) const MAX_ERRORS: usize = 20;

/// Reads as much of a text as can be understood.
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
    /// The elements that are open, from the outermost.
    open: Vec<usize>,
    /// How many elements below the deepest of those are open.
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
            self.error(format!("more than {MAX_ELEMENTS} elements, the rest is not read"));
        } else if let Some(open) = self.open.last().and_then(|it| self.tree.nodes.get(*it)) {
            self.error(format!("`<{}>` of line {} is not closed", open.name, open.line));
        }
        self.close_down_to(0);
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    /// What begins with the `<` at which the reader stands.
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
            self.error("a document type is not read".to_owned());
            let simple = self.rest.find('>').unwrap_or(self.rest.len());
            let subset = self.rest.get(..simple).is_some_and(|it| it.contains('['));
            let end = if subset { self.rest.find("]>").map(|it| it + 1) } else { Some(simple) };
            self.take(end.map_or(self.rest.len(), |it| it + 1));
        } else if self.rest.starts_with("<<<<<<<") {
            self.error("the marker of an unfinished merge".to_owned());
            self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
        } else if !self.rest.is_empty() {
            self.tag();
        }
    }

    fn tag(&mut self) {
        let body = self.rest.get(1..).unwrap_or_default();
        // A `<` may stand in no tag, not even in the value of an attribute.
        let mut quote = None;
        let end = body.find(|it: char| {
            match quote {
                Some(open) if it == open => quote = None,
                None if matches!(it, '"' | '\'') => quote = Some(it),
                _ => {}
            }
            it == '<' || (it == '>' && quote.is_none())
        });
        let inside = body.get(..end.unwrap_or(body.len())).unwrap_or_default();
        let is_whole = end.is_some_and(|it| body.as_bytes().get(it) == Some(&b'>'));
        let (closes, inside) = match inside.strip_prefix('/') {
            Some(inside) => (true, inside),
            None => (false, inside),
        };
        let empty = inside.ends_with('/');
        let name = inside.split(|it: char| it.is_whitespace() || it == '/').next();
        let name = name.unwrap_or_default();
        if !name.starts_with(|it: char| it.is_alphabetic() || it == '_') {
            self.error("a `<` that begins no tag".to_owned());
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
                self.error(format!("elements below {MAX_DEPTH} others are not read"));
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

    /// Closes the innermost open element of that name, and those in it.
    fn close(&mut self, name: &str) {
        if self.too_deep > 0 {
            self.too_deep -= 1;
            return;
        }
        let nodes = &self.tree.nodes;
        let is_it = |at: &usize| nodes.get(*at).is_some_and(|it| it.name == name);
        match self.open.iter().rposition(is_it) {
            Some(place) => {
                if place + 1 < self.open.len() {
                    self.error(format!("`</{}>` closes what is not closed in it", short(name)));
                }
                self.close_down_to(place);
            }
            None => self.error(format!("`</{}>` closes nothing", short(name))),
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
        let Some(node) = open.and_then(|it| self.tree.nodes.get_mut(*it)) else { return };
        // White space between elements is most of a file, and says nothing.
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

/// The text with its character references and the five entities that need no declaration.
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
