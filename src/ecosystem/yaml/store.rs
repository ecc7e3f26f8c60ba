//! Where the values go that were read, with their anchors.
//!
//! What flows in: values, innermost first. What flows out: references to them. What must stay true:
//! no more values than there is a bound for, no path through them that is longer than there is a bound
//! for, and an anchor names a value that is whole.

use super::{Id, Order, Reference, Stem, Stored, Value, reader::Reader};
use crate::ecosystem::text;
use std::borrow::Cow;

/// After so many values the rest of a file is passed over; it bounds the memory.
const MAX_VALUES: usize = 1_000_000;

/// A collection in which aliases nest deeper than this is empty. Without aliases none does.
pub(super) const MAX_HEIGHT: u32 = 2 * super::reader::MAX_DEPTH;

/// A longer text is no key where an alias names it: each key has its own copy.
const LONGEST_ALIAS_KEY: usize = 1000;

/// Of a mapping of up to so many members, each is looked at to find one.
const SHORT: usize = 16;

impl<'a> Reader<'a> {
    pub(super) fn stored(&self, id: Id) -> Option<&Stored<'a>> {
        self.nodes.get(usize::try_from(id.0).ok()?)
    }

    /// Stores a value; the rest of the file is not read where there are too many.
    pub(super) fn push(&mut self, line: u32, value: Value<'a>) -> Reference {
        self.push_of_height(line, 0, value)
    }

    fn push_of_height(&mut self, line: u32, height: u32, value: Value<'a>) -> Reference {
        if self.nodes.len() >= MAX_VALUES {
            self.error(format!("more than {MAX_VALUES} values, the rest is not read"));
            self.stop();
        } else if !self.budget.visit() {
            self.stop();
        }
        let id = Id(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.nodes.push(Stored { line, height, tag: None, value });
        Reference { line, id }
    }

    pub(super) fn push_mapping(&mut self, line: u32, mut members: Vec<Stem<'a>>) -> Reference {
        let Some(height) = self.height(line, members.iter().map(|it| it.value)) else {
            return self.push_mapping(line, Vec::new());
        };
        members.shrink_to_fit();
        let order = order(&members);
        self.push_of_height(line, height, Value::Mapping { members, order })
    }

    pub(super) fn push_sequence(&mut self, line: u32, mut elements: Vec<Reference>) -> Reference {
        let Some(height) = self.height(line, elements.iter().copied()) else {
            return self.push_sequence(line, Vec::new());
        };
        elements.shrink_to_fit();
        self.push_of_height(line, height, Value::Sequence(elements))
    }

    /// The height of a collection of these values; none where it is too much.
    fn height(&mut self, line: u32, values: impl Iterator<Item = Reference>) -> Option<u32> {
        let of = |it: Reference| self.stored(it.id).map_or(0, |it| it.height);
        let height = values.map(of).max().unwrap_or(0) + 1;
        if height > MAX_HEIGHT {
            let message = format!("aliases nest deeper than {MAX_HEIGHT} levels");
            self.error_at(line, message);
        }
        (height <= MAX_HEIGHT).then_some(height)
    }

    pub(super) fn null(&mut self) -> Reference {
        let line = self.line;
        self.push(line, Value::Null)
    }

    /// The text of a node that is a key; `begin` is how many nodes there were before it was read.
    pub(super) fn text_of(&mut self, key: Reference, begin: usize) -> Cow<'a, str> {
        let is_alias = usize::try_from(key.id.0).is_ok_and(|it| it < begin);
        let text = match self.stored(key.id).map(|it| &it.value) {
            Some(Value::Scalar { text, .. }) if is_alias && text.len() > LONGEST_ALIAS_KEY => None,
            Some(Value::Scalar { text, .. }) => Some(text.clone()),
            _ => Some(Cow::Borrowed("")),
        };
        text.unwrap_or_else(|| {
            self.error(format!("an alias of more than {LONGEST_ALIAS_KEY} bytes is no key"));
            Cow::Borrowed("")
        })
    }

    /// Gives a node its tag and its anchor.
    pub(super) fn attach(
        &mut self,
        node: Reference,
        anchor: Option<&'a str>,
        tag: Option<&'a str>,
    ) {
        let id = usize::try_from(node.id.0).unwrap_or(usize::MAX);
        if let (Some(tag), Some(stored)) = (tag, self.nodes.get_mut(id)) {
            stored.tag = Some(tag);
        }
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, node.id);
        }
    }

    /// Reads anchor and tag, as far as they are there.
    pub(super) fn properties(&mut self) -> (Option<&'a str>, Option<&'a str>) {
        let (mut anchor, mut tag) = (None, None);
        loop {
            let rest = self.rest();
            let word = match (self.peek(), anchor, tag) {
                (Some(b'&'), None, _) | (Some(b'!'), _, None) => {
                    rest.split([' ', '\t', ',', ']', '}']).next().unwrap_or(rest)
                }
                _ => return (anchor, tag),
            };
            if word.starts_with('&') {
                anchor = word.get(1..);
            } else {
                tag = Some(word);
            }
            self.at += word.len();
            self.skip_spaces();
        }
    }

    pub(super) fn push_plain(&mut self, line: u32, text: Cow<'a, str>) -> Reference {
        match text.as_ref() {
            "" | "~" | "null" | "Null" | "NULL" => self.push(line, Value::Null),
            _ => self.push(line, Value::Scalar { text, plain: true }),
        }
    }

    /// Reads `*name`; none where nothing above has this name.
    pub(super) fn alias(&mut self) -> Option<Reference> {
        let rest = self.rest();
        let word = rest.split([' ', '\t', ',', ']', '}']).next().unwrap_or(rest);
        self.at += word.len();
        let line = self.line;
        let id = self.anchors.get(word.get(1..).unwrap_or_default()).copied();
        if id.is_none() {
            self.error(format!("`{}` names nothing above it", text::excerpt(word)));
        }
        Some(Reference { line, id: id? })
    }
}

/// Sorts the places of a mapping's members, so that one is found fast.
fn order(members: &[Stem<'_>]) -> Order {
    if members.len() <= SHORT {
        return None;
    }
    let key = |place: &u32| {
        let stem = usize::try_from(*place).ok().and_then(|it| members.get(it));
        stem.map(|it| it.key.as_ref())
    };
    let mut order: Vec<u32> = (0..u32::try_from(members.len()).unwrap_or(u32::MAX)).collect();
    // Stable, so that of several of one name the last stays the last.
    order.sort_by(|a, b| key(a).cmp(&key(b)));
    Some(order.into_boxed_slice())
}
