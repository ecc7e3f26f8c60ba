//! A YAML 1.2 reader with line numbers that tolerates broken files.
//!
//! Input: the text of a file. Output: a [`Tree`] that borrows from the text: its documents, the line of
//! every value and member, and the errors.
//!
//! Decisions. An anchor is defined once its node is complete, and an alias refers to that node: nothing
//! is copied, there are no cycles, and an alias bomb costs no more than its length. A walk of the tree
//! meets a node as often as it is named, so walks ask [`Seen`] before they enter a node that an alias may
//! name; and [`Node::as_str`] returns no scalar that is longer than any name, version or address, because
//! a walk would read it again for each mention. Scalars are text; the parser of the format decides what
//! `1.10` or `yes` means. Template lines (`{{ if … }}`, `{% … %}`) are skipped.
//!
//! Invariants: no panic; bounded recursion and memory, for walks as well: no path through a tree is
//! longer than [`MAX_HEIGHT`](store::MAX_HEIGHT), whatever aliases name; time linear in the length of the
//! text; a broken line, bad indentation or a merge conflict marker loses itself and what is nested below
//! it, but not its siblings.

mod block;
mod cursor;
mod escape;
mod flow;
mod key;
mod reader;
mod scalar;
mod seen;
mod store;
#[cfg(test)]
mod tests;
mod value;

use super::{
    budget::{Budget, NODE},
    collect::Collector,
    parser::Findings,
    text,
};
pub(crate) use seen::Seen;
use std::borrow::Cow;
pub use value::value;

/// Longest scalar in bytes that [`Node::as_str`] returns.
const LONGEST: usize = 4096;

/// Depth of merged mappings (`<<`), and their number for one key, that a lookup searches.
const MAX_MERGE_DEPTH: u32 = 8;
const MAX_MERGES: u32 = 64;

/// The documents of a text, as far as they could be read.
#[derive(Debug)]
pub(crate) struct Tree<'a> {
    nodes: Vec<Stored<'a>>,
    roots: Vec<Id>,
    errors: Vec<Error>,
    has_templates: bool,
    budget: &'a Budget,
}

/// A syntax error.
#[derive(Debug, PartialEq, Eq)]
struct Error {
    line: u32,
    message: String,
}

/// The index of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Id(u32);

#[derive(Debug)]
struct Stored<'a> {
    line: u32,
    /// The depth of nesting in the value, with aliases followed.
    height: u32,
    tag: Option<&'a str>,
    value: Value<'a>,
}

#[derive(Debug)]
enum Value<'a> {
    Null,
    Scalar { text: Cow<'a, str>, plain: bool },
    Sequence(Vec<Reference>),
    Mapping { members: Vec<StoredMember<'a>>, order: Order },
}

/// A node, and the line on which it is named: its own, or that of the alias.
#[derive(Debug, Clone, Copy)]
struct Reference {
    line: u32,
    id: Id,
}

#[derive(Debug)]
struct StoredMember<'a> {
    key: Cow<'a, str>,
    line: u32,
    value: Reference,
}

/// The indices of the members of a long mapping, sorted by key; none for a short mapping.
type Order = Option<Box<[u32]>>;

/// A value in a tree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node<'t, 'a> {
    tree: &'t Tree<'a>,
    id: Id,
    /// The line on which the node begins; for an alias, the line of the alias.
    pub(crate) line: u32,
}

/// A name and its value; `line` is the name's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member<'t, 'a> {
    pub(crate) key: &'t str,
    pub(crate) line: u32,
    pub(crate) value: Node<'t, 'a>,
}

/// Parses a text as far as possible.
pub(crate) fn parse<'a>(text: &'a str, budget: &'a Budget) -> Tree<'a> {
    block::parse(text, budget)
}

/// Reads a file as far as possible and passes it to `walk`. Each syntax error becomes a warning.
pub(crate) fn read(
    bytes: &[u8],
    mut found: Collector<'_>,
    walk: impl FnOnce(&Tree<'_>, &mut Collector<'_>),
) -> Findings {
    let text = text::decode(bytes);
    let tree = parse(&text, found.budget());
    tree.warn(&mut found);
    if !tree.documents().any(Node::is_collection) && found.has_warnings() {
        return found.unreadable();
    }
    walk(&tree, &mut found);
    found.finish()
}

impl<'a> Tree<'a> {
    /// The values of all documents that are not empty.
    pub(crate) fn documents(&self) -> impl Iterator<Item = Node<'_, 'a>> {
        self.roots.iter().map(|id| {
            let line = self.stored(*id).map_or(1, |node| node.line);
            Node { tree: self, id: *id, line }
        })
    }

    /// The value of the first document.
    pub(crate) fn root(&self) -> Option<Node<'_, 'a>> {
        self.documents().next()
    }

    /// Adds a warning for each syntax error.
    pub(crate) fn warn(&self, found: &mut Collector<'_>) {
        for error in &self.errors {
            found.warn(error.line, &error.message);
        }
    }

    /// Whether template lines were skipped, which may break the structure around them.
    pub(crate) fn has_templates(&self) -> bool {
        self.has_templates
    }

    fn stored(&self, id: Id) -> Option<&Stored<'a>> {
        self.nodes.get(usize::try_from(id.0).ok()?)
    }
}

impl<'t, 'a> Node<'t, 'a> {
    /// The index of the node; equal for two aliases of one anchor.
    pub(crate) fn id(self) -> Id {
        self.id
    }

    /// The tag as written: `!reference`.
    pub(crate) fn tag(self) -> Option<&'a str> {
        self.tree.stored(self.id)?.tag
    }

    /// The value of a member; of the last one where a key is repeated. Without one, the value in a
    /// mapping that is merged with `<<`.
    pub(crate) fn get(self, key: &str) -> Option<Node<'t, 'a>> {
        self.own(key).or_else(|| self.merged(key, 0, &mut 0))
    }

    fn own(self, key: &str) -> Option<Node<'t, 'a>> {
        if !self.tree.budget.visit() {
            return None;
        }
        let Value::Mapping { members, order } = self.value()? else { return None };
        let member = match order {
            None => members.iter().rev().find(|member| member.key == key),
            Some(order) => {
                let named = |place: &u32| members.get(usize::try_from(*place).ok()?);
                let behind = order.partition_point(|place| {
                    named(place).is_some_and(|member| member.key.as_ref() <= key)
                });
                let last = order.get(behind.checked_sub(1)?)?;
                named(last).filter(|member| member.key == key)
            }
        };
        member.map(|member| self.follow(member.value))
    }

    fn merged(self, key: &str, depth: u32, looked: &mut u32) -> Option<Node<'t, 'a>> {
        let merge = self.own("<<")?;
        if depth >= MAX_MERGE_DEPTH {
            return None;
        }
        // One mapping, or a list of mappings of which earlier ones win.
        for merged in std::iter::once(merge).chain(merge.elements()) {
            *looked += 1;
            if *looked > MAX_MERGES {
                return None;
            }
            let found = merged.own(key).or_else(|| merged.merged(key, depth + 1, looked));
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// The text of a member, if it is a scalar.
    pub(crate) fn text(self, key: &str) -> Option<&'t str> {
        self.get(key)?.as_str()
    }

    /// Whether a member is `true`.
    pub(crate) fn is_true(self, key: &str) -> bool {
        self.text(key) == Some("true")
    }

    /// The members of a mapping, without merged ones; empty for other nodes.
    pub(crate) fn members(self) -> impl Iterator<Item = Member<'t, 'a>> {
        let members = match self.value() {
            Some(Value::Mapping { members, .. }) => members.as_slice(),
            _ => &[],
        };
        // Once the budget is used up, collections appear empty, so that all walks end.
        members
            .iter()
            .take_while(|member| self.tree.budget.spend(NODE + member.key.len() as u64))
            .map(move |member| Member {
                key: &member.key,
                line: member.line,
                value: self.follow(member.value),
            })
    }

    /// The elements of a sequence; empty for other nodes.
    pub(crate) fn elements(self) -> impl Iterator<Item = Node<'t, 'a>> {
        let elements = match self.value() {
            Some(Value::Sequence(elements)) => elements.as_slice(),
            _ => &[],
        };
        elements
            .iter()
            .take_while(|_| self.tree.budget.visit())
            .map(move |element| self.follow(*element))
    }

    /// The elements of a sequence, last one first.
    pub(crate) fn elements_from_the_end(self) -> impl Iterator<Item = Node<'t, 'a>> {
        let elements = match self.value() {
            Some(Value::Sequence(elements)) => elements.as_slice(),
            _ => &[],
        };
        let elements = elements.iter().rev().take_while(|_| self.tree.budget.visit());
        elements.map(move |element| self.follow(*element))
    }

    /// The text of a string, number or boolean. None for null, and for a text of more than 4096 bytes,
    /// because every line may hold an alias of it.
    pub(crate) fn as_str(self) -> Option<&'t str> {
        match self.value()? {
            Value::Scalar { text, .. } if text.len() <= LONGEST => {
                self.tree.budget.read(text.len()).then_some(text)
            }
            _ => None,
        }
    }

    /// The text of a scalar of any length, for walks that visit each node once.
    pub(crate) fn whole_text(self) -> Option<&'t str> {
        match self.value()? {
            Value::Scalar { text, .. } => self.tree.budget.read(text.len()).then_some(text),
            _ => None,
        }
    }

    pub(crate) fn is_scalar(self) -> bool {
        matches!(self.value(), Some(Value::Scalar { .. }))
    }

    /// Whether a scalar is not quoted.
    #[cfg(test)]
    fn is_plain(self) -> bool {
        matches!(self.value(), Some(Value::Scalar { plain: true, .. }))
    }

    pub(crate) fn is_null(self) -> bool {
        matches!(self.value(), None | Some(Value::Null))
    }

    pub(crate) fn is_mapping(self) -> bool {
        matches!(self.value(), Some(Value::Mapping { .. }))
    }

    pub(crate) fn is_sequence(self) -> bool {
        matches!(self.value(), Some(Value::Sequence(_)))
    }

    fn is_collection(self) -> bool {
        self.is_mapping() || self.is_sequence()
    }

    /// The kind of the value, in the terms of the YAML specification.
    pub(crate) fn kind(self) -> &'static str {
        match self.value() {
            None | Some(Value::Null) => "null",
            Some(Value::Scalar { text, .. }) if text.len() > LONGEST => "a text that is too long",
            Some(Value::Scalar { plain: true, .. }) => "a scalar",
            Some(Value::Scalar { plain: false, .. }) => "a text",
            Some(Value::Sequence(_)) => "a sequence",
            Some(Value::Mapping { .. }) => "a mapping",
        }
    }

    fn value(self) -> Option<&'t Value<'a>> {
        self.tree.stored(self.id).map(|node| &node.value)
    }

    fn follow(self, Reference { line, id }: Reference) -> Self {
        Node { tree: self.tree, id, line }
    }
}
