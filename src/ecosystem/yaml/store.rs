//! Stores the values of a tree and its anchors.
//!
//! Input: values, innermost first. Output: references to them. Invariants: the number of values and the
//! length of the paths through them are bounded, and an anchor names a complete value.

use super::{Id, Order, Reference, Stored, StoredMember, Value, reader::Reader};
use crate::ecosystem::text;
use std::borrow::Cow;

/// The rest of a file with more values is skipped; this bounds the memory.
const MAX_VALUES: usize = 1_000_000;

/// A collection in which aliases nest deeper than this becomes empty. No tree without aliases is deeper.
pub(super) const MAX_HEIGHT: u32 = 2 * super::reader::MAX_DEPTH;

/// A longer text is not accepted as a key where an alias names it, because each key has its own copy.
const LONGEST_ALIAS_KEY: usize = 1000;

/// A mapping of up to this many members is searched linearly.
const SHORT: usize = 16;

impl<'a> Reader<'a> {
    pub(super) fn stored(&self, id: Id) -> Option<&Stored<'a>> {
        self.nodes.get(usize::try_from(id.0).ok()?)
    }

    /// Stores a value. With too many values, the rest of the file is skipped.
    pub(super) fn push(&mut self, line: u32, value: Value<'a>) -> Reference {
        self.push_of_height(line, 0, value)
    }

    fn push_of_height(&mut self, line: u32, height: u32, value: Value<'a>) -> Reference {
        if self.nodes.len() >= MAX_VALUES {
            self.error(format!("more than {MAX_VALUES} values; the rest is skipped"));
            self.stop();
        } else if !self.budget.visit() {
            self.stop();
        }
        let id = Id(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.nodes.push(Stored { line, height, tag: None, value });
        Reference { line, id }
    }

    pub(super) fn push_mapping(
        &mut self,
        line: u32,
        mut members: Vec<StoredMember<'a>>,
    ) -> Reference {
        let Some(height) = self.height(line, members.iter().map(|member| member.value)) else {
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

    /// The height of a collection of these values; none if it exceeds the limit.
    fn height(&mut self, line: u32, values: impl Iterator<Item = Reference>) -> Option<u32> {
        let of = |value: Reference| self.stored(value.id).map_or(0, |node| node.height);
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

    /// The text of a key node; `begin` is the number of nodes before the key was read.
    pub(super) fn text_of(&mut self, key: Reference, begin: usize) -> Cow<'a, str> {
        let is_alias = usize::try_from(key.id.0).is_ok_and(|node| node < begin);
        let text = match self.stored(key.id).map(|stored| &stored.value) {
            Some(Value::Scalar { text, .. }) if is_alias && text.len() > LONGEST_ALIAS_KEY => None,
            Some(Value::Scalar { text, .. }) => Some(text.clone()),
            _ => Some(Cow::Borrowed("")),
        };
        text.unwrap_or_else(|| {
            self.error(format!(
                "an alias of more than {LONGEST_ALIAS_KEY} bytes is not valid as a key"
            ));
            Cow::Borrowed("")
        })
    }

    /// Sets the tag and the anchor of a node.
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

    /// Reads an anchor and a tag, if there are any.
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

    /// Reads `*name`; none where the anchor is not defined above.
    pub(super) fn alias(&mut self) -> Option<Reference> {
        let rest = self.rest();
        let word = rest.split([' ', '\t', ',', ']', '}']).next().unwrap_or(rest);
        self.at += word.len();
        let line = self.line;
        let id = self.anchors.get(word.get(1..).unwrap_or_default()).copied();
        if id.is_none() {
            self.error(format!("`{}` is an undefined alias", text::excerpt(word)));
        }
        Some(Reference { line, id: id? })
    }
}

/// Sorts the indices of a mapping's members by key, for binary search.
fn order(members: &[StoredMember<'_>]) -> Order {
    if members.len() <= SHORT {
        return None;
    }
    let key = |place: &u32| {
        let member = usize::try_from(*place).ok().and_then(|at| members.get(at));
        member.map(|member| member.key.as_ref())
    };
    let mut order: Vec<u32> = (0..u32::try_from(members.len()).unwrap_or(u32::MAX)).collect();
    // Stable, so that of several equal keys the last stays the last.
    order.sort_by(|a, b| key(a).cmp(&key(b)));
    Some(order.into_boxed_slice())
}
