//! YAML 1.2 with line numbers, for files that may be broken.
//!
//! What flows in: the text of a file. What flows out: a [`Tree`] that borrows from the text: its
//! documents, every value and member with its line, and the errors met on the way.
//!
//! Decisions. An anchor is known once its node is read to the end, and an alias stands for that very
//! node: nothing is copied, there are no cycles, and a bomb of aliases costs what it is long. Who
//! walks the tree meets a node as often as it is named, so walks ask [`Seen`] before they go into a
//! node that an alias may name; and a scalar that is longer than any name, version or address is no
//! text to them ([`Node::as_str`]), as they would read it again for each mention. Scalars are text; what `1.10` or `yes` means is for
//! the reader of the format to say. Lines of templates (`{{ if … }}`, `{% … %}`) are passed over.
//!
//! What must stay true: no panic, bounded recursion and memory (of walks as well: no path through a tree
//! is longer than [`MAX_HEIGHT`](store::MAX_HEIGHT), whatever aliases name), time linear in the length of the
//! text; a broken line, bad indentation or the marker of an unfinished merge costs itself and what
//! is nested below it, not what stands beside it.

mod escape;
mod flow;
mod lines;
mod reader;
mod scalar;
mod seen;
mod store;
#[cfg(test)]
mod tests;

use super::{
    budget::{Budget, NODE},
    collect::Collector,
    source::Findings,
    text,
};
pub(crate) use seen::Seen;
use std::borrow::Cow;

/// A longer scalar is no name, version or address, in bytes.
const LONGEST: usize = 4096;

/// Merged mappings (`<<`) are looked into so far, and so many of them for one key.
const MAX_MERGE_DEPTH: u32 = 8;
const MAX_MERGES: u32 = 64;

/// What could be read of a text.
#[derive(Debug)]
pub(crate) struct Tree<'a> {
    nodes: Vec<Stored<'a>>,
    roots: Vec<Id>,
    errors: Vec<Error>,
    has_templates: bool,
    budget: &'a Budget,
}

/// Something that YAML does not allow.
#[derive(Debug, PartialEq, Eq)]
struct Error {
    line: u32,
    message: String,
}

/// Which node of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Id(u32);

#[derive(Debug)]
struct Stored<'a> {
    line: u32,
    /// How deep the values in it are nested, those included that aliases name.
    height: u32,
    tag: Option<&'a str>,
    value: Value<'a>,
}

#[derive(Debug)]
enum Value<'a> {
    Null,
    Scalar { text: Cow<'a, str>, plain: bool },
    Sequence(Vec<Reference>),
    Mapping { members: Vec<Stem<'a>>, order: Order },
}

/// A node, and the line on which it is named: its own, or that of an alias.
#[derive(Debug, Clone, Copy)]
struct Reference {
    line: u32,
    id: Id,
}

#[derive(Debug)]
struct Stem<'a> {
    key: Cow<'a, str>,
    line: u32,
    value: Reference,
}

/// The places of the members of a long mapping, sorted by key and place; none for a short one.
type Order = Option<Box<[u32]>>;

/// A value in a tree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node<'t, 'a> {
    tree: &'t Tree<'a>,
    id: Id,
    /// Where it begins; of an alias, where the alias stands.
    pub(crate) line: u32,
}

/// A name and its value; `line` is the name's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member<'t, 'a> {
    pub(crate) key: &'t str,
    pub(crate) line: u32,
    pub(crate) value: Node<'t, 'a>,
}

/// Reads as much of a text as can be understood.
pub(crate) fn parse<'a>(text: &'a str, budget: &'a Budget) -> Tree<'a> {
    reader::parse(text, budget)
}

/// Reads as much of a file as can be understood, and gives it to `walk`. What could not be
/// understood is a warning.
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
    /// The values of all documents that have one.
    pub(crate) fn documents(&self) -> impl Iterator<Item = Node<'_, 'a>> {
        self.roots.iter().map(|id| {
            let line = self.stored(*id).map_or(1, |it| it.line);
            Node { tree: self, id: *id, line }
        })
    }

    /// The value of the first document.
    pub(crate) fn root(&self) -> Option<Node<'_, 'a>> {
        self.documents().next()
    }

    /// Says what was not understood.
    pub(crate) fn warn(&self, found: &mut Collector<'_>) {
        for error in &self.errors {
            found.warn(error.line, &error.message);
        }
    }

    /// Whether there are lines of a template, which may break what is around them.
    pub(crate) fn has_templates(&self) -> bool {
        self.has_templates
    }

    fn stored(&self, id: Id) -> Option<&Stored<'a>> {
        self.nodes.get(usize::try_from(id.0).ok()?)
    }
}

impl<'t, 'a> Node<'t, 'a> {
    /// Equal for two aliases of one anchor.
    pub(crate) fn id(self) -> Id {
        self.id
    }

    /// The tag as it is written: `!reference`.
    pub(crate) fn tag(self) -> Option<&'a str> {
        self.tree.stored(self.id)?.tag
    }

    /// The value of a member; of the last one where a name is repeated. Where there is none, that
    /// of a mapping that is merged with `<<`.
    pub(crate) fn get(self, key: &str) -> Option<Node<'t, 'a>> {
        self.own(key).or_else(|| self.merged(key, 0, &mut 0))
    }

    fn own(self, key: &str) -> Option<Node<'t, 'a>> {
        if !self.tree.budget.visit() {
            return None;
        }
        let Value::Mapping { members, order } = self.value()? else { return None };
        let stem = match order {
            None => members.iter().rev().find(|it| it.key == key),
            Some(order) => {
                let named = |place: &u32| members.get(usize::try_from(*place).ok()?);
                let behind = order
                    .partition_point(|place| named(place).is_some_and(|it| it.key.as_ref() <= key));
                let last = order.get(behind.checked_sub(1)?)?;
                named(last).filter(|it| it.key == key)
            }
        };
        stem.map(|it| self.follow(it.value))
    }

    fn merged(self, key: &str, depth: u32, looked: &mut u32) -> Option<Node<'t, 'a>> {
        let merge = self.own("<<")?;
        if depth >= MAX_MERGE_DEPTH {
            return None;
        }
        // One mapping, or a list of them of which earlier ones win.
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

    /// The text of a member, where it is a scalar.
    pub(crate) fn text(self, key: &str) -> Option<&'t str> {
        self.get(key)?.as_str()
    }

    /// Whether a member is there and `true`.
    pub(crate) fn is_true(self, key: &str) -> bool {
        self.text(key) == Some("true")
    }

    /// The members of a mapping, without merged ones; nothing where it is none.
    pub(crate) fn members(self) -> impl Iterator<Item = Member<'t, 'a>> {
        let members = match self.value() {
            Some(Value::Mapping { members, .. }) => members.as_slice(),
            _ => &[],
        };
        // Nothing more of any collection once the budget is used up: so all walks end.
        members
            .iter()
            .take_while(|it| self.tree.budget.spend(NODE + it.key.len() as u64))
            .map(move |it| Member { key: &it.key, line: it.line, value: self.follow(it.value) })
    }

    /// The elements of a sequence; nothing where it is none.
    pub(crate) fn elements(self) -> impl Iterator<Item = Node<'t, 'a>> {
        let elements = match self.value() {
            Some(Value::Sequence(elements)) => elements.as_slice(),
            _ => &[],
        };
        elements.iter().take_while(|_| self.tree.budget.visit()).map(move |it| self.follow(*it))
    }

    /// The elements of a sequence from its last one on.
    pub(crate) fn elements_from_the_end(self) -> impl Iterator<Item = Node<'t, 'a>> {
        let elements = match self.value() {
            Some(Value::Sequence(elements)) => elements.as_slice(),
            _ => &[],
        };
        let elements = elements.iter().rev().take_while(|_| self.tree.budget.visit());
        elements.map(move |it| self.follow(*it))
    }

    /// The text of a scalar, be it a string, a number or a truth value; none of null, nor of a text that
    /// is longer than 4096 bytes: as many aliases as there are lines may name it.
    pub(crate) fn as_str(self) -> Option<&'t str> {
        match self.value()? {
            Value::Scalar { text, .. } if text.len() <= LONGEST => {
                self.tree.budget.read(text.len()).then_some(text)
            }
            _ => None,
        }
    }

    /// The text of a scalar of any length, for a reader that meets each node once.
    pub(crate) fn whole_text(self) -> Option<&'t str> {
        match self.value()? {
            Value::Scalar { text, .. } => self.tree.budget.read(text.len()).then_some(text),
            _ => None,
        }
    }

    pub(crate) fn is_scalar(self) -> bool {
        matches!(self.value(), Some(Value::Scalar { .. }))
    }

    /// Whether a scalar is written without quotes.
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

    /// What kind of value this is, in the words of the YAML specification.
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
        self.tree.stored(self.id).map(|it| &it.value)
    }

    fn follow(self, Reference { line, id }: Reference) -> Self {
        Node { tree: self.tree, id, line }
    }
}
